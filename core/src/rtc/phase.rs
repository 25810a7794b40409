//! What a connection is waiting for.

use std::fmt;

/// What a connection is waiting for: why it is not connected yet, or not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionPhase {
    /// There is nothing to negotiate.
    Idle,
    /// An offer is being sent, and the other side has not answered it.
    AwaitingAnswer,
    /// The two sides agree, but this side has no candidates: no usable network interface, or, if only relays are allowed, no
    /// TURN server that works.
    NoLocalCandidates,
    /// The two sides agree, but no usable candidate of the other side has come.
    NoRemoteCandidates,
    /// ICE tries pairs of candidates; none works so far.
    CheckingCandidates,
    /// The path is lost, and the time of the next ICE restart has not come.
    AwaitingRestart,
    /// Every ICE restart failed. Goes on when the other side restarts, the network changes, or
    /// [`restart_ice`](crate::rtc::Connection::restart_ice) is called.
    GivenUp,
    /// ICE has a path, and the DTLS handshake runs on it.
    DtlsHandshake,
    /// The connection is up, but a data channel is not open yet.
    OpeningDataChannels,
    /// The connection is up.
    Established,
    /// The connection is closed.
    Closed,
}

impl fmt::Display for ConnectionPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "nothing to negotiate",
            Self::AwaitingAnswer => "waiting for an answer",
            Self::NoLocalCandidates => "no candidates of ours",
            Self::NoRemoteCandidates => "no candidates of theirs",
            Self::CheckingCandidates => "checking candidates",
            Self::AwaitingRestart => "waiting to restart ICE",
            Self::GivenUp => "ICE restarts given up",
            Self::DtlsHandshake => "in the DTLS handshake",
            Self::OpeningDataChannels => "opening data channels",
            Self::Established => "established",
            Self::Closed => "closed",
        })
    }
}
