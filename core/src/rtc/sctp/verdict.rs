//! Whether a packet passes the filter.

/// What is done with a packet of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// `str0m` gets it.
    Pass,
    /// It is dealt with here.
    Drop,
}
