//! The codes of `error` frames and of WebSocket closes, by their stable names.

use std::fmt;

/// The `code` of an `error` frame. The set is open: a code this version does not know passes through as
/// [`Other`](ErrorCode::Other), so that the request it answers ends at once, with the code the server gave.
///
/// ```
/// use metered_realtime_core::protocol::ErrorCode;
/// assert_eq!(ErrorCode::from("peer_not_found"), ErrorCode::PeerNotFound);
/// assert_eq!(ErrorCode::from("brand_new").as_str(), "brand_new");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The frame was not JSON, or a field had the wrong type.
    MalformedMessage,
    /// The frame's `type` is not known to the server.
    UnknownType,
    /// The channel name breaks a rule.
    InvalidChannel,
    /// The peer id breaks a rule.
    InvalidPeerId,
    /// The credential does not cover the channel.
    ChannelNotAuthorized,
    /// The channel belongs to the server.
    ChannelReserved,
    /// The connection has as many channels as it may have.
    ChannelLimitExceeded,
    /// No peer of that id is connected.
    PeerNotFound,
    /// `data` is absent.
    MissingData,
    /// The credential does not permit the action.
    ActionNotPermitted,
    /// The account's messages for this period are used up.
    OverMessageQuota,
    /// A part behind the server failed.
    BackendError,
    /// The server failed.
    InternalError,
    /// A code this version does not know, as the server wrote it, cut to 64 characters. Treat it as untrusted text.
    Other(Box<str>),
}

const OTHER_CODE_CHARS: usize = 64;

macro_rules! error_codes {
    ($($name:ident = $text:literal),* $(,)?) => {
        impl From<&str> for ErrorCode {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    other => Self::Other(other.chars().take(OTHER_CODE_CHARS).collect()),
                }
            }
        }

        impl ErrorCode {
            /// The code as it stands on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }
        }
    };
}

error_codes! {
    MalformedMessage = "malformed_message",
    UnknownType = "unknown_type",
    InvalidChannel = "invalid_channel",
    InvalidPeerId = "invalid_peer_id",
    ChannelNotAuthorized = "channel_not_authorized",
    ChannelReserved = "channel_reserved",
    ChannelLimitExceeded = "channel_limit_exceeded",
    PeerNotFound = "peer_not_found",
    MissingData = "missing_data",
    ActionNotPermitted = "action_not_permitted",
    OverMessageQuota = "over_message_quota",
    BackendError = "backend_error",
    InternalError = "internal_error",
}

impl fmt::Debug for ErrorCode {
    /// As [`Display`](fmt::Display).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ErrorCode {
    /// A known code by its name; an unknown one as `unknown code`, for it is text of the server's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(_) => f.write_str("unknown code"),
            known => f.write_str(known.as_str()),
        }
    }
}

/// A WebSocket close code, with the meaning this protocol gives it.
///
/// ```
/// use metered_realtime_core::protocol::CloseCode;
/// assert_eq!(CloseCode::INVALID_TOKEN.name(), Some("invalid_token"));
/// assert!(CloseCode::INVALID_TOKEN.is_terminal());
/// assert!(!CloseCode::TOKEN_EXPIRED.is_terminal());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(pub u16);

macro_rules! close_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal),* $(,)?) => {
        impl CloseCode {
            $($(#[$doc])* pub const $name: CloseCode = CloseCode($number);)*

            /// The stable symbolic name, where the code has one.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

close_codes! {
    /// Both sides are done.
    NORMAL = 1000 "normal",
    /// The server is shutting down or moving the connection elsewhere.
    GOING_AWAY = 1001 "going_away",
    /// The connection ended without a close frame. Never sent.
    ABNORMAL = 1006 "abnormal_closure",
    /// A rule was broken.
    POLICY_VIOLATION = 1008 "policy_violation",
    /// A frame was larger than allowed.
    MESSAGE_TOO_BIG = 1009 "message_too_big",
    /// Sent by the client's own watchdog: nothing came from the server for too long.
    CLIENT_INACTIVITY = 4000 "client_inactivity",
    /// The credential was refused.
    INVALID_TOKEN = 4001 "invalid_token",
    /// The token ran out.
    TOKEN_EXPIRED = 4002 "token_expired",
    /// The credential does not cover the channel.
    CHANNEL_NOT_AUTHORIZED = 4003 "channel_not_authorized",
    /// The account has as many connections as it may have.
    OVER_CONCURRENT_LIMIT = 4010 "over_concurrent_limit",
    /// The connection sent more messages than it may.
    OVER_MESSAGE_RATE = 4011 "over_message_rate",
    /// The account is suspended.
    ACCOUNT_SUSPENDED = 4012 "account_suspended",
    /// An administrator ended the connection.
    ADMIN_DISCONNECT = 4020 "admin_disconnect",
}

impl CloseCode {
    /// Whether a client must not try again after this code.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::INVALID_TOKEN | Self::CHANNEL_NOT_AUTHORIZED | Self::ACCOUNT_SUSPENDED | Self::ADMIN_DISCONNECT
        )
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for CloseCode {
    /// With the name, where there is one: `CloseCode(4001 invalid_token)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_code_prints_its_name() {
        assert_eq!(format!("{:?}", CloseCode::INVALID_TOKEN), "CloseCode(4001 invalid_token)");
        assert_eq!(format!("{:?}", CloseCode(4999)), "CloseCode(4999)");
    }

    #[test]
    fn unknown_codes_pass_through_cut_and_are_not_displayed() {
        let long = "x".repeat(1000);
        let code = ErrorCode::from(long.as_str());
        assert_eq!(code.as_str().len(), 64);
        assert_eq!(format!("{code} {code:?}"), "unknown code unknown code");
    }

    #[test]
    fn only_the_documented_codes_are_terminal() {
        let terminal: Vec<u16> = (0..=u16::MAX).filter(|code| CloseCode(*code).is_terminal()).collect();
        assert_eq!(terminal, [4001, 4003, 4012, 4020]);
    }
}
