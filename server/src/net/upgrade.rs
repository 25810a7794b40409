//! What makes an HTTP request a WebSocket handshake (RFC 6455, section 4.2.1).

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header, request};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The one version of the WebSocket protocol (RFC 6455, section 4.1).
static VERSION: HeaderValue = HeaderValue::from_static("13");

/// Why a request is no handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoHandshake {
    Bad(&'static str),
    /// Another version of the protocol is wanted.
    Version,
}

impl IntoResponse for NoHandshake {
    fn into_response(self) -> Response {
        match self {
            Self::Bad(why) => (StatusCode::BAD_REQUEST, why).into_response(),
            Self::Version => {
                let version = [(header::SEC_WEBSOCKET_VERSION, VERSION.clone())];
                (StatusCode::UPGRADE_REQUIRED, version, "the WebSocket version is 13").into_response()
            }
        }
    }
}

/// Checks a handshake and brings its `Upgrade` header into the form that axum takes: one that lists further protocols
/// is good (RFC 9110, section 7.8), and axum 0.8.9 takes `websocket` alone.
///
/// # Errors
/// Why it is none, which is its answer too.
pub(super) fn check(parts: &mut request::Parts) -> Result<(), NoHandshake> {
    let headers = &parts.headers;
    if parts.version < Version::HTTP_11 {
        return Err(NoHandshake::Bad("a WebSocket needs HTTP/1.1"));
    }
    if !lists(headers, &header::CONNECTION, "upgrade") || !lists(headers, &header::UPGRADE, "websocket") {
        return Err(NoHandshake::Bad("this is the address of a WebSocket"));
    }
    if !headers.contains_key(header::SEC_WEBSOCKET_VERSION) {
        return Err(NoHandshake::Bad("Sec-WebSocket-Version is missing"));
    }
    if only(headers, &header::SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(NoHandshake::Version);
    }
    let key = only(headers, &header::SEC_WEBSOCKET_KEY).and_then(|key| STANDARD.decode(key.as_bytes()).ok());
    if key.is_none_or(|key| key.len() != 16) {
        return Err(NoHandshake::Bad("Sec-WebSocket-Key must be 16 bytes in base64, once"));
    }
    parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    Ok(())
}

/// Whether a request names its host as it must (RFC 9112, section 3.2).
pub(super) fn names_its_host(version: Version, headers: &HeaderMap) -> bool {
    version < Version::HTTP_11 && !headers.contains_key(header::HOST) || only(headers, &header::HOST).is_some()
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Whether a header that is a list has `wanted` in it, in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn status(headers: &[(&str, &str)]) -> Result<(), u16> {
        let builder = headers.iter().fold(Request::builder(), |builder, (name, value)| builder.header(*name, *value));
        let (mut parts, ()) = builder.body(()).unwrap().into_parts();
        check(&mut parts).map_err(|refusal| refusal.into_response().status().as_u16())?;
        assert_eq!(parts.headers[header::UPGRADE], "websocket");
        Ok(())
    }

    fn with(name: &str, value: &str) -> Result<(), u16> {
        let changed = GOOD.map(|(known, good)| (known, if known == name { value } else { good }));
        status(&changed)
    }

    #[test]
    fn a_good_handshake_passes_also_with_further_protocols() {
        assert_eq!(status(&GOOD), Ok(()));
        assert_eq!(with("upgrade", "h2c, websocket"), Ok(()));
        assert_eq!(with("connection", "upgrade"), Ok(()));
    }

    #[test]
    fn another_version_is_answered_with_the_one_there_is() {
        for version in ["8", "12", "14", "", "13, 8"] {
            assert_eq!(with("sec-websocket-version", version), Err(426), "{version}");
        }
        let (mut parts, ()) = Request::builder()
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "8")
            .body(())
            .unwrap()
            .into_parts();
        assert_eq!(check(&mut parts).unwrap_err().into_response().headers()[header::SEC_WEBSOCKET_VERSION], "13");
    }

    #[test]
    fn what_is_no_handshake_is_a_bad_request() {
        for key in ["abc", "", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSE=", "dGhlIHNhbXBsZSBub25jZQ==x"] {
            assert_eq!(with("sec-websocket-key", key), Err(400), "{key}");
        }
        assert_eq!(with("upgrade", "h2c"), Err(400));
        assert_eq!(with("connection", "close"), Err(400));
        for missing in 0..GOOD.len() {
            let mut headers = GOOD.to_vec();
            headers.remove(missing);
            assert_eq!(status(&headers), Err(400));
        }
        let mut twice = GOOD.to_vec();
        twice.push(GOOD[3]);
        assert_eq!(status(&twice), Err(400));
    }

    #[test]
    fn a_request_names_one_host() {
        let mut headers = HeaderMap::new();
        assert!(!names_its_host(Version::HTTP_11, &headers));
        assert!(names_its_host(Version::HTTP_10, &headers));
        headers.append(header::HOST, HeaderValue::from_static("a"));
        assert!(names_its_host(Version::HTTP_11, &headers));
        headers.append(header::HOST, HeaderValue::from_static("a"));
        assert!(!names_its_host(Version::HTTP_11, &headers));
        assert!(!names_its_host(Version::HTTP_10, &headers));
    }
}
