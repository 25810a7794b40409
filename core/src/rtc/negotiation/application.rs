//! What the section for data channels is called, here and there: `str0m` chooses names of its own, and Chromium answers an
//! offer only if that section has the name it would have given it.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::Negotiation;
use crate::rtc::sdp::{self, Description};

/// How long a browser that has just agreed on something may take to offer a section for data channels of its own, before
/// ours is offered.
const APPLICATION_COURTESY: Duration = Duration::from_millis(300);

impl Negotiation {
    /// The other side has agreed on something without a section for data channels. If it is a browser that gives way to us,
    /// ours had better not cross one of its own: it must withdraw that, and once it is connected and the names differ, it can
    /// negotiate no more. After an agreement it makes its own offer at once, if it has anything to offer. Further agreements
    /// put ours off no longer.
    pub(super) fn hold_application(&mut self, now: Instant, agreed: &Description, polite: bool) {
        let may_cross = agreed.anonymous && !polite && !self.has_application;
        let until = self.application_held_until.unwrap_or(now + APPLICATION_COURTESY);
        self.application_held_until = may_cross.then_some(until);
    }

    pub(super) fn is_application_held(&self, now: Instant) -> bool {
        self.application_held_until.is_some_and(|until| now < until)
    }

    /// Remembers which numbers the other side has given to media sections, in offers that came to nothing too.
    pub(super) fn count_numbers(&mut self, offer: &Description) {
        let names = offer.sections.iter().filter_map(|section| section.name.as_ref());
        let numbers = names.filter_map(|name| name.parse::<u16>().ok());
        let after = numbers.map(|number| u32::from(number) + 1).max().unwrap_or(0);
        self.next_number = self.next_number.max(after);
    }

    /// Names the section for data channels, new in an offer of ours, as a browser would that makes the same offer at the
    /// same time: browsers number sections, data channels last. Chromium remembers the name of its own section for data
    /// channels when it withdraws a colliding offer, and can't answer an offer that has another one.
    pub(super) fn name_application(&mut self, offer: &Description, agreed: usize) {
        if self.has_application {
            return;
        }
        self.former_application_mid = None;
        self.application_mid = offer.application().and_then(|section| {
            let name = self.owed_application.take().unwrap_or_else(|| {
                let new_media = offer.sections.len().saturating_sub(agreed + 1).max(self.owed_there);
                self.next_number.saturating_add(u32::try_from(new_media).unwrap_or(0)).to_string()
            });
            let taken = offer.sections.iter().any(|other| other.mid == name);
            (!taken).then(|| (section.mid.clone(), name))
        });
    }

    /// The guess of [`name_application`](Self::name_application) can be wrong, since a browser spends numbers on offers
    /// that it never makes. Its own offer, which collided with ours and which it withdraws, tells the name that its answer
    /// needs. Whether an offer of ours was renamed, and is to be sent in place of the one that is out.
    ///
    /// Chromium takes a section for offered though it has withdrawn it, and offers without it in a circle ever after. So if
    /// our offer has none, the next one has.
    pub(super) fn rename_application(&mut self, ignored: &Description) -> bool {
        let Some(offer) = self.offer.as_mut().filter(|_| !self.has_application && ignored.anonymous) else {
            return false;
        };
        let Some(theirs) = ignored.application().and_then(|section| section.name.as_ref()) else { return false };
        let Some(ours) = offer.description.application() else {
            self.owed_application = Some(theirs.clone());
            return false;
        };
        let current = self.application_mid.as_ref().map_or(&ours.mid, |(_, name)| name);
        if current == theirs || offer.description.sections.iter().any(|section| section.mid == *theirs) {
            return false;
        }
        offer.text = sdp::rename_application(&offer.text, current, theirs);
        self.former_application_mid = Some(current.clone());
        self.application_mid = Some((ours.mid.clone(), theirs.clone()));
        true
    }

    /// The name of the section for data channels that an answer has, if it was written before our offer was renamed.
    pub(super) fn accept_former_name(&mut self, answer: &str) {
        if let (Some(former), Some((_, name))) = (self.former_application_mid.take(), &mut self.application_mid)
            && sdp::names_application(answer, &former)
        {
            *name = former;
        }
    }

    /// A description of ours as the other side is to get it.
    pub(super) fn outbound(&self, text: String) -> String {
        match &self.application_mid {
            Some((ours, theirs)) => sdp::rename_application(&text, ours, theirs),
            None => text,
        }
    }

    /// A description of the other side's as `str0m` is to get it.
    pub(super) fn inbound<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.application_mid {
            Some((ours, theirs)) => sdp::rename_application(text, theirs, ours).into(),
            None => text.into(),
        }
    }
}
