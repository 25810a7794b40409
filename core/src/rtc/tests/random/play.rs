//! Plays steps between two connections, then lets them come to rest and looks whether all is as it should be.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::pair::{A, B, Pair, text, track};
use super::Step;
use crate::ids::{DataChannelId, TrackId};
use crate::media::{Codec, EncodedFrame, MediaKind};
use crate::property::seed_from;
use crate::protocol::{DescriptionKind, Signal};
use crate::rtc::{ConnectionState, DataChannelOptions, Event, NegotiationError};

/// How long both sides may take to come to rest.
const REST: Duration = Duration::from_secs(900);

struct Wanted {
    published: String,
    source: Option<String>,
}

struct Game {
    pair: Pair,
    tracks: [Vec<Wanted>; 2],
    /// Who opened it, its id there, and its label.
    channels: Vec<(usize, DataChannelId, String)>,
    opened: usize,
    requests: u64,
    /// Something came that no other side sends.
    forged: bool,
    /// Datagrams were lost.
    lossy: bool,
    signals_lost: bool,
    seen: BTreeSet<String>,
}

/// Gives what has been seen.
pub(super) fn play(steps: &[Step]) -> BTreeSet<String> {
    let mut game = Game {
        pair: Pair::new(),
        tracks: Default::default(),
        channels: Vec::new(),
        opened: 0,
        requests: 0,
        forged: false,
        lossy: false,
        signals_lost: false,
        seen: BTreeSet::new(),
    };
    seed_from(&steps);
    for step in steps {
        game.step(step);
        game.pair.drain();
    }
    if !game.come_to_rest() {
        return game.seen;
    }
    game.tracks_flow();
    game.channels_carry();
    game.what_happened();
    game.seen
}

fn kind(track: usize) -> MediaKind {
    if track.is_multiple_of(3) { MediaKind::Video } else { MediaKind::Audio }
}

fn name(side: usize, track: usize) -> String {
    let kind = match kind(track) {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    };
    format!("{kind}-{side}-{track}")
}

fn id(name: &str) -> TrackId {
    TrackId::new(name).unwrap()
}

impl Game {
    fn see(&mut self, what: &str) {
        self.seen.insert(what.to_owned());
    }

    fn changes(&mut self, side: usize) {
        if self.pair.sides[side].connection.is_offering_for_tests() {
            self.see("changed while an offer is out");
        }
    }

    fn step(&mut self, step: &Step) {
        let now = self.pair.now;
        match *step {
            Step::Attach(side, number) => {
                let name = name(side, number);
                let attached = |wanted: &Wanted| wanted.published == name || wanted.source.as_ref() == Some(&name);
                if self.tracks[side].iter().any(attached) {
                    return;
                }
                self.changes(side);
                self.pair.connection(side).attach_track(now, track(&name, Some("stream"), kind(number)));
                self.tracks[side].push(Wanted { published: name.clone(), source: Some(name) });
                self.forget_silent(side);
            }
            Step::Detach(side, number) => {
                let Some(source) = self.tracks[side].get(number).and_then(|wanted| wanted.source.clone()) else {
                    return;
                };
                self.changes(side);
                self.tracks[side].remove(number);
                self.pair.connection(side).detach_track(now, &id(&source));
            }
            Step::Replace(side, number, new) => {
                let Some(wanted) = self.tracks[side].get(number) else { return };
                let Some(source) = wanted.source.clone() else { return };
                let new = new.map(|number| format!("other-{side}-{number}"));
                if new.is_some() && self.tracks[side].iter().any(|wanted| wanted.source == new) {
                    return;
                }
                let new_id = new.as_deref().map(id);
                self.pair.connection(side).replace_track(now, &id(&source), new_id).unwrap();
                self.tracks[side][number].source = new;
            }
            Step::Open(side) => {
                self.opened += 1;
                let label = format!("channel-{}", self.opened);
                let options = DataChannelOptions { label: label.clone(), ..DataChannelOptions::default() };
                let channel = self.pair.connection(side).open_channel(now, options).unwrap();
                self.channels.push((side, channel, label));
            }
            Step::CloseChannel(closer, number) => {
                if self.channels.is_empty() {
                    return;
                }
                let number = number % self.channels.len();
                let (opener, channel, label) = self.channels[number].clone();
                let here = if closer == opener { Some(channel) } else { self.far_end(closer, &label) };
                if let Some(here) = here {
                    self.channels.remove(number);
                    self.pair.connection(closer).close_channel(now, here);
                }
            }
            Step::Send(sender, number) => {
                if self.channels.is_empty() {
                    return;
                }
                let (opener, channel, label) = self.channels[number % self.channels.len()].clone();
                let here = if sender == opener { Some(channel) } else { self.far_end(sender, &label) };
                if let Some(here) = here {
                    self.requests += 1;
                    self.pair.send(sender, self.requests, here, text("early"));
                }
            }
            Step::Restart(side) => self.restart(side),
            Step::RestartBoth => {
                self.restart(A);
                self.restart(B);
            }
            Step::SignalDelay(ms) => self.pair.signal_delay = Duration::from_millis(ms),
            Step::LinkDelay(ms) => self.pair.link_delay = Duration::from_millis(ms),
            Step::Signals(up) => {
                self.signals_lost |= !up;
                self.pair.signals_up = up;
            }
            Step::LoseAll => {
                self.lossy = true;
                self.signals_lost = true;
                self.pair.lose_all();
            }
            Step::Link(up) => {
                self.lossy |= !up;
                self.pair.link_up = up;
            }
            Step::OldAnswer(side, which) => {
                let answers: Vec<String> =
                    self.pair.sides[1 - side].descriptions(DescriptionKind::Answer).map(str::to_owned).collect();
                let stable = !self.pair.sides[side].connection.is_offering_for_tests();
                if let Some(sdp) = answers.get(which % answers.len().max(1)).filter(|_| stable) {
                    self.forged = true;
                    self.pair.signal(side, Signal::Description { kind: DescriptionKind::Answer, sdp: sdp.clone() });
                }
            }
            Step::Pass(ms) | Step::PassLong(ms) => self.pair.run_for(Duration::from_millis(ms)),
        }
    }

    /// A new track may be the end of what is silent.
    fn forget_silent(&mut self, side: usize) {
        let slots = &self.pair.sides[side].connection.tracks.slots;
        let stays = |published: &str| slots.iter().any(|slot| slot.wanted && slot.published.id.as_str() == published);
        self.tracks[side].retain(|wanted| wanted.source.is_some() || stays(&wanted.published));
    }

    fn restart(&mut self, side: usize) {
        if self.pair.sides[side].connection.state() == ConnectionState::Connected {
            let now = self.pair.now;
            self.pair.connection(side).restart_ice(now).unwrap();
            self.see(["restarted by the polite side", "restarted by the impolite side"][side]);
            if self.pair.sides.iter().all(|side| side.connection.is_offering_for_tests()) {
                self.see("restarts collide");
            }
        }
    }

    /// What the side that has not opened a channel knows it as, while it is open there.
    fn far_end(&self, side: usize, label: &str) -> Option<DataChannelId> {
        let opened = self.pair.sides[side].opened().into_iter().find(|info| info.label == label)?.channel;
        self.pair.sides[side].connection.channel(opened).map(|info| info.channel)
    }

    /// `false` if only a new connection can help: the link was down in the middle of a DTLS handshake until that was given
    /// up, or a lost answer has left the two sides with different media sections.
    fn come_to_rest(&mut self) -> bool {
        self.pair.link_up = true;
        self.pair.signals_up = true;
        self.pair.signal_delay = self.pair.signal_delay.min(Duration::from_millis(400));
        let end = self.pair.now + REST;
        let mut quiet_for = 0;
        while quiet_for < 40 {
            assert!(
                self.pair.now < end,
                "no rest: {:?}",
                self.pair.sides.each_ref().map(|side| side.connection.state())
            );
            let before: Vec<usize> = self.pair.sides.iter().map(|side| side.sent.len()).collect();
            self.pair.run_for(Duration::from_secs(1));
            let silent = self.pair.sides.iter().zip(before).all(|(side, before)| side.sent.len() == before);
            quiet_for = if silent && self.is_at_rest() { quiet_for + 1 } else { 0 };
            if self.lossy && self.pair.sides.iter().any(|side| side.connection.state() == ConnectionState::Closed) {
                self.see("the transport failed");
                return false;
            }
            if self.signals_lost
                && self.pair.sides.iter().any(|side| side.errors().iter().any(|error| error.is_beyond_repair()))
            {
                self.see("beyond repair");
                return false;
            }
        }
        true
    }

    fn is_at_rest(&self) -> bool {
        let wanted = !self.channels.is_empty() || self.tracks.iter().any(|tracks| !tracks.is_empty());
        self.pair.all_delivered()
            && self.pair.sides.iter().all(|side| {
                !side.connection.is_offering_for_tests()
                    && (side.connection.state() == ConnectionState::Connected || !wanted)
            })
    }

    fn tracks_flow(&mut self) {
        for side in [A, B] {
            let mut wanted: Vec<String> = self.tracks[side].iter().map(|wanted| wanted.published.clone()).collect();
            wanted.sort();
            let there = &self.pair.sides[1 - side].connection;
            let mut got: Vec<String> = there.remote_tracks().map(|track| track.id.to_string()).collect();
            got.sort();
            assert_eq!(got, wanted, "tracks of {side}");
        }
        for side in [A, B] {
            for number in 0..self.tracks[side].len() {
                let Wanted { published, source: Some(source) } = &self.tracks[side][number] else { continue };
                let (published, source) = (published.clone(), source.clone());
                let (codec, data): (_, &[u8]) = if published.starts_with("video") {
                    (Codec::Vp8, &[0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00])
                } else {
                    (Codec::Opus, &[7; 30])
                };
                let far = 1 - side;
                let before = self.pair.sides[far].frames().len();
                // The first may be lost: nothing says that the first packet of a new source arrives.
                for ms in 0..3 {
                    let frame = EncodedFrame { codec, timestamp: Duration::from_millis(ms * 20), data: data.into() };
                    let now = self.pair.now;
                    let written = self.pair.connection(side).write_frame(now, &id(&source), &frame);
                    assert_eq!(written, Ok(()), "{published} of {side}");
                    self.pair.run_for(Duration::from_millis(200));
                }
                let frames = self.pair.sides[far].frames();
                let came = frames[before..].iter().any(|(track, _)| track.as_str() == published);
                assert!(came, "{published} of {side} does not flow");
                if self.pair.sides[side].connection.alias(&id(&source)).is_some_and(|alias| alias.as_str() != published)
                {
                    self.see("a section used by another track");
                }
                self.see(if published == source { "a track flows" } else { "a replaced track flows" });
            }
        }
    }

    fn channels_carry(&mut self) {
        for (opener, channel, label) in self.channels.clone() {
            assert!(self.pair.sides[opener].opened().iter().any(|info| info.label == label), "{label} is not open");
            let far = 1 - opener;
            let far_end = self.far_end(far, &label);
            assert!(far_end.is_some(), "{label} of {opener} is not open on the other side");
            let message = text(&format!("through {label}"));
            self.pair.send(opener, 0, channel, message.clone());
            self.pair.run_for(Duration::from_secs(5));
            let came = |event: &Event| matches!(event, Event::DataChannelMessage { channel, message: got } if Some(*channel) == far_end && *got == message);
            assert!(self.pair.sides[far].events.iter().any(came), "{label} of {opener} carries nothing");
            self.see("a channel carries a message");
        }
    }

    fn what_happened(&mut self) {
        let counters = self.pair.sides.each_ref().map(|side| side.connection.counters());
        if self.signals_lost {
            self.see("signals were lost");
            if self.pair.both(ConnectionState::Connected) {
                self.see("all made up for");
            }
        }
        for (happened, what) in [
            (counters[A].rollbacks > 0, "withdrawn by the polite side"),
            (counters[B].ignored_offers > 0, "ignored by the impolite side"),
            (counters.iter().any(|counters| counters.stale_answers > 0), "a stale answer"),
        ] {
            if happened {
                self.see(what);
            }
        }
        assert_eq!(counters[B].rollbacks, 0, "the impolite side gave way");
        assert_eq!(counters[A].ignored_offers, 0, "the polite side did not give way");
        for side in [A, B] {
            let events = &self.pair.sides[side].events;
            let connected = |event: &Event| matches!(event, Event::StateChange { to: ConnectionState::Connected, .. });
            if events.iter().any(connected) && counters[A].rollbacks > 1 {
                self.see("a collision while connected");
            }
            let changes = self.pair.sides[side].track_changes();
            let again = changes.iter().enumerate().any(|(n, change)| {
                change.starts_with('-')
                    && changes[n..].iter().any(|later| later[1..] == change[1..] && later.starts_with('+'))
            });
            if again {
                self.see("a section used again");
            }
        }
        let mut errors: Vec<_> = self.pair.sides.iter().flat_map(|side| side.errors()).collect();
        errors.retain(|error| !self.forged || !matches!(error, NegotiationError::BadAnswer(_)));
        assert_eq!(errors, [], "errors");
    }
}
