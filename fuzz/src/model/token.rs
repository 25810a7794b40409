//! The claims of a token.

use serde_json::Value;

use super::names::is_peer_id;

/// What a good token says.
#[derive(Debug, PartialEq)]
pub(crate) struct Claims {
    pub(crate) peer_id: String,
    pub(crate) expires_at: f64,
    pub(crate) channels: Vec<String>,
    pub(crate) permissions: Vec<String>,
    pub(crate) metadata: Option<Value>,
    pub(crate) peer_metadata: Option<Value>,
}

/// Reads claims at `now`, in Unix seconds, or gives the codes one of which to close with: a token may have expired and be bad
/// besides.
pub(crate) fn claims(claims: &Value, now: f64) -> Result<Claims, &'static [u16]> {
    match (expiry(claims, now), others(claims)) {
        (Some(Some(expires_at)), Some(others)) => Ok(Claims { expires_at, ..others }),
        (Some(None), Some(_)) => Err(&[4002]),
        (Some(None), None) => Err(&[4001, 4002]),
        _ => Err(&[4001]),
    }
}

/// When the token ends: at most a day after its signer's time, which may be a minute ahead. `Some(None)` if that is past, or
/// within the 250 ms before which a connection is closed.
fn expiry(claims: &Value, now: f64) -> Option<Option<f64>> {
    let claims = claims.as_object()?;
    let time = |name: &str| match claims.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(value) => value.as_f64().map(Some),
    };
    let (expires_at, not_before, issued_at) = (time("exp")??, time("nbf")?, time("iat")?);
    let signed_at = issued_at.filter(|at| (now..=now + 60.0).contains(at)).unwrap_or(now);
    if not_before.is_some_and(|at| at > signed_at) || expires_at > signed_at + 86_400.0 {
        return None;
    }
    Some((expires_at > now + 0.25).then_some(expires_at))
}

fn others(claims: &Value) -> Option<Claims> {
    let claims = claims.as_object()?;
    // A claim that is `null` is one that is absent.
    let get = |name: &str| claims.get(name).filter(|value| !value.is_null());
    let list = |name: &str, max: usize, default: &[&str]| -> Option<Vec<String>> {
        let Some(list) = get(name) else { return Some(default.iter().map(|text| (*text).to_owned()).collect()) };
        let list = list.as_array().filter(|list| list.len() <= max)?;
        list.iter().map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let object = |name: &str, max: usize| match get(name) {
        None => Some(None),
        Some(value) => (value.is_object() && value.to_string().len() <= max).then(|| Some(value.clone())),
    };
    let all = ["publish", "subscribe", "presence", "send"];
    let channels = list("channels", 100, &["**"])?;
    let mut permissions = list("permissions", 16, &all)?;
    let patterns = channels.iter().all(|pattern| (1..=512).contains(&pattern.len()));
    if !patterns || !permissions.iter().all(|name| all.contains(&name.as_str())) {
        return None;
    }
    permissions.sort();
    permissions.dedup();
    Some(Claims {
        peer_id: claims.get("sub")?.as_str().filter(|id| is_peer_id(id))?.to_owned(),
        expires_at: 0.0,
        channels,
        permissions,
        metadata: object("metadata", 8 * 1024)?,
        peer_metadata: object("peerMetadata", 4 * 1024)?,
    })
}
