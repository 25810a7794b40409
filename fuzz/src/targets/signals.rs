//! Signals of a hostile peer to a connection, session descriptions above all, with commands of the user's in between: none
//! makes it panic, put out more than a few things, or want to be woken without end.

use std::time::{Duration, Instant};

use metered_realtime_core::TrackId;
use metered_realtime_core::media::MediaKind;
use metered_realtime_core::protocol::{DescriptionKind, RemoteCandidate, Signal};
use metered_realtime_core::rtc::{DataChannelOptions, OutboundTrack, Output};

use crate::machines::Link;

/// What one input may lead to at most: an answer, an offer, candidates, and an event for each of the sections.
const OUTPUTS: usize = 1500;

/// Steps of one input.
const STEPS: usize = 40;

/// Each step begins with a letter that tells what it is, and ends with a record separator (U+001E).
pub fn signals(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut game = Game { now: Instant::now(), last_offer: String::new() };
    let mut connection = Link::new(game.now, text.len().is_multiple_of(2));
    connection.add_local_address(game.now, ([10, 0, 0, 1], 5000).into());
    connection.finish_local_addresses(game.now);
    for (n, step) in text.split('\x1e').take(STEPS).enumerate() {
        game.step(&mut connection, n, step);
        game.wait(&mut connection);
    }
}

struct Game {
    now: Instant,
    last_offer: String,
}

impl Game {
    fn step(&self, connection: &mut Link, n: usize, step: &str) {
        let mut chars = step.chars();
        let kind = chars.next();
        let rest = chars.as_str();
        let signal = match kind {
            Some('o') => Some(Signal::Description { kind: DescriptionKind::Offer, sdp: rest.to_owned() }),
            Some('a') => {
                // The names of our own sections are different every time.
                let mut mids = self.last_offer.lines().filter_map(|line| line.strip_prefix("a=mid:"));
                let sdp = rest.replace(":M\r", &format!(":{}\r", mids.next().unwrap_or("M")));
                let sdp = sdp.replace(":N\r", &format!(":{}\r", mids.next().unwrap_or("N")));
                Some(Signal::Description { kind: DescriptionKind::Answer, sdp })
            }
            Some('c') => Some(Signal::Candidate(RemoteCandidate {
                candidate: rest.to_owned(),
                sdp_mid: None,
                sdp_m_line_index: Some(0),
                username_fragment: None,
            })),
            Some('e') => Some(Signal::EndOfCandidates),
            _ => None,
        };
        if let Some(signal) = signal {
            connection.signal(self.now, signal);
        }
        let id = TrackId::new(format!("track-{}", n % 3)).expect("a good name");
        let media = if n.is_multiple_of(2) { MediaKind::Audio } else { MediaKind::Video };
        match kind {
            Some('t') => connection.attach_track(self.now, OutboundTrack { id, stream: None, kind: media }),
            Some('r') => connection.detach_track(self.now, &id),
            Some('d') => drop(connection.open_channel(self.now, DataChannelOptions::default())),
            Some('i') => drop(connection.restart_ice(self.now)),
            Some('n') => connection.network_changed(self.now),
            Some('x') => connection.close(self.now),
            _ => {}
        }
    }

    fn wait(&mut self, connection: &mut Link) {
        for wait in [0, 1, 700] {
            self.now += Duration::from_millis(wait);
            let outputs = connection.handle_timeout(self.now);
            assert!(outputs.len() < OUTPUTS, "{} outputs of one input", outputs.len());
            for output in outputs {
                if let Output::Signal(Signal::Description { kind: DescriptionKind::Offer, sdp }) = output {
                    self.last_offer = sdp;
                }
            }
        }
        let mut wakes = 0;
        while connection.poll_timeout().is_some_and(|at| at <= self.now) {
            connection.handle_timeout(self.now);
            wakes += 1;
            assert!(wakes < 100, "it wants to be woken at one moment again and again");
        }
    }
}
