//! One signalling connection as a state machine: connect, requests, subscriptions, presence, keep-alive, reconnection.
//!
//! [`Signalling`] decides; whoever embeds it opens sockets, asks for tokens and waits. Every method that takes `now`
//! may leave outputs behind: drain [`Signalling::poll_output`] after each, then wait until
//! [`Signalling::poll_timeout`] or the next input.

mod backoff;
mod deadline;
mod error;
mod in_flight;
mod link;
mod machine;
mod options;
mod output;
mod overlap;
mod renewal;
mod renewing;
mod subscriptions;
#[cfg(test)]
mod tests;

pub use error::{CloseReason, ConnectError, InvalidOption, RequestError, StateError, TokenError};
pub use machine::{Counters, Signalling};
pub use options::{Credentials, ReconnectOptions, SignallingOptions};
pub use output::{Action, Event, Output, PeerInfo, Session, SocketUrl, State};
