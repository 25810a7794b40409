//! Which candidates are offered.

/// The candidates that are offered to remote peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum IceTransportPolicy {
    /// Host, server-reflexive and relayed candidates.
    #[default]
    All,
    /// Relayed candidates only. Remote peers learn no local address, and no UDP socket is bound.
    Relay,
}
