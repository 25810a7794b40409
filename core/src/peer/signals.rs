//! What the connection to the server, and the connections to the peers, mean for the room.

use std::collections::BTreeSet;
use std::time::Instant;

use super::allowance::{DESCRIPTION, NEW_CONNECTION};
use super::error::{FatalError, JoinError};
use super::machine::{MeteredPeer, Phase, SNAPSHOT_RETRIES, SNAPSHOT_TIMEOUT, Snapshot, Waiting, count};
use super::output::{Event, MeteredData, MeteredDataKind, Output, RemoteEvent};
use super::remote::Remote;
use super::roster::MAX_REMOTE_PEERS;
use crate::ids::{Channel, PeerId, RequestId, TrackId};
use crate::protocol::{
    CloseCode, DescriptionKind, ErrorCode, Metadata, Payload, PeerMessage, Signal, TrackMetadataMessage,
};
use crate::rtc::{self, Connection, ConnectionState, NegotiationError};
use crate::signalling::{self, CloseReason, ConnectError, PeerInfo, RequestError};

/// Errors that answer no request, and that call for the user.
fn is_fatal(code: &ErrorCode) -> bool {
    matches!(
        code.as_str(),
        "channel_not_authorized" | "action_not_permitted" | "account_suspended" | "invalid_token" | "token_expired"
    )
}

/// Whether only a new connection helps.
fn is_spent(error: NegotiationError, connection: &Connection) -> bool {
    error == NegotiationError::TransportFailed
        || (error.is_beyond_repair() && connection.state() != ConnectionState::Connected)
}

/// Why a join failed whose connection ended after the `welcome`.
fn disconnected_while_joining(code: CloseCode, reason: CloseReason) -> JoinError {
    match code {
        CloseCode::ABNORMAL => JoinError::Subscribe(RequestError::Disconnected),
        code => JoinError::Connect(ConnectError::Closed { code, reason }),
    }
}

impl MeteredPeer {
    /// Handles what the connection to the server and the gatherer have put out.
    pub(super) fn pump(&mut self, now: Instant) {
        loop {
            while let Some(output) = self.signalling.poll_output() {
                self.signalling_output(now, output);
            }
            let Some(output) = self.ice.poll_output() else { return };
            self.ice_output(now, output);
        }
    }

    fn signalling_output(&mut self, now: Instant, output: signalling::Output) {
        match output {
            signalling::Output::Action(action) => self.outputs.push_back(Output::Signalling(action)),
            signalling::Output::Connected(Ok(())) => self.subscribe(now),
            signalling::Output::Connected(Err(error)) => self.join_failed(now, error.into()),
            signalling::Output::RequestDone { request, result } => self.request_done(now, request, result),
            signalling::Output::Event(event) => self.signalling_event(now, event),
            signalling::Output::Finished => self.finished(),
        }
    }

    fn subscribe(&mut self, now: Instant) {
        let Phase::Joining { channel, options, .. } = &self.phase else {
            return;
        };
        match self.signalling.subscribe(now, channel, options.include_sender_metadata) {
            Ok(request) => drop(self.waiting.insert(request, Waiting::Join)),
            Err(error) => self.join_failed(now, JoinError::Subscribe(error)),
        }
    }

    /// Back to idle, with nothing left of the attempt.
    fn join_failed(&mut self, now: Instant, error: JoinError) {
        let Phase::Joining { request, .. } = self.phase else {
            return;
        };
        self.signalling.reset();
        self.waiting.clear();
        self.held.clear();
        let peers: Vec<PeerId> = self.roster.ids().cloned().collect();
        for peer in peers {
            self.remove_peer(now, &peer);
        }
        self.peer_id = None;
        self.enter(Phase::Idle);
        self.outputs.push_back(Output::JoinDone { request, result: Err(error) });
    }

    fn finished(&mut self) {
        let Phase::Leaving { channel, reason } = &mut self.phase else {
            return;
        };
        let left = Event::Left { peer_id: self.peer_id.clone(), channel: channel.take(), reason: reason.take() };
        self.enter(Phase::Closed);
        self.ice.abandon();
        self.tell(left);
        self.outputs.push_back(Output::Finished);
    }

    fn request_done(&mut self, now: Instant, request: RequestId, result: Result<(), RequestError>) {
        match (self.waiting.remove(&request), result) {
            (Some(Waiting::Send(request)), result) => {
                self.outputs.push_back(Output::SendDone { request, result: result.map_err(Into::into) });
            }
            (Some(Waiting::Join), Ok(())) => self.joined(),
            // How the connection ended comes next, and says more.
            (Some(Waiting::Join), Err(RequestError::Disconnected)) => {}
            (Some(Waiting::Join), Err(error)) => self.join_failed(now, JoinError::Subscribe(error)),
            (Some(Waiting::Snapshot), Err(error)) => tracing::warn!(%error, "could not ask for presence again"),
            (Some(Waiting::Internal(peer)), Err(error)) => self.undelivered(&peer, &error),
            (Some(Waiting::Snapshot | Waiting::Internal(_)), Ok(())) | (None, _) => {}
        }
    }

    fn undelivered(&mut self, peer: &PeerId, error: &RequestError) {
        count(&mut self.counters.undelivered_signals, 1);
        tracing::warn!(%peer, %error, "signal not delivered");
    }

    fn joined(&mut self) {
        let Phase::Joining { request, channel, options } = &self.phase else {
            return;
        };
        let (request, channel, options) = (*request, channel.clone(), *options);
        self.enter(Phase::Joined { channel: channel.clone(), options });
        if let Some(peer_id) = self.peer_id.clone() {
            self.tell(Event::Joined { peer_id, channel });
        }
        self.outputs.push_back(Output::JoinDone { request, result: Ok(()) });
    }

    fn signalling_event(&mut self, now: Instant, event: signalling::Event) {
        match event {
            signalling::Event::Connected(session) => {
                self.peer_id = Some(session.peer_id);
                self.ice.set_servers(now, &session.ice_servers);
                if session.reconnected {
                    self.reconnected(now);
                }
            }
            signalling::Event::Disconnected { code, reason, .. } if matches!(self.phase, Phase::Joining { .. }) => {
                self.join_failed(now, disconnected_while_joining(code, reason));
            }
            signalling::Event::Disconnected { retry_in: Some(_), .. } => self.signalling_lost(),
            signalling::Event::Disconnected { code, reason, retry_in: None } => self.disconnected(now, code, reason),
            signalling::Event::Message { channel, from, data, sender_metadata } => {
                if self.is_our_room(&channel) {
                    self.user_data(from, data, MeteredDataKind::Broadcast, sender_metadata);
                }
            }
            signalling::Event::Direct { from, data, sender_metadata } => self.direct(now, from, data, sender_metadata),
            signalling::Event::Presence { channel, joined, left } => {
                if self.is_our_room(&channel) {
                    self.presence(now, joined, &left);
                }
            }
            signalling::Event::ServerError { code } => {
                if !is_fatal(&code) {
                    tracing::warn!(%code, "the server reported an error");
                } else if matches!(self.phase, Phase::Joining { .. }) {
                    self.join_failed(now, JoinError::Subscribe(RequestError::Rejected { code }));
                } else {
                    self.fatal(now, FatalError::Server { code });
                }
            }
            signalling::Event::TokenProviderFailed { failures, error } => {
                self.tell(Event::Error(FatalError::TokenProvider { failures, error }));
            }
            signalling::Event::ResubscribeFailed { error, .. } => {
                tracing::warn!(%error, "could not subscribe to the room again");
                self.resubscribe_failed(now, error);
            }
            signalling::Event::Renewed(session) => self.ice.set_servers(now, &session.ice_servers),
            signalling::Event::GoingAway { .. } | signalling::Event::StateChange { .. } => {}
        }
    }

    fn disconnected(&mut self, now: Instant, code: CloseCode, reason: CloseReason) {
        // A leave that is under way ends this way too, and then nothing is wrong.
        if !matches!(self.phase, Phase::Leaving { .. }) {
            self.fatal(now, FatalError::Closed { code, reason });
        }
    }

    fn is_our_room(&self, name: &Channel) -> bool {
        match &self.phase {
            Phase::Joining { channel, .. } | Phase::Joined { channel, .. } | Phase::Reconnecting { channel, .. } => {
                channel == name
            }
            Phase::Idle | Phase::Leaving { .. } | Phase::Closed => false,
        }
    }

    /// The connection dropped and will be made again: everyone stays, and is to be recovered.
    fn signalling_lost(&mut self) {
        let (channel, options) = match &self.phase {
            Phase::Joined { channel, options } | Phase::Reconnecting { channel, options, .. } => {
                (channel.clone(), *options)
            }
            _ => return,
        };
        self.enter(Phase::Reconnecting { channel, options, snapshot: None });
        let mut events = Vec::new();
        for (peer, remote) in self.roster.iter_mut() {
            events.extend(remote.signalling_lost().map(|event| Event::Remote { peer: peer.clone(), event }));
        }
        for event in events {
            self.tell(event);
        }
    }

    /// The connection is back; the machine beneath subscribes again.
    fn reconnected(&mut self, now: Instant) {
        let Phase::Reconnecting { channel, options, snapshot } = &mut self.phase else {
            return;
        };
        if self.roster.len() == 0 {
            let (channel, options) = (channel.clone(), *options);
            self.enter(Phase::Joined { channel, options });
        } else {
            *snapshot = Some(Snapshot { deadline: now + SNAPSHOT_TIMEOUT, retries_left: SNAPSHOT_RETRIES });
        }
    }

    /// All retries of the subscribe after a reconnect failed. While the snapshot is waited for, that has retries of its
    /// own; else we would seem to be in a room that we hear nothing of.
    fn resubscribe_failed(&mut self, now: Instant, error: RequestError) {
        if matches!(self.phase, Phase::Joined { .. }) {
            self.fatal(
                now,
                match error {
                    RequestError::Rejected { code } => FatalError::Server { code },
                    _ => FatalError::ReconcileTimeout,
                },
            );
        }
    }

    /// Nothing has told us who is in the room.
    pub(super) fn snapshot_due(&mut self, now: Instant) {
        let Phase::Reconnecting { channel, options, snapshot: Some(snapshot) } = &mut self.phase else {
            return;
        };
        if snapshot.deadline > now {
            return;
        }
        let Some(retries_left) = snapshot.retries_left.checked_sub(1) else {
            self.fatal(now, FatalError::ReconcileTimeout);
            return;
        };
        *snapshot = Snapshot { deadline: now + SNAPSHOT_TIMEOUT, retries_left };
        if let Ok(request) = self.signalling.subscribe(now, channel, options.include_sender_metadata) {
            self.waiting.insert(request, Waiting::Snapshot);
        }
        self.pump(now);
    }

    fn presence(&mut self, now: Instant, joined: Vec<PeerInfo>, left: &[PeerInfo]) {
        match &self.phase {
            Phase::Reconnecting { channel, options, snapshot: Some(_) } => {
                let (channel, options) = (channel.clone(), *options);
                self.reconcile(now, joined);
                self.enter(Phase::Joined { channel, options });
            }
            Phase::Joining { .. } | Phase::Joined { .. } => {
                for peer in left {
                    self.remove_peer(now, &peer.peer_id);
                }
                for peer in joined {
                    self.add_peer(now, peer);
                }
            }
            _ => {}
        }
    }

    /// Makes the room what the snapshot says: first those who went, then those who stayed, then those who came.
    fn reconcile(&mut self, now: Instant, snapshot: Vec<PeerInfo>) {
        let present: BTreeSet<&PeerId> = snapshot.iter().map(|peer| &peer.peer_id).collect();
        let gone: Vec<PeerId> = self
            .roster
            .ids()
            .filter(|id| !present.contains(id) || self.peer_id.as_ref() == Some(id))
            .cloned()
            .collect();
        for peer in gone {
            self.remove_peer(now, &peer);
        }
        let mut seen = BTreeSet::new();
        let (stayed, came): (Vec<PeerInfo>, Vec<PeerInfo>) = snapshot
            .into_iter()
            .filter(|peer| seen.insert(peer.peer_id.clone()))
            .partition(|peer| self.roster.contains(&peer.peer_id));
        for PeerInfo { peer_id, metadata } in stayed {
            self.replace_connection(now, &peer_id, metadata);
            self.settle(now, &peer_id);
            self.claim_held(now, &peer_id);
        }
        for peer in came {
            self.add_peer(now, peer);
        }
    }

    /// A new connection inside the same remote peer.
    fn replace_connection(&mut self, now: Instant, peer: &PeerId, metadata: Option<Metadata>) {
        let connection = self.new_connection(now, peer);
        let Some(remote) = self.roster.get_mut(peer) else {
            return;
        };
        let (mut old, shown) = remote.reset(connection, metadata);
        if let Some(event) = shown {
            self.tell(Event::Remote { peer: peer.clone(), event });
        }
        self.roster.connection_replaced(peer);
        old.close(now);
        self.finish_connection(now, peer, &mut old);
        self.connection_closed(now);
        self.tell(Event::Remote { peer: peer.clone(), event: RemoteEvent::ConnectionReset });
    }

    /// Makes a new connection to a peer that has closed the old one and is still in the room.
    pub(super) fn revive(&mut self, now: Instant, peer: &PeerId) {
        if self.roster.get(peer).is_some_and(|remote| remote.is_revival_due(now)) {
            let metadata = self.remote_metadata(peer).cloned();
            self.replace_connection(now, peer, metadata);
            self.settle(now, peer);
        }
    }

    fn add_peer(&mut self, now: Instant, peer: PeerInfo) {
        let PeerInfo { peer_id: peer, metadata } = peer;
        if self.peer_id.as_ref() == Some(&peer) || self.roster.contains(&peer) {
            return;
        }
        if self.roster.len() >= MAX_REMOTE_PEERS {
            count(&mut self.counters.excess_peers, 1);
            tracing::warn!(limit = MAX_REMOTE_PEERS, "a peer is left out: the room is full");
            return;
        }
        let connection = self.new_connection(now, &peer);
        self.roster.insert(peer.clone(), Remote::new(connection, metadata.clone()));
        self.tell(Event::PeerJoined { peer: peer.clone(), metadata });
        self.settle(now, &peer);
        self.claim_held(now, &peer);
    }

    /// Hands a peer that is in the room now the signals that came before.
    fn claim_held(&mut self, now: Instant, peer: &PeerId) {
        for message in self.held.take(peer) {
            self.internal_message(now, peer, message);
        }
    }

    fn remove_peer(&mut self, now: Instant, peer: &PeerId) {
        if self.roster.contains(peer) {
            self.close_remote(now, peer);
            self.tell(Event::PeerLeft { peer: peer.clone() });
        }
    }

    fn direct(&mut self, now: Instant, from: PeerId, data: Payload, sender_metadata: Option<Metadata>) {
        match PeerMessage::read(data.as_raw()) {
            PeerMessage::UserData => self.user_data(from, data, MeteredDataKind::Direct, sender_metadata),
            PeerMessage::MalformedSignal => {
                count(&mut self.counters.malformed_signals, 1);
                tracing::warn!(peer = %from, "malformed signal dropped");
            }
            // What comes before the snapshot is for the connections that will be made after it.
            message if self.roster.contains(&from) && !matches!(self.phase, Phase::Reconnecting { .. }) => {
                self.internal_message(now, &from, message);
            }
            message => {
                let dropped = self.held.hold(now, from, data.as_raw(), message);
                count(&mut self.counters.unclaimed_signals, dropped);
            }
        }
    }

    fn user_data(&mut self, sender: PeerId, data: Payload, kind: MeteredDataKind, sender_metadata: Option<Metadata>) {
        if self.roster.contains(&sender) && self.peer_id.as_ref() != Some(&sender) {
            self.tell(Event::Data(MeteredData { sender, data, kind, sender_metadata }));
        } else {
            count(&mut self.counters.foreign_messages, 1);
        }
    }

    fn internal_message(&mut self, now: Instant, from: &PeerId, message: PeerMessage) {
        match message {
            PeerMessage::Signal(signal) => self.signal(now, from, signal),
            PeerMessage::TrackMetadata(message) => {
                if let Some(remote) = self.roster.get_mut(from) {
                    remote.track_metadata(message);
                }
            }
            PeerMessage::MalformedSignal | PeerMessage::UserData => {}
        }
    }

    /// Hands a signal to the peer's connection; to a new one, if it shows that the other side has begun anew. An answer of
    /// such a one is for an offer of the old connection's, and the new one makes its own.
    fn signal(&mut self, now: Instant, from: &PeerId, signal: Signal) {
        let offer = matches!(signal, Signal::Description { kind: DescriptionKind::Offer, .. }).then(|| signal.clone());
        let Some(remote) = self.roster.get_mut(from) else {
            return;
        };
        if matches!(signal, Signal::Description { .. }) && !remote.allowance.spend(now, DESCRIPTION) {
            count(&mut self.counters.excess_descriptions, 1);
            return;
        }
        let begun_anew = if remote.connection.state() == ConnectionState::Closed {
            offer.is_some()
        } else {
            remote.connection.handle_signal(now, signal);
            self.settle(now, from)
        };
        if !begun_anew {
            return;
        }
        if !self.roster.get_mut(from).is_some_and(|remote| remote.allowance.spend(now, NEW_CONNECTION)) {
            count(&mut self.counters.excess_descriptions, 1);
            return;
        }
        let metadata = self.remote_metadata(from).cloned();
        self.replace_connection(now, from, metadata);
        if let Some(offer) = offer
            && let Some(remote) = self.roster.get_mut(from)
        {
            remote.connection.handle_signal(now, offer);
        }
        self.settle(now, from);
    }

    /// Handles what a peer's connection has put out, and notes when it is to be woken. Gives whether the other side
    /// turned out to have begun anew.
    pub(super) fn settle(&mut self, now: Instant, peer: &PeerId) -> bool {
        let (mut begun_anew, mut signals, mut changes, mut hosts) = (false, Vec::new(), Vec::new(), Vec::new());
        if let Some((remote, paths)) = self.roster.get_with_paths(peer) {
            while let Some(output) = remote.connection.poll_output() {
                match output {
                    rtc::Output::Signal(signal) => signals.push(signal),
                    rtc::Output::Transmit(transmit) => {
                        paths.transmits(peer, &transmit);
                        let serial = remote.connection.serial();
                        self.outputs.extend(self.ice.route(now, serial, transmit).map(Output::Transmit));
                    }
                    rtc::Output::SendDone { request, result } => {
                        self.outputs.push_back(Output::ChannelSendDone { request, result });
                    }
                    rtc::Output::Event(rtc::Event::NegotiationError(NegotiationError::PeerReplaced)) => {
                        begun_anew = true;
                    }
                    rtc::Output::Event(rtc::Event::ClosedByRemote) => remote.spent(now),
                    rtc::Output::Event(rtc::Event::IceRestarted) => self.ice.suspect(now),
                    rtc::Output::Event(rtc::Event::HostNamed { host }) => hosts.push(host),
                    rtc::Output::Event(event) => {
                        if matches!(&event, rtc::Event::NegotiationError(error) if is_spent(*error, &remote.connection))
                        {
                            remote.spent(now);
                        }
                        if let rtc::Event::StateChange { from, to } = event {
                            changes.push((from, to));
                        }
                        remote.translate(event, &mut |event| {
                            self.outputs.push_back(Output::Event(Event::Remote { peer: peer.clone(), event }));
                        });
                    }
                }
            }
            self.roster.reschedule(now, peer);
        }
        for host in hosts {
            self.host_named(now, peer, host);
        }
        for (from, to) in changes {
            self.follow_connection(now, from, to);
        }
        for signal in signals {
            self.send_signal(now, peer, &signal);
        }
        begun_anew
    }

    /// Passes on the last outputs of a connection that is closed and no longer in the roster.
    pub(super) fn finish_connection(&mut self, now: Instant, peer: &PeerId, connection: &mut Connection) {
        while let Some(output) = connection.poll_output() {
            match output {
                rtc::Output::Transmit(transmit) => {
                    self.outputs.extend(self.ice.route(now, connection.serial(), transmit).map(Output::Transmit));
                }
                rtc::Output::SendDone { request, result } => {
                    self.outputs.push_back(Output::ChannelSendDone { request, result });
                }
                rtc::Output::Event(rtc::Event::ChannelClosed { channel }) => {
                    self.tell(Event::Remote { peer: peer.clone(), event: RemoteEvent::ChannelClosed { channel } });
                }
                rtc::Output::Event(rtc::Event::LocalTrackActive { track, active }) => {
                    let event = RemoteEvent::LocalTrackActive { track, active };
                    self.tell(Event::Remote { peer: peer.clone(), event });
                }
                rtc::Output::Event(_) | rtc::Output::Signal(_) => {}
            }
        }
    }

    fn send_signal(&mut self, now: Instant, peer: &PeerId, signal: &Signal) {
        match signal.encode() {
            Ok(payload) => self.send_internal(now, peer, &payload),
            Err(error) => tracing::error!(%error, "signal not encodable"),
        }
    }

    /// Tells a peer the metadata of a track, if there is any.
    pub(super) fn send_track_metadata(
        &mut self,
        now: Instant,
        peer: &PeerId,
        track: &TrackId,
        metadata: Option<Metadata>,
    ) {
        if metadata.is_some() {
            self.send_track_metadata_message(now, peer, track, metadata);
        }
    }

    /// Sets, or with `None` clears, what a peer knows of a track.
    pub(super) fn send_track_metadata_message(
        &mut self,
        now: Instant,
        peer: &PeerId,
        track: &TrackId,
        metadata: Option<Metadata>,
    ) {
        match (TrackMetadataMessage { track_id: track.as_str().to_owned(), metadata }).encode() {
            Ok(payload) => self.send_internal(now, peer, &payload),
            Err(error) => tracing::error!(%error, "track metadata not encodable"),
        }
    }

    fn send_internal(&mut self, now: Instant, peer: &PeerId, payload: &Payload) {
        match self.signalling.send(now, peer, payload) {
            Ok(request) => drop(self.waiting.insert(request, Waiting::Internal(peer.clone()))),
            Err(error) => self.undelivered(peer, &error),
        }
    }
}
