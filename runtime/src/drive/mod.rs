//! The one loop that drives a machine of the core: it carries inputs to it and does what it asks for.
//!
//! Everything the loop waits for is polled in one task, so that nothing waits for anything else: sockets that open,
//! messages, datagrams, tokens, commands and the timer. Each turn takes a bounded number of inputs from each source, and
//! after some turns the executor gets its way.

#[cfg(feature = "webrtc")]
mod links;
mod machine;
#[cfg(feature = "webrtc")]
mod names;
#[cfg_attr(not(feature = "webrtc"), path = "no_network.rs")]
mod network;
mod sockets;
mod tokens;
#[cfg(feature = "webrtc")]
mod udp;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use async_channel::Receiver;
use futures_core::Stream;
#[cfg(feature = "webrtc")]
use metered_realtime_core::net;
use metered_realtime_core::signalling::{self, Action};

#[cfg(feature = "webrtc")]
use links::LinkInput;
pub(crate) use machine::{Machine, Task};
use network::Network;
use sockets::{SocketInput, Sockets};
use tokens::Tokens;

use crate::net::{Connector, Tls};
use crate::runtime::{Runtime, Timer};
use crate::token::TokenProvider;

/// Inputs taken from one source in one turn.
const INPUTS_A_TURN: usize = 64;

/// Turns before other tasks of the executor may run.
const TURNS: usize = 8;

pub(crate) struct Driver<R: Runtime, M: Machine> {
    runtime: R,
    machine: M,
    commands: Pin<Box<Receiver<M::Command>>>,
    frames: Pin<Box<Receiver<M::Frame>>>,
    abandoned: bool,
    sockets: Sockets<R>,
    network: Network<R>,
    tokens: Tokens,
    timer: Alarm<R::Timer>,
    finished: bool,
}

impl<R: Runtime, M: Machine> Driver<R, M> {
    pub(crate) fn new(
        runtime: R,
        tls: Tls,
        machine: M,
        tokens: Option<TokenProvider>,
        commands: Receiver<M::Command>,
        frames: Receiver<M::Frame>,
    ) -> Self {
        let connector = Connector::new(runtime.clone(), tls);
        Self {
            network: Network::new(connector.clone()),
            sockets: Sockets::new(connector),
            runtime,
            machine,
            commands: Box::pin(commands),
            frames: Box::pin(frames),
            abandoned: false,
            tokens: Tokens::new(tokens),
            timer: Alarm::default(),
            finished: false,
        }
    }

    /// Drives the machine until it is finished.
    pub(crate) async fn run(mut self) {
        poll_fn(|cx| self.turns(cx)).await;
        tracing::debug!("driver done");
    }

    fn turns(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS {
            let now = self.runtime.now();
            let mut progress = self.take_commands(now, cx);
            progress |= self.take_socket_inputs(now, cx);
            progress |= self.take_tokens(now, cx);
            progress |= self.take_frames(now, cx);
            progress |= self.take_network_inputs(now, cx);
            progress |= self.take_timeout(now, progress, cx);
            // After all inputs: what they made the machine send goes out in as few writes as possible.
            self.sockets.flush(cx);
            let has_news = self.network.flush(cx) || self.sockets.has_news();
            if self.finished {
                return Poll::Ready(());
            }
            if !progress && !has_news {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn take_commands(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        if self.abandoned {
            return false;
        }
        for taken in 0..INPUTS_A_TURN {
            match self.commands.as_mut().poll_next(cx) {
                Poll::Ready(Some(command)) => self.machine.command(now, command),
                Poll::Ready(None) => {
                    self.abandoned = true;
                    self.machine.abandoned(now);
                    self.perform(now);
                    return true;
                }
                Poll::Pending => return taken > 0,
            }
            self.perform(now);
        }
        true
    }

    fn take_frames(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        for taken in 0..INPUTS_A_TURN {
            match self.frames.as_mut().poll_next(cx) {
                Poll::Ready(Some(frame)) => self.machine.frame(now, frame),
                Poll::Ready(None) | Poll::Pending => return taken > 0,
            }
            self.perform(now);
        }
        true
    }

    fn take_socket_inputs(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        for taken in 0..INPUTS_A_TURN {
            let Poll::Ready((socket, input)) = self.sockets.poll_input(cx) else {
                return taken > 0;
            };
            let input = match &input {
                SocketInput::Closed(Err(error)) => signalling::Input::SocketFailed { socket, error: error.clone() },
                SocketInput::Opened => signalling::Input::SocketOpened { socket },
                SocketInput::Text(text) => signalling::Input::SocketText { socket, text },
                SocketInput::Binary => signalling::Input::SocketBinary { socket },
                SocketInput::Closed(Ok((code, reason))) => {
                    signalling::Input::SocketClosed { socket, close: Some((*code, reason)) }
                }
            };
            self.machine.signalling_input(now, input);
            self.perform(now);
        }
        true
    }

    fn take_tokens(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while let Poll::Ready((request, token)) = self.tokens.poll_answer(cx) {
            self.machine.signalling_input(now, signalling::Input::Token { request, token });
            self.perform(now);
            progress = true;
        }
        progress
    }

    /// After `progress` there is another turn, and no need of a timer until then.
    fn take_timeout(&mut self, now: Instant, progress: bool, cx: &mut Context<'_>) -> bool {
        let own = earlier(self.sockets.poll_timeout(), self.network.poll_timeout());
        let Some(deadline) = earlier(self.machine.poll_timeout(), own) else {
            self.timer.due = None;
            return false;
        };
        if deadline > now && (progress || self.timer.poll(&self.runtime, deadline, cx).is_pending()) {
            return false;
        }
        // A timer may be due a little before the clock says so.
        let now = now.max(deadline);
        self.sockets.handle_timeout(now);
        self.handle_network_timeout(now);
        if self.machine.poll_timeout().is_some_and(|due| due <= now) {
            self.machine.handle_timeout(now);
            self.perform(now);
        }
        true
    }

    /// Does everything the machine asks for. Nothing in here waits.
    fn perform(&mut self, now: Instant) {
        while let Some(task) = self.machine.poll_task() {
            match task {
                Task::Signalling(action) => self.sockets_or_tokens(now, action),
                #[cfg(feature = "webrtc")]
                Task::Network(action) => self.network(now, action),
                Task::Finished => self.finished = true,
            }
        }
    }

    fn sockets_or_tokens(&mut self, now: Instant, action: Action) {
        match action {
            Action::OpenSocket { socket, url } => self.sockets.open(socket, url),
            Action::SendText { socket, text } => self.sockets.send(socket, text),
            Action::CloseSocket { socket, code, reason } => {
                self.sockets.close(now, socket, code, reason.as_untrusted().to_owned());
            }
            Action::FetchToken { request } => self.tokens.ask(request),
            Action::AbandonToken { request } => self.tokens.abandon(request),
        }
    }
}

#[cfg(feature = "webrtc")]
impl<R: Runtime, M: Machine> Driver<R, M> {
    fn take_network_inputs(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let mut progress = self.take_names(now, cx);
        progress |= self.take_datagrams(now, cx);
        progress | self.take_link_inputs(now, cx)
    }

    fn take_datagrams(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        for index in 0..self.network.udp.len() {
            let mut taken = 0;
            while taken < INPUTS_A_TURN {
                let Poll::Ready(count) = self.network.udp.poll_recv(index, cx) else { break };
                for slot in 0..count {
                    if let Some((local, remote, contents)) = self.network.udp.received(index, slot) {
                        self.machine.network_input(now, net::Input::Datagram { local, remote, contents });
                    }
                    self.perform(now);
                }
                taken += count.max(1);
            }
            progress |= taken > 0;
        }
        progress
    }

    fn take_names(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while let Poll::Ready((request, addresses)) = self.network.names.poll_answer(cx) {
            self.machine.network_input(now, net::Input::Resolved { request, addresses: &addresses });
            self.perform(now);
            progress = true;
        }
        progress
    }

    fn take_link_inputs(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        for taken in 0..INPUTS_A_TURN {
            let Poll::Ready((link, input)) = self.network.links.poll_input(cx) else {
                return taken > 0;
            };
            let input = match input {
                LinkInput::Opened => net::Input::LinkOpened { link },
                LinkInput::Data(len) => net::Input::LinkData { link, contents: self.network.links.received(len) },
                LinkInput::Closed => net::Input::LinkClosed { link },
            };
            self.machine.network_input(now, input);
            self.perform(now);
        }
        true
    }

    fn handle_network_timeout(&mut self, now: Instant) {
        self.network.links.handle_timeout(now);
        if let Some(addresses) = self.network.udp.handle_timeout(now) {
            self.machine.network_input(now, net::Input::LocalAddresses(&addresses));
            self.perform(now);
        }
    }

    fn network(&mut self, now: Instant, action: net::Action) {
        match action {
            net::Action::BindSockets { loopback } => {
                let addresses = self.network.udp.bind(now, loopback);
                self.machine.network_input(now, net::Input::LocalAddresses(&addresses));
            }
            net::Action::Transmit(transmit) => self.network.udp.send(transmit),
            net::Action::Resolve { request, host } => self.network.names.ask(request, host),
            net::Action::OpenLink(open) => self.network.links.open(open),
            net::Action::SendLink(send) => self.network.links.send(send),
            net::Action::CloseLink { link } => self.network.links.close(now, link),
        }
    }
}

#[cfg(not(feature = "webrtc"))]
impl<R: Runtime, M: Machine> Driver<R, M> {
    fn take_network_inputs(&mut self, _now: Instant, _cx: &mut Context<'_>) -> bool {
        false
    }

    fn handle_network_timeout(&mut self, _now: Instant) {}
}

impl<R: Runtime, M: Machine> Drop for Driver<R, M> {
    /// Also when the executor drops the driver half-way. Commands that came after the last look would stay in the channel for
    /// as long as there is a handle, and their callers would wait as long.
    fn drop(&mut self) {
        self.commands.close();
        while self.commands.try_recv().is_ok() {}
        self.frames.close();
        while self.frames.try_recv().is_ok() {}
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The runtime's timer, set anew only when the deadline changes.
struct Alarm<T> {
    timer: Option<Pin<Box<T>>>,
    due: Option<Instant>,
}

impl<T> Default for Alarm<T> {
    fn default() -> Self {
        Self { timer: None, due: None }
    }
}

impl<T: Timer> Alarm<T> {
    fn poll<R: Runtime<Timer = T>>(&mut self, runtime: &R, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = match &mut self.timer {
            Some(timer) => {
                if self.due != Some(due) {
                    timer.as_mut().reset(due);
                }
                timer
            }
            None => self.timer.insert(Box::pin(runtime.timer(due))),
        };
        self.due = Some(due);
        let polled = timer.as_mut().poll(cx);
        if polled.is_ready() {
            // It has fired: to be used again it must be set again, even to the same time.
            self.due = None;
        }
        polled
    }
}
