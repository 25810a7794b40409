//! A `message` frame from its text to the event, against serde_json alone reading the same text into a borrowed struct.

use std::hint::black_box;
use std::time::Instant;

use metered_realtime_core::signalling::Input;
use metered_realtime_tests::benchmark::{Connected, Outcome, PAYLOADS, Plain, Report, Target, message};

use crate::Effort;
use crate::measure::nanoseconds;

/// Bytes that are read in one round, about: so few that most rounds are done before the system lets another process run.
const BYTES: usize = 100_000;

pub(crate) fn run(effort: Effort, report: &mut Report) -> Outcome<()> {
    for (name, size) in PAYLOADS {
        let text = message(size, None);
        let calls = u32::try_from(BYTES / text.len())?;
        let now = Instant::now();
        let mut client = Connected::subscribed(now, 1)?;
        client.machine.handle_input(now, Input::SocketText { socket: client.socket, text: &text });
        if client.machine.poll_output().is_none() {
            return Err("the frame became no event".into());
        }
        let [ours, plain] = nanoseconds(
            effort.pick(301, 5001),
            calls,
            [&mut || client.text(now, black_box(&text)), &mut || {
                black_box(serde_json::from_str::<Plain<'_>>(black_box(&text)).is_ok());
            }],
        )?;
        let details = format!("{ours:.0} ns, serde_json {plain:.0} ns");
        report.judged(&format!("inbound frame of {name} / serde_json"), ours / plain, Target::AtMost(1.5), &details)?;
    }
    Ok(())
}
