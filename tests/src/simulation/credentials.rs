//! Tokens: what the server of this project reads out of a JWT, in plain text. Signatures are tested elsewhere, and would
//! carry the real time into the simulation.

use metered_realtime_core::PeerId;
use metered_realtime_core::protocol::{CloseCode, Metadata};
use metered_realtime_server::state::{Identity, TenantId};
use metered_realtime_server::{ChannelPattern, Permissions};

/// The key of every peer that uses a key.
pub(super) const KEY: &str = "pk_live_simulation";

/// What the names of channels begin with that no credential covers.
pub(super) const FORBIDDEN: &str = "forbidden";

/// What a token provider gives for `peer`.
pub(super) fn token(peer: &str, expires_at: f64) -> String {
    format!("token.{peer}.{expires_at:.3}")
}

/// What no server accepts.
pub(super) const BAD_TOKEN: &str = "nonsense";

/// A credential that was accepted.
pub(super) struct Admission {
    pub(super) identity: Identity,
    /// In Unix seconds; `None` for a key.
    pub(super) expires_at: Option<f64>,
}

/// Judges the URL of an upgrade, at `now` in Unix seconds. A key makes its connection the peer `fresh`.
pub(super) fn admit(url: &str, now: f64, fresh: String) -> Result<Admission, CloseCode> {
    let (_, query) = url.split_once('?').ok_or(CloseCode::INVALID_TOKEN)?;
    if query == format!("key={KEY}") {
        return Ok(Admission { identity: identity(&fresh, None)?, expires_at: None });
    }
    let claims = query.strip_prefix("token=token.").ok_or(CloseCode::INVALID_TOKEN)?;
    let (peer, expires_at) = claims.split_once('.').ok_or(CloseCode::INVALID_TOKEN)?;
    let expires_at: f64 = expires_at.parse().map_err(|_| CloseCode::INVALID_TOKEN)?;
    let metadata = Metadata::from_json(&format!(r#"{{"name":"{peer}"}}"#)).ok();
    let identity = identity(peer, metadata)?;
    if expires_at > now {
        Ok(Admission { identity, expires_at: Some(expires_at) })
    } else {
        Err(CloseCode::TOKEN_EXPIRED)
    }
}

fn identity(peer: &str, peer_metadata: Option<Metadata>) -> Result<Identity, CloseCode> {
    let pattern = |text| ChannelPattern::new(text).map_err(|_| CloseCode::INVALID_TOKEN);
    Ok(Identity {
        tenant: TenantId::new("simulation"),
        peer_id: PeerId::new(peer).map_err(|_| CloseCode::INVALID_TOKEN)?,
        channels: vec![pattern("room-*")?, pattern("topic/*")?].into(),
        within: None,
        permissions: Permissions::all(),
        metadata: None,
        peer_metadata,
    })
}
