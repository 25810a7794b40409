//! The list of STUN and TURN servers that a `welcome` may carry by convention.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::limits;
use super::payload::Metadata;
use super::raw::{self, Object};
use crate::Secret;

/// One STUN or TURN server. `Debug` shows neither username nor credential.
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    /// Its URLs: `stun:`, `stuns:`, `turn:` or `turns:` (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// The username, for TURN.
    pub username: Option<String>,
    /// The credential, for TURN.
    pub credential: Option<Secret>,
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There is no user in such a URL; who puts one there means a credential.
        let urls: Vec<_> = self.urls.iter().map(|url| if url.contains('@') { "***" } else { url }).collect();
        f.debug_struct("IceServer")
            .field("urls", &urls)
            .field("username", &self.username.as_ref().map(|_| "***"))
            .field("credential", &self.credential)
            .finish()
    }
}

#[derive(Deserialize)]
struct Holder<'a> {
    #[serde(borrow, rename = "iceServers")]
    servers: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry {
    urls: Urls,
    username: Option<Value>,
    credential: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Urls {
    One(String),
    Many(Vec<String>),
}

/// Reads `metadata.iceServers`: all of it, or, when any entry breaks a rule, nothing (Metered Realtime Messaging wire
/// protocol). An empty list is a list.
///
/// ```
/// use metered_realtime_core::protocol::{Metadata, ice_servers};
/// let metadata = Metadata::from_json(r#"{"iceServers":[{"urls":"stun:stun.example.org"}]}"#)?;
/// assert_eq!(ice_servers(&metadata).unwrap()[0].urls, ["stun:stun.example.org"]);
/// # Ok::<(), metered_realtime_core::protocol::NotAnObject>(())
/// ```
pub fn ice_servers(metadata: &Metadata) -> Option<Vec<IceServer>> {
    let holder: Holder<'_> = raw::from_object(metadata.get())?;
    let entries: Vec<Object<Entry>> = serde_json::from_str(holder.servers?.get()).ok()?;
    if entries.len() > limits::ICE_SERVERS {
        return None;
    }
    entries.into_iter().map(|Object(entry)| entry.check()).collect()
}

impl Entry {
    fn check(self) -> Option<IceServer> {
        let urls = match self.urls {
            Urls::One(url) => vec![url],
            Urls::Many(urls) => urls,
        };
        if urls.is_empty() || !urls.iter().all(|url| is_ice_url(url)) {
            return None;
        }
        Some(IceServer {
            urls,
            username: short_string(self.username)?,
            credential: short_string(self.credential)?.map(Secret::from),
        })
    }
}

fn is_ice_url(url: &str) -> bool {
    url.chars().count() <= limits::ICE_SERVER_URL_CHARS
        && url.split_once(':').is_some_and(|(scheme, _)| {
            ["stun", "stuns", "turn", "turns"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
        })
}

/// `None` if it is too long, `Some(None)` if it is absent or no string.
fn short_string(value: Option<Value>) -> Option<Option<String>> {
    match value {
        Some(Value::String(text)) => {
            (text.chars().count() <= limits::ICE_SERVER_CREDENTIAL_CHARS).then_some(Some(text))
        }
        _ => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Option<Vec<IceServer>> {
        ice_servers(&Metadata::from_json(&format!(r#"{{"iceServers":{list}}}"#)).unwrap())
    }

    #[test]
    fn one_bad_entry_makes_the_whole_list_absent() {
        let good = r#"{"urls":["TURN:a","stuns:b"],"username":"u","credential":"c"}"#;
        assert_eq!(read(&format!("[{good}]")).unwrap().len(), 1);
        for bad in [
            r#"{"urls":""}"#.to_owned(),
            r#"{"urls":[]}"#.to_owned(),
            r#"{"urls":"http:x"}"#.to_owned(),
            r#"{"urls":7}"#.to_owned(),
            r#"{}"#.to_owned(),
            r#"["turn:x","u","c"]"#.to_owned(),
            format!(r#"{{"urls":"turn:{}"}}"#, "x".repeat(508)),
            format!(r#"{{"urls":"turn:x","username":"{}"}}"#, "x".repeat(1025)),
        ] {
            assert_eq!(read(&format!("[{good},{bad}]")), None, "{bad}");
        }
        assert_eq!(read(&format!("[{}]", [good; 17].join(","))), None);
        assert_eq!(read("{}"), None);
        assert_eq!(read("[]"), Some(Vec::new()));
    }

    #[test]
    fn a_username_that_is_no_string_is_left_out() {
        let servers = read(r#"[{"urls":"turn:x","username":7,"credential":null}]"#).unwrap();
        assert_eq!(servers[0].username, None);
        assert!(servers[0].credential.is_none());
    }

    #[test]
    fn debug_shows_no_credential() {
        let servers = read(r#"[{"urls":"turn:x","username":"u-secret","credential":"c-secret"}]"#);
        assert!(!format!("{servers:?}").contains("secret"));
        let servers = read(r#"[{"urls":["turn:user:secret@x","turn:y"]}]"#);
        assert!(format!("{servers:?}").contains(r#"["***", "turn:y"]"#));
    }
}
