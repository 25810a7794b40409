//! The targets.

mod builders;
mod datagrams;
mod frames;
mod hub;
mod links;
mod options;
mod room;
mod server_lines;
mod signalling;
mod signals;
mod token;

pub use builders::builders;
pub use datagrams::datagrams;
pub use frames::{client_frame, ice_servers, peer_message, server_frame};
pub use hub::hub;
pub use links::links;
pub use options::options;
pub use room::room;
pub use server_lines::server_lines;
pub use signalling::signalling;
pub use signals::signals;
pub use token::token;

/// A target.
pub type Target = fn(&[u8]);

/// Every target, by the name of its program.
pub const ALL: &[(&str, Target)] = &[
    ("builders", builders),
    ("client_frame", client_frame),
    ("datagrams", datagrams),
    ("hub", hub),
    ("ice_servers", ice_servers),
    ("links", links),
    ("options", options),
    ("peer_message", peer_message),
    ("room", room),
    ("server_frame", server_frame),
    ("server_lines", server_lines),
    ("signalling", signalling),
    ("signals", signals),
    ("token", token),
];
