//! Perfect negotiation (W3C WebRTC 1.0, section 10.7; RFC 8829): what is wanted is compared with what is agreed on, and
//! the difference is offered, so that a withdrawn offer needs no repair.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use str0m::Candidate;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::media::{Direction, Mid};
use tracing::debug;

use super::candidates::{RemoteCandidates, Verdict, bump};
use super::connection::Connection;
use super::error::{NegotiationError, SdpProblem};
use super::media;
use super::options::RESTART_ANSWER_TIMEOUT;
use super::output::{ConnectionState, Event, Output};
use super::sdp::{self, Description, Flow, MAX_CANDIDATES, MAX_SECTIONS, Section, SectionKind, Sources};
use super::tracks::{OutboundTracks, Place, Slot, name_bytes, section_bytes};
use crate::protocol::{DescriptionKind, RemoteCandidate, Signal};

/// An offer of ours that is not answered.
#[derive(Debug)]
struct LocalOffer {
    pending: SdpPendingOffer,
    text: String,
    description: Description,
    is_restart: bool,
    /// When it is taken for lost and sent again, as long as the connection is up: else that is the ladder's to do.
    repeat_at: Option<Instant>,
    sent_at: Instant,
    /// How often it was sent: each copy may be answered.
    copies: u32,
}

/// An offer that is settled was sent more than once, and more answers to it may follow, which must not be taken for
/// answers to the next offer.
#[derive(Debug)]
struct Echo {
    answers: u32,
    until: Instant,
}

/// What a description has at most beside its media sections, in bytes as JSON: its head, and candidates of ours.
const DESCRIPTION_BASE_BYTES: usize = 4000;

/// How long answers to copies of an offer may take at most after the first answer; less if that took less.
const MAX_ECHO: Duration = Duration::from_secs(30);

/// How often an unanswered offer is sent while the connection is up. Each time takes twice as long as the one before.
const MAX_COPIES: u32 = 6;

/// Where the two sides are in agreeing.
#[derive(Debug)]
pub(super) struct Negotiation {
    /// What is wanted may differ from what is agreed on.
    changed: bool,
    /// The last offer could not be concluded; without news it is not made again.
    stalled: bool,
    offer: Option<LocalOffer>,
    echo: Option<Echo>,
    /// The offer that the last answer of ours was for, by its hash, and that answer, until something else is agreed on.
    answered: Option<(u64, String)>,
    /// We answered the first offer, as the DTLS server, and have not been connected since: should the other side never get
    /// that answer, our own offer must tell (RFC 8842, section 5.5), or both would wait for the other to begin.
    dtls_server: bool,
    /// ICE is to be restarted, and no offer that does it is concluded.
    restart: bool,
    /// The sections of the last description in force.
    sections: Vec<Section>,
    /// The tracks that the other side was invited to send, by the section that it has for them.
    invited: BTreeMap<String, String>,
    /// The section for data channels is agreed on.
    pub(super) has_application: bool,
    gave_up_application: bool,
    /// What `str0m` calls the section for data channels that we offered, and what the other side knows it as.
    application_mid: Option<(String, String)>,
    /// What the other side knew it as before it was renamed in an offer that is out.
    former_application_mid: Option<String>,
    /// What the other side calls the section for data channels in an offer that it withdrew and won't make again.
    owed_application: Option<String>,
    /// One more than the largest number the other side has given to a media section.
    next_number: u32,
    /// Media sections it offered in vain, and will offer again.
    owed_there: usize,
    remote_fingerprints: Vec<String>,
    candidates: RemoteCandidates,
    sources: Sources,
    local_ufrag: String,
    /// Where candidates are trickled to, once the other side has a description of ours.
    first_mid: Option<String>,
    candidates_finished: bool,
    /// The ICE generation for which the end of the candidates was told.
    end_told: Option<String>,
}

impl Negotiation {
    pub(super) fn new() -> Self {
        Self {
            changed: false,
            stalled: false,
            offer: None,
            echo: None,
            answered: None,
            dtls_server: false,
            restart: false,
            sections: Vec::new(),
            invited: BTreeMap::new(),
            has_application: false,
            gave_up_application: false,
            application_mid: None,
            former_application_mid: None,
            owed_application: None,
            next_number: 0,
            owed_there: 0,
            remote_fingerprints: Vec::new(),
            candidates: RemoteCandidates::default(),
            sources: Sources::default(),
            local_ufrag: String::new(),
            first_mid: None,
            candidates_finished: false,
            end_told: None,
        }
    }

    /// There are ICE credentials now.
    pub(super) fn built(&mut self, local_ufrag: String) {
        self.local_ufrag = local_ufrag;
    }

    /// Something else is wanted than before.
    pub(super) fn changed(&mut self) {
        self.changed = true;
        self.stalled = false;
    }

    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn connected(&mut self) {
        self.restart = false;
        self.dtls_server = false;
    }

    pub(super) fn end(&mut self) {
        self.offer = None;
        self.changed = false;
    }

    pub(super) fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        let next = self.offer.as_ref().map(|offer| offer.description.ufrag.as_str());
        let current = Some(self.local_ufrag.as_str()).filter(|ufrag| !ufrag.is_empty());
        current.into_iter().chain(next.filter(|next| *next != self.local_ufrag))
    }

    #[cfg(test)]
    pub(super) fn sources_for_tests(&self) -> usize {
        self.sources.len()
    }

    #[cfg(test)]
    pub(super) fn sections_for_tests(&self) -> usize {
        self.sections.len()
    }

    /// Remembers which numbers the other side has given to media sections, in offers that came to nothing too.
    fn count_numbers(&mut self, offer: &Description) {
        let numbers = offer.sections.iter().filter_map(|section| section.mid.parse::<u16>().ok());
        let after = numbers.map(|number| u32::from(number) + 1).max().unwrap_or(0);
        self.next_number = self.next_number.max(after);
    }

    /// Names the section for data channels, new in an offer of ours, as a browser would that makes the same offer at the
    /// same time: browsers number sections, data channels last. Chromium remembers the name of its own section for data
    /// channels when it withdraws a colliding offer, and can't answer an offer that has another one.
    fn name_application(&mut self, offer: &Description) {
        if self.has_application {
            return;
        }
        self.former_application_mid = None;
        self.application_mid = offer.application().and_then(|section| {
            let name = self.owed_application.take().unwrap_or_else(|| {
                let new_media = offer.sections.len().saturating_sub(self.sections.len() + 1).max(self.owed_there);
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
    fn rename_application(&mut self, ignored: &Description) -> bool {
        let Some(offer) = self.offer.as_mut().filter(|_| !self.has_application && ignored.anonymous) else {
            return false;
        };
        let Some(theirs) = ignored.application() else { return false };
        let Some(ours) = offer.description.application() else {
            self.owed_application = Some(theirs.mid.clone());
            return false;
        };
        let current = self.application_mid.as_ref().map_or(&ours.mid, |(_, name)| name);
        if *current == theirs.mid || offer.description.sections.iter().any(|section| section.mid == theirs.mid) {
            return false;
        }
        offer.text = sdp::rename_application(&offer.text, current, &theirs.mid);
        self.former_application_mid = Some(current.clone());
        self.application_mid = Some((ours.mid.clone(), theirs.mid.clone()));
        true
    }

    /// The name of the section for data channels that an answer has, if it was written before our offer was renamed.
    fn accept_former_name(&mut self, answer: &str) {
        if let (Some(former), Some((_, name))) = (self.former_application_mid.take(), &mut self.application_mid)
            && sdp::names_application(answer, &former)
        {
            *name = former;
        }
    }

    /// The sections that the other side has a track for, though it does not send there, and it was not yet invited to. That
    /// is so when a browser gets a track to send while it answers an offer that has no room for it: as long as the section
    /// stays as it is, the browser has no reason to negotiate (W3C WebRTC 1.0, section 4.7.3), and waits for our offer.
    fn invite(&mut self) -> Vec<Mid> {
        let waits =
            |section: &&Section| section.kind != SectionKind::Application && !section.rejected && !section.flow.sends;
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

    /// A description of ours as the other side is to get it.
    fn outbound(&self, text: String) -> String {
        match &self.application_mid {
            Some((ours, theirs)) => sdp::rename_application(&text, ours, theirs),
            None => text,
        }
    }

    /// A description of the other side's as `str0m` is to get it.
    fn inbound<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.application_mid {
            Some((ours, theirs)) => sdp::rename_application(text, theirs, ours).into(),
            None => text.into(),
        }
    }

    /// The generation that candidates of ours belong to: that of the last description sent.
    fn sent_ufrag(&self) -> &str {
        self.offer.as_ref().map_or(&self.local_ufrag, |offer| &offer.description.ufrag)
    }
}

impl Connection {
    #[cfg(test)]
    pub(super) fn is_offering_for_tests(&self) -> bool {
        self.negotiation.offer.is_some()
    }

    #[cfg(test)]
    pub(super) fn restart_for_tests(&mut self) {
        self.restart();
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        if self.state == ConnectionState::Closed {
            return;
        }
        match signal {
            Signal::Description { kind: DescriptionKind::Offer, sdp } => self.remote_offer(&sdp),
            Signal::Description { kind: DescriptionKind::Answer, sdp } => self.remote_answer(&sdp),
            Signal::Candidate(candidate) => {
                let offering = self.negotiation.offer.is_some();
                let verdict = self.negotiation.candidates.candidate(candidate, offering, &mut self.counters);
                self.verdict(verdict);
            }
            // ICE goes on until it finds a way or is restarted, so there is nothing to do.
            Signal::EndOfCandidates => {}
        }
    }

    fn remote_offer(&mut self, text: &str) {
        let hash = hash(text);
        if let Some((_, answer)) = self.negotiation.answered.as_ref().filter(|(answered, _)| *answered == hash) {
            // It was sent again because the answer had not come. Whatever of ours came after that answer still counts.
            let answer = answer.clone();
            return self.send_description(DescriptionKind::Answer, answer);
        }
        let text = &*self.negotiation.inbound(text);
        let description = match self.read(text, None) {
            Ok(description) => description,
            Err(error) => return self.refuse(error.unwrap_or(NegotiationError::PeerReplaced)),
        };
        let tracks = &self.tracks;
        let text = sdp::inbound(text, &description, &mut self.negotiation.sources, |section| Flow {
            sends: true,
            receives: tracks.by_mid(&section.mid).is_some_and(|slot| slot.wanted),
        });
        let offer = match SdpOffer::from_sdp_string(&text) {
            // What follows an unreadable line is skipped by the reader, not refused.
            Ok(offer) if offer.media_lines.len() == description.sections.len() => offer,
            _ => return self.refuse(NegotiationError::BadOffer(SdpProblem::Unreadable)),
        };
        self.build();
        self.negotiation.count_numbers(&description);
        if self.negotiation.offer.is_some() {
            if !self.config.polite {
                debug!("colliding offer ignored");
                bump(&mut self.counters.ignored_offers);
                self.negotiation.candidates.ignore(&description);
                let new = description.sections.iter().skip(self.negotiation.sections.len());
                self.negotiation.owed_there = new.filter(|section| section.kind != SectionKind::Application).count();
                if self.negotiation.rename_application(&description) {
                    self.replace_offer();
                }
                return;
            }
            self.roll_back(&description.sections);
        }
        if self.state == ConnectionState::Idle {
            self.set_state(ConnectionState::Connecting);
        }
        self.tick();
        self.send_where_wanted_again(&description);
        let answer = match self.change(|rtc| rtc.sdp_api().accept_offer(offer)) {
            Some(Ok(answer)) => answer.to_sdp_string(),
            Some(Err(_)) => {
                self.tracks.rolled_back(&[]);
                return self.refuse(NegotiationError::BadOffer(SdpProblem::NotApplicable));
            }
            None => return,
        };
        self.negotiation.owed_there = 0;
        self.negotiation.dtls_server |= self.negotiation.sections.is_empty();
        self.in_force(&description, |slot, direction| match (slot.wanted, direction.is_sending()) {
            (true, true) => Some(true),
            (false, _) => Some(false),
            // The other side does not want it now; that is no reason to forget what it was told. If it does, `str0m` has
            // not taken back that the withdrawn offer stopped the track.
            (true, false) => {
                let takes = |section: &Section| {
                    slot.place.mid().is_some_and(|mid| section.mid == *mid) && section.flow.receives
                };
                description.sections.iter().any(takes).then_some(false)
            }
        });
        let answer = match Description::read(&answer) {
            Ok(read) => {
                self.described(&read);
                sdp::outbound(&answer, &read, |mid| published(&self.tracks, mid))
            }
            Err(_) => answer,
        };
        let answer = self.negotiation.outbound(answer);
        self.negotiation.answered = Some((hash, answer.clone()));
        self.send_description(DescriptionKind::Answer, answer);
        self.remote_candidates(&description);
        self.tell_end_of_candidates();
    }

    /// `str0m` refuses to send again in a section of ours that the other side once made inactive, unless that is undone.
    fn send_where_wanted_again(&mut self, offer: &Description) {
        for section in offer.sections.iter().filter(|section| section.flow.receives && !section.rejected) {
            let mid = Mid::from(section.mid.as_str());
            let Some(rtc) = &self.rtc else { return };
            let inactive = rtc.media(mid).is_some_and(|media| media.direction() == Direction::Inactive);
            if inactive && self.tracks.by_mid(&section.mid).is_some_and(|slot| slot.wanted) {
                self.change(|rtc| rtc.sdp_api().set_direction(mid, Direction::SendOnly));
            }
        }
    }

    fn remote_answer(&mut self, text: &str) {
        if self.negotiation.offer.is_none() {
            bump(&mut self.counters.stale_answers);
            return self.echoed();
        }
        self.negotiation.accept_former_name(text);
        let text = &*self.negotiation.inbound(text);
        let Some(offer) = &self.negotiation.offer else { return };
        let description = match self.read(text, Some(&offer.description)) {
            Ok(description) => description,
            Err(error) => return self.refuse(error.unwrap_or(NegotiationError::PeerReplaced)),
        };
        let text = sdp::inbound(text, &description, &mut self.negotiation.sources, |section| {
            let offered = offer.description.sections.iter().find(|offered| offered.mid == section.mid);
            offered.map_or(Flow { sends: false, receives: false }, |offered| offered.flow.seen_from_there())
        });
        let answer = match SdpAnswer::from_sdp_string(&text) {
            Ok(answer) if answer.media_lines.len() == description.sections.len() => answer,
            _ => return self.refuse(NegotiationError::BadAnswer(SdpProblem::Unreadable)),
        };
        let Some(LocalOffer { pending, is_restart, description: offered, sent_at, copies, .. }) =
            self.negotiation.offer.take()
        else {
            return;
        };
        self.expect_echo(sent_at, copies);
        self.tick();
        if !matches!(self.change(|rtc| rtc.sdp_api().accept_answer(pending, answer)), Some(Ok(()))) {
            // The offer is spent, and another just like it would fare no better.
            self.tracks.rolled_back(&[]);
            self.negotiation.stalled = true;
            return self.refuse(NegotiationError::BadAnswer(SdpProblem::NotApplicable));
        }
        if is_restart {
            self.negotiation.restart = false;
        }
        self.in_force(&description, |slot, _| {
            let mid = slot.place.mid()?;
            offered.sections.iter().find(|section| section.mid == *mid).map(|section| section.flow.sends)
        });
        self.remote_candidates(&description);
        self.tell_end_of_candidates();
    }

    /// Reads a description of the other side's and checks it against what is known. `None` for an error: the other
    /// side is a new instance.
    fn read(&self, text: &str, offer: Option<&Description>) -> Result<Description, Option<NegotiationError>> {
        let bad = |problem| {
            Some(match offer {
                None => NegotiationError::BadOffer(problem),
                Some(_) => NegotiationError::BadAnswer(problem),
            })
        };
        let description = Description::read(text).map_err(bad)?;
        let known = &self.negotiation.remote_fingerprints;
        if !known.is_empty() && !description.has_fingerprint_of(known) {
            return Err(None);
        }
        let fits = match offer {
            None => description.continues(&self.negotiation.sections),
            Some(offer) => description.answers(offer),
        };
        if fits { Ok(description) } else { Err(bad(SdpProblem::SectionsChanged)) }
    }

    fn refuse(&mut self, error: NegotiationError) {
        if !matches!(error, NegotiationError::PeerReplaced) {
            bump(&mut self.counters.malformed_descriptions);
        }
        self.error(error);
    }

    fn roll_back(&mut self, accepted: &[Section]) {
        if let Some(offer) = self.negotiation.offer.take() {
            debug!("offer withdrawn");
            bump(&mut self.counters.rollbacks);
            self.expect_echo(offer.sent_at, offer.copies);
            self.negotiation.restart |= offer.is_restart;
            self.tracks.rolled_back(accepted);
            self.negotiation.changed();
        }
    }

    /// A description of the other side's is in force, and with it the exchange it belongs to.
    fn in_force(&mut self, description: &Description, told: impl Fn(&Slot, Direction) -> Option<bool>) {
        let Some(rtc) = self.rtc.as_mut() else { return };
        let ufrag = rtc.direct_api().local_ice_credentials().ufrag;
        let restarted = ufrag != self.negotiation.local_ufrag;
        self.tracks.negotiated(rtc, told);
        let events = self.remote.negotiated(&description.sections, rtc);
        let mut sections = description.sections.clone();
        for section in &mut sections {
            let mid = Mid::from(section.mid.as_str());
            section.rejected |= rtc.media(mid).is_some_and(|media| media.disabled());
        }
        let negotiation = &mut self.negotiation;
        negotiation.sections = sections;
        negotiation.answered = None;
        negotiation.local_ufrag = ufrag;
        if negotiation.remote_fingerprints.is_empty() {
            negotiation.remote_fingerprints.clone_from(&description.fingerprints);
        }
        if description.application().is_some() && !negotiation.has_application {
            negotiation.has_application = true;
            negotiation.owed_application = None;
            self.channels.set_remote_max(description.max_message_size);
        }
        if restarted {
            negotiation.restart = false;
            self.outputs.push_back(Output::Event(Event::IceRestarted));
        }
        self.ladder.agreed(self.now, restarted, self.state == ConnectionState::Connected);
        self.outputs.extend(events.into_iter().map(Output::Event));
        self.negotiation.changed();
    }

    /// The other side is about to have a description of ours.
    fn described(&mut self, description: &Description) {
        let first = description.sections.iter().find(|section| !section.rejected);
        let negotiation = &mut self.negotiation;
        negotiation.first_mid = first.map(|section| match &negotiation.application_mid {
            Some((ours, theirs)) if section.mid == *ours => theirs.clone(),
            _ => section.mid.clone(),
        });
    }

    fn remote_candidates(&mut self, description: &Description) {
        for verdict in self.negotiation.candidates.description(description, &mut self.counters) {
            self.verdict(verdict);
        }
    }

    pub(super) fn resolved(&mut self, host: &str, addresses: &[IpAddr]) {
        for verdict in self.negotiation.candidates.resolved(host, addresses, &mut self.counters) {
            self.verdict(verdict);
        }
    }

    fn verdict(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Try(candidate) => {
                self.ladder.candidate(self.now);
                self.change(|rtc| rtc.add_remote_candidate(candidate));
            }
            Verdict::Resolve(host) => self.event(Event::HostNamed { host }),
            Verdict::Nothing => {}
            Verdict::FirstTooMany => self.event(Event::CandidatesDropped { limit: MAX_CANDIDATES }),
        }
    }

    /// Offers the difference between what is wanted and what is agreed on, if there is any and no offer is out.
    pub(super) fn offer(&mut self) {
        let Negotiation { offer, stalled, echo, .. } = &self.negotiation;
        if offer.is_some() || *stalled || echo.is_some() {
            return;
        }
        self.refuse_excess_tracks();
        let any_new = self.tracks.slots.iter().any(|slot| slot.wanted && slot.place == Place::Nowhere);
        if self.rtc.is_none() {
            if !any_new && !self.channels.any_wanted() {
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
        if directions.is_empty() && !any_new && bootstrap.is_none() && !self.negotiation.restart {
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
        let is_restart = self.negotiation.restart && !self.negotiation.sections.is_empty();
        if is_restart {
            api.ice_restart(true);
        }
        let Some((offer, pending)) = api.apply() else { return };
        self.change(|_| ());
        let text = offer.to_sdp_string();
        let Ok(description) = Description::read(&text) else { return };
        let text = sdp::outbound(&text, &description, |mid| published(&self.tracks, mid));
        self.negotiation.name_application(&description);
        let mut text = self.negotiation.outbound(text);
        if self.negotiation.dtls_server {
            text = text.replace("a=setup:actpass\r\n", "a=setup:passive\r\n");
        }
        self.described(&description);
        self.send_description(DescriptionKind::Offer, text.clone());
        let repeat_at = Some(self.now + RESTART_ANSWER_TIMEOUT);
        self.negotiation.offer =
            Some(LocalOffer { pending, text, description, is_restart, repeat_at, sent_at: self.now, copies: 1 });
        self.tell_end_of_candidates();
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

    /// Sends the offer that is out once more, under the name that its section for data channels has now. The other side
    /// may be able to answer the new one only.
    fn replace_offer(&mut self) {
        let Some(offer) = self.negotiation.offer.take() else { return };
        self.described(&offer.description);
        self.send_description(DescriptionKind::Offer, offer.text.clone());
        self.negotiation.offer = Some(offer);
    }

    fn send_description(&mut self, kind: DescriptionKind, sdp: String) {
        self.outputs.push_back(Output::Signal(Signal::Description { kind, sdp }));
    }

    /// The channel that brings the media section for data channels into an offer, if it is wanted there.
    fn bootstrap(&mut self) -> Option<str0m::channel::ChannelConfig> {
        let wanted = self.channels.any_wanted() || self.negotiation.owed_application.is_some();
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

    /// When there is something to do here.
    pub(super) fn negotiation_timeout(&self) -> Option<Instant> {
        let echo = self.negotiation.echo.as_ref().map(|echo| echo.until);
        [self.repeat_at(), echo].into_iter().flatten().min()
    }

    pub(super) fn negotiation_due(&mut self) {
        if self.negotiation.echo.as_ref().is_some_and(|echo| echo.until <= self.now) {
            self.negotiation.echo = None;
            self.negotiation.changed = true;
        }
        if self.repeat_at().is_some_and(|at| at <= self.now) {
            self.repeat_offer();
        }
    }

    fn repeat_at(&self) -> Option<Instant> {
        self.negotiation.offer.as_ref().and_then(|offer| offer.repeat_at).filter(|_| self.ladder.is_quiet())
    }

    /// Sends the offer again that is out; the other side answers the same one twice alike.
    fn repeat_offer(&mut self) {
        let Some(offer) = &mut self.negotiation.offer else { return };
        if offer.copies >= MAX_COPIES && self.ladder.is_quiet() {
            offer.repeat_at = None;
            return self.error(NegotiationError::Unanswered);
        }
        offer.repeat_at = Some(self.now + RESTART_ANSWER_TIMEOUT * 2_u32.saturating_pow(offer.copies.min(MAX_COPIES)));
        offer.copies = offer.copies.saturating_add(1);
        let text = offer.text.clone();
        self.send_description(DescriptionKind::Offer, text);
    }

    fn expect_echo(&mut self, sent_at: Instant, copies: u32) {
        if copies > 1 {
            let took = self.now.saturating_duration_since(sent_at);
            let until = self.now + took.clamp(RESTART_ANSWER_TIMEOUT, MAX_ECHO);
            self.negotiation.echo = Some(Echo { answers: copies - 1, until });
        }
    }

    /// One more answer to an offer that was sent more than once.
    fn echoed(&mut self) {
        let Some(echo) = &mut self.negotiation.echo else { return };
        echo.answers -= 1;
        if echo.answers == 0 {
            self.negotiation.echo = None;
            self.negotiation.changed = true;
        }
    }

    /// Offers an ICE restart. If an offer is out, it is sent once more instead: the other side may never have got it, and
    /// of two different ones it could not be told which an answer is for.
    pub(super) fn restart(&mut self) {
        match &self.negotiation.offer {
            Some(offer) => {
                self.negotiation.restart |= !offer.is_restart;
                self.repeat_offer();
            }
            None => self.negotiation.restart = true,
        }
        self.negotiation.changed();
    }

    pub(super) fn trickle(&mut self, mut candidate: Candidate) {
        let Some(mid) = self.negotiation.first_mid.clone() else { return };
        let ufrag = self.negotiation.sent_ufrag().to_owned();
        candidate.set_ufrag(&ufrag);
        self.outputs.push_back(Output::Signal(Signal::Candidate(RemoteCandidate {
            candidate: candidate.to_sdp_string(),
            sdp_mid: Some(mid),
            sdp_m_line_index: Some(0),
            username_fragment: Some(ufrag),
        })));
    }

    pub(super) fn finish_candidates(&mut self) {
        self.negotiation.candidates_finished = true;
        self.tell_end_of_candidates();
    }

    fn tell_end_of_candidates(&mut self) {
        let negotiation = &mut self.negotiation;
        if !negotiation.candidates_finished || negotiation.first_mid.is_none() {
            return;
        }
        let ufrag = negotiation.sent_ufrag().to_owned();
        if negotiation.end_told.as_ref() != Some(&ufrag) {
            negotiation.end_told = Some(ufrag);
            self.outputs.push_back(Output::Signal(Signal::EndOfCandidates));
        }
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// What a media section of ours is called.
fn published<'a>(tracks: &'a OutboundTracks, mid: &str) -> Option<(Option<&'a str>, &'a str)> {
    let track = &tracks.by_mid(mid)?.published;
    Some((track.stream.as_ref().map(|stream| stream.as_str()), track.id.as_str()))
}
