//! What an INIT and an INIT ACK say (RFC 9260, sections 3.3.2 and 3.3.3).

use super::packet::{u16_at, u32_at};

/// Bytes before the parameters: tag, window, streams both ways, first TSN.
const HEADER: usize = 16;

/// The least window an endpoint may have, in bytes.
const MIN_WINDOW: u32 = 1500;

const STATE_COOKIE: u16 = 7;

/// Whether the sender can have an association: it has a tag, a window, and streams both ways. `str0m` ignores all others.
pub(super) fn is_usable(value: &[u8]) -> bool {
    u32_at(value, 0).is_some_and(|tag| tag != 0)
        && u32_at(value, 4).is_some_and(|window| window >= MIN_WINDOW)
        && [8, 10].into_iter().all(|at| u16_at(value, at).is_some_and(|streams| streams != 0))
        && value.len() >= HEADER
}

/// The tag that the sender wants to see.
pub(super) fn tag(value: &[u8]) -> Option<u32> {
    u32_at(value, 0)
}

pub(super) fn cookie(value: &[u8]) -> Option<&[u8]> {
    parameters(value).find(|(kind, _)| *kind == STATE_COOKIE).and_then(|(_, whole)| whole.get(4..))
}

/// The same without a cookie.
pub(super) fn without_cookie(value: &[u8]) -> Vec<u8> {
    let mut init = value.get(..HEADER).unwrap_or_default().to_vec();
    for (_, whole) in parameters(value).filter(|(kind, _)| *kind != STATE_COOKIE) {
        init.extend(whole);
        init.resize(init.len().next_multiple_of(4), 0);
    }
    init
}

/// The same with this cookie, of at most 255 bytes, and no other.
pub(super) fn with_cookie(value: &[u8], cookie: &[u8]) -> Vec<u8> {
    let mut ack = without_cookie(value);
    ack.extend(STATE_COOKIE.to_be_bytes());
    ack.extend(u16::try_from(cookie.len().saturating_add(4)).unwrap_or(u16::MAX).to_be_bytes());
    ack.extend(cookie);
    ack.resize(ack.len().next_multiple_of(4), 0);
    ack
}

/// The parameters: their kinds, and all of their bytes without padding.
fn parameters(value: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut at = HEADER;
    std::iter::from_fn(move || {
        let (kind, length) = (u16_at(value, at)?, usize::from(u16_at(value, at.checked_add(2)?)?));
        let whole = value.get(at..at.checked_add(length)?).filter(|whole| whole.len() >= 4)?;
        at = at.checked_add(length.next_multiple_of(4))?;
        Some((kind, whole))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INIT: [u8; 24] = [0, 0, 0, 5, 0, 0, 5, 220, 0, 1, 0, 1, 0, 0, 0, 9, 192, 0, 0, 5, 7, 0, 0, 0];

    #[test]
    fn a_cookie_is_put_in_found_and_taken_out_beside_other_parameters() {
        let ack = with_cookie(&INIT, &[1, 2, 3]);
        assert_eq!((cookie(&ack), cookie(&INIT)), (Some(&[1, 2, 3][..]), None));
        assert_eq!(cookie(&with_cookie(&ack, &[4])), Some(&[4][..]));
        assert_eq!(without_cookie(&ack), INIT);
        assert_eq!(cookie(&with_cookie(&INIT[..21], &[1])), Some(&[1][..]), "the last parameter lacks its padding");
    }

    #[test]
    fn an_init_without_tag_window_or_streams_is_of_no_use() {
        assert!(is_usable(&INIT));
        assert!(!is_usable(&INIT[..15]));
        for (place, value) in [(3, 0), (7, 219), (9, 0), (11, 0)] {
            let mut init = INIT;
            init[place] = value;
            assert!(!is_usable(&init), "{place}");
        }
    }
}
