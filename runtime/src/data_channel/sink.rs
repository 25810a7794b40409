//! A data channel as a [`Sink`] of messages.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use async_channel::TrySendError;
use futures_channel::oneshot;
use futures_util::Sink;
use metered_realtime_core::rtc::{ChannelMessage, DataChannelError};

use super::{ChannelState, DataChannel, Inner, OutboundMessage};
use crate::peer::Command;

/// Messages of one handle that may be on their way to the transport before the next has to wait: enough that a sender
/// need not wait for each one's way to the driver and back.
const UNANSWERED: usize = 16;

type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What one handle has sent as a sink and not heard of yet.
#[derive(Default)]
pub(super) struct Outgoing {
    /// At most [`UNANSWERED`], in the order they were sent, in which they are answered.
    answers: VecDeque<oneshot::Receiver<Result<(), DataChannelError>>>,
    /// A command that found no room yet. In a mutex, which is never locked, for a future that need not be `Sync`.
    waiting: Mutex<Option<Waiting>>,
    closing: bool,
}

impl Outgoing {
    /// Hands a command to the driver, now or when it has room.
    fn command(&mut self, channel: &Inner, command: Command) -> Result<(), DataChannelError> {
        let commands = channel.commands.upgrade().ok_or(DataChannelError::Closed)?;
        match commands.try_send(command) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(DataChannelError::Closed),
            Err(TrySendError::Full(command)) => {
                // If the driver goes, so does the answer.
                let send = async move { drop(commands.send(command).await) };
                *self.waiting() = Some(Box::pin(send));
                Ok(())
            }
        }
    }

    fn waiting(&mut self) -> &mut Option<Waiting> {
        self.waiting.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(waiting) = self.waiting() {
            ready!(waiting.as_mut().poll(cx));
            *self.waiting() = None;
        }
        Poll::Ready(())
    }

    /// Waits until no more than this many are unanswered. An error is that of the oldest message it happened to.
    fn poll_answers(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Result<(), DataChannelError>> {
        ready!(self.poll_waiting(cx));
        while self.answers.len() > most {
            let Some(answer) = self.answers.front_mut() else { break };
            let result = ready!(Pin::new(answer).poll(cx)).unwrap_or(Err(DataChannelError::Closed));
            self.answers.pop_front();
            if result.is_err() {
                return Poll::Ready(result);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, channel: &Inner, message: ChannelMessage) -> Result<(), DataChannelError> {
        if self.closing || channel.state.get() == ChannelState::Closed {
            return Err(DataChannelError::Closed);
        }
        let (reply, answer) = oneshot::channel();
        let (peer, id) = (channel.peer.clone(), channel.id);
        self.command(channel, Command::ChannelSend { peer, channel: id, message, reply })?;
        self.answers.push_back(answer);
        Ok(())
    }

    fn poll_close(&mut self, channel: &Inner, cx: &mut Context<'_>) -> Poll<Result<(), DataChannelError>> {
        ready!(self.poll_answers(0, cx))?;
        if !std::mem::replace(&mut self.closing, true) {
            let (reply, _nobody_waits) = oneshot::channel();
            let (peer, id) = (channel.peer.clone(), channel.id);
            // One that cannot be told is gone, and the channel with it.
            let _closed_already = self.command(channel, Command::CloseChannel { peer, channel: id, reply });
        }
        self.poll_waiting(cx).map(Ok)
    }
}

/// Messages go out in order, up to 16 of them ahead of word that they are in the transport's hands. Flushed is what
/// is there. Closing flushes and closes the channel, for all its clones.
///
/// An error is told by the next call; it may be that of an earlier message. After
/// [`Overflow`](DataChannelError::Overflow) and [`TooLarge`](DataChannelError::TooLarge), the channel lives on. Clones are sinks of their own.
impl<M: Into<OutboundMessage>> Sink<M> for DataChannel {
    type Error = DataChannelError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.outgoing.poll_answers(UNANSWERED - 1, cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: M) -> Result<(), Self::Error> {
        let Self { inner, outgoing } = &mut *self;
        let OutboundMessage(message) = message.into();
        outgoing.send(inner, message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.outgoing.poll_answers(0, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let Self { inner, outgoing } = &mut *self;
        outgoing.poll_close(inner, cx)
    }
}
