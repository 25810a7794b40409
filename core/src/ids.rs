//! The identifiers of the protocol as types, checked where they are made.

use std::fmt;
use std::sync::Arc;

use crate::protocol::limits;

/// Why a text is not an identifier of the wanted kind.
///
/// The text itself is not repeated, so that the error can be logged whoever wrote the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {problem}")]
pub struct InvalidId {
    /// What was being made: `channel`, `peer id`, `track id` or `stream id`.
    pub what: &'static str,
    /// What is wrong with it, and what is allowed.
    pub problem: IdProblem,
}

/// What is wrong with a text that should have been an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdProblem {
    /// It has no characters.
    #[error("is empty")]
    Empty,
    /// It is longer than the protocol allows.
    #[error("is {length} bytes long; at most {max} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The largest length in bytes.
        max: usize,
    },
    /// It holds a character outside the allowed set.
    #[error("holds a character that is not allowed ({allowed})")]
    Character {
        /// The allowed set in words.
        allowed: &'static str,
    },
}

struct Rule {
    what: &'static str,
    max: usize,
    allowed: &'static str,
    is_allowed: fn(char) -> bool,
}

impl Rule {
    fn check(&self, text: &str) -> Result<(), InvalidId> {
        let problem = if text.is_empty() {
            IdProblem::Empty
        } else if text.len() > self.max {
            IdProblem::TooLong { length: text.len(), max: self.max }
        } else if !text.chars().all(self.is_allowed) {
            IdProblem::Character { allowed: self.allowed }
        } else {
            return Ok(());
        };
        Err(InvalidId { what: self.what, problem })
    }
}

/// RFC 8830 `token-char`, less `~`, which the SDP writer beneath would drop.
fn is_msid_char(c: char) -> bool {
    matches!(c, '!' | '#'..='\'' | '*' | '+' | '-' | '.' | '0'..='9' | 'A'..='Z' | '^'..='}')
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $rule:ident = $value:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        const $rule: Rule = $value;

        impl $name {
            /// Checks `text` and keeps it.
            ///
            /// # Errors
            /// [`InvalidId`] says what is wrong with the text and what is allowed.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                $rule.check(text)?;
                Ok(Self(text.into()))
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;

            fn try_from(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<&$name> for $name {
            type Error = InvalidId;

            fn try_from(id: &$name) -> Result<Self, InvalidId> {
                Ok(id.clone())
            }
        }

        /// As a string.
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        /// From a string, which is checked.
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(std::borrow::Cow::<str>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id! {
    /// A peer's name on the service: 1 to 128 bytes of printable ASCII (Metered Realtime Messaging wire protocol).
    ///
    /// The order is that of UTF-16 code units, as the other clients compare peer ids: for ASCII the two are the same.
    ///
    /// ```
    /// use metered_realtime_core::PeerId;
    /// let id = PeerId::new("alice")?;
    /// assert!(id < PeerId::new("bob")?);
    /// assert!(PeerId::new("").is_err());
    /// # Ok::<(), metered_realtime_core::InvalidId>(())
    /// ```
    PeerId, PEER_ID = Rule {
        what: "peer id",
        max: limits::PEER_ID_BYTES,
        allowed: "printable ASCII",
        is_allowed: |c| matches!(c, ' '..='~'),
    }
}

text_id! {
    /// A channel's name: 1 to 256 bytes of UTF-8 without control characters (Metered Realtime Messaging wire protocol).
    ///
    /// ```
    /// use metered_realtime_core::Channel;
    /// assert!(Channel::new("room-42").is_ok());
    /// assert!(Channel::new("room\n42").is_err());
    /// ```
    Channel, CHANNEL = Rule {
        what: "channel",
        max: limits::CHANNEL_BYTES,
        allowed: "UTF-8 without control characters",
        is_allowed: |c| !c.is_control(),
    }
}

impl Channel {
    /// Whether the name lies in one of the server's own name spaces, which no client may use: `_metered/`,
    /// `_internal/` or `_system/`, whatever the case (Metered Realtime Messaging wire protocol).
    ///
    /// ```
    /// use metered_realtime_core::Channel;
    /// assert!(Channel::new("_Metered/x")?.is_reserved());
    /// assert!(!Channel::new("metered/x")?.is_reserved());
    /// # Ok::<(), metered_realtime_core::InvalidId>(())
    /// ```
    pub fn is_reserved(&self) -> bool {
        limits::RESERVED_CHANNEL_PREFIXES.iter().any(|prefix| {
            self.0.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        })
    }
}

text_id! {
    /// A media track's identifier, as it stands in the `msid` of an SDP: 1 to 64 token characters (RFC 8830).
    ///
    /// ```
    /// use metered_realtime_core::TrackId;
    /// assert!(TrackId::new("2f1a7a2e-3c58-4f0c-9d39-0a4a5a3c1c55").is_ok());
    /// assert!(TrackId::new("two words").is_err());
    /// ```
    TrackId, TRACK_ID = Rule {
        what: "track id",
        max: limits::MSID_BYTES,
        allowed: "the token characters of RFC 8830",
        is_allowed: is_msid_char,
    }
}

text_id! {
    /// The identifier of a group of tracks (a media stream), as it stands in the `msid` of an SDP: 1 to 64 token
    /// characters (RFC 8830).
    ///
    /// ```
    /// use metered_realtime_core::StreamId;
    /// assert!(StreamId::new("camera").is_ok());
    /// ```
    StreamId, STREAM_ID = Rule {
        what: "stream id",
        max: limits::MSID_BYTES,
        allowed: "the token characters of RFC 8830",
        is_allowed: is_msid_char,
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) u64);

        impl $name {
            /// The number behind the identifier, for logs and for maps of an embedder's own.
            pub fn get(self) -> u64 {
                self.0
            }
        }
    };
}

number_id! {
    /// One request of the user, from the call that made it to the one output that ends it.
    RequestId
}

number_id! {
    /// One WebSocket that the core asked for. Inputs carry it, so that a socket that has been replaced is not mistaken
    /// for the one that replaced it.
    SocketId
}

number_id! {
    /// One question to the token provider.
    TokenRequestId
}

number_id! {
    /// One link to a TURN server that the core asked for. Inputs carry it, so that what comes late from a link that was
    /// closed is not mistaken for another's.
    LinkId
}

number_id! {
    /// One question for the addresses of a name.
    ResolveId
}

number_id! {
    /// One room channel of a peer, unique within the machine that made it.
    RoomChannelId
}

number_id! {
    /// One data channel of one remote peer, unique within the machine that made it.
    DataChannelId
}

/// Hands out the numbers behind [`RequestId`] and its like: 1, 2, 3, …
#[derive(Debug, Default, Clone)]
pub(crate) struct IdSequence(u64);

impl IdSequence {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_identifiers_are_strings_in_json_and_checked_when_they_are_read() {
        let id = PeerId::new("ada").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"ada\"");
        assert_eq!(serde_json::from_str::<PeerId>("\"ad\\u0061\"").unwrap(), id);
        assert!(serde_json::from_str::<PeerId>("\"\"").unwrap_err().to_string().contains("peer id"));
        assert!(serde_json::from_str::<Channel>("7").is_err());
    }

    #[test]
    fn lengths_count_bytes_and_control_characters_are_refused() {
        assert!(Channel::new("é".repeat(128)).is_ok());
        assert!(matches!(
            Channel::new("é".repeat(129)).unwrap_err().problem,
            IdProblem::TooLong { length: 258, max: 256 }
        ));
        for control in ['\u{0}', '\u{1f}', '\u{7f}', '\u{80}', '\u{9f}'] {
            assert!(Channel::new(format!("a{control}")).is_err());
        }
        assert!(Channel::new("a\u{a0}").is_ok());
    }

    #[test]
    fn peer_ids_are_printable_ascii() {
        assert!(PeerId::new("a b~").is_ok());
        assert!(PeerId::new("é").is_err());
        assert!(PeerId::new("x".repeat(129)).is_err());
    }

    #[test]
    fn track_ids_pass_through_an_sdp_unchanged() {
        assert!(TrackId::new("{2f1a7a2e-3c58}").is_ok());
        for bad in ["a b", "a\"b", "a~b", "a,b", "ä", ""] {
            assert!(TrackId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn reserved_prefixes_ignore_case() {
        for name in ["_metered/a", "_INTERNAL/a", "_System/"] {
            assert!(Channel::new(name).unwrap().is_reserved());
        }
        for name in ["_metered", "x_metered/a", "_metéred/"] {
            assert!(!Channel::new(name).unwrap().is_reserved());
        }
    }
}
