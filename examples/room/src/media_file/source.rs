use std::io::{self, Chain, Cursor, Read};

use super::error::Problem;

const MAGIC_BYTES: usize = 4;

/// An input that knows how far it has been read, and whose first bytes can be looked at beforehand.
pub(super) struct Source<R> {
    input: Chain<Cursor<Vec<u8>>, R>,
    magic: Vec<u8>,
    offset: u64,
}

impl<R: Read> Source<R> {
    pub(super) fn new(mut input: R) -> io::Result<Self> {
        let mut magic = Vec::with_capacity(MAGIC_BYTES);
        input.by_ref().take(MAGIC_BYTES as u64).read_to_end(&mut magic)?;
        Ok(Self { input: Cursor::new(magic.clone()).chain(input), magic, offset: 0 })
    }

    /// The first four bytes of the input, if it has so many.
    pub(super) fn magic(&mut self) -> Option<&[u8; MAGIC_BYTES]> {
        self.magic.first_chunk()
    }

    /// How many bytes have been read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// `N` bytes, or `None` where the input is at its end.
    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<Option<[u8; N]>, Problem> {
        let start = self.offset;
        let bytes = self.up_to(N)?;
        match <[u8; N]>::try_from(bytes) {
            Ok(array) => Ok(Some(array)),
            Err(bytes) if bytes.is_empty() => Ok(None),
            Err(_) => Err(Problem::broken(start, format!("the file ends within {what}"))),
        }
    }

    /// Exactly `length` bytes.
    pub(super) fn bytes(&mut self, length: usize, what: &str) -> Result<Vec<u8>, Problem> {
        let start = self.offset;
        let bytes = self.up_to(length)?;
        if bytes.len() < length {
            return Err(Problem::broken(start, format!("the file ends within {what}")));
        }
        Ok(bytes)
    }

    /// Up to `length` bytes. Memory grows with what is really there, not with what a length field promises.
    fn up_to(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        self.offset = self.offset.saturating_add(read as u64);
        Ok(bytes)
    }
}
