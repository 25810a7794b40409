//! A data channel as a [`Sink`] of messages.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Sink;
use metered_realtime_core::rtc::DataChannelError;

use super::outgoing::UNANSWERED;
use super::{DataChannel, OutboundMessage};

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
        let Self { shared, commands, outgoing } = &mut *self;
        let OutboundMessage(message) = message.into();
        outgoing.send(shared, commands, message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.outgoing.poll_answers(0, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let Self { shared, commands, outgoing } = &mut *self;
        outgoing.poll_close(shared, commands, cx)
    }
}
