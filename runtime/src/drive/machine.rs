//! What the loop needs of a machine.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use metered_realtime_core::ice::{OpenLink, SendLink};
use metered_realtime_core::protocol::CloseCode;
use metered_realtime_core::rtc::Transmit;
use metered_realtime_core::signalling::{Action, TokenError};
use metered_realtime_core::{LinkId, ResolveId, Secret, SocketId, TokenRequestId};

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

    fn socket_opened(&mut self, now: Instant, socket: SocketId);
    fn socket_text(&mut self, now: Instant, socket: SocketId, text: &str);
    fn socket_binary(&mut self, now: Instant, socket: SocketId);
    fn socket_closed(&mut self, now: Instant, socket: SocketId, close: Option<(CloseCode, &str)>);
    fn token(&mut self, now: Instant, request: TokenRequestId, token: Result<Secret, TokenError>);
    fn local_addresses(&mut self, now: Instant, addresses: &[SocketAddr]);
    fn datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]);
    fn resolved(&mut self, now: Instant, request: ResolveId, addresses: &[IpAddr]);
    fn link_opened(&mut self, now: Instant, link: LinkId);
    fn link_data(&mut self, now: Instant, link: LinkId, bytes: &[u8]);
    fn link_closed(&mut self, now: Instant, link: LinkId);

    fn handle_timeout(&mut self, now: Instant);
    fn poll_timeout(&self) -> Option<Instant>;
    /// The next thing for the loop to do. What is for the handles has reached them by then.
    fn poll_task(&mut self) -> Option<Task>;
}

/// Something for the loop to do.
pub(crate) enum Task {
    Signalling(Action),
    BindSockets { loopback: bool },
    Transmit(Transmit),
    Resolve { request: ResolveId, host: String },
    OpenLink(OpenLink),
    SendLink(SendLink),
    CloseLink { link: LinkId },
    Finished,
}
