//! One signalling connection as a state machine: connect, requests, subscriptions, presence, keep-alive, reconnection.
//!
//! [`Signalling`] decides; whoever embeds it opens sockets, asks for tokens and waits. Every method that takes `now`
//! may leave outputs behind: drain [`Signalling::poll_output`] after each, then wait until
//! [`Signalling::poll_timeout`] or the next input.

mod backoff;
mod connecting;
mod deadline;
mod ended;
mod endings;
mod error;
mod frames;
mod in_flight;
mod input;
mod inputs;
mod machine;
mod options;
mod output;
mod overlap;
mod provider_error;
mod renewal;
mod renewing;
mod requests;
mod senders;
mod server_connection;
mod socket_error;
mod subscriptions;
mod switching;
#[cfg(test)]
mod tests;

pub use error::{CloseReason, ConnectError, RequestError, StateError, TokenError};
pub use input::Input;
pub use machine::{Counters, Signalling};
pub use options::{Credentials, ReconnectOptions, SignallingOptions};
pub use output::{Action, Event, Output, PeerInfo, Session, SocketUrl, State};
pub use provider_error::ProviderError;
pub use socket_error::{SocketError, SocketErrorKind};
