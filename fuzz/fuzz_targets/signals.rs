//! Signals of a hostile peer to a connection, with commands of the user's in between: none makes it panic, put out more
//! than a few things, or want to be woken without end.

#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use metered_realtime_core::TrackId;
use metered_realtime_core::media::MediaKind;
use metered_realtime_core::protocol::{DescriptionKind, RemoteCandidate, Signal};
use metered_realtime_core::rtc::{Config, Connection, DataChannelOptions, OutboundTrack, Output};

/// What one input may lead to at most: an answer, an offer, candidates, and an event for each of the sections.
const OUTPUTS: usize = 1500;

// Each step begins with a letter that tells what it is, and ends with a record separator.
fuzz_target!(|text: &str| {
    let mut now = Instant::now();
    let config = Config {
        polite: text.len().is_multiple_of(2),
        channel_serial: 1,
        ..Config::default()
    };
    let mut connection = Connection::new(now, config);
    connection.add_local_address(now, ([10, 0, 0, 1], 5000).into());
    connection.finish_local_addresses(now);
    let mut last_offer = String::new();
    for (n, step) in text.split('\x1e').take(40).enumerate() {
        let mut chars = step.chars();
        let kind = chars.next();
        let rest = chars.as_str();
        let signal = match kind {
            Some('o') => Some(Signal::Description { kind: DescriptionKind::Offer, sdp: rest.to_owned() }),
            Some('a') => {
                // The names of our own sections are different every time.
                let mut mids = last_offer.lines().filter_map(|line| line.strip_prefix("a=mid:"));
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
            connection.handle_signal(now, signal);
        }
        let id = TrackId::new(format!("track-{}", n % 3)).expect("a good name");
        match kind {
            Some('t') => {
                connection.attach_track(now, OutboundTrack { id, stream: None, kind: MediaKind::Audio });
            }
            Some('r') => connection.detach_track(now, &id),
            Some('d') => drop(connection.open_channel(now, DataChannelOptions::default())),
            _ => {}
        }
        for wait in [0, 1, 700] {
            now += Duration::from_millis(wait);
            connection.handle_timeout(now);
            let mut outputs = 0;
            while let Some(output) = connection.poll_output() {
                outputs += 1;
                if let Output::Signal(Signal::Description { kind: DescriptionKind::Offer, sdp }) = output {
                    last_offer = sdp;
                }
            }
            assert!(outputs < OUTPUTS);
        }
        let mut wakes = 0;
        while connection.poll_timeout().is_some_and(|at| at <= now) {
            connection.handle_timeout(now);
            while connection.poll_output().is_some() {}
            wakes += 1;
            assert!(wakes < 100, "it wants to be woken at one moment again and again");
        }
    }
});
