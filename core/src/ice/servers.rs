//! What the list of ICE servers asks for: STUN servers, and TURN servers with their credentials.

use super::url::{LinkTransport, ServerUrl, Service, UrlProblem};
use crate::Secret;
use crate::protocol::{IceServer, limits};
use crate::signalling::InvalidOption;

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

/// The servers of a list, each once, in the list's order.
#[derive(Debug, Default)]
pub(super) struct Servers {
    pub(super) stun: Vec<ServerUrl>,
    pub(super) turn: Vec<TurnServer>,
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
                    Ok(Usable::Turn(turn)) => tracing::warn!(server = %turn.url, "a TURN server too many is left out"),
                    Err(problem) => tracing::warn!(%problem, "an ICE server is left out"),
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
            // What a server sees of a TCP connection is of no use to candidates over UDP.
            tracing::debug!(server = %url, "a STUN server that is not asked over UDP is left out");
        } else if self.stun.contains(&url) {
        } else if self.stun.len() < MAX_STUN_SERVERS {
            self.stun.push(url);
        } else {
            tracing::warn!(server = %url, "a STUN server too many is left out");
        }
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
    let refuse = |value: String, allowed| Err(InvalidOption { option: "iceServers", value, allowed });
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
        let (stun, turn) = read(&[stun, turn]);
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
            assert_eq!(error.option, "iceServers");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
        assert!(check(&vec![server(&["stun:a"], false); 17]).is_err());
    }
}
