//! How a room is recovered: departures, survivors, newcomers.

use std::time::Duration;

use super::world::{World, address, secs};
use crate::ids::{PeerId, StreamId, TrackId};
use crate::media::MediaKind;
use crate::net;
use crate::peer::{Event, LocalTrack, MeteredDataKind, Output, PeerState, RemoteEvent};
use crate::rtc::{ConnectionState, DataChannelError, DataChannelMessage, DataChannelOptions};

fn voice() -> LocalTrack {
    LocalTrack { id: TrackId::new("voice").unwrap(), kind: MediaKind::Audio }
}

/// One peer, connected again after a drop, with these peers to recover and no snapshot yet.
fn awaiting_snapshot(known: &[&str]) -> World {
    let mut world = World::named(1).all_joined();
    world.inject_presence(0, known, &[]);
    world.server.snapshots = false;
    world.drop_socket(0);
    world.until("subscribed again", |world| world.server.subscribed.len() == 2);
    world.pass(secs(1));
    assert_eq!(world.nodes[0].peer.state(), PeerState::Reconnecting);
    world.forget();
    world
}

/// The states of the remote peers a peer has shown, in order.
fn shown(world: &World, node: usize) -> Vec<(ConnectionState, ConnectionState)> {
    let events = world.nodes[node].remote_events();
    events
        .filter_map(|event| match event {
            RemoteEvent::StateChange { from, to } => Some((*from, *to)),
            _ => None,
        })
        .collect()
}

fn tracks(world: &World, node: usize) -> usize {
    world.nodes[node].remote_events().filter(|event| matches!(event, RemoteEvent::Track(_))).count()
}

/// Two peers with ids that stay, and a track from the second to the first.
fn listening() -> World {
    let mut world = World::named(2).all_joined();
    let stream = StreamId::new("mic").unwrap();
    world.call(1, |peer, now| peer.add_track(now, &voice(), Some(&stream), None)).unwrap();
    world.until("connected", |world| tracks(world, 0) == 1 && [0, 1].iter().all(|node| is_connected(world, *node)));
    world.pass(secs(1));
    world.forget();
    world
}

fn is_connected(world: &World, node: usize) -> bool {
    let other = world.id(1 - node);
    world.nodes[node].peer.remote_state(&other) == Some(ConnectionState::Connected)
}

fn are_connected_and_stay_so(mut world: World) {
    assert!(is_connected(&world, 0) && is_connected(&world, 1));
    world.forget();
    world.pass(secs(300));
    assert_eq!((shown(&world, 0), shown(&world, 1)), (vec![], vec![]), "and so they stay");
}

const RECOVERED: [(ConnectionState, ConnectionState); 2] = [
    (ConnectionState::Connected, ConnectionState::Reconnecting),
    (ConnectionState::Reconnecting, ConnectionState::Connected),
];

#[test]
fn departures_come_first_then_survivors_then_newcomers_and_then_joined() {
    let mut world = awaiting_snapshot(&["b-stays", "c-goes", "d-stays"]);
    world.inject_presence(0, &["a-comes", "d-stays", "named-0", "b-stays", "d-stays", "e-comes"], &[]);
    assert_eq!(world.nodes[0].comings_and_goings(), ["-c-goes", "*d-stays", "*b-stays", "+a-comes", "+e-comes"]);
    let joined = Event::StateChange { from: PeerState::Reconnecting, to: PeerState::Joined };
    assert_eq!(world.nodes[0].events.last(), Some(&joined));
}

#[test]
fn the_map_of_peers_stays_until_the_snapshot() {
    let mut world = awaiting_snapshot(&["a", "b"]);
    assert_eq!(world.nodes[0].peer.remote_peers().count(), 2);
    world.inject_presence(0, &[], &[]);
    assert_eq!(world.nodes[0].comings_and_goings(), ["-a", "-b"]);
}

#[test]
fn the_metadata_of_survivors_is_refreshed() {
    let mut world = awaiting_snapshot(&["a"]);
    let a = PeerId::new("a").unwrap();
    assert_eq!(world.nodes[0].peer.remote_metadata(&a), None);
    let text = r#"{"type":"presence","channel":"room-42","joined":[{"peerId":"a","metadata":{"n":2}}],"left":[]}"#;
    world.inject(0, text);
    assert_eq!(world.nodes[0].peer.remote_metadata(&a).unwrap().get(), r#"{"n":2}"#);
    assert_eq!(world.nodes[0].comings_and_goings(), ["*a"]);
}

#[test]
fn idle_peers_stay_idle_over_a_reconnect() {
    let mut world = awaiting_snapshot(&["a"]);
    world.inject_presence(0, &["a"], &[]);
    assert_eq!(shown(&world, 0), []);
    assert_eq!(world.nodes[0].peer.remote_state(&PeerId::new("a").unwrap()), Some(ConnectionState::Idle));
}

#[test]
fn drops_while_reconnecting_change_nothing_for_the_user() {
    let mut world = listening();
    world.drop_socket(0);
    world.server.up = false;
    world.pass(secs(5));
    world.server.up = true;
    world.server.snapshots = false;
    for _ in 0..3 {
        let before = world.server.subscribed.len();
        world.until("subscribed again", |world| world.server.subscribed.len() > before);
        world.drop_socket(0);
    }
    world.server.snapshots = true;
    world.until_state(0, PeerState::Joined);
    world.until("connected again", |world| is_connected(world, 0));
    assert_eq!(world.nodes[0].states(), [PeerState::Reconnecting, PeerState::Joined]);
    assert_eq!(world.nodes[0].comings_and_goings(), ["*named-1"]);
    assert_eq!(shown(&world, 0), RECOVERED);
}

#[test]
fn nothing_of_connecting_is_shown_between_reconnecting_and_connected() {
    let mut world = World::named(2).all_joined();
    world.call(0, |peer, now| peer.add_track(now, &voice(), None, None)).unwrap();
    world.until("connected", |world| is_connected(world, 0));
    world.forget();
    world.drop_socket(0);
    world.until("connected again", |world| is_connected(world, 0));
    assert_eq!(shown(&world, 0), RECOVERED);
}

#[test]
fn streams_are_added_again_after_a_reconnect_and_were_not_removed() {
    let mut world = listening();
    world.drop_socket(0);
    world.until("the track comes again", |world| tracks(world, 0) == 1);
    let streams: Vec<&RemoteEvent> = world.nodes[0]
        .remote_events()
        .filter(|event| {
            matches!(
                event,
                RemoteEvent::StreamAdded { .. } | RemoteEvent::StreamRemoved { .. } | RemoteEvent::TrackRemoved { .. }
            )
        })
        .collect();
    let stream = StreamId::new("mic").unwrap();
    assert_eq!(streams, [&RemoteEvent::StreamAdded { stream, metadata: None }]);
}

#[test]
fn a_drop_the_others_never_see_brings_their_tracks_back() {
    let mut world = listening();
    world.drop_socket_unnoticed(0);
    world.until("the track comes again", |world| tracks(world, 0) == 1 && is_connected(world, 0));
    world.until("connected on the other side", |world| is_connected(world, 1));
    assert_eq!(world.nodes[0].comings_and_goings(), ["*named-1"]);
    assert_eq!(world.nodes[1].comings_and_goings(), ["*named-0"]);
    assert_eq!((shown(&world, 0), shown(&world, 1)), (RECOVERED.to_vec(), RECOVERED.to_vec()));
}

#[test]
fn a_drop_the_others_never_see_brings_their_tracks_back_though_the_goodbye_was_lost() {
    let mut world = listening();
    world.network_up = false;
    world.drop_socket_unnoticed(0);
    world.until_state(0, PeerState::Joined);
    world.network_up = true;
    world.until("the track comes again", |world| {
        tracks(world, 0) >= 1 && is_connected(world, 0) && is_connected(world, 1)
    });
    assert!(world.nodes[0].comings_and_goings().iter().all(|what| what == "*named-1"));
}

/// Neither has anything to offer to the other afterwards: the data channel is gone, and nobody opens another.
#[test]
fn a_drop_the_other_never_sees_leaves_the_two_connected_though_the_goodbye_and_the_channel_are_lost() {
    let mut world = World::named(2).all_joined();
    let other = world.id(1);
    world.call(0, |peer, now| peer.open_channel(now, &other, DataChannelOptions::default())).unwrap();
    world.until("connected", |world| is_connected(world, 0) && is_connected(world, 1));
    world.network_up = false;
    world.drop_socket_unnoticed(1);
    world.until_state(1, PeerState::Joined);
    world.pass(secs(1));
    world.network_up = true;
    world.pass(secs(60));
    are_connected_and_stay_so(world);
}

#[test]
fn signals_from_before_their_senders_departure_are_not_claimed_after_it() {
    let mut world = World::named(2).all_joined();
    let (one, other) = (world.id(0), world.id(1));
    world.inject_presence(1, &[], &[one.as_str()]);
    world.call(0, |peer, now| peer.open_channel(now, &other, DataChannelOptions::default())).unwrap();
    world.pass(secs(1));
    assert!(world.nodes[1].peer.room.early_signals().0 > 0);
    world.inject_presence(1, &[], &[one.as_str()]);
    assert_eq!(world.nodes[1].peer.room.early_signals(), (0, 0));
    assert!(world.nodes[1].peer.counters().unclaimed_signals > 0);
}

/// The server has said that someone left who is still there, and everyone reconnects while offers wait that nobody will
/// stand by then.
#[test]
fn offers_that_outlive_both_sides_reconnects_lead_to_a_connection_all_the_same() {
    let mut world = World::named(2).all_joined();
    let (one, other) = (world.id(0), world.id(1));
    world.inject_presence(1, &[], &[one.as_str()]);
    world.call(0, |peer, now| peer.open_channel(now, &other, DataChannelOptions::default())).unwrap();
    world.pass(secs(20));
    world.drop_socket_unnoticed(0);
    world.drop_socket_unnoticed(1);
    world.pass(secs(90));
    are_connected_and_stay_so(world);
}

/// However far apart: at once, while the other is away, before the other has its snapshot, after it.
#[test]
fn both_drop_and_both_keep_each_other() {
    for (gap, noticed) in [0, 100, 600, 1500, 4000].into_iter().flat_map(|gap| [(gap, false), (gap, true)]) {
        let mut world = listening();
        let stream = StreamId::new("back").unwrap();
        world.call(0, |peer, now| peer.add_track(now, &voice(), Some(&stream), None)).unwrap();
        world.until("a track each way", |world| tracks(world, 1) == 1);
        world.pass(secs(1));
        world.forget();
        for node in [0, 1] {
            match (world.nodes[node].socket().is_some(), noticed) {
                (true, true) => world.drop_socket(node),
                (true, false) => world.drop_socket_unnoticed(node),
                (false, _) => {}
            }
            world.pass(Duration::from_millis(gap));
        }
        world.pass(secs(60));
        for node in [0, 1] {
            let goings = world.nodes[node].comings_and_goings();
            assert!(is_connected(&world, node), "{gap} {noticed} {goings:?}");
            assert_eq!(world.nodes[node].peer.remote_tracks(&world.id(1 - node)).count(), 1, "{gap} {noticed}");
            // A drop that the server notices is a departure to whoever is there to hear of it, and a return.
            let resets = goings.iter().filter(|what| what.starts_with('*')).count();
            assert!(resets > 0 || noticed, "{gap} {goings:?}");
            assert!(noticed || resets == goings.len(), "{gap} {goings:?}");
            assert_eq!(world.nodes[node].states(), [PeerState::Reconnecting, PeerState::Joined], "{gap} {noticed}");
        }
    }
}

#[test]
fn a_peer_with_a_key_comes_back_as_another_and_finds_the_others_as_they_were() {
    let mut world = World::joined(2);
    world.call(1, |peer, now| peer.add_track(now, &voice(), None, None)).unwrap();
    world.until("connected", |world| is_connected(world, 0) && tracks(world, 0) == 1);
    world.pass(secs(1));
    let (old, other) = (world.id(0), world.id(1));
    world.forget();
    world.drop_socket(0);
    world.until("the track comes again", |world| {
        tracks(world, 0) == 1 && is_connected(world, 0) && is_connected(world, 1)
    });
    let new = world.id(0);
    assert_ne!(old, new);
    assert_eq!(world.nodes[0].comings_and_goings(), [format!("*{other}")]);
    assert_eq!(world.nodes[1].comings_and_goings(), [format!("-{old}"), format!("+{new}")]);
    assert_eq!(shown(&world, 0), RECOVERED);
}

#[test]
fn a_peer_that_says_goodbye_and_leaves_gets_no_new_connection() {
    let mut world = listening();
    world.call(1, |peer, now| peer.close(now, None));
    world.pass(secs(10));
    assert_eq!(world.nodes[0].comings_and_goings(), ["-named-1"]);
}

#[test]
fn a_snapshot_is_asked_for_again_after_ten_seconds() {
    let mut world = awaiting_snapshot(&["a"]);
    world.server.snapshots = true;
    let before = world.now;
    world.until_state(0, PeerState::Joined);
    let took = world.now - before;
    assert!(took > secs(8) && took < secs(10), "{took:?}");
    assert_eq!(world.server.subscribed.len(), 3);
    assert_eq!(world.nodes[0].comings_and_goings(), ["-a"]);
}

#[test]
fn survivors_are_heard_before_the_snapshot_and_strangers_and_our_own_id_are_not() {
    let mut world = awaiting_snapshot(&["a"]);
    for from in ["a", "stranger", "named-0"] {
        world.inject(0, &format!(r#"{{"type":"message","channel":"room-42","from":"{from}","data":1}}"#));
        world.inject(0, &format!(r#"{{"type":"direct","from":"{from}","data":1}}"#));
    }
    let heard: Vec<(&str, MeteredDataKind)> = world.nodes[0]
        .events
        .iter()
        .map(|event| match event {
            Event::Data(data) => (data.sender.as_str(), data.kind),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(heard, [("a", MeteredDataKind::Broadcast), ("a", MeteredDataKind::Direct)]);
}

#[test]
fn a_peer_whose_id_becomes_ours_departs_and_is_not_heard() {
    let mut world = World::new(1).all_joined();
    world.inject_presence(0, &["peer-2"], &[]);
    world.server.snapshot_delay = secs(1);
    world.drop_socket(0);
    world.until("we are called peer-2", |world| world.id(0).as_str() == "peer-2");
    world.forget();
    world.inject(0, r#"{"type":"message","channel":"room-42","from":"peer-2","data":1}"#);
    assert!(world.nodes[0].events.is_empty());
    world.until_state(0, PeerState::Joined);
    assert_eq!(world.nodes[0].comings_and_goings(), ["-peer-2"]);
}

#[test]
fn data_channels_end_with_the_old_connection_and_so_do_sends_that_wait() {
    let mut world = World::named(2).all_joined();
    let far = world.id(1);
    let channel = world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default())).unwrap();
    let message = DataChannelMessage::Text("too early".into());
    let request = world.request(0, |peer, now| peer.channel_send(now, &far, channel, message)).unwrap();
    world.network_up = false;
    world.drop_socket(0);
    world.until_state(0, PeerState::Joined);
    let result = Err(DataChannelError::Closed);
    assert!(world.nodes[0].done.contains(&Output::ChannelSendDone { request, result }));
    let of_channel: Vec<&RemoteEvent> = world.nodes[0]
        .remote_events()
        .filter(|event| matches!(event, RemoteEvent::ChannelClosed { .. } | RemoteEvent::ConnectionReset))
        .collect();
    assert_eq!(of_channel, [&RemoteEvent::ChannelClosed { channel }, &RemoteEvent::ConnectionReset]);
}

#[test]
fn datagrams_of_nobody_are_counted() {
    let mut world = World::joined(1);
    world.call(0, |peer, now| {
        let (local, remote) = (address(0), address(7));
        peer.handle_input(now, net::Input::Datagram { local, remote, contents: &[0; 20] });
    });
    assert_eq!(world.nodes[0].peer.counters().unclaimed_datagrams, 1);
}

#[test]
fn going_away_reconnects_after_the_announced_wait_without_an_error() {
    let mut world = listening();
    world.inject(0, r#"{"type":"going_away","retryAfterMs":7000}"#);
    let before = world.now;
    world.close_socket(0, crate::protocol::CloseCode::GOING_AWAY);
    world.until_state(0, PeerState::Joined);
    assert!(world.now - before >= Duration::from_millis(7000));
    assert!(world.nodes[0].errors().is_empty());
}

#[test]
fn a_connection_that_is_to_be_replaced_tells_the_other_side_nothing_any_more() {
    let mut world = World::named(2).all_joined();
    world.server.snapshots = false;
    world.drop_socket(1);
    world.pass(secs(2));
    world.forget();
    let to = world.id(0);
    let options = DataChannelOptions::default();
    world.call(1, |peer, now| peer.open_channel(now, &to, options.clone())).unwrap();
    world.pass(secs(1));
    assert_eq!(world.nodes[1].peer.state(), PeerState::Reconnecting);
    assert!(!world.nodes[1].sent.iter().any(|text| text.contains("rtc-")), "{:?}", world.nodes[1].sent);
    world.server.snapshots = true;
    world.until_state(1, PeerState::Joined);
    let to = world.id(1);
    let channel = world.call(0, |peer, now| peer.open_channel(now, &to, options)).unwrap();
    world
        .request(0, |peer, now| peer.channel_send(now, &to, channel, DataChannelMessage::Text("hello".into())))
        .unwrap();
    world.until("the message", |world| world.nodes[1].messages() == 1);
}
