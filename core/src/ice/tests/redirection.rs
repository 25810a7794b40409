//! Servers that send us to other ones (RFC 8489, section 10).

use turn_client_proto::types::message::ALLOCATE;

use super::rig::{Asked, Reply, Rig, at, honest, secs};
use crate::ice::IceServerProblem;

fn begun(url: &str, script: impl FnMut(&Asked) -> Reply + 'static) -> Rig {
    let mut rig = Rig::new(&[url], script);
    rig.begin(&[at("10.0.0.1:5000")]);
    rig.pass(secs(20));
    rig
}

fn servers(rig: &Rig) -> Vec<String> {
    rig.opened.iter().map(|open| format!("{} {}", open.remote, open.server_name)).collect()
}

/// From the first server to these, one after the other; whether signed or not.
fn chain(to: &'static [&'static str], signed: bool) -> impl FnMut(&Asked) -> Reply {
    move |asked| {
        let next = match to.iter().position(|known| at(known) == asked.server) {
            Some(index) => to.get(index + 1),
            None => to.first(),
        };
        match next {
            Some(next) if asked.signed == signed && asked.method == ALLOCATE => Reply::Redirect(at(next), None),
            _ => honest(asked),
        }
    }
}

#[test]
fn another_server_is_asked_in_its_place_with_the_same_credentials() {
    for signed in [false, true] {
        for url in ["turn:192.0.2.1", "turn:192.0.2.1?transport=tcp"] {
            let rig = begun(url, chain(&["192.0.2.7:9", "[2001:db8::7]:9"], signed));
            assert_eq!(
                servers(&rig),
                ["192.0.2.1:3478 192.0.2.1", "192.0.2.7:9 192.0.2.1", "[2001:db8::7]:9 192.0.2.1"]
            );
            assert_eq!(rig.relayed().len(), 2);
            assert_eq!((rig.failed.len(), rig.links.len(), rig.finished), (0, 1, 1));
        }
    }
}

#[test]
fn a_certificate_is_for_the_name_that_was_given_last() {
    let rig = begun("turns:192.0.2.1", |asked| match asked.server.port() {
        5349 => Reply::Redirect(at("192.0.2.7:1"), Some("seven.example.org")),
        1 => Reply::Redirect(at("192.0.2.7:2"), None),
        _ => honest(asked),
    });
    assert_eq!(
        servers(&rig),
        ["192.0.2.1:5349 192.0.2.1", "192.0.2.7:1 seven.example.org", "192.0.2.7:2 seven.example.org"]
    );
    assert_eq!(rig.relayed().len(), 2);
}

#[test]
fn rounds_and_chains_without_end_and_ways_to_ourselves_are_not_followed() {
    let round = |asked: &Asked| match asked.server.port() {
        3478 => Reply::Redirect(at("192.0.2.7:9"), None),
        _ => Reply::Redirect(at("192.0.2.1:3478"), None),
    };
    let chain = |asked: &Asked| Reply::Redirect(at(&format!("192.0.2.7:{}", asked.server.port() + 1)), None);
    let to_itself = |asked: &Asked| Reply::Redirect(asked.server, None);
    type Each = (usize, fn(&Asked) -> Reply);
    let scripts: [Each; 7] = [
        (2, round),
        (4, chain),
        (1, to_itself),
        (1, |_| Reply::Redirect(at("127.0.0.1:3478"), None)),
        (1, |_| Reply::Redirect(at("0.0.0.0:3478"), None)),
        (1, |_| Reply::Redirect(at("192.0.2.7:0"), None)),
        (1, |_| Reply::Redirect(at("[fe80::1]:3478"), None)),
    ];
    for (number, (each, script)) in scripts.into_iter().enumerate() {
        let mut rig = Rig::new(&["turn:192.0.2.1"], script);
        rig.begin(&[at("10.0.0.1:5000")]);
        assert_eq!(rig.opened.len(), each, "{number}");
        assert_eq!(
            rig.failed.iter().map(|failed| failed.problem).collect::<Vec<_>>(),
            [IceServerProblem::Refused(300)]
        );
        rig.pass(secs(600));
        assert_eq!(rig.failed.len(), 1, "told once");
        assert!(rig.opened.len() < 20 * each, "{number}: {}", rig.opened.len());
    }
    // A server on this machine may name another one there.
    let rig = begun("turn:127.0.0.1", |asked| match asked.server.port() {
        3478 => Reply::Redirect(at("127.0.0.1:9"), None),
        _ => honest(asked),
    });
    assert_eq!(rig.relayed().len(), 2);
}
