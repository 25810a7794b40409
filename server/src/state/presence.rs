//! Presence in frames that every client takes.
//!
//! A client takes frames up to 1 MiB. The answer to a `subscribe` is one frame with everybody in it, for a client that
//! reconnects takes those that it does not name for gone. Metadata for which there is no room in it follows, with the
//! peers it belongs to, in frames of their own.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use metered_realtime_core::protocol::{Metadata, PresencePeer, RawJson, ServerFrame, limits};
use metered_realtime_core::{Channel, PeerId};

use super::identity::Identity;

/// Bytes of peers in one frame: three quarters of what clients take.
const FRAME_BYTES: usize = limits::CLIENT_INBOUND_FRAME_BYTES / 4 * 3;

/// A peer that came or went, as it was then.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Joined(Arc<Identity>),
    Left(Arc<Identity>),
}

impl Change {
    pub(super) fn identity(&self) -> &Identity {
        let (Self::Joined(identity) | Self::Left(identity)) = self;
        identity
    }
}

pub(super) fn presence_peer<'a>(peer: &'a PeerId, metadata: Option<&'a Metadata>) -> PresencePeer<'a> {
    PresencePeer { peer_id: peer.as_str().into(), metadata: metadata.map(Metadata::as_raw) }
}

/// Bytes of a peer's name in a frame, at most: each of its characters may be escaped by one more.
fn name_bytes(peer: &PresencePeer<'_>) -> usize {
    r#"{"peerId":"","metadata":},"#.len() + 2 * peer.peer_id.len()
}

fn metadata_bytes(peer: &PresencePeer<'_>) -> usize {
    peer.metadata.map_or(0, |metadata: RawJson<'_>| metadata.get().len())
}

fn encode(channel: &Channel, joined: Vec<PresencePeer<'_>>, left: Vec<PresencePeer<'_>>) -> Utf8Bytes {
    ServerFrame::Presence { channel: channel.as_str().into(), joined, left }.encode().into()
}

/// The frames that answer a `subscribe`: everybody, then the metadata that had no room.
///
/// Only where the names alone are too many for one frame, some peers come in the frames that follow.
pub(super) fn snapshot(channel: &Channel, peers: Vec<PresencePeer<'_>>) -> Vec<Utf8Bytes> {
    let mut room = FRAME_BYTES;
    let mut later = Vec::new();
    let mut first = Vec::with_capacity(peers.len());
    for peer in peers {
        match room.checked_sub(name_bytes(&peer)) {
            Some(left) => {
                room = left;
                first.push(peer);
            }
            None => later.push(peer),
        }
    }
    for peer in &mut first {
        match room.checked_sub(metadata_bytes(peer)) {
            Some(left) => room = left,
            None => later.push(PresencePeer { peer_id: peer.peer_id.clone(), metadata: peer.metadata.take() }),
        }
    }
    let mut frames = vec![encode(channel, first, Vec::new())];
    split(later, |joined| frames.push(encode(channel, joined, Vec::new())));
    frames
}

/// Gives the frames that tell of `changes`, in which no peer is named twice.
pub(super) fn delta(channel: &Channel, changes: &[Change], mut emit: impl FnMut(Utf8Bytes)) {
    let peers = |wants_left: bool| {
        let these = changes.iter().filter(move |change| matches!(change, Change::Left(_)) == wants_left);
        these
            .map(|change| presence_peer(&change.identity().peer_id, change.identity().peer_metadata.as_ref()))
            .collect()
    };
    split(peers(true), |left| emit(encode(channel, Vec::new(), left)));
    split(peers(false), |joined| emit(encode(channel, joined, Vec::new())));
}

/// Cuts a list into parts that fit into a frame each. Nothing makes no part.
fn split<'a>(peers: Vec<PresencePeer<'a>>, mut emit: impl FnMut(Vec<PresencePeer<'a>>)) {
    let mut room = FRAME_BYTES;
    let mut part = Vec::new();
    for peer in peers {
        let bytes = name_bytes(&peer) + metadata_bytes(&peer);
        if bytes > room && !part.is_empty() {
            emit(std::mem::take(&mut part));
            room = FRAME_BYTES;
        }
        room = room.saturating_sub(bytes);
        part.push(peer);
    }
    if !part.is_empty() {
        emit(part);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    fn channel() -> Channel {
        Channel::new("c").unwrap()
    }

    /// The frames for so many peers with so much metadata: each frame's size and its peers, with the size of their metadata.
    fn frames(peers: usize, metadata: usize) -> Vec<(usize, BTreeMap<String, Option<usize>>)> {
        let metadata = format!(r#"{{"x":"{}"}}"#, "y".repeat(metadata.saturating_sub(8)));
        let metadata = Metadata::from_json(&metadata).unwrap();
        let ids: Vec<PeerId> = (0..peers).map(|n| PeerId::new(format!("{n:0>128}")).unwrap()).collect();
        let peers = ids.iter().map(|id| presence_peer(id, Some(&metadata))).collect();
        let frames = snapshot(&channel(), peers);
        frames
            .iter()
            .map(|text| {
                let frame: Value = serde_json::from_str(text).unwrap();
                assert_eq!(frame["left"], Value::Array(Vec::new()));
                let peers = frame["joined"].as_array().unwrap().iter();
                let peers = peers.map(|peer| {
                    let metadata = peer.get("metadata").map(|metadata| metadata.to_string().len());
                    (peer["peerId"].as_str().unwrap().to_owned(), metadata)
                });
                (text.len(), peers.collect())
            })
            .collect()
    }

    #[test]
    fn a_room_of_a_hundred_is_one_frame() {
        let frames = frames(100, 4096);
        assert_eq!(frames.len(), 1);
        assert!(frames[0].1.values().all(|metadata| *metadata == Some(4096)));
        assert_eq!(self::frames(0, 0).len(), 1, "nobody is a snapshot too");
    }

    #[test]
    fn three_hundred_members_with_much_metadata_are_all_in_the_first_frame_and_the_metadata_follows() {
        let frames = frames(300, 4096);
        assert!(frames.iter().all(|(size, _)| *size < 800_000), "well below 1 MiB");
        assert_eq!(frames[0].1.len(), 300);
        let mut metadata: BTreeMap<String, usize> = BTreeMap::new();
        for (_, peers) in &frames {
            for (peer, size) in peers {
                if let Some(size) = size {
                    assert!(metadata.insert(peer.clone(), *size).is_none(), "told once");
                }
            }
        }
        assert_eq!(metadata.len(), 300);
        assert!(metadata.values().all(|size| *size == 4096));
    }

    #[test]
    fn names_that_are_too_many_for_one_frame_are_told_in_several() {
        let frames = frames(4000, 8);
        assert!(frames.len() > 1 && frames.iter().all(|(size, _)| *size < 800_000));
        let all: BTreeMap<_, _> = frames.into_iter().flat_map(|(_, peers)| peers).collect();
        assert_eq!(all.len(), 4000);
    }
}
