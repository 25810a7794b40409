//! What the frames of clients do.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use metered_realtime_core::protocol::{ClientFrame, ClientFrameError, ErrorCode, Metadata, RawJson, ServerFrame};
use metered_realtime_core::{Channel, PeerId};

use super::fanout::Fanout;
use super::{Hub, Output};
use crate::credentials::Permission;
use crate::state::channel::Subscription;
use crate::state::conn_id::ConnId;
use crate::state::identity::Identity;
use crate::state::request::{self, Refusal, Request};

impl Hub {
    pub(super) fn frame(&mut self, conn: ConnId, frame: Result<ClientFrame<'_>, ClientFrameError>) {
        let Some(connection) = self.connections.get(&conn) else {
            return;
        };
        let identity = Arc::clone(&connection.identity);
        let (request_id, unchecked) = match frame {
            Ok(frame) => request::split(frame),
            Err(error) => {
                self.error(conn, error.code, error.request_id.as_deref().filter(|id| request::fits(id)));
                return;
            }
        };
        let request_id = request_id.as_deref();
        if request_id.is_some_and(|id| !request::fits(id)) {
            self.error(conn, ErrorCode::MalformedMessage, None);
            return;
        }
        let refused = unchecked
            .check(&identity, self.limits.max_message_size)
            .and_then(|request| self.obey(conn, &identity, request, request_id));
        match refused {
            Ok(()) => {}
            Err(Refusal::Error(code)) => self.error(conn, code, request_id),
            Err(Refusal::Close(code)) => self.close(conn, code),
        }
    }

    fn obey(
        &mut self,
        conn: ConnId,
        identity: &Arc<Identity>,
        request: Request<'_>,
        request_id: Option<&str>,
    ) -> Result<(), Refusal> {
        match request {
            Request::Subscribe { channel, include_sender_metadata } => {
                self.remember(conn, &channel)?;
                self.ack(conn, request_id);
                let sees_presence = identity.may(Permission::Presence);
                self.subscribe(conn, identity, channel, Subscription { include_sender_metadata, sees_presence });
            }
            Request::Unsubscribe { channel } => {
                self.ack(conn, request_id);
                if self.connections.get_mut(&conn).is_some_and(|connection| connection.channels.remove(&channel)) {
                    self.unsubscribe(conn, identity, channel);
                }
            }
            Request::Publish { channel, data } => {
                self.count_message(identity)?;
                self.ack(conn, request_id);
                self.announce_speaker(conn, identity);
                self.fan_out(Some(conn), identity, &channel, data);
            }
            Request::Send { to, data } => self.direct(conn, identity, to, data, request_id)?,
            Request::Ping => self.send(conn, &ServerFrame::Pong),
        }
        Ok(())
    }

    /// Counts a message against the tenant's quota.
    pub(super) fn count_message(&mut self, identity: &Identity) -> Result<(), ErrorCode> {
        if self.tenants.message(&identity.tenant) { Ok(()) } else { Err(ErrorCode::OverMessageQuota) }
    }

    /// To every subscribed connection but the one that published, if one did. Another connection of the same peer id gets
    /// it: the two may be different devices. Says how many get it.
    pub(super) fn fan_out(
        &mut self,
        conn: Option<ConnId>,
        from: &Identity,
        channel: &Channel,
        data: RawJson<'_>,
    ) -> usize {
        let Some(state) = self.channels.get(&(from.tenant.clone(), channel.clone())) else {
            return 0;
        };
        let mut fanout = Fanout::new(channel, from, data);
        let before = self.outputs.len();
        for (other, options) in state.all().filter(|(other, _)| Some(*other) != conn) {
            let text = fanout.text(options.include_sender_metadata);
            self.outputs.push_back(Output::Send { conn: other, text });
        }
        self.outputs.len().saturating_sub(before)
    }

    /// To every connection of the peer, the sender's own included if it names itself.
    fn direct(
        &mut self,
        conn: ConnId,
        identity: &Identity,
        to: PeerId,
        data: RawJson<'_>,
        request_id: Option<&str>,
    ) -> Result<(), ErrorCode> {
        let key = (identity.tenant.clone(), to);
        if !self.peers.contains_key(&key) {
            return Err(ErrorCode::PeerNotFound);
        }
        self.count_message(identity)?;
        self.ack(conn, request_id);
        self.announce_speaker(conn, identity);
        let frame = ServerFrame::Direct {
            from: identity.peer_id.as_str().into(),
            data,
            from_metadata: identity.peer_metadata.as_ref().map(Metadata::as_raw),
        };
        let text = Utf8Bytes::from(frame.encode());
        let receivers = self.peers.get(&key).into_iter().flatten();
        self.outputs.extend(receivers.map(|receiver| Output::Send { conn: *receiver, text: text.clone() }));
        Ok(())
    }
}
