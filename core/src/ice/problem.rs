//! Failures of STUN and TURN servers.

/// Why a STUN or TURN server failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum IceServerProblem {
    /// Its name could not be resolved.
    #[error("its name could not be resolved")]
    NotResolved,
    /// It could not be reached, or did not answer.
    #[error("it does not answer")]
    Unreachable,
    /// It refused username and credential.
    #[error("it refused the credentials")]
    Unauthorized,
    /// It has no more addresses for us.
    #[error("its quota is reached")]
    QuotaReached,
    /// Its URL begins with `stuns:`. What a server sees of a TLS connection is of no use to candidates over UDP. (Chromium asks
    /// such a server over UDP, without TLS.)
    #[error("STUN over TLS is not supported")]
    StunOverTls,
    /// Its URL asks for TLS over UDP, by `turns:` and `transport=udp` (RFC 7350). (Chromium takes that for TLS over TCP.)
    #[error("TURN over DTLS is not supported")]
    TurnOverDtls,
    /// Its URL cannot be read.
    #[error("its URL cannot be read")]
    InvalidUrl,
    /// It is a TURN server without username or credential.
    #[error("it has no username and credential")]
    NoCredentials,
    /// More servers are listed than are used.
    #[error("there are too many servers")]
    TooMany,
    /// The address it gave is no address to relay from.
    #[error("the address it gave cannot be used")]
    UnusableAddress,
    /// It refused with another code.
    #[error("it refused with code {0}")]
    Refused(u16),
    /// What it sent is not TURN.
    #[error("what it sent is not TURN")]
    NotTurn,
    /// The allocation was lost, as when the server restarts.
    #[error("the allocation was lost")]
    Lost,
}

/// A STUN or TURN server failed. Reported once for each problem, and again after the server has worked for a minute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ICE server {server}: {problem}")]
pub struct IceServerFailed {
    /// The host and port. For a server that is left out because of its URL, with the scheme, or the scheme alone if the rest
    /// cannot be parsed.
    pub server: String,
    /// The problem.
    pub problem: IceServerProblem,
}
