//! What the loop needs of a machine.

use std::time::Instant;

#[cfg(feature = "webrtc")]
use metered_realtime_core::net;
use metered_realtime_core::signalling;

/// A machine of the core, with its handles.
pub(crate) trait Machine: Send + 'static {
    /// What handles ask for.
    type Command: Send;
    /// What local tracks write.
    type Frame: Send;

    fn command(&mut self, now: Instant, command: Self::Command);
    /// The last handle is gone.
    fn abandoned(&mut self, now: Instant);
    fn frame(&mut self, now: Instant, frame: Self::Frame);
    fn signalling_input(&mut self, now: Instant, input: signalling::Input<'_>);
    /// From UDP sockets, links and names, if it asks for any.
    #[cfg(feature = "webrtc")]
    fn network_input(&mut self, now: Instant, input: net::Input<'_>);
    fn handle_timeout(&mut self, now: Instant);
    fn poll_timeout(&self) -> Option<Instant>;
    /// The next thing for the loop to do. What is for the handles has reached them by then.
    fn poll_task(&mut self) -> Option<Task>;
}

/// Something for the loop to do.
pub(crate) enum Task {
    Signalling(signalling::Action),
    #[cfg(feature = "webrtc")]
    Network(net::Action),
    Finished,
}
