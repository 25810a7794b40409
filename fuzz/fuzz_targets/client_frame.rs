//! A frame from a client: no text makes the parser panic, and what it accepts it writes so that it reads back the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metered_realtime_core::protocol::ClientFrame;

fuzz_target!(|text: &str| {
    if let Ok(frame) = ClientFrame::parse(text) {
        let written = frame.encode();
        assert_eq!(ClientFrame::parse(&written).expect("what was written can be read"), frame);
    }
});
