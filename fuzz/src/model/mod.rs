//! What the Metered Realtime Messaging wire protocol accepts, written from its description over plain JSON values, to be
//! compared with what the library accepts.

mod client_frame;
mod ice;
mod names;
mod pattern;
mod peer_message;
mod server_frame;
mod token;
mod value;

pub(crate) use client_frame::client_frame;
pub(crate) use ice::{Entry, ice_server_url, ice_servers};
pub(crate) use names::{ERROR_CODES, is_channel, is_msid, is_peer_id, is_reserved};
pub(crate) use pattern::matches;
pub(crate) use peer_message::{Direct, peer_message};
pub(crate) use server_frame::server_frame;
pub(crate) use token::{Claims, claims};
pub(crate) use value::{Object, is_json, same};
