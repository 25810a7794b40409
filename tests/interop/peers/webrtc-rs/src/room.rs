//! The way to the server, and who is in the room.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::connection::Connection;
use crate::{Outcome, tell, text};

#[derive(Default)]
pub(crate) struct Room {
    frames: Option<mpsc::UnboundedSender<Value>>,
    connections: Arc<Mutex<HashMap<String, Arc<Connection>>>>,
    sends_audio: Arc<std::sync::atomic::AtomicBool>,
}

impl Room {
    pub(crate) async fn command(&mut self, request: &Value) -> Outcome<Value> {
        let peer = text(request, "peer");
        let label = text(request, "label");
        match text(request, "do") {
            "join" => self.join(request).await,
            "addStream" => {
                self.sends_audio.store(true, std::sync::atomic::Ordering::Relaxed);
                Ok(Value::Null)
            }
            "openChannel" => self.links()?.connection(peer).await?.open(label).await,
            "channelSend" => self.links()?.connection(peer).await?.send(label, request).await,
            "channelClose" => self.links()?.connection(peer).await?.close(label).await,
            "received" => Ok(self.links()?.connection(peer).await?.audio_packets().into()),
            other => Err(format!("unknown command {other}").into()),
        }
    }

    async fn join(&mut self, request: &Value) -> Outcome<Value> {
        let (socket, _) = connect_async(format!("{}/v1?key={}", text(request, "url"), text(request, "key"))).await?;
        let (mut sink, mut stream) = socket.split();
        let (frames, mut outgoing) = mpsc::unbounded_channel::<Value>();
        tokio::spawn(async move {
            while let Some(frame) = outgoing.recv().await {
                if sink.send(Message::text(frame.to_string())).await.is_err() {
                    return;
                }
            }
        });
        self.frames = Some(frames.clone());
        let links = self.links()?;
        let room = text(request, "room").to_owned();
        let (joined, acknowledged) = oneshot::channel();
        let mut joined = Some(joined);
        tokio::spawn(async move {
            let mut own = Value::Null;
            while let Some(Ok(message)) = stream.next().await {
                let Ok(frame) =
                    message.to_text().map_err(drop).and_then(|text| serde_json::from_str::<Value>(text).map_err(drop))
                else {
                    continue;
                };
                match text(&frame, "type") {
                    "welcome" => {
                        own = frame["peerId"].clone();
                        drop(frames.send(json!({ "type": "subscribe", "channel": room, "requestId": "room" })));
                    }
                    "ack" if frame["requestId"] == "room" => {
                        drop(joined.take().map(|joined| joined.send(own.clone())));
                    }
                    "presence" => {
                        for other in frame["joined"].as_array().into_iter().flatten() {
                            if other["peerId"] != own {
                                tell("peer-joined", json!({ "peer": other["peerId"] }));
                            }
                        }
                    }
                    "direct" => {
                        let taken = match links.connection(text(&frame, "from")).await {
                            Ok(connection) => connection.take(&frame["data"]).await,
                            Err(error) => Err(error),
                        };
                        if let Err(error) = taken {
                            tell("error", json!({ "error": error.to_string() }));
                        }
                    }
                    "error" => tell("error", json!({ "error": frame["code"] })),
                    _ => {}
                }
            }
        });
        Ok(json!({ "peerId": acknowledged.await? }))
    }

    fn links(&self) -> Outcome<Links> {
        Ok(Links {
            frames: self.frames.clone().ok_or("not joined")?,
            connections: self.connections.clone(),
            sends_audio: self.sends_audio.clone(),
        })
    }
}

/// The connections to the others, made when they are first needed.
struct Links {
    frames: mpsc::UnboundedSender<Value>,
    connections: Arc<Mutex<HashMap<String, Arc<Connection>>>>,
    sends_audio: Arc<std::sync::atomic::AtomicBool>,
}

impl Links {
    async fn connection(&self, peer: &str) -> Outcome<Arc<Connection>> {
        let mut connections = self.connections.lock().await;
        if let Some(connection) = connections.get(peer) {
            return Ok(connection.clone());
        }
        let sends_audio = self.sends_audio.load(std::sync::atomic::Ordering::Relaxed);
        let connection = Connection::new(peer, self.frames.clone(), sends_audio).await?;
        connections.insert(peer.to_owned(), connection.clone());
        Ok(connection)
    }
}
