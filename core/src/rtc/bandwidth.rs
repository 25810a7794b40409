//! What the network can carry to the other side, by transport-wide congestion control.

use str0m::bwe::{Bitrate, BweKind};
use str0m::{Rtc, RtcConfig};

use super::event::Event;

/// That the bandwidth to a peer is estimated, and where to begin (draft-ietf-rmcat-gcc, draft-holmer-rmcat-transport-wide-cc).
///
/// For senders that follow the estimate. While it is on, media is paced at the estimated rate: an encoder that puts out more than that
/// makes its own frames late. It also costs some traffic: padding up to 50 kbit/s while a track is sent, and short
/// probes above the present rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BandwidthEstimation {
    /// The first estimate, in bits per second. 300 000 unless told. Within [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    pub initial: u64,
    /// What the encoders would send if they could, in bits per second: the estimate is probed for until it gets there.
    /// 2 500 000 unless told. Within [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    pub desired: u64,
}

impl Default for BandwidthEstimation {
    fn default() -> Self {
        Self { initial: 300_000, desired: 2_500_000 }
    }
}

impl BandwidthEstimation {
    /// The smallest rate that can be given, in bits per second.
    pub const MIN: u64 = 10_000;

    /// The largest rate that can be given, in bits per second.
    pub const MAX: u64 = 10_000_000_000;

    /// The options that cannot be, by name and value.
    pub(crate) fn impossible(&self) -> Option<(&'static str, u64)> {
        let rates = [("bandwidth_estimation.initial", self.initial), ("bandwidth_estimation.desired", self.desired)];
        rates.into_iter().find(|(_, rate)| !(Self::MIN..=Self::MAX).contains(rate))
    }
}

pub(super) fn enable(config: RtcConfig, estimation: Option<BandwidthEstimation>) -> RtcConfig {
    config.enable_bwe(estimation.map(|estimation| Bitrate::bps(estimation.initial)))
}

pub(super) fn begin(rtc: &mut Rtc, estimation: Option<BandwidthEstimation>) {
    if let Some(estimation) = estimation {
        rtc.bwe().set_bitrate(Bitrate::ZERO, Bitrate::bps(estimation.desired));
    }
}

/// Estimates as they come, fewer of them. `str0m` gives one for every report of the other side's, some twenty a second.
#[derive(Debug, Default)]
pub(super) struct Bandwidth {
    reported: Option<u64>,
}

impl Bandwidth {
    /// What the user is to be told of an estimate: the first, the last, and changes of a twentieth or more.
    pub(super) fn estimated(&mut self, kind: &BweKind) -> Option<Event> {
        let estimate = match kind {
            BweKind::Twcc { estimate, can_probe: true } => Some(estimate.as_u64()),
            BweKind::Twcc { can_probe: false, .. } => None,
            BweKind::Remb { estimate, .. } => Some(estimate.as_u64()),
            _ => return None,
        };
        let small = |from: u64, to: u64| from.abs_diff(to) < from / 20;
        let is_news = match (self.reported, estimate) {
            (Some(from), Some(to)) => !small(from, to),
            (from, to) => from != to,
        };
        if !is_news {
            return None;
        }
        self.reported = estimate;
        Some(Event::BandwidthEstimate { bits_per_second: estimate })
    }
}
