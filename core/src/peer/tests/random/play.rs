//! Plays steps in a world, then lets the world come to rest and looks whether it is as it should be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::world::{ROOM, World, name, presence, room, secs};
use super::steps::{Step, Whom};
use crate::ids::{Channel, DataChannelId, PeerId, SocketId, StreamId, TokenRequestId, TrackId};
use crate::media::{Codec, EncodedFrame, MediaKind};
use crate::peer::{Event, JoinError, JoinOptions, LocalTrack, MeteredPeerOptions, PeerState, RemoteEvent, SendError};
use crate::property::seed_from;
use crate::protocol::{CloseCode, Payload};
use crate::rtc::{ConnectionState, DataChannelMessage, DataChannelOptions};
use crate::signalling::{self, TokenError};

/// What a game leaves.
pub(super) struct Played {
    /// Every output of every peer.
    pub(super) transcripts: Vec<String>,
    /// What has been seen, by name.
    pub(super) seen: BTreeSet<String>,
}

struct Game {
    world: World,
    /// The data channel each peer opened last.
    channels: Vec<Option<(PeerId, DataChannelId)>>,
}

/// Plays the steps, makes everything well, compares the rosters with the server's list, and closes every peer.
pub(super) fn play(options: &[MeteredPeerOptions], steps: &[Step]) -> Played {
    let mut world = World::of(options.to_vec());
    seed_from(&(options, steps));
    for node in &mut world.nodes {
        node.transcript = Some(String::new());
    }
    let channels = options.iter().map(|_| None).collect();
    let mut game = Game { world, channels };
    for step in steps {
        game.step(step);
    }
    let everyone = game.come_to_rest();
    let mut seen: BTreeSet<String> = everyone.then(|| "everyone sees everyone".to_owned()).into_iter().collect();
    if steps.iter().any(Step::is_of_connections) {
        seen.extend(game.everything_flows());
    }
    game.aftershock(steps.len() % options.len());
    game.end();
    let mut transcripts = Vec::new();
    for node in game.world.nodes {
        seen.extend(node.watch.seen);
        transcripts.extend(node.transcript);
    }
    Played { transcripts, seen }
}

fn track(number: usize) -> LocalTrack {
    LocalTrack { id: TrackId::new(format!("t{number}")).unwrap(), kind: MediaKind::Audio }
}

fn code(code: Option<u16>) -> Option<CloseCode> {
    code.map(CloseCode)
}

impl Game {
    fn peers(&self) -> usize {
        self.world.nodes.len()
    }

    fn id(&self, whom: Whom) -> String {
        match whom {
            Whom::Phantom(number) => format!("phantom-{number}"),
            Whom::Peer(node) => {
                let node = node % self.peers();
                self.world.nodes[node].peer.peer_id().map_or_else(|| name(node), ToString::to_string)
            }
        }
    }

    fn ids(&self, whom: &[Whom]) -> Vec<String> {
        whom.iter().map(|whom| self.id(*whom)).collect()
    }

    fn frame(&mut self, node: usize, text: &str) {
        if let Some(socket) = self.world.nodes[node].socket() {
            self.world.inject_on(node, socket, text);
        }
    }

    fn step(&mut self, step: &Step) {
        let peers = self.peers();
        let world = &mut self.world;
        match step {
            Step::Join(node) => {
                let node = node % peers;
                let before = world.nodes[node].peer.state();
                let result = world.start_join(node);
                assert_eq!(result.is_ok(), before == PeerState::Idle, "{result:?} while {before}");
            }
            Step::JoinReserved(node) => {
                let channel = Channel::new("_metered/x").unwrap();
                let before = world.nodes[node % peers].peer.state();
                let refused = world.call(node % peers, |peer, now| peer.join(now, &channel, JoinOptions::default()));
                assert_eq!(refused == Err(JoinError::ReservedChannel), before == PeerState::Idle);
                assert_eq!(world.nodes[node % peers].peer.state(), before);
            }
            Step::Close(node) => world.call(node % peers, |peer, now| peer.close(now, Some("enough"))),
            Step::Send(node) => self.send(node % peers),
            Step::SendOversized(node) => {
                let payload = Payload::encode(&"x".repeat(65_535)).unwrap();
                let result = world.request(node % peers, |peer, now| peer.send(now, &payload));
                assert!(
                    matches!(result, Err(SendError::Oversized { .. } | SendError::NotJoined | SendError::Closed)),
                    "{result:?}"
                );
            }
            Step::SendTo(node, to) => self.send_to(node % peers, *to),
            Step::Drop(node, code) => {
                if let Some(socket) = world.nodes[node % peers].socket() {
                    world.server_lost(node % peers, socket);
                    world.node_lost(node % peers, socket, code.map(CloseCode));
                }
            }
            Step::DropUnnoticed(node) => {
                if world.nodes[node % peers].socket().is_some() {
                    world.drop_socket_unnoticed(node % peers);
                }
            }
            Step::Notice => world.server_notices(),
            Step::Frame(node, text) => self.frame(node % peers, text),
            Step::FrameOn(node, socket, text) => world.inject_on(node % peers, SocketId(*socket), text),
            Step::Binary(node) => {
                if let Some(socket) = world.nodes[node % peers].socket() {
                    world.call(node % peers, |peer, now| {
                        peer.handle_input(now, signalling::Input::SocketBinary { socket })
                    });
                }
            }
            Step::LateClose(node, socket, close) => {
                let socket = SocketId(*socket);
                world.server_lost(node % peers, socket);
                world.node_lost(node % peers, socket, code(*close));
            }
            Step::LateToken(node, request) => {
                let request = TokenRequestId(*request);
                world.nodes[node % peers].watch.token_answered(request);
                world.call(node % peers, |peer, now| {
                    let token = Err(TokenError::Failed);
                    peer.handle_input(now, signalling::Input::Token { request, token });
                });
            }
            Step::Presence(node, joined, left) => {
                let (joined, left) = (self.ids(joined), self.ids(left));
                let joined: Vec<&str> = joined.iter().map(String::as_str).collect();
                let left: Vec<&str> = left.iter().map(String::as_str).collect();
                self.frame(node % peers, &presence(&joined, &left));
            }
            Step::Signal(node, from, signal) => {
                let from = self.id(*from);
                self.frame(node % peers, &format!(r#"{{"type":"direct","from":"{from}","data":{signal}}}"#));
            }
            Step::Message(node, from) => {
                let from = self.id(*from);
                self.frame(
                    node % peers,
                    &format!(r#"{{"type":"message","channel":"{ROOM}","from":"{from}","data":[1]}}"#),
                );
            }
            Step::Up(up) => world.server.up = *up,
            Step::Refuse(refuse) => world.server.refuse = code(*refuse),
            Step::Welcomes(welcomes) => world.server.welcomes = *welcomes,
            Step::Snapshots(snapshots) => world.server.snapshots = *snapshots,
            Step::Subscribes(answer) => world.server.subscribes = *answer,
            Step::Messages(answer) => world.server.messages = *answer,
            Step::Lifetime(lifetime) => world.server.lifetime = *lifetime,
            Step::Tokens(node, tokens) => world.nodes[node % peers].tokens = tokens.clone(),
            Step::Network(up) => world.network_up = *up,
            Step::Pass(millis) => world.pass(Duration::from_millis(*millis)),
            Step::Sleep(millis) => world.now += Duration::from_millis(*millis),
            Step::Nudge(node) => world.call(node % peers, |peer, now| peer.handle_timeout(now)),
            Step::NudgeLate(node, late) => {
                let late = Duration::from_millis(*late);
                world.call(node % peers, |peer, now| peer.handle_timeout(now.checked_sub(late).unwrap_or(now)));
            }
            media => self.media_step(media),
        }
    }

    fn media_step(&mut self, step: &Step) {
        let peers = self.peers();
        let world = &mut self.world;
        match step {
            Step::AddTrack(node, number, stream) => {
                let stream = stream.map(|stream| StreamId::new(format!("s{stream}")).unwrap());
                let metadata = crate::protocol::Metadata::from_json(r#"{"role":"voice"}"#).ok();
                let _refused = world
                    .call(node % peers, |peer, now| peer.add_track(now, &track(*number), stream.as_ref(), metadata));
            }
            Step::RemoveTrack(node, number) => {
                let _refused = world.call(node % peers, |peer, now| peer.remove_track(now, &track(*number).id));
            }
            Step::ReplaceTrack(node, old, new) => {
                let new = new.map(track);
                let _refused =
                    world.call(node % peers, |peer, now| peer.replace_track(now, &track(*old).id, new.as_ref()));
            }
            Step::OpenChannel(node, to) => {
                let to = self.id(Whom::Peer(*to)).parse().unwrap();
                let options = DataChannelOptions::default();
                let opened = self.world.call(node % peers, |peer, now| peer.open_channel(now, &to, options));
                if let Ok(channel) = opened {
                    self.channels[node % peers] = Some((to, channel));
                }
            }
            Step::ChannelSend(node) => {
                if let Some((to, channel)) = self.channels[node % peers].clone() {
                    let message = DataChannelMessage::Text("hello".into());
                    let _refused =
                        world.request(node % peers, |peer, now| peer.channel_send(now, &to, channel, message));
                }
            }
            Step::CloseChannel(node) => {
                if let Some((to, channel)) = self.channels[node % peers].clone() {
                    world.call(node % peers, |peer, now| peer.close_channel(now, &to, channel));
                }
            }
            other => panic!("{other:?} is no step of this kind"),
        }
    }

    fn send(&mut self, node: usize) {
        let state = self.world.nodes[node].peer.state();
        let payload = Payload::from_json("[1]").unwrap();
        let result = self.world.request(node, |peer, now| peer.send(now, &payload));
        match state {
            PeerState::Joined => assert!(result.is_ok(), "{result:?}"),
            // Connected again, and waiting for the snapshot.
            PeerState::Reconnecting => assert!(matches!(result, Ok(_) | Err(SendError::NotConnected)), "{result:?}"),
            PeerState::Idle | PeerState::Joining => assert_eq!(result, Err(SendError::NotJoined)),
            PeerState::Leaving | PeerState::Closed => assert_eq!(result, Err(SendError::Closed)),
        }
    }

    fn send_to(&mut self, node: usize, to: Whom) {
        let to: PeerId = self.id(to).parse().unwrap();
        let in_room = matches!(self.world.nodes[node].peer.state(), PeerState::Joined | PeerState::Reconnecting);
        let is_self = self.world.nodes[node].peer.peer_id() == Some(&to);
        let payload = Payload::from_json("[1]").unwrap();
        let result = self.world.request(node, |peer, now| peer.send_to(now, &to, &payload));
        assert_eq!(matches!(result, Err(SendError::NotJoined | SendError::Closed)), !in_room, "{result:?}");
        assert_eq!(result == Err(SendError::SelfSend), in_room && is_self, "{result:?}");
    }

    /// Makes everything well and waits. Then all is as it should be. Gives whether more than one peer is in the room.
    fn come_to_rest(&mut self) -> bool {
        let world = &mut self.world;
        world.server.heal();
        world.network_up = true;
        world.server_notices();
        for node in &mut world.nodes {
            node.tokens = Some(Ok("a.token"));
        }
        // Longer than the longest wait before a reconnect and the ten seconds of a token or a welcome together.
        world.pass(secs(60));
        // What was said of phantoms is forgotten with the snapshot of a new connection.
        for node in 0..world.nodes.len() {
            while world.nodes[node].socket().is_some() {
                world.drop_socket(node);
            }
        }
        world.pass(secs(60));
        self.all_is_as_it_should_be()
    }

    /// A frame of every track reaches everyone else, and a new data channel carries a message to everyone else.
    fn everything_flows(&mut self) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let joined = |world: &World| -> Vec<usize> {
            (0..world.nodes.len()).filter(|node| world.nodes[*node].peer.state() == PeerState::Joined).collect()
        };
        for sender in joined(&self.world) {
            let from = self.world.id(sender);
            let others: Vec<usize> = joined(&self.world).into_iter().filter(|other| *other != sender).collect();
            let tracks: Vec<TrackId> = self.world.nodes[sender].peer.mesh.local_tracks().cloned().collect();
            for track in tracks.iter().filter(|_| !others.is_empty()) {
                let before: Vec<usize> = others.iter().map(|other| self.frames(*other, &from, track)).collect();
                for ms in [0, 20, 40] {
                    let (timestamp, data) = (Duration::from_millis(ms), Arc::from([0xf8, 0xff, 0xfe]));
                    let frame = EncodedFrame { codec: Codec::Opus, timestamp, data };
                    self.world.call(sender, |peer, now| peer.write_frame(now, track, &frame));
                    self.world.pass(Duration::from_millis(100));
                }
                for (other, before) in others.iter().zip(before) {
                    assert!(self.frames(*other, &from, track) > before, "{track} of {from} does not flow");
                }
                seen.insert("a frame flows".to_owned());
            }
            for other in others {
                let to = self.world.id(other);
                let options = DataChannelOptions::default();
                let channel = self.world.call(sender, |peer, now| peer.open_channel(now, &to, options)).unwrap();
                let message = DataChannelMessage::Text(format!("from {from}"));
                let sent = message.clone();
                self.world.request(sender, |peer, now| peer.channel_send(now, &to, channel, sent)).unwrap();
                self.world.pass(secs(10));
                let came = |event: &Event| {
                    matches!(event, Event::Remote { peer, event: RemoteEvent::DataChannelMessage { message: got, .. } }
                        if *peer == from && *got == message)
                };
                assert!(self.world.nodes[other].events.iter().any(came), "nothing comes from {from} to {to}");
                seen.insert("a channel carries a message".to_owned());
            }
        }
        seen
    }

    fn frames(&self, node: usize, from: &PeerId, track: &TrackId) -> usize {
        let is_one = |event: &&Event| matches!(event, Event::Remote { peer, event: RemoteEvent::Frame { track: of, .. } } if peer == from && of == track);
        self.world.nodes[node].events.iter().filter(is_one).count()
    }

    /// One of the peers loses its socket once more, and the server is slow to see it. Then all is as before.
    fn aftershock(&mut self, node: usize) {
        let world = &mut self.world;
        if world.nodes[node].socket().is_some() {
            world.drop_socket_unnoticed(node);
            world.pass(secs(3));
            world.server_notices();
            world.pass(secs(60));
            self.all_is_as_it_should_be();
        }
    }

    /// Whoever is in the room sees exactly who else is, and has every track of theirs. Gives whether more than one is
    /// there.
    fn all_is_as_it_should_be(&self) -> bool {
        let world = &self.world;
        let members = world.server.members(ROOM);
        let mut present = BTreeSet::new();
        for node in &world.nodes {
            match node.peer.state() {
                PeerState::Joined => {
                    let own = node.peer.peer_id().unwrap().as_str();
                    assert!(present.insert(own.to_owned()));
                    assert_eq!(node.peer.channel(), Some(&room()));
                    let roster: BTreeSet<String> = node.peer.remote_peers().map(ToString::to_string).collect();
                    let others = members.iter().filter(|id| *id != own).cloned().collect();
                    assert_eq!(roster, others, "the roster of {own}");
                }
                state => assert!(matches!(state, PeerState::Idle | PeerState::Closed), "{state} when all is well"),
            }
        }
        assert_eq!(members, present);
        let joined = || world.nodes.iter().map(|node| &node.peer).filter(|peer| peer.state() == PeerState::Joined);
        for (sender, receiver) in joined().flat_map(|sender| joined().map(move |receiver| (sender, receiver))) {
            let (from, to) = (sender.peer_id().unwrap(), receiver.peer_id().unwrap());
            let sent: BTreeSet<TrackId> = sender.mesh.local_tracks().cloned().collect();
            if from == to || sent.is_empty() {
                continue;
            }
            let received: BTreeSet<TrackId> = receiver.remote_tracks(from).map(|track| track.id.clone()).collect();
            assert_eq!(received, sent, "the tracks of {from} at {to}");
            let shown = (sender.remote_state(to), receiver.remote_state(from));
            assert_eq!(shown, (Some(ConnectionState::Connected), Some(ConnectionState::Connected)), "{from} and {to}");
        }
        present.len() > 1
    }

    /// Closes every peer: each ends once, and nothing comes after.
    fn end(&mut self) {
        let world = &mut self.world;
        for node in 0..world.nodes.len() {
            world.call(node, |peer, now| peer.close(now, None));
        }
        world.pass(secs(2));
        for node in 0..world.nodes.len() {
            assert_eq!(world.nodes[node].peer.state(), PeerState::Closed);
            world.call(node, |peer, now| peer.handle_timeout(now + secs(100)));
            let latest = SocketId(world.nodes[node].latest_socket());
            world.inject_on(node, latest, &presence(&["phantom-0"], &[]));
            world.node_lost(node, latest, None);
        }
    }
}
