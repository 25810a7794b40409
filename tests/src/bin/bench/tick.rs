//! One look at the clock: whether it costs more with many subscriptions, or after many requests.

use std::hint::black_box;
use std::time::{Duration, Instant};

use metered_realtime_core::protocol::Payload;
use metered_realtime_core::signalling::Input;
use metered_realtime_tests::benchmark::{Connected, Outcome, Report, Target, channel};

use crate::Effort;
use crate::measure::nanoseconds;

/// A third of the inactivity timeout: after so long a silence a ping is due.
const PING_AFTER: Duration = Duration::from_secs(20);

const FACTOR: Target = Target::AtMost(1.5);

pub(crate) fn run(effort: Effort, report: &mut Report) -> Outcome<()> {
    let start = Instant::now();
    let finished = effort.pick(100_000, 1_000_000);
    let subscribed = || -> Outcome<[Connected; 3]> {
        Ok([
            Connected::subscribed(start, 1)?,
            Connected::subscribed(start, 100)?,
            Connected::subscribed(start, 10_000)?,
        ])
    };
    let used =
        || -> Outcome<[Connected; 2]> { Ok([Connected::subscribed(start, 1)?, after_requests(start, finished)?]) };
    let rounds = effort.pick(21, 201);

    let [mut one, mut some, mut many] = subscribed()?;
    let times = nanoseconds(
        rounds,
        4000,
        [&mut || idle(&mut one, start), &mut || idle(&mut some, start), &mut || {
            idle(&mut many, start);
        }],
    )?;
    judge(report, "tick, nothing due: 1 / 100 / 10 000 subscriptions", &times)?;

    let [mut fresh, mut old] = used()?;
    let times = nanoseconds(rounds, 4000, [&mut || idle(&mut fresh, start), &mut || idle(&mut old, start)])?;
    judge(report, &format!("tick, nothing due: 0 / {finished} finished requests"), &times)?;

    let mut clocks = [start; 3];
    let [clock_one, clock_some, clock_many] = &mut clocks;
    let times = nanoseconds(
        rounds,
        1000,
        [&mut || ping(&mut one, clock_one), &mut || ping(&mut some, clock_some), &mut || ping(&mut many, clock_many)],
    )?;
    judge(report, "tick, a ping due: 1 / 100 / 10 000 subscriptions", &times)?;

    let mut clocks = [start; 2];
    let [clock_fresh, clock_old] = &mut clocks;
    let times = nanoseconds(rounds, 1000, [&mut || ping(&mut fresh, clock_fresh), &mut || ping(&mut old, clock_old)])?;
    judge(report, &format!("tick, a ping due: 0 / {finished} finished requests"), &times)
}

/// The dearest against the cheapest.
fn judge(report: &mut Report, what: &str, times: &[f64]) -> Outcome<()> {
    let (least, most) =
        times.iter().fold((f64::MAX, 0.0_f64), |(least, most), time| (least.min(*time), most.max(*time)));
    let details: Vec<String> = times.iter().map(|time| format!("{time:.1} ns")).collect();
    report.judged(what, most / least, FACTOR, &details.join(", "))
}

fn idle(client: &mut Connected, now: Instant) {
    client.machine.handle_timeout(black_box(now));
    black_box(client.machine.poll_timeout());
    client.drain();
}

/// Twice a tick at which a ping is due, and then something from the server, lest the watchdog fire.
fn ping(client: &mut Connected, now: &mut Instant) {
    for _ in 0..2 {
        *now += PING_AFTER;
        idle(client, *now);
    }
    client.machine.handle_input(*now, Input::SocketBinary { socket: client.socket });
}

fn after_requests(now: Instant, requests: usize) -> Outcome<Connected> {
    let mut client = Connected::subscribed(now, 1)?;
    let (channel, data) = (channel(0)?, Payload::encode("hello")?);
    for _ in 0..requests {
        let request = client.machine.publish(now, &channel, &data)?;
        client.ack(now, request);
    }
    Ok(client)
}
