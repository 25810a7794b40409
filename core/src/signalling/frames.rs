//! What each frame means.

use std::time::Instant;

use super::error::RequestError;
use super::machine::{Phase, Signalling};
use super::output::{Event, PeerInfo};
use super::overlap::is_marker;
use crate::counters::increment;
use crate::ids::{PeerId, SocketId};
use crate::protocol::{ErrorCode, PresencePeer, RawJson, ServerFrame};

impl Signalling {
    pub(super) fn frame(&mut self, now: Instant, socket: SocketId, frame: ServerFrame<'_>) {
        if matches!(self.phase, Phase::Connected(_)) {
            self.frame_while_connected(now, socket, frame);
        } else if let ServerFrame::Welcome(welcome) = frame {
            self.welcome(now, socket, &welcome);
        } else {
            self.unexpected("before the welcome");
        }
    }

    pub(super) fn frame_while_connected(&mut self, now: Instant, socket: SocketId, frame: ServerFrame<'_>) {
        match frame {
            ServerFrame::Welcome(_) => self.unexpected("a second welcome"),
            ServerFrame::Ack { request_id } => self.answer(now, socket, &request_id, Ok(())),
            ServerFrame::Error { code, request_id: Some(request_id), .. } => {
                self.answer(now, socket, &request_id, Err(RequestError::Rejected { code }));
            }
            ServerFrame::Error { code: ErrorCode::UnknownType, request_id: None, .. } => {
                tracing::debug!("a server that does not know ping");
            }
            ServerFrame::Error { code, request_id: None, .. } => self.emit(Event::ServerError { code }),
            ServerFrame::Message { channel, from, data, from_metadata } => {
                self.message(&channel, &from, data, from_metadata);
            }
            ServerFrame::Direct { from, data, .. } if is_marker(self.peer_id.as_ref(), &from, data) => {}
            ServerFrame::Direct { from, data, from_metadata } => match self.senders.sender(&from, from_metadata) {
                Ok((from, sender_metadata)) => self.emit(Event::Direct { from, data: data.into(), sender_metadata }),
                Err(error) => self.malformed(&error),
            },
            ServerFrame::Presence { channel, joined, left } => self.presence(&channel, &joined, &left),
            ServerFrame::GoingAway { retry_after } => {
                if let Phase::Connected(connected) = &mut self.phase {
                    connected.server.announced_wait = Some(retry_after);
                }
                self.emit(Event::GoingAway { retry_after });
            }
            ServerFrame::Pong => {}
        }
    }

    fn message(&mut self, channel: &str, from: &str, data: RawJson<'_>, from_metadata: Option<RawJson<'_>>) {
        let Some(channel) = self.subscriptions.channel(channel) else {
            return self.unexpected("a message on a channel not subscribed to");
        };
        match self.senders.sender(from, from_metadata) {
            Ok((from, sender_metadata)) => {
                self.emit(Event::Message { channel, from, data: data.into(), sender_metadata });
            }
            Err(error) => self.malformed(&error),
        }
    }

    fn presence(&mut self, channel: &str, joined: &[PresencePeer<'_>], left: &[PresencePeer<'_>]) {
        let Some(channel) = self.subscriptions.channel(channel) else {
            return self.unexpected("presence of a channel not subscribed to");
        };
        let (joined, left) = (self.peers(joined), self.peers(left));
        self.emit(Event::Presence { channel, joined, left });
    }

    /// The peers of a presence frame, without those whose id breaks a rule.
    fn peers(&mut self, peers: &[PresencePeer<'_>]) -> Vec<PeerInfo> {
        let mut known = Vec::with_capacity(peers.len());
        for peer in peers {
            match PeerId::new(&peer.peer_id) {
                Ok(peer_id) => {
                    known.push(PeerInfo { peer_id, metadata: peer.metadata.and_then(|raw| raw.try_into().ok()) })
                }
                Err(error) => self.malformed(&error),
            }
        }
        known
    }

    pub(super) fn malformed(&mut self, error: &impl std::error::Error) {
        increment(&mut self.counters.malformed_frames);
        tracing::debug!(%error, "frame dropped");
    }

    pub(super) fn unexpected(&mut self, what: &'static str) {
        increment(&mut self.counters.unexpected_frames);
        tracing::debug!(what, "frame dropped");
    }
}
