//! What happens in the room, told to the runner.

use metered_realtime_tokio::{Event, Events, MeteredDataKind, RemoteEvent, RemotePeer, StateChange};
use serde_json::{Value, json};

use crate::channels::Channels;
use crate::frames::Counts;
use crate::report::Report;

/// Tells every event until the end, and takes in what the peers bring.
pub(crate) async fn watch(mut events: Events<Event>, report: Report, channels: Channels, counts: Counts) {
    while let Some(event) = events.next().await {
        match event {
            Event::Remote { peer, event } => remote(&peer, event, report, &channels, &counts),
            Event::Lagged(missed) => report.tell("missed", json!({ "events": missed })),
            event => room(event, report),
        }
    }
}

fn room(event: Event, report: Report) {
    match event {
        Event::StateChange(change) => report.tell("state", states(change)),
        Event::Joined(joined) => {
            report.tell("joined", json!({ "peerId": joined.peer_id.as_str(), "room": joined.channel.as_str() }));
        }
        Event::Left(left) => {
            let (peer, room) = (left.peer_id, left.channel);
            let (peer, room) = (peer.as_ref().map(|id| id.as_str()), room.as_ref().map(|room| room.as_str()));
            report.tell("left", json!({ "peerId": peer, "room": room, "reason": left.reason }));
        }
        Event::PeerJoined(peer) => {
            report.tell("peer-joined", json!({ "peer": peer.id().as_str(), "metadata": peer.metadata() }));
        }
        Event::PeerLeft(peer) => report.tell("peer-left", json!({ "peer": peer.id().as_str() })),
        Event::Data(data) => {
            let kind = match data.kind {
                MeteredDataKind::Broadcast => "broadcast",
                MeteredDataKind::Direct => "direct",
            };
            report.tell("data", json!({ "from": data.sender.as_str(), "kind": kind, "data": data.data }));
        }
        Event::Error(error) => report.tell("error", json!({ "error": error.to_string() })),
        other => report.tell("other", json!({ "what": format!("{other:?}") })),
    }
}

fn remote(peer: &RemotePeer, event: RemoteEvent, report: Report, channels: &Channels, counts: &Counts) {
    let tell = |event: &str, mut fields: Value| {
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("peer".to_owned(), peer.id().as_str().into());
        }
        report.tell(event, fields);
    };
    match event {
        RemoteEvent::StateChange(change) => tell("remote-state", states(change)),
        RemoteEvent::ConnectionReset => tell("connection-reset", json!({})),
        RemoteEvent::Track(track) => {
            let (kind, streams) = (track.kind().to_string(), track.stream_id().map(|id| id.as_str()));
            let fields = json!({
                "track": track.id().as_str(), "kind": kind, "streams": Vec::from_iter(streams),
                "metadata": track.metadata(),
            });
            tell("track", fields);
            counts.follow(track);
        }
        RemoteEvent::TrackMetadata(track) => {
            tell("track-metadata", json!({ "track": track.id().as_str(), "metadata": track.metadata() }));
        }
        RemoteEvent::StreamMetadata(stream) => {
            tell("stream-metadata", json!({ "stream": stream.id.as_str(), "metadata": stream.metadata }));
        }
        RemoteEvent::TrackRemoved(track) => tell("track-removed", json!({ "track": track.id().as_str() })),
        RemoteEvent::StreamAdded(stream) => {
            tell("stream-added", json!({ "stream": stream.id.as_str(), "metadata": stream.metadata }));
        }
        RemoteEvent::StreamRemoved(stream) => tell("stream-removed", json!({ "stream": stream.id.as_str() })),
        RemoteEvent::DataChannel(channel) => channels.opened(channel, report),
        RemoteEvent::TrackRefused(refused) => tell("track-refused", json!({ "refused": refused.to_string() })),
        RemoteEvent::NegotiationError(error) => tell("negotiation-error", json!({ "error": error.to_string() })),
        other => tell("other", json!({ "what": format!("{other:?}") })),
    }
}

fn states<S: std::fmt::Debug>(change: StateChange<S>) -> Value {
    let name = |state: S| format!("{state:?}").to_lowercase();
    json!({ "from": name(change.from), "to": name(change.to) })
}
