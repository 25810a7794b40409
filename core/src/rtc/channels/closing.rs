//! Data channels that are over for their user.

use std::time::Instant;

use str0m::Rtc;
use str0m::channel::ChannelId;

use super::outbox::{Outbox, Step};

/// A channel the user has closed and `str0m` has not.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) id: ChannelId,
    pub(super) negotiated: Option<u16>,
    pub(super) asked: bool,
    /// What was taken on before. The other side is told of the closing once it has acknowledged that.
    pub(super) outbox: Option<Box<Outbox>>,
}

impl Closing {
    /// Hands over what was taken on before, one message a time, and sees what is acknowledged.
    pub(super) fn hand_over(&mut self, now: Instant, rtc: &mut Rtc) -> bool {
        let Some(outbox) = &mut self.outbox else { return false };
        if let Some(mut open) = rtc.channel(self.id) {
            outbox.look(now, open.buffered_amount());
            match outbox.hand_over(now, rtc, self.id) {
                Step::Done => {}
                Step::Wrote => return true,
                Step::Failed => self.outbox = None,
            }
        }
        if self.outbox.as_ref().is_some_and(|outbox| !outbox.has_taken_on()) {
            self.outbox = None;
        }
        false
    }
}
