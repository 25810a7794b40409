//! Which SCTP streams the other side may send on (RFC 9260): with every packet, SCTP beneath looks at each stream there is,
//! and it makes one for whatever number comes, up to 65 536 of them.

use super::messages;
use super::packet::{self, DATA, I_DATA};
use crate::rtc::data_channel::MAX_CHANNELS;

/// Streams from here up are not taken. Those of channels are given from below, the even ones by one side and the odd ones by
/// the other, and one whose closing is not done keeps its number for a while.
const MAX_STREAMS: usize = 4 * MAX_CHANNELS;

/// Whether a packet brings data on a stream that is not taken. Left unacknowledged, it ends the association of whoever keeps
/// sending it.
pub(super) fn is_out_of_range(packet: &[u8]) -> bool {
    packet::chunks(packet)
        .filter(|chunk| matches!(chunk.kind, DATA | I_DATA))
        .any(|chunk| messages::stream(&chunk).is_some_and(|stream| usize::from(stream) >= MAX_STREAMS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(chunks: &[&[u8]]) -> Vec<u8> {
        [&[0; 12], &chunks.concat()[..]].concat()
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
