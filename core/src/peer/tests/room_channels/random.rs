//! Peers that come, go, reconnect, open and close a room channel in any order.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::{LABEL, text};
use crate::ids::{PeerId, RoomChannelId};
use crate::peer::tests::world::{World, secs};
use crate::peer::{Event, PeerState, RoomChannelEvent};
use crate::property::{assert_seen, collect, runner, seed_from};
use crate::rtc::DataChannelOptions;

const PEERS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Join(usize),
    Leave(usize),
    DropSocket(usize),
    Open(usize),
    Close(usize),
    /// Opens a data channel with the label to one peer.
    OpenByHand(usize, usize),
    Broadcast(usize),
    Network(bool),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = 0..PEERS;
    let step = prop_oneof![
        2 => node.clone().prop_map(Step::Join),
        1 => node.clone().prop_map(Step::Leave),
        2 => node.clone().prop_map(Step::DropSocket),
        4 => node.clone().prop_map(Step::Open),
        1 => node.clone().prop_map(Step::Close),
        1 => (node.clone(), node.clone()).prop_map(|(node, to)| Step::OpenByHand(node, to)),
        6 => node.prop_map(Step::Broadcast),
        1 => any::<bool>().prop_map(Step::Network),
        8 => prop_oneof![0..30_u64, 30..800_u64, 800..20_000_u64].prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..40)
}

struct Play {
    world: World,
    channels: BTreeMap<usize, RoomChannelId>,
    /// The last number that a node heard of a peer.
    heard: BTreeMap<(usize, PeerId), u64>,
    open: BTreeSet<(usize, PeerId)>,
    sent: u64,
    looked_at: [usize; PEERS],
    seen: BTreeSet<String>,
}

impl Play {
    fn step(&mut self, step: &Step) {
        let world = &mut self.world;
        match *step {
            Step::Join(node) => drop(world.start_join(node)),
            // One stays.
            Step::Leave(node) if node > 0 => world.call(node, |peer, now| peer.close(now, None)),
            Step::Leave(_) => {}
            Step::DropSocket(node) => {
                if world.nodes[node].socket().is_some() && world.nodes[node].peer.state() == PeerState::Joined {
                    world.drop_socket(node);
                    self.seen.insert("reconnect".to_owned());
                }
            }
            Step::Open(node) => self.open(node),
            Step::Close(node) => {
                if let Some(channel) = self.channels.remove(&node) {
                    world.call(node, |peer, now| peer.close_room_channel(now, channel));
                    self.open.retain(|(of, _)| *of != node);
                    self.seen.insert("closed by us".to_owned());
                }
            }
            Step::OpenByHand(node, to) => {
                let to = PeerId::new(crate::peer::tests::world::name(to)).unwrap();
                let options = DataChannelOptions::reliable(LABEL);
                let opened = world.call(node, |peer, now| peer.open_channel(now, &to, options));
                if let Ok(channel) = opened {
                    self.seen.insert("by hand".to_owned());
                    world.pass(Duration::from_millis(300));
                    world.call(node, |peer, now| peer.close_channel(now, &to, channel));
                }
            }
            Step::Broadcast(node) => drop(self.broadcast(node)),
            Step::Network(up) => world.network_up = up,
            Step::Pass(millis) => world.pass(Duration::from_millis(millis)),
        }
        self.look();
    }

    fn open(&mut self, node: usize) {
        if self.channels.contains_key(&node) {
            return;
        }
        let options = DataChannelOptions::reliable(LABEL);
        if let Ok(channel) = self.world.call(node, |peer, now| peer.open_room_channel(now, options)) {
            self.channels.insert(node, channel);
        }
    }

    fn broadcast(&mut self, node: usize) -> Option<usize> {
        let channel = *self.channels.get(&node)?;
        self.sent += 1;
        let message = text(&self.sent.to_string());
        let result = self.world.call(node, |peer, now| peer.broadcast(now, channel, &message));
        result.ok().map(|result| result.sent)
    }

    /// Nothing is heard twice or out of order, and links open and close in turn.
    fn look(&mut self) {
        for (node, looked_at) in self.looked_at.iter_mut().enumerate() {
            let events = &self.world.nodes[node].events;
            let (new, from) = (events.len(), *looked_at);
            *looked_at = new;
            for event in &events[from..] {
                let Event::RoomChannel { event, channel } = event else { continue };
                let is_present = self.channels.get(&node) == Some(channel);
                match event {
                    RoomChannelEvent::Opened { peer } => {
                        self.seen.insert("opened".to_owned());
                        assert!(!is_present || self.open.insert((node, peer.clone())), "opened twice");
                    }
                    RoomChannelEvent::Closed { peer } => {
                        self.seen.insert("closed".to_owned());
                        assert!(!is_present || self.open.remove(&(node, peer.clone())), "closed twice");
                    }
                    RoomChannelEvent::Message { peer, message } => {
                        let number: u64 = String::from_utf8_lossy(message.as_bytes()).parse().unwrap();
                        let last = self.heard.insert((node, peer.clone()), number);
                        assert!(last.is_none_or(|last| last < number), "{number} after {last:?}");
                        self.seen.insert("heard".to_owned());
                    }
                }
            }
        }
    }
}

#[test]
fn after_quiet_everybody_hears_everybody_once_and_in_order() {
    let seen = Cell::default();
    let result = runner(file!(), 40).run(&steps(), |steps| {
        let world = World::named(PEERS);
        seed_from(&steps);
        let mut play = Play {
            world,
            channels: BTreeMap::new(),
            heard: BTreeMap::new(),
            open: BTreeSet::new(),
            sent: 0,
            looked_at: [0; PEERS],
            seen: BTreeSet::new(),
        };
        // Two meet first; the third comes at any time, or never.
        for step in [Step::Join(0), Step::Join(1), Step::Pass(2000)].iter().chain(&steps) {
            play.step(step);
        }
        play.world.network_up = true;
        play.world.pass(secs(30));
        let there = |play: &Play| -> Vec<usize> {
            let is_there = |node: &usize| play.world.nodes[*node].peer.state() == PeerState::Joined;
            (0..PEERS).filter(is_there).collect()
        };
        for node in 0..PEERS {
            if play.world.nodes[node].peer.state() == PeerState::Idle {
                drop(play.world.start_join(node));
            }
            play.open(node);
        }
        play.world.pass(secs(180));
        play.look();
        let present = there(&play);
        for _ in 0..3 {
            for node in &present {
                prop_assert_eq!(play.broadcast(*node), Some(present.len() - 1), "of {:?}", &present);
            }
        }
        let first = play.sent + 1 - 3 * present.len() as u64;
        let before: Vec<usize> = play.world.nodes.iter().map(|node| node.events.len()).collect();
        play.world.pass(secs(10));
        play.look();
        for node in &present {
            let events = play.world.nodes[*node].events[before[*node]..].iter();
            let numbers = events.filter_map(|event| match event {
                Event::RoomChannel { event: RoomChannelEvent::Message { message, .. }, .. } => {
                    String::from_utf8_lossy(message.as_bytes()).parse::<u64>().ok()
                }
                _ => None,
            });
            let last = numbers.filter(|number| *number >= first).count();
            prop_assert_eq!(last, 3 * (present.len() - 1));
        }
        if present.len() == PEERS {
            play.seen.insert("all hear all".to_owned());
        }
        collect(&seen, play.seen);
        Ok(())
    });
    result.unwrap();
    let wanted = ["reconnect", "closed by us", "by hand", "opened", "closed", "heard", "all hear all"];
    assert_seen(&seen.take(), &wanted);
}
