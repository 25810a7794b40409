//! webrtc-rs as a peer in a room of our server: the commands and events of `client.mjs`, one JSON object a line in and
//! out. It knows no video, as bots that only speak.

mod connection;
mod room;

use std::error::Error;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::room::Room;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Says what happened.
fn tell(event: &str, mut fields: Value) {
    fields["event"] = event.into();
    println!("{fields}");
}

/// A field that is a text; empty if there is none.
fn text<'a>(fields: &'a Value, name: &str) -> &'a str {
    fields[name].as_str().unwrap_or_default()
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut room = Room::default();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let request: Value = serde_json::from_str(&line)?;
        let reply = match room.command(&request).await {
            Ok(ok) => json!({ "reply": request["id"], "ok": ok }),
            Err(error) => json!({ "reply": request["id"], "error": error.to_string() }),
        };
        println!("{reply}");
    }
    Ok(())
}
