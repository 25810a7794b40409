//! The options of a signalling connection, and what they are checked for.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::output::SocketUrl;
use crate::Secret;
use crate::options::InvalidOption;

/// The service's own origin.
const DEFAULT_URL: &str = "wss://rms.metered.ca";

/// What a connection identifies itself with: exactly one of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A publishable key, `pk_live_…`. The server assigns a new peer id on every connect.
    ApiKey(Secret),
    /// Whoever embeds the machine is asked for a token before every connect, and again before it runs out
    /// ([`Action::FetchToken`](super::Action::FetchToken)). The token's `sub` is the peer id.
    TokenProvider,
}

/// Options of a signalling connection. [`Signalling::new`](super::Signalling::new) checks them.
///
/// ```
/// use std::time::Duration;
/// use metered_realtime_core::signalling::SignallingOptions;
/// let options = SignallingOptions {
///     inactivity_timeout: Duration::from_secs(20),
///     ..SignallingOptions::api_key("pk_live_abc")
/// };
/// assert!(options.auto_reconnect);
/// ```
#[derive(Clone, PartialEq)]
pub struct SignallingOptions {
    /// Key or tokens.
    pub credentials: Credentials,
    /// The server's origin, without path, query, fragment or user: `wss://…`, or `ws://…` on this machine only.
    /// Default `wss://rms.metered.ca`.
    pub url: String,
    /// Whether to connect again after a drop. Default true.
    pub auto_reconnect: bool,
    /// How long to wait between attempts, and how often to try. Without effect if `auto_reconnect` is false.
    pub reconnect: ReconnectOptions,
    /// Whether a first connect that fails is tried again, as a reconnect is, unless the server refuses it for good: for devices
    /// that start before their network. Without effect if `auto_reconnect` is false. Default false: the first failure ends it.
    pub retry_first_connect: bool,
    /// Whether `ws:` is allowed to any host. The credential and all messages then travel in clear: for closed networks alone.
    /// Default false.
    pub allow_insecure: bool,
    /// Close and reconnect if no frame arrives for this long. Zero turns the watchdog off, and the keep-alive with it.
    /// Default 60 s.
    pub inactivity_timeout: Duration,
    /// How long the token provider may take. Default 10 s; must be above zero.
    pub token_provider_timeout: Duration,
    /// Whether to subscribe again, after a reconnect, to what was subscribed to before. Default true.
    pub auto_resubscribe: bool,
}

/// The waits between attempts to reconnect: `initial_delay` × `multiplier`ⁿ up to `max_delay`, each more or less by
/// `jitter_ratio`, until `max_attempts` have failed in a row.
#[derive(Debug, Clone, PartialEq)]
pub struct ReconnectOptions {
    /// The first wait. Default 500 ms.
    pub initial_delay: Duration,
    /// What each wait is multiplied by for the next; 1 or more. Default 2.
    pub multiplier: f64,
    /// The longest wait, before jitter. Default 30 s.
    pub max_delay: Duration,
    /// The largest part by which a wait may differ, 0 to 1. Default 0.2.
    ///
    /// Waits that a server begins for many clients at once (`going_away`, the 30 s after close code 4010), token renewals and
    /// keep-alive pings are spread by parts of their own. 0 makes all of them exact: clients that share a server then act in
    /// the same instant.
    pub jitter_ratio: f64,
    /// Give up after this many failed attempts in a row, 1 or more; `None`: never. Default 100.
    pub max_attempts: Option<u32>,
}

impl fmt::Debug for SignallingOptions {
    /// A URL that is none of those allowed may hold a credential, and is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            credentials,
            url,
            auto_reconnect,
            reconnect,
            retry_first_connect,
            allow_insecure,
            inactivity_timeout,
            token_provider_timeout,
            auto_resubscribe,
        } = self;
        let url = if Endpoint::new(url, *allow_insecure).is_ok() { url } else { "***" };
        f.debug_struct("SignallingOptions")
            .field("credentials", credentials)
            .field("url", &url)
            .field("auto_reconnect", auto_reconnect)
            .field("reconnect", reconnect)
            .field("retry_first_connect", retry_first_connect)
            .field("allow_insecure", allow_insecure)
            .field("inactivity_timeout", inactivity_timeout)
            .field("token_provider_timeout", token_provider_timeout)
            .field("auto_resubscribe", auto_resubscribe)
            .finish()
    }
}

impl Default for ReconnectOptions {
    fn default() -> Self {
        Self {
            initial_delay: Duration::from_millis(500),
            multiplier: 2.0,
            max_delay: Duration::from_secs(30),
            jitter_ratio: 0.2,
            max_attempts: Some(100),
        }
    }
}

impl SignallingOptions {
    /// The default options with a publishable key.
    pub fn api_key(key: impl Into<Secret>) -> Self {
        Self::with(Credentials::ApiKey(key.into()))
    }

    /// The default options with tokens that are asked for before every connect.
    pub fn token_provider() -> Self {
        Self::with(Credentials::TokenProvider)
    }

    fn with(credentials: Credentials) -> Self {
        Self {
            credentials,
            url: DEFAULT_URL.to_owned(),
            auto_reconnect: true,
            reconnect: ReconnectOptions::default(),
            retry_first_connect: false,
            allow_insecure: false,
            inactivity_timeout: Duration::from_secs(60),
            token_provider_timeout: Duration::from_secs(10),
            auto_resubscribe: true,
        }
    }

    /// Checks every option, and gives the address to connect to.
    ///
    /// # Errors
    /// [`InvalidOption`] for the first one that cannot be.
    pub(crate) fn check(&self) -> Result<Endpoint, InvalidOption> {
        if let Credentials::ApiKey(key) = &self.credentials {
            check_key(key)?;
        }
        self.reconnect.check()?;
        require(
            !self.token_provider_timeout.is_zero(),
            "token_provider_timeout",
            &self.token_provider_timeout,
            "more than zero",
        )?;
        Endpoint::new(&self.url, self.allow_insecure)
    }
}

impl ReconnectOptions {
    fn check(&self) -> Result<(), InvalidOption> {
        let Self { multiplier, jitter_ratio, max_attempts, .. } = self;
        require(
            multiplier.is_finite() && *multiplier >= 1.0,
            "reconnect.multiplier",
            multiplier,
            "a finite number, 1 or more",
        )?;
        require((0.0..=1.0).contains(jitter_ratio), "reconnect.jitter_ratio", jitter_ratio, "0 to 1")?;
        require(*max_attempts != Some(0), "reconnect.max_attempts", max_attempts, "1 or more, or unlimited")
    }
}

/// Tells apart what is commonly given in a publishable key's place, without showing any of it.
fn check_key(key: &Secret) -> Result<(), InvalidOption> {
    let key = key.expose();
    let (value, allowed) = if key.starts_with("pk_") {
        return Ok(());
    } else if key.is_empty() {
        ("empty", "a publishable key, pk_…")
    } else if key.starts_with("sk_") {
        ("a secret key (***)", "a publishable key, pk_…; secret keys sign tokens on a server: use token_provider")
    } else if key.starts_with("ey") && key.matches('.').count() == 2 {
        ("a token (***)", "a publishable key, pk_…; for tokens use token_provider")
    } else {
        ("***", "a publishable key, pk_…")
    };
    Err(InvalidOption { option: "api_key", value: value.to_owned(), allowed })
}

fn require(
    holds: bool,
    option: &'static str,
    value: &impl std::fmt::Debug,
    allowed: &'static str,
) -> Result<(), InvalidOption> {
    if holds { Ok(()) } else { Err(InvalidOption { option, value: format!("{value:?}"), allowed }) }
}

const ORIGIN: &str = "an origin: wss://host[:port], or ws://localhost, ws://127.0.0.1 or ws://[::1] with a port";

/// Scheme, host and port of a URL: no user, path or query, which may hold a credential.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// The checked address of a server.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint(Url);

impl Endpoint {
    fn new(text: &str, allow_insecure: bool) -> Result<Self, InvalidOption> {
        let refused = |value: &str, allowed| InvalidOption { option: "url", value: value.to_owned(), allowed };
        let invalid = |value: &str| refused(value, ORIGIN);
        let mut url = Url::parse(text).map_err(|_| invalid("not a URL"))?;
        let shown = shown(&url);
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let scheme_allowed = match url.scheme() {
            "wss" => url.host_str().is_some(),
            "ws" => local || (allow_insecure && url.host_str().is_some()),
            _ => false,
        };
        let bare = url.username().is_empty()
            && url.password().is_none()
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none();
        if !scheme_allowed {
            let allowed = match url.scheme() {
                "ws" => {
                    "wss:// for hosts other than localhost, 127.0.0.1 and [::1]: ws: would send the credential in clear; \
                     on a closed network set allow_insecure"
                }
                "https" => "wss:// in place of https://",
                "http" => "ws:// in place of http:// on this machine, wss:// elsewhere",
                _ => ORIGIN,
            };
            return Err(refused(&shown, allowed));
        }
        if !bare {
            return Err(invalid(&format!("{shown} with a user, path, query or fragment")));
        }
        url.set_path("/v1");
        Ok(Self(url))
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> String {
        shown(&self.0)
    }

    pub(super) fn with_key(&self, key: &Secret) -> SocketUrl {
        self.with("key", key)
    }

    pub(super) fn with_token(&self, token: &Secret) -> SocketUrl {
        self.with("token", token)
    }

    fn with(&self, name: &str, value: &Secret) -> SocketUrl {
        let mut url = self.0.clone();
        url.query_pairs_mut().append_pair(name, value.expose());
        // The form that a form's data has differs in this from that of a URL.
        let query = url.query().unwrap_or_default().replace('+', "%20");
        url.set_query(Some(&query));
        SocketUrl(Secret::new(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_url(url: &str) -> Result<Endpoint, InvalidOption> {
        SignallingOptions { url: url.to_owned(), ..SignallingOptions::api_key("pk_live_a b+c") }.check()
    }

    #[test]
    fn the_credential_goes_percent_encoded_into_the_query() {
        let url = with_url("ws://localhost:8080").unwrap().with_key(&Secret::new("pk_live_a&b%c +\n"));
        assert_eq!(url.expose(), "ws://localhost:8080/v1?key=pk_live_a%26b%25c%20%2B%0A");
        assert_eq!(format!("{url:?}"), "SocketUrl(***)");
        let url = with_url("wss://rms.metered.ca").unwrap().with_token(&Secret::new("e.y"));
        assert_eq!(url.expose(), "wss://rms.metered.ca/v1?token=e.y");
    }

    #[test]
    fn only_bare_secure_or_local_origins_are_allowed() {
        for good in ["wss://a.example", "wss://a.example/", "ws://localhost:1", "ws://127.0.0.1:1", "ws://[::1]:1"] {
            assert!(with_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a.example",
            "ws://a.example",
            "ws://127.0.0.2",
            "http://localhost",
            "wss://a/path",
            "wss://a?x",
            "wss://a#x",
            "wss://u@a",
            "wss://u:p@a",
        ] {
            assert_eq!(with_url(bad).unwrap_err().option, "url", "{bad}");
        }
        let url = "wss://user:hunter2@a.example?key=hunter2".to_owned();
        let options = SignallingOptions { url, ..SignallingOptions::token_provider() };
        let error = options.check().unwrap_err();
        assert!(!format!("{error} {error:?} {options:?}").contains("hunter2"));
    }

    #[test]
    fn an_insecure_url_is_allowed_where_the_option_says_so() {
        let insecure = |url: &str| {
            let options = SignallingOptions::api_key("pk_live_a");
            SignallingOptions { url: url.to_owned(), allow_insecure: true, ..options }.check()
        };
        assert_eq!(insecure("ws://10.0.0.7:8080").unwrap().origin(), "ws://10.0.0.7:8080");
        assert_eq!(insecure("http://10.0.0.7:8080").unwrap_err().option, "url");
    }

    #[test]
    fn a_refused_url_is_shown_with_its_port_and_what_to_write_instead() {
        for (url, value, allowed) in [
            ("ws://a.example:8080", "ws://a.example:8080", "wss:// for hosts other than localhost"),
            ("https://a.example:8443/rooms", "https://a.example:8443", "wss:// in place of https://"),
            ("http://localhost:8080", "http://localhost:8080", "ws:// in place of http:// on this machine"),
            ("wss://a.example:1/x", "wss://a.example:1 with a user, path, query or fragment", "an origin"),
            ("a.example:8080", "a.example://", "an origin"),
        ] {
            let error = with_url(url).unwrap_err();
            assert_eq!(error.value, value);
            assert!(error.allowed.starts_with(allowed), "{error}");
        }
    }

    #[test]
    fn bad_options_are_named_with_value_and_allowed_range() {
        let good = || SignallingOptions::token_provider();
        let reconnect = |reconnect| SignallingOptions { reconnect, ..good() };
        let default = ReconnectOptions::default;
        for (options, text) in [
            (SignallingOptions::api_key(""), "option api_key is empty; allowed: a publishable key, pk_…"),
            (SignallingOptions::api_key("hunter2"), "option api_key is ***; allowed: a publishable key, pk_…"),
            (
                SignallingOptions::api_key("sk_hunter2"),
                "option api_key is a secret key (***); allowed: a publishable key, pk_…; secret keys sign tokens on a server: \
                 use token_provider",
            ),
            (
                SignallingOptions::api_key("eyJhbGciOiJIUzI1NiJ9.e30.hunter2"),
                "option api_key is a token (***); allowed: a publishable key, pk_…; for tokens use token_provider",
            ),
            (
                SignallingOptions { token_provider_timeout: Duration::ZERO, ..good() },
                "option token_provider_timeout is 0ns; allowed: more than zero",
            ),
            (
                reconnect(ReconnectOptions { multiplier: 0.5, ..default() }),
                "option reconnect.multiplier is 0.5; allowed: a finite number, 1 or more",
            ),
            (
                reconnect(ReconnectOptions { jitter_ratio: f64::NAN, ..default() }),
                "option reconnect.jitter_ratio is NaN; allowed: 0 to 1",
            ),
            (
                reconnect(ReconnectOptions { max_attempts: Some(0), ..default() }),
                "option reconnect.max_attempts is Some(0); allowed: 1 or more, or unlimited",
            ),
        ] {
            assert_eq!(options.check().unwrap_err().to_string(), text);
        }
    }
}
