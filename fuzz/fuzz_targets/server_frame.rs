//! A frame from the server, and the signal inside it: no text makes the parser panic, and what it accepts it writes so
//! that it reads back the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metered_realtime_core::protocol::{Metadata, PeerMessage, ServerFrame, ice_servers};

fuzz_target!(|text: &str| {
    let Ok(frame) = ServerFrame::parse(text) else {
        return;
    };
    if let ServerFrame::Direct { data, .. } = &frame {
        let _ = PeerMessage::read(*data);
        let _ = PeerMessage::looks_internal(*data);
    }
    if let ServerFrame::Welcome(welcome) = &frame {
        let _ = welcome.lifetime();
        if let Some(metadata) = welcome.metadata.and_then(|raw| Metadata::try_from(raw).ok()) {
            let _ = ice_servers(&metadata);
        }
    }
    let written = frame.encode();
    let again = ServerFrame::parse(&written).expect("what was written can be read");
    assert_eq!(again.encode(), written);
});
