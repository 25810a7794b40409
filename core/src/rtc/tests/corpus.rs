//! Descriptions in all forms that RFC 9429 and RFC 9143 allow or browsers take, and what comes of each. The interop run holds
//! Chromium to the verdicts that the same files record of it.

use std::fs;
use std::path::Path;

use super::pair::{any_instant, track};
use crate::media::MediaKind;
use crate::protocol::{DescriptionKind, Signal};
use crate::rtc::{Config, Connection, DataChannelOptions, Event, Input, NegotiationError, Output};

struct Entry {
    name: String,
    /// `accepted` or `rejected` for each section, or `refused` and why.
    here: String,
    chromium: String,
    why: Option<String>,
    sdp: String,
}

#[expect(clippy::disallowed_methods, reason = "the interop run reads the same files")]
fn corpus() -> Vec<Entry> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/descriptions");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sdp"));
    paths.sort();
    let entry = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let (head, sdp) = text.split_once("\n\n").unwrap();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        Entry {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            here: field("here: ").unwrap(),
            chromium: field("chromium: ").unwrap(),
            why: field("why: "),
            sdp: sdp.to_owned(),
        }
    };
    paths.iter().map(entry).collect()
}

fn connection() -> Connection {
    let config = Config { polite: true, channel_serial: 1, ..Config::default() };
    Connection::new(any_instant(), config)
}

fn take(connection: &mut Connection) -> (Vec<String>, Vec<Event>) {
    let (mut descriptions, mut events) = (Vec::new(), Vec::new());
    while let Some(output) = connection.poll_output() {
        match output {
            Output::Signal(Signal::Description { sdp, .. }) => descriptions.push(sdp),
            Output::Event(event) => events.push(event),
            _ => {}
        }
    }
    (descriptions, events)
}

fn refusal(events: &[Event]) -> Option<String> {
    events.iter().find_map(|event| match event {
        Event::NegotiationError(NegotiationError::BadOffer(problem) | NegotiationError::BadAnswer(problem)) => {
            Some(format!("refused {problem:?}"))
        }
        _ => None,
    })
}

fn words(rejected: impl Iterator<Item = bool>) -> String {
    let words: Vec<_> = rejected.map(|rejected| if rejected { "rejected" } else { "accepted" }).collect();
    words.join(" ")
}

/// The sections of a description: media line without port and formats, whether it is rejected, and identifier.
fn sections(sdp: &str) -> Vec<(String, bool, Option<String>)> {
    let mut sections: Vec<(String, bool, Option<String>)> = Vec::new();
    for line in sdp.lines().map(str::trim_end) {
        if let Some(rest) = line.strip_prefix("m=") {
            let words: Vec<_> = rest.split(' ').collect();
            sections.push((format!("{} {}", words[0], words[2]), words[1] == "0", None));
        } else if let (Some(mid), Some(section)) = (line.strip_prefix("a=mid:"), sections.last_mut()) {
            section.2 = Some(mid.to_owned());
        }
    }
    sections
}

/// What comes of an offer. Its answer has the same sections, in place.
fn answered(entry: &Entry) -> String {
    let mut connection = connection();
    let signal = Signal::Description { kind: DescriptionKind::Offer, sdp: entry.sdp.clone() };
    connection.handle_input(any_instant(), Input::Signal(signal));
    let (descriptions, events) = take(&mut connection);
    let [answer] = &descriptions[..] else { return refusal(&events).unwrap_or_else(|| format!("silent {events:?}")) };
    let (offered, answered) = (sections(&entry.sdp), sections(answer));
    let place = |sections: &[(String, bool, Option<String>)]| -> Vec<_> {
        sections.iter().map(|(line, _, mid)| (line.clone(), mid.clone())).collect()
    };
    assert_eq!(place(&answered), place(&offered), "{}: {answer}", entry.name);
    let refused = events.iter().filter(|event| matches!(event, Event::TrackRefused(_))).count();
    assert_eq!(connection.counters().refused_tracks, refused as u64, "{}", entry.name);
    words(answered.iter().map(|(_, rejected, _)| *rejected))
}

/// What comes of an answer to an offer with audio, video and data channels.
fn applied(entry: &Entry) -> String {
    let mut connection = connection();
    connection.attach_track(any_instant(), track("mic", None, MediaKind::Audio));
    connection.attach_track(any_instant(), track("cam", None, MediaKind::Video));
    connection.open_channel(any_instant(), DataChannelOptions::default()).unwrap();
    let (descriptions, _) = take(&mut connection);
    let mids = sections(&descriptions[0]).into_iter().map(|(.., mid)| mid.unwrap()).enumerate();
    let sdp = mids.fold(entry.sdp.clone(), |sdp, (at, mid)| sdp.replace(&format!("{{{at}}}"), &mid));
    connection.handle_input(any_instant(), Input::Signal(Signal::Description { kind: DescriptionKind::Answer, sdp }));
    let (descriptions, events) = take(&mut connection);
    assert!(descriptions.is_empty(), "{}: {descriptions:?}", entry.name);
    let refused = |id: &str| {
        let is = |event: &Event| matches!(event, Event::TrackRefused(refused) if refused.track.as_ref().is_some_and(|track| track.as_str() == id));
        events.iter().any(is)
    };
    let no_channels = events.contains(&Event::NegotiationError(NegotiationError::DataChannelsRefused));
    refusal(&events).unwrap_or_else(|| words([refused("mic"), refused("cam"), no_channels].into_iter()))
}

#[test]
fn every_description_has_the_outcome_that_is_recorded_of_it() {
    let corpus = corpus();
    assert!(corpus.len() > 150);
    let mut wrong = Vec::new();
    for entry in &corpus {
        let outcome = if entry.name.starts_with("answer-") { applied(entry) } else { answered(entry) };
        if outcome != entry.here {
            wrong.push(format!("{}: {outcome}", entry.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a browser takes is taken, but for what is listed with its reason.
#[test]
fn every_difference_to_chromium_has_a_reason() {
    for Entry { name, here, chromium, why, .. } in corpus() {
        let accepts = |verdict: &str| -> Vec<bool> { verdict.split(' ').map(|word| word == "accepted").collect() };
        let (ours, theirs) = (accepts(&here), accepts(&chromium));
        let less =
            theirs.iter().zip(ours.iter().chain(std::iter::repeat(&false))).any(|(theirs, ours)| *theirs && !ours);
        assert_eq!(
            why.is_some(),
            here != chromium && (less || !chromium.starts_with("refused")),
            "{name}: {here} {chromium}"
        );
    }
}

/// Sections that are rejected keep their place, name and kind in the offers that follow.
#[test]
fn offers_of_ours_repeat_what_was_rejected() {
    for entry in corpus() {
        if entry.name.starts_with("answer-") || !entry.here.contains("accepted") {
            continue;
        }
        let mut connection = connection();
        let now = any_instant();
        let signal = Signal::Description { kind: DescriptionKind::Offer, sdp: entry.sdp.clone() };
        connection.handle_input(now, Input::Signal(signal));
        take(&mut connection);
        connection.attach_track(now, track("ours", None, MediaKind::Audio));
        let (descriptions, events) = take(&mut connection);
        let [offer] = &descriptions[..] else { panic!("{}: {events:?}", entry.name) };
        let (before, after) = (sections(&entry.sdp), sections(offer));
        assert_eq!(after.len(), before.len() + 1, "{}", entry.name);
        let rejected: Vec<_> = entry.here.split(' ').map(|word| word == "rejected").collect();
        for ((old, new), rejected) in before.iter().zip(&after).zip(rejected) {
            assert_eq!((&new.0, new.1), (&old.0, rejected), "{}: {offer}", entry.name);
            assert!(old.2.is_none() || old.2 == new.2, "{}: {offer}", entry.name);
        }
    }
}
