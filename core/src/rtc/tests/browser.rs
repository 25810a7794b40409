//! Descriptions as Chrome writes them, and what we make of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::pair::{any_instant, track};
use crate::media::MediaKind;
use crate::protocol::{DescriptionKind, Signal};
use crate::rtc::{Config, Connection, ConnectionState, DataChannelOptions, Event, Input, Output, RefusalReason};
use crate::{StreamId, TrackId};

const SESSION: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

const TRANSPORT: &str = "c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:Zq3N\r\n\
    a=ice-pwd:hZf1uTnXvFQ8ePO4p0Mo3P7c\r\na=ice-options:trickle\r\na=fingerprint:sha-256 \
    7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n";

const AUDIO: &str = "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";

const AUDIO_CODECS: &str = "a=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n\
    a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\n\
    a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\n";

const VIDEO_CODECS: &str = "a=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 goog-remb\r\n\
    a=rtcp-fb:96 transport-cc\r\na=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
    a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:102 H264/90000\r\na=rtcp-fb:102 nack pli\r\n\
    a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";

fn group(mids: &str) -> String {
    format!("{SESSION}a=group:BUNDLE {mids}\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS 5pY7\r\n")
}

fn audio(mid: &str, setup: &str, direction: &str, extra: &str) -> String {
    format!(
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110\r\n{TRANSPORT}a=setup:{setup}\r\na=mid:{mid}\r\n{AUDIO}\
         a={direction}\r\n{extra}{AUDIO_CODECS}"
    )
}

fn video(mid: &str, setup: &str, direction: &str, extra: &str) -> String {
    format!(
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102\r\n{TRANSPORT}a=setup:{setup}\r\na=mid:{mid}\r\n\
         a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na={direction}\r\n{extra}{VIDEO_CODECS}"
    )
}

const MIC: &str = "a=msid:5pY7 mic-1\r\n";
const MIC_SSRC: &str = "a=ssrc:1001 cname:x9\r\na=ssrc:1001 msid:5pY7 mic-1\r\n";
const CAM: &str = "a=msid:5pY7 cam-1\r\n";

struct Alone {
    connection: Connection,
    now: Instant,
}

impl Alone {
    fn new(polite: bool) -> Self {
        let now = any_instant();
        let mut connection = Connection::new(now, Config { polite, channel_serial: 3, ..Config::default() });
        connection.add_local_address(now, SocketAddr::from(([192, 168, 1, 2], 4000)));
        Self { connection, now }
    }

    fn take(&mut self) -> (Vec<(DescriptionKind, String)>, Vec<Event>) {
        let mut descriptions = Vec::new();
        let mut events = Vec::new();
        while let Some(output) = self.connection.poll_output() {
            match output {
                Output::Signal(Signal::Description { kind, sdp }) => descriptions.push((kind, sdp)),
                Output::Event(event) => events.push(event),
                _ => {}
            }
        }
        (descriptions, events)
    }

    fn receive(&mut self, kind: DescriptionKind, sdp: String) -> (Vec<(DescriptionKind, String)>, Vec<Event>) {
        self.connection.handle_input(self.now, Input::Signal(Signal::Description { kind, sdp }));
        self.take()
    }
}

fn sections(sdp: &str) -> Vec<&str> {
    let mut starts: Vec<_> =
        sdp.match_indices("m=").map(|(at, _)| at).filter(|at| sdp[..*at].ends_with('\n')).collect();
    starts.push(sdp.len());
    starts.windows(2).map(|two| &sdp[two[0]..two[1]]).collect()
}

#[test]
fn a_sendrecv_offer_is_answered_recvonly_and_names_no_track() {
    let mut alone = Alone::new(true);
    let application = format!(
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{TRANSPORT}a=setup:actpass\r\na=mid:2\r\n\
         a=sctp-port:5000\r\na=max-message-size:262144\r\n"
    );
    let offer = [
        group("0 1 2"),
        audio("0", "actpass", "sendrecv", &[MIC, MIC_SSRC].concat()),
        video("1", "actpass", "sendrecv", CAM),
        application,
    ]
    .concat();
    let (descriptions, events) = alone.receive(DescriptionKind::Offer, offer);
    let [(DescriptionKind::Answer, answer)] = &descriptions[..] else { panic!("{events:?}") };
    let parts = sections(answer);
    assert_eq!(parts.len(), 3);
    for part in &parts[..2] {
        assert!(part.contains("a=recvonly\r\n"), "{part}");
        assert!(!part.contains("a=msid:") && !part.contains("a=ssrc:"), "{part}");
    }
    assert!(parts[0].contains("a=rtpmap:111 opus/48000/2"));
    assert!(parts[1].contains("VP8/90000") && parts[1].contains("H264/90000"));
    assert!(parts[0].contains("a=candidate:") && !parts[1].contains("a=candidate:"));
    assert!(!answer.contains("5pY7"), "nothing of the other side's names is repeated");
    let stream = Some(StreamId::new("5pY7").unwrap());
    assert_eq!(
        events[1..],
        [
            Event::TrackAdded { track: TrackId::new("mic-1").unwrap(), stream: stream.clone(), kind: MediaKind::Audio },
            Event::TrackAdded { track: TrackId::new("cam-1").unwrap(), stream, kind: MediaKind::Video },
        ]
    );
    assert_eq!(alone.connection.state(), ConnectionState::Connecting);
}

/// Our track is offered in a section of its own, though the browser's section would take it.
#[test]
fn an_own_track_gets_an_own_section() {
    let mut alone = Alone::new(false);
    let first = [group("0"), audio("0", "actpass", "sendrecv", MIC)].concat();
    alone.receive(DescriptionKind::Offer, first.clone());
    alone.connection.attach_track(alone.now, track("ours", None, MediaKind::Audio));
    let (descriptions, _) = alone.take();
    let [(DescriptionKind::Offer, offer)] = &descriptions[..] else { panic!() };
    let parts = sections(offer);
    assert!(parts[0].contains("a=recvonly") && !parts[0].contains("a=msid:"));
    assert!(parts[1].contains("a=sendonly") && parts[1].contains("a=msid:- ours\r\n"));
    // The browser offers at the same time: we are impolite, so it is ignored.
    let again = first.replacen(" 2 IN", " 3 IN", 1);
    let (descriptions, events) = alone.receive(DescriptionKind::Offer, again);
    assert!(descriptions.is_empty() && events.is_empty());
    assert_eq!(alone.connection.counters().ignored_offers, 1);
}

/// `addTrack` in a browser takes the section that our own offer made, and the next offer sends on it both ways.
#[test]
fn a_browser_may_send_in_our_section() {
    let mut alone = Alone::new(true);
    alone.connection.attach_track(alone.now, track("ours", Some("s"), MediaKind::Audio));
    let (descriptions, _) = alone.take();
    let offer = &descriptions[0].1;
    let mid = offer.lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap().to_owned();
    let answer = [group(&mid), audio(&mid, "active", "recvonly", "")].concat();
    let (_, events) = alone.receive(DescriptionKind::Answer, answer);
    assert_eq!(events, []);
    let reuse = [group(&mid), audio(&mid, "actpass", "sendrecv", MIC)].concat();
    let (descriptions, events) = alone.receive(DescriptionKind::Offer, reuse.clone());
    let [(DescriptionKind::Answer, answer)] = &descriptions[..] else { panic!("{events:?}") };
    assert!(answer.contains("a=sendrecv\r\n") && answer.contains("a=msid:s ours\r\n"));
    let mic = || TrackId::new("mic-1").unwrap();
    assert!(matches!(&events[..], [Event::TrackAdded { track, .. }] if *track == mic()));

    // We stop sending: the section stays for the browser's track.
    alone.connection.detach_track(alone.now, &TrackId::new("ours").unwrap());
    let (descriptions, events) = alone.take();
    assert!(descriptions[0].1.contains("a=recvonly\r\n") && !descriptions[0].1.contains("a=msid:"));
    assert_eq!(events, []);
    let answer = [group(&mid), audio(&mid, "active", "sendonly", MIC)].concat();
    assert!(alone.receive(DescriptionKind::Answer, answer).1.is_empty());
    // Had the browser offered both ways now, it would be answered one way.
    let (descriptions, events) = alone.receive(DescriptionKind::Offer, reuse);
    assert!(descriptions[0].1.contains("a=recvonly\r\n"));
    assert_eq!(events, []);
    let stopped = [group(&mid), audio(&mid, "actpass", "inactive", "")].concat();
    let (_, events) = alone.receive(DescriptionKind::Offer, stopped);
    assert!(matches!(&events[..], [Event::TrackRemoved { track, .. }] if *track == mic()));
}

#[test]
fn a_section_the_browser_rejects_is_not_offered_again() {
    let mut alone = Alone::new(true);
    alone.connection.attach_track(alone.now, track("ours", None, MediaKind::Audio));
    alone.connection.open_channel(alone.now, DataChannelOptions::default()).unwrap();
    let (descriptions, _) = alone.take();
    let mids: Vec<_> = descriptions[0].1.lines().filter_map(|line| line.strip_prefix("a=mid:")).collect();
    let rejected = audio(mids[0], "active", "inactive", "").replace("m=audio 9", "m=audio 0");
    let application = format!(
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{TRANSPORT}a=setup:active\r\na=mid:{}\r\na=sctp-port:5000\r\n",
        mids[1]
    );
    let answer = [group(mids[1]), rejected, application].concat();
    let (descriptions, events) = alone.receive(DescriptionKind::Answer, answer);
    assert!(descriptions.is_empty(), "and no offer in a circle");
    let [Event::TrackRefused(refused)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&refused.track, refused.kind, refused.local), (&TrackId::new("ours").ok(), MediaKind::Audio, true));
    assert_eq!((refused.reason, &*refused.codecs), (RefusalReason::Rejected, &["opus".to_owned()][..]));
    assert_eq!(alone.connection.counters().refused_tracks, 1);
}

#[test]
fn a_browser_that_does_not_want_a_track_now_is_not_asked_in_a_circle() {
    let mut alone = Alone::new(true);
    alone.connection.attach_track(alone.now, track("ours", None, MediaKind::Audio));
    let (descriptions, _) = alone.take();
    let mid = descriptions[0].1.lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap().to_owned();
    let answer = [group(&mid), audio(&mid, "active", "inactive", "")].concat();
    let (descriptions, _) = alone.receive(DescriptionKind::Answer, answer);
    assert!(descriptions.is_empty());
}

/// As aiortc answers, whose `o=` lines are of the same second, and who names a track that it does not send: that section
/// is offered once more, for the track to come.
#[test]
fn an_answer_to_the_next_offer_may_have_the_same_text_as_the_last() {
    let mut alone = Alone::new(true);
    alone.connection.attach_track(alone.now, track("ours", None, MediaKind::Audio));
    let (descriptions, _) = alone.take();
    let mid = descriptions[0].1.lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap().to_owned();
    let answer = [group(&mid), audio(&mid, "active", "recvonly", MIC)].concat();
    let (descriptions, _) = alone.receive(DescriptionKind::Answer, answer.clone());
    assert!(matches!(&descriptions[..], [(DescriptionKind::Offer, offer)] if offer.contains("a=sendrecv\r\n")));
    let (descriptions, events) = alone.receive(DescriptionKind::Answer, answer);
    assert_eq!((descriptions, events), (vec![], vec![]));
    assert_eq!(alone.connection.counters().stale_answers, 0);
    assert!(!alone.connection.is_offering_for_tests());
}

#[test]
fn tracks_without_usable_names_get_names_from_their_sections() {
    let mut alone = Alone::new(true);
    let offer = [
        group("0 1 2 3"),
        audio("0", "actpass", "sendonly", ""),
        audio("1", "actpass", "sendonly", "a=msid:- same\r\n"),
        audio("2", "actpass", "sendonly", "a=msid:- same\r\n"),
        video("3", "actpass", "sendonly", &format!("a=ssrc:77 cname:c\r\na=ssrc:77 msid:st {}\r\n", "x".repeat(65))),
    ]
    .concat();
    alone.receive(DescriptionKind::Offer, offer);
    let ids: Vec<_> = alone.connection.remote_tracks().map(|track| track.id.to_string()).collect();
    assert_eq!(ids, ["mid-0", "same", "mid-2", "mid-3"]);
    let streams: Vec<_> = alone.connection.remote_tracks().map(|track| track.stream.clone()).collect();
    assert_eq!(streams, [None, None, None, Some(StreamId::new("st").unwrap())]);
}

/// Firefox numbers codecs in new sections as it always does, whatever is agreed on in others.
#[test]
fn new_sections_may_number_codecs_otherwise() {
    let mut alone = Alone::new(false);
    alone.connection.attach_track(alone.now, track("ours", None, MediaKind::Audio));
    let (descriptions, _) = alone.take();
    let mid = descriptions[0].1.lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap().to_owned();
    let answer = [group(&mid), audio(&mid, "active", "recvonly", "")].concat();
    alone.receive(DescriptionKind::Answer, answer);
    let other = audio("1", "actpass", "sendrecv", MIC).replace(":111 ", ":109 ").replace(" 111 ", " 109 ");
    let offer = [group(&format!("{mid} 1")), audio(&mid, "actpass", "recvonly", ""), other].concat();
    let (descriptions, events) = alone.receive(DescriptionKind::Offer, offer);
    assert!(events.iter().all(|event| !matches!(event, Event::TrackRefused(_))), "{events:?}");
    let [(DescriptionKind::Answer, answer)] = &descriptions[..] else { panic!("{descriptions:?}") };
    let sections = sections(answer);
    assert!(sections[0].starts_with("m=audio 9 UDP/TLS/RTP/SAVPF 111") && sections[0].contains("a=sendonly"));
    assert!(sections[1].starts_with("m=audio 9 UDP/TLS/RTP/SAVPF 111") && sections[1].contains("a=recvonly"));
    assert_eq!(alone.connection.remote_tracks().count(), 1);
}

/// A payload type that means something else now would make `str0m` panic where it sends.
#[test]
fn an_offer_that_takes_back_agreed_numbers_changes_none() {
    let mut alone = Alone::new(false);
    alone.connection.attach_track(alone.now, track("mic", None, MediaKind::Audio));
    alone.connection.attach_track(alone.now, track("cam", None, MediaKind::Video));
    let (descriptions, _) = alone.take();
    let mids: Vec<_> = descriptions[0].1.lines().filter_map(|line| line.strip_prefix("a=mid:")).collect();
    let group = group(&mids.join(" "));
    let sections = |setup| [audio(mids[0], setup, "recvonly", ""), video(mids[1], setup, "recvonly", "")];
    alone.receive(DescriptionKind::Answer, [vec![group.clone()], sections("active").to_vec()].concat().concat());
    let [audio, video] = sections("actpass");
    for other in ["111", "108", "97"] {
        let changed = video.replace(":96 ", &format!(":{other} ")).replace(" 96 97 ", &format!(" {other} "));
        let (descriptions, events) = alone.receive(DescriptionKind::Offer, [&*group, &audio, &changed].concat());
        assert_eq!(events, []);
        let [(DescriptionKind::Answer, answer)] = &descriptions[..] else { panic!("{descriptions:?}") };
        assert!(answer.contains("a=rtpmap:96 VP8/90000") && !answer.contains("m=video 0"), "{answer}");
    }
}

fn application(mid: &str, setup: &str) -> String {
    format!(
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{TRANSPORT}a=setup:{setup}\r\na=mid:{mid}\r\n\
         a=sctp-port:5000\r\n"
    )
}

/// Chromium can't answer an offer that names the section for data channels otherwise than its own withdrawn one did.
#[test]
fn an_offer_is_renamed_after_the_one_it_collides_with() {
    for answered in ["4", "0"] {
        let mut alone = Alone::new(false);
        let first = [group("0"), audio("0", "actpass", "sendonly", MIC)].concat().replace("mid:0", "mid:a");
        alone.receive(DescriptionKind::Offer, first.replace("BUNDLE 0", "BUNDLE a"));
        // When the browser was given time to offer its own.
        alone.now += Duration::from_secs(1);
        alone.connection.handle_timeout(alone.now);
        alone.connection.open_channel(alone.now, DataChannelOptions::default()).unwrap();
        let (descriptions, _) = alone.take();
        let [(DescriptionKind::Offer, guessed)] = &descriptions[..] else { panic!("{descriptions:?}") };
        assert!(guessed.contains("a=group:BUNDLE a 0\r\n") && guessed.contains("a=mid:0\r\n"), "{guessed}");

        let own = [group("a 3 4"), audio("a", "actpass", "sendonly", MIC), video("3", "actpass", "sendonly", CAM)];
        let own = [own.concat(), application("4", "actpass")].concat();
        let (descriptions, events) = alone.receive(DescriptionKind::Offer, own.clone());
        let [(DescriptionKind::Offer, renamed)] = &descriptions[..] else { panic!("{events:?}") };
        assert_eq!(*renamed, guessed.replace("BUNDLE a 0", "BUNDLE a 4").replace("a=mid:0", "a=mid:4"));
        assert!(alone.receive(DescriptionKind::Offer, own).0.is_empty(), "once is enough");

        let answer =
            [group(&format!("a {answered}")), audio("a", "active", "sendonly", MIC), application(answered, "active")];
        let (descriptions, events) = alone.receive(DescriptionKind::Answer, answer.concat());
        assert!(descriptions.is_empty() && events.is_empty(), "{events:?}");
        // What the browser offers next goes by the name it answered with.
        let next = [group(&format!("a {answered} 5")), audio("a", "actpass", "sendonly", MIC)].concat();
        let next = [next, application(answered, "actpass"), video("5", "actpass", "sendonly", CAM)].concat();
        let (descriptions, events) = alone.receive(DescriptionKind::Offer, next);
        let [(DescriptionKind::Answer, answer)] = &descriptions[..] else { panic!("{events:?}") };
        assert!(answer.contains(&format!("a=group:BUNDLE a {answered} 5\r\n")), "{answer}");
    }
}

/// Chromium may never gather a candidate for the answer that follows a withdrawn offer.
#[test]
fn without_any_candidate_ice_is_restarted_soon() {
    let mut alone = Alone::new(false);
    let offer = [group("0"), audio("0", "actpass", "sendonly", MIC)].concat();
    alone.receive(DescriptionKind::Offer, offer.clone());
    for second in 1..=6 {
        let now = alone.now + Duration::from_secs(second);
        alone.connection.handle_timeout(now);
        let (descriptions, _) = alone.take();
        assert_eq!(descriptions.len(), usize::from(second == 5), "{second} s");
        assert!(descriptions.iter().all(|(kind, _)| *kind == DescriptionKind::Offer));
    }
}

/// A connected browser that must withdraw its own section for data channels can negotiate no more, unless ours has the same
/// name by chance.
#[test]
fn a_browser_is_given_time_to_offer_its_own_section_for_data_channels() {
    for polite in [true, false] {
        let mut alone = Alone::new(polite);
        alone.connection.attach_track(alone.now, track("ours", None, MediaKind::Audio));
        let (descriptions, _) = alone.take();
        let mid = descriptions[0].1.lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap().to_owned();
        alone.connection.open_channel(alone.now, DataChannelOptions::default()).unwrap();
        let answer = [group(&mid), audio(&mid, "active", "recvonly", "")].concat();
        let (descriptions, _) = alone.receive(DescriptionKind::Answer, answer);
        // A browser that does not give way ignores our offer when they cross.
        assert_eq!(descriptions.len(), usize::from(polite));
        if !polite {
            let answered = alone.now;
            while alone.now < answered + Duration::from_secs(1) {
                alone.now = alone.connection.poll_timeout().unwrap();
                alone.connection.handle_timeout(alone.now);
                let (descriptions, _) = alone.take();
                if let [(DescriptionKind::Offer, offer)] = &descriptions[..] {
                    assert!(offer.contains("m=application"), "{offer}");
                    break;
                }
            }
            assert_eq!(alone.now - answered, Duration::from_millis(300));
        }
    }
}

/// A browser that gets a track while it answers names it in the section that would have room for it, and waits.
#[test]
fn a_track_that_waits_in_an_answer_is_invited_once() {
    for accepts in [true, false] {
        let mut alone = Alone::new(false);
        alone.connection.attach_track(alone.now, track("ours", None, MediaKind::Audio));
        let (descriptions, _) = alone.take();
        let mid = descriptions[0].1.lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap().to_owned();
        let waiting = [group(&mid), audio(&mid, "active", "recvonly", MIC)].concat();
        let (descriptions, events) = alone.receive(DescriptionKind::Answer, waiting.clone());
        let [(DescriptionKind::Offer, invitation)] = &descriptions[..] else { panic!("{events:?}") };
        assert!(invitation.contains("a=sendrecv\r\n") && invitation.contains("a=msid:- ours\r\n"), "{invitation}");
        let answer = if accepts { waiting.replace("a=recvonly", "a=sendrecv") } else { waiting };
        let (descriptions, events) = alone.receive(DescriptionKind::Answer, answer);
        assert!(descriptions.is_empty());
        let mic = TrackId::new("mic-1").unwrap();
        assert_eq!(matches!(&events[..], [Event::TrackAdded { track, .. }] if *track == mic), accepts, "{events:?}");
    }
}

/// Chromium does not offer a section for data channels again that it had to withdraw.
#[test]
fn a_withdrawn_section_for_data_channels_is_offered_in_its_place() {
    let mut alone = Alone::new(false);
    alone.connection.attach_track(alone.now, track("ours", None, MediaKind::Audio));
    let (descriptions, _) = alone.take();
    let mid = descriptions[0].1.lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap().to_owned();
    let withdrawn = [group("7"), application("7", "actpass")].concat();
    assert!(alone.receive(DescriptionKind::Offer, withdrawn).0.is_empty());
    let answer = [group(&mid), audio(&mid, "active", "recvonly", "")].concat();
    let (descriptions, events) = alone.receive(DescriptionKind::Answer, answer.clone());
    let [(DescriptionKind::Offer, offer)] = &descriptions[..] else { panic!("{events:?}") };
    assert!(offer.contains(&format!("a=group:BUNDLE {mid} 7\r\n")), "{offer}");
    let answer =
        [group(&format!("{mid} 7")), audio(&mid, "active", "recvonly", ""), application("7", "active")].concat();
    assert_eq!(alone.receive(DescriptionKind::Answer, answer), (vec![], vec![]));
}
