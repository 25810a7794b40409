//! The signalling server, as a process of its own in the middle.

use std::error::Error;
use std::net::{Ipv6Addr, SocketAddr};

use metered_realtime_server::{Server, ServerConfig, SigningSecret, TokenClaims, mint_token};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::{Outcome, say};

pub(crate) const MODE: &str = "signalling-server";

fn secret() -> SigningSecret {
    SigningSecret::new("sk_id_turn", "sk_secret_turn_turn_turn_turn_turn")
}

/// A token for a peer of this name, with this in its `welcome`.
pub(crate) fn token(name: &str, metadata: Value) -> Outcome<String> {
    let token = mint_token(&secret(), &TokenClaims::new(name).metadata(metadata));
    Ok(token.map_err(|error: _| -> Box<dyn Error + Send + Sync> { format!("{error}").into() })?.expose().to_owned())
}

/// Serves until its input ends. `drop` on a line cuts every socket.
pub(crate) async fn run() -> Outcome {
    let server =
        Server::bind(ServerConfig::new().secret(secret()), SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).await?;
    say(&format!("listening {}", server.local_addr().port()));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == "drop" {
            server.drop_sockets();
        }
    }
    Ok(())
}
