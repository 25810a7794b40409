//! Sections that one side rejects.

use tracing::debug;

use super::{LocalOffer, Negotiation};
use crate::ids::TrackId;
use crate::rtc::candidates::bump;
use crate::rtc::connection::Connection;
use crate::rtc::error::NegotiationError;
use crate::rtc::ladder::Ladder;
use crate::rtc::output::{ConnectionState, Event};
use crate::rtc::refused::{RefusalReason, TrackRefused};
use crate::rtc::sdp::{Description, Refusal, Section, SectionKind};

impl Negotiation {
    /// The sections that are refused here and were not before.
    fn newly_refused<'a>(&self, sections: &'a [Section]) -> impl Iterator<Item = &'a Section> {
        let told = |(at, section): &(usize, &Section)| {
            let former = self.sections.get(*at);
            former.is_some_and(|former| former.refusal == section.refusal && former.name == section.name)
        };
        let refused = sections.iter().enumerate().filter(|(_, section)| section.refusal.is_some());
        let new: Vec<&Section> = refused.filter(|section| !told(section)).map(|(_, section)| section).collect();
        new.into_iter()
    }

    /// The tracks of the other side's that are refused by its description.
    pub(super) fn refused_tracks(&self, sections: &[Section]) -> Vec<TrackRefused> {
        let tracks = self.newly_refused(sections).filter(|section| section.flow.sends).filter_map(|section| {
            let SectionKind::Media(kind) = section.kind else { return None };
            let reason = match section.refusal {
                Some(Refusal::Codec) => RefusalReason::NoCommonCodec,
                _ => RefusalReason::Transport,
            };
            let track = section.track.as_deref().and_then(|track| TrackId::new(track).ok());
            Some(TrackRefused { track, local: false, kind, reason, codecs: section.codecs.clone() })
        });
        tracks.collect()
    }

    /// Whether the other side has data channels that cannot be used.
    pub(super) fn refuses_application(&self, sections: &[Section]) -> bool {
        let mut refused = self.newly_refused(sections);
        !self.has_application && refused.any(|section| section.kind == SectionKind::Application)
    }
}

impl Connection {
    /// Tells and counts what is refused.
    pub(super) fn tell_refused(&mut self, tracks: Vec<TrackRefused>, application: bool) {
        for refused in tracks {
            debug!(%refused, "track refused");
            bump(&mut self.counters.refused_tracks);
            self.event(Event::TrackRefused(refused));
        }
        if application {
            self.error(NegotiationError::DataChannelsRefused);
        }
    }

    /// Tells that the other side takes no data channels, if that is what its answer says.
    pub(super) fn tell_refused_application(&mut self, offer: &Description, answer: &Description) {
        let offered = offer.application().is_some() && !self.negotiation.has_application;
        if offered && answer.application().is_none() {
            self.negotiation.gave_up_application = true;
            self.error(NegotiationError::DataChannelsRefused);
        }
    }

    /// The other side's answer rejects every section, and has no credentials, so that `str0m` cannot take it.
    pub(super) fn all_refused(&mut self, answer: &Description, hash: u64) {
        let Some(LocalOffer { sent_at, copies, description, .. }) = self.negotiation.offer.take() else { return };
        self.expect_echo(sent_at, copies);
        self.negotiation.accepted(hash, answer.sections.clone(), copies);
        self.tell_refused_application(&description, answer);
        let refused = self.tracks.offer_refused();
        self.tell_refused(refused, false);
        self.nothing_in_use();
        self.negotiation.changed();
    }

    /// Nothing is agreed on that needs a connection. One that is being made for the first time is not waited for.
    pub(super) fn nothing_in_use(&mut self) {
        if self.state == ConnectionState::Connecting {
            self.ladder = Ladder::new();
            self.set_state(ConnectionState::Idle);
        }
    }
}
