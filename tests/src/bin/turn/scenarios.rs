//! What is tried.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Outcome;
use crate::coturn::{self, FIRST, SECOND};
use crate::network::{Kind, Network, Side, TURN_NAME};
use crate::room::{Logs, Room, give_servers};

type Scenario = for<'a> fn(&'a Network, &'a mut Logs) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

macro_rules! scenarios {
    ($($name:literal: $scenario:ident,)*) => {
        &[$(($name, |network, logs| Box::pin($scenario(network, logs))),)*]
    };
}

/// By what is between the peers.
pub(crate) const ALL: &[(Kind, &[(&str, Scenario)])] = &[
    (
        Kind::Apart,
        scenarios! {
            "relay only, over UDP": over_udp,
            "relay only, over TCP": over_tcp,
            "relay only, over TLS, by name": over_tls,
            "all candidates, where only the relay leads to the other": all_candidates,
            "wrong credentials on one server, another goes on": wrong_credentials,
            "dead servers among several": dead_servers,
            "coturn restarted during a call, over UDP": restarted_over_udp,
            "coturn restarted during a call, over TCP": restarted_over_tcp,
            "allocations that last ten seconds, over UDP and TCP": brief_allocations,
            "a server that starts after the peers": late_server,
            "credentials renewed by a reconnect": renewed_credentials,
            "a certificate for another name, then one for the right one": wrong_name,
            "a server that sends to another one": redirected,
            "URLs that are not supported, beside one that is": unsupported,
        },
    ),
    (
        Kind::TwoFamilies,
        scenarios! {
            "IPv4 alone and IPv6 alone, over relays": two_families,
            "IPv6 alone, at its own address, from a relay": relayed_v6,
        },
    ),
    (
        Kind::BehindNats,
        scenarios! {
            "behind NATs, at what a STUN server sees": behind_nats,
            "behind NATs, relay only": over_udp,
        },
    ),
    (
        Kind::BehindSymmetricNats,
        scenarios! {
            "behind symmetric NATs, where only the relay leads to the other": all_candidates,
        },
    ),
];

fn server(url: String, (username, credential): (&str, &str)) -> Value {
    json!({ "urls": [url], "username": username, "credential": credential })
}

/// Peers that are given these servers meet, and talk.
async fn meet(network: &Network, logs: &mut Logs, relay_only: bool, servers: fn(Side) -> Value) -> Outcome {
    let turn = coturn::start(network, &[]).await?;
    logs.keep("coturn", &turn);
    give_servers(network, servers)?;
    let room = Room::open(network, logs, relay_only).await?;
    room.talks().await?;
    turn.mention(0, &["user <first>", "ALLOCATE processed, success"]).await?;
    turn.mention(0, &["CHANNEL_BIND processed, success"]).await?;
    room.close().await;
    turn.stop().await;
    Ok(())
}

async fn over_udp(network: &Network, logs: &mut Logs) -> Outcome {
    meet(network, logs, true, |side| json!([server(format!("turn:{}", side.middle()), FIRST)])).await
}

async fn over_tcp(network: &Network, logs: &mut Logs) -> Outcome {
    meet(network, logs, true, |side| json!([server(format!("turn:{}?transport=tcp", side.middle()), FIRST)])).await
}

async fn over_tls(network: &Network, logs: &mut Logs) -> Outcome {
    meet(network, logs, true, |_| json!([server(format!("turns:{TURN_NAME}"), FIRST)])).await
}

async fn all_candidates(network: &Network, logs: &mut Logs) -> Outcome {
    meet(
        network,
        logs,
        false,
        |side| json!([{ "urls": format!("stun:{}", side.middle()) }, server(format!("turn:{TURN_NAME}"), FIRST)]),
    )
    .await
}

async fn behind_nats(network: &Network, logs: &mut Logs) -> Outcome {
    let turn = coturn::start(network, &[]).await?;
    logs.keep("coturn", &turn);
    give_servers(network, |side| json!([{ "urls": format!("stun:{}", side.middle()) }]))?;
    let room = Room::open(network, logs, false).await?;
    room.talks().await?;
    if turn.said().iter().any(|line| line.contains("ALLOCATE")) {
        return Err("a relay was asked for".into());
    }
    room.close().await;
    turn.stop().await;
    Ok(())
}

async fn wrong_credentials(network: &Network, logs: &mut Logs) -> Outcome {
    let turn = coturn::start(network, &[]).await?;
    logs.keep("coturn", &turn);
    give_servers(network, |side| {
        let wrong = json!({
            "urls": [format!("turn:{}", side.middle()), format!("turns:{TURN_NAME}")],
            "username": "first",
            "credential": "not-the-word",
        });
        json!([wrong, server(format!("turn:{}?transport=tcp", side.middle()), FIRST)])
    })?;
    let room = Room::open(network, logs, true).await?;
    room.talks().await?;
    for (peer, side) in [(&room.near, Side::A), (&room.far, Side::B)] {
        let expected = format!("failed ICE server {}:3478: it refused the credentials", side.middle());
        peer.line(0, &expected).await?;
        peer.line(0, &format!("failed ICE server {TURN_NAME}:5349: it refused the credentials")).await?;
        let said = peer.said().join("\n");
        if ["not-the-word", "word-of-the-first"].iter().any(|word| said.contains(word)) {
            return Err("a credential is said".into());
        }
    }
    room.close().await;
    turn.stop().await;
    Ok(())
}

async fn dead_servers(network: &Network, logs: &mut Logs) -> Outcome {
    meet(network, logs, true, |side| {
        let [a, b, c, _] = side.own().octets();
        json!([
            // No such host, no such port, and no such name.
            server(format!("turn:{a}.{b}.{c}.99"), FIRST),
            server(format!("turn:{a}.{b}.{c}.99?transport=tcp"), FIRST),
            server(format!("turn:{}:9", side.middle()), FIRST),
            server(format!("turns:{}:9", side.middle()), FIRST),
            server("turn:nowhere.test".to_owned(), FIRST),
            server(format!("turn:{}", side.middle()), FIRST),
        ])
    })
    .await
}

async fn restarted(network: &Network, logs: &mut Logs, servers: fn(Side) -> Value) -> Outcome {
    let turn = coturn::start(network, &[]).await?;
    logs.keep("coturn", &turn);
    give_servers(network, servers)?;
    let room = Room::open(network, logs, true).await?;
    room.talks().await?;
    turn.stop().await;
    let turn = coturn::start(network, &[]).await?;
    logs.keep("coturn again", &turn);
    turn.mention(0, &["user <first>", "ALLOCATE processed, success"]).await?;
    room.talks().await?;
    room.close().await;
    turn.stop().await;
    Ok(())
}

async fn restarted_over_udp(network: &Network, logs: &mut Logs) -> Outcome {
    restarted(network, logs, |side| json!([server(format!("turn:{}", side.middle()), FIRST)])).await
}

async fn restarted_over_tcp(network: &Network, logs: &mut Logs) -> Outcome {
    restarted(network, logs, |side| json!([server(format!("turn:{}?transport=tcp", side.middle()), FIRST)])).await
}

/// A call goes over the same allocations for more than two of their lifetimes.
async fn brief_allocations(network: &Network, logs: &mut Logs) -> Outcome {
    let turn = coturn::start(network, &["--max-allocate-lifetime=10"]).await?;
    logs.keep("coturn", &turn);
    give_servers(network, |side| match side {
        Side::A => json!([server(format!("turn:{}", side.middle()), FIRST)]),
        Side::B => json!([server(format!("turn:{}?transport=tcp", side.middle()), SECOND)]),
    })?;
    let room = Room::open(network, logs, true).await?;
    room.talks().await?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(25) {
        room.talks().await?;
    }
    let said = turn.said();
    for (name, _) in [FIRST, SECOND] {
        let lines = said.iter().filter(|line| line.contains(&format!("<{name}>"))).collect::<Vec<_>>();
        let count = |words: &[&str]| lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count();
        let allocated = count(&["ALLOCATE processed, success"]);
        let refreshed = count(&["refreshed", "lifetime=10"]);
        if allocated != 1 || refreshed < 2 {
            return Err(format!("{name}: {allocated} allocations, refreshed {refreshed} times").into());
        }
    }
    for peer in [&room.near, &room.far] {
        if peer.said().iter().any(|line| line.starts_with("reconnecting") || line.starts_with("failed")) {
            return Err("a relay was lost".into());
        }
    }
    room.close().await;
    turn.stop().await;
    Ok(())
}

async fn late_server(network: &Network, logs: &mut Logs) -> Outcome {
    give_servers(network, |side| json!([server(format!("turn:{}?transport=tcp", side.middle()), FIRST)]))?;
    let room = Room::open(network, logs, true).await?;
    room.near.line(0, "failed").await?;
    let turn = coturn::start(network, &[]).await?;
    logs.keep("coturn", &turn);
    room.talks().await?;
    room.close().await;
    turn.stop().await;
    Ok(())
}

async fn renewed_credentials(network: &Network, logs: &mut Logs) -> Outcome {
    let turn = coturn::start(network, &[]).await?;
    logs.keep("coturn", &turn);
    give_servers(network, |side| json!([server(format!("turn:{}", side.middle()), FIRST)]))?;
    let mut room = Room::open(network, logs, true).await?;
    room.talks().await?;
    give_servers(network, |side| json!([server(format!("turn:{}", side.middle()), SECOND)]))?;
    let near = room.near.said().len();
    room.cut_signalling().await?;
    let (_, back) = room.near.line(near, "reconnecting").await?;
    room.near.line(back, "connected").await?;
    room.talks().await?;
    turn.mention(0, &["user <second>", "ALLOCATE processed, success"]).await?;
    // What the first user had is given back.
    turn.mention(0, &["refreshed", "username=<first>", "lifetime=0"]).await?;
    room.close().await;
    turn.stop().await;
    Ok(())
}

async fn wrong_name(network: &Network, logs: &mut Logs) -> Outcome {
    let turn = coturn::start(network, &[]).await?;
    logs.keep("coturn", &turn);
    // The certificate is for the name, not for the address.
    give_servers(network, |side| {
        json!([server(format!("turns:{}", side.middle()), FIRST), server(format!("turns:{TURN_NAME}"), FIRST)])
    })?;
    let room = Room::open(network, logs, true).await?;
    room.talks().await?;
    room.near.line(0, &format!("failed ICE server {}:5349: it does not answer", Side::A.middle())).await?;
    room.close().await;
    turn.stop().await;
    Ok(())
}

async fn redirected(network: &Network, logs: &mut Logs) -> Outcome {
    let [first, second] = [3478_u16, 3479].map(|port| SocketAddr::from((Side::A.middle(), port)));
    let turn = coturn::start(network, &[&format!("--alternate-server={second}")]).await?;
    logs.keep("coturn", &turn);
    let file = |name: &str| network.file(name).to_string_lossy().into_owned();
    let more = ["--listening-port=3479".to_owned(), "--tls-listening-port=5350".to_owned()];
    let files = [format!("--pidfile={}", file("other.pid")), format!("--userdb={}", file("other.db"))];
    let more: Vec<&str> = more.iter().chain(&files).map(String::as_str).collect();
    let other = coturn::start(network, &more).await?;
    logs.keep("the other coturn", &other);
    give_servers(network, |side| match side {
        Side::A => json!([server(format!("turn:{first}"), FIRST)]),
        Side::B => json!([server(format!("turn:{}:3479", side.middle()), FIRST)]),
    })?;
    let room = Room::open(network, logs, true).await?;
    room.talks().await?;
    if turn.said().iter().any(|line| line.contains("ALLOCATE processed, success")) {
        return Err("the first server gave an address".into());
    }
    room.close().await;
    other.stop().await;
    turn.stop().await;
    Ok(())
}

async fn unsupported(network: &Network, logs: &mut Logs) -> Outcome {
    let turn = coturn::start(network, &[]).await?;
    logs.keep("coturn", &turn);
    give_servers(network, |side| {
        json!([
            server(format!("turns:{TURN_NAME}?transport=udp"), FIRST),
            { "urls": format!("stuns:{TURN_NAME}") },
            { "urls": format!("turn:{}", side.middle()), "username": "first" },
            server(format!("turn:{}", side.middle()), FIRST),
        ])
    })?;
    let room = Room::open(network, logs, true).await?;
    room.talks().await?;
    for line in [
        format!("turns:{TURN_NAME}:5349: TURN over DTLS is not supported"),
        format!("stuns:{TURN_NAME}:5349: STUN over TLS is not supported"),
        format!("turn:{}:3478: it has no username and credential", Side::A.middle()),
    ] {
        room.near.line(0, &format!("failed ICE server {line}")).await?;
    }
    room.close().await;
    turn.stop().await;
    Ok(())
}

fn over_either(side: Side) -> Value {
    match side {
        Side::A => json!([server(format!("turn:{}", side.middle()), FIRST)]),
        Side::B => json!([server(format!("turn:[{}]", side.middle_v6()), FIRST)]),
    }
}

async fn two_families(network: &Network, logs: &mut Logs) -> Outcome {
    meet(network, logs, true, over_either).await
}

/// Only an IPv6 address of the relay leads from one who has none to one who has no other, and no server.
async fn relayed_v6(network: &Network, logs: &mut Logs) -> Outcome {
    let turn = coturn::start_relaying_at(network, &[Side::B], &[]).await?;
    logs.keep("coturn", &turn);
    give_servers(network, |side| if side == Side::A { over_either(side) } else { json!([]) })?;
    let room = Room::open(network, logs, false).await?;
    room.talks().await?;
    turn.mention(0, &["IPv6. Local relay addr"]).await?;
    room.close().await;
    turn.stop().await;
    Ok(())
}
