//! Whole messages out of a stream of bytes (RFC 8656, section 12.5; RFC 8489, section 6.2.2).

/// The largest message a stream can carry: a length field of 16 bits, the header of STUN, and padding.
const MAX_MESSAGE: usize = 65_535 + 20 + 3;

/// The bytes of a stream that are no whole message yet: at most one message, however much is fed at once.
#[derive(Debug, Default)]
pub(super) struct Framing {
    buffer: Vec<u8>,
}

/// The stream holds something else than messages of TURN.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotTurn;

impl Framing {
    /// Takes what came and gives every message that is complete, without padding.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), NotTurn> {
        loop {
            let wanted = match header(&self.buffer)? {
                Some(lengths) => lengths.padded,
                None => 4,
            };
            let missing = wanted.saturating_sub(self.buffer.len()).min(bytes.len());
            let (now, later) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
            self.buffer.extend_from_slice(now);
            bytes = later;
            match header(&self.buffer)? {
                Some(Lengths { message, padded }) if self.buffer.len() >= padded => {
                    each(self.buffer.get(..message).unwrap_or_default());
                    self.buffer.clear();
                }
                Some(_) if !bytes.is_empty() => {}
                _ => return Ok(()),
            }
        }
    }
}

struct Lengths {
    message: usize,
    padded: usize,
}

fn header(buffer: &[u8]) -> Result<Option<Lengths>, NotTurn> {
    let Some([first, _, high, low]) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    match first >> 6 {
        0b00 => Ok(Some(Lengths { message: length + 20, padded: length + 20 })),
        0b01 => Ok(Some(Lengths { message: length + 4, padded: (length + 4).next_multiple_of(4) })),
        _ => Err(NotTurn),
    }
}

/// Pads a message for a stream: channel data goes in multiples of four bytes.
pub(super) fn pad(message: &mut Vec<u8>) {
    debug_assert!(message.len() <= MAX_MESSAGE);
    message.resize(message.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stun(length: u16) -> Vec<u8> {
        let mut message = vec![0, 1];
        message.extend(length.to_be_bytes());
        message.resize(20 + usize::from(length), 7);
        message
    }

    fn channel(length: u16) -> Vec<u8> {
        let mut message = vec![0x40, 0];
        message.extend(length.to_be_bytes());
        message.resize(4 + usize::from(length), 9);
        message
    }

    #[test]
    fn messages_come_whole_however_the_stream_is_cut() {
        let messages =
            [stun(0), channel(5), channel(0), stun(8), channel(8), channel(65_535), stun(65_532), channel(3)];
        let mut stream = Vec::new();
        for message in &messages {
            let mut padded = message.clone();
            pad(&mut padded);
            stream.extend(padded);
        }
        for size in [1, 2, 3, 5, 64, 1000, stream.len()] {
            let mut framing = Framing::default();
            let mut out = Vec::new();
            for chunk in stream.chunks(size) {
                framing.feed(chunk, |message| out.push(message.to_vec())).unwrap();
                assert!(framing.buffer.len() <= MAX_MESSAGE);
            }
            assert_eq!(out, messages, "cut every {size} bytes");
        }
    }

    #[test]
    fn what_is_no_turn_is_refused() {
        let mut framing = Framing::default();
        assert_eq!(framing.feed(b"\x80abc", |_| panic!()), Err(NotTurn));
        let mut framing = Framing::default();
        assert_eq!(framing.feed(b"HTTP/1.1 400", |_| ()), Ok(()), "only the first two bits tell");
    }
}
