//! JSON and frames, valid and broken, out of arbitrary bytes.

use std::fmt::Write;

use arbitrary::{Result, Unstructured};

/// Words that something depends on.
const WORDS: &[&str] = &[
    "",
    "a",
    "b",
    "room",
    "me",
    "bob",
    "carol",
    "é",
    "\u{1f}",
    "a b",
    "_metered/x",
    "rooms/1",
    "type",
    "peerId",
    "metadata",
    "requestId",
    "channel",
    "from",
    "to",
    "data",
    "code",
    "trackId",
    "__meteredTrackMeta",
    "rtc-ice",
    "rtc-description",
    "offer",
    "answer",
    "candidate",
    "description",
    "sdp",
    "sdpMid",
    "urls",
    "iceServers",
    "username",
    "credential",
    "turn:192.0.2.1",
    "stun:a",
    "http:a",
    "true",
    "null",
    "\"",
    "\\",
    "\u{2028}",
    "😀",
];

/// Numbers at the edges of what is allowed, and beyond.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "0.5",
    "1.0",
    "1e0",
    "-0",
    "60",
    "999",
    "1000",
    "65535",
    "65536",
    "300000",
    "300001",
    "1700000000",
    "1700000060",
    "4294967296",
    "9007199254740993",
    "18446744073709551616",
    "1e308",
    "1e400",
    "-1e400",
    "1e-400",
];

/// Depth of arrays and objects within each other.
const DEPTH: usize = 3;

/// One of `choices`.
pub(crate) fn pick<'a>(u: &mut Unstructured<'_>, choices: &[&'a str]) -> Result<&'a str> {
    Ok(u.choose(choices)?)
}

/// Writes a JSON string, some of its characters escaped though they need not be.
pub(crate) fn quoted(u: &mut Unstructured<'_>, text: &str) -> Result<String> {
    if !u.ratio(1, 8)? {
        return Ok(serde_json::Value::from(text).to_string());
    }
    let mut out = String::from("\"");
    for unit in text.encode_utf16() {
        match char::from_u32(unit.into()) {
            Some(c) if c.is_ascii_alphanumeric() && u.arbitrary()? => out.push(c),
            _ => write!(out, "\\u{unit:04X}").unwrap_or_default(),
        }
    }
    out.push('"');
    Ok(out)
}

/// A text that the protocol knows, or any.
pub(crate) fn word(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=7)? {
        0 => u.arbitrary::<&str>()?.to_owned(),
        1 => "x".repeat(*u.choose(&[64, 65, 128, 129, 256, 257, 512, 513, 1000, 1001, 1024, 1025])?),
        _ => pick(u, WORDS)?.to_owned(),
    })
}

/// Any JSON.
pub(crate) fn json(u: &mut Unstructured<'_>) -> Result<String> {
    nested(u, DEPTH)
}

fn nested(u: &mut Unstructured<'_>, depth: usize) -> Result<String> {
    let most = if depth == 0 { 4 } else { 6 };
    Ok(match u.int_in_range(0..=most)? {
        0 => "null".to_owned(),
        1 => u.arbitrary::<bool>()?.to_string(),
        2 => pick(u, NUMBERS)?.to_owned(),
        3 => u.arbitrary::<i64>()?.to_string(),
        4 => {
            let word = word(u)?;
            quoted(u, &word)?
        }
        5 => {
            let items = (0..u.int_in_range(0..=4)?).map(|_| nested(u, depth - 1)).collect::<Result<Vec<_>>>()?;
            format!("[{}]", items.join(","))
        }
        _ => {
            let mut object = Members::default();
            for _ in 0..u.int_in_range(0..=4)? {
                let key = word(u)?;
                let value = nested(u, depth - 1)?;
                object.0.push((quoted(u, &key)?, value));
            }
            object.text()
        }
    })
}

/// The members of an object that is being made.
#[derive(Default)]
pub(crate) struct Members(Vec<(String, String)>);

impl Members {
    /// Adds a member as it should be; or now and then leaves it out, or adds it with another value, or twice.
    pub(crate) fn put(&mut self, u: &mut Unstructured<'_>, key: &str, valid: &str) -> Result<()> {
        let key = quoted(u, key)?;
        match u.int_in_range(0..=23)? {
            1 => {}
            2 => {
                let value = json(u)?;
                self.0.push((key, value));
            }
            3 => {
                let value = json(u)?;
                self.0.extend([(key.clone(), valid.to_owned()), (key, value)]);
            }
            _ => self.0.push((key, valid.to_owned())),
        }
        Ok(())
    }

    /// Adds any member now and then.
    pub(crate) fn put_any(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if u.ratio(1, 12)? {
            let key = word(u)?;
            let value = json(u)?;
            self.0.push((quoted(u, &key)?, value));
        }
        Ok(())
    }

    /// The object; now and then the array of its values.
    pub(crate) fn finish(self, u: &mut Unstructured<'_>) -> Result<String> {
        if u.ratio(1, 40)? {
            let values: Vec<String> = self.0.into_iter().map(|(_, value)| value).collect();
            return Ok(format!("[{}]", values.join(",")));
        }
        Ok(self.text())
    }

    fn text(&self) -> String {
        let members: Vec<String> = self.0.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        format!("{{{}}}", members.join(","))
    }
}

/// What a scripted server speaks of.
pub(crate) struct Scene<'a> {
    pub(crate) channels: &'a [&'a str],
    pub(crate) peers: &'a [&'a str],
    /// Requests that wait for their answer.
    pub(crate) requests: &'a [u64],
}

/// A frame from the server, most often valid.
pub(crate) fn server_frame(u: &mut Unstructured<'_>, scene: &Scene<'_>) -> Result<String> {
    let mut frame = Members::default();
    let kinds = ["message", "direct", "presence", "ack", "ack", "error", "welcome", "going_away", "pong", "novelty"];
    let kind = pick(u, &kinds)?;
    frame.put(u, "type", &format!("\"{kind}\""))?;
    let text = |u: &mut Unstructured<'_>, from: &[&str]| -> Result<String> {
        let text = pick(u, from)?;
        quoted(u, text)
    };
    match kind {
        "message" | "direct" => {
            if kind == "message" {
                let channel = text(u, scene.channels)?;
                frame.put(u, "channel", &channel)?;
            }
            let from = text(u, scene.peers)?;
            frame.put(u, "from", &from)?;
            let data = if kind == "direct" { signal(u)? } else { json(u)? };
            frame.put(u, "data", &data)?;
            if u.arbitrary()? {
                frame.put(u, "fromMetadata", "{\"n\":1}")?;
            }
        }
        "presence" => {
            let channel = text(u, scene.channels)?;
            frame.put(u, "channel", &channel)?;
            for side in ["joined", "left"] {
                let peers = (0..u.int_in_range(0..=3)?).map(|_| present(u, scene)).collect::<Result<Vec<_>>>()?;
                frame.put(u, side, &format!("[{}]", peers.join(",")))?;
            }
        }
        "ack" => {
            let id = request(u, scene)?;
            frame.put(u, "requestId", &id)?;
        }
        "error" => {
            let code = pick(u, super::model::ERROR_CODES)?;
            frame.put(u, "code", &format!("\"{code}\""))?;
            if u.arbitrary()? {
                let id = request(u, scene)?;
                frame.put(u, "requestId", &id)?;
            }
        }
        "welcome" => {
            let expires_at = pick(u, &["null", "1700000060", "1700000005", "1700003600", "1"])?;
            let peer = text(u, scene.peers)?;
            for (key, value) in [
                ("peerId", peer.as_str()),
                ("expiresAt", expires_at),
                ("serverTime", "1700000000"),
                ("maxMessageSize", pick(u, &["65536", "65536", "1", "0", "1e300"])?),
            ] {
                frame.put(u, key, value)?;
            }
            if u.arbitrary()? {
                let servers = ice_servers(u)?;
                frame.put(u, "metadata", &format!("{{\"iceServers\":{servers}}}"))?;
            }
        }
        "going_away" => {
            let wait = pick(u, NUMBERS)?;
            frame.put(u, "retryAfterMs", wait)?;
        }
        _ => {}
    }
    frame.put_any(u)?;
    frame.finish(u)
}

fn request(u: &mut Unstructured<'_>, scene: &Scene<'_>) -> Result<String> {
    let id =
        if scene.requests.is_empty() || u.ratio(1, 8)? { u.int_in_range(0..=40)? } else { *u.choose(scene.requests)? };
    Ok(format!("\"{id}\""))
}

fn present(u: &mut Unstructured<'_>, scene: &Scene<'_>) -> Result<String> {
    let mut peer = Members::default();
    let id = pick(u, scene.peers)?;
    peer.put(u, "peerId", &format!("\"{id}\""))?;
    if u.arbitrary()? {
        peer.put(u, "metadata", "{\"n\":1}")?;
    }
    peer.finish(u)
}

/// The `data` of a direct message: a signal, track metadata, or anything.
pub(crate) fn signal(u: &mut Unstructured<'_>) -> Result<String> {
    let mut data = Members::default();
    let mut inner = Members::default();
    match u.int_in_range(0..=3)? {
        0 => return json(u),
        1 => {
            let track = word(u)?;
            let track = quoted(u, &track)?;
            inner.put(u, "trackId", &track)?;
            if u.arbitrary()? {
                inner.put(u, "metadata", "{\"role\":\"camera\"}")?;
            }
            let inner = inner.finish(u)?;
            data.put(u, "__meteredTrackMeta", &inner)?;
        }
        2 => {
            data.put(u, "type", "\"rtc-description\"")?;
            let kind = pick(u, &["\"offer\"", "\"answer\"", "\"pranswer\"", "{\"offer\":null}"])?;
            inner.put(u, "type", kind)?;
            let sdp = if u.arbitrary()? { DATA_OFFER.to_owned() } else { word(u)? };
            let sdp = quoted(u, &sdp)?;
            inner.put(u, "sdp", &sdp)?;
            let inner = inner.finish(u)?;
            data.put(u, "description", &inner)?;
        }
        _ => {
            data.put(u, "type", "\"rtc-ice\"")?;
            let line = match u.int_in_range(0..=3)? {
                0 => word(u)?,
                1 => "candidate:1 1 udp 2130706431 0d0e1f2a-1b2c-4d5e-8f90-a1b2c3d4e5f6.local 5000 typ host".to_owned(),
                _ => "candidate:1 1 udp 2130706431 10.0.0.2 5000 typ host".to_owned(),
            };
            let line = quoted(u, &line)?;
            inner.put(u, "candidate", &line)?;
            inner.put(u, "sdpMid", "\"0\"")?;
            let index = pick(u, NUMBERS)?;
            inner.put(u, "sdpMLineIndex", index)?;
            inner.put(u, "usernameFragment", "null")?;
            let inner = if u.ratio(1, 6)? { "null".to_owned() } else { inner.finish(u)? };
            data.put(u, "candidate", &inner)?;
        }
    }
    data.put_any(u)?;
    data.finish(u)
}

/// A list of STUN and TURN servers.
pub(crate) fn ice_servers(u: &mut Unstructured<'_>) -> Result<String> {
    let entries = if u.ratio(1, 20)? { 17 } else { u.int_in_range(0..=2)? };
    let list = (0..entries)
        .map(|_| {
            let mut entry = Members::default();
            let url = ice_url(u)?;
            let url = quoted(u, &url)?;
            let urls = if u.arbitrary()? { url } else { format!("[{url}]") };
            entry.put(u, "urls", &urls)?;
            for (key, value) in [("username", "\"user\""), ("credential", "\"word\"")] {
                let long = word(u)?;
                let long = quoted(u, &long)?;
                let value = if u.ratio(1, 10)? { &long } else { value };
                entry.put(u, key, value)?;
            }
            entry.finish(u)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(format!("[{}]", list.join(",")))
}

/// The URL of a STUN or TURN server, or nearly.
pub(crate) fn ice_url(u: &mut Unstructured<'_>) -> Result<String> {
    let scheme = pick(u, &["turn", "TURNS", "stun", "stuns", "http", ""])?;
    let host = match u.int_in_range(0..=4)? {
        0 => word(u)?,
        _ => pick(
            u,
            &["192.0.2.1", "[2001:db8::1]", "example.org", "a.b.", "[::1", "[fe80::1%1]", "user@a", "1.2.3", "a..b"],
        )?
        .to_owned(),
    };
    let port = pick(u, &["", "", ":3478", ":0", ":65536", ":+80", ":", ":00080", ":80:80", ": 80"])?;
    let query = pick(u, &["", "", "?transport=tcp", "?transport=UDP", "?transport=sctp", "?", "?transport=tcp&x"])?;
    let colon = if u.ratio(1, 20)? { "" } else { ":" };
    Ok(format!("{scheme}{colon}{host}{port}{query}"))
}

/// An offer of a data channel, as browsers write it.
pub(crate) const DATA_OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:Zq3N\r\n\
    a=ice-pwd:hZf1uTnXvFQ8ePO4p0Mo3P7c\r\n\
    a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n\
    a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";
