//! The rules of the server as state machines: inputs in, outputs out, no I/O, no clock, no randomness.

mod addresses;
mod channel;
mod conn_id;
mod frame;
mod hub;
mod identity;
mod presence;
mod rate;
mod request;
mod tenants;
mod timers;

pub use addresses::{Accepted, ConnectRates, Full, HttpSocketLimits, HttpSockets, Source};
pub use conn_id::ConnId;
pub(crate) use frame::is_portable;
pub use frame::{PAYLOAD_DEPTH, parse_frame};
pub use hub::{Hub, HubLimits, Input, Output, PRESENCE_BATCH};
pub use identity::{Identity, TenantId};
pub use rate::{Rate, RateLimit};
pub use tenants::{Quota, Usage};
pub use timers::{Due, Timers};
