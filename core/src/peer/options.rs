//! The options of a room peer.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::Secret;
use crate::ice::{self, IceTransportPolicy};
use crate::options::InvalidOption;
use crate::protocol::IceServer;
use crate::rtc::{BandwidthEstimation, Config, Measurements};
use crate::signalling::SignallingOptions;

/// What `stats_interval` may be.
const STATS_INTERVALS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);

/// How long a close waits for what was accepted, unless told.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// … and at most.
const MAX_CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Options of a [`MeteredPeer`](super::MeteredPeer), checked when it is made.
///
/// ```
/// use metered_realtime_core::peer::MeteredPeerOptions;
/// let options = MeteredPeerOptions { loopback_candidates: true, ..MeteredPeerOptions::api_key("pk_live_abc") };
/// assert!(options.signalling.auto_resubscribe);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MeteredPeerOptions {
    /// The options of the connection beneath. `auto_resubscribe` must stay true: the recovery of a room depends on it.
    pub signalling: SignallingOptions,
    /// Whether to offer this machine's loopback addresses to peers, for tests and for peers on one machine.
    /// Default false.
    pub loopback_candidates: bool,
    /// STUN and TURN servers to use beside those that the `welcome` lists, and before them; at most 16. Default none.
    pub ice_servers: Vec<IceServer>,
    /// Which candidates are offered to peers. Default all.
    pub ice_transport_policy: IceTransportPolicy,
    /// Whether to estimate the bandwidth to each peer, for encoders that follow it. Default not.
    pub bandwidth_estimation: Option<BandwidthEstimation>,
    /// How often the numbers of each peer's connection are told, if at all: from 100 ms to an hour. Default not, which
    /// costs nothing.
    pub stats_interval: Option<Duration>,
    /// How long nothing may come from a peer before the connection to it counts as lost and ICE is restarted: from 5 s to
    /// 24 s. Default 24 s. A live peer answers a check every 3 s, so a short time costs nothing but false alarms on lossy
    /// networks.
    pub disconnect_timeout: Duration,
    /// How many audio packets after a missing one arrive before the missing one is given up, from 1 to 15. Default 3.
    ///
    /// Audio is not retransmitted, so that those after it wait in vain if it is lost: the first for one packet less than this,
    /// 40 ms by default, and at most 20 ms for each packet. With 1 nothing waits, and a packet that was overtaken by another is
    /// dropped.
    pub audio_reordering: u8,
    /// How long a remote peer that left may take to return and count as the same stay: it is not reported as left, and returns
    /// with a connection reset, as after a reconnect of this side. At most a minute. Only peers with a token return with their
    /// id. Default zero: a peer that leaves is gone at once.
    pub peer_grace: Duration,
    /// How long [`close`](super::MeteredPeer::close) waits for the remote peers to acknowledge the data channel messages that
    /// were accepted: at most a minute. With zero they are lost. Default 5 s.
    pub close_timeout: Duration,
}

impl MeteredPeerOptions {
    /// The default options with a publishable key, `pk_live_…`.
    pub fn api_key(key: impl Into<Secret>) -> Self {
        SignallingOptions::api_key(key).into()
    }

    /// The default options with tokens that are asked for before every connect.
    pub fn token_provider() -> Self {
        SignallingOptions::token_provider().into()
    }

    pub(super) fn check(&self) -> Result<(), InvalidOption> {
        let refuse = |option, value: String, allowed| Err(InvalidOption { option, value, allowed });
        if !self.signalling.auto_resubscribe {
            return refuse("auto_resubscribe", "false".to_owned(), "true in a room peer");
        }
        if let Some((option, rate)) = self.bandwidth_estimation.and_then(|estimation| estimation.impossible()) {
            return refuse(option, rate.to_string(), "10000 to 10000000000 bits per second");
        }
        let timeouts = Config::MIN_DISCONNECT_TIMEOUT..=Config::MAX_DISCONNECT_TIMEOUT;
        if !timeouts.contains(&self.disconnect_timeout) {
            return refuse("disconnect_timeout", format!("{:?}", self.disconnect_timeout), "5 s to 24 s");
        }
        if !(1..=Config::MAX_AUDIO_REORDERING).contains(&self.audio_reordering) {
            return refuse("audio_reordering", self.audio_reordering.to_string(), "1 to 15 packets");
        }
        if self.close_timeout > MAX_CLOSE_TIMEOUT {
            return refuse("close_timeout", format!("{:?}", self.close_timeout), "0 to 60 s");
        }
        if self.peer_grace > MAX_PEER_GRACE {
            return refuse("peer_grace", format!("{:?}", self.peer_grace), "0 to 60 s");
        }
        match self.stats_interval {
            Some(interval) if !STATS_INTERVALS.contains(&interval) => {
                refuse("stats_interval", format!("{interval:?}"), "100 ms to 1 h")
            }
            _ => ice::check(&self.ice_servers),
        }
    }

    pub(super) fn measurements(&self) -> Measurements {
        Measurements { bandwidth: self.bandwidth_estimation, stats_interval: self.stats_interval }
    }
}

impl From<SignallingOptions> for MeteredPeerOptions {
    fn from(signalling: SignallingOptions) -> Self {
        Self {
            signalling,
            loopback_candidates: false,
            ice_servers: Vec::new(),
            ice_transport_policy: IceTransportPolicy::All,
            bandwidth_estimation: None,
            stats_interval: None,
            disconnect_timeout: Config::MAX_DISCONNECT_TIMEOUT,
            audio_reordering: Config::AUDIO_REORDERING,
            peer_grace: Duration::ZERO,
            close_timeout: CLOSE_TIMEOUT,
        }
    }
}

/// The largest `peer_grace`.
const MAX_PEER_GRACE: Duration = Duration::from_secs(60);

/// What [`join`](super::MeteredPeer::join) can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JoinOptions {
    /// Whether broadcasts carry the sender's `peerMetadata`. Default false.
    pub include_sender_metadata: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut MeteredPeerOptions)) -> Option<(&'static str, String)> {
        let mut options = MeteredPeerOptions::token_provider();
        change(&mut options);
        options.check().err().map(|error| (error.option, error.value))
    }

    #[test]
    fn an_impossible_option_is_named_with_its_value() {
        assert_eq!(refused(|_| ()), None);
        let stats =
            |ms| move |options: &mut MeteredPeerOptions| options.stats_interval = Some(Duration::from_millis(ms));
        assert_eq!(refused(stats(99)), Some(("stats_interval", "99ms".to_owned())));
        assert_eq!(refused(stats(3_600_001)), Some(("stats_interval", "3600.001s".to_owned())));
        assert_eq!(refused(stats(100)), None);
        let silence =
            |ms| move |options: &mut MeteredPeerOptions| options.disconnect_timeout = Duration::from_millis(ms);
        assert_eq!(refused(silence(4_999)), Some(("disconnect_timeout", "4.999s".to_owned())));
        assert_eq!(refused(silence(24_001)), Some(("disconnect_timeout", "24.001s".to_owned())));
        assert_eq!([5_000, 24_000].map(|ms| refused(silence(ms))), [None, None]);
        let close = |secs| move |options: &mut MeteredPeerOptions| options.close_timeout = Duration::from_secs(secs);
        assert_eq!(refused(close(61)), Some(("close_timeout", "61s".to_owned())));
        assert_eq!((refused(close(60)), refused(close(0))), (None, None));
        let bandwidth = |initial, desired| {
            move |options: &mut MeteredPeerOptions| {
                options.bandwidth_estimation = Some(BandwidthEstimation { initial, desired });
            }
        };
        assert_eq!(refused(bandwidth(0, 10_000)), Some(("bandwidth_estimation.initial", "0".to_owned())));
        assert_eq!(refused(bandwidth(10_000, 9_999)), Some(("bandwidth_estimation.desired", "9999".to_owned())));
        assert_eq!(refused(bandwidth(10_000, 10_000_000_000)), None);
        for packets in [0, 16] {
            let error = refused(|options| options.audio_reordering = packets);
            assert_eq!(error, Some(("audio_reordering", packets.to_string())));
        }
        assert_eq!(refused(|options| options.audio_reordering = 15), None);
        assert_eq!(
            refused(|options| options.signalling.auto_resubscribe = false),
            Some(("auto_resubscribe", "false".to_owned()))
        );
    }
}
