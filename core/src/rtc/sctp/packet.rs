//! Packets and chunks of SCTP (RFC 9260, section 3), read and written in place.

use std::ops::Range;

use crc::{CRC_32_ISCSI, Crc, Table};

/// Bytes of the header that is common to the chunks of a packet.
const COMMON_HEADER: usize = 12;

/// Bytes of the header of a chunk.
const CHUNK_HEADER: usize = 4;

pub(super) const DATA: u8 = 0;
pub(super) const INIT: u8 = 1;
pub(super) const INIT_ACK: u8 = 2;
pub(super) const SACK: u8 = 3;
pub(super) const ERROR: u8 = 9;
pub(super) const COOKIE_ECHO: u8 = 10;
pub(super) const COOKIE_ACK: u8 = 11;
/// RFC 8260.
pub(super) const I_DATA: u8 = 64;

/// The port that WebRTC endpoints use; `str0m` knows no other.
const PORT: u16 = 5000;

static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// One chunk of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// What follows the chunk's header, without padding.
    pub(super) value: &'a [u8],
    /// Where `value` starts in the packet.
    start: usize,
}

impl Chunk<'_> {
    /// Where bytes of `value` are in the packet.
    pub(super) fn place(&self, range: Range<usize>) -> Range<usize> {
        self.start.saturating_add(range.start)..self.start.saturating_add(range.end)
    }
}

/// The chunks of a packet, up to the first that is not whole.
pub(super) fn chunks(packet: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut at = COMMON_HEADER;
    std::iter::from_fn(move || {
        let [kind, flags, high, low] = *packet.get(at..)?.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (start, end) = (at.checked_add(CHUNK_HEADER)?, at.checked_add(length)?);
        let value = packet.get(start..end)?;
        at = at.checked_add(length.next_multiple_of(4))?;
        Some(Chunk { kind, flags, value, start })
    })
}

/// The kind of a packet's first chunk.
pub(super) fn first_kind(packet: &[u8]) -> Option<u8> {
    packet.get(COMMON_HEADER).copied()
}

/// The verification tag of a packet.
pub(super) fn tag(packet: &[u8]) -> Option<u32> {
    u32_at(packet, 4)
}

/// Replaces the verification tag. The packet has to be sealed afterwards.
pub(super) fn set_tag(packet: &mut [u8], tag: u32) {
    write(packet, 4..8, &tag.to_be_bytes());
}

/// Replaces bytes. The packet has to be sealed afterwards. Does nothing if the range is not in the packet.
pub(super) fn write(packet: &mut [u8], range: Range<usize>, bytes: &[u8]) {
    if let Some(place) = packet.get_mut(range).filter(|place| place.len() == bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Computes the checksum of a packet that was changed (RFC 9260, section 6.8).
pub(super) fn seal(packet: &mut [u8]) {
    write(packet, 8..12, &[0; 4]);
    let checksum = CRC32C.checksum(packet);
    write(packet, 8..12, &checksum.to_le_bytes());
}

/// The chunks of a packet after the first.
pub(super) fn after_first_chunk(packet: &[u8]) -> &[u8] {
    let first = chunks(packet).next();
    let end = first.map(|first| first.start.saturating_add(first.value.len()).next_multiple_of(4));
    end.and_then(|end| packet.get(end..)).unwrap_or_default()
}

/// A packet with one chunk that has no value, and others, between the ports of WebRTC.
pub(super) fn with_chunks(tag: u32, kind: u8, others: &[u8]) -> Vec<u8> {
    let mut packet = with_chunk(tag, kind, &[]);
    packet.extend(others);
    seal(&mut packet);
    packet
}

/// A packet with one chunk, between the ports of WebRTC.
pub(super) fn with_chunk(tag: u32, kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len().saturating_add(CHUNK_HEADER)).unwrap_or(u16::MAX);
    let mut packet = Vec::with_capacity(COMMON_HEADER + usize::from(length).next_multiple_of(4));
    packet.extend(PORT.to_be_bytes());
    packet.extend(PORT.to_be_bytes());
    packet.extend(tag.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend([kind, 0]);
    packet.extend(length.to_be_bytes());
    packet.extend(value);
    packet.resize(packet.len().next_multiple_of(4), 0);
    seal(&mut packet);
    packet
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_read_up_to_the_first_that_is_not_whole() {
        let mut packet = with_chunk(7, SACK, &[1, 2, 3]);
        packet.extend([COOKIE_ACK, 5, 0, 4, DATA, 0, 0, 9, 1]);
        let read: Vec<_> = chunks(&packet).map(|chunk| (chunk.kind, chunk.flags, chunk.value.to_vec())).collect();
        assert_eq!(read, [(SACK, 0, vec![1, 2, 3]), (COOKIE_ACK, 5, vec![])]);
        assert_eq!((first_kind(&packet), tag(&packet)), (Some(SACK), Some(7)));
        for length in 0..4 {
            assert_eq!(chunks(&[&[0; 12][..], &[DATA, 0, 0, length]].concat()).count(), 0, "shorter than its header");
        }
        for length in 0..packet.len() {
            assert!(chunks(&packet[..length]).count() <= 2);
        }
    }

    #[test]
    fn the_checksum_is_that_of_rfc_9260() {
        // An INIT of Chromium's.
        let mut packet = [0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b, 0, 0, 4];
        seal(&mut packet);
        assert_eq!(u32::from_le_bytes([packet[8], packet[9], packet[10], packet[11]]), {
            let mut zeroed = packet;
            zeroed[8..12].fill(0);
            // Bit by bit, as appendix A defines it.
            !zeroed.iter().fold(u32::MAX, |crc, byte| {
                (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(crc & 1)))
            })
        });
    }
}
