//! What the list of ICE servers asks for: STUN servers, and TURN servers with their credentials.

use super::problem::{IceServerFailed, IceServerProblem};
use super::url::{ServerUrl, Service, UrlProblem};
use crate::Secret;
use crate::net::LinkTransport;
use crate::options::InvalidOption;
use crate::protocol::{IceServer, limits};

/// STUN servers asked; those beyond are left out. Two would do; each costs a datagram for every local address.
pub(super) const MAX_STUN_SERVERS: usize = 8;

/// TURN URLs used at the same time; those beyond are left out.
pub(super) const MAX_TURN_SERVERS: usize = 8;

/// A TURN server, one way to it, and what it knows us by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TurnServer {
    pub(super) url: ServerUrl,
    pub(super) username: Secret,
    pub(super) credential: Secret,
}

/// Servers left out that are told of, each once; further ones are not.
const MAX_LEFT_OUT: usize = 16;

/// The servers of a list, each once, in the list's order.
#[derive(Debug, Default)]
pub(super) struct Servers {
    pub(super) stun: Vec<ServerUrl>,
    pub(super) turn: Vec<TurnServer>,
    /// Those that are not used, and why. At most [`MAX_LEFT_OUT`].
    pub(super) left_out: Vec<IceServerFailed>,
}

impl Servers {
    /// Reads what is usable and says of the rest why it is left out, without its text, which may hold a credential.
    pub(super) fn read<'a>(list: impl Iterator<Item = &'a IceServer>) -> Self {
        let mut servers = Self::default();
        for server in list {
            for url in &server.urls {
                match usable(server, url) {
                    Ok(Usable::Stun(url)) => servers.add_stun(url),
                    Ok(Usable::Turn(turn)) if servers.turn.contains(&turn) => {}
                    Ok(Usable::Turn(turn)) if servers.turn.len() < MAX_TURN_SERVERS => servers.turn.push(turn),
                    Ok(Usable::Turn(_)) => servers.leave_out(nameable(url), IceServerProblem::TooMany),
                    Err(problem) => servers.leave_out(nameable(url), problem.into()),
                }
            }
        }
        if servers.stun.is_empty() {
            // A TURN server answers the questions of STUN too (RFC 8656, section 4).
            let over_udp = servers.turn.iter().filter(|turn| turn.url.transport == LinkTransport::Udp);
            for url in over_udp.map(|turn| turn.url.clone()).collect::<Vec<_>>() {
                servers.add_stun(url);
            }
        }
        servers
    }

    fn add_stun(&mut self, url: ServerUrl) {
        if url.transport != LinkTransport::Udp {
            self.leave_out(format!("stuns:{url}"), IceServerProblem::StunOverTls);
        } else if self.stun.contains(&url) {
        } else if self.stun.len() < MAX_STUN_SERVERS {
            self.stun.push(url);
        } else {
            self.leave_out(format!("stun:{url}"), IceServerProblem::TooMany);
        }
    }

    fn leave_out(&mut self, server: String, problem: IceServerProblem) {
        let failed = IceServerFailed { server, problem };
        if self.left_out.len() < MAX_LEFT_OUT && !self.left_out.contains(&failed) {
            self.left_out.push(failed);
        }
    }
}

/// What may be said of a URL that is not used: scheme, host and port if it has those, else the scheme, since the rest may be
/// anything, a credential too.
fn nameable(url: &str) -> String {
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    let scheme = scheme.to_ascii_lowercase();
    if !["stun", "stuns", "turn", "turns"].contains(&scheme.as_str()) {
        return "of an unknown scheme".to_owned();
    }
    let without_query = rest.split('?').next().unwrap_or_default();
    match ServerUrl::parse(&format!("{scheme}:{without_query}")) {
        Ok(read) => format!("{scheme}:{read}"),
        Err(_) => format!("{scheme}:***"),
    }
}

enum Usable {
    Stun(ServerUrl),
    Turn(TurnServer),
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Url(#[from] UrlProblem),
    #[error("a TURN server needs a username and a credential")]
    NoCredentials,
}

impl From<Problem> for IceServerProblem {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Url(UrlProblem::Dtls) => Self::TurnOverDtls,
            Problem::Url(_) => Self::InvalidUrl,
            Problem::NoCredentials => Self::NoCredentials,
        }
    }
}

fn usable(server: &IceServer, url: &str) -> Result<Usable, Problem> {
    let url = ServerUrl::parse(url)?;
    match (url.service, &server.username, &server.credential) {
        (Service::Stun, ..) => Ok(Usable::Stun(url)),
        (Service::Turn, Some(username), Some(credential)) => {
            Ok(Usable::Turn(TurnServer { url, username: username.as_str().into(), credential: credential.clone() }))
        }
        (Service::Turn, ..) => Err(Problem::NoCredentials),
    }
}

/// Checks a list that the user made.
pub(crate) fn check(list: &[IceServer]) -> Result<(), InvalidOption> {
    let refuse = |value: String, allowed| Err(InvalidOption { option: "ice_servers", value, allowed });
    if list.len() > limits::ICE_SERVERS {
        return refuse(format!("{} servers", list.len()), "at most 16 servers");
    }
    for server in list {
        let too_long = |text: &str| text.chars().count() > limits::ICE_SERVER_CREDENTIAL_CHARS;
        if server.urls.is_empty() {
            return refuse("a server without a URL".to_owned(), "at least one URL for each server");
        }
        if server.username.as_deref().is_some_and(too_long)
            || server.credential.as_ref().is_some_and(|credential| too_long(credential.expose()))
        {
            return refuse("***".to_owned(), "a username and a credential of at most 1024 characters");
        }
        for url in &server.urls {
            if url.chars().count() > limits::ICE_SERVER_URL_CHARS {
                return refuse(
                    format!("a URL of {} characters", url.chars().count()),
                    "a URL of at most 512 characters",
                );
            }
            match usable(server, url) {
                Ok(_) => {}
                // Such a text may hold a credential.
                Err(Problem::Url(_)) if url.contains('@') => return refuse("***".to_owned(), ALLOWED_URLS),
                Err(Problem::Url(_)) => return refuse(url.clone(), ALLOWED_URLS),
                Err(Problem::NoCredentials) => {
                    return refuse(url.clone(), "a TURN URL with a username and a credential");
                }
            }
        }
    }
    Ok(())
}

const ALLOWED_URLS: &str = "stun:host[:port], turn:host[:port][?transport=udp|tcp], turns:host[:port]";

#[cfg(test)]
mod tests {
    use super::*;

    fn server(urls: &[&str], credentials: bool) -> IceServer {
        IceServer {
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            username: credentials.then(|| "u-secret".to_owned()),
            credential: credentials.then(|| Secret::new("c-secret")),
        }
    }

    fn read(list: &[IceServer]) -> (Vec<String>, Vec<String>) {
        let servers = Servers::read(list.iter());
        (
            servers.stun.iter().map(ToString::to_string).collect(),
            servers.turn.iter().map(|turn| format!("{} {:?}", turn.url, turn.url.transport)).collect(),
        )
    }

    #[test]
    fn each_server_is_used_once_and_unusable_ones_are_left_out() {
        let list = [
            server(&["stun:a", "stun:a:3478", "stuns:a", "http:x"], false),
            server(&["turn:b", "turn:b?transport=tcp", "turns:b", "turns:b?transport=udp", "turn:b:3478"], true),
            server(&["turn:c"], false),
        ];
        let turn = ["b:3478 Udp", "b:3478 Tcp", "b:5349 Tls"].map(str::to_owned).to_vec();
        assert_eq!(read(&list), (vec!["a:3478".to_owned()], turn));
    }

    #[test]
    fn what_is_left_out_is_said_without_a_credential() {
        let list = [
            server(&["stuns:a", "STUNS:a:5349", "turns:B?transport=udp", "turns:b:443?transport=UDP"], true),
            server(&["turn:u-secret@a", "turn:a:c-secret", "stun:a?c-secret", "turn:a?c-secret=1"], true),
            server(&["turn:c:80", "http:c-secret", "c-secret"], false),
        ];
        let left_out: Vec<_> = Servers::read(list.iter()).left_out.iter().map(ToString::to_string).collect();
        assert_eq!(
            left_out,
            [
                "ICE server stuns:a:5349: STUN over TLS is not supported",
                "ICE server turns:b:5349: TURN over DTLS is not supported",
                "ICE server turns:b:443: TURN over DTLS is not supported",
                "ICE server turn:***: its URL cannot be read",
                "ICE server stun:a:3478: its URL cannot be read",
                "ICE server turn:a:3478: its URL cannot be read",
                "ICE server turn:c:80: it has no username and credential",
                "ICE server of an unknown scheme: its URL cannot be read",
            ]
        );
    }

    #[test]
    fn turn_servers_over_udp_serve_for_stun_where_there_is_none() {
        let (stun, _) = read(&[server(&["turn:b?transport=tcp", "turn:c", "turn:d"], true)]);
        assert_eq!(stun, ["c:3478", "d:3478"]);
    }

    #[test]
    fn there_are_bounds() {
        let urls: Vec<String> = (0..20).map(|n| format!("stun:{n}.example")).collect();
        let stun = server(&urls.iter().map(String::as_str).collect::<Vec<_>>(), false);
        let urls: Vec<String> = (0..20).map(|n| format!("turn:{n}.example")).collect();
        let turn = server(&urls.iter().map(String::as_str).collect::<Vec<_>>(), true);
        let list = [stun, turn];
        let left_out = Servers::read(list.iter()).left_out;
        assert_eq!(left_out.len(), MAX_LEFT_OUT);
        assert!(left_out.iter().all(|failed| failed.problem == IceServerProblem::TooMany));
        let (stun, turn) = read(&list);
        assert_eq!((stun.len(), turn.len()), (MAX_STUN_SERVERS, MAX_TURN_SERVERS));
    }

    #[test]
    fn a_list_of_the_user_s_is_checked_and_the_error_shows_no_credential() {
        assert_eq!(check(&[server(&["stun:a"], false), server(&["turn:b"], true)]), Ok(()));
        for bad in [
            server(&[], false),
            server(&["http:a"], false),
            server(&["turn:c-secret@a"], true),
            server(&["turn:a"], false),
            server(&["turns:a?transport=udp"], true),
            server(&[&format!("turn:{}", "x".repeat(600))], true),
            IceServer { username: Some("x".repeat(1025)), ..server(&["turn:a"], true) },
        ] {
            let error = check(std::slice::from_ref(&bad)).unwrap_err();
            assert_eq!(error.option, "ice_servers");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
        assert!(check(&vec![server(&["stun:a"], false); 17]).is_err());
    }
}
