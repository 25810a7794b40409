//! What is to go out in one data channel: sends that wait, messages that were taken on, and what `str0m` has of them.

use std::collections::VecDeque;
use std::time::Instant;

use str0m::Rtc;
use str0m::channel::ChannelId;

use super::window::Window;
use crate::ids::RequestId;
use crate::rtc::data_channel::{DataChannelMessage, MAX_BUFFERED_OVER_ALL_CHANNELS};
use crate::rtc::error::DataChannelError;
use crate::rtc::output::Output;
use crate::rtc::sctp::messages::handed_over;

/// How much may be in an outbox.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_buffered: usize,
    pub(super) low_water: usize,
    pub(super) max_queued: usize,
}

/// What became of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There is nothing to do now.
    Done,
    /// `str0m` was given a message.
    Wrote,
    /// `str0m` does not take a message that was taken on.
    Failed,
}

#[derive(Debug)]
pub(super) struct Outbox {
    limits: Limits,
    /// Messages that `str0m` does not have: first those that were taken on, then at most `max_queued` that wait for that.
    queue: VecDeque<(RequestId, DataChannelMessage)>,
    /// How many of `queue` were taken on.
    taken: usize,
    taken_bytes: usize,
    waiting_bytes: usize,
    /// Bytes `str0m` had, not acknowledged, when it was last asked.
    on_their_way: usize,
    /// `None` if `str0m` must have all at once, because the time counts from then.
    window: Option<Window>,
    /// The buffer was full, and is not yet down to the low mark.
    blocked: bool,
    /// There was more than the low mark, and that it is down to it has not been told.
    high: bool,
}

impl Outbox {
    /// `timed` says that messages have a lifetime.
    pub(super) fn new(limits: Limits, timed: bool) -> Self {
        Self {
            limits,
            queue: VecDeque::new(),
            taken: 0,
            taken_bytes: 0,
            waiting_bytes: 0,
            on_their_way: 0,
            window: (!timed).then(|| Window::new(limits.max_buffered)),
            blocked: false,
            high: false,
        }
    }

    pub(super) fn push(
        &mut self,
        request: RequestId,
        message: DataChannelMessage,
        remote_max: usize,
    ) -> Result<(), DataChannelError> {
        let size = size(&message);
        let max = self.max_message_size(remote_max);
        if size > max {
            return Err(DataChannelError::TooLarge { size, max });
        }
        let queued = self.queue.len().saturating_sub(self.taken);
        if queued >= self.limits.max_queued {
            return Err(DataChannelError::Overflow { queued, cap: self.limits.max_queued });
        }
        self.waiting_bytes = self.waiting_bytes.saturating_add(size);
        self.queue.push_back((request, message));
        Ok(())
    }

    /// Moves the low mark. That it is reached is told of falls from above it alone, as in browsers.
    pub(super) fn set_low_water(&mut self, bytes: usize) -> Result<(), DataChannelError> {
        let max = self.limits.max_buffered.saturating_sub(1);
        if bytes > max {
            return Err(DataChannelError::LowWater { bytes, max });
        }
        self.limits.low_water = bytes;
        self.high = self.buffered() > bytes;
        Ok(())
    }

    /// The largest message, in bytes.
    pub(super) fn max_message_size(&self, remote_max: usize) -> usize {
        self.limits.max_buffered.min(remote_max)
    }

    /// Bytes that `str0m` does not have.
    pub(super) fn queued_bytes(&self) -> usize {
        self.taken_bytes.saturating_add(self.waiting_bytes)
    }

    /// Bytes that were taken on and are not acknowledged.
    pub(super) fn buffered(&self) -> usize {
        self.taken_bytes.saturating_add(self.on_their_way)
    }

    /// Whether there may be anything to do.
    pub(super) fn is_busy(&self) -> bool {
        self.on_their_way > 0 || !self.queue.is_empty()
    }

    /// Whether messages wait to be taken on.
    pub(super) fn any_waits(&self) -> bool {
        self.queue.len() > self.taken
    }

    /// Ends the sends that wait.
    pub(super) fn release(&mut self, out: &mut VecDeque<Output>) {
        for (request, _) in self.queue.drain(self.taken.min(self.queue.len())..) {
            out.push_back(Output::SendDone { request, result: Err(DataChannelError::Closed) });
        }
        self.waiting_bytes = 0;
    }

    /// Whether anything that was taken on is not acknowledged, as far as is known.
    pub(super) fn has_taken_on(&self) -> bool {
        self.taken > 0 || self.on_their_way > 0
    }

    /// Sees what is still on its way. Gives whether the bytes that were taken on have come down to the low mark.
    pub(super) fn look(&mut self, now: Instant, on_their_way: usize) -> bool {
        if let Some(window) = &mut self.window {
            // What opens the channel is on its way too.
            match on_their_way.checked_sub(self.on_their_way) {
                Some(0) => {}
                Some(more) => window.handed(now, more),
                None => window.acknowledged(now, self.on_their_way - on_their_way, self.taken > 0),
            }
        }
        self.on_their_way = on_their_way;
        let low = self.high && self.buffered() <= self.limits.low_water;
        self.high &= !low;
        low
    }

    /// Takes on or refuses what waits, as there is room, and gives the size of each message taken on. `elsewhere` is what
    /// the other channels have.
    pub(super) fn take_on(
        &mut self,
        remote_max: usize,
        elsewhere: usize,
        out: &mut VecDeque<Output>,
        mut sent: impl FnMut(usize),
    ) {
        while let Some((request, message)) = self.queue.get(self.taken) {
            let (request, size, buffered) = (*request, size(message), self.buffered());
            if self.blocked && buffered > self.limits.low_water {
                return;
            }
            self.blocked = buffered > 0 && buffered.saturating_add(size) > self.limits.max_buffered;
            if self.blocked {
                return;
            }
            let result = if size > remote_max {
                self.queue.remove(self.taken);
                Err(DataChannelError::TooLarge { size, max: remote_max })
            } else if elsewhere.saturating_add(buffered).saturating_add(size) > MAX_BUFFERED_OVER_ALL_CHANNELS {
                return;
            } else {
                self.taken += 1;
                self.taken_bytes = self.taken_bytes.saturating_add(size);
                self.high |= self.buffered() > self.limits.low_water;
                sent(message.as_bytes().len());
                Ok(())
            };
            self.waiting_bytes = self.waiting_bytes.saturating_sub(size);
            out.push_back(Output::SendDone { request, result });
        }
    }

    /// Hands over one message that was taken on, if the window has room.
    pub(super) fn hand_over(&mut self, now: Instant, rtc: &mut Rtc, id: ChannelId) -> Step {
        if self.taken == 0 || self.window.as_ref().is_some_and(|window| !window.has_room()) {
            return Step::Done;
        }
        let Some((_, message)) = self.queue.front() else { return Step::Done };
        let Some(mut channel) = rtc.channel(id) else { return Step::Done };
        let (binary, bytes) = handed_over(message);
        match channel.write(binary, bytes) {
            Ok(true) => {}
            // The room all channels share is used up; there will be more when something is acknowledged.
            Ok(false) => return Step::Done,
            Err(_) => return Step::Failed,
        }
        let size = bytes.len();
        self.queue.pop_front();
        self.taken -= 1;
        self.taken_bytes = self.taken_bytes.saturating_sub(size);
        self.on_their_way = self.on_their_way.saturating_add(size);
        if let Some(window) = &mut self.window {
            window.handed(now, size);
        }
        Step::Wrote
    }
}

/// Bytes that a message takes in the buffer: an empty one goes out as one byte.
fn size(message: &DataChannelMessage) -> usize {
    handed_over(message).1.len()
}
