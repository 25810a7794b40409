//! Reading single fields out of raw JSON, and writing an object field by field.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::raw_json::RawJson;

/// A JSON object. A derived `Deserialize` alone would take an array too, for the fields in their order, which the wire
/// protocol does not know.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// Reads a JSON object.
pub(super) fn from_object<'de, T: Deserialize<'de>>(text: &'de str) -> Option<T> {
    serde_json::from_str(text).ok().map(|Object(fields)| fields)
}

/// For a field whose `null` must be told apart from its absence.
pub(super) fn present<'de, D>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error>
where
    D: Deserializer<'de>,
{
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The string that `raw` is, borrowed where it has no escapes.
pub(super) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw.get()).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// The finite number that `raw` is, to the nearest that can be held.
pub(super) fn number(raw: &RawValue) -> Option<f64> {
    // Of what JSON can be, only numbers are numbers to Rust too.
    let number: f64 = raw.get().parse().ok()?;
    number.is_finite().then_some(number)
}

/// The object that `raw` is.
pub(super) fn object(raw: &RawValue) -> Option<RawJson<'_>> {
    Some(RawJson::from(raw)).filter(|raw| raw.is_object())
}

/// Bytes for names, ids and what else is short, so that most objects grow once at most.
const ROOM: usize = 96;

/// One JSON object, written field by field, so that a payload goes out as it came in, without being parsed again.
pub(super) struct ObjectWriter(String);

impl ObjectWriter {
    /// Starts the object with its `type`, which needs no escaping.
    pub(super) fn of_type(kind: &'static str) -> Self {
        let mut text = String::with_capacity(ROOM);
        text.push_str("{\"type\":\"");
        text.push_str(kind);
        text.push('"');
        Self(text)
    }

    fn key(&mut self, key: &'static str) {
        self.0.push_str(",\"");
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    pub(super) fn string(mut self, key: &'static str, value: &str) -> Self {
        self.key(key);
        push_string(&mut self.0, value);
        self
    }

    pub(super) fn string_if(self, key: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.string(key, value),
            None => self,
        }
    }

    /// For what displays as a JSON number or boolean.
    pub(super) fn plain(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.key(key);
        let _infallible = write!(self.0, "{value}");
        self
    }

    pub(super) fn raw(mut self, key: &'static str, value: RawJson<'_>) -> Self {
        self.0.reserve(value.get().len().saturating_add(ROOM));
        self.key(key);
        self.0.push_str(value.get());
        self
    }

    pub(super) fn raw_if(self, key: &'static str, value: Option<RawJson<'_>>) -> Self {
        match value {
            Some(value) => self.raw(key, value),
            None => self,
        }
    }

    /// Writes an array whose items `write` appends.
    pub(super) fn array<T>(mut self, key: &'static str, items: &[T], write: impl Fn(&mut String, &T)) -> Self {
        self.key(key);
        self.0.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            write(&mut self.0, item);
        }
        self.0.push(']');
        self
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Appends `value` as a JSON string (RFC 8259, section 7).
pub(super) fn push_string(out: &mut String, value: &str) {
    let escaped = |c: char| matches!(c, '"' | '\\' | '\u{0}'..='\u{1f}');
    out.push('"');
    if value.contains(escaped) {
        for c in value.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                '\u{0}'..='\u{1f}' => {
                    let _infallible = write!(out, "\\u{:04x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
    } else {
        out.push_str(value);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_borrowed_unless_escaped() {
        let plain: &RawValue = serde_json::from_str("\"é\"").unwrap();
        assert!(matches!(string(plain), Some(Cow::Borrowed("é"))));
        let escaped: &RawValue = serde_json::from_str("\"\\u00e9\\n\"").unwrap();
        assert_eq!(string(escaped).as_deref(), Some("é\n"));
        let number: &RawValue = serde_json::from_str("7").unwrap();
        assert_eq!(string(number), None);
    }

    #[test]
    fn numbers_too_large_to_be_finite_are_refused() {
        let parse = |text| number(serde_json::from_str(text).unwrap());
        for text in ["1e400", "null", "true", "[1]", "{}"] {
            assert_eq!(parse(text), None);
        }
        assert_eq!(parse("\"1\""), None);
        assert_eq!(parse("-1.5"), Some(-1.5));
    }

    #[test]
    fn written_strings_read_back_the_same() {
        for text in ["", "a\"b\\c", "\u{0}\u{1f}\n\t", "é\u{2028}😀"] {
            let mut out = String::new();
            push_string(&mut out, text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
