//! How often a `message` frame allocates on its way from its text to the event.

use std::hint::black_box;
use std::time::Instant;

use metered_realtime_tests::benchmark::{Connected, Outcome, PAYLOADS, Plain, Report, Target, message};

use crate::count::allocations;

const CALLS: u32 = 1000;

pub(crate) fn run(report: &mut Report) -> Outcome<()> {
    let frames = PAYLOADS.map(|(name, size)| (name.to_owned(), message(size, None)));
    let metadata = r#"{"name":"Ada","roles":["host"]}"#;
    let signed = ("100 B with sender metadata".to_owned(), message(100, Some(metadata)));
    for (name, text) in frames.into_iter().chain([signed]) {
        let now = Instant::now();
        let mut client = Connected::subscribed(now, 1)?;
        client.text(now, &text);
        let ours = allocations(CALLS, || client.text(now, black_box(&text)));
        let plain = allocations(CALLS, || {
            black_box(serde_json::from_str::<Plain<'_>>(black_box(&text)).is_ok());
        });
        let details = format!("of these serde_json's own: {plain:.2}");
        report.judged(&format!("allocations, frame of {name}"), ours, Target::AtMost(2.0), &details)?;
    }
    Ok(())
}
