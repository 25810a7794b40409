//! Reading frames so that what is passed on is JSON that every client can parse.

use std::fmt;

use metered_realtime_core::protocol::{ClientFrame, ClientFrameError, ErrorCode, RawJson};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Levels of arrays and objects in a payload. The frame around it is one more, so that a frame has at most 64, which
/// is what the strictest of the widespread parsers take.
pub const PAYLOAD_DEPTH: usize = 63;

/// Reads one text message of a WebSocket.
///
/// # Errors
/// Beside those of [`ClientFrame::parse`], `malformed_message` for a payload with more than [`PAYLOAD_DEPTH`] levels, a
/// number beyond what a double holds, or a lone surrogate in a string: other parsers than the sender's refuse these.
pub fn parse_frame(text: &str) -> Result<ClientFrame<'_>, ClientFrameError> {
    let frame = ClientFrame::parse(text)?;
    if let ClientFrame::Publish { data, request_id, .. } | ClientFrame::Send { data, request_id, .. } = &frame
        && !is_portable(*data)
    {
        let request_id = request_id.as_deref().map(str::to_owned);
        return Err(ClientFrameError { code: ErrorCode::MalformedMessage, request_id });
    }
    Ok(frame)
}

/// Whether every client can parse this JSON: bounded depth, numbers that are doubles, strings that are Unicode.
pub(crate) fn is_portable(json: RawJson<'_>) -> bool {
    let mut reader = serde_json::Deserializer::from_str(json.get());
    Value { depth_left: PAYLOAD_DEPTH }.deserialize(&mut reader).is_ok() && reader.end().is_ok()
}

/// Any JSON value, read and thrown away. serde_json refuses numbers beyond a double and lone surrogates where it reads
/// a value, and not where it skips one.
#[derive(Clone, Copy)]
struct Value {
    depth_left: usize,
}

impl Value {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let depth_left = self.depth_left.checked_sub(1).ok_or_else(|| E::custom("too many levels"))?;
        Ok(Self { depth_left })
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _value: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _value: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _value: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while entries.next_key_seed(inner)?.is_some() {
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(data: &str) -> Result<String, ErrorCode> {
        let text = format!(r#"{{"type":"publish","channel":"c","data":{data},"requestId":"7"}}"#);
        match parse_frame(&text) {
            Ok(ClientFrame::Publish { data, .. }) => Ok(data.get().to_owned()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert_eq!(error.request_id.as_deref(), Some("7"), "the answer names the request");
                Err(error.code)
            }
        }
    }

    #[test]
    fn any_ordinary_value_passes_as_it_is() {
        for data in [
            "null",
            "true",
            "-0",
            "1e308",
            "123456789012345678901234567890",
            "1E-400",
            r#""\ud83d\ude00 \u0000""#,
            r#"{ "a" : [ 1.50, {"a":{}} ] }"#,
        ] {
            assert_eq!(publish(data).as_deref(), Ok(data));
        }
    }

    #[test]
    fn sixty_three_levels_pass_and_one_more_does_not() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(publish(&nested(63)).is_ok());
        assert_eq!(publish(&nested(64)), Err(ErrorCode::MalformedMessage));
        assert_eq!(publish(&nested(30_000)), Err(ErrorCode::MalformedMessage));
        let objects = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        assert!(publish(&objects(63)).is_ok());
        assert_eq!(publish(&objects(64)), Err(ErrorCode::MalformedMessage));
    }

    #[test]
    fn what_strict_parsers_refuse_is_not_passed_on() {
        for data in ["1e400", "-1e400", "[1e309]", r#"{"a":1e999}"#, r#""\ud800""#, r#""\udc00x""#, r#"{"\ud800":1}"#] {
            assert_eq!(publish(data), Err(ErrorCode::MalformedMessage), "{data}");
        }
        let send = r#"{"type":"send","to":"a","data":1e400}"#;
        assert_eq!(parse_frame(send).unwrap_err().code, ErrorCode::MalformedMessage);
    }
}
