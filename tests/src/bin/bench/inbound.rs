//! A `message` frame from its text to the event, against serde_json alone reading the same text into a borrowed struct.

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Instant;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::machine::Connected;
use crate::measure::{allocations, nanoseconds};
use crate::report::{Report, Target};
use crate::{Effort, Outcome};

/// The frame as someone would write it down who wants nothing but its fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "reading the fields is what is measured")]
struct Plain<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    from_metadata: Option<&'a RawValue>,
}

pub(crate) fn run(effort: Effort, report: &mut Report) -> Outcome<()> {
    for (name, size, calls) in [("100 B", 100, 4000), ("1 KiB", 1024, 1000), ("16 KiB", 16 * 1024, 100)] {
        let text = frame(size);
        let now = Instant::now();
        let mut client = Connected::subscribed(now, 1)?;
        client.machine.socket_text(now, client.socket, &text);
        if client.machine.poll_output().is_none() {
            return Err("the frame became no event".into());
        }
        let plainly = || {
            black_box(serde_json::from_str::<Plain<'_>>(black_box(&text)).is_ok());
        };
        let allocated = allocations(calls, || client.text(now, black_box(&text)));
        let allocated_plainly = allocations(calls, plainly);
        let [ours, plain] =
            nanoseconds(effort.pick(21, 401), calls, [&mut || client.text(now, black_box(&text)), &mut { plainly }])?;
        let details = format!("{ours:.0} ns, serde_json {plain:.0} ns");
        report.judged(&format!("inbound frame of {name} / serde_json"), ours / plain, Target::AtMost(1.5), &details)?;
        let details = format!("serde_json alone: {allocated_plainly:.2}");
        report.judged(&format!("inbound frame of {name}, allocations"), allocated, Target::AtMost(2.0), &details)?;
    }
    Ok(())
}

/// A frame whose payload is about so long: an object, as chat and games send them.
fn frame(size: usize) -> String {
    let mut data = String::from(r#"{"seq":1"#);
    for number in 0.. {
        let field = format!(r#","f{number}":{{"text":"some words, spoken","x":{number}.25,"on":true}}"#);
        if data.len() + field.len() >= size {
            break;
        }
        data.push_str(&field);
    }
    let rest = size.saturating_sub(data.len() + r#","e":""}"#.len());
    data.push_str(&format!(r#","e":"{}"}}"#, "e".repeat(rest)));
    format!(r#"{{"type":"message","channel":"room-0","from":"6f9619ff-8b86-4011-b42d-00c04fc964ff","data":{data}}}"#)
}
