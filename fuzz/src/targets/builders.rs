//! What is built is written, and what is written is read as what was built.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use metered_realtime_core::protocol::{
    ClientFrame, DescriptionKind, ErrorCode, Metadata, Payload, PeerMessage, PresencePeer, RemoteCandidate,
    ServerFrame, Signal, TrackMetadataMessage, Welcome,
};
use serde_json::Value;

use crate::generate;

/// Frames, signals, track metadata and payloads, from their builders to their parsers.
pub fn builders(input: &[u8]) {
    let _too_short = build(&mut Unstructured::new(input));
}

fn build(u: &mut Unstructured<'_>) -> Result<()> {
    match u.int_in_range(0..=5)? {
        0 => payload(u),
        1 => signal(u),
        2 => track_metadata(u),
        3 => client_frame(u),
        _ => server_frame(u),
    }
}

/// A payload, and whether it is an object.
fn any_payload(u: &mut Unstructured<'_>) -> Result<Payload> {
    let text = generate::json(u)?;
    Ok(Payload::from_json(&text).expect("what is generated is JSON"))
}

fn any_metadata(u: &mut Unstructured<'_>) -> Result<Option<Metadata>> {
    Ok(Metadata::try_from(any_payload(u)?).ok())
}

fn optional(u: &mut Unstructured<'_>) -> Result<Option<String>> {
    if u.arbitrary()? { generate::word(u).map(Some) } else { Ok(None) }
}

fn payload(u: &mut Unstructured<'_>) -> Result<()> {
    let text = generate::word(u)?;
    let payload = Payload::encode(&text).expect("a text can be written");
    assert_eq!(payload.decode::<String>().as_ref(), Ok(&text));
    let payload = any_payload(u)?;
    assert_eq!(Payload::from_json(payload.get()).as_ref(), Ok(&payload));
    assert_eq!(Payload::encode(&payload).as_ref(), Ok(&payload));
    assert_eq!(payload.size(), payload.get().len());
    if let Ok(metadata) = Metadata::try_from(payload.clone()) {
        let key = generate::word(u)?;
        let found = metadata.get_str(&key);
        // A text is found whatever stands beside it, such as a number that a `Value` cannot hold.
        if let Ok(value) = payload.decode::<Value>() {
            assert_eq!(found, value.get(&key).and_then(Value::as_str).map(str::to_owned));
        }
    }
    Ok(())
}

fn signal(u: &mut Unstructured<'_>) -> Result<()> {
    let signal = match u.int_in_range(0..=3)? {
        0 => Signal::EndOfCandidates,
        1 => Signal::Description {
            kind: if u.arbitrary()? { DescriptionKind::Offer } else { DescriptionKind::Answer },
            sdp: generate::word(u)?,
        },
        _ => Signal::Candidate(RemoteCandidate {
            candidate: generate::word(u)?,
            sdp_mid: optional(u)?,
            sdp_m_line_index: u.arbitrary()?,
            username_fragment: optional(u)?,
        }),
    };
    let expected = match &signal {
        Signal::Candidate(one) if one.candidate.is_empty() => PeerMessage::Signal(Signal::EndOfCandidates),
        Signal::Candidate(one) if one.candidate.chars().count() > 1000 => PeerMessage::MalformedSignal,
        signal => PeerMessage::Signal(signal.clone()),
    };
    let written = signal.encode().expect("it can be written");
    assert_eq!(PeerMessage::read(written.as_raw()), expected);
    assert!(PeerMessage::looks_internal(written.as_raw()));
    Ok(())
}

fn track_metadata(u: &mut Unstructured<'_>) -> Result<()> {
    let message = TrackMetadataMessage { track_id: generate::word(u)?, metadata: any_metadata(u)? };
    let written = message.encode().expect("it can be written");
    assert!(PeerMessage::looks_internal(written.as_raw()));
    let read = PeerMessage::read(written.as_raw());
    if message.track_id.is_empty() {
        assert_eq!(read, PeerMessage::UserData);
    } else {
        assert_eq!(read, PeerMessage::TrackMetadata(message));
    }
    Ok(())
}

fn client_frame(u: &mut Unstructured<'_>) -> Result<()> {
    let (channel, id, data) = (generate::word(u)?.into(), optional(u)?.map(Into::into), any_payload(u)?);
    let data = data.as_raw();
    let frame = match u.int_in_range(0..=4)? {
        0 => ClientFrame::Ping,
        1 => ClientFrame::Subscribe { channel, request_id: id, include_sender_metadata: u.arbitrary()? },
        2 => ClientFrame::Unsubscribe { channel, request_id: id },
        3 => ClientFrame::Publish { channel, data, request_id: id },
        _ => ClientFrame::Send { to: channel, data, request_id: id },
    };
    let written = frame.encode();
    assert_eq!(ClientFrame::parse(&written).as_ref(), Ok(&frame), "{written}");
    Ok(())
}

fn server_frame(u: &mut Unstructured<'_>) -> Result<()> {
    let (channel, from, data) = (generate::word(u)?.into(), generate::word(u)?.into(), any_payload(u)?);
    let metadata = any_metadata(u)?;
    let (data, metadata) = (data.as_raw(), metadata.as_ref().map(Metadata::as_raw));
    let frame = match u.int_in_range(0..=7)? {
        0 => ServerFrame::Pong,
        1 => ServerFrame::Ack { request_id: from },
        2 => ServerFrame::Message { channel, from, data, from_metadata: metadata },
        3 => ServerFrame::Direct { from, data, from_metadata: metadata },
        4 => {
            let one = PresencePeer { peer_id: from, metadata };
            let other = PresencePeer { peer_id: channel, metadata: None };
            let (joined, left) = (vec![one.clone(); u.int_in_range(0..=3)?], vec![other; u.int_in_range(0..=3)?]);
            ServerFrame::Presence { channel: one.peer_id, joined, left }
        }
        5 => ServerFrame::GoingAway { retry_after: Duration::from_millis(u.int_in_range(1..=300_000)?) },
        6 => {
            let code = generate::word(u)?;
            let code = ErrorCode::from(if code.is_empty() { "brand_new" } else { &code });
            ServerFrame::Error { code, request_id: optional(u)?.map(Into::into), message: Some(from) }
        }
        _ => {
            let finite = |number: f64| if number.is_finite() { number } else { 0.0 };
            ServerFrame::Welcome(Welcome {
                peer_id: from,
                expires_at: u.arbitrary::<Option<f64>>()?.map(finite),
                server_time: finite(u.arbitrary()?),
                max_message_size: u.int_in_range(1..=(1 << 53) - 1)?,
                metadata,
            })
        }
    };
    let written = frame.encode();
    assert_eq!(ServerFrame::parse(&written).as_ref(), Ok(&frame), "{written}");
    Ok(())
}
