//! Offers of ours: what is wanted and not agreed on.

use std::time::Instant;

use str0m::media::{Direction, Mid};

use super::{LocalOffer, Negotiation, published};
use crate::protocol::DescriptionKind;
use crate::rtc::connection::Connection;
use crate::rtc::error::NegotiationError;
use crate::rtc::media;
use crate::rtc::options::RESTART_ANSWER_TIMEOUT;
use crate::rtc::output::ConnectionState;
use crate::rtc::sdp::{self, Description, MAX_SECTIONS, Section, SectionKind, Theirs};
use crate::rtc::tracks::{Place, name_bytes, section_bytes};

/// What a description has at most beside its media sections, in bytes as JSON: its head, and candidates of ours.
const DESCRIPTION_BASE_BYTES: usize = 4000;

impl Negotiation {
    /// The sections that the other side has a track for, though it does not send there, and it was not yet invited to. That
    /// is so when a browser gets a track to send while it answers an offer that has no room for it: as long as the section
    /// stays as it is, the browser has no reason to negotiate (W3C WebRTC 1.0, section 4.7.3), and waits for our offer.
    fn invite(&mut self) -> Vec<Mid> {
        let waits = |section: &&Section| {
            matches!(section.kind, SectionKind::Media(_)) && !section.rejected && !section.flow.sends
        };
        let mut mids = Vec::new();
        for section in self.sections.iter().filter(waits) {
            let Some(track) = &section.track else { continue };
            if self.invited.get(&section.mid) != Some(track) {
                self.invited.insert(section.mid.clone(), track.clone());
                mids.push(Mid::from(section.mid.as_str()));
            }
        }
        mids
    }
}

impl Connection {
    /// Offers the difference between what is wanted and what is agreed on, if there is any and no offer is out.
    pub(in crate::rtc) fn offer(&mut self) {
        let Negotiation { offer, stalled, echo, .. } = &self.negotiation;
        if offer.is_some() || *stalled || echo.is_some() {
            return;
        }
        self.refuse_excess_tracks();
        let any_new = self.tracks.slots.iter().any(|slot| slot.wanted && slot.place == Place::Nowhere);
        if self.rtc.is_none() {
            if !any_new && !self.channels.any_wanted() && !self.negotiation.owed {
                return;
            }
            self.build();
        }
        let bootstrap = self.bootstrap();
        let Some(rtc) = self.rtc.as_mut() else { return };
        let invited = self.negotiation.invite();
        let mut directions = Vec::new();
        for slot in &mut self.tracks.slots {
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
            let direction = match rtc.media(mid).map(|media| media.direction()) {
                Some(Direction::SendOnly) => Direction::SendRecv,
                Some(Direction::Inactive) => Direction::RecvOnly,
                _ => continue,
            };
            if directions.iter().all(|(changed, _)| *changed != mid) {
                directions.push((mid, direction));
            }
        }
        if directions.is_empty() && !any_new && bootstrap.is_none() && !self.negotiation.is_restart_due() {
            return;
        }
        if self.state == ConnectionState::Idle {
            self.set_state(ConnectionState::Connecting);
            self.ladder.offered_first(self.now);
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
        let is_restart = self.negotiation.is_restart_due() && !self.negotiation.sections.is_empty();
        if is_restart {
            api.ice_restart(true);
        }
        let Some((offer, pending)) = api.apply() else { return };
        self.change(|_| ());
        let text = offer.to_sdp_string();
        let Ok(description) = Description::read(&text) else { return };
        let sections = std::mem::take(&mut self.negotiation.sections);
        let theirs = Theirs::agreed(&sections);
        let text = sdp::outbound(&text, &description, &theirs, |mid| published(&self.tracks, mid));
        self.negotiation.name_application(&description, sections.len());
        let mut text = self.negotiation.outbound(text);
        if self.negotiation.dtls_server {
            text = text.replace("a=setup:actpass\r\n", "a=setup:passive\r\n");
        }
        self.described(&description, &theirs);
        self.negotiation.sections = sections;
        self.send_description(DescriptionKind::Offer, text.clone());
        let repeat_at = Some(self.now + RESTART_ANSWER_TIMEOUT);
        self.negotiation.offer =
            Some(LocalOffer { pending, text, description, is_restart, repeat_at, sent_at: self.now, copies: 1 });
        self.tell_end_of_candidates();
    }

    /// Makes an offer even if there is nothing to offer: the other side waits for a connection before this one, and is to
    /// learn that there is another.
    pub(crate) fn owe_offer(&mut self, now: Instant) {
        self.input(now, |this| {
            this.negotiation.owed = !this.tracks.slots.iter().any(|slot| slot.wanted) && !this.channels.any_wanted();
            this.negotiation.changed();
        });
    }

    /// Refuses the new tracks with which a description would get too large.
    fn refuse_excess_tracks(&mut self) {
        let sections = &self.negotiation.sections;
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
    fn bootstrap(&mut self) -> Option<str0m::channel::ChannelConfig> {
        let held = self.negotiation.is_application_held(self.now);
        let owed = self.negotiation.owed || self.negotiation.owed_application.is_some();
        let wanted = owed || (self.channels.any_wanted() && !held);
        if self.negotiation.has_application || !wanted || self.negotiation.gave_up_application {
            return None;
        }
        let bootstrap = self.channels.bootstrap();
        if bootstrap.is_none() {
            self.negotiation.gave_up_application = true;
            self.error(NegotiationError::TooManyCollisions);
        }
        bootstrap
    }

    /// Sends the offer that is out once more, under the name that its section for data channels has now. The other side
    /// may be able to answer the new one only.
    pub(super) fn replace_offer(&mut self) {
        let Some(offer) = self.negotiation.offer.take() else { return };
        let sections = std::mem::take(&mut self.negotiation.sections);
        self.described(&offer.description, &Theirs::agreed(&sections));
        self.negotiation.sections = sections;
        self.send_description(DescriptionKind::Offer, offer.text.clone());
        self.negotiation.offer = Some(offer);
    }
}
