//! What a client's frame asks for, checked against names, limits and the connection's credential.

use std::borrow::Cow;

use metered_realtime_core::protocol::{ClientFrame, CloseCode, ErrorCode, RawJson, limits};
use metered_realtime_core::{Channel, PeerId};

use super::identity::Identity;
use crate::credentials::Permission;

/// A frame that may be obeyed, as far as can be told without the other connections.
#[derive(Debug)]
pub(super) enum Request<'a> {
    Subscribe { channel: Channel, include_sender_metadata: bool },
    Unsubscribe { channel: Channel },
    Publish { channel: Channel, data: RawJson<'a> },
    Send { to: PeerId, data: RawJson<'a> },
    Ping,
}

/// Why a frame is not obeyed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Answer with an `error`; the connection lives on.
    Error(ErrorCode),
    /// Close the connection.
    Close(CloseCode),
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::Error(code)
    }
}

/// Takes a frame apart into its request id and what it asks for.
pub(super) fn split(frame: ClientFrame<'_>) -> (Option<Cow<'_, str>>, Unchecked<'_>) {
    match frame {
        ClientFrame::Subscribe { channel, request_id, include_sender_metadata } => {
            (request_id, Unchecked::Subscribe { channel, include_sender_metadata })
        }
        ClientFrame::Unsubscribe { channel, request_id } => (request_id, Unchecked::Unsubscribe { channel }),
        ClientFrame::Publish { channel, data, request_id } => (request_id, Unchecked::Publish { channel, data }),
        ClientFrame::Send { to, data, request_id } => (request_id, Unchecked::Send { to, data }),
        ClientFrame::Ping => (None, Unchecked::Ping),
    }
}

/// A frame without its request id, before its checks.
#[derive(Debug)]
pub(super) enum Unchecked<'a> {
    Subscribe { channel: Cow<'a, str>, include_sender_metadata: bool },
    Unsubscribe { channel: Cow<'a, str> },
    Publish { channel: Cow<'a, str>, data: RawJson<'a> },
    Send { to: Cow<'a, str>, data: RawJson<'a> },
    Ping,
}

/// Whether a request id may be repeated in an answer.
pub(super) fn fits(request_id: &str) -> bool {
    request_id.len() <= limits::REQUEST_ID_BYTES
}

impl<'a> Unchecked<'a> {
    /// The checks, in this order: the size of the payload, the form of the name, reserved names, the permission, the
    /// channels that the credential covers.
    pub(super) fn check(self, identity: &Identity, max_message_size: usize) -> Result<Request<'a>, Refusal> {
        Ok(match self {
            Self::Subscribe { channel, include_sender_metadata } => Request::Subscribe {
                channel: allowed_channel(&channel, identity, Permission::Subscribe)?,
                include_sender_metadata,
            },
            // Whoever may not subscribe may still leave: there is nothing to protect.
            Self::Unsubscribe { channel } => {
                Request::Unsubscribe { channel: Channel::new(channel).map_err(|_| ErrorCode::InvalidChannel)? }
            }
            Self::Publish { channel, data } => {
                check_size(data, max_message_size)?;
                Request::Publish { channel: allowed_channel(&channel, identity, Permission::Publish)?, data }
            }
            Self::Send { to, data } => {
                check_size(data, max_message_size)?;
                let to = PeerId::new(to).map_err(|_| ErrorCode::InvalidPeerId)?;
                if !identity.may(Permission::Send) {
                    return Err(ErrorCode::ActionNotPermitted.into());
                }
                Request::Send { to, data }
            }
            Self::Ping => Request::Ping,
        })
    }
}

fn check_size(data: RawJson<'_>, max: usize) -> Result<(), Refusal> {
    if data.get().len() > max { Err(Refusal::Close(CloseCode::MESSAGE_TOO_BIG)) } else { Ok(()) }
}

fn allowed_channel(name: &str, identity: &Identity, action: Permission) -> Result<Channel, ErrorCode> {
    let channel = Channel::new(name).map_err(|_| ErrorCode::InvalidChannel)?;
    if channel.is_reserved() {
        Err(ErrorCode::ChannelReserved)
    } else if !identity.may(action) {
        Err(ErrorCode::ActionNotPermitted)
    } else if !identity.covers(&channel) {
        Err(ErrorCode::ChannelNotAuthorized)
    } else {
        Ok(channel)
    }
}
