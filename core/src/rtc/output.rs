//! What a connection asks for.

use std::fmt;

use super::error::DataChannelError;
use super::event::Event;
use crate::ids::RequestId;
use crate::net::Transmit;
use crate::protocol::{DescriptionKind, Signal};

/// What to do next.
pub enum Output {
    /// Deliver this to the remote peer, in order.
    Signal(Signal),
    /// Send this datagram.
    Transmit(Transmit),
    /// Something happened.
    Event(Event),
    /// A [`send`](super::Connection::send) ended.
    SendDone {
        /// The request.
        request: RequestId,
        /// Whether the message was taken on: it goes out, unless the connection ends before.
        result: Result<(), DataChannelError>,
    },
}

impl fmt::Debug for Output {
    /// Signals by kind and length only: an SDP holds addresses and credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(Signal::Description { kind: DescriptionKind::Offer, sdp }) => {
                write!(f, "Signal(offer, {} bytes)", sdp.len())
            }
            Self::Signal(Signal::Description { kind: DescriptionKind::Answer, sdp }) => {
                write!(f, "Signal(answer, {} bytes)", sdp.len())
            }
            Self::Signal(Signal::Candidate(_)) => f.write_str("Signal(candidate)"),
            Self::Signal(Signal::EndOfCandidates) => f.write_str("Signal(end of candidates)"),
            Self::Transmit(transmit) => fmt::Debug::fmt(transmit, f),
            Self::Event(event) => fmt::Debug::fmt(event, f),
            Self::SendDone { request, result } => {
                f.debug_struct("SendDone").field("request", request).field("result", result).finish()
            }
        }
    }
}
