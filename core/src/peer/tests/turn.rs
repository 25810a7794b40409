//! Candidates of STUN and TURN servers: peers that meet through them, and what becomes of those that are ill.

use std::time::Duration;

use super::relays::Relay;
use super::world::{World, address, outer, secs};
use crate::Secret;
use crate::ice::{IceServerProblem, IceTransportPolicy};
use crate::ids::DataChannelId;
use crate::net::{self, LinkTransport};
use crate::peer::{Event, MeteredPeerOptions, PeerState};
use crate::property::{runner, seed_from};
use crate::protocol::IceServer;
use crate::rtc::{ConnectionState, DataChannelMessage, DataChannelOptions};

const USERS: &[(&str, &str)] = &[("user", "pass-word")];

fn relay_only() -> MeteredPeerOptions {
    MeteredPeerOptions { ice_transport_policy: IceTransportPolicy::Relay, ..MeteredPeerOptions::token_provider() }
}

fn list(urls: &[&str], credential: &str) -> Option<String> {
    let server = serde_json::json!({ "urls": urls, "username": "user", "credential": credential });
    Some(serde_json::json!({ "iceServers": [server] }).to_string())
}

/// Peers in a room, with one TURN server of each of these kinds in everyone's `welcome`.
fn room_with(peers: usize, options: &MeteredPeerOptions, transports: &[LinkTransport]) -> World {
    let mut world = World::of(vec![options.clone(); peers]);
    let urls: Vec<String> = transports.iter().map(|transport| add(&mut world, *transport)).collect();
    world.server.welcome_metadata = list(&urls.iter().map(String::as_str).collect::<Vec<_>>(), "pass-word");
    world.all_joined()
}

/// Adds a server, and gives its URL.
fn add(world: &mut World, transport: LinkTransport) -> String {
    let index = world.relays.add(transport, USERS);
    let at = world.relays.servers[index].address;
    world.relays.names.insert(format!("turn{index}.example.org"), vec![at.ip()]);
    match transport {
        LinkTransport::Udp => format!("turn:{at}"),
        LinkTransport::Tcp => format!("turn:{at}?transport=tcp"),
        LinkTransport::Tls => format!("turns:turn{index}.example.org:{}", at.port()),
    }
}

fn server(world: &mut World, index: usize) -> &mut Relay {
    &mut world.relays.servers[index]
}

fn state(world: &World, node: usize, other: usize) -> Option<ConnectionState> {
    world.nodes[node].peer.remote_state(&world.id(other))
}

fn are_connected(world: &World) -> bool {
    (0..world.nodes.len()).all(|node| {
        let others = (0..world.nodes.len()).filter(|other| *other != node);
        others.into_iter().all(|other| state(world, node, other) == Some(ConnectionState::Connected))
    })
}

/// Has the first peer open a data channel to another, and waits until they are connected.
fn connect_to(world: &mut World, other: usize) -> DataChannelId {
    let far = world.id(other);
    let channel = world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default())).unwrap();
    let connected = Some(ConnectionState::Connected);
    world.until("the two are connected", |world| {
        state(world, 0, other) == connected && state(world, other, 0) == connected
    });
    channel
}

fn connect(world: &mut World) -> DataChannelId {
    connect_to(world, 1)
}

/// Has the first peer say something to the second, and waits until it hears it.
fn talk(world: &mut World, channel: DataChannelId) {
    let far = world.id(1);
    let before = world.nodes[1].messages();
    let text = DataChannelMessage::Text("hello".into());
    world.call(0, |peer, now| peer.channel_send(now, &far, channel, text)).unwrap();
    world.until("the message arrives", |world| world.nodes[1].messages() > before);
}

fn problems(world: &World, node: usize) -> Vec<IceServerProblem> {
    let events = world.nodes[node].events.iter();
    events
        .filter_map(|event| if let Event::IceServerFailed(failed) = event { Some(failed.problem) } else { None })
        .collect()
}

#[test]
fn peers_that_offer_nothing_but_relays_meet_over_udp_tcp_and_tls() {
    for transport in [LinkTransport::Udp, LinkTransport::Tcp, LinkTransport::Tls] {
        let mut world = room_with(2, &relay_only(), &[transport]);
        let channel = connect(&mut world);
        talk(&mut world, channel);
        assert_eq!(world.relays.servers[0].active(), 2, "{transport:?}");
        assert!(world.relays.servers[0].binds >= 2, "what is used gets a channel");
        // An address of ours is in nothing that we sent.
        for node in 0..2 {
            let sent = world.nodes[node].sent.concat();
            assert!(sent.contains("rtc-ice") && sent.contains("typ relay"));
            assert!(!sent.contains("10.0.0.") && !sent.contains("typ host") && !sent.contains("typ srflx"));
            assert!(!sent.contains("198.51.100."), "nor that of the link");
        }
    }
}

#[test]
fn a_room_in_which_nothing_is_negotiated_costs_the_servers_nothing() {
    let mut world = room_with(3, &relay_only(), &[LinkTransport::Udp]);
    world.pass(secs(100));
    assert_eq!(world.relays.servers[0].allocations, 0);
    assert!(world.relays.links.is_empty());
}

#[test]
fn peers_behind_nats_meet_at_what_a_stun_server_sees() {
    let mut world = World::named(2);
    world.behind_nat = true;
    world.relays.add(LinkTransport::Udp, &[]);
    world.server.welcome_metadata = Some(r#"{"iceServers":[{"urls":"stun:192.0.2.1"}]}"#.to_owned());
    let mut world = world.all_joined();
    let channel = connect(&mut world);
    talk(&mut world, channel);
    for node in 0..2 {
        let sent = world.nodes[node].sent.concat();
        let (ip, port) = (outer(node).ip(), outer(node).port());
        assert!(sent.contains(&format!("{ip} {port} typ srflx raddr 0.0.0.0")), "{sent}");
    }
    assert_eq!(world.relays.servers[0].allocations, 0);
}

#[test]
fn an_address_that_no_nat_translates_is_no_second_candidate() {
    let mut world = room_with(2, &MeteredPeerOptions::token_provider(), &[LinkTransport::Udp]);
    connect(&mut world);
    world.pass(secs(1));
    let sent = world.nodes[0].sent.concat();
    assert!(sent.contains("typ host") && sent.contains("typ relay") && !sent.contains("typ srflx"));
}

#[test]
fn gathering_ends_at_once_where_there_is_no_server_and_in_time_where_one_is_dead() {
    let ends = |sent: &[String]| sent.iter().any(|text| text.contains(r#""candidate":null"#));
    let mut world = World::named(2).all_joined();
    connect(&mut world);
    assert!(ends(&world.nodes[0].sent));

    let options = MeteredPeerOptions::token_provider();
    let mut world = room_with(2, &options, &[LinkTransport::Udp, LinkTransport::Udp, LinkTransport::Tcp]);
    server(&mut world, 1).up = false;
    server(&mut world, 2).up = false;
    let began = world.now;
    connect(&mut world);
    assert!(world.now - began < secs(1), "nobody waits for a dead server");
    world.until("the living one gave an address", |world| world.nodes[0].sent.concat().contains("typ relay"));
    assert!(world.now - began < secs(1));
    assert!(!ends(&world.nodes[0].sent));
    world.until("the end of the candidates", |world| ends(&world.nodes[0].sent));
    assert!(world.now - began < secs(9));
    world.until("it is told what is wrong", |world| problems(world, 0).len() == 2);
    assert_eq!(problems(&world, 0), [IceServerProblem::Unreachable; 2]);
    // It works as soon as it is up, and is told once.
    world.pass(secs(200));
    server(&mut world, 1).up = true;
    world.until("it is found to be back", |world| world.relays.servers[1].active() == 2);
    assert_eq!(problems(&world, 0).len(), 2);
}

#[test]
fn a_name_that_cannot_be_resolved_is_told_and_the_rest_goes_on() {
    let mut world = World::of(vec![relay_only(); 2]);
    let url = add(&mut world, LinkTransport::Udp);
    world.server.welcome_metadata = list(&["turn:nowhere.example.org", &url], "pass-word");
    let mut world = world.all_joined();
    let channel = connect(&mut world);
    talk(&mut world, channel);
    assert_eq!(problems(&world, 0), [IceServerProblem::NotResolved]);
}

#[test]
fn wrong_credentials_are_told_once_and_never_tried_again() {
    let mut world = World::of(vec![relay_only(); 2]);
    let (bad, good) = (add(&mut world, LinkTransport::Udp), add(&mut world, LinkTransport::Tcp));
    let servers = serde_json::json!({ "iceServers": [
        { "urls": bad, "username": "user", "credential": "wrong-word" },
        { "urls": good, "username": "user", "credential": "pass-word" },
    ]});
    world.server.welcome_metadata = Some(servers.to_string());
    let mut world = world.all_joined();
    let channel = connect(&mut world);
    talk(&mut world, channel);
    assert_eq!(problems(&world, 0), [IceServerProblem::Unauthorized]);
    let failed = world.nodes[0].peer.ice_counters().failed_allocations;
    world.pass(secs(600));
    assert_eq!(world.nodes[0].peer.ice_counters().failed_allocations, failed);
    let debug = format!("{:?} {:?}", world.nodes[0].peer, world.nodes[0].events);
    assert!(!debug.contains("wrong-word") && !debug.contains("pass-word"), "{debug}");
}

#[test]
fn a_server_without_addresses_to_give_is_asked_again_later() {
    let mut world = room_with(2, &relay_only(), &[LinkTransport::Udp]);
    server(&mut world, 0).full = true;
    let far = world.id(1);
    world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default())).unwrap();
    world.until("it is told", |world| problems(world, 0) == [IceServerProblem::QuotaReached]);
    world.pass(secs(10));
    assert!(world.nodes[0].peer.ice_counters().failed_allocations < 6, "with waits that grow");
    server(&mut world, 0).full = false;
    world.until("the two are connected", |world| are_connected(world));
}

#[test]
fn allocations_permissions_and_channels_are_refreshed_for_hours() {
    let mut world = room_with(2, &relay_only(), &[LinkTransport::Udp]);
    let channel = connect(&mut world);
    for _ in 0..4 {
        world.pass(secs(1800));
        assert!(are_connected(&world));
        talk(&mut world, channel);
    }
    assert_eq!(world.relays.servers[0].allocations, 2, "the same all the time");
    let states = world.nodes[0].comings_and_goings();
    assert!(!states.iter().any(|state| state.contains("econnecting")), "{states:?}");
}

#[test]
fn a_server_that_starts_anew_gets_new_allocations() {
    for transport in [LinkTransport::Udp, LinkTransport::Tcp] {
        let mut world = room_with(2, &relay_only(), &[transport]);
        let channel = connect(&mut world);
        talk(&mut world, channel);
        world.pass(secs(60));
        server(&mut world, 0).restart();
        if transport == LinkTransport::Tcp {
            world.cut_links(0);
        }
        let at = world.now;
        world.until("the loss is noticed", |world| !are_connected(world));
        world.until("the two are connected again", |world| are_connected(world));
        assert!(world.now - at < secs(60), "{transport:?}: {:?}", world.now - at);
        talk(&mut world, channel);
        world.pass(secs(120));
        assert!(are_connected(&world));
        assert_eq!(world.relays.servers[0].active(), 2, "{transport:?}: what was replaced is gone");
    }
}

#[test]
fn a_reconnect_s_welcome_with_new_credentials_brings_new_allocations_and_the_old_ones_go() {
    let mut world = room_with(2, &relay_only(), &[LinkTransport::Udp]);
    connect(&mut world);
    server(&mut world, 0).add_user("user-2", "new-word");
    let url = format!("turn:{}", world.relays.servers[0].address);
    let servers = serde_json::json!([{ "urls": url, "username": "user-2", "credential": "new-word" }]);
    world.server.welcome_metadata = Some(serde_json::json!({ "iceServers": servers }).to_string());
    for node in 0..2 {
        world.drop_socket(node);
    }
    world.until("it is noticed", |world| !are_connected(world));
    world.until("both are back", |world| world.nodes.iter().all(|node| node.peer.state() == PeerState::Joined));
    connect(&mut world);
    assert_eq!(world.relays.servers[0].allocations, 4);
    world.pass(secs(40));
    assert!(are_connected(&world));
    assert_eq!(world.relays.servers[0].active(), 2);
    assert_eq!(problems(&world, 0), []);
}

#[test]
fn a_reconnect_s_welcome_with_the_same_list_keeps_the_allocations() {
    let mut world = room_with(2, &relay_only(), &[LinkTransport::Udp]);
    connect(&mut world);
    world.drop_socket(0);
    world.until("it is noticed", |world| !are_connected(world));
    world.until("it is back", |world| world.nodes[0].peer.state() == PeerState::Joined);
    connect(&mut world);
    world.pass(secs(40));
    assert_eq!(world.relays.servers[0].allocations, 2);
}

#[test]
fn allocations_go_when_the_peer_leaves_and_when_nobody_needs_them_for_a_minute() {
    let mut world = room_with(2, &relay_only(), &[LinkTransport::Udp, LinkTransport::Tcp]);
    connect(&mut world);
    world.until("both servers gave addresses", |world| world.relays.servers.iter().all(|relay| relay.active() == 2));
    world.call(0, |peer, now| peer.close(now, None));
    world.pass(secs(5));
    assert!(world.relays.servers.iter().all(|relay| relay.active() == 1));
    world.pass(secs(50));
    assert!(world.relays.servers.iter().all(|relay| relay.active() == 1), "another peer may come");
    world.pass(secs(10));
    assert!(world.relays.servers.iter().all(|relay| relay.active() == 0));
    assert!(world.relays.links.is_empty());
}

#[test]
fn a_peer_that_leaves_without_a_socket_still_gives_its_addresses_back_and_closes_its_links() {
    let mut world = room_with(2, &relay_only(), &[LinkTransport::Udp, LinkTransport::Tcp]);
    connect(&mut world);
    world.until("both servers gave addresses", |world| world.relays.servers.iter().all(|relay| relay.active() == 2));
    world.server.up = false;
    world.drop_socket(0);
    world.until("no socket is open", |world| world.nodes[0].socket().is_none());
    world.call(0, |peer, now| peer.close(now, None));
    assert_eq!(world.nodes[0].peer.state(), PeerState::Closed);
    assert!(world.relays.links.iter().all(|link| link.node != 0), "a link is left open");
    world.pass(secs(5));
    assert!(world.relays.servers.iter().all(|relay| relay.active() == 1));
}

#[test]
fn servers_of_the_user_s_are_used_beside_those_of_the_welcome() {
    let (username, credential) = (Some("user".to_owned()), Some(Secret::new("pass-word")));
    let own = IceServer { urls: vec!["turn:192.0.2.1".to_owned()], username, credential };
    let mut world = World::of(vec![MeteredPeerOptions { ice_servers: vec![own], ..relay_only() }; 2]);
    assert_eq!(add(&mut world, LinkTransport::Udp), "turn:192.0.2.1:3478");
    let listed = add(&mut world, LinkTransport::Udp);
    world.server.welcome_metadata = list(&[&listed], "pass-word");
    let mut world = world.all_joined();
    connect(&mut world);
    world.until("both gave addresses", |world| world.relays.servers.iter().all(|relay| relay.active() == 2));
}

#[test]
fn relays_connect_two_peers_within_half_a_second() {
    let mut world = room_with(2, &relay_only(), &[LinkTransport::Udp]);
    let began = world.now;
    connect(&mut world);
    assert!(world.now - began < Duration::from_millis(500), "{:?}", world.now - began);
    let lost = world.nodes[0].peer.ice_counters().relay_lost;
    assert!(lost < 10, "only what came before the permission: {lost}");
}

#[test]
fn a_peer_with_very_many_addresses_leaves_room_for_the_others() {
    let mut world = room_with(3, &relay_only(), &[LinkTransport::Udp]);
    let flooder = world.id(1);
    connect_to(&mut world, 1);
    for n in 0..150_u16 {
        let candidate = format!("candidate:1 1 udp 1 203.0.113.{} {} typ host", n + 1, 1000 + n);
        let data = serde_json::json!({ "type": "rtc-ice", "candidate": { "candidate": candidate, "sdpMid": "0" } });
        let frame = serde_json::json!({ "type": "direct", "from": flooder.as_str(), "data": data });
        world.inject(0, &frame.to_string());
    }
    world.pass(secs(10));
    let permissions = world.relays.servers[0].permissions;
    assert!((60..100).contains(&permissions), "{permissions}");
    assert!(world.nodes[0].peer.ice_counters().relay_lost > 50);
    connect_to(&mut world, 2);
}

#[test]
fn another_network_means_other_allocations() {
    let options = MeteredPeerOptions::token_provider();
    let mut world = room_with(2, &options, &[LinkTransport::Udp, LinkTransport::Tcp]);
    connect(&mut world);
    world.until("both servers gave addresses", |world| world.relays.servers.iter().all(|relay| relay.active() == 2));
    let addresses = vec![address(0), "10.0.0.77:5000".parse().unwrap()];
    world.nodes[0].sockets = Some(addresses.clone());
    world.call(0, |peer, now| peer.handle_input(now, net::Input::LocalAddresses(&addresses)));
    world.until("there are new ones", |world| world.relays.servers.iter().all(|relay| relay.active() == 3));
    world.pass(secs(60));
    assert!(world.relays.servers.iter().all(|relay| relay.active() == 2), "and the old ones go");
}

#[test]
fn what_one_server_garbles_panics_nowhere_and_another_leads_to_the_peer() {
    for seed in 0..12 {
        let mut world = room_with(2, &relay_only(), &[LinkTransport::Udp, LinkTransport::Tcp]);
        world.garble = Some(fastrand::Rng::with_seed(seed));
        let channel = connect(&mut world);
        talk(&mut world, channel);
    }
}

#[test]
fn whatever_comes_over_a_stream_panics_nowhere() {
    for seed in 0..20 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut world = room_with(2, &relay_only(), &[LinkTransport::Tcp]);
        let far = world.id(1);
        world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default())).unwrap();
        for _ in 0..20 {
            world.pass(Duration::from_millis(rng.u64(0..60)));
            let Some(link) = world.relays.links.iter().find(|link| link.node == 0).map(|link| link.link) else {
                continue;
            };
            let mut bytes: Vec<u8> = (0..rng.usize(0..200)).map(|_| rng.u8(..)).collect();
            if let Some(first) = bytes.first_mut().filter(|_| rng.bool()) {
                *first &= 0x7f;
            }
            world.call(0, |peer, now| peer.handle_input(now, net::Input::LinkData { link, contents: &bytes }));
        }
    }
}

#[test]
fn a_host_of_the_local_network_is_found_by_its_name() {
    for (known, relayed) in [(true, false), (false, false), (true, true)] {
        let policy = if relayed { IceTransportPolicy::Relay } else { IceTransportPolicy::All };
        let options = MeteredPeerOptions { ice_transport_policy: policy, ..MeteredPeerOptions::token_provider() };
        let mut world = World::of(vec![options; 2]);
        if known {
            world.relays.names.insert("3f1a-77.local".to_owned(), vec![address(1).ip()]);
        }
        world.rename_host = Some((address(1).ip().to_string(), "3f1a-77.local".to_owned()));
        let mut world = world.all_joined();
        let far = world.id(1);
        world.call(0, |peer, now| peer.open_channel(now, &far, DataChannelOptions::default())).unwrap();
        if relayed {
            world.pass(secs(20));
            assert!(!world.resolved.contains("3f1a-77.local"), "who shows no address asks for none");
            continue;
        }
        // Where the name is not found, the other side's own checks lead to it.
        world.until("the two are connected", |world| are_connected(world));
        assert!(world.resolved.contains("3f1a-77.local"));
    }
}

#[test]
fn names_of_hosts_are_not_waited_for_once_their_peer_is_gone() {
    let mut world = World::named(2).all_joined();
    connect(&mut world);
    world.unanswered = Some(Vec::new());
    let from = world.id(1);
    let candidate = r#"{"candidate":"candidate:1 1 udp 1 3f1a-77.local 9 typ host","sdpMid":"0"}"#;
    let data = format!(r#"{{"type":"rtc-ice","candidate":{candidate}}}"#);
    world.inject(0, &format!(r#"{{"type":"direct","from":"{from}","data":{data}}}"#));
    assert_eq!(world.unanswered.as_ref().unwrap().len(), 1);
    world.call(0, |peer, now| peer.close(now, None));
    world.pass(secs(2));
    assert_eq!(world.nodes[0].peer.state(), PeerState::Closed);
    assert_eq!(world.nodes[0].peer.poll_timeout(), None);
}

#[test]
fn peers_that_name_hosts_without_end_keep_a_slow_resolver_from_nothing_else() {
    let mut world = World::named(5).all_joined();
    for other in 1..5 {
        connect_to(&mut world, other);
    }
    world.unanswered = Some(Vec::new());
    let name = |world: &mut World, other: usize| {
        for n in 0..8 {
            let candidate = format!("candidate:1 1 udp 1 {other}-{n}.local 9 typ host");
            let data = serde_json::json!({ "type": "rtc-ice", "candidate": { "candidate": candidate, "sdpMid": "0" } });
            let from = world.id(other);
            let frame = serde_json::json!({ "type": "direct", "from": from.as_str(), "data": data });
            world.inject(0, &frame.to_string());
        }
        // The machine waits five seconds for each.
        world.pass(secs(10));
        world.unanswered.as_ref().unwrap().len()
    };
    assert_eq!([1, 2, 3].map(|other| name(&mut world, other)), [8, 16, 16]);
    for (node, request) in world.unanswered.replace(Vec::new()).unwrap() {
        let late = [address(1).ip()];
        world.call(node, |peer, now| peer.handle_input(now, net::Input::Resolved { request, addresses: &late }));
    }
    assert_eq!(name(&mut world, 4), 8, "what is answered makes room");
    assert!((1..5).all(|other| state(&world, 0, other) == Some(ConnectionState::Connected)));
}

/// Whichever requests to the servers are lost, and whichever ones are dead, two peers meet if one server lives.
#[test]
fn peers_always_meet_where_a_server_lives() {
    let cases = (0_usize..3, proptest::collection::vec(0_u8..3, 3), 0_u64..30, 0_u64..3000);
    let result = runner(file!(), 24).run(&cases, |(alive, kinds, loss, late)| {
        let kinds: Vec<_> = kinds
            .iter()
            .map(|kind| match kind {
                0 => LinkTransport::Udp,
                1 => LinkTransport::Tcp,
                _ => LinkTransport::Tls,
            })
            .collect();
        let mut world = room_with(2, &relay_only(), &kinds);
        seed_from(&(alive, &kinds, loss, late));
        world.relays.loss = loss;
        for index in 0..3 {
            server(&mut world, index).up = index == alive;
        }
        world.pass(Duration::from_millis(late));
        let channel = connect(&mut world);
        talk(&mut world, channel);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn a_host_with_ipv6_alone_and_no_server_is_met_from_the_other_s_relayed_ipv6_address() {
    let mut world = World::named(2);
    let url = add(&mut world, LinkTransport::Udp);
    server(&mut world, 0).dual = true;
    world.nodes[1].sockets = Some(vec!["[2001:db8::2]:5000".parse().unwrap()]);
    world.join(1).unwrap();
    world.server.welcome_metadata = list(&[&url], "pass-word");
    world.join(0).unwrap();
    world.until("they see each other", |world| world.nodes.iter().all(|node| node.peer.remote_peers().count() == 1));
    let channel = connect(&mut world);
    for _ in 0..4 {
        talk(&mut world, channel);
        world.pass(secs(1800));
        assert!(are_connected(&world));
    }
    assert_eq!((world.relays.servers[0].allocations, world.relays.servers[0].active()), (1, 2));
    world.call(1, |peer, now| peer.close(now, None));
    world.pass(secs(70));
    assert_eq!(world.relays.servers[0].active(), 0, "both are given back");
}

#[test]
fn servers_left_out_for_what_their_urls_say_are_told_of_once_they_are_wanted_and_the_rest_goes_on() {
    let mut world = World::of(vec![relay_only(); 2]);
    let good = add(&mut world, LinkTransport::Udp);
    let servers = serde_json::json!({ "iceServers": [
        { "urls": ["stuns:stun.example.org", "turns:turn.example.org?transport=udp", "turn:pass-word@a"],
          "username": "user", "credential": "pass-word" },
        { "urls": "turn:nobody.example.org", "username": "user" },
        { "urls": good, "username": "user", "credential": "pass-word" },
    ]});
    world.server.welcome_metadata = Some(servers.to_string());
    let mut world = world.all_joined();
    assert_eq!(problems(&world, 0), [], "nothing is wanted of them so far");
    let channel = connect(&mut world);
    talk(&mut world, channel);
    let told = |world: &World| {
        let events = world.nodes[0].events.iter();
        let failed = events.filter_map(|event| match event {
            Event::IceServerFailed(failed) => Some(failed.to_string()),
            _ => None,
        });
        failed.collect::<Vec<_>>()
    };
    let expected = [
        "ICE server stuns:stun.example.org:5349: STUN over TLS is not supported",
        "ICE server turns:turn.example.org:5349: TURN over DTLS is not supported",
        "ICE server turn:***: its URL cannot be read",
        "ICE server turn:nobody.example.org:3478: it has no username and credential",
    ];
    assert_eq!(told(&world), expected);
    // The same list again, and another one with one of them, are no news.
    let lists = [None, list(&[&good, "stuns:stun.example.org"], "pass-word")];
    for list in lists {
        world.server.welcome_metadata = list.or(world.server.welcome_metadata);
        world.drop_socket(0);
        world.until("it is noticed", |world| !are_connected(world));
        world.until("it is back", |world| world.nodes[0].peer.state() == PeerState::Joined);
        connect(&mut world);
        assert_eq!(told(&world), expected);
    }
}

#[test]
fn streams_that_come_byte_by_byte_or_many_messages_at_once_lead_to_the_peer() {
    for cut in [1, 3, 1000] {
        let mut world = room_with(2, &relay_only(), &[LinkTransport::Tcp]);
        world.cut_streams = Some(cut);
        let channel = connect(&mut world);
        talk(&mut world, channel);
    }
}
