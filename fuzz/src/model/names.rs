//! The limits of names.

/// The codes that the protocol lists; others are cut.
pub(crate) const ERROR_CODES: &[&str] = &[
    "malformed_message",
    "unknown_type",
    "invalid_channel",
    "invalid_peer_id",
    "channel_not_authorized",
    "channel_reserved",
    "channel_limit_exceeded",
    "peer_not_found",
    "missing_data",
    "action_not_permitted",
    "over_message_quota",
    "backend_error",
    "internal_error",
];

/// At most 128 bytes of printable ASCII.
pub(crate) fn is_peer_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// At most 256 bytes of UTF-8 without U+0000–1F and U+007F–9F.
pub(crate) fn is_channel(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.chars().any(|c| matches!(u32::from(c), 0..=0x1f | 0x7f..=0x9f))
}

/// A token of 1 to 64 characters (RFC 8830, RFC 8866), `~` excepted.
pub(crate) fn is_msid(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}".contains(&byte))
}

/// In one of the server's own name spaces.
pub(crate) fn is_reserved(channel: &str) -> bool {
    let lower = channel.to_ascii_lowercase();
    ["_metered/", "_internal/", "_system/"].iter().any(|prefix| lower.starts_with(prefix))
}
