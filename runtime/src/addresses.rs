//! Which of this machine's addresses are worth binding.

use std::net::IpAddr;

/// Addresses bound at most: each is a socket and a candidate, and a machine with many virtual interfaces has dozens.
const ADDRESSES: usize = 16;

/// The addresses a peer could reach us at, each once, in the order the system lists them.
pub(crate) fn usable(interfaces: Vec<IpAddr>, loopback: bool) -> Vec<IpAddr> {
    let mut usable: Vec<IpAddr> = Vec::new();
    for address in interfaces {
        if is_usable(&address, loopback) && !usable.contains(&address) && usable.len() < ADDRESSES {
            usable.push(address);
        }
    }
    usable
}

fn is_usable(address: &IpAddr, loopback: bool) -> bool {
    if address.is_loopback() {
        return loopback;
    }
    match address {
        IpAddr::V4(address) => !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast(),
        // A link-local address means nothing without its interface, which a candidate does not name.
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_multicast() && !address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(addresses: &[&str]) -> Vec<IpAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn loopback_only_if_asked_and_link_local_v6_never() {
        let all = parse(&["127.0.0.1", "10.0.0.2", "::1", "fe80::1", "2001:db8::1", "10.0.0.2"]);
        assert_eq!(usable(all.clone(), false), parse(&["10.0.0.2", "2001:db8::1"]));
        assert_eq!(usable(all, true), parse(&["127.0.0.1", "10.0.0.2", "::1", "2001:db8::1"]));
    }

    #[test]
    fn their_number_is_bounded() {
        let many = (0..100).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        assert_eq!(usable(many, false).len(), ADDRESSES);
    }
}
