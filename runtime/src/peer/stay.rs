//! The identity of a remote peer from when it joins until it leaves.

use std::sync::Arc;

use metered_realtime_core::PeerId;

/// One stay of a peer in the room. A peer that leaves and comes back begins another.
#[derive(Debug, Clone)]
pub(crate) struct Stay(Arc<PeerId>);

impl Stay {
    /// Begins a stay, which differs from every other.
    pub(crate) fn new(id: PeerId) -> Self {
        Self(Arc::new(id))
    }

    pub(crate) fn id(&self) -> &PeerId {
        &self.0
    }
}

impl PartialEq for Stay {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Stay {}
