//! The outputs of the hub.

use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use metered_realtime_core::protocol::CloseCode;

use crate::state::conn_id::ConnId;

/// An output of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a text message. The text is shared between its receivers and cheap to clone.
    Send {
        /// To whom.
        conn: ConnId,
        /// The frame.
        text: Utf8Bytes,
    },
    /// Close with a code, once what was sent before is written. The hub has forgotten the connection already.
    Close {
        /// Which one.
        conn: ConnId,
        /// The code.
        code: CloseCode,
    },
    /// Changes of presence of large channels wait to be sent together: give [`Input::FlushPresence`](super::Input::FlushPresence) after
    /// [`PRESENCE_BATCH`]. Emitted again only after that.
    PresenceWaits,
}

/// How long changes of presence of a large channel are collected.
pub const PRESENCE_BATCH: Duration = Duration::from_millis(50);
