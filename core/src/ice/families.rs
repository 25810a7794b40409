//! The address families that a TURN server is asked for (RFC 8656, section 7.1).

use turn_client_proto::stun::types::attribute::ErrorCode;

/// The address families requested in an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressFamilies {
    /// IPv4 and IPv6. The server may grant one of them alone. So does coturn, to version 4.6 at least: it knows the attribute
    /// by the number of an earlier draft only.
    Both,
    /// IPv4, for servers that refuse a request for both.
    Ipv4,
    /// IPv6, for servers that have no other.
    Ipv6,
}

impl AddressFamilies {
    /// The families to request after a refusal with this code. Many servers refuse a request for both with the code for a
    /// family that they do not support, so the code says nothing about either.
    pub(super) fn after_refusal(self, code: u16) -> Option<Self> {
        match (self, code) {
            (Self::Both, _) => Some(Self::Ipv4),
            (Self::Ipv4, ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED) => Some(Self::Ipv6),
            _ => None,
        }
    }
}
