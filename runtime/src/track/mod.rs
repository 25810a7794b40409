//! Handles of tracks: local ones to write to, remote ones to read from.

mod local;
mod random_id;
mod remote;
mod stream;

pub use local::{Demand, LocalTrack, WrongKind};
pub(crate) use local::{OUTBOUND_FRAMES, OutboundFrame, Receiver};
pub(crate) use remote::FRAME_BYTES_PER_PEER;
pub use remote::RemoteTrack;
pub use stream::LocalStream;
