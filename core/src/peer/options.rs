//! The options of a room peer.

use crate::Secret;
use crate::ice::{self, IceTransportPolicy};
use crate::protocol::IceServer;
use crate::signalling::{InvalidOption, SignallingOptions};

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
        if !self.signalling.auto_resubscribe {
            let allowed = "true in a room peer";
            return Err(InvalidOption { option: "autoResubscribe", value: "false".to_owned(), allowed });
        }
        ice::check(&self.ice_servers)
    }
}

impl From<SignallingOptions> for MeteredPeerOptions {
    fn from(signalling: SignallingOptions) -> Self {
        Self {
            signalling,
            loopback_candidates: false,
            ice_servers: Vec::new(),
            ice_transport_policy: IceTransportPolicy::All,
        }
    }
}

/// What [`join`](super::MeteredPeer::join) can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JoinOptions {
    /// Whether broadcasts carry the sender's `peerMetadata`. Default false.
    pub include_sender_metadata: bool,
}
