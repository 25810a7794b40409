//! How long allocations live, for whatever lifetime a server gives.

use std::time::Duration;

use turn_client_proto::types::message::{ALLOCATE, CREATE_PERMISSION, REFRESH};

use super::rig::{Asked, DATA, Reply, Rig, at, honest, secs};
use crate::ice::IceServerProblem;

const UDP: &str = "turn:192.0.2.1";
const TCP: &str = "turn:192.0.2.1?transport=tcp";

/// A server that gives so many seconds, whatever is asked for.
fn brief(seconds: u32) -> impl FnMut(&Asked) -> Reply {
    move |asked| match honest(asked) {
        Reply::Given(given, _) if asked.lifetime != Some(0) => Reply::Given(given, seconds),
        other => other,
    }
}

/// The same, which answers a request to refresh as `refresh` says.
fn brief_but(seconds: u32, mut refresh: impl FnMut(u32) -> Option<Reply> + 'static) -> impl FnMut(&Asked) -> Reply {
    let (mut brief, mut refreshes) = (brief(seconds), 0);
    move |asked| {
        if asked.method == REFRESH && asked.lifetime != Some(0) {
            refreshes += 1;
            if let Some(reply) = refresh(refreshes) {
                return reply;
            }
        }
        brief(asked)
    }
}

fn begun(url: &str, script: impl FnMut(&Asked) -> Reply + 'static) -> Rig {
    let mut rig = Rig::new(&[url], script);
    rig.begin(&[at("10.0.0.1:5000")]);
    rig.pass(secs(1));
    rig
}

fn allocates(rig: &Rig) -> usize {
    rig.asked.iter().filter(|asked| asked.method == ALLOCATE && asked.signed).count()
}

fn refreshes(rig: &Rig) -> usize {
    rig.asked.iter().filter(|asked| asked.method == REFRESH && asked.lifetime != Some(0)).count()
}

#[test]
fn an_allocation_outlives_any_lifetime_without_a_gap() {
    for url in [UDP, TCP] {
        for seconds in [4, 10, 60, 120, 599, 600, 1800] {
            let mut rig = begun(url, brief(seconds));
            let relayed = rig.relayed();
            let lifetimes = 20;
            let steps = u64::from(seconds) * lifetimes * 4;
            for step in 1..=steps {
                rig.send(1, relayed[0], at("203.0.113.1:9"), DATA);
                rig.pass(Duration::from_millis(250));
                assert_eq!(rig.relayed(), relayed, "{url}, {seconds} s, step {step}");
                assert_eq!(rig.gone(DATA), 1, "{url}, {seconds} s, step {step}");
                rig.data.clear();
                if seconds > 120 {
                    rig.pass(secs(10));
                }
            }
            assert_eq!((allocates(&rig), rig.failed.len(), rig.gatherer.counters().relay_lost), (1, 0, 0));
            let passed = steps / 4 + if seconds > 120 { steps * 10 } else { 0 };
            let most = usize::try_from(passed * 4 / u64::from(seconds)).unwrap() + 1;
            assert!((1..=most).contains(&refreshes(&rig)), "{seconds} s: {} refreshes", refreshes(&rig));
        }
    }
}

#[test]
fn an_old_nonce_costs_one_request_more_and_an_unanswered_one_is_sent_again() {
    for reply in [Reply::Refuse(438), Reply::Refuse(500), Reply::Silence] {
        let mut rig = begun(UDP, brief_but(60, move |n| (n % 2 == 1).then(|| reply.clone())));
        let relayed = rig.relayed();
        for _ in 0..60 {
            rig.pass(secs(60));
            assert_eq!(rig.relayed(), relayed);
        }
        assert_eq!((allocates(&rig), rig.failed.len()), (1, 0));
        assert!((60..600).contains(&refreshes(&rig)), "{}", refreshes(&rig));
    }
}

#[test]
fn an_allocation_that_is_not_refreshed_ends_with_its_lifetime_and_is_made_again() {
    for reply in [Reply::Silence, Reply::Refuse(500), Reply::Refuse(438)] {
        let mut rig = begun(UDP, brief_but(60, move |_| Some(reply.clone())));
        rig.pass(secs(57));
        assert_eq!((allocates(&rig), rig.failed.len()), (1, 0));
        rig.pass(secs(60));
        assert_eq!(rig.failed.first().map(|failed| failed.problem), Some(IceServerProblem::Lost));
        assert!(allocates(&rig) >= 2);
        assert!(refreshes(&rig) < 40, "{}", refreshes(&rig));
    }
}

#[test]
fn an_allocation_that_the_server_has_forgotten_is_made_again_at_once() {
    let mut rig = begun(UDP, brief_but(60, |_| Some(Reply::Refuse(437))));
    rig.pass(secs(35));
    assert_eq!(rig.failed.first().map(|failed| failed.problem), Some(IceServerProblem::Lost));
    assert!(allocates(&rig) >= 2);
}

#[test]
fn a_lifetime_that_becomes_shorter_holds() {
    let mut rig = begun(UDP, brief_but(1800, |_| Some(Reply::Given(Vec::new(), 20))));
    let relayed = rig.relayed();
    rig.pass(secs(3600));
    assert_eq!((rig.relayed(), allocates(&rig), rig.failed.len()), (relayed, 1, 0));
    assert!((90..400).contains(&refreshes(&rig)), "{}", refreshes(&rig));
}

#[test]
fn what_is_given_back_is_not_refreshed() {
    let mut rig = begun(UDP, brief(60));
    rig.call(|gatherer, now| gatherer.close(now));
    rig.pass(secs(600));
    assert_eq!((deletes(&rig), refreshes(&rig), rig.links.len()), (1, 0, 0));
}

fn deletes(rig: &Rig) -> usize {
    rig.asked.iter().filter(|asked| asked.method == REFRESH && asked.lifetime == Some(0)).count()
}

/// As when the whole peer is closed without waiting.
fn close_at_once(rig: &mut Rig) {
    rig.call(|gatherer, now| {
        gatherer.close(now);
        gatherer.abandon();
    });
}

#[test]
fn what_is_given_back_right_after_another_request_is_given_back_at_once() {
    for url in [UDP, TCP] {
        for millis in [0, 1, 49] {
            let mut rig = begun(url, honest);
            let relayed = rig.relayed();
            rig.send(1, relayed[0], at("203.0.113.1:9"), DATA);
            rig.pass(Duration::from_millis(millis));
            let others = rig.asked.len();
            assert_eq!(rig.asked[others - 1].method, CREATE_PERMISSION);
            close_at_once(&mut rig);
            assert_eq!((deletes(&rig), rig.asked.len() - others, rig.links.len()), (1, 1, 0), "{url}, {millis} ms");
        }
    }
}

#[test]
fn what_is_given_back_while_it_is_refreshed_is_not_refreshed_again() {
    let mut rig = begun(UDP, brief_but(60, |_| Some(Reply::Silence)));
    while refreshes(&rig) == 0 {
        rig.pass(Duration::from_millis(100));
    }
    let silent = rig.asked.len();
    rig.script = Box::new(|asked| if asked.method == REFRESH { Reply::Silence } else { honest(asked) });
    rig.call(|gatherer, now| gatherer.close(now));
    rig.pass(secs(600));
    assert!((2..=4).contains(&deletes(&rig)), "it is asked for again: {}", deletes(&rig));
    assert_eq!((rig.asked.len() - silent, rig.links.len()), (deletes(&rig), 0));
}

#[test]
fn what_is_granted_after_it_was_given_back_is_deleted() {
    for reply in [Reply::Done, Reply::Refuse(438), Reply::Refuse(437)] {
        let mut first = true;
        let mut refused = Some(reply);
        let mut rig = Rig::new(&[UDP], move |asked| match asked.method {
            ALLOCATE if asked.signed && std::mem::take(&mut first) => Reply::Silence,
            REFRESH => match refused.take() {
                Some(Reply::Refuse(code)) => Reply::Refuse(code),
                _ => honest(asked),
            },
            _ => honest(asked),
        });
        rig.begin(&[at("10.0.0.1:5000")]);
        rig.pass(Duration::from_millis(100));
        assert_eq!((allocates(&rig), rig.relayed().len()), (1, 0));
        rig.call(|gatherer, now| gatherer.close(now));
        rig.pass(secs(5));
        assert_eq!((allocates(&rig), rig.links.len(), rig.found), (2, 0, 0));
        assert!((1..=2).contains(&deletes(&rig)));
        assert_eq!(rig.failed.len(), 0);
    }
}

#[test]
fn clients_that_came_together_refresh_apart() {
    let mut times: Vec<u64> = (0..200)
        .map(|seed| {
            let mut rig = Rig::seeded(seed, &[UDP], brief(600));
            rig.begin(&[at("10.0.0.1:5000")]);
            let start = rig.now;
            while refreshes(&rig) == 0 {
                rig.pass(Duration::from_millis(100));
            }
            u64::try_from((rig.now - start).as_millis()).unwrap()
        })
        .collect();
    times.sort_unstable();
    assert!(times[0] < 515_000 && (535_000..=540_500).contains(&times[199]), "{times:?}");
    assert!(times.windows(30).all(|some| some[29] - some[0] > 1000), "{times:?}");
}
