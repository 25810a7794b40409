//! What the system and the libraries say of a connection that failed, as the core takes it.
//!
//! Texts of the WebSocket library never get in: they may hold the URL, and with it the credential.

use std::io;

use async_tungstenite::tungstenite::Error;
use metered_realtime_core::signalling::{SocketError, SocketErrorKind};
use rustls::CertificateError;

pub(super) fn of_lookup(error: &io::Error) -> SocketError {
    SocketError::new(SocketErrorKind::NameLookup, &error.to_string())
}

pub(super) fn without_address() -> SocketError {
    SocketError::new(SocketErrorKind::NameLookup, "the name has no address")
}

pub(super) fn of_io(error: &io::Error) -> SocketError {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => SocketErrorKind::Refused,
        io::ErrorKind::TimedOut => SocketErrorKind::TimedOut,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            SocketErrorKind::HostUnreachable
        }
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => SocketErrorKind::NoLocalPort,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => SocketErrorKind::Ended,
        // The system's own texts, such as that too many files are open, hold nothing but themselves.
        _ if error.raw_os_error().is_some() => return SocketError::new(SocketErrorKind::Io, &error.to_string()),
        kind => return SocketError::new(SocketErrorKind::Io, &kind.to_string()),
    };
    kind.into()
}

pub(super) fn of_tls(error: &io::Error) -> SocketError {
    let Some(tls) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            io::ErrorKind::InvalidInput => tls("no certificate can be for this host"),
            io::ErrorKind::UnexpectedEof => tls("the server ended the handshake; does it expect ws:?"),
            _ => of_io(error),
        };
    };
    self::tls(match tls {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the certificate is not valid yet; is this machine's clock right?"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the certificate is for another host"
            }
            CertificateError::UnknownIssuer => {
                "the certificate's issuer is not trusted; root_certificates adds one of your own"
            }
            CertificateError::Revoked => "the certificate is revoked",
            _ => "the certificate is not accepted",
        },
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS; does it expect ws:?",
        rustls::Error::PeerIncompatible(_) => "the server has no TLS version or cipher in common with this client",
        rustls::Error::AlertReceived(_) => "the server refused the handshake",
        _ => "the handshake failed",
    })
}

fn tls(detail: &str) -> SocketError {
    SocketError::new(SocketErrorKind::Tls, detail)
}

pub(super) fn of_web_socket(error: &Error) -> SocketError {
    match error {
        Error::Io(error) => of_io(error),
        Error::ConnectionClosed | Error::AlreadyClosed => SocketErrorKind::Ended.into(),
        Error::WriteBufferFull(_) => SocketErrorKind::NotReading.into(),
        Error::Http(response) => SocketErrorKind::Http(response.status().as_u16()).into(),
        // A TLS server answers a request in clear with an alert, which is no HTTP.
        Error::HttpFormat(_) | Error::Protocol(_) | Error::Utf8(_) => {
            SocketError::new(SocketErrorKind::Protocol, "does it expect wss:?")
        }
        _ => SocketErrorKind::Protocol.into(),
    }
}

#[cfg(test)]
mod tests {
    use async_tungstenite::tungstenite::error::UrlError;

    use super::*;

    #[test]
    fn the_systems_failures_have_names() {
        for (kind, text) in [
            (io::ErrorKind::ConnectionRefused, "connection refused"),
            (io::ErrorKind::AddrNotAvailable, "no local port is free"),
            (io::ErrorKind::NetworkUnreachable, "no route to the host"),
            (io::ErrorKind::ConnectionReset, "the connection ended without a close frame"),
        ] {
            assert_eq!(of_io(&kind.into()).to_string(), text);
        }
        let too_many_files = of_io(&io::Error::from_raw_os_error(24)).to_string();
        assert!(too_many_files.contains("os error 24"), "{too_many_files}");
        assert_eq!(of_io(&io::Error::other("pk_live_x")).to_string(), "input or output failed: other error");
    }

    #[test]
    fn a_certificate_says_what_is_wrong_with_it() {
        let failed =
            |error| of_tls(&io::Error::new(io::ErrorKind::InvalidData, rustls::Error::from(error))).to_string();
        assert_eq!(failed(CertificateError::Expired), "TLS failed: the certificate has expired");
        assert!(failed(CertificateError::UnknownIssuer).ends_with("root_certificates adds one of your own"));
    }

    #[test]
    fn errors_keep_no_text_of_the_library_s() {
        let error = of_web_socket(&Error::Url(UrlError::UnableToConnect("wss://a/v1?key=pk_live_x".to_owned())));
        assert!(!format!("{error} {error:?}").contains("pk_live_x"));
    }
}
