//! The ids of connections.

/// The id of a connection. Ids are never reused, and a later connection has a larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);
