//! Tells apart the protocols that share a WebRTC socket (RFC 7983, section 7).

/// Whether a datagram begins as STUN does. Messages of STUN begin with 0 or 1; 2 and 3 are set aside for it.
pub(crate) fn is_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| (0..4).contains(first))
}

/// Whether a datagram begins as DTLS does.
pub(crate) fn is_dtls(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| (20..64).contains(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_tells_the_protocol() {
        for first in 0..=u8::MAX {
            assert_eq!(is_stun(&[first]), first <= 3, "{first}");
            assert_eq!(is_dtls(&[first]), (20..=63).contains(&first), "{first}");
        }
        assert!(!is_stun(&[]) && !is_dtls(&[]));
    }
}
