//! In a room of a real service, until Ctrl-C.

use std::convert::Infallible;
use std::path::PathBuf;

use metered_realtime_tokio::{ConnectionState, Event, JoinError, MeteredPeer, RemoteEvent, RemotePeer, Secret};
use tokio::task::JoinSet;

use crate::play::Source;
use crate::report::Report;
use crate::{Arguments, Credential, Usage, record};

/// Why the program ends early.
pub(crate) enum Failure {
    /// What was asked for cannot be.
    Usage(Usage),
    /// Everything else.
    Other(String),
}

/// Joins, shows what happens, plays and records, and leaves properly on Ctrl-C or when it is made to leave.
pub(crate) async fn run(arguments: Arguments, credential: Credential, files: Vec<Source>) -> Result<(), Failure> {
    let report = Report::new();
    if let Some(directory) = &arguments.record {
        std::fs::create_dir_all(directory)
            .map_err(|error| usage(format!("--record {}: {error}", directory.display())))?;
    }
    let peer = make_peer(&arguments, credential)?;
    for source in &files {
        peer.add_stream(source.stream(), source.metadata()).await.map_err(other)?;
    }
    let mut events = peer.events();
    // One for the whole time: a signal that comes while an event is being shown must not be lost.
    let mut interrupted = std::pin::pin!(interrupted());
    tokio::select! {
        joined = peer.join(&arguments.room) => joined.map_err(join_failed)?,
        () = &mut interrupted => {
            peer.close().await;
            return Ok(());
        }
    }
    let mut playing = Playing { waiting: files, repeat: arguments.repeat, tasks: JoinSet::new(), report };
    let mut recording = JoinSet::new();
    let mut fatal = None;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => {
                    if let Event::Error(error) = &event {
                        fatal = Some(error.to_string());
                    }
                    show(report, &event);
                    follow(event, report, arguments.record.as_ref(), &mut playing, &mut recording);
                }
                Some(Err(missed)) => report.say("room", missed),
                None => break,
            },
            () = &mut interrupted => break,
        }
    }
    peer.close_with_reason("the user left").await;
    playing.tasks.abort_all();
    while recording.join_next().await.is_some() {}
    report.say("room", "left");
    match fatal {
        Some(error) => Err(Failure::Other(error)),
        None => Ok(()),
    }
}

fn make_peer(arguments: &Arguments, credential: Credential) -> Result<MeteredPeer, Failure> {
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
    builder.loopback_candidates(arguments.loopback).build().map_err(|error| usage(error.to_string()))
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

/// Done at Ctrl-C. If that cannot be waited for, nothing is.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// The files: they begin when there is somebody to play them to.
struct Playing {
    waiting: Vec<Source>,
    repeat: bool,
    tasks: JoinSet<()>,
    report: Report,
}

impl Playing {
    fn begin(&mut self) {
        for source in self.waiting.drain(..) {
            let (report, repeat, label) = (self.report, self.repeat, source.label());
            report.say("room", format_args!("playing {label}"));
            self.tasks.spawn(async move {
                match source.play(repeat).await {
                    Ok(frames) => report.say("room", format_args!("played {label}: {frames} frames")),
                    Err(error) => crate::report::complain(&error.to_string()),
                }
            });
        }
    }
}

/// Does what an event calls for.
fn follow(
    event: Event,
    report: Report,
    directory: Option<&PathBuf>,
    playing: &mut Playing,
    recording: &mut JoinSet<()>,
) {
    let Event::Remote { event, .. } = event else {
        return;
    };
    match event {
        RemoteEvent::StateChange(change) if change.to == ConnectionState::Connected => playing.begin(),
        RemoteEvent::Track(track) => {
            if let Some(directory) = directory {
                recording.spawn(record::record(report, directory.clone(), track));
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
            let metadata = track.metadata().map_or("none", |metadata| metadata.get());
            let metadata = printable(metadata);
            report.say(who, format_args!("sends {} track {}, metadata {metadata}", track.kind(), track.id()));
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

/// Text of somebody else's, fit for a terminal.
fn printable(text: &str) -> String {
    const CHARS: usize = 200;
    text.chars().take(CHARS).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
