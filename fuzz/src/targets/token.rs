//! The server's check of credentials: queries, tokens of every kind, claims, channel patterns.

use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use metered_realtime_core::PeerId;
use metered_realtime_core::protocol::Metadata;
use metered_realtime_server::{
    Admission, Authenticator, ChannelPattern, Connect, Permission, PublishableKey, Refusal, ServerConfig,
    SigningSecret, TokenClaims, mint_token,
};
use serde_json::Value;

use crate::generate::{self, Members};
use crate::model::{self, Claims};

const KEY: &str = "pk_live_a+c";
const SECRET: &str = "sk_secret_sesame_sesame_sesame_sesame";

/// The time of every check, in Unix seconds.
const NOW: f64 = 1_700_000_000.0;

static AUTHENTICATOR: LazyLock<Authenticator> = LazyLock::new(|| {
    let secret = SigningSecret::new("sk_id_1", SECRET);
    // Chooses jsonwebtoken's cryptography, as a server does.
    mint_token(&secret, &TokenClaims::new("a")).expect("a token");
    Authenticator::new(&ServerConfig::new().key(PublishableKey::new(KEY)).secret(secret)).expect("good credentials")
});

/// Checks the input as a query, as claims, as the parts of a token, or as a pattern.
pub fn token(input: &[u8]) {
    let _too_short = check(&mut Unstructured::new(input));
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    match u.int_in_range(0..=3)? {
        0 => pattern(u),
        1 => query(u),
        2 => altered(u),
        _ => signed(u),
    }
}

fn admit(query: &str) -> std::result::Result<Admission, Refusal> {
    let admitted =
        AUTHENTICATOR.admit(Connect { query, origin: None, now: NOW }, PeerId::new("fresh").expect("a good name"));
    if let Err(refusal) = &admitted {
        assert!(matches!(refusal.code().0, 4001 | 4002), "{refusal}");
        assert!(!refusal.to_string().contains("sesame"), "a credential in {refusal}");
    }
    admitted
}

/// A pattern and a channel that may fit each other.
fn pattern(u: &mut Unstructured<'_>) -> Result<()> {
    let text = |u: &mut Unstructured<'_>, parts: &[&str], most: usize| -> Result<String> {
        (0..u.int_in_range(0..=most)?).map(|_| generate::pick(u, parts)).collect()
    };
    let pattern = text(u, &["a", "b", "/", "*", "**", "\\", "\\*", "é"], 8)?;
    let channel = text(u, &["a", "b", "/", "*", "\\", "é"], 8)?;
    match ChannelPattern::new(&pattern) {
        Ok(read) => {
            assert_eq!(read.matches(&channel), model::matches(&pattern, &channel), "{pattern:?} on {channel:?}")
        }
        Err(error) => assert_eq!(error.length, 0, "{pattern:?}"),
    }
    Ok(())
}

/// A query that holds no good token: nothing but the key admits, and as no other peer than the fresh one.
fn query(u: &mut Unstructured<'_>) -> Result<()> {
    let mut parts = Vec::new();
    for _ in 0..u.int_in_range(0..=3)? {
        parts.push(match u.int_in_range(0..=5)? {
            0 => u.arbitrary::<&str>()?.to_owned(),
            1 => format!("token={}", u.arbitrary::<&str>()?),
            2 => "key=pk_live_a%2Bc".to_owned(),
            3 => "key=pk_live_%61%2bc".to_owned(),
            4 => format!("{}={}", generate::word(u)?, generate::word(u)?),
            _ => "v=2".to_owned(),
        });
    }
    let query = parts.join("&");
    let pairs: Vec<_> =
        url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "key" || name == "token").collect();
    let good = matches!(&pairs[..], [(name, value)] if name == "key" && value == KEY);
    let admitted = admit(&query);
    assert_eq!(admitted.is_ok(), good, "{query:?}");
    if let Ok(Admission { identity, expires_at, .. }) = admitted {
        assert_eq!((identity.peer_id.as_str(), expires_at), ("fresh", None));
    }
    Ok(())
}

fn sign(header: &Header, claims: &Value) -> String {
    let _chosen = &*AUTHENTICATOR;
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(SECRET.as_bytes())).expect("it can be signed")
}

fn header() -> Header {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("sk_id_1".to_owned());
    header
}

/// A good token with one byte changed admits nobody.
fn altered(u: &mut Unstructured<'_>) -> Result<()> {
    let good = sign(&header(), &serde_json::json!({ "sub": "ann", "exp": NOW + 60.0 }));
    assert!(admit(&format!("token={good}")).is_ok());
    let mut bytes = good.clone().into_bytes();
    let at = u.int_in_range(0..=bytes.len() - 1)?;
    let put = *u.choose(b"abcdwxyzABYZ0189-_.= %\0\n")?;
    match u.int_in_range(0..=3)? {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, put),
        _ => bytes[at] = put,
    }
    let altered = String::from_utf8(bytes).expect("one of the choices");
    let pairs: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("token", &altered).finish();
    assert!(altered == good || admit(&pairs).is_err(), "{altered}");
    let mut other = header();
    match u.int_in_range(0..=3)? {
        0 => other.alg = Algorithm::HS384,
        1 => other.alg = Algorithm::HS512,
        2 => other.kid = Some(format!("{}x", generate::word(u)?)),
        _ => other.kid = None,
    }
    let other = sign(&other, &serde_json::json!({ "sub": "ann", "exp": NOW + 60.0 }));
    assert!(admit(&format!("token={other}")).is_err());
    Ok(())
}

/// A token that is signed as it should be, with claims of every kind, is judged as the model judges it.
fn signed(u: &mut Unstructured<'_>) -> Result<()> {
    let mut claims = Members::default();
    let sub = if u.ratio(1, 4)? { generate::word(u)? } else { "ann".to_owned() };
    let sub = generate::quoted(u, &sub)?;
    claims.put(u, "sub", &sub)?;
    let exp = generate::pick(
        u,
        &["1700000060", "1700000000.5", "1700000000.2", "1699999999", "1e300", "-1", "1700086400", "1700086401"],
    )?;
    claims.put(u, "exp", exp)?;
    for name in ["nbf", "iat"] {
        if u.ratio(1, 4)? {
            let at = generate::pick(u, &["1700000000", "1700000030", "1700000060", "1700000061", "0"])?;
            claims.put(u, name, at)?;
        }
    }
    if u.arbitrary()? {
        let many = if u.ratio(1, 8)? { *u.choose(&[100, 101])? } else { u.int_in_range(0..=2)? };
        let pattern = if u.ratio(1, 4)? { generate::word(u)? } else { "rooms/*".to_owned() };
        let list = vec![Value::from(pattern); many];
        claims.put(u, "channels", &Value::from(list).to_string())?;
    }
    if u.arbitrary()? {
        let many = if u.ratio(1, 8)? { *u.choose(&[16, 17])? } else { u.int_in_range(0..=2)? };
        let name = generate::pick(u, &["publish", "subscribe", "presence", "send", "admin"])?;
        claims.put(u, "permissions", &Value::from(vec![name; many]).to_string())?;
    }
    for (name, max) in [("metadata", 8192), ("peerMetadata", 4096)] {
        if u.ratio(1, 3)? {
            let length = if u.ratio(1, 4)? { max - 8 + u.int_in_range(0..=1)? } else { 1 };
            claims.put(u, name, &format!("{{\"a\":\"{}\"}}", "x".repeat(length)))?;
        }
    }
    claims.put_any(u)?;
    let text = claims.finish(u)?;
    // Members that occur twice, and numbers out of range, do not survive a value.
    let Ok(value) = serde_json::from_str::<Value>(&text) else { return Ok(()) };
    let token = sign(&header(), &value);
    let admitted = admit(&format!("token={token}"));
    let expected = model::claims(&value, NOW);
    match (&admitted, &expected) {
        (Ok(admitted), Ok(claims)) => is_as_claimed(admitted, claims),
        (Err(refusal), Err(codes)) if codes.contains(&refusal.code().0) => {}
        _ => panic!("{text}: {admitted:?} where {expected:?} is expected"),
    }
    Ok(())
}

fn is_as_claimed(Admission { identity, expires_at, .. }: &Admission, claims: &Claims) {
    assert_eq!(identity.peer_id.as_str(), claims.peer_id);
    assert!(expires_at.is_some_and(|at| (at - claims.expires_at).abs() <= claims.expires_at.abs() * 1e-12));
    let patterns = claims.channels.iter().map(|text| ChannelPattern::new(text).expect("a good pattern"));
    assert_eq!(identity.channels[..], patterns.collect::<Vec<_>>());
    for permission in Permission::ALL {
        assert_eq!(identity.may(permission), claims.permissions.iter().any(|name| name == permission.name()));
    }
    let decoded =
        |metadata: &Option<Metadata>| metadata.as_ref().map(|metadata| metadata.decode::<Value>().expect("JSON"));
    assert_eq!(
        (decoded(&identity.metadata), decoded(&identity.peer_metadata)),
        (claims.metadata.clone(), claims.peer_metadata.clone())
    );
}
