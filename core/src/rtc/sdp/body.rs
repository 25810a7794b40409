//! What a section has beside what the negotiation asks about.

/// What holds for the transport of a section, or for all where it stands before the first section.
#[derive(Debug, Clone, Default)]
pub(super) struct Transport {
    pub(super) ufrag: Option<String>,
    pub(super) password: Option<String>,
    /// At most [`MAX_FINGERPRINTS`](super::reader::MAX_FINGERPRINTS).
    pub(super) fingerprints: Vec<String>,
    pub(super) setup: Option<&'static str>,
}

/// What is wanted of a section beside what [`Section`](super::Section) has, to be written anew for `str0m`.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) transport: Transport,
    pub(super) ssrcs: Vec<u32>,
    /// A source and that of its retransmissions.
    pub(super) pairs: Vec<(u32, u32)>,
    pub(super) extensions: Vec<String>,
    pub(super) sctp_port: Option<u16>,
    /// `a=sctpmap`, as data channels were announced before RFC 8841.
    pub(super) sctp_map: Option<String>,
}
