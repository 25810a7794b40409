//! WebSocket frames (RFC 6455, section 5.2) byte by byte, so that they can be wrong.

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const PING: u8 = 0x9;

/// The bit that says that a message ends with this frame.
pub(crate) const FIN: u8 = 0x80;

/// A frame as a server sends it.
pub(crate) fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first_byte, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

/// The header of a frame of `length` bytes.
pub(crate) fn header(first_byte: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first_byte];
    match length {
        0..=125 => header.push(length as u8),
        126..=0xffff => {
            header.push(126);
            header.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            header.push(127);
            header.extend_from_slice(&length.to_be_bytes());
        }
    }
    header
}

/// A frame as only a client may send it.
pub(crate) fn masked(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first_byte, payload.len() as u64);
    frame[1] |= 0x80;
    // A mask of zeros changes nothing in the payload.
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}
