//! Servers that mean no good, or know no better.

use std::time::Duration;

use turn_client_proto::stun::types::message::{BINDING, Message, MessageWriteVec};
use turn_client_proto::stun::types::prelude::MessageWrite;
use turn_client_proto::types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};

use super::rig::{Asked, DATA, Reply, Rig, at, honest, secs};
use crate::ice::IceServerProblem;

const UDP: &[&str] = &["turn:192.0.2.1"];
const TCP: &[&str] = &["turn:192.0.2.1?transport=tcp"];

/// A server that is honest but for these methods.
fn but(mut unless: impl FnMut(&Asked) -> Option<Reply> + 'static) -> impl FnMut(&Asked) -> Reply {
    move |asked| unless(asked).filter(|_| asked.signed).unwrap_or_else(|| honest(asked))
}

fn begun(urls: &[&str], script: impl FnMut(&Asked) -> Reply + 'static) -> Rig {
    let mut rig = Rig::new(urls, script);
    rig.begin(&[at("10.0.0.1:5000")]);
    rig
}

fn problems(rig: &Rig) -> Vec<IceServerProblem> {
    rig.failed.iter().map(|failed| failed.problem).collect()
}

fn attempts(rig: &Rig) -> usize {
    rig.opened.len()
}

#[test]
fn an_honest_server_gives_an_address_of_each_family() {
    for urls in [UDP, TCP] {
        let mut rig = begun(urls, honest);
        rig.pass(secs(4000));
        let relayed: Vec<_> = rig.relayed().iter().map(ToString::to_string).collect();
        assert_eq!(relayed.len(), 2);
        assert!(relayed[0].starts_with("192.0.2.100:") && relayed[1].starts_with("[2001:db8::1]:"), "{relayed:?}");
        assert_eq!((rig.finished, attempts(&rig)), (1, 1));
        assert_eq!(problems(&rig), []);
    }
}

#[test]
fn a_server_that_knows_one_family_at_a_time_is_asked_for_that() {
    for code in [400, 420, 440] {
        let mut rig = begun(UDP, but(move |asked| asked.dual.then_some(Reply::Refuse(code))));
        rig.pass(secs(60));
        assert_eq!(rig.relayed().len(), 1, "{code}");
        assert_eq!(problems(&rig), []);
    }
    // Such a server would give an IPv6 address alone or an IPv4 one alone: the latter leads to more peers.
    let mut rig = begun(UDP, but(|asked| asked.dual.then_some(Reply::Refuse(440))));
    rig.pass(secs(60));
    assert!(rig.relayed()[0].is_ipv4() && rig.relayed().len() == 1);
    // Such a one has IPv6 addresses alone.
    let mut rig = begun(UDP, but(|asked| (asked.method == ALLOCATE && !asked.v6).then_some(Reply::Refuse(440))));
    rig.pass(secs(60));
    assert!(rig.relayed()[0].is_ipv6() && rig.relayed().len() == 1);
    assert_eq!(problems(&rig), []);
    // And such a one has none.
    let mut rig = begun(UDP, but(|asked| (asked.method == ALLOCATE).then_some(Reply::Refuse(440))));
    rig.pass(secs(60));
    assert_eq!(problems(&rig), [IceServerProblem::Refused(440)]);
}

#[test]
fn refusals_are_told_once_and_asked_again_with_waits_that_grow() {
    for (code, problem) in [
        (486, IceServerProblem::QuotaReached),
        (508, IceServerProblem::QuotaReached),
        (403, IceServerProblem::Refused(403)),
        (442, IceServerProblem::Refused(442)),
        (500, IceServerProblem::Refused(500)),
        // An old nonce for ever: the server is left after some attempts to please it.
        (438, IceServerProblem::Refused(438)),
    ] {
        let mut rig = begun(UDP, but(move |_| Some(Reply::Refuse(code))));
        rig.pass(secs(600));
        assert_eq!(problems(&rig), [problem]);
        assert!(attempts(&rig) < 40, "{code}: {}", attempts(&rig));
        assert!(rig.asked.len() < 400, "{code}: {}", rig.asked.len());
        assert_eq!((rig.relayed().len(), rig.finished), (0, 1));
    }
    let mut rig = begun(UDP, |_| Reply::Refuse(401));
    rig.pass(secs(600));
    assert_eq!(problems(&rig), [IceServerProblem::Unauthorized]);
    assert_eq!(attempts(&rig), 1, "wrong credentials do not get better");
}

#[test]
fn an_old_nonce_for_ever_once_there_is_an_address_costs_the_address_and_nothing_more() {
    let mut rig = begun(UDP, but(|asked| (asked.method != ALLOCATE).then_some(Reply::Refuse(438))));
    rig.pass(secs(1));
    let local = rig.relayed()[0];
    rig.send(1, local, at("203.0.113.1:9"), &[20]);
    rig.pass(secs(3600));
    assert_eq!(problems(&rig).first(), Some(&IceServerProblem::Lost));
    assert!(rig.asked.len() < 400, "{}", rig.asked.len());
}

#[test]
fn lifetimes_of_no_sense_lead_to_no_storm() {
    for seconds in [0, 1, 30, 599, u32::MAX] {
        let mut rig = begun(
            UDP,
            but(move |asked| match asked.method {
                ALLOCATE => {
                    let Reply::Given(given, _) = honest(asked) else { return None };
                    Some(Reply::Given(given, seconds))
                }
                REFRESH if asked.lifetime != Some(0) => Some(Reply::Given(Vec::new(), seconds)),
                _ => None,
            }),
        );
        rig.pass(secs(3600));
        assert!(attempts(&rig) < 100, "{seconds}: {}", attempts(&rig));
        assert!(rig.failed.len() <= 8, "{seconds}: {:?}", rig.failed);
        assert!(rig.links.len() <= 2);
        if seconds == u32::MAX {
            assert_eq!((attempts(&rig), rig.relayed().len()), (1, 2));
        }
    }
}

#[test]
fn an_address_that_is_not_the_server_s_to_give_is_refused() {
    for given in ["10.0.0.1:5000", "0.0.0.0:5000", "192.0.2.100:0", "239.0.0.1:5000", "[::]:1", "[ff02::1]:1"] {
        let mut rig =
            begun(UDP, but(move |asked| (asked.method == ALLOCATE).then(|| Reply::Given(vec![at(given)], 1800))));
        rig.pass(secs(30));
        assert_eq!(problems(&rig), [IceServerProblem::UnusableAddress], "{given}");
        assert_eq!(rig.relayed(), []);
        // What goes out from our own socket goes out there.
        rig.send(1, at("10.0.0.1:5000"), at("203.0.113.1:9"), &[20]);
        let own = rig.transmits.iter().filter(|transmit| transmit.contents == [20]).count();
        assert_eq!(own, 1);
    }
    // What another server relays from is that one's.
    let urls = ["turn:192.0.2.1", "turn:192.0.2.2"];
    let mut rig =
        begun(&urls, but(|asked| (asked.method == ALLOCATE).then(|| Reply::Given(vec![at("192.0.2.9:9")], 1800))));
    rig.pass(secs(30));
    assert_eq!(problems(&rig), [IceServerProblem::UnusableAddress]);
    assert_eq!(rig.relayed(), [at("192.0.2.9:9")]);
}

#[test]
fn an_address_of_one_family_that_cannot_be_used_does_not_cost_the_other() {
    for [given, other] in [["0.0.0.0:0", "[2001:db8::9]:9"], ["[::]:0", "192.0.2.9:9"]] {
        let both = move || Reply::Given(vec![at(given), at(other)], 1800);
        let mut rig = begun(UDP, but(move |asked| (asked.method == ALLOCATE).then(both)));
        rig.pass(secs(30));
        assert_eq!(rig.relayed(), [at(other)]);
        rig.send(1, at(given), at("203.0.113.1:9"), &[20]);
        assert_eq!((rig.gatherer.counters().relay_lost, problems(&rig)), (1, vec![]));
    }
}

#[test]
fn addresses_over_one_of_each_family_are_left_out() {
    let many = || (1..200).map(|port| at(&format!("192.0.2.9:{port}"))).collect::<Vec<_>>();
    let mut rig = begun(UDP, but(move |asked| (asked.method == ALLOCATE).then(|| Reply::Given(many(), 1800))));
    rig.pass(secs(30));
    assert_eq!(rig.relayed(), [at("192.0.2.9:1")]);
}

#[test]
fn answers_to_other_questions_are_none() {
    // An answer with another number, one to another method, a request, and no message at all.
    let other = |method, class: u8| {
        let mut message = Message::builder_request(method, MessageWriteVec::new()).finish();
        message[0] |= class;
        message
    };
    for raw in [other(ALLOCATE, 1), other(BINDING, 1), other(ALLOCATE, 0), vec![0xff; 40], vec![0, 1], Vec::new()] {
        for urls in [UDP, TCP] {
            let raw = raw.clone();
            let mut rig = begun(urls, but(move |_| Some(Reply::Raw(raw.clone()))));
            rig.pass(secs(60));
            assert_eq!((rig.relayed().len(), rig.finished), (0, 1));
            assert_eq!(rig.failed.len(), 1, "{:?}", rig.failed);
            assert!(attempts(&rig) < 12);
        }
    }
}

#[test]
fn permissions_and_channels_that_are_refused_are_asked_for_again_half_a_minute_later() {
    let asks = |asked: &Asked| matches!(asked.method, CREATE_PERMISSION | CHANNEL_BIND);
    let mut rig = begun(UDP, but(move |asked| asks(asked).then_some(Reply::Refuse(403))));
    rig.pass(secs(1));
    let (local, peer) = (rig.relayed()[0], at("203.0.113.1:9"));
    for _ in 0..100 {
        rig.send(1, local, peer, &[20, 1]);
        rig.pass(Duration::from_millis(100));
    }
    assert_eq!(rig.asked.iter().filter(|asked| asks(asked)).count(), 1);
    assert_eq!(rig.gatherer.counters().relay_lost, 100, "the first waited and is lost with the refusal");
    rig.script = Box::new(honest);
    rig.pass(secs(30));
    rig.send(1, local, peer, DATA);
    rig.pass(secs(1));
    assert_eq!(rig.gone(DATA), 1);
    assert_eq!(problems(&rig), []);
}

#[test]
fn streams_may_be_cut_anywhere() {
    for cut in 1..48 {
        let mut rig = Rig::new(TCP, honest);
        rig.cut = cut;
        rig.begin(&[at("10.0.0.1:5000")]);
        rig.pass(secs(1));
        let local = rig.relayed()[0];
        rig.send(1, local, at("203.0.113.1:9"), DATA);
        rig.pass(secs(4000));
        assert_eq!((rig.relayed().len(), attempts(&rig)), (2, 1), "{cut}");
        assert_eq!(rig.gone(DATA), 1);
    }
}

#[test]
fn silence_is_told_and_holds_up_nobody() {
    for urls in [UDP, TCP] {
        let mut rig = begun(urls, |_| Reply::Silence);
        rig.pass(Duration::from_millis(7_900));
        assert_eq!(rig.finished, 0);
        rig.pass(secs(3));
        assert_eq!((rig.finished, problems(&rig)), (1, vec![IceServerProblem::Unreachable]));
        rig.pass(secs(3600));
        assert_eq!((rig.finished, rig.failed.len()), (1, 1));
        assert!(attempts(&rig) < 70, "{}", attempts(&rig));
    }
}

#[test]
fn a_stream_of_something_else_is_told_and_left() {
    for raw in [b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), vec![0x80; 64], vec![0xff; 65_600]] {
        let mut rig = begun(TCP, move |_| Reply::Raw(raw.clone()));
        rig.pass(secs(30));
        assert_eq!(rig.failed.len(), 1, "{:?}", rig.failed);
        assert_eq!(rig.relayed(), []);
    }
}
