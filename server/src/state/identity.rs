//! What the server knows about a connection from its credential.

use std::sync::Arc;

use metered_realtime_core::protocol::Metadata;
use metered_realtime_core::{Channel, PeerId};

use crate::credentials::{ChannelPattern, Permission, Permissions};

/// An app of the service: peers and channels of one tenant are invisible to every other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// A tenant by its name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who a connection is, and what it may do.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// Its peer id, which several connections may share.
    pub peer_id: PeerId,
    /// The channels it may use.
    pub channels: Arc<[ChannelPattern]>,
    /// The channels to which its secret is kept, whatever its token says; `None` for all.
    pub within: Option<Arc<[ChannelPattern]>>,
    /// What it may do.
    pub permissions: Permissions,
    /// What it alone is told, in its `welcome`.
    pub metadata: Option<Metadata>,
    /// What other peers are told about it.
    pub peer_metadata: Option<Metadata>,
}

impl Identity {
    /// Whether it may do `action` at all.
    pub fn may(&self, action: Permission) -> bool {
        self.permissions.allow(action)
    }

    /// Whether its credential covers `channel`.
    pub fn covers(&self, channel: &Channel) -> bool {
        let covered = |patterns: &[ChannelPattern]| ChannelPattern::any_covers(patterns, channel.as_str());
        covered(&self.channels) && self.within.as_deref().is_none_or(covered)
    }
}
