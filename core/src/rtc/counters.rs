//! What a connection has dropped or ignored.

/// What a connection has dropped or ignored since it was made. Nothing of it is an error of the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Descriptions that were unusable.
    pub malformed_descriptions: u64,
    /// Offers of the other side's that collided with one of ours and were ignored.
    pub ignored_offers: u64,
    /// Offers of ours that were withdrawn for one of the other side's.
    pub rollbacks: u64,
    /// Answers that nobody waited for.
    pub stale_answers: u64,
    /// Candidates over the limit in number or length.
    pub dropped_candidates: u64,
    /// Candidates of a former, ignored or unknown ICE generation.
    pub stale_candidates: u64,
    /// Candidates that cannot be read, are of a kind this client doesn't speak (TCP), or name a host that is not found.
    pub unsupported_candidates: u64,
    /// Datagrams that are not of this connection or were refused by it.
    pub refused_datagrams: u64,
    /// Text messages that were no UTF-8.
    pub malformed_messages: u64,
    /// Data channels of the other side's over the limit in number, or in the length of their names, closed at once.
    pub refused_channels: u64,
    /// Tracks that were not taken, by either side.
    pub refused_tracks: u64,
    /// Frames of tracks nobody knows, or in a codec nobody knows.
    pub unknown_frames: u64,
}
