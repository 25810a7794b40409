//! Options and names: what is accepted is allowed, what is refused is not, and no error shows a credential.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use arbitrary::{Result, Unstructured};
use metered_realtime_core::peer::{MeteredPeer, MeteredPeerOptions};
use metered_realtime_core::protocol::IceServer;
use metered_realtime_core::rtc::BandwidthEstimation;
use metered_realtime_core::signalling::{Action, Output, ReconnectOptions, Signalling, SignallingOptions};
use metered_realtime_core::{Channel, PeerId, Secret, StreamId, TrackId};
use url::Url;

use crate::{generate, model};

/// Part of every credential here.
const SECRET: &str = "hunter2";

/// Options of the signalling connection and of a room peer, URLs among them, and the names of the protocol.
pub fn options(input: &[u8]) {
    let _too_short = check(&mut Unstructured::new(input));
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    match u.int_in_range(0..=3)? {
        0 => names(u),
        1 => signalling(u),
        _ => peer(u),
    }
}

fn names(u: &mut Unstructured<'_>) -> Result<()> {
    let text = generate::word(u)?;
    assert_eq!(PeerId::new(&text).is_ok(), model::is_peer_id(&text), "peer id {text:?}");
    assert_eq!(TrackId::new(&text).is_ok(), model::is_msid(&text), "track id {text:?}");
    assert_eq!(StreamId::new(&text).is_ok(), model::is_msid(&text), "stream id {text:?}");
    match Channel::new(&text) {
        Ok(channel) => {
            assert!(model::is_channel(&text), "channel {text:?}");
            assert_eq!(channel.is_reserved(), model::is_reserved(&text), "channel {text:?}");
        }
        Err(error) => {
            assert!(!model::is_channel(&text), "channel {text:?}");
            assert!(text.len() < 40 || !format!("{error} {error:?}").contains(&text), "the text is repeated");
        }
    }
    Ok(())
}

fn shows_no_secret(what: &impl Debug) {
    let text = format!("{what:?}");
    assert!(!text.contains(SECRET), "{text}");
}

fn signalling(u: &mut Unstructured<'_>) -> Result<()> {
    let key =
        format!("{}{SECRET}{}", generate::pick(u, &["pk_live_", "pk_", "sk_secret_", ""])?, u.arbitrary::<&str>()?);
    let (url, good) = origin(u)?;
    let (multiplier, jitter_ratio, max_attempts) = (u.arbitrary()?, u.arbitrary()?, u.arbitrary()?);
    let millis = |u: &mut Unstructured<'_>| Ok(Duration::from_millis(*u.choose(&[0, 1, 500, u64::MAX])?));
    let options = SignallingOptions {
        url: url.clone(),
        reconnect: ReconnectOptions {
            initial_delay: millis(u)?,
            multiplier: if u.arbitrary()? { 2.0 } else { multiplier },
            max_delay: millis(u)?,
            jitter_ratio: if u.arbitrary()? { 0.2 } else { jitter_ratio },
            max_attempts,
        },
        token_provider_timeout: millis(u)?,
        ..SignallingOptions::api_key(Secret::new(key.clone()))
    };
    shows_no_secret(&options);
    let reconnect = &options.reconnect;
    let possible = key.starts_with("pk_")
        && (1.0..f64::INFINITY).contains(&reconnect.multiplier)
        && (0.0..=1.0).contains(&reconnect.jitter_ratio)
        && max_attempts != Some(0)
        && !options.token_provider_timeout.is_zero();
    match Signalling::new(options, 7) {
        Err(error) => {
            // The scheme and the host of a URL are shown, and any text may have the secret there.
            if good.is_some() || error.option != "url" {
                shows_no_secret(&error);
                assert!(!error.to_string().contains(SECRET), "{error}");
            }
            assert!(!possible || good != Some(true), "{url:?} refused: {error}");
        }
        Ok(mut client) => {
            assert!(possible && good != Some(false), "{url:?} accepted");
            client.connect(Instant::now()).expect("an idle client");
            while let Some(output) = client.poll_output() {
                shows_no_secret(&output);
                if let Output::Action(Action::OpenSocket { url, .. }) = output {
                    is_of_the_service(url.expose(), &key);
                }
            }
            shows_no_secret(&client);
        }
    }
    Ok(())
}

/// What a socket is opened to: `/v1` of a secure or local origin, with the credential and nothing else.
fn is_of_the_service(text: &str, key: &str) {
    let url = Url::parse(text).expect("a URL");
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    assert!(url.scheme() == "wss" || (url.scheme() == "ws" && local));
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    assert_eq!(url.path(), "/v1");
    let pairs: Vec<_> = url.query_pairs().collect();
    assert_eq!(pairs, [("key".into(), key.into())]);
    assert!(!url.query().unwrap_or_default().contains('+'), "a space is %20 in a URL");
}

/// A text that may be an origin, and whether it is one if that is plain.
fn origin(u: &mut Unstructured<'_>) -> Result<(String, Option<bool>)> {
    if u.ratio(1, 4)? {
        return Ok((generate::word(u)?, None));
    }
    let scheme = generate::pick(u, &["wss", "ws", "WSS", "https", "file", "javascript"])?;
    let user = generate::pick(u, &["", "", "", "u:hunter2@", "hunter2@", ":@"])?;
    let host = generate::pick(
        u,
        &["example.org", "localhost", "127.0.0.1", "[::1]", "127.0.0.2", "[::2]", "LOCALHOST", "", "é"],
    )?;
    let port = generate::pick(u, &["", ":443", ":1", ":0", ":65536", ":x"])?;
    let rest = generate::pick(u, &["", "", "/", "/v1", "//", "?", "?key=hunter2", "#", "#hunter2", "\\", "\t"])?;
    let plain = port.len() < 5 && port != ":x" && user.is_empty() && matches!(rest, "" | "/");
    let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let good = match scheme {
        "wss" if plain && host.is_ascii() && !host.is_empty() => Some(true),
        "ws" if plain && local => Some(true),
        "ws" if matches!(host, "127.0.0.2" | "[::2]" | "example.org") => Some(false),
        "https" | "file" | "javascript" => Some(false),
        // Without a host, a path becomes one.
        _ if !host.is_empty() && !matches!(rest, "" | "/" | "\\" | "\t") => Some(false),
        _ => None,
    };
    Ok((format!("{scheme}://{user}{host}{port}{rest}"), good))
}

fn peer(u: &mut Unstructured<'_>) -> Result<()> {
    let url = if u.ratio(1, 8)? { u.arbitrary::<&str>()?.to_owned() } else { generate::ice_url(u)? };
    let long = *u.choose(&[1, 1, 1017, 1018])?;
    let servers = *u.choose(&[0, 1, 1, 1, 16, 17])?;
    let server = IceServer {
        urls: vec![url.clone()],
        username: Some("user".to_owned()),
        credential: Some(Secret::new(format!("{SECRET}{}", "x".repeat(long)))),
    };
    let mut options = MeteredPeerOptions::api_key("pk_live_hunter2");
    options.ice_servers = vec![server; servers];
    options.stats_interval = u.arbitrary::<Option<u16>>()?.map(|tenths| Duration::from_millis(u64::from(tenths) * 100));
    let [initial, desired] = u.arbitrary()?;
    options.bandwidth_estimation = if u.arbitrary()? { Some(BandwidthEstimation { initial, desired }) } else { None };
    // A URL is shown unless it looks as if a credential were in it.
    let hidden = url.contains('@') || !url.contains(SECRET);
    if hidden {
        shows_no_secret(&options);
    }
    let rates = 10_000..=10_000_000_000;
    let possible = options.stats_interval.is_none_or(|interval| (100..=3_600_000).contains(&interval.as_millis()))
        && options.bandwidth_estimation.is_none_or(|_| rates.contains(&initial) && rates.contains(&desired))
        && (servers == 0
            || (servers <= 16
                && SECRET.len() + long <= 1024
                && url.chars().count() <= 512
                && model::ice_server_url(&url)));
    match MeteredPeer::new(options, 7) {
        Ok(peer) => {
            assert!(possible, "accepted: {url:?}");
            if hidden {
                shows_no_secret(&peer);
            }
        }
        Err(error) => {
            assert!(!possible, "{url:?} refused: {error}");
            assert!(!hidden || !format!("{error} {error:?}").contains(SECRET), "{error}");
        }
    }
    Ok(())
}
