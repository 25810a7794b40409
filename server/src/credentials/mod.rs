//! Authentication and authorization: publishable keys and tokens.

mod authenticator;
mod bits;
mod pattern;
mod permissions;
mod refusal;
mod token;

pub(crate) use authenticator::SecretScope;
pub use authenticator::{Admission, Authenticator, Connect};
pub use pattern::{ChannelPattern, PatternError};
pub use permissions::{Permission, Permissions};
pub use refusal::Refusal;
pub(crate) use token::unix_time;
pub use token::{MintError, TokenClaims, mint_token};
