//! Messages through the server.

use super::world::World;
use crate::ids::PeerId;
use crate::peer::{Event, MeteredData, MeteredDataKind, Output, SendError};
use crate::protocol::Payload;

fn payload(text: &str) -> Payload {
    Payload::from_json(text).unwrap()
}

fn data(world: &World, node: usize) -> Vec<MeteredData> {
    let events = world.nodes[node].events.iter();
    events
        .filter_map(|event| match event {
            Event::Data(data) => Some(data.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn broadcasts_reach_everyone_else_and_directs_one() {
    let mut world = World::joined(3);
    let sender = world.id(0);
    let to = world.id(2);
    let broadcast = world.call(0, |peer, now| peer.send(now, &payload("{\"n\":1}"))).unwrap();
    let direct = world.call(0, |peer, now| peer.send_to(now, &to, &payload("null"))).unwrap();
    world.until("both are delivered", |world| data(world, 2).len() == 2 && data(world, 1).len() == 1);
    let of = |kind, text| MeteredData { sender: sender.clone(), data: payload(text), kind, sender_metadata: None };
    assert_eq!(data(&world, 2), [of(MeteredDataKind::Broadcast, "{\"n\":1}"), of(MeteredDataKind::Direct, "null")]);
    assert_eq!(data(&world, 0), []);
    world.until("both are acknowledged", |world| world.nodes[0].done.len() == 3);
    for request in [broadcast, direct] {
        assert!(world.nodes[0].done.contains(&Output::SendDone { request, result: Ok(()) }));
    }
}

#[test]
fn messages_that_cannot_be_sent_fail_at_once() {
    let mut world = World::new(1);
    assert_eq!(world.call(0, |peer, now| peer.send(now, &payload("1"))), Err(SendError::NotJoined));
    world.join(0).unwrap();
    let own = world.id(0);
    assert_eq!(world.call(0, |peer, now| peer.send_to(now, &own, &payload("1"))), Err(SendError::SelfSend));
    let big = Payload::encode(&"x".repeat(65_535)).unwrap();
    assert_eq!(
        world.call(0, |peer, now| peer.send(now, &big)),
        Err(SendError::Oversized { size: 65_537, cap: 65_536 })
    );
    world.drop_socket(0);
    assert_eq!(world.call(0, |peer, now| peer.send(now, &payload("1"))), Err(SendError::NotConnected));
}

#[test]
fn a_message_to_nobody_is_rejected_with_the_servers_code() {
    let mut world = World::joined(1);
    world.nodes[0].forget();
    let to = PeerId::new("nobody").unwrap();
    let request = world.call(0, |peer, now| peer.send_to(now, &to, &payload("1"))).unwrap();
    world.until("it is rejected", |world| !world.nodes[0].done.is_empty());
    let result = Err(SendError::Rejected { code: "peer_not_found".into() });
    assert_eq!(world.nodes[0].done, [Output::SendDone { request, result }]);
}

#[test]
fn strangers_are_not_heard() {
    let mut world = World::joined(2);
    let own = world.id(0);
    world.nodes[0].forget();
    for text in [
        r#"{"type":"direct","from":"stranger","data":1}"#.to_owned(),
        r#"{"type":"message","channel":"room-42","from":"stranger","data":1}"#.to_owned(),
        format!(r#"{{"type":"message","channel":"room-42","from":"{own}","data":1}}"#),
        r#"{"type":"message","channel":"other","from":"peer-2","data":1}"#.to_owned(),
    ] {
        world.inject(0, &text);
    }
    assert!(world.nodes[0].events.is_empty());
    assert_eq!(world.nodes[0].peer.counters().foreign_messages, 3);
}

#[test]
fn garbage_is_counted_and_the_room_goes_on() {
    let mut world = World::joined(2);
    world.nodes[0].forget();
    for text in [
        "nope",
        r#"{"type":"novelty"}"#,
        r#"{"type":"direct","from":"peer-2","data":{"type":"rtc-ice","candidate":7}}"#,
        r#"{"type":"direct","from":"peer-2","data":{"type":"rtc-ice","candidate":{"candidate":"candidate:junk"}}}"#,
        r#"{"type":"direct","from":"peer-2","data":{"type":"rtc-description","description":{"type":"offer","sdp":"v=0"}}}"#,
        r#"{"type":"direct","from":"peer-2","data":{"type":"rtc-description","description":{"type":"answer","sdp":""}}}"#,
        r#"{"type":"direct","from":"stranger","data":{"type":"rtc-ice","candidate":null}}"#,
    ] {
        world.inject(0, text);
    }
    assert!(data(&world, 0).is_empty());
    assert_eq!(world.nodes[0].peer.signalling().counters().malformed_frames, 2);
    assert_eq!(world.nodes[0].peer.counters().malformed_signals, 1);
    world.call(1, |peer, now| peer.send(now, &payload("1"))).unwrap();
    world.until("the room goes on", |world| data(world, 0).len() == 1);
}
