//! The whole of it on this machine: a server, two peers, and what passes between them.

use std::io::Cursor;
use std::time::{Duration, Instant};

use metered_realtime_runtime::{
    DataChannel, DataChannelMessage, DataChannelOptions, Event, LocalStream, LocalTrack, Metadata, MeteredPeer,
    ReceivedFrame, RemoteEvent, RemotePeer, Runtime,
};

use crate::local_server::LocalServer;
use crate::media_file::MediaReader;
use crate::play;
use crate::report::Report;
use crate::tasks::{Task, Tasks};

const KEY: &str = "pk_live_demonstration";
const ROOM: &str = "room-42";

/// A second of a 440 Hz tone: Ogg with Opus, 20 ms a packet.
const TONE: &[u8] = include_bytes!("tone.ogg");

/// How many messages the round trip is measured with.
const ECHOES: usize = 20;

/// How long anything here may take before the demonstration has failed.
const PATIENCE: Duration = Duration::from_secs(30);

type Outcome<T> = Result<T, String>;

/// Runs the demonstration.
pub(crate) async fn run<R: Runtime>(tasks: Tasks<R>) -> Outcome<()> {
    let shown = tasks.timeout(PATIENCE, show(&tasks)).await;
    shown.ok_or_else(|| "the demonstration took too long".to_owned())?
}

async fn show<R: Runtime>(tasks: &Tasks<R>) -> Outcome<()> {
    let report = Report::new();
    let server = LocalServer::start(KEY).await?;
    report.say("server", format_args!("listening on {}", server.url()));

    let (ada, ben) = (peer(tasks, server.url())?, peer(tasks, server.url())?);
    let watchers = [watch(tasks, report, "ada", &ada), watch(tasks, report, "ben", &ben)];
    let mut seen_by_ada = ada.on_peer_joined();
    let mut seen_by_ben = ben.on_peer_joined();

    let microphone = LocalTrack::audio();
    let stream = LocalStream::new([microphone.clone()]);
    let metadata = Metadata::encode(&serde_json::json!({ "role": "microphone" })).map_err(text)?;
    ada.add_stream(&stream, Some(metadata)).await.map_err(text)?;

    ada.join(ROOM).await.map_err(text)?;
    let ben_begins = Instant::now();
    ben.join(ROOM).await.map_err(text)?;
    let ben_for_ada = seen_by_ada.next().await.ok_or("ben never came")?;
    let ada_for_ben = seen_by_ben.next().await.ok_or("ada never came")?;

    messages(&ada, &ben).await?;

    let echo = tasks.spawn(echo(ada_for_ben.clone()));
    let channel = ben_for_ada.open_data_channel(labelled("echo")).await.map_err(text)?;
    channel.opened().await.map_err(text)?;
    report
        .say("ada", format_args!("data channel open {} ms after ben began to join", ben_begins.elapsed().as_millis()));
    let round_trip = measure(&channel).await?;
    report.say(
        "ada",
        format_args!("data channel echo: {} µs there and back, median of {ECHOES}", round_trip.as_micros()),
    );

    let listening = tasks.spawn(listen(ada_for_ben));
    let (sent, _) = speak(tasks, &microphone).await?;
    report.say("ada", format_args!("sent {sent} Opus frames in a second"));

    ada.close_with_reason("the demonstration is over").await;
    let heard = listening.await?;
    report.say(
        "ben",
        format_args!(
            "heard {} Opus frames, {} bytes, {} ms of sound",
            heard.frames,
            heard.bytes,
            heard.span.as_millis()
        ),
    );
    ben.close().await;
    for watcher in watchers {
        watcher.await;
    }
    echo.await;
    server.stop().await;
    report.say("server", "closed");
    if heard.frames == 0 { Err("no sound arrived".to_owned()) } else { Ok(()) }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn peer<R: Runtime>(tasks: &Tasks<R>, url: &str) -> Outcome<MeteredPeer<R>> {
    MeteredPeer::api_key(KEY).url(url).loopback_candidates(true).build_on(tasks.runtime()).map_err(text)
}

fn labelled(label: &str) -> DataChannelOptions {
    DataChannelOptions { label: label.to_owned(), ..DataChannelOptions::default() }
}

/// Says what a peer sees, until it is closed.
fn watch<R: Runtime>(tasks: &Tasks<R>, report: Report, name: &'static str, peer: &MeteredPeer<R>) -> Task<()> {
    let mut events = peer.events();
    tasks.spawn(async move {
        while let Some(event) = events.next().await {
            if let Some(line) = describe(&event) {
                report.say(name, line);
            }
        }
    })
}

fn describe(event: &Event) -> Option<String> {
    Some(match event {
        Event::StateChange(change) => format!("is {}", change.to),
        Event::Joined(joined) => format!("joined {} as {}", joined.channel, short(joined.peer_id.as_str())),
        Event::Left(left) => format!("left ({})", left.reason.as_deref().unwrap_or("no reason given")),
        Event::PeerJoined(peer) => format!("sees {} come", short(peer.id().as_str())),
        Event::PeerLeft(peer) => format!("sees {} go", short(peer.id().as_str())),
        Event::Data(data) => {
            format!("got a {:?} from {}: {}", data.kind, short(data.sender.as_str()), data.data.get())
        }
        Event::Remote { event: RemoteEvent::StateChange(change), .. } => {
            format!("connection {:?} → {:?}", change.from, change.to)
        }
        Event::Remote { event: RemoteEvent::Track(track), .. } => {
            let metadata = track.metadata();
            let metadata = metadata.as_ref().map_or("none", |metadata| metadata.get());
            format!("gets an {} track, metadata {metadata}", track.kind())
        }
        Event::Remote { event: RemoteEvent::DataChannel(channel), .. } => {
            format!("gets data channel {:?}", channel.label())
        }
        _ => return None,
    })
}

/// The first part of a server-made id.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// A broadcast one way and a direct message the other.
async fn messages<R: Runtime>(ada: &MeteredPeer<R>, ben: &MeteredPeer<R>) -> Outcome<()> {
    let (mut to_ada, mut to_ben) = (ada.on_data(), ben.on_data());
    ada.send(&serde_json::json!({ "type": "chat", "text": "hello, everyone" })).await.map_err(text)?;
    to_ben.next().await.ok_or("the broadcast never came")?;
    let ada_id = ada.peer_id().ok_or("ada has no id")?;
    ben.send_to(&ada_id, &serde_json::json!({ "whisper": "hello, ada" })).await.map_err(text)?;
    to_ada.next().await.ok_or("the direct message never came")?;
    Ok(())
}

/// Sends every message on every data channel back.
async fn echo(remote: RemotePeer) {
    let mut channels = remote.on_data_channel();
    while let Some(channel) = channels.next().await {
        while let Some(Ok(message)) = channel.recv().await {
            if channel.send(message).await.is_err() {
                break;
            }
        }
    }
}

/// The median time of an echo.
async fn measure(channel: &DataChannel) -> Outcome<Duration> {
    let mut times = Vec::new();
    for n in 0..ECHOES {
        let begun = Instant::now();
        channel.send(format!("ping {n}")).await.map_err(text)?;
        match channel.recv().await {
            Some(Ok(DataChannelMessage::Text(back))) if back == format!("ping {n}") => times.push(begun.elapsed()),
            _ => return Err("the echo is not what was sent".to_owned()),
        }
    }
    times.sort_unstable();
    times.get(ECHOES / 2).copied().ok_or_else(|| "nothing was measured".to_owned())
}

/// Plays the tone.
async fn speak<R: Runtime>(tasks: &Tasks<R>, microphone: &LocalTrack) -> Outcome<(u64, Duration)> {
    let mut tone = MediaReader::new("tone.ogg", Cursor::new(TONE)).map_err(text)?;
    play::play_once(tasks, &mut tone, microphone, tasks.now(), Duration::ZERO).await.map_err(text)
}

/// What was heard of a track.
#[derive(Default)]
struct Heard {
    frames: usize,
    bytes: usize,
    span: Duration,
}

/// Listens to the first track of a peer, until it ends.
async fn listen(remote: RemotePeer) -> Outcome<Heard> {
    let track = remote.on_track().next().await.ok_or("no track came")?;
    let mut heard = Heard::default();
    let mut first = None;
    while let Some(ReceivedFrame { timestamp, data, .. }) = track.recv().await {
        heard.frames += 1;
        heard.bytes += data.len();
        heard.span = timestamp.saturating_sub(*first.get_or_insert(timestamp));
    }
    Ok(heard)
}
