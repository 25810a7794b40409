//! The pure core of the Metered Realtime client.

#![forbid(unsafe_code)]

mod ids;
pub mod media;
pub mod protocol;
mod secret;
pub mod signalling;

pub use ids::{
    Channel, DataChannelId, IdProblem, InvalidId, PeerId, RequestId, SocketId, StreamId, TokenRequestId, TrackId,
};
pub use secret::Secret;
