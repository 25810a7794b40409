//! The URLs of STUN and TURN servers (RFC 7064, RFC 7065).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::net::LinkTransport;

/// The port of `stun:` and `turn:` unless the URL names one.
const PORT: u16 = 3478;

/// The port of `stuns:` and `turns:` unless the URL names one.
const TLS_PORT: u16 = 5349;

/// The longest name a host can have (RFC 1035, section 2.3.4).
const MAX_NAME_CHARS: usize = 253;

/// What a server is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Service {
    /// Our address as seen from outside.
    Stun,
    /// An address of its own, which relays to us.
    Turn,
}

/// Who a server is: a name to be resolved, or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Host {
    Name(String),
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// One server, as a URL names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServerUrl {
    pub(crate) service: Service,
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) transport: LinkTransport,
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why a URL is none of a STUN or TURN server that this client can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlProblem {
    #[error("the scheme is not stun, stuns, turn or turns")]
    Scheme,
    #[error("the host is no name and no address")]
    Host,
    #[error("the port is not 1 to 65535")]
    Port,
    #[error("the query is not ?transport=udp or ?transport=tcp of a turn or turns URL")]
    Query,
    /// DTLS to a TURN server (RFC 7350).
    #[error("TLS over UDP is not supported")]
    Dtls,
}

impl ServerUrl {
    pub(crate) fn parse(url: &str) -> Result<Self, UrlProblem> {
        let (scheme, rest) = url.split_once(':').ok_or(UrlProblem::Scheme)?;
        let is = |name: &str| scheme.eq_ignore_ascii_case(name);
        let (service, secure) = match () {
            () if is("stun") => (Service::Stun, false),
            () if is("stuns") => (Service::Stun, true),
            () if is("turn") => (Service::Turn, false),
            () if is("turns") => (Service::Turn, true),
            () => return Err(UrlProblem::Scheme),
        };
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        let (host, port) = split_port(authority)?;
        let port = match port {
            Some(port) => read_port(port).ok_or(UrlProblem::Port)?,
            None if secure => TLS_PORT,
            None => PORT,
        };
        let tcp = match query {
            None => secure,
            Some(_) if service == Service::Stun => return Err(UrlProblem::Query),
            Some(query) if query.eq_ignore_ascii_case("transport=tcp") => true,
            Some(query) if query.eq_ignore_ascii_case("transport=udp") => false,
            Some(_) => return Err(UrlProblem::Query),
        };
        let transport = match (secure, tcp) {
            (true, true) => LinkTransport::Tls,
            (true, false) => return Err(UrlProblem::Dtls),
            (false, true) => LinkTransport::Tcp,
            (false, false) => LinkTransport::Udp,
        };
        Ok(Self { service, host, port, transport })
    }
}

/// Digits alone (RFC 3986, section 3.2.3): `parse` would take a sign too.
fn read_port(digits: &str) -> Option<u16> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| is_number && *port != 0)
}

fn split_port(authority: &str) -> Result<(Host, Option<&str>), UrlProblem> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(UrlProblem::Host)?;
        let address: Ipv6Addr = address.parse().map_err(|_| UrlProblem::Host)?;
        let port = match rest {
            "" => None,
            rest => Some(rest.strip_prefix(':').ok_or(UrlProblem::Host)?),
        };
        return Ok((Host::Address(address.into()), port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    match host.parse::<IpAddr>() {
        Ok(address) => Ok((Host::Address(address), port)),
        Err(_) if is_name(host) => Ok((Host::Name(host.to_ascii_lowercase()), port)),
        Err(_) => Err(UrlProblem::Host),
    }
}

fn is_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.len() <= MAX_NAME_CHARS
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> String {
        match ServerUrl::parse(url) {
            Ok(server) => format!("{:?} {server} {:?}", server.service, server.transport),
            Err(problem) => format!("{problem:?}"),
        }
    }

    #[test]
    fn ports_and_transports_default_by_scheme() {
        assert_eq!(read("stun:example.org"), "Stun example.org:3478 Udp");
        assert_eq!(read("STUN:Example.ORG:19302"), "Stun example.org:19302 Udp");
        assert_eq!(read("stuns:example.org"), "Stun example.org:5349 Tls");
        assert_eq!(read("turn:192.0.2.1"), "Turn 192.0.2.1:3478 Udp");
        assert_eq!(read("turn:[2001:db8::1]"), "Turn [2001:db8::1]:3478 Udp");
        assert_eq!(read("turn:[2001:db8::1]:80?transport=tcp"), "Turn [2001:db8::1]:80 Tcp");
        assert_eq!(read("turn:a.b:443?transport=udp"), "Turn a.b:443 Udp");
        assert_eq!(read("turns:a.b"), "Turn a.b:5349 Tls");
        assert_eq!(read("turns:a.b:443?transport=TCP"), "Turn a.b:443 Tls");
    }

    #[test]
    fn what_is_no_such_url_is_refused_with_the_reason() {
        for (url, problem) in [
            ("http:a", "Scheme"),
            ("turn", "Scheme"),
            ("turn:", "Host"),
            ("turn://a", "Host"),
            ("turn:a b", "Host"),
            ("turn:user@a", "Host"),
            ("turn:[::1", "Host"),
            ("turn:[a]", "Host"),
            ("turn:[::1]80", "Host"),
            ("turn:a..b", "Host"),
            ("turn:a:0", "Port"),
            ("turn:a:65536", "Port"),
            ("turn:a:+80", "Port"),
            ("turn:a:", "Port"),
            ("turn:a:80:90", "Port"),
            ("stun:a?transport=udp", "Query"),
            ("turn:a?transport=sctp", "Query"),
            ("turn:a?x=y", "Query"),
            ("turns:a?transport=udp", "Dtls"),
        ] {
            assert_eq!(read(url), problem, "{url}");
        }
        assert_eq!(read(&format!("turn:{}", "a.".repeat(200))), "Host");
    }
}
