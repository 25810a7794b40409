//! Messages that `str0m` 0.25 (sctp-proto 0.10) cannot send or treats differently from browsers.
//!
//! - It sends nothing for an empty message. RFC 8831, section 6.6, has one zero byte with a payload protocol identifier of
//!   its own for that. So an empty message is handed over as one byte that is no text, marked as text, which no message
//!   of the user's can be, and gets its right form on the way out.
//! - Messages with a lifetime of 0 ms expire before they are sent for the first time. Browsers send them once. A channel
//!   that the other side opens with 0 ms is taken for one with 1 ms.

use super::packet::{self, Chunk, DATA, seal, u16_at, u32_at, write};
use crate::rtc::data_channel::DataChannelMessage;

/// What stands for an empty text until it leaves.
const EMPTY_TEXT: u8 = 0xff;

/// What stands for an empty binary message until it leaves.
const EMPTY_BINARY: u8 = 0xfe;

/// Payload protocol identifiers (RFC 8831, section 8).
const DCEP: u32 = 50;
const TEXT: u32 = 51;
const TEXT_EMPTY: u32 = 56;
const BINARY_EMPTY: u32 = 57;

/// Flags of a chunk that is the first, or the last, of its message.
const FIRST: u8 = 2;
const WHOLE: u8 = 3;

/// Bytes of a DATA chunk before the user's: TSN, stream, sequence number, payload protocol identifier.
const DATA_HEADER: usize = 12;

const DATA_CHANNEL_OPEN: u8 = 3;
const TIMED: u8 = 2;
const UNORDERED: u8 = 0x80;

/// Whether a message is handed to `str0m` as binary, and its bytes.
pub(in crate::rtc) fn handed_over(message: &DataChannelMessage) -> (bool, &[u8]) {
    match message {
        DataChannelMessage::Text(text) if text.is_empty() => (false, &[EMPTY_TEXT]),
        DataChannelMessage::Binary(bytes) if bytes.is_empty() => (false, &[EMPTY_BINARY]),
        DataChannelMessage::Text(text) => (false, text.as_bytes()),
        DataChannelMessage::Binary(bytes) => (true, bytes),
    }
}

/// A packet of `str0m`'s with its empty messages in their right form; `None` if it has none.
pub(super) fn outbound(sent: &[u8]) -> Option<Vec<u8>> {
    changed(sent, |chunk| {
        let empty = match chunk.value.get(DATA_HEADER..)? {
            [EMPTY_TEXT] => TEXT_EMPTY,
            [EMPTY_BINARY] => BINARY_EMPTY,
            _ => return None,
        };
        let marked = chunk.flags & WHOLE == WHOLE && u32_at(chunk.value, 8) == Some(TEXT);
        let [a, b, c, d] = empty.to_be_bytes();
        marked.then_some((8, vec![a, b, c, d, 0]))
    })
}

/// A packet of the other side's with no channel of a lifetime of 0 ms; `None` if it has none anyway.
pub(super) fn inbound(received: &[u8]) -> Option<Vec<u8>> {
    changed(received, |chunk| {
        let open = chunk.value.get(DATA_HEADER..)?;
        let [DATA_CHANNEL_OPEN, reliability, ..] = *open else { return None };
        let is_open = chunk.flags & FIRST != 0 && u32_at(chunk.value, 8) == Some(DCEP);
        let never = reliability & !UNORDERED == TIMED && u32_at(open, 4) == Some(0);
        (is_open && never).then(|| (DATA_HEADER + 4, 1u32.to_be_bytes().to_vec()))
    })
}

/// The number of the stream of a chunk with data.
pub(super) fn stream(chunk: &Chunk<'_>) -> Option<u16> {
    u16_at(chunk.value, 4)
}

/// The packet with what `change` says written into the values of its DATA chunks; `None` if it says nothing.
fn changed(original: &[u8], change: impl Fn(&Chunk<'_>) -> Option<(usize, Vec<u8>)>) -> Option<Vec<u8>> {
    let mut packet = None;
    for chunk in packet::chunks(original).filter(|chunk| chunk.kind == DATA) {
        if let Some((at, bytes)) = change(&chunk) {
            let range = chunk.place(at..at.saturating_add(bytes.len()));
            write(packet.get_or_insert_with(|| original.to_vec()), range, &bytes);
        }
    }
    packet.as_deref_mut().map(seal);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::sctp::packet::{SACK, chunks, with_chunk};

    fn data(flags: u8, protocol: u32, bytes: &[u8]) -> Vec<u8> {
        let value = [&[0, 0, 0, 1, 0, 5, 0, 0][..], &protocol.to_be_bytes(), bytes].concat();
        let mut packet = with_chunk(1, DATA, &value);
        packet[13] = flags;
        packet
    }

    /// The chunks of the second packet behind those of the first.
    fn bundled(first: Vec<u8>, second: Vec<u8>) -> Vec<u8> {
        let mut packet = [&first[..], &second[12..]].concat();
        seal(&mut packet);
        packet
    }

    fn payloads(packet: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let read = |chunk: Chunk<'_>| (u32_at(chunk.value, 8).unwrap(), chunk.value[DATA_HEADER..].to_vec());
        chunks(packet).filter(|chunk| chunk.kind == DATA).map(read).collect()
    }

    #[test]
    fn empty_messages_get_their_right_form_wherever_they_are_in_a_packet() {
        let text = || data(WHOLE, TEXT, &[EMPTY_TEXT]);
        let binary = || data(WHOLE | 4, TEXT, &[EMPTY_BINARY]);
        let other = || data(WHOLE, TEXT, b"hello");
        let packet = bundled(bundled(bundled(with_chunk(1, SACK, &[0; 12]), text()), other()), binary());
        let sent = outbound(&packet).unwrap();
        assert_eq!(payloads(&sent), [(56, vec![0]), (51, b"hello".to_vec()), (57, vec![0])]);
        let mut sealed = sent.clone();
        seal(&mut sealed);
        assert_eq!(sealed, sent);
        assert_eq!(sent.len(), packet.len());
    }

    #[test]
    fn other_messages_are_left_as_they_are() {
        for packet in [
            data(WHOLE, 53, &[EMPTY_TEXT]),
            data(WHOLE, 53, &[0]),
            data(WHOLE, TEXT, &[0]),
            data(WHOLE, TEXT, "ÿ".as_bytes()),
            data(FIRST, TEXT, &[EMPTY_TEXT]),
            data(1, TEXT, &[EMPTY_BINARY]),
            data(WHOLE, TEXT, &[]),
            with_chunk(1, SACK, &[EMPTY_TEXT]),
            Vec::new(),
        ] {
            assert_eq!(outbound(&packet), None, "{packet:?}");
        }
    }

    #[test]
    fn a_channel_with_no_lifetime_gets_the_shortest() {
        let open = |kind, lifetime: u32| {
            let [a, b, c, d] = lifetime.to_be_bytes();
            [DATA_CHANNEL_OPEN, kind, 1, 0, a, b, c, d, 0, 1, 0, 0, b'x']
        };
        for kind in [TIMED, TIMED | UNORDERED] {
            let changed = inbound(&data(WHOLE, DCEP, &open(kind, 0))).unwrap();
            assert_eq!(payloads(&changed), [(DCEP, open(kind, 1).to_vec())]);
            assert_eq!(inbound(&data(WHOLE, DCEP, &open(kind, 1))), None);
        }
        assert_eq!(inbound(&data(WHOLE, DCEP, &open(1, 0))), None, "no retransmissions is something else");
        assert_eq!(inbound(&data(WHOLE, TEXT, &open(TIMED, 0))), None, "a message of the user's");
        for length in 0..13 {
            assert_eq!(inbound(&data(WHOLE, DCEP, &open(TIMED, 0)[..length])).is_some(), length >= 8);
        }
    }
}
