//! What is on the wire: frames in both directions, codes, limits and the peer-to-peer signals inside them.
//!
//! Parsing borrows from the text and keeps payloads raw, so that a frame costs one pass over its bytes and user data is
//! decoded once, by the user, into the user's type. Everything here is a function of its arguments; the server of this
//! project uses the same definitions from the other end.

mod client_frame;
mod codes;
mod ice_servers;
pub mod limits;
mod payload;
mod raw;
mod raw_json;
mod server_frame;
mod signal;

pub use client_frame::{ClientFrame, ClientFrameError};
pub use codes::{CloseCode, ErrorCode};
pub use ice_servers::{IceServer, ice_servers};
pub use payload::{Metadata, NotAnObject, Payload, PayloadError};
pub use raw_json::RawJson;
pub use server_frame::{FrameError, PresencePeer, ServerFrame, Welcome};
pub use signal::{DescriptionKind, PeerMessage, RemoteCandidate, Signal, TrackMetadataMessage};
