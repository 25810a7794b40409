//! Fifty sensors and a dashboard, through the server alone. Each has a token of its own, made anew for every connect.
//!
//! `cargo run --example iot` runs all of it on this machine, with a server of its own. In an installation the tokens come from
//! your backend, which holds the secret.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::collections::BTreeMap;
use std::time::Duration;

use metered_realtime_server::{MintError, Permission, Server, ServerConfig, SigningSecret, TokenClaims, mint_token};
use metered_realtime_tokio::{PeerId, ReconnectOptions, Secret, SignallingClient, SignallingClientBuilder};
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

const CHANNEL: &str = "sensors";
pub(crate) const SENSORS: usize = 50;

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Reading {
    celsius: f64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = SigningSecret::new("sk_id_example", "sk_secret_example_of_32_bytes_or_more");
    let server = Server::bind(ServerConfig::new().secret(secret.clone()), "127.0.0.1:0").await?;
    for number in 0..SENSORS {
        tokio::spawn(sense(
            client(&secret, format!("sensor-{number}"), Permission::Publish, server.url()).build()?,
            number,
        ));
    }
    let dashboard = client(&secret, "dashboard".to_owned(), Permission::Subscribe, server.url()).build()?;
    tokio::select! {
        result = show(&dashboard, |line| println!("{line}")) => result?,
        _ = tokio::signal::ctrl_c() => {}
    }
    dashboard.close().await;
    server.shutdown().await;
    Ok(())
}

/// A client that gets its token from this machine. The provider is asked before every connect.
pub(crate) fn client(
    secret: &SigningSecret,
    name: String,
    permission: Permission,
    url: String,
) -> SignallingClientBuilder {
    let secret = secret.clone();
    let token = move || -> Result<Secret, MintError> {
        let claims = TokenClaims::new(&name).channels([CHANNEL]).permissions([permission, Permission::Presence]);
        mint_token(&secret, &claims)
    };
    // As often as it takes: a network may be down for long.
    let reconnect = ReconnectOptions { max_attempts: None, ..ReconnectOptions::default() };
    SignallingClient::token_provider(move || std::future::ready(token()))
        .url(url)
        .reconnect(reconnect)
        .retry_first_connect(true)
}

/// Measures twice a second. What cannot be sent is left out: the next reading follows.
pub(crate) async fn sense(client: SignallingClient, number: usize) {
    if let Err(error) = client.connect().await {
        tracing::error!(%error, number, "a sensor cannot connect");
        return;
    }
    let mut clock = interval(Duration::from_millis(500));
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for n in 0_u32.. {
        clock.tick().await;
        let celsius = 20.0 + f64::from(n % 10) / 10.0;
        if let Err(error) = client.publish(CHANNEL, &Reading { celsius }).await {
            tracing::warn!(%error, number, "a reading is left out");
        }
    }
}

/// Shows the newest readings every second, until the client closes.
pub(crate) async fn show(
    dashboard: &SignallingClient,
    mut print: impl FnMut(String),
) -> Result<(), Box<dyn std::error::Error>> {
    dashboard.connect().await?;
    let mut sensors = dashboard.subscribe(CHANNEL).await?;
    let mut newest = BTreeMap::<PeerId, Reading>::new();
    let mut clock = interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            message = sensors.next() => {
                let Some(message) = message else { return Ok(()) };
                match message.decode() {
                    Ok(reading) => drop(newest.insert(message.from, reading)),
                    Err(error) => print(format!("{} sends no reading: {error}", message.from)),
                }
            }
            _ = clock.tick() => {
                let sum: f64 = newest.values().map(|reading| reading.celsius).sum();
                let mean = sum / newest.len().max(1) as f64;
                print(format!("{} sensors, {mean:.1} °C on average", newest.len()));
            }
        }
    }
}
