//! In a room of a real service, until Ctrl-C.

use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::pin;

use futures_util::future::{Either, select};
use metered_realtime_runtime::{
    ConnectionState, Event, JoinError, MeteredPeer, RemoteEvent, RemotePeer, RemoteTrack, Runtime, Secret,
};

use crate::arguments::{Arguments, Credential, Usage};
use crate::play::Source;
use crate::record;
use crate::report::Report;
use crate::tasks::{Task, Tasks};

/// Why the program ends early.
pub(crate) enum Failure {
    /// What was asked for cannot be.
    Usage(Usage),
    /// Everything else.
    Other(String),
}

/// Joins, shows what happens, plays and records, and leaves properly when interrupted or when the server ends it.
pub(crate) async fn run<R: Runtime>(
    tasks: Tasks<R>,
    arguments: Arguments,
    credential: Credential,
    files: Vec<Source>,
    interrupted: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let report = Report::new();
    if let Some(directory) = &arguments.record {
        std::fs::create_dir_all(directory)
            .map_err(|error| usage(format!("--record {}: {error}", directory.display())))?;
    }
    let peer = make_peer(tasks.runtime(), &arguments, credential)?;
    for source in &files {
        peer.add_stream(source.stream(), source.metadata()).await.map_err(other)?;
    }
    let mut events = peer.events();
    let mut interrupted = pin!(interrupted);
    match select(pin!(peer.join(&arguments.room)), interrupted.as_mut()).await {
        Either::Left((joined, _)) => joined.map_err(join_failed)?,
        Either::Right(_) => {
            peer.close().await;
            return Ok(());
        }
    }
    let mut playing = Playing { waiting: files, repeat: arguments.repeat, running: Vec::new(), report };
    let mut recording = Vec::new();
    let mut fatal = None;
    while let Either::Left((Some(event), _)) = select(pin!(events.next()), interrupted.as_mut()).await {
        if let Event::Error(error) = &event
            && error.is_fatal()
        {
            fatal = Some(error.to_string());
        }
        show(report, &event);
        follow(event, &tasks, report, arguments.record.as_ref(), &mut playing, &mut recording);
    }
    peer.close_with_reason("the user left").await;
    drop(playing);
    for record in recording {
        record.await;
    }
    report.say("room", "left");
    match fatal {
        Some(error) => Err(Failure::Other(error)),
        None => Ok(()),
    }
}

fn make_peer<R: Runtime>(runtime: R, arguments: &Arguments, credential: Credential) -> Result<MeteredPeer<R>, Failure> {
    let mut builder = match credential {
        Credential::Key(key) => MeteredPeer::api_key(key),
        Credential::Token(token) => {
            let token = Secret::new(token);
            MeteredPeer::token_provider(move || std::future::ready(Ok::<_, Infallible>(token.clone())))
        }
    };
    if let Some(url) = &arguments.url {
        builder = builder.url(url);
    }
    builder.loopback_candidates(arguments.loopback).build_on(runtime).map_err(|error| usage(error.to_string()))
}

fn usage(line: String) -> Failure {
    Failure::Usage(Usage(line))
}

fn other(error: impl std::fmt::Display) -> Failure {
    Failure::Other(error.to_string())
}

fn join_failed(error: JoinError) -> Failure {
    match error {
        JoinError::ReservedChannel | JoinError::InvalidChannel(_) => usage(format!("--room: {error}")),
        error => other(error),
    }
}

/// The files: they begin when there is somebody to play them to, and end when this is dropped.
struct Playing {
    waiting: Vec<Source>,
    repeat: bool,
    running: Vec<Task<()>>,
    report: Report,
}

impl Playing {
    fn begin<R: Runtime>(&mut self, tasks: &Tasks<R>) {
        for source in self.waiting.drain(..) {
            let (report, repeat, label) = (self.report, self.repeat, source.label());
            report.say("room", format_args!("playing {label}"));
            let clock = tasks.clone();
            self.running.push(tasks.spawn(async move {
                match source.play(&clock, repeat).await {
                    Ok(frames) => report.say("room", format_args!("played {label}: {frames} frames")),
                    Err(error) => crate::report::complain(&error.to_string()),
                }
            }));
        }
    }
}

/// Plays and records as an event calls for.
fn follow<R: Runtime>(
    event: Event,
    tasks: &Tasks<R>,
    report: Report,
    directory: Option<&PathBuf>,
    playing: &mut Playing,
    recording: &mut Vec<Task<()>>,
) {
    let Event::Remote { event, .. } = event else {
        return;
    };
    match event {
        RemoteEvent::StateChange(change) if change.to == ConnectionState::Connected => playing.begin(tasks),
        RemoteEvent::Track(track) => {
            if let Some(directory) = directory {
                recording.push(tasks.spawn(record::record(report, directory.clone(), track)));
            }
        }
        _ => {}
    }
}

/// Says what happened.
pub(crate) fn show(report: Report, event: &Event) {
    let us = "room";
    match event {
        Event::StateChange(change) => report.say(us, format_args!("{} → {}", change.from, change.to)),
        Event::Joined(joined) => report.say(us, format_args!("joined {} as {}", joined.channel, joined.peer_id)),
        Event::Left(_) => {}
        Event::PeerJoined(peer) => report.say(us, format_args!("{} is here", peer.id())),
        Event::PeerLeft(peer) => report.say(us, format_args!("{} left", peer.id())),
        Event::Data(data) => {
            report.say(data.sender.as_str(), format_args!("{:?}: {}", data.kind, printable(data.data.get())));
        }
        Event::Error(error) => report.say(us, format_args!("error: {error}")),
        Event::Remote { peer, event } => show_remote(report, peer, event),
        _ => {}
    }
}

fn show_remote(report: Report, peer: &RemotePeer, event: &RemoteEvent) {
    let who = peer.id().as_str();
    match event {
        RemoteEvent::StateChange(change) => {
            report.say(who, format_args!("connection {:?} → {:?}", change.from, change.to));
        }
        RemoteEvent::ConnectionReset => report.say(who, "connection replaced"),
        RemoteEvent::Track(track) => {
            let metadata = metadata_of(track);
            report.say(who, format_args!("sends {} track {}, metadata {metadata}", track.kind(), track.id()));
        }
        RemoteEvent::TrackMetadata(track) => {
            report.say(who, format_args!("track {} has metadata {}", track.id(), metadata_of(track)));
        }
        RemoteEvent::TrackRemoved(track) => report.say(who, format_args!("ends track {}", track.id())),
        RemoteEvent::StreamAdded(stream) => report.say(who, format_args!("stream {}", stream.id)),
        RemoteEvent::StreamRemoved(stream) => report.say(who, format_args!("ends stream {}", stream.id)),
        RemoteEvent::DataChannel(channel) => {
            report.say(who, format_args!("opened data channel {:?}", channel.label()));
        }
        RemoteEvent::NegotiationError(error) => report.say(who, format_args!("negotiation: {error}")),
        _ => {}
    }
}

fn metadata_of(track: &RemoteTrack) -> String {
    track.metadata().map_or("none".to_owned(), |metadata| printable(metadata.get()))
}

/// Text of somebody else's, fit for a terminal.
fn printable(text: &str) -> String {
    const CHARS: usize = 200;
    text.chars().take(CHARS).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
