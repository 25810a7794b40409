//! A `message` frame, and the cheapest way to read it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The frame as someone would write it down who wants nothing but its fields.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "reading the fields is what is measured")]
pub struct Plain<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    from_metadata: Option<&'a RawValue>,
}

/// A frame whose payload is so many bytes long: an object, as chat and games send them.
pub fn message(size: usize, sender_metadata: Option<&str>) -> String {
    let mut data = String::from(r#"{"seq":1"#);
    for number in 0.. {
        let field = format!(r#","f{number}":{{"text":"some words, spoken","x":{number}.25,"on":true}}"#);
        if data.len() + field.len() >= size {
            break;
        }
        data.push_str(&field);
    }
    let rest = size.saturating_sub(data.len() + r#","e":""}"#.len());
    data.push_str(&format!(r#","e":"{}"}}"#, "e".repeat(rest)));
    let metadata = sender_metadata.map_or_else(String::new, |metadata| format!(r#","fromMetadata":{metadata}"#));
    let from = "6f9619ff-8b86-4011-b42d-00c04fc964ff";
    format!(r#"{{"type":"message","channel":"room-0","from":"{from}","data":{data}{metadata}}}"#)
}
