//! STUN servers that answer as they please, and addresses that change while they are asked.

use std::net::SocketAddr;
use std::time::Duration;

use turn_client_proto::stun::types::attribute::XorMappedAddress;
use turn_client_proto::stun::types::message::{Message, MessageWriteVec};
use turn_client_proto::stun::types::prelude::{MessageWrite, MessageWriteExt};

use super::rig::{Rig, at, honest, secs};
use crate::net::{LocalCandidate, Transmit};

const STUN: &[&str] = &["stun:192.0.2.1"];

fn begun(locals: &[SocketAddr]) -> Rig {
    let mut rig = Rig::new(STUN, honest);
    rig.begin(locals);
    rig
}

/// What the server sees the asker as.
fn mapped(request: &Transmit, address: &str) -> Vec<u8> {
    let request = Message::from_bytes(&request.contents).unwrap();
    let mut answer = Message::builder_success(&request, MessageWriteVec::new());
    answer.add_attribute(&XorMappedAddress::new(at(address), request.transaction_id())).unwrap();
    answer.finish()
}

fn deliver(rig: &mut Rig, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) -> bool {
    rig.call(|gatherer, now| gatherer.datagram(now, local, remote, bytes))
}

/// Answers what was asked last. Gives whether it was taken for an answer.
fn answer(rig: &mut Rig, address: &str) -> bool {
    let request = rig.transmits.last().unwrap().clone();
    let bytes = mapped(&request, address);
    deliver(rig, request.local, request.remote, &bytes)
}

#[test]
fn only_the_server_s_own_answer_to_the_question_counts() {
    let local = at("10.0.0.1:5000");
    let mut rig = begun(&[local]);
    let request = rig.transmits[0].clone();
    let good = mapped(&request, "203.0.113.1:6000");
    let mut other_number = good.clone();
    other_number[19] ^= 1;
    let mut no_response = good.clone();
    no_response[..2].copy_from_slice(&[0, 1]);
    for bytes in [&other_number[..], &no_response, &good[..good.len() - 1], &[1, 1], &[]] {
        assert!(!deliver(&mut rig, local, request.remote, bytes));
    }
    assert!(!deliver(&mut rig, local, at("192.0.2.1:3479"), &good), "from elsewhere");
    assert!(!deliver(&mut rig, at("10.0.0.1:5001"), request.remote, &good), "to elsewhere");
    assert_eq!((rig.candidates.len(), rig.finished), (0, 0));
    assert!(deliver(&mut rig, local, request.remote, &good));
    assert!(!deliver(&mut rig, local, request.remote, &good), "an answer counts once");
    let expected = LocalCandidate::ServerReflexive { address: at("203.0.113.1:6000"), base: local };
    assert_eq!((&rig.candidates[..], rig.finished), (&[expected][..], 1));
}

#[test]
fn answers_of_no_use_end_the_question_and_are_no_candidates() {
    for address in ["0.0.0.0:1", "203.0.113.1:0", "239.0.0.1:1", "[2001:db8::1]:1", "10.0.0.1:5000"] {
        let mut rig = begun(&[at("10.0.0.1:5000")]);
        assert!(answer(&mut rig, address), "{address}");
        assert_eq!((rig.candidates.len(), rig.finished), (0, 1), "{address}");
    }
}

#[test]
fn an_answer_that_changes_with_every_question_is_one_candidate() {
    let mut rig = begun(&[at("10.0.0.1:5000")]);
    for port in 1..50 {
        assert!(answer(&mut rig, &format!("203.0.113.1:{port}")));
        assert_eq!(rig.candidates.len(), 1);
        rig.pass(secs(30));
        rig.call(|gatherer, now| gatherer.begin(now));
    }
    // Nobody asks more often, however many connections begin.
    let asked = rig.transmits.len();
    assert!(answer(&mut rig, "203.0.113.1:1"));
    for _ in 0..50 {
        rig.call(|gatherer, now| gatherer.begin(now));
    }
    assert_eq!((asked, rig.transmits.len()), (50, 50));
}

#[test]
fn silence_ends_gathering_in_seconds_and_questions_too() {
    let mut rig = begun(&[at("10.0.0.1:5000")]);
    rig.pass(secs(60));
    assert_eq!((rig.transmits.len(), rig.finished), (5, 1));
}

#[test]
fn addresses_may_change_while_servers_are_asked() {
    let (old, new) = (at("10.0.0.1:5000"), at("10.9.0.1:5000"));
    let mut rig = Rig::new(&["stun:192.0.2.1", "turn:192.0.2.2"], honest);
    rig.begin(&[old]);
    rig.pass(Duration::from_millis(10));
    let request = rig.transmits[0].clone();
    rig.call(|gatherer, now| gatherer.set_local_addresses(now, &[new]));
    // What was asked from the former address is of no use, and is not waited for.
    let late = mapped(&request, "203.0.113.1:6000");
    assert!(!deliver(&mut rig, old, request.remote, &late));
    assert_eq!(rig.finished, 0, "the new address is asked for");
    assert_eq!(rig.transmits.last().unwrap().local, new);
    assert!(answer(&mut rig, "203.0.113.9:6000"));
    rig.pass(secs(5));
    let expected = LocalCandidate::ServerReflexive { address: at("203.0.113.9:6000"), base: new };
    assert!(rig.candidates.contains(&expected));
    assert_eq!(rig.finished, 1);
    // The relayed address goes over another link, and the former one goes in time.
    rig.pass(secs(70));
    assert_eq!((rig.relayed().len(), rig.links.len(), rig.opened.len()), (2, 1, 2));
    // Without any address there is none to be seen as.
    rig.call(|gatherer, now| gatherer.set_local_addresses(now, &[]));
    assert!(!rig.candidates.contains(&expected));
}

#[test]
fn ipv6_alone_asks_ipv6_servers_alone_and_never_from_link_local_addresses() {
    let mut rig = Rig::new(&["stun:192.0.2.1", "stun:[2001:db8::53]"], honest);
    rig.begin(&[at("[2001:db8::1]:5000"), at("[fe80::1]:5000")]);
    let asked: Vec<_> = rig.transmits.iter().map(|sent| (sent.local, sent.remote)).collect();
    assert_eq!(asked, [(at("[2001:db8::1]:5000"), at("[2001:db8::53]:3478"))]);
    // Seen as it is: that is a host candidate already.
    assert!(answer(&mut rig, "[2001:db8::1]:5000"));
    assert_eq!((rig.candidates.len(), rig.finished), (0, 1));
}
