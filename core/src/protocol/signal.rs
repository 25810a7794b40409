//! The peer-to-peer signals and the track metadata that travel as the `data` of direct messages.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::limits;
use super::payload::{Metadata, Payload, PayloadError};
use super::raw;
use super::raw_json::RawJson;

/// What a direct message is, told by its shape (Metered Realtime Messaging wire protocol).
#[derive(Debug, Clone, PartialEq)]
pub enum PeerMessage {
    /// A step of a WebRTC negotiation.
    Signal(Signal),
    /// Metadata of one of the sender's tracks.
    TrackMetadata(TrackMetadataMessage),
    /// It has the shape of a signal, but its content is unusable. Dropped and counted; never shown to the user.
    MalformedSignal,
    /// Anything else: the user's.
    UserData,
}

/// A step of a WebRTC negotiation between two peers.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// An offer or an answer (RFC 8829).
    Description {
        /// Which of the two.
        kind: DescriptionKind,
        /// The session description (RFC 8866).
        sdp: String,
    },
    /// A candidate, trickled (RFC 8838).
    Candidate(RemoteCandidate),
    /// No more candidates will come.
    EndOfCandidates,
}

/// Which side of an offer/answer exchange a description is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DescriptionKind {
    /// It opens an exchange.
    Offer,
    /// It closes one.
    Answer,
}

/// A candidate as `RTCIceCandidateInit` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoteCandidate {
    /// The `candidate-attribute` of RFC 8839, starting with `candidate:`.
    pub candidate: String,
    /// The media section it belongs to.
    #[serde(default)]
    pub sdp_mid: Option<String>,
    /// The index of that section.
    #[serde(default, rename = "sdpMLineIndex")]
    pub sdp_m_line_index: Option<u16>,
    /// The ICE generation it belongs to.
    #[serde(default)]
    pub username_fragment: Option<String>,
}

/// Metadata of one track of the sender's; without `metadata` it clears the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackMetadataMessage {
    /// The track, by the id it has in the SDP that carries it. Not empty.
    pub track_id: String,
    /// The new metadata.
    pub metadata: Option<Metadata>,
}

/// The key that marks a direct message as track metadata.
const TRACK_METADATA_KEY: &str = "__meteredTrackMeta";

/// Cheap sign that a message may be a signal, so that user data is not parsed here in vain. Where a letter may be escaped
/// (RFC 8259, section 7), the words are not searched for.
fn may_be_ours(data: RawJson<'_>) -> bool {
    let text = data.get();
    data.is_object() && (text.contains("rtc-") || text.contains(TRACK_METADATA_KEY) || text.contains("\\u"))
}

#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    description: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw::present")]
    candidate: Option<&'a RawValue>,
    #[serde(borrow, rename = "__meteredTrackMeta")]
    track_metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct DescriptionFields {
    #[serde(rename = "type")]
    kind: String,
    sdp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TrackMetadataFields<'a> {
    track_id: String,
    #[serde(borrow, default, deserialize_with = "raw::present")]
    metadata: Option<&'a RawValue>,
}

impl PeerMessage {
    /// Tells what a direct message is.
    pub fn read(data: RawJson<'_>) -> Self {
        if !may_be_ours(data) {
            return Self::UserData;
        }
        let Some(shape) = raw::from_object::<Shape<'_>>(data.get()) else {
            return Self::UserData;
        };
        if let Some(raw) = shape.track_metadata
            && let Some(message) = track_metadata(raw)
        {
            return Self::TrackMetadata(message);
        }
        let signal = match shape.kind.and_then(raw::string).as_deref() {
            Some("rtc-description") => description(shape.description),
            Some("rtc-ice") => candidate(shape.candidate),
            _ => return Self::UserData,
        };
        signal.map_or(Self::MalformedSignal, Self::Signal)
    }

    /// Whether a receiver would take this user data for one of the library's own messages.
    pub fn looks_internal(data: RawJson<'_>) -> bool {
        Self::read(data) != Self::UserData || data.get().contains("\"__meteredTrackMeta\"")
    }
}

fn description(raw: Option<&RawValue>) -> Option<Signal> {
    let DescriptionFields { kind, sdp } = raw::from_object(raw?.get())?;
    let kind = match kind.as_str() {
        "offer" => DescriptionKind::Offer,
        "answer" => DescriptionKind::Answer,
        _ => return None,
    };
    Some(Signal::Description { kind, sdp })
}

fn candidate(raw: Option<&RawValue>) -> Option<Signal> {
    let raw = raw?;
    if raw.get() == "null" {
        return Some(Signal::EndOfCandidates);
    }
    let candidate: RemoteCandidate = raw::from_object(raw.get())?;
    if candidate.candidate.is_empty() {
        Some(Signal::EndOfCandidates)
    } else if candidate.candidate.chars().count() > limits::CANDIDATE_CHARS {
        None
    } else {
        Some(Signal::Candidate(candidate))
    }
}

fn track_metadata(raw: &RawValue) -> Option<TrackMetadataMessage> {
    let fields: TrackMetadataFields<'_> = raw::from_object(raw.get())?;
    if fields.track_id.is_empty() {
        return None;
    }
    let metadata = match fields.metadata {
        None => None,
        Some(raw) => Some(Metadata::try_from(RawJson::from(raw)).ok()?),
    };
    Some(TrackMetadataMessage { track_id: fields.track_id, metadata })
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum SignalOut<'a> {
    #[serde(rename = "rtc-description")]
    Description { description: DescriptionOut<'a> },
    #[serde(rename = "rtc-ice")]
    Candidate { candidate: Option<&'a RemoteCandidate> },
}

#[derive(Serialize)]
struct DescriptionOut<'a> {
    #[serde(rename = "type")]
    kind: DescriptionKind,
    sdp: &'a str,
}

impl Signal {
    /// The signal as the payload of a direct message.
    ///
    /// # Errors
    /// None that its types allow; the signature is that of [`Payload::encode`].
    pub fn encode(&self) -> Result<Payload, PayloadError> {
        Payload::encode(&match self {
            Self::Description { kind, sdp } => {
                SignalOut::Description { description: DescriptionOut { kind: *kind, sdp } }
            }
            Self::Candidate(candidate) => SignalOut::Candidate { candidate: Some(candidate) },
            Self::EndOfCandidates => SignalOut::Candidate { candidate: None },
        })
    }
}

#[derive(Serialize)]
struct TrackMetadataHolder<'a> {
    #[serde(rename = "__meteredTrackMeta")]
    message: TrackMetadataOut<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TrackMetadataOut<'a> {
    track_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Metadata>,
}

impl TrackMetadataMessage {
    /// The message as the payload of a direct message.
    ///
    /// # Errors
    /// None that its types allow; the signature is that of [`Payload::encode`].
    pub fn encode(&self) -> Result<Payload, PayloadError> {
        Payload::encode(&TrackMetadataHolder {
            message: TrackMetadataOut { track_id: &self.track_id, metadata: self.metadata.as_ref() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> PeerMessage {
        PeerMessage::read(Payload::from_json(text).unwrap().as_raw())
    }

    #[test]
    fn signals_read_back_as_they_were_written() {
        let signals = [
            Signal::Description { kind: DescriptionKind::Offer, sdp: "v=0\r\n".into() },
            Signal::Candidate(RemoteCandidate {
                candidate: "candidate:1 1 udp 1 127.0.0.1 9 typ host".into(),
                sdp_mid: Some("0".into()),
                sdp_m_line_index: Some(0),
                username_fragment: None,
            }),
            Signal::EndOfCandidates,
        ];
        for signal in signals {
            let payload = signal.encode().unwrap();
            assert_eq!(read(payload.get()), PeerMessage::Signal(signal));
        }
    }

    #[test]
    fn an_empty_candidate_ends_the_candidates() {
        assert_eq!(
            read(r#"{"type":"rtc-ice","candidate":{"candidate":""}}"#),
            PeerMessage::Signal(Signal::EndOfCandidates)
        );
    }

    #[test]
    fn unusable_signals_are_neither_obeyed_nor_shown() {
        for text in [
            r#"{"type":"rtc-ice"}"#,
            r#"{"type":"rtc-ice","candidate":7}"#,
            r#"{"type":"rtc-description"}"#,
            r#"{"type":"rtc-description","description":{"type":"rollback","sdp":""}}"#,
            r#"{"type":"rtc-description","description":{"type":"offer"}}"#,
            r#"{"type":"rtc-description","description":{"type":{"offer":null},"sdp":""}}"#,
            r#"{"type":"rtc-description","description":["offer",""]}"#,
            r#"{"type":"rtc-ice","candidate":["candidate:1 1 udp 1 127.0.0.1 9 typ host",null,null,null]}"#,
        ] {
            assert_eq!(read(text), PeerMessage::MalformedSignal, "{text}");
        }
        let long = format!(r#"{{"type":"rtc-ice","candidate":{{"candidate":"{}"}}}}"#, "x".repeat(1001));
        assert_eq!(read(&long), PeerMessage::MalformedSignal);
    }

    #[test]
    fn track_metadata_needs_a_track_id_and_an_object() {
        assert_eq!(
            read(r#"{"__meteredTrackMeta":{"trackId":"t"}}"#),
            PeerMessage::TrackMetadata(TrackMetadataMessage { track_id: "t".into(), metadata: None })
        );
        let message = TrackMetadataMessage {
            track_id: "t".into(),
            metadata: Some(Metadata::from_json(r#"{"role":"camera"}"#).unwrap()),
        };
        let payload = message.encode().unwrap();
        assert_eq!(payload.get(), r#"{"__meteredTrackMeta":{"trackId":"t","metadata":{"role":"camera"}}}"#);
        assert_eq!(read(payload.get()), PeerMessage::TrackMetadata(message));
        for text in [
            r#"{"__meteredTrackMeta":{"trackId":""}}"#,
            r#"{"__meteredTrackMeta":{"trackId":"t","metadata":[]}}"#,
            r#"{"__meteredTrackMeta":{"trackId":"t","metadata":null}}"#,
            r#"{"__meteredTrackMeta":7}"#,
            r#"{"__meteredTrackMeta":["t",{}]}"#,
        ] {
            assert_eq!(read(text), PeerMessage::UserData, "{text}");
        }
    }

    #[test]
    fn a_signal_with_escaped_letters_is_a_signal() {
        let end = PeerMessage::Signal(Signal::EndOfCandidates);
        assert_eq!(read(r#"{"type":"\u0072tc-ice","candidate":null}"#), end);
        assert_eq!(read(r#"{"\u0074ype":"rtc-ice","candidate":null}"#), end);
        let text = r#"{"\u005f_meteredTrackMeta":{"trackId":"t"}}"#;
        assert!(matches!(read(text), PeerMessage::TrackMetadata(_)));
        assert!(PeerMessage::looks_internal(Payload::from_json(text).unwrap().as_raw()));
    }

    #[test]
    fn other_data_is_the_users() {
        for text in ["1", "\"rtc-ice\"", "[]", r#"{"type":"rtc"}"#, r#"{"a":"rtc-description"}"#] {
            assert_eq!(read(text), PeerMessage::UserData, "{text}");
            assert!(!PeerMessage::looks_internal(Payload::from_json(text).unwrap().as_raw()));
        }
    }
}
