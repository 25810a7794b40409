//! The network as OpenSSL sees it: a datagram to read, and datagrams that are written.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

/// Datagrams that wait to be sent, as many as a large flight has twice. At the bound a new one is lost, as it could be
/// anywhere on its way.
const OUTBOUND: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Datagrams {
    /// Taken as a whole, or overwritten by the next one.
    inbound: Option<Vec<u8>>,
    outbound: VecDeque<Vec<u8>>,
}

impl Datagrams {
    pub(super) fn received(&mut self, datagram: &[u8]) {
        self.inbound = Some(datagram.to_vec());
    }

    pub(super) fn front(&self) -> Option<&[u8]> {
        self.outbound.front().map(Vec::as_slice)
    }

    pub(super) fn pop(&mut self) {
        self.outbound.pop_front();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outbound.is_empty()
    }
}

impl Read for Datagrams {
    /// What does not fit is cut, as by the system.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.inbound.take().ok_or(io::ErrorKind::WouldBlock)?;
        let len = datagram.len().min(buffer.len());
        if let (Some(place), Some(start)) = (buffer.get_mut(..len), datagram.get(..len)) {
            place.copy_from_slice(start);
        }
        Ok(len)
    }
}

impl Write for Datagrams {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        if self.outbound.len() < OUTBOUND {
            self.outbound.push_back(datagram.to_vec());
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
