//! The messages that one handle of a data channel has sent as a sink.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use async_channel::{TrySendError, WeakSender};
use futures_channel::oneshot;
use metered_realtime_core::rtc::{DataChannelError, DataChannelMessage};

use super::shared::{DataChannelState, Shared};
use crate::peer::command::Command;

/// Messages of one handle that may be on their way to the transport before the next has to wait: enough that a sender
/// need not wait for each one's way to the driver and back.
pub(super) const UNANSWERED: usize = 16;

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
    fn command(&mut self, commands: &WeakSender<Command>, command: Command) -> Result<(), DataChannelError> {
        let commands = commands.upgrade().ok_or(DataChannelError::Closed)?;
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
    pub(super) fn poll_answers(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Result<(), DataChannelError>> {
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

    pub(super) fn send(
        &mut self,
        channel: &Shared,
        commands: &WeakSender<Command>,
        message: DataChannelMessage,
    ) -> Result<(), DataChannelError> {
        if self.closing || channel.state.get() == DataChannelState::Closed {
            return Err(DataChannelError::Closed);
        }
        let (reply, answer) = oneshot::channel();
        let (peer, id) = (channel.peer.clone(), channel.id);
        self.command(commands, Command::ChannelSend { peer, channel: id, message, reply })?;
        self.answers.push_back(answer);
        Ok(())
    }

    pub(super) fn poll_close(
        &mut self,
        channel: &Shared,
        commands: &WeakSender<Command>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), DataChannelError>> {
        ready!(self.poll_answers(0, cx))?;
        if !std::mem::replace(&mut self.closing, true) {
            let (reply, _nobody_waits) = oneshot::channel();
            let (peer, id) = (channel.peer.clone(), channel.id);
            // One that cannot be told is gone, and the channel with it.
            let _closed_already = self.command(commands, Command::CloseChannel { peer, channel: id, reply });
        }
        self.poll_waiting(cx).map(Ok)
    }
}
