//! What must hold always, whatever comes in.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{LinkId, PeerId, RequestId, SocketId, TokenRequestId};
use crate::net;
use crate::peer::room::MAX_REMOTE_PEERS;
use crate::peer::{Event, JoinError, MeteredPeer, Output, PeerState, RemoteEvent, RoomChannelEvent, SendError};
use crate::rtc::ConnectionState;
use crate::signalling::Action;

/// Looks at every output of one peer, and panics where it breaks a rule.
#[derive(Debug, Default)]
pub(super) struct Watch {
    state: Option<PeerState>,
    /// The remote peers as the events tell them.
    roster: BTreeMap<PeerId, ConnectionState>,
    /// The requests that began, as far as the test tells them, and those that ended.
    begun: BTreeSet<RequestId>,
    done: BTreeSet<RequestId>,
    /// The sockets that are open or opening, in the order they were opened: one, or two while a token is renewed.
    pub(super) open_sockets: Vec<SocketId>,
    open_token: Option<TokenRequestId>,
    /// Who left since the connection was lost.
    departed: BTreeSet<PeerId>,
    /// How far the reconcile is: departures, then survivors, then newcomers.
    reconcile: Reconcile,
    joined: bool,
    left: bool,
    finished: bool,
    sockets_asked_for: bool,
    links: BTreeSet<LinkId>,
    /// What has been seen, by name.
    pub(super) seen: BTreeSet<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reconcile {
    #[default]
    Departures,
    Survivors,
    Newcomers,
}

/// States of a remote peer, as the user sees them.
fn is_documented_of_a_remote_peer(from: ConnectionState, to: ConnectionState) -> bool {
    use ConnectionState::{Closed, Connected, Connecting, Idle, Reconnecting};
    matches!(
        (from, to),
        (Idle, Connecting)
            | (Connecting, Connected)
            | (Connecting | Connected, Reconnecting)
            | (Reconnecting, Connected)
            // Where the two sides agree on nothing.
            | (Connecting | Reconnecting, Idle)
            | (Idle | Connecting | Connected | Reconnecting, Closed)
    )
}

impl Watch {
    fn state(&self) -> PeerState {
        self.state.unwrap_or(PeerState::Idle)
    }

    /// A request of the user's began.
    pub(super) fn began(&mut self, request: RequestId) {
        assert!(self.begun.insert(request), "{request:?} began twice");
    }

    pub(super) fn output(&mut self, output: &Output) {
        assert!(!self.finished, "something after Finished: {output:?}");
        match output {
            Output::Signalling(action) => self.action(action),
            Output::Network(net::Action::BindSockets { .. }) => {
                assert!(!std::mem::replace(&mut self.sockets_asked_for, true), "sockets are asked for once");
            }
            Output::Network(net::Action::Transmit(_) | net::Action::Resolve { .. }) => {}
            Output::Network(net::Action::OpenLink(open)) => {
                assert!(self.links.insert(open.link), "a link is opened twice")
            }
            Output::Network(net::Action::SendLink(send)) => {
                assert!(self.links.contains(&send.link), "something for a link that is closed")
            }
            Output::Network(net::Action::CloseLink { link }) => {
                assert!(self.links.remove(link), "a link is closed that is not open")
            }
            Output::Event(event) => self.event(event),
            Output::JoinDone { request, result } => {
                self.ended(*request);
                self.see(match result {
                    Ok(()) => "join: ok",
                    Err(JoinError::Connect(_)) => "join: not connected",
                    Err(JoinError::Subscribe(_)) => "join: not subscribed",
                    Err(_) => panic!("told at once, not later: {result:?}"),
                });
                let state = if result.is_ok() { PeerState::Joined } else { PeerState::Idle };
                assert!([state, PeerState::Leaving].contains(&self.state()), "{result:?} while {}", self.state());
            }
            Output::SendDone { request, result } => {
                self.ended(*request);
                self.see(&format!("send: {}", result.as_ref().map_or_else(SendError::name, |()| "ok")));
            }
            Output::ChannelSendDone { request, .. } => self.ended(*request),
            Output::Finished => {
                assert!(self.state() == PeerState::Closed && self.left, "Finished comes after Left");
                assert!(self.links.is_empty(), "a link outlives its peer");
                self.finished = true;
            }
        }
    }

    fn ended(&mut self, request: RequestId) {
        assert!(self.done.insert(request), "{request:?} ended twice");
    }

    fn see(&mut self, what: &str) {
        if !self.seen.contains(what) {
            self.seen.insert(what.to_owned());
        }
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::OpenSocket { socket, .. } => {
                assert_eq!(self.open_token, None, "a connection before its token");
                self.one_more();
                self.open_sockets.push(*socket);
            }
            Action::SendText { socket, .. } => {
                assert!(self.open_sockets.contains(socket), "text for a socket that is gone");
            }
            Action::CloseSocket { socket, .. } => {
                let at = self.open_sockets.iter().position(|open| open == socket);
                let at = at.expect("a close of a socket that is gone");
                if self.open_sockets.len() == 2 && self.in_room() {
                    self.see(["renewal: the old socket goes", "renewal: the new socket goes"][at]);
                }
                self.open_sockets.remove(at);
            }
            Action::FetchToken { request } => {
                assert_eq!(self.open_token, None, "two questions at a time");
                self.one_more();
                self.open_token = Some(*request);
            }
            Action::AbandonToken { request } => {
                assert_eq!(self.open_token.take(), Some(*request), "a question that is not open");
            }
        }
    }

    /// A connection is begun, which may be the second if there has been a `welcome` on the first.
    fn one_more(&mut self) {
        assert!(self.open_sockets.len() <= 1, "a third connection");
        if !self.open_sockets.is_empty() {
            assert!(self.in_room(), "two connections at a time while {}", self.state());
            self.see(&format!("renewal while {}", self.state()));
        }
    }

    pub(super) fn token_answered(&mut self, request: TokenRequestId) {
        self.open_token.take_if(|open| *open == request);
    }

    pub(super) fn socket_closed(&mut self, socket: SocketId) {
        self.open_sockets.retain(|open| *open != socket);
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::StateChange { from, to } => self.state_change(*from, *to),
            Event::Joined { .. } => {
                assert_eq!(self.state(), PeerState::Joined);
                assert!(!std::mem::replace(&mut self.joined, true), "Joined comes once");
            }
            Event::Left { .. } => {
                assert_eq!(self.state(), PeerState::Closed);
                assert!(!std::mem::replace(&mut self.left, true), "Left comes once");
            }
            Event::PeerJoined { peer, .. } => {
                assert!(self.in_room(), "somebody came while {}", self.state());
                if self.state() == PeerState::Reconnecting {
                    assert!(!self.departed.contains(peer), "{peer} survived and lost its identity");
                    self.reconcile = Reconcile::Newcomers;
                    self.see("reconcile: newcomer");
                }
                let former = self.roster.insert(peer.clone(), ConnectionState::Idle);
                assert_eq!(former, None, "{peer} came twice");
                assert!(self.roster.len() <= MAX_REMOTE_PEERS);
            }
            Event::PeerLeft { peer } => {
                assert_eq!(self.roster.remove(peer), Some(ConnectionState::Closed), "{peer} left unclosed or twice");
                if self.state() == PeerState::Reconnecting {
                    assert_eq!(self.reconcile, Reconcile::Departures, "departures come first");
                    self.departed.insert(peer.clone());
                    self.see("reconcile: departure");
                }
            }
            Event::IceServerFailed(_) | Event::NoRelayServer => {}
            Event::Disconnected { attempt, .. } => {
                let state = self.state();
                assert!(matches!(state, PeerState::Joined | PeerState::Reconnecting), "a drop while {state}");
                assert!(*attempt > 0, "attempts count from 1");
            }
            Event::Data(data) => {
                assert!(self.roster.contains_key(&data.sender), "a message of a stranger");
                self.see("data");
            }
            Event::Error(error) => {
                assert!(self.in_room(), "an error while {}", self.state());
                self.see(&format!("error: {}", error.name()));
            }
            Event::Remote { peer, event } => self.remote(peer, event),
            Event::RoomChannel { event, .. } => {
                use RoomChannelEvent::{Closed, Message, Opened};
                let (Opened { peer } | Closed { peer } | Message { peer, .. }) = event;
                assert!(self.roster.contains_key(peer), "a stranger on a room channel");
            }
        }
    }

    fn in_room(&self) -> bool {
        matches!(self.state(), PeerState::Joining | PeerState::Joined | PeerState::Reconnecting)
    }

    fn state_change(&mut self, from: PeerState, to: PeerState) {
        assert_eq!(from, self.state(), "states chain");
        assert!(to.may_follow(from), "{from} → {to}");
        self.state = Some(to);
        (self.departed, self.reconcile) = (BTreeSet::new(), Reconcile::Departures);
        self.see(&format!("{from} → {to}"));
        if to == PeerState::Reconnecting {
            self.see(if self.roster.is_empty() { "reconnecting alone" } else { "reconnecting in company" });
        }
    }

    fn remote(&mut self, peer: &PeerId, event: &RemoteEvent) {
        let reconnecting = self.state() == PeerState::Reconnecting;
        let shown = self.roster.get_mut(peer).unwrap_or_else(|| panic!("{event:?} of a stranger"));
        match event {
            RemoteEvent::StateChange { from, to } => {
                assert_eq!(from, shown, "states chain");
                assert!(is_documented_of_a_remote_peer(*from, *to), "{from:?} → {to:?}");
                *shown = *to;
                self.see(&format!("remote {from:?} → {to:?}"));
            }
            RemoteEvent::ConnectionReset => {
                assert!(
                    matches!(shown, ConnectionState::Idle | ConnectionState::Reconnecting),
                    "reset while shown as {shown:?}"
                );
                if reconnecting {
                    assert!(self.reconcile <= Reconcile::Survivors, "survivors come before newcomers");
                    self.reconcile = Reconcile::Survivors;
                    self.see("reconcile: survivor");
                } else {
                    self.see("reset in the room");
                }
            }
            _ => assert_ne!(*shown, ConnectionState::Closed, "{event:?} after closed"),
        }
    }

    /// All outputs are drained.
    pub(super) fn settled(&mut self, peer: &MeteredPeer) {
        let state = self.state();
        assert_eq!(peer.state(), state, "every change of state is told");
        let roster: BTreeMap<PeerId, ConnectionState> =
            peer.remote_peers().map(|id| (id.clone(), peer.remote_state(id).unwrap())).collect();
        if matches!(state, PeerState::Leaving | PeerState::Closed) {
            // When we go, the others do not: they are closed and not said to leave.
            self.roster.retain(|_, shown| *shown != ConnectionState::Closed);
        }
        assert_eq!(roster, self.roster, "every change of the roster is told");
        if let Some(own) = peer.peer_id() {
            assert!(!matches!(state, PeerState::Joined) || !roster.contains_key(own), "we are not our own peer");
        }
        let in_company = matches!(state, PeerState::Joining | PeerState::Joined | PeerState::Reconnecting);
        // Those whose data channels have accepted what is not sent are waited for.
        assert!(in_company || state == PeerState::Leaving || roster.is_empty(), "remote peers while {state}");
        if state == PeerState::Reconnecting {
            let calm = [ConnectionState::Idle, ConnectionState::Connecting, ConnectionState::Reconnecting];
            assert!(roster.values().all(|shown| calm.contains(shown)), "connected while reconnecting: {roster:?}");
        }
        let connected = peer.signalling().requests_in_flight();
        let noted = peer.room.requests();
        assert!(noted <= connected, "{noted} requests noted, {connected} in flight");
        assert!(!peer.mesh.is_dirty(), "a connection was not drained");
        assert!(!in_company || peer.room.members().eq(peer.mesh.peers()), "the mesh has other peers than the room");
        let (signals, bytes) = peer.room.early_signals();
        assert!(signals <= 256 && bytes <= 1024 * 1024, "{signals} signals with {bytes} bytes are held");
        assert!(signals == 0 || in_company, "signals are held while {state}");
        if matches!(state, PeerState::Idle | PeerState::Closed) {
            assert_eq!((&self.open_sockets[..], self.open_token), (&[][..], None), "a connection is left behind");
            assert_eq!(peer.signalling().subscriptions().count(), 0, "a subscription is left behind");
            assert_eq!(peer.poll_timeout(), None, "nothing is to be waited for while {state}");
        }
        let open = self.begun.difference(&self.done).count();
        assert!(open == 0 || state != PeerState::Closed, "{open} requests outlive their peer");
        let waits = matches!(state, PeerState::Joining | PeerState::Reconnecting | PeerState::Leaving)
            || (state == PeerState::Joined && connected > 0);
        assert!(!waits || peer.poll_timeout().is_some(), "something waits for no time while {state}");
        assert_eq!(self.finished, state == PeerState::Closed, "Finished comes with closed");
        if state != PeerState::Idle {
            assert_eq!(peer.channel().is_some() && in_company, state_has_channel(state));
        }
    }
}

fn state_has_channel(state: PeerState) -> bool {
    matches!(state, PeerState::Joined | PeerState::Reconnecting)
}
