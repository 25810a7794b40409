//! The rules of the server as state machines: inputs in, outputs out, no I/O, no clock, no randomness.

mod channel;
mod hub;
mod identity;
mod request;
mod timers;

pub use hub::{ConnId, Hub, HubLimits, Input, Output};
pub use identity::{Identity, TenantId};
pub use timers::{Due, Timers};
