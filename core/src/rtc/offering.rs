//! Offers of ours: what is wanted and not agreed on.

use std::time::Instant;

use str0m::Rtc;
use str0m::channel::ChannelConfig;
use str0m::media::{Direction, Mid};

use super::connection::Connection;
use super::description_size::{DESCRIPTION_BASE_BYTES, name_bytes, section_bytes};
use super::error::{NegotiationError, RestartIceError};
use super::media;
use super::outbound_tracks::{OutboundTracks, Place};
use super::sdp::{MAX_SECTIONS, SectionKind};
use super::state::ConnectionState;

impl Connection {
    /// Offers the difference between what is wanted and what is agreed on, if there is any and no offer is out.
    pub(super) fn offer(&mut self) {
        if !self.negotiation.may_offer() {
            return;
        }
        self.refuse_excess_tracks();
        let any_new = self.tracks.slots.iter().any(|slot| slot.wanted && slot.place == Place::Nowhere);
        if self.rtc.is_none() {
            if !any_new && !self.channels.any_wanted() && !self.negotiation.is_offer_owed() {
                return;
            }
            self.build();
        }
        let bootstrap = self.bootstrap();
        let Some(rtc) = self.rtc.as_mut() else { return };
        let directions = directions(&mut self.tracks, rtc, &self.negotiation.invite());
        if directions.is_empty() && !any_new && bootstrap.is_none() && !self.negotiation.is_restart_due() {
            return;
        }
        if self.state == ConnectionState::Idle {
            self.set_state(ConnectionState::Connecting);
            self.restarts.offered_first(self.now);
        }
        self.tick();
        let Some(rtc) = self.rtc.as_mut() else { return };
        let mut api = rtc.sdp_api();
        for (mid, direction) in directions {
            api.set_direction(mid, direction);
        }
        for slot in self.tracks.slots.iter_mut().filter(|slot| slot.wanted && slot.place == Place::Nowhere) {
            let stream = slot.published.stream.as_ref().map(|stream| stream.as_str().to_owned());
            let track = Some(slot.published.id.as_str().to_owned());
            let kind = media::to_str0m(slot.published.kind);
            slot.place = Place::Offered(api.add_media(kind, Direction::SendOnly, stream, track, None));
        }
        if let Some(bootstrap) = bootstrap {
            api.add_channel_with_config(bootstrap);
        }
        let is_restart = self.negotiation.restarts_by_offer();
        if is_restart {
            api.ice_restart(true);
        }
        let Some((offer, pending)) = api.apply() else { return };
        self.with_rtc(|_| ());
        let (text, tracks) = (offer.to_sdp_string(), &self.tracks);
        let offered = self.negotiation.offered(self.now, &text, pending, is_restart, |mid| tracks.published(mid));
        if offered.is_some() {
            self.perform(offered);
            self.tell_end_of_candidates();
        }
    }

    /// Makes an offer even if there is nothing to offer: the other side waits for a connection before this one, and is to
    /// learn that there is another.
    pub(crate) fn owe_offer(&mut self, now: Instant) {
        self.change(now, |this| {
            let nothing_wanted = !this.tracks.slots.iter().any(|slot| slot.wanted) && !this.channels.any_wanted();
            this.negotiation.owe_offer(nothing_wanted);
        });
    }

    /// Refuses the new tracks with which a description would get too large.
    fn refuse_excess_tracks(&mut self) {
        let sections = self.negotiation.sections();
        let mut count = sections.len() + 1;
        let mut bytes = DESCRIPTION_BASE_BYTES + section_bytes(SectionKind::Application);
        bytes += sections.iter().map(|section| section_bytes(section.kind)).sum::<usize>();
        bytes += self.tracks.slots.iter().map(|slot| name_bytes(&slot.published)).sum::<usize>();
        let mut refused = 0;
        for slot in self.tracks.slots.iter_mut().filter(|slot| slot.wanted && slot.place == Place::Nowhere) {
            let more = section_bytes(SectionKind::Media(slot.published.kind));
            if bytes + more > self.config.max_description_size || count >= MAX_SECTIONS {
                bytes -= name_bytes(&slot.published);
                slot.place = Place::Rejected;
                refused += 1;
            } else {
                bytes += more;
                count += 1;
            }
        }
        for _ in 0..refused {
            self.error(NegotiationError::TooManyTracks);
        }
    }

    /// The channel that brings the media section for data channels into an offer, if it is wanted there.
    fn bootstrap(&mut self) -> Option<ChannelConfig> {
        if !self.negotiation.is_to_offer_data_channels(self.now, self.channels.any_wanted()) {
            return None;
        }
        let bootstrap = self.channels.bootstrap();
        if bootstrap.is_none() {
            self.negotiation.give_up_data_channels();
            self.error(NegotiationError::TooManyCollisions);
        }
        bootstrap
    }

    /// When there is something to do for the negotiation.
    pub(super) fn negotiation_timeout(&self) -> Option<Instant> {
        self.negotiation.poll_timeout(self.restarts.is_quiet(), self.channels.any_wanted())
    }

    /// Does what is due for the negotiation.
    pub(super) fn negotiation_due(&mut self) {
        let action = self.negotiation.handle_timeout(self.now, self.restarts.is_quiet());
        self.perform(action);
    }

    /// Offers an ICE restart, because the path is lost.
    pub(super) fn restart(&mut self) {
        let action = self.negotiation.restart(self.now, self.restarts.is_quiet());
        self.perform(action);
    }

    /// Looks for a way to the other side anew (RFC 8445, section 9), for example because a better one may be there. While the
    /// connection is up it stays up. One that is lost is looked for at once, with all attempts; on the first connection
    /// nothing has to be done. [`Event::IceRestarted`](crate::rtc::Event::IceRestarted) tells that both sides have agreed.
    ///
    /// # Errors
    /// [`RestartIceError`], if there is nothing to restart.
    pub fn restart_ice(&mut self, now: Instant) -> Result<(), RestartIceError> {
        match self.state() {
            ConnectionState::Closed => return Err(RestartIceError::Closed),
            ConnectionState::Idle => return Err(RestartIceError::Idle),
            ConnectionState::Connecting | ConnectionState::Connected | ConnectionState::Reconnecting => {}
        }
        self.change(now, |this| {
            this.negotiation.want_restart();
            if this.restarts.is_between_attempts() {
                this.try_again();
            }
        });
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn restart_for_tests(&mut self) {
        self.restart();
    }

    #[cfg(test)]
    pub(super) fn is_offering_for_tests(&self) -> bool {
        self.negotiation.is_offering()
    }
}

/// The directions of agreed sections that the next offer changes: where a track begins or ceases to be sent, or the other
/// side is `invited` to send. Sections that have their direction already are marked as announced.
fn directions(tracks: &mut OutboundTracks, rtc: &Rtc, invited: &[Mid]) -> Vec<(Mid, Direction)> {
    let mut directions = Vec::new();
    for slot in &mut tracks.slots {
        let Place::Agreed(mid) = slot.place else { continue };
        let Some(media) = rtc.media(mid).filter(|_| slot.announced != slot.wanted) else { continue };
        let receives = media.direction().is_receiving() || invited.contains(&mid);
        let direction = match (slot.wanted, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        };
        if media.direction() == direction {
            slot.announced = slot.wanted;
        } else {
            directions.push((mid, direction));
        }
    }
    for mid in invited {
        let direction = match rtc.media(*mid).map(|media| media.direction()) {
            Some(Direction::SendOnly) => Direction::SendRecv,
            Some(Direction::Inactive) => Direction::RecvOnly,
            _ => continue,
        };
        if directions.iter().all(|(changed, _)| changed != mid) {
            directions.push((*mid, direction));
        }
    }
    directions
}
