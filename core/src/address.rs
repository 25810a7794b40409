//! What addresses are good for.

use std::net::{IpAddr, SocketAddr};

/// Whether datagrams to it can reach one host: it names one, and a port.
pub(crate) fn is_of_one_host(address: SocketAddr) -> bool {
    address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast()
}

/// Whether it means something on one link only. Which link an IPv4 address of that kind (RFC 3927) is on, the routes of a
/// machine tell; for IPv6 the interface is a part of the address (RFC 4007, section 6).
pub(crate) fn is_link_local_v6(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}
