//! Which SCTP streams the other side may send on (RFC 9260): with every packet, SCTP beneath looks at each stream there is,
//! and it makes one for whatever number comes, up to 65 536 of them.

use super::options::MAX_CHANNELS;

/// Streams from here up are not taken. Those of channels are given from below, the even ones by one side and the odd ones by
/// the other, and one whose closing is not done keeps its number for a while.
const MAX_STREAMS: usize = 4 * MAX_CHANNELS;

/// Bytes of the header that is common to the chunks of a packet.
const COMMON_HEADER: usize = 12;

const DATA: u8 = 0;

/// RFC 8260.
const I_DATA: u8 = 64;

/// Whether a packet brings data on a stream that is not taken. Left unacknowledged, it ends the association of whoever keeps
/// sending it.
pub(super) fn is_out_of_range(packet: &[u8]) -> bool {
    let mut chunks = packet.get(COMMON_HEADER..).unwrap_or_default();
    while let [kind, _flags, high, low, ..] = chunks {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if matches!(*kind, DATA | I_DATA)
            && let Some([high, low]) = chunks.get(8..10)
            && usize::from(u16::from_be_bytes([*high, *low])) >= MAX_STREAMS
        {
            return true;
        }
        let next = chunks.get(length.next_multiple_of(4)..);
        let Some(next) = next.filter(|_| length >= 4) else { return false };
        chunks = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(chunks: &[&[u8]]) -> Vec<u8> {
        [&[0; COMMON_HEADER], &chunks.concat()[..]].concat()
    }

    #[test]
    fn the_stream_of_every_data_chunk_is_looked_at() {
        let data = |kind, stream: u16| {
            let [high, low] = stream.to_be_bytes();
            // One byte of data, and three to fill up.
            vec![kind, 3, 0, 17, 0, 0, 0, 1, high, low, 0, 0, 0, 0, 0, 51, 9, 0, 0, 0]
        };
        let sack: &[u8] = &[3, 0, 0, 16, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0];
        assert!(!is_out_of_range(&packet(&[sack, &data(0, 0), &data(0, 4095)])));
        assert!(is_out_of_range(&packet(&[sack, &data(0, 0), &data(0, 4096)])));
        assert!(is_out_of_range(&packet(&[&data(64, u16::MAX)])));
        for cut in 0..12 {
            assert!(!is_out_of_range(&packet(&[&data(0, 1), &[0, 0, 0, cut]])));
        }
        assert!(!is_out_of_range(&[]));
    }
}
