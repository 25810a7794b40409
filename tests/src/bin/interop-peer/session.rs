//! One stay in a room, from the streams added before it to leaving.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use metered_realtime_tokio::{LocalStream, LocalTrack, MediaKind, Metadata, MeteredPeer};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::channels::Channels;
use crate::command::{Command, Film};
use crate::frames::Counts;
use crate::player::{play_pictures, play_silence, read_pictures};
use crate::report::Report;
use crate::watch::watch;

/// The state between commands.
pub(crate) struct Session {
    report: Report,
    films: Vec<PathBuf>,
    peer: Option<MeteredPeer>,
    streams: BTreeMap<String, Playing>,
    /// Tracks that took the place of others.
    replacements: BTreeMap<String, (LocalTrack, JoinSet<()>)>,
    channels: Channels,
    counts: Counts,
}

/// A stream of ours and the tasks that write to its tracks.
struct Playing {
    stream: LocalStream,
    metadata: Option<Metadata>,
    players: JoinSet<()>,
}

impl Session {
    pub(crate) fn new(report: Report, films: Vec<PathBuf>) -> Self {
        let (streams, replacements) = (BTreeMap::new(), BTreeMap::new());
        let (channels, counts) = (Channels::default(), Counts::default());
        Self { report, films, peer: None, streams, replacements, channels, counts }
    }

    /// Does it, and gives what the runner wants to know; an error is text for it to show.
    pub(crate) async fn run(&mut self, command: Command) -> Result<Value, String> {
        match command {
            Command::Join { url, key, token, room, loopback } => {
                let peer = match token {
                    Some(token) => {
                        MeteredPeer::token_provider(move || std::future::ready(Ok::<_, Infallible>(token.clone())))
                    }
                    None => MeteredPeer::api_key(key),
                };
                self.join(peer.url(url).loopback_candidates(loopback).build().map_err(text)?, &room).await
            }
            Command::Send { data } => done(self.peer()?.send(&data).await),
            Command::SendTo { peer, data } => done(self.peer()?.send_to(peer, &data).await),
            Command::OpenChannel { peer, label, options } => {
                let remote = self.peer()?.remote_peer(&peer).ok_or("no such peer")?;
                let channel = remote.open_data_channel(options.with_label(label)).await.map_err(text)?;
                self.channels.opening(channel, self.report);
                Ok(Value::Null)
            }
            Command::ChannelSend { peer, label, body } => {
                done(self.channels.get(&peer, &label)?.send(body.message()?).await)
            }
            Command::ChannelClose { peer, label } => {
                self.channels.get(&peer, &label)?.close().await;
                Ok(Value::Null)
            }
            Command::AddStream { metadata, audio, video, film } => {
                self.add_stream(metadata, audio, video.then_some(film)).await
            }
            Command::RemoveStream { stream } => {
                let mut playing = self.streams.remove(&stream).ok_or("no such stream")?;
                playing.players.shutdown().await;
                done(self.peer()?.remove_stream(&playing.stream).await)
            }
            Command::ReplaceTrack { track, play } => self.replace_track(&track, play).await,
            Command::RemoveTrack { track } => {
                let removed = self.track(&track)?;
                self.replacements.remove(&track);
                done(self.peer()?.remove_track(&removed).await)
            }
            Command::Received { peer } => serde_json::to_value(self.counts.of(&peer)).map_err(text),
            Command::Leave { reason } => {
                if let Some(peer) = &self.peer {
                    match reason {
                        Some(reason) => peer.close_with_reason(reason).await,
                        None => peer.close().await,
                    }
                }
                Ok(Value::Null)
            }
        }
    }

    fn peer(&self) -> Result<&MeteredPeer, String> {
        self.peer.as_ref().ok_or_else(|| "not joined".to_owned())
    }

    fn track(&self, id: &str) -> Result<LocalTrack, String> {
        let original = self.streams.values().flat_map(|playing| playing.stream.tracks());
        let replacing = self.replacements.values().map(|(track, _)| track);
        original
            .chain(replacing)
            .find(|track| track.id().as_str() == id)
            .cloned()
            .ok_or_else(|| "no such track".to_owned())
    }

    async fn join(&mut self, peer: MeteredPeer, room: &str) -> Result<Value, String> {
        tokio::spawn(watch(peer.events(), self.report, self.channels.clone(), self.counts.clone()));
        for playing in self.streams.values() {
            peer.add_stream(&playing.stream, playing.metadata.clone()).await.map_err(text)?;
        }
        peer.join(room).await.map_err(text)?;
        let id = peer.peer_id().ok_or("joined without an id")?;
        self.peer = Some(peer);
        Ok(json!({ "peerId": id.as_str() }))
    }

    async fn add_stream(&mut self, metadata: Option<Value>, audio: bool, film: Option<Film>) -> Result<Value, String> {
        let metadata = metadata.map(|metadata| Metadata::encode(&metadata)).transpose().map_err(text)?;
        let mut tracks = Vec::new();
        let mut players = JoinSet::new();
        if audio {
            let track = LocalTrack::audio();
            players.spawn(play_silence(track.clone()));
            tracks.push(track);
        }
        if let Some(film) = film {
            let track = LocalTrack::video();
            players.spawn(play_pictures(track.clone(), self.pictures(film)?, self.report));
            tracks.push(track);
        }
        let stream = LocalStream::new(tracks);
        if let Some(peer) = &self.peer {
            peer.add_stream(&stream, metadata.clone()).await.map_err(text)?;
        }
        let tracks: Vec<_> = stream.tracks().iter().map(described).collect();
        let id = stream.id().to_string();
        let reply = json!({ "stream": id, "tracks": tracks });
        self.streams.insert(id, Playing { stream, metadata, players });
        Ok(reply)
    }

    fn pictures(&self, film: Film) -> Result<Vec<Arc<[u8]>>, String> {
        let file = match film {
            Film::Camera => self.films.first(),
            Film::Screen => self.films.get(1),
        };
        read_pictures(file.ok_or("no such video file was given")?)
    }

    async fn replace_track(&mut self, old: &str, play: Option<Film>) -> Result<Value, String> {
        let old = self.track(old)?;
        let Some(film) = play else {
            self.peer()?.replace_track(&old, None).await.map_err(text)?;
            self.replacements.remove(old.id().as_str());
            return Ok(json!({ "track": null }));
        };
        let new = LocalTrack::video();
        let mut players = JoinSet::new();
        players.spawn(play_pictures(new.clone(), self.pictures(film)?, self.report));
        self.peer()?.replace_track(&old, Some(&new)).await.map_err(text)?;
        self.replacements.remove(old.id().as_str());
        self.replacements.insert(new.id().to_string(), (new.clone(), players));
        Ok(json!({ "track": new.id().as_str() }))
    }
}

fn described(track: &LocalTrack) -> Value {
    let kind = match track.kind() {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    };
    json!({ "id": track.id().as_str(), "kind": kind })
}

fn done<E: Display>(result: Result<(), E>) -> Result<Value, String> {
    result.map(|()| Value::Null).map_err(text)
}

fn text(error: impl Display) -> String {
    error.to_string()
}
