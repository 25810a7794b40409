//! Retransmission of requests to TURN servers (RFC 8489, section 6.2.1).
//!
//! A request is sent seven times within fifteen seconds, and fails four seconds later. Over a stream it is sent once and
//! fails after the same time.

use std::time::Duration;

/// The wait after the first transmission. Each next wait is twice as long.
pub(super) const RETRANSMIT: Duration = Duration::from_millis(500);

/// The longest wait, and the wait after the last transmission.
pub(super) const MAX_RETRANSMIT: Duration = Duration::from_secs(4);

/// The number of transmissions.
pub(super) const TRANSMISSIONS: u32 = 7;
