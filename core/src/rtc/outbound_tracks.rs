//! Tracks of ours: which media section carries which, what is wanted and what the other side was told.

use str0m::Rtc;
use str0m::media::{Direction, Mid};

use super::error::ReplaceTrackError;
use super::event::Event;
use super::refused::TrackRefused;
use super::sdp::Section;
use crate::ids::{StreamId, TrackId};
use crate::media::MediaKind;

/// A track of ours to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundTrack {
    /// Its id, as the other side will see it.
    pub id: TrackId,
    /// The stream it belongs to.
    pub stream: Option<StreamId>,
    /// Sound or picture.
    pub kind: MediaKind,
}

/// Where a track of ours stands in the descriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In none yet.
    Nowhere,
    /// In an offer that is out.
    Offered(Mid),
    /// In an agreed media section.
    Agreed(Mid),
    /// In a media section the other side rejected, which is lost for good.
    Rejected,
}

impl Place {
    /// Its media section.
    pub(super) fn mid(self) -> Option<Mid> {
        match self {
            Self::Offered(mid) | Self::Agreed(mid) => Some(mid),
            Self::Nowhere | Self::Rejected => None,
        }
    }
}

/// Media sections of each kind that stay with their track when it is no longer sent, so that it can come back as what it
/// was. When another track comes, one more is used for that track: descriptions would grow without end otherwise.
const IDLE_SECTIONS_PER_KIND: usize = 2;

/// One media section of ours, agreed on or to come.
#[derive(Debug)]
pub(super) struct Slot {
    /// What it was first offered as. Browsers never change the id a received track once had.
    pub(super) first: TrackId,
    /// What the other side was told it is.
    pub(super) published: OutboundTrack,
    /// What is written into it: another track after a replacement, none for silence.
    pub(super) source: Option<TrackId>,
    /// Whether it is to be sent.
    pub(super) wanted: bool,
    /// Whether the other side was last told that it is sent.
    pub(super) announced: bool,
    pub(super) place: Place,
}

impl Slot {
    /// The other side rejects the section.
    fn refuse(&mut self) -> Option<TrackRefused> {
        self.place = Place::Rejected;
        self.wanted.then(|| TrackRefused::local(self.source.clone(), self.published.kind))
    }
}

/// The tracks of ours.
#[derive(Debug, Default)]
pub(super) struct OutboundTracks {
    pub(super) slots: Vec<Slot>,
    /// What the user was told that the other side receives.
    active: Vec<TrackId>,
    /// Something has changed since that was looked at.
    pub(super) stale: bool,
}

impl OutboundTracks {
    /// Whether that changes what is to be negotiated.
    pub(super) fn attach(&mut self, track: OutboundTrack) -> bool {
        self.stale = true;
        if self.by_source(&track.id).is_some() {
            return false;
        }
        let same = |slot: &&mut Slot| {
            slot.published == track && slot.source.is_none() && !matches!(slot.place, Place::Rejected)
        };
        if let Some(slot) = self.slots.iter_mut().find(same) {
            slot.source = Some(track.id);
            return !std::mem::replace(&mut slot.wanted, true);
        }
        self.give_up_silent(track.kind);
        let source = Some(track.id.clone());
        if let Some(slot) = self.spare(track.kind) {
            (slot.published, slot.source, slot.wanted) = (track, source, true);
        } else {
            let (first, place) = (track.id.clone(), Place::Nowhere);
            self.slots.push(Slot { first, published: track, source, wanted: true, announced: false, place });
        }
        true
    }

    /// Sections whose track was replaced by none wait for nobody: those beyond a few are stopped with the negotiation to come,
    /// and may be used for other tracks afterwards.
    fn give_up_silent(&mut self, kind: MediaKind) {
        let is_silent = |slot: &Slot| slot.published.kind == kind && slot.wanted && slot.source.is_none();
        while self.slots.iter().filter(|slot| is_silent(slot)).count() >= IDLE_SECTIONS_PER_KIND {
            let Some(at) = self.slots.iter().position(is_silent) else { return };
            let mut slot = self.slots.remove(at);
            slot.wanted = false;
            self.slots.push(slot);
        }
        self.forget_unwanted();
    }

    /// A section whose track has not been sent for the longest time, if there are enough of them.
    fn spare(&mut self, kind: MediaKind) -> Option<&mut Slot> {
        let is_idle = |slot: &&mut Slot| {
            slot.published.kind == kind
                && !slot.wanted
                && slot.source.is_none()
                && !slot.announced
                && matches!(slot.place, Place::Agreed(_))
        };
        let idle = self.slots.iter_mut().filter(is_idle).count();
        if idle < IDLE_SECTIONS_PER_KIND {
            return None;
        }
        self.slots.iter_mut().find(is_idle)
    }

    /// Whether that changes what is to be negotiated.
    pub(super) fn detach(&mut self, track: &TrackId) -> bool {
        let Some(at) = self.slots.iter().position(|slot| slot.source.as_ref() == Some(track)) else {
            return false;
        };
        let mut slot = self.slots.remove(at);
        slot.source = None;
        slot.wanted = false;
        // Those that have been idle for the longest time come first.
        self.slots.push(slot);
        self.stale = true;
        self.forget_unwanted();
        true
    }

    pub(super) fn replace(&mut self, old: &TrackId, new: Option<TrackId>) -> Result<(), ReplaceTrackError> {
        if new.as_ref() != Some(old) && new.as_ref().is_some_and(|new| self.by_source(new).is_some()) {
            return Err(ReplaceTrackError::AlreadyAttached);
        }
        let slot = self.slots.iter_mut().find(|slot| slot.source.as_ref() == Some(old));
        slot.ok_or(ReplaceTrackError::NoSuchTrack)?.source = new;
        self.stale = true;
        Ok(())
    }

    pub(super) fn by_source(&self, track: &TrackId) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.source.as_ref() == Some(track))
    }

    pub(super) fn by_mid(&self, mid: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.place.mid().is_some_and(|place| *place == *mid))
    }

    /// The stream and the track that the other side is told of a section of ours.
    pub(super) fn published(&self, mid: &str) -> Option<(Option<&str>, &str)> {
        let track = &self.by_mid(mid)?.published;
        Some((track.stream.as_ref().map(|stream| stream.as_str()), track.id.as_str()))
    }

    /// An offer of ours was withdrawn. What is offered in one of `accepted` was accepted all the same, by an answer that
    /// has not come.
    pub(super) fn rolled_back(&mut self, accepted: &[Section]) {
        for slot in &mut self.slots {
            if let Place::Offered(mid) = slot.place
                && !accepted.iter().any(|section| section.mid == *mid)
            {
                slot.place = Place::Nowhere;
            }
        }
        self.forget_unwanted();
    }

    /// Descriptions came into force. `told` gives, for a section of ours, whether the other side was told that it is
    /// sent, if it was told anything. Gives the tracks that are not taken.
    pub(super) fn negotiated(
        &mut self,
        rtc: &Rtc,
        told: impl Fn(&Slot, Direction) -> Option<bool>,
    ) -> Vec<TrackRefused> {
        self.stale = true;
        let mut refused = Vec::new();
        for slot in &mut self.slots {
            let Some(mid) = slot.place.mid() else { continue };
            let Some(media) = rtc.media(mid) else { continue };
            if media.disabled() {
                refused.extend(slot.refuse());
                continue;
            }
            slot.place = Place::Agreed(mid);
            if let Some(told) = told(slot, media.direction()) {
                slot.announced = told;
            }
        }
        self.forget_unwanted();
        refused
    }

    /// The other side takes nothing of an offer of ours. Gives the tracks in it.
    pub(super) fn offer_refused(&mut self) -> Vec<TrackRefused> {
        self.stale = true;
        let offered = self.slots.iter_mut().filter(|slot| matches!(slot.place, Place::Offered(_)));
        let refused = offered.filter_map(Slot::refuse).collect();
        self.forget_unwanted();
        refused
    }

    /// What the other side receives now, as changes to what it was told to receive before. `rtc` is there while the
    /// connection is up.
    pub(super) fn follow(&mut self, rtc: Option<&Rtc>) -> Vec<Event> {
        self.stale = false;
        let is_sent = |mid| {
            let media = rtc.and_then(|rtc| rtc.media(mid));
            media.is_some_and(|media| media.direction().is_sending() && !media.disabled())
        };
        let sent = self.slots.iter().filter(|slot| matches!(slot.place, Place::Agreed(mid) if is_sent(mid)));
        let active: Vec<TrackId> = sent.filter_map(|slot| slot.source.clone()).collect();
        let change = |track: &TrackId, active| Event::LocalTrackActive { track: track.clone(), active };
        let ceased = self.active.iter().filter(|track| !active.contains(track)).map(|track| change(track, false));
        let begun = active.iter().filter(|track| !self.active.contains(track)).map(|track| change(track, true));
        let events = ceased.chain(begun).collect();
        self.active = active;
        events
    }

    fn forget_unwanted(&mut self) {
        self.slots.retain(|slot| slot.wanted || !matches!(slot.place, Place::Nowhere | Place::Rejected));
    }
}
