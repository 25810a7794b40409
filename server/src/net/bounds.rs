//! Bounds of sockets.

use crate::state::HttpSocketLimits;

/// Maximum numbers of sockets that speak HTTP.
pub(super) const HTTP_SOCKETS: HttpSocketLimits = HttpSocketLimits { total: 4096, per_source: 64 };

/// Maximum number of ended sockets that are still read. More are dropped at once.
pub(super) const LINGERING: usize = 1024;

/// Maximum number of WebSockets besides the welcomed ones: refused, and ending.
pub(super) const OTHER_WEBSOCKETS: usize = 1024;

/// Maximum number of sockets besides those of welcomed connections.
pub(crate) const OTHER_SOCKETS: usize = HTTP_SOCKETS.total + LINGERING + OTHER_WEBSOCKETS;
