//! The media section for data channels: whether it may be offered, and its name on each side. `str0m` chooses names of its
//! own, and Chromium answers an offer only if that section has the name it would have given it.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::offer::LocalOffer;
use crate::rtc::sdp::{self, Description, SectionKind};

/// How long a browser that has just agreed on something may take to offer a section for data channels of its own, before
/// ours is offered.
const COURTESY: Duration = Duration::from_millis(300);

/// What matters only until the section is agreed on.
#[derive(Debug, Default)]
struct Open {
    /// Until when the section is left to the other side to offer.
    held_until: Option<Instant>,
    /// The name of the section in an offer that the other side withdrew and won't make again: the next offer has it.
    withdrawn_name: Option<String>,
    /// The other side waits for an offer, though there is nothing to offer: it has this section then.
    offer_owed: bool,
    /// One more than the largest number the other side has given to a media section.
    next_number: u32,
    /// Audio and video sections the other side offered in vain, and will offer again.
    media_to_come: usize,
}

#[derive(Debug)]
enum State {
    /// No description in force has it.
    Open(Open),
    /// The other side does not take it, or offers of it collided too often: it is not offered again.
    GivenUp,
    /// Agreed on.
    Agreed,
}

/// Two names of the section.
#[derive(Debug)]
struct Names {
    /// The name in `str0m`.
    ours: String,
    /// The name on the wire.
    theirs: String,
}

/// The media section for data channels.
#[derive(Debug)]
pub(super) struct DataSection {
    state: State,
    /// The names in our last offer that has the section.
    names: Option<Names>,
}

impl Default for DataSection {
    fn default() -> Self {
        Self { state: State::Open(Open::default()), names: None }
    }
}

impl DataSection {
    /// Whether both sides have agreed on it.
    pub(super) fn is_agreed(&self) -> bool {
        matches!(self.state, State::Agreed)
    }

    fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.state {
            State::Open(open) => Some(open),
            State::GivenUp | State::Agreed => None,
        }
    }

    /// Whether the next offer has the section, if it is not agreed on. `wanted` says that there are data channels.
    pub(super) fn is_to_be_offered(&self, now: Instant, wanted: bool) -> bool {
        let State::Open(open) = &self.state else { return false };
        let held = open.held_until.is_some_and(|until| now < until);
        open.offer_owed || open.withdrawn_name.is_some() || (wanted && !held)
    }

    /// Whether the other side waits for an offer.
    pub(super) fn is_offer_owed(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.offer_owed)
    }

    /// Has the section offered even if there are no data channels.
    pub(super) fn owe_offer(&mut self, owed: bool) {
        if let Some(open) = self.open_mut() {
            open.offer_owed = owed;
        }
    }

    /// Does not offer it any more.
    pub(super) fn give_up(&mut self) {
        if matches!(self.state, State::Open(_)) {
            self.state = State::GivenUp;
        }
    }

    /// Whether it is not offered any more.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(self.state, State::GivenUp)
    }

    /// A description of the other side's is in force. Whether the section is agreed on by it for the first time.
    ///
    /// Without the section, if the other side is a browser that gives way to us, ours had better not cross one of its own: the
    /// browser must withdraw that, and once it is connected and the names differ, it can negotiate no more. After an agreement
    /// it makes its own offer at once, if it has anything to offer. Further agreements put ours off no longer.
    pub(super) fn agreed(&mut self, now: Instant, description: &Description, polite: bool) -> bool {
        if description.application().is_some() && !self.is_agreed() {
            self.state = State::Agreed;
            return true;
        }
        if let Some(open) = self.open_mut() {
            open.offer_owed = false;
            let may_cross = description.anonymous && !polite;
            let until = open.held_until.unwrap_or(now + COURTESY);
            open.held_until = may_cross.then_some(until);
        }
        false
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Open(open) => open.held_until,
            State::GivenUp | State::Agreed => None,
        }
    }

    /// Whether the section may be offered from now on.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        let Some(open) = self.open_mut() else { return false };
        open.held_until.take_if(|until| *until <= now).is_some()
    }

    /// Remembers which numbers the other side has given to media sections, in offers that came to nothing too.
    pub(super) fn count_numbers(&mut self, offer: &Description) {
        let Some(open) = self.open_mut() else { return };
        let names = offer.sections.iter().filter_map(|section| section.name.as_ref());
        let numbers = names.filter_map(|name| name.parse::<u16>().ok());
        let after = numbers.map(|number| u32::from(number) + 1).max().unwrap_or(0);
        open.next_number = open.next_number.max(after);
    }

    /// An offer was ignored that has more sections than the `agreed` ones.
    pub(super) fn ignored(&mut self, offer: &Description, agreed: usize) {
        let Some(open) = self.open_mut() else { return };
        let new = offer.sections.iter().skip(agreed);
        open.media_to_come = new.filter(|section| matches!(section.kind, SectionKind::Media(_))).count();
    }

    /// An offer was accepted: none is to come.
    pub(super) fn accepted(&mut self) {
        if let Some(open) = self.open_mut() {
            open.media_to_come = 0;
        }
    }

    /// Names the section, new in an offer of ours, as a browser would that makes the same offer at the same time: browsers
    /// number sections, data channels last. Chromium remembers the name of its own section for data channels when it
    /// withdraws a colliding offer, and can't answer an offer that has another one.
    pub(super) fn name(&mut self, offer: &Description, agreed: usize) {
        let open = match &mut self.state {
            State::Open(open) => open,
            State::GivenUp => return self.names = None,
            State::Agreed => return,
        };
        self.names = offer.application().and_then(|section| {
            let name = open.withdrawn_name.take().unwrap_or_else(|| {
                let new_media = offer.sections.len().saturating_sub(agreed + 1).max(open.media_to_come);
                open.next_number.saturating_add(u32::try_from(new_media).unwrap_or(0)).to_string()
            });
            let taken = offer.sections.iter().any(|other| other.mid == name);
            (!taken).then(|| Names { ours: section.mid.clone(), theirs: name })
        });
    }

    /// Corrects the name in the offer in flight. The guess of [`name`](Self::name) can be wrong, since a browser spends
    /// numbers on offers that it never makes. Its own offer, which collided with ours and which it withdraws, tells the name
    /// that its answer needs. Whether our offer was renamed, and is to be sent in place of the one that is out.
    ///
    /// Chromium takes a section for offered though it has withdrawn it, and offers without it in a circle ever after. So if
    /// our offer has none, the next one has.
    pub(super) fn rename(&mut self, ignored: &Description, offer: &mut LocalOffer) -> bool {
        let State::Open(open) = &mut self.state else { return false };
        if !ignored.anonymous {
            return false;
        }
        let Some(theirs) = ignored.application().and_then(|section| section.name.as_ref()) else { return false };
        let Some(ours) = offer.description().application() else {
            open.withdrawn_name = Some(theirs.clone());
            return false;
        };
        let ours = ours.mid.clone();
        let current = self.names.as_ref().map_or(&ours, |names| &names.theirs);
        if current == theirs || offer.description().sections.iter().any(|section| section.mid == *theirs) {
            return false;
        }
        offer.rename(current, theirs);
        self.names = Some(Names { ours, theirs: theirs.clone() });
        true
    }

    /// Takes the name of an answer that was written before our offer was renamed from `former`.
    pub(super) fn accept_former_name(&mut self, answer: &str, former: String) {
        if let Some(names) = &mut self.names
            && sdp::names_application(answer, &former)
        {
            names.theirs = former;
        }
    }

    /// The name on the wire, if `mid` is this section and has two names.
    pub(super) fn their_name(&self, mid: &str) -> Option<&str> {
        self.names.as_ref().filter(|names| names.ours == mid).map(|names| names.theirs.as_str())
    }

    /// A description of ours as the other side is to get it.
    pub(super) fn outbound(&self, text: String) -> String {
        match &self.names {
            Some(Names { ours, theirs }) => sdp::rename_application(&text, ours, theirs),
            None => text,
        }
    }

    /// A description of the other side's as `str0m` is to get it.
    pub(super) fn inbound<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.names {
            Some(Names { ours, theirs }) => sdp::rename_application(text, theirs, ours).into(),
            None => text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::negotiation::samples::{AUDIO, DATA, description, start};

    #[test]
    fn an_offer_that_is_owed_has_the_section_until_something_is_agreed_on() {
        let now = start();
        let mut section = DataSection::default();
        assert!(!section.is_to_be_offered(now, false));
        section.owe_offer(true);
        assert!(section.is_to_be_offered(now, false) && section.is_offer_owed());
        assert!(!section.agreed(now, &description(AUDIO), true));
        assert!(!section.is_to_be_offered(now, false) && !section.is_offer_owed());
    }

    #[test]
    fn a_browser_that_gives_way_offers_first_for_a_moment() {
        let now = start();
        let later = now + COURTESY / 2;
        let mut section = DataSection::default();
        section.agreed(now, &description(AUDIO), false);
        section.agreed(later, &description(AUDIO), false);
        assert_eq!(section.poll_timeout(), Some(now + COURTESY), "put off once");
        assert!(!section.is_to_be_offered(later, true));
        assert!(!section.handle_timeout(later));
        assert!(section.handle_timeout(now + COURTESY));
        assert!(section.is_to_be_offered(now + COURTESY, true));
        assert_eq!(section.poll_timeout(), None);
        section.agreed(now, &description(AUDIO), true);
        assert_eq!(section.poll_timeout(), None, "we give way, so there is nothing to wait for");
    }

    #[test]
    fn it_is_agreed_on_once_even_if_it_was_given_up() {
        let now = start();
        let mut section = DataSection::default();
        section.give_up();
        assert!(!section.is_to_be_offered(now, true));
        assert!(section.agreed(now, &description(DATA), false));
        assert!(!section.agreed(now, &description(DATA), false));
        section.give_up();
        assert!(section.is_agreed());
    }

    #[test]
    fn the_name_is_the_number_after_all_media() {
        let mut section = DataSection::default();
        let offer = description(&format!("{AUDIO}{DATA}"));
        section.name(&offer, 0);
        assert_eq!(section.their_name("data"), Some("1"));
        section.count_numbers(&description(&AUDIO.replace("a=mid:0", "a=mid:6")));
        section.ignored(&description(&format!("{AUDIO}{}", AUDIO.replace("a=mid:0", "a=mid:1"))), 0);
        section.name(&offer, 0);
        assert_eq!(section.their_name("data"), Some("9"));
        section.accepted();
        section.name(&offer, 1);
        assert_eq!(section.their_name("data"), Some("7"));
        let out = section.outbound("m=application 9 x y\r\na=mid:data\r\n".to_owned());
        assert_eq!(out, "m=application 9 x y\r\na=mid:7\r\n");
        assert_eq!(section.inbound(&out), "m=application 9 x y\r\na=mid:data\r\n");
    }
}
