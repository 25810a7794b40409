//! The signalling server and two peers, each in its place.

use std::fs;
use std::net::SocketAddr;

use serde_json::Value;

use crate::Outcome;
use crate::child::{Child, Lines};
use crate::network::{Network, Side};
use crate::peer::Orders;
use crate::{coturn, peer, signalling};

/// What the processes of a scenario have said, to be shown if it fails.
#[derive(Default)]
pub(crate) struct Logs(Vec<(&'static str, Lines)>);

impl Logs {
    pub(crate) fn keep(&mut self, name: &'static str, child: &Child) {
        self.0.push((name, child.lines().clone()));
    }

    /// The last lines of each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let each = self.0.iter().flat_map(|(name, lines)| {
            let all: Vec<_> = lines.all().into_iter().filter(|line| !line.starts_with("heard")).collect();
            let last = all.len().saturating_sub(200);
            all.into_iter().skip(last).map(move |line| format!("{name}: {line}"))
        });
        each.collect()
    }
}

pub(crate) struct Room {
    signalling: Child,
    /// The one that asks, on side A.
    pub(crate) near: Child,
    /// The one that answers, on side B.
    pub(crate) far: Child,
}

fn token_file(network: &Network, side: Side) -> std::path::PathBuf {
    network.file(match side {
        Side::A => "a.token",
        Side::B => "b.token",
    })
}

/// Gives both peers, from their next connect on, these ICE servers.
pub(crate) fn give_servers(network: &Network, servers: impl Fn(Side) -> Value) -> Outcome {
    for (side, name) in [(Side::A, "ada"), (Side::B, "ben")] {
        let metadata = serde_json::json!({ "iceServers": servers(side) });
        fs::write(token_file(network, side), signalling::token(name, metadata)?)?;
    }
    Ok(())
}

impl Room {
    pub(crate) async fn open(network: &Network, logs: &mut Logs, relay_only: bool) -> Outcome<Self> {
        let own = std::env::current_exe()?.to_string_lossy().into_owned();
        let mut command = network.command(&network.middle(), &own);
        command.arg(signalling::MODE);
        let server = Child::start("signalling", command)?;
        let (port, _) = server.line(0, "listening").await?;
        let port: u16 = port.parse()?;
        let start = |side: Side, name, asks| -> Outcome<Child> {
            let orders = Orders {
                signalling: SocketAddr::from((network.middle_of(side), port)),
                token: token_file(network, side),
                relay_only,
                asks,
                authority: coturn::authority(network)?,
            };
            let mut command = network.command(&network.of(side), &own);
            command.args([peer::MODE, &serde_json::to_string(&orders)?]);
            Child::start(name, command)
        };
        let near = start(Side::A, "near", true)?;
        logs.keep("near", &near);
        let far = start(Side::B, "far", false)?;
        logs.keep("far", &far);
        Ok(Self { signalling: server, near, far })
    }

    /// Waits until something goes there and back that was said after this.
    pub(crate) async fn talks(&self) -> Outcome {
        let mut from = self.near.said().len();
        for _ in 0..5 {
            from = self.near.line(from, "heard").await?.1;
        }
        Ok(())
    }

    /// Cuts both connections to the signalling server.
    pub(crate) async fn cut_signalling(&mut self) -> Outcome {
        self.signalling.tell("drop").await
    }

    pub(crate) async fn close(self) {
        self.near.stop().await;
        self.far.stop().await;
        self.signalling.stop().await;
    }
}
