//! A peer in a room.

use std::collections::{BTreeMap, BTreeSet};

use metered_realtime_core::peer::{Event, MeteredPeer, Output, PeerState, RemoteEvent, RoomChannelEvent};
use metered_realtime_core::rtc::ConnectionState;
use metered_realtime_core::{LinkId, PeerId, RequestId, ResolveId, RoomChannelId, net};

use super::sockets::Sockets;
use crate::machines;

/// Remote peers of one room.
const MAX_REMOTE_PEERS: usize = 256;

/// Looks at every input and output, and panics where they break a rule.
#[derive(Debug, Default)]
pub(crate) struct PeerWatch {
    pub(crate) sockets: Sockets,
    state: Option<PeerState>,
    roster: BTreeMap<PeerId, ConnectionState>,
    begun: BTreeSet<RequestId>,
    done: BTreeSet<RequestId>,
    /// Who left since the connection was lost, and whether survivors and newcomers have been told of.
    departed: BTreeSet<PeerId>,
    reconcile: Reconcile,
    /// The room channels that are open, each to a peer.
    open_to: BTreeSet<(RoomChannelId, PeerId)>,
    /// The room channels that the user closed.
    closed: BTreeSet<RoomChannelId>,
    joined: bool,
    left: bool,
    finished: bool,
    /// The links that have not been asked to be closed.
    pub(crate) links: BTreeSet<LinkId>,
    /// All there were.
    pub(crate) links_ever: Vec<LinkId>,
    /// Questions for the addresses of a name.
    pub(crate) names: Vec<ResolveId>,
}

/// Departures come first, then survivors, then newcomers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reconcile {
    #[default]
    Departures,
    Survivors,
    Newcomers,
}

fn may_follow(from: ConnectionState, to: ConnectionState) -> bool {
    use ConnectionState::{Closed, Connected, Connecting, Idle, Reconnecting};
    matches!(
        (from, to),
        (Idle, Connecting)
            | (Connecting | Reconnecting, Connected)
            | (Connecting | Connected, Reconnecting)
            // Where the two sides agree on nothing.
            | (Connecting | Reconnecting, Idle)
    ) || (from != Closed && to == Closed)
}

impl PeerWatch {
    fn state(&self) -> PeerState {
        self.state.unwrap_or(PeerState::Idle)
    }

    fn in_room(&self) -> bool {
        matches!(self.state(), PeerState::Joining | PeerState::Joined | PeerState::Reconnecting)
    }

    /// A request of the user's began.
    pub(crate) fn began(&mut self, request: RequestId) {
        assert!(self.begun.insert(request), "{request:?} began twice");
    }

    /// The user closed a room channel.
    pub(crate) fn room_channel_closed(&mut self, channel: RoomChannelId) {
        self.open_to.retain(|(open, _)| *open != channel);
        self.closed.insert(channel);
    }

    /// Whether messages flow between a room channel and a peer, as the events tell.
    pub(crate) fn is_open_to(&self, channel: RoomChannelId, peer: &PeerId) -> bool {
        self.open_to.contains(&(channel, peer.clone()))
    }

    pub(crate) fn input(&mut self, event: &machines::Event<'_>) {
        let _ignored = self.sockets.input(event);
    }

    pub(crate) fn output(&mut self, output: &Output) {
        assert!(!self.finished, "something after Finished: {output:?}");
        match output {
            Output::Signalling(action) => self.sockets.action(action, self.in_room()),
            Output::Network(action) => self.network(action),
            Output::Event(event) => self.event(event),
            Output::JoinDone { request, result } => {
                self.ended(*request);
                let state = if result.is_ok() { PeerState::Joined } else { PeerState::Idle };
                assert!([state, PeerState::Leaving].contains(&self.state()), "{result:?} while {}", self.state());
            }
            Output::SendDone { request, .. } | Output::ChannelSendDone { request, .. } => self.ended(*request),
            Output::Finished => {
                assert!(self.state() == PeerState::Closed && self.left, "Finished comes after Left");
                self.finished = true;
            }
        }
    }

    fn network(&mut self, action: &net::Action) {
        match action {
            net::Action::Resolve { request, .. } => self.names.push(*request),
            net::Action::OpenLink(open) => {
                assert!(self.links.insert(open.link), "a link is opened twice");
                self.links_ever.push(open.link);
            }
            net::Action::SendLink(send) => {
                assert!(self.links.contains(&send.link), "something for a link that is closed");
            }
            net::Action::CloseLink { link } => assert!(self.links.remove(link), "a link is closed that is not open"),
            net::Action::BindSockets { .. } | net::Action::Transmit(_) => {}
        }
    }

    fn ended(&mut self, request: RequestId) {
        assert!(self.done.insert(request), "{request:?} ended twice");
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::StateChange { from, to } => {
                assert_eq!(*from, self.state(), "states chain");
                assert!(to.may_follow(*from), "{from} → {to}");
                self.state = Some(*to);
                (self.departed, self.reconcile) = (BTreeSet::new(), Reconcile::Departures);
            }
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
                }
                assert_eq!(self.roster.insert(peer.clone(), ConnectionState::Idle), None, "{peer} came twice");
                assert!(self.roster.len() <= MAX_REMOTE_PEERS);
            }
            Event::PeerLeft { peer } => {
                assert!(
                    self.open_to.iter().all(|(_, open)| open != peer),
                    "a room channel is open to {peer}, who left"
                );
                assert_eq!(self.roster.remove(peer), Some(ConnectionState::Closed), "{peer} left unclosed or twice");
                if self.state() == PeerState::Reconnecting {
                    assert_eq!(self.reconcile, Reconcile::Departures, "departures come first");
                    self.departed.insert(peer.clone());
                }
            }
            Event::Data(data) => assert!(self.roster.contains_key(&data.sender), "a message of a stranger"),
            Event::Error(_) => assert!(self.in_room(), "an error while {}", self.state()),
            Event::Remote { peer, event } => self.remote(peer, event),
            Event::RoomChannel { channel, event } => self.room_channel(*channel, event),
            _ => {}
        }
    }

    fn remote(&mut self, peer: &PeerId, event: &RemoteEvent) {
        let reconnecting = self.state() == PeerState::Reconnecting;
        let shown = self.roster.get_mut(peer).unwrap_or_else(|| panic!("{event:?} of a stranger"));
        match event {
            RemoteEvent::StateChange { from, to } => {
                assert_eq!(from, shown, "states chain");
                assert!(may_follow(*from, *to), "{from:?} → {to:?}");
                *shown = *to;
            }
            RemoteEvent::ConnectionReset => {
                let calm = [ConnectionState::Idle, ConnectionState::Reconnecting];
                assert!(calm.contains(shown), "reset while shown as {shown:?}");
                if reconnecting {
                    assert!(self.reconcile <= Reconcile::Survivors, "survivors come before newcomers");
                    self.reconcile = Reconcile::Survivors;
                }
            }
            _ => assert_ne!(*shown, ConnectionState::Closed, "{event:?} after closed"),
        }
    }

    fn room_channel(&mut self, channel: RoomChannelId, event: &RoomChannelEvent) {
        assert!(!self.closed.contains(&channel), "{event:?} of a room channel that was closed");
        let (peer, holds) = match event {
            RoomChannelEvent::Opened { peer } => (peer, self.open_to.insert((channel, peer.clone()))),
            RoomChannelEvent::Closed { peer } => (peer, self.open_to.remove(&(channel, peer.clone()))),
            RoomChannelEvent::Message { peer, .. } => (peer, self.is_open_to(channel, peer)),
            _ => return,
        };
        assert!(holds, "{event:?} out of turn");
        assert!(self.roster.contains_key(peer), "{event:?} of a stranger");
    }

    /// All outputs are drained.
    pub(crate) fn settled(&mut self, peer: &MeteredPeer) {
        let state = self.state();
        assert_eq!(peer.state(), state, "every change of state is told");
        if matches!(state, PeerState::Leaving | PeerState::Closed) {
            // When the peer goes, the others do not: they are closed and not said to leave.
            self.roster.retain(|_, shown| *shown != ConnectionState::Closed);
        }
        let shown = |id: &PeerId| {
            assert!(peer.remote_phase(id).is_some() && peer.remote_counters(id).is_some(), "{id} can be asked about");
            (id.clone(), peer.remote_state(id).expect("one of the room"))
        };
        let roster: BTreeMap<PeerId, ConnectionState> = peer.remote_peers().map(shown).collect();
        assert_eq!(roster, self.roster, "every change of the roster is told");
        if let Some(own) = peer.peer_id().filter(|_| state == PeerState::Joined) {
            assert!(!roster.contains_key(own), "a peer is its own remote peer");
        }
        // A peer that leaves waits for those that have not acknowledged what its data channels have accepted.
        assert!(self.in_room() || state == PeerState::Leaving || roster.is_empty(), "remote peers while {state}");
        if matches!(state, PeerState::Idle | PeerState::Closed) {
            self.sockets.is_over();
            assert_eq!(peer.signalling().subscriptions().count(), 0, "a subscription is left behind");
            assert_eq!(peer.poll_timeout(), None, "nothing is to be waited for while {state}");
        }
        if state == PeerState::Closed {
            assert_eq!(self.begun.difference(&self.done).count(), 0, "a request outlives its peer");
            assert!(self.links.is_empty(), "a link outlives its peer");
        }
        let waits = matches!(state, PeerState::Joining | PeerState::Reconnecting | PeerState::Leaving)
            || (state == PeerState::Joined && peer.signalling().requests_in_flight() > 0);
        assert!(!waits || peer.poll_timeout().is_some(), "something waits for no time while {state}");
        assert_eq!(self.finished, state == PeerState::Closed, "Finished comes with closed");
    }

    pub(crate) fn is_over(&self) {
        assert!(self.finished, "Finished never came");
    }
}
