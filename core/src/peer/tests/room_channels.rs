//! Room channels: one handle for a data channel to everybody.

mod random;

use std::time::Duration;

use super::world::{World, secs};
use crate::ids::RoomChannelId;
use crate::peer::{
    Event, MeteredPeerOptions, OpenRoomChannelError, RemoteEvent, RoomChannelError, RoomChannelEvent, RoomChannelPeer,
};
use crate::rtc::{DataChannelMessage, DataChannelOptions, OpenChannelError};

const LABEL: &str = "game";

fn text(text: &str) -> DataChannelMessage {
    DataChannelMessage::Text(text.to_owned())
}

fn open_with(world: &mut World, node: usize, options: DataChannelOptions) -> RoomChannelId {
    world.call(node, |peer, now| peer.open_room_channel(now, options)).unwrap()
}

fn open(world: &mut World, node: usize) -> RoomChannelId {
    open_with(world, node, DataChannelOptions::reliable(LABEL))
}

/// What happened on room channels of a node: `+peer`, `-peer` and `peer:text`, in order.
fn heard(world: &World, node: usize) -> Vec<String> {
    let events = world.nodes[node].events.iter().filter_map(|event| match event {
        Event::RoomChannel { event, .. } => Some(event),
        _ => None,
    });
    events
        .map(|event| match event {
            RoomChannelEvent::Opened { peer } => format!("+{peer}"),
            RoomChannelEvent::Closed { peer } => format!("-{peer}"),
            RoomChannelEvent::Message { peer, message } => {
                format!("{peer}:{}", String::from_utf8_lossy(message.as_bytes()))
            }
        })
        .collect()
}

fn until_heard(world: &mut World, node: usize, count: usize) {
    world.until("it is heard", |world| heard(world, node).len() >= count);
}

fn standing(world: &mut World, node: usize, channel: RoomChannelId, with: usize) -> RoomChannelPeer {
    let with = world.id(with);
    world.nodes[node].peer.room_channel_peer(channel, &with).unwrap()
}

fn broadcast(world: &mut World, node: usize, channel: RoomChannelId, message: &str) -> usize {
    world.call(node, |peer, now| peer.broadcast(now, channel, &text(message))).unwrap().sent
}

/// A world whose nodes have the channel open with each other.
fn open_world(peers: usize) -> (World, Vec<RoomChannelId>) {
    let mut world = World::named(peers).all_joined();
    let channels = (0..peers).map(|node| open(&mut world, node)).collect();
    world.until("all are open", |world| (0..peers).all(|node| heard(world, node).len() == peers - 1));
    world.pass(secs(1));
    world.forget();
    (world, channels)
}

#[test]
fn everybody_hears_everybody_once_and_in_order() {
    let (mut world, channels) = open_world(4);
    for round in 0..3 {
        for (node, channel) in channels.iter().enumerate() {
            assert_eq!(broadcast(&mut world, node, *channel, &round.to_string()), 3);
        }
    }
    world.pass(secs(2));
    for node in 0..4 {
        let all = heard(&world, node);
        assert_eq!(all.len(), 9, "{all:?}");
        for from in (0..4).filter(|from| *from != node) {
            let from = world.id(from);
            let of: Vec<_> = all.iter().filter(|heard| heard.starts_with(&format!("{from}:"))).cloned().collect();
            assert_eq!(of, [0, 1, 2].map(|round| format!("{from}:{round}")));
        }
    }
}

#[test]
fn one_peer_can_be_addressed_and_who_comes_later_hears_as_well() {
    let mut world = World::named(3);
    let channels: Vec<_> = (0..3).map(|node| open(&mut world, node)).collect();
    world.join(0).unwrap();
    world.join(1).unwrap();
    until_heard(&mut world, 0, 1);
    world.join(2).unwrap();
    world.until("all are open", |world| (0..3).all(|node| heard(world, node).len() == 2));
    world.forget();
    let (to, from) = (world.id(2), world.id(0));
    world.call(0, |peer, now| peer.room_channel_send_to(now, channels[0], &to, text("you"))).unwrap();
    world.pass(secs(1));
    assert_eq!(heard(&world, 2), [format!("{from}:you")]);
    assert!(heard(&world, 1).is_empty());
    let own = from;
    let result = world.call(0, |peer, now| peer.room_channel_send_to(now, channels[0], &own, text("me")));
    assert_eq!(result, Err(RoomChannelError::NoSuchPeer));
}

/// As a browser that opens the label and listens on what it opened, and one that accepts what comes.
#[test]
fn one_that_only_opens_and_one_that_only_accepts_hear_and_are_heard() {
    for opens in [true, false] {
        let mut world = World::named(2).all_joined();
        let (ours, theirs) = (world.id(0), world.id(1));
        let room_channel = open(&mut world, 0);
        let options = DataChannelOptions::reliable(LABEL);
        let by_hand = opens.then(|| world.call(1, |peer, now| peer.open_channel(now, &ours, options)).unwrap());
        until_heard(&mut world, 0, 1);
        world.pass(secs(1));
        assert_eq!(broadcast(&mut world, 0, room_channel, "hello"), 1);
        let came_on = |world: &World| {
            world.nodes[1].remote_events().find_map(|event| match event {
                RemoteEvent::DataChannelMessage { channel, .. } => Some(*channel),
                _ => None,
            })
        };
        world.until("it comes", |world| came_on(world).is_some());
        let channel = came_on(&world).unwrap();
        assert!(by_hand.is_none_or(|by_hand| channel == by_hand), "on the one it opened");
        world.request(1, |peer, now| peer.channel_send(now, &ours, channel, text("back"))).unwrap();
        until_heard(&mut world, 0, 2);
        assert_eq!(heard(&world, 0), [format!("+{theirs}"), format!("{theirs}:back")]);
        assert!(world.nodes[0].remote_events().all(|event| !matches!(event, RemoteEvent::ChannelOpened(_))));
    }
}

#[test]
fn a_switch_of_channels_keeps_the_order() {
    let mut world = World::named(2).all_joined();
    let ours = world.id(0);
    let room_channel = open(&mut world, 0);
    until_heard(&mut world, 0, 1);
    let long = "x".repeat(60_000);
    for _ in 0..10 {
        assert_eq!(broadcast(&mut world, 0, room_channel, &long), 1);
    }
    let options = DataChannelOptions::reliable(LABEL);
    let by_hand = world.call(1, |peer, now| peer.open_channel(now, &ours, options)).unwrap();
    let opened = |event: &RemoteEvent| matches!(event, RemoteEvent::ChannelOpened(info) if info.channel == by_hand);
    world.until("it is open", |world| world.nodes[1].remote_events().any(opened));
    for n in 0..10 {
        broadcast(&mut world, 0, room_channel, &n.to_string());
        world.pass(Duration::from_millis(7));
    }
    world.until("all came", |world| world.nodes[1].messages() == 20);
    let came = world.nodes[1].remote_events().filter_map(|event| match event {
        RemoteEvent::DataChannelMessage { channel, message } => Some((*channel, message.as_bytes().len())),
        _ => None,
    });
    let came: Vec<_> = came.collect();
    assert!(came[..10].iter().all(|(_, length)| *length == 60_000), "{came:?}");
    assert!(came.last().is_some_and(|(channel, _)| *channel == by_hand), "{came:?}");
}

#[test]
fn a_reconnect_opens_it_again_and_nothing_comes_twice() {
    let (mut world, channels) = open_world(2);
    let (first, second) = (world.id(0), world.id(1));
    world.drop_socket(0);
    assert_eq!(broadcast(&mut world, 0, channels[0], "meanwhile"), 1, "the connection to the peer works");
    until_heard(&mut world, 1, 1);
    world.until("it is open again", |world| {
        let opened = |node, by| heard(world, node).last() == Some(&format!("+{by}"));
        opened(0, &second) && opened(1, &first)
    });
    for (node, channel) in channels.iter().enumerate() {
        assert_eq!(broadcast(&mut world, node, *channel, "after"), 1);
    }
    world.pass(secs(2));
    let expected = |by: &str| [format!("-{by}"), format!("+{by}"), format!("{by}:after")];
    assert_eq!(heard(&world, 0), expected(second.as_str()));
    let all: Vec<String> = heard(&world, 1).into_iter().filter(|heard| !heard.ends_with(":meanwhile")).collect();
    assert_eq!(all, expected(first.as_str()));
}

#[test]
fn what_is_broadcast_before_a_channel_is_open_waits_if_it_is_reliable() {
    let mut world = World::named(2).all_joined();
    let reliable = open(&mut world, 0);
    let unreliable = open_with(&mut world, 0, DataChannelOptions::unreliable("positions"));
    assert_eq!(broadcast(&mut world, 0, reliable, "early"), 1);
    let result = world.call(0, |peer, now| peer.broadcast(now, unreliable, &text("early"))).unwrap();
    assert_eq!((result.sent, result.unopened), (0, 1));
    assert_eq!(standing(&mut world, 0, reliable, 1).waiting, 1);
    world.until("it arrives", |world| world.nodes[1].messages() == 1);
    assert_eq!(standing(&mut world, 0, reliable, 1).sent, 1);
}

#[test]
fn closing_it_is_reported_and_only_the_one_who_closed_opens_it_again() {
    let (mut world, channels) = open_world(2);
    let first = world.id(0);
    world.call(0, |peer, now| peer.close_room_channel(now, channels[0]));
    world.pass(secs(60));
    assert_eq!(heard(&world, 1), [format!("-{first}")]);
    assert!(heard(&world, 0).is_empty());
    assert_eq!(world.call(0, |peer, now| peer.broadcast(now, channels[0], &text("x"))), Err(RoomChannelError::Closed));
    let result = world.call(1, |peer, now| peer.broadcast(now, channels[1], &text("x"))).unwrap();
    assert_eq!((result.sent, result.unopened), (0, 1));
    let again = open(&mut world, 0);
    until_heard(&mut world, 1, 2);
    assert_eq!(heard(&world, 1)[1], format!("+{first}"));
    world.until("both ways", |world| heard(world, 0).len() == 1);
    broadcast(&mut world, 0, again, "here");
    broadcast(&mut world, 1, channels[1], "there");
    world.pass(secs(2));
    assert_eq!((heard(&world, 0).len(), heard(&world, 1).len()), (2, 3));
}

#[test]
fn a_label_is_a_room_channels_or_one_opened_by_hand() {
    let mut world = World::named(2).all_joined();
    let (first, second) = (world.id(0), world.id(1));
    let options = DataChannelOptions::reliable(LABEL);
    let by_hand = world.call(0, |peer, now| peer.open_channel(now, &second, options.clone())).unwrap();
    let opened = |node: &super::world::Node| {
        node.remote_events().find_map(|event| match event {
            RemoteEvent::ChannelOpened(info) => Some(info.channel),
            _ => None,
        })
    };
    world.until("it is open", |world| world.nodes.iter().all(|node| opened(node).is_some()));
    let refused = world.call(0, |peer, now| peer.open_room_channel(now, options.clone()));
    assert_eq!(refused, Err(OpenRoomChannelError::LabelInUse));
    let theirs = opened(&world.nodes[1]).unwrap();
    let room_channel = open(&mut world, 1);
    assert!(world.nodes[1].remote_events().any(|event| *event == RemoteEvent::ChannelClosed { channel: theirs }));
    assert_eq!(heard(&world, 1), [format!("+{first}")], "the channel that was there is taken over");
    let refused = world.call(1, |peer, now| peer.open_channel(now, &first, options.clone()));
    assert_eq!(refused, Err(OpenChannelError::LabelOfRoomChannel));
    broadcast(&mut world, 1, room_channel, "hello");
    world.until("it comes", |world| world.nodes[0].messages() == 1);
    world.request(0, |peer, now| peer.channel_send(now, &second, by_hand, text("back"))).unwrap();
    until_heard(&mut world, 1, 2);
    assert_eq!(world.nodes[1].messages(), 0);
}

#[test]
fn impossible_options_and_too_many_are_refused() {
    let mut world = World::of(vec![MeteredPeerOptions::api_key("pk_live_test")]);
    let open = |world: &mut World, options| world.call(0, |peer, now| peer.open_room_channel(now, options));
    for (options, option) in [
        (DataChannelOptions::reliable(""), "label"),
        (DataChannelOptions { negotiated: Some(1), ..DataChannelOptions::reliable("x") }, "negotiated"),
        (DataChannelOptions { max_queued_sends: 0, ..DataChannelOptions::reliable("x") }, "max_queued_sends"),
    ] {
        let Err(OpenRoomChannelError::InvalidOption { option: named, .. }) = open(&mut world, options) else {
            panic!("{option} was taken")
        };
        assert_eq!(named, option);
    }
    for n in 0..16 {
        open(&mut world, DataChannelOptions::reliable(n.to_string())).unwrap();
    }
    assert_eq!(open(&mut world, DataChannelOptions::reliable("0")), Err(OpenRoomChannelError::LabelInUse));
    assert_eq!(open(&mut world, DataChannelOptions::reliable("x")), Err(OpenRoomChannelError::TooMany { max: 16 }));
    world.join(0).unwrap();
    world.call(0, |peer, now| peer.close(now, None));
    assert!(matches!(open(&mut world, DataChannelOptions::reliable("x")), Err(OpenRoomChannelError::InvalidState(_))));
}

#[test]
fn a_slow_peer_shows_and_holds_up_nobody() {
    let mut world = World::named(2).all_joined();
    let limits = |options| DataChannelOptions { max_buffered_amount: 10_000, max_queued_sends: 4, ..options };
    let reliable = open_with(&mut world, 0, limits(DataChannelOptions::reliable("reliable")));
    let unreliable = open_with(&mut world, 0, limits(DataChannelOptions::unreliable("unreliable")));
    until_heard(&mut world, 0, 2);
    world.pass(secs(1));
    world.network_up = false;
    let peer = world.id(1);
    for channel in [reliable, unreliable] {
        let mut sent = 0;
        let message = text(&"x".repeat(1000));
        let slow = loop {
            let result = world.call(0, |peer, now| peer.broadcast(now, channel, &message)).unwrap();
            if result.sent == 0 {
                break result.slow;
            }
            sent += 1;
        };
        assert_eq!(slow, std::slice::from_ref(&peer));
        let standing = standing(&mut world, 0, channel, 1);
        assert_eq!((standing.skipped, standing.buffered_amount), (1, sent * 1000));
        assert!(sent <= 10, "{sent}");
        let result = world.call(0, |core, now| core.room_channel_send_to(now, channel, &peer, message));
        assert_eq!(result, Err(RoomChannelError::WouldBlock { buffered_amount: sent * 1000 }));
        let large = text(&"x".repeat(10_001));
        let result = world.call(0, |peer, now| peer.broadcast(now, channel, &large));
        assert_eq!(result, Err(RoomChannelError::TooLarge { size: 10_001, max: 10_000 }));
    }
    world.network_up = true;
    world.pass(secs(30));
    assert_eq!(standing(&mut world, 0, reliable, 1).buffered_amount, 0);
}
