//! Who a request is from, where a proxy stands in between.

use std::net::IpAddr;

use axum::http::HeaderMap;

/// The header in which a proxy appends the address that a request came from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address that a request is from: that of the socket, or behind `trusted` proxies the last one in `X-Forwarded-For` that
/// is none of theirs. What stands before it may be anybody's invention. Where the header ends in no address, the
/// last one that is known counts.
pub(super) fn source(socket: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let mut source = socket.to_canonical();
    let values = headers.get_all(FORWARDED_FOR).iter().rev().map(|value| value.to_str().unwrap_or_default());
    for entry in values.flat_map(|value| value.rsplit(',')) {
        if !trusted.contains(&source) {
            break;
        }
        match entry.trim().parse::<IpAddr>() {
            Ok(address) => source = address.to_canonical(),
            Err(_) => break,
        }
    }
    source
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn from(values: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        let trusted: Vec<IpAddr> = trusted.iter().map(|address| address.parse().unwrap()).collect();
        source("10.0.0.1".parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_header_counts_from_a_trusted_proxy_alone() {
        assert_eq!(from(&["192.0.2.7"], &[]), "10.0.0.1");
        assert_eq!(from(&["192.0.2.7"], &["10.0.0.1"]), "192.0.2.7");
        assert_eq!(from(&[], &["10.0.0.1"]), "10.0.0.1");
    }

    #[test]
    fn what_a_client_invents_does_not_count() {
        assert_eq!(from(&["1.1.1.1, 192.0.2.7"], &["10.0.0.1"]), "192.0.2.7");
        assert_eq!(from(&["1.1.1.1", "192.0.2.7"], &["10.0.0.1"]), "192.0.2.7");
        assert_eq!(from(&["1.1.1.1, 192.0.2.7, 10.0.0.2"], &["10.0.0.1", "10.0.0.2"]), "192.0.2.7");
        assert_eq!(from(&["192.0.2.7, nonsense"], &["10.0.0.1"]), "10.0.0.1");
        assert_eq!(from(&["2001:db8::1"], &["10.0.0.1"]), "2001:db8::1");
    }
}
