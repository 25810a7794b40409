//! User data and metadata as they travel: raw JSON, checked once, decoded by whoever wants it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::raw;
use super::raw_json::RawJson;
use crate::text::cut;

/// One JSON value of the user's: what [`send`](crate::peer::MeteredPeer::send) takes and `data` events give.
///
/// It is kept as JSON text and shared, not copied, when cloned.
///
/// ```
/// use metered_realtime_core::protocol::Payload;
/// let payload = Payload::encode(&("chat", 7))?;
/// assert_eq!(payload.get(), r#"["chat",7]"#);
/// let (topic, n): (String, u8) = payload.decode()?;
/// assert_eq!((topic.as_str(), n), ("chat", 7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<str>);

/// A value could not be turned into JSON, or JSON text could not be read.
///
/// What is wrong with text names the place, never the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The value cannot be JSON.
    #[error("the value cannot be JSON: {reason}")]
    Unencodable {
        /// What its `Serialize` said, such as `key must be a string`; at most 200 bytes.
        reason: Box<str>,
    },
    /// The text is not JSON.
    #[error("not JSON (line {line}, column {column})")]
    Syntax {
        /// Line of the text, from 1.
        line: usize,
        /// Column of the text, from 1.
        column: usize,
    },
    /// The text is JSON, but not of the type that was asked for, or it has a value that the type cannot hold: a number out of
    /// range, half of a surrogate pair, more than 128 levels. JavaScript reads such numbers as infinite, and such text as it
    /// is; [`Payload::get`] has the text as it came.
    #[error("JSON of another type than expected (line {line}, column {column})")]
    Mismatch {
        /// Line of the text, from 1.
        line: usize,
        /// Column of the text, from 1.
        column: usize,
    },
}

impl PayloadError {
    fn encoding(error: &serde_json::Error) -> Self {
        Self::Unencodable { reason: cut(&error.to_string(), MAX_REASON_BYTES).into() }
    }

    fn syntax(error: &serde_json::Error) -> Self {
        Self::Syntax { line: error.line(), column: error.column() }
    }

    fn mismatch(error: &serde_json::Error) -> Self {
        Self::Mismatch { line: error.line(), column: error.column() }
    }
}

/// Bytes kept of what a `Serialize` says of its failure.
const MAX_REASON_BYTES: usize = 200;

impl Payload {
    /// Turns a value into JSON.
    ///
    /// # Errors
    /// [`PayloadError`] if `value` cannot be JSON: a map with keys that are not strings, or a `Serialize` that fails.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        serde_json::to_string(value).map(|text| Self(text.into())).map_err(|error| PayloadError::encoding(&error))
    }

    /// Takes text that is JSON already, and checks that it is.
    ///
    /// # Errors
    /// [`PayloadError`] says where the text stops being JSON.
    pub fn from_json(text: &str) -> Result<Self, PayloadError> {
        let raw: Result<&RawValue, _> = serde_json::from_str(text);
        raw.map(|raw| RawJson::from(raw).into()).map_err(|error| PayloadError::syntax(&error))
    }

    /// The value as JSON text.
    pub fn get(&self) -> &str {
        &self.0
    }

    /// Reads the value as a `T`. Fields of an object that `T` does not have are ignored.
    ///
    /// # Errors
    /// [`PayloadError::Mismatch`] if the value is not a `T`, or has something that a `T` cannot hold.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        serde_json::from_str(&self.0).map_err(|error| PayloadError::mismatch(&error))
    }

    /// The size that counts against `maxMessageSize`, in bytes.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// The value, borrowed.
    pub fn as_raw(&self) -> RawJson<'_> {
        RawJson(&self.0)
    }
}

impl From<RawJson<'_>> for Payload {
    fn from(raw: RawJson<'_>) -> Self {
        Self(raw.0.into())
    }
}

impl fmt::Debug for Payload {
    /// The size only: what users say to each other is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// One JSON object that goes with a peer or a track: `peerMetadata`, `metadata`, track metadata.
///
/// ```
/// use metered_realtime_core::protocol::Metadata;
/// let metadata = Metadata::from_json(r#"{"role":"camera","n":1}"#)?;
/// assert_eq!(metadata.get_str("role").as_deref(), Some("camera"));
/// assert_eq!(metadata.get_str("n"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Metadata(Payload);

/// The value is not a JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("metadata must be a JSON object")]
pub struct NotAnObject;

impl Metadata {
    /// Turns a struct or a map into metadata.
    ///
    /// # Errors
    /// [`NotAnObject`] if it does not become a JSON object.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, NotAnObject> {
        Payload::encode(value).map_err(|_| NotAnObject)?.try_into()
    }

    /// Takes text that is a JSON object already, and checks that it is.
    ///
    /// # Errors
    /// [`NotAnObject`] if it is anything else.
    pub fn from_json(text: &str) -> Result<Self, NotAnObject> {
        Payload::from_json(text).map_err(|_| NotAnObject)?.try_into()
    }

    /// The object as JSON text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Reads the object as a `T`.
    ///
    /// # Errors
    /// [`PayloadError`] if it is not a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        self.0.decode()
    }

    /// The string under `key`, if there is one; the last of several. Whatever stands under other keys does not matter.
    pub fn get_str(&self, key: &str) -> Option<String> {
        let Members(members) = serde_json::from_str(self.get()).ok()?;
        let is_wanted = |name: &RawValue| raw::string(name).is_some_and(|name| name == key);
        let (_, value) = members.into_iter().rfind(|(name, _)| is_wanted(name))?;
        raw::string(value).map(Cow::into_owned)
    }

    /// The size in bytes of JSON.
    pub fn size(&self) -> usize {
        self.0.size()
    }

    /// The object, borrowed.
    pub fn as_raw(&self) -> RawJson<'_> {
        self.0.as_raw()
    }
}

/// The members of an object, each as it was written.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(All)
    }
}

impl TryFrom<Payload> for Metadata {
    type Error = NotAnObject;

    fn try_from(payload: Payload) -> Result<Self, NotAnObject> {
        if payload.as_raw().is_object() { Ok(Self(payload)) } else { Err(NotAnObject) }
    }
}

impl TryFrom<RawJson<'_>> for Metadata {
    type Error = NotAnObject;

    fn try_from(raw: RawJson<'_>) -> Result<Self, NotAnObject> {
        Payload::from(raw).try_into()
    }
}

impl fmt::Debug for Metadata {
    /// The size only: metadata may hold TURN credentials and personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata({} bytes)", self.size())
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        RawJson::from(&*raw).try_into().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrounding_space_is_not_part_of_a_payload() {
        assert_eq!(Payload::from_json(" {\"a\": 1} ").unwrap().get(), "{\"a\": 1}");
        assert!(Metadata::from_json(" {} ").is_ok());
    }

    #[test]
    fn not_json_is_refused_with_its_place() {
        assert_eq!(Payload::from_json("{nope}").unwrap_err(), PayloadError::Syntax { line: 1, column: 2 });
        assert!(Payload::from_json("1 2").is_err());
        for text in ["[]", "null", "1", "\"{}\""] {
            assert_eq!(Metadata::from_json(text), Err(NotAnObject));
        }
    }

    #[test]
    fn a_value_that_cannot_be_json_is_refused_with_the_reason() {
        let error = Payload::encode(&std::collections::BTreeMap::from([((1, 2), 3)])).unwrap_err();
        assert_eq!(error.to_string(), "the value cannot be JSON: key must be a string");
        let number = Payload::from_json(r#"{"secret":"hunter2"}"#).unwrap().decode::<u8>().unwrap_err();
        assert_eq!(number, PayloadError::Mismatch { line: 1, column: 0 });
        assert!(!format!("{number} {number:?}").contains("hunter2"));
    }

    #[test]
    fn json_that_a_type_cannot_hold_is_kept_and_is_an_error_where_it_is_read() {
        for text in ["1e999", r#""\ud83d""#, r#"{"a":-1e999,"b":"\udda0Z"}"#, &("[".repeat(200) + &"]".repeat(200))] {
            let payload = Payload::from_json(text).unwrap();
            assert_eq!(payload.get(), text);
            let error = payload.decode::<serde_json::Value>().unwrap_err();
            assert!(matches!(error, PayloadError::Mismatch { line: 1, .. }), "{text}: {error:?}");
        }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Some {
            kind: String,
        }
        let payload = Payload::from_json(r#"{"kind":"a","x":1e999,"y":"\ud83d"}"#).unwrap();
        assert_eq!(payload.decode(), Ok(Some { kind: "a".to_owned() }), "what is not asked for does not matter");
    }

    #[test]
    fn a_string_of_metadata_is_found_whatever_stands_beside_it() {
        let metadata =
            Metadata::from_json(r#"{"x":1e999,"\udda0":1,"ro\u006ce":"camera","y":"\ud83d","n":{"role":"z"}}"#)
                .unwrap();
        let get = |key| metadata.get_str(key);
        assert_eq!(get("role").as_deref(), Some("camera"));
        assert_eq!((get("x"), get("y"), get("n"), get("z")), (None, None, None, None));
        let twice = Metadata::from_json(r#"{"role":"a","role":"b"}"#).unwrap();
        assert_eq!(twice.get_str("role").as_deref(), Some("b"), "as JavaScript has it");
    }

    #[test]
    fn debug_shows_no_content() {
        let metadata = Metadata::from_json(r#"{"credential":"hunter2"}"#).unwrap();
        assert_eq!(format!("{metadata:?}"), "Metadata(24 bytes)");
    }
}
