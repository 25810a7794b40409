//! ICE-server lists, and the URLs in them.

use std::net::Ipv6Addr;

use serde_json::Value;

/// One entry: its URLs, username and credential.
pub(crate) type Entry = (Vec<String>, Option<String>, Option<String>);

/// `metadata.iceServers`: all or nothing.
pub(crate) fn ice_servers(list: &Value) -> Option<Vec<Entry>> {
    let list = list.as_array().filter(|list| list.len() <= 16)?;
    list.iter().map(entry).collect()
}

fn entry(entry: &Value) -> Option<Entry> {
    let entry = entry.as_object()?;
    let urls: Vec<String> = match entry.get("urls")? {
        Value::String(url) => vec![url.clone()],
        Value::Array(urls) => urls.iter().map(|url| url.as_str().map(str::to_owned)).collect::<Option<_>>()?,
        _ => return None,
    };
    let known = |url: &String| {
        let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
        url.contains(':') && url.chars().count() <= 512 && ["stun", "stuns", "turn", "turns"].contains(&scheme.as_str())
    };
    if urls.is_empty() || !urls.iter().all(known) {
        return None;
    }
    let short = |name: &str| match entry.get(name).and_then(Value::as_str) {
        Some(text) if text.chars().count() > 1024 => None,
        text => Some(text.map(str::to_owned)),
    };
    Some((urls, short("username")?, short("credential")?))
}

/// Whether it is a URL of RFC 7064 or RFC 7065 that the library can use: a host, a port that is not 0, a transport, and no
/// TLS over UDP.
pub(crate) fn ice_server_url(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else { return false };
    let scheme = scheme.to_ascii_lowercase();
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query.to_ascii_lowercase())),
        None => (rest, None),
    };
    let transport = matches!(
        (scheme.as_str(), query.as_deref()),
        ("stun" | "stuns" | "turn" | "turns", None)
            | ("turn" | "turns", Some("transport=tcp"))
            | ("turn", Some("transport=udp"))
    );
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            (address.parse::<Ipv6Addr>().is_ok(), port)
        }
        None => {
            let end = rest.find(':').unwrap_or(rest.len());
            let (name, port) = rest.split_at(end);
            (is_host_name(name), port)
        }
    };
    let port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok_and(|port| port != 0)
        });
    transport && host && port
}

/// Labels of 1 to 63 letters, digits, hyphens and underscores, 253 in all, with a dot at the end or without. An IPv4
/// address is one too.
fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(label)
}
