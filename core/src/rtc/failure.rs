//! How the encrypted transport of a connection fails.

use str0m::crypto::dtls::DtlsImplError;

use super::alert::DtlsAlert;

/// Why the encrypted transport of a connection failed. The connection closes; a room peer makes a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TransportFailure {
    /// The other side's certificate does not have the fingerprint that its description announces (RFC 8122, section 5).
    /// The other side is told with the alert `bad_certificate`.
    #[error("the certificate does not match the fingerprint in the description")]
    CertificateMismatch,
    /// The other side ended the DTLS handshake or session with a fatal alert, or closed during the handshake. A peer with
    /// an RSA certificate answers our handshake with `handshake_failure`: without the feature `openssl`, only ECDSA
    /// certificates are supported.
    #[error("the other side sent the DTLS alert {0}")]
    AlertReceived(DtlsAlert),
    /// The handshake cannot go on after what the other side sent, and the other side was told with an alert.
    #[error("DTLS handshake failed: {problem}; answered with the alert {alert}")]
    Handshake {
        /// What is wrong with the messages of the other side.
        problem: HandshakeProblem,
        /// The alert that was sent.
        alert: DtlsAlert,
    },
    /// ICE found a path, but the DTLS handshake was not done within 20 s.
    #[error("the DTLS handshake was not done in time")]
    HandshakeTimeout,
    /// The transport reported errors for 5 s on end.
    #[error("internal error of the transport")]
    Internal,
}

/// What is wrong with the messages of a DTLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeProblem {
    /// The other side presented no certificate of a supported kind. Without the feature `openssl`, only ECDSA certificates
    /// are supported, and peers with an RSA certificate present none.
    #[error("no supported certificate presented")]
    NoCertificate,
    /// The other side's certificate cannot be read, or has a key of an unsupported kind.
    #[error("unusable certificate")]
    UnusableCertificate,
    /// The two sides have no version, cipher suite, curve, or required extension in common.
    #[error("no parameters in common")]
    NoCommonParameters,
    /// A signature, or the checksum over the handshake, is wrong.
    #[error("verification failed")]
    Verification,
    /// A message came that has no place at this point of the handshake.
    #[error("unexpected message")]
    UnexpectedMessage,
    /// An error of this side.
    #[error("internal error")]
    Internal,
}

impl TransportFailure {
    /// The alert that the other side sent, if that was the reason.
    pub fn alert_received(&self) -> Option<DtlsAlert> {
        match self {
            Self::AlertReceived(alert) => Some(*alert),
            _ => None,
        }
    }

    /// The alert that the other side was sent. It may have been lost: alerts are not repeated (RFC 6347, section 4.2.7).
    pub fn alert_sent(&self) -> Option<DtlsAlert> {
        match self {
            Self::CertificateMismatch => Some(DtlsAlert::BAD_CERTIFICATE),
            Self::Handshake { alert, .. } => Some(*alert),
            Self::AlertReceived(_) | Self::HandshakeTimeout | Self::Internal => None,
        }
    }

    /// `None` for an error that is about one datagram only, which may come from anywhere, and after which the session or
    /// handshake goes on.
    pub(super) fn of(error: &DtlsImplError) -> Option<Self> {
        use dimpl::{CertificateError as Certificate, CryptoError as Crypto, SecurityError as Security};
        let (problem, alert) = match error {
            DtlsImplError::SecurityError(Security::FatalAlert { description }) => {
                return Some(Self::AlertReceived(DtlsAlert::new(*description)));
            }
            // What cannot be decrypted is repeated by a genuine sender, and so is what there was no room for.
            DtlsImplError::CryptoError(Crypto::OperationFailed(dimpl::CryptoOperation::Decrypt))
            | DtlsImplError::ReceiveQueueFull
            | DtlsImplError::TransmitQueueFull
            | DtlsImplError::RenegotiationAttempt => return None,
            DtlsImplError::CertificateError(
                Certificate::NoServerCertificateReceived
                | Certificate::NoClientCertificateReceived
                | Certificate::NoClientCertificateForVerification
                | Certificate::NoServerCertificateForVerification,
            ) => (HandshakeProblem::NoCertificate, DtlsAlert::HANDSHAKE_FAILURE),
            DtlsImplError::CertificateError(_) => (HandshakeProblem::UnusableCertificate, DtlsAlert::BAD_CERTIFICATE),
            DtlsImplError::SecurityError(
                Security::UnsupportedHelloVerifyRequestVersion(_)
                | Security::UnsupportedServerVersion(_)
                | Security::UnsupportedClientVersion(_),
            ) => (HandshakeProblem::NoCommonParameters, DtlsAlert::PROTOCOL_VERSION),
            DtlsImplError::SecurityError(
                Security::ServerFinishedVerificationFailed | Security::ClientFinishedVerificationFailed,
            )
            | DtlsImplError::CryptoError(
                Crypto::SignatureVerificationFailed { .. }
                | Crypto::SignatureAlgorithmMismatch { .. }
                | Crypto::InvalidSignatureFormat
                | Crypto::OperationFailed(dimpl::CryptoOperation::VerifySignature),
            ) => (HandshakeProblem::Verification, DtlsAlert::DECRYPT_ERROR),
            DtlsImplError::SecurityError(_) | DtlsImplError::IncompleteServerHello => {
                (HandshakeProblem::NoCommonParameters, DtlsAlert::HANDSHAKE_FAILURE)
            }
            DtlsImplError::CryptoError(
                Crypto::UnsupportedPublicKeyAlgorithm
                | Crypto::UnsupportedEcCurve
                | Crypto::CertificateParseFailed
                | Crypto::MissingEcCurveParameter
                | Crypto::InvalidEcCurveParameter
                | Crypto::InvalidSubjectPublicKey,
            ) => (HandshakeProblem::UnusableCertificate, DtlsAlert::UNSUPPORTED_CERTIFICATE),
            DtlsImplError::CryptoError(
                Crypto::KeyExchangeGroupNotFound(_)
                | Crypto::UnsupportedKeyExchangeGroup(_)
                | Crypto::UnsupportedEcdheNamedGroup(_)
                | Crypto::UnsupportedCipherSuite(_)
                | Crypto::UnsupportedSignatureAlgorithm(_)
                | Crypto::SignatureAlgorithmNotOfferedByClient
                | Crypto::UnsupportedSignaturePair { .. }
                | Crypto::UnsupportedSignatureVerification { .. }
                | Crypto::InvalidPublicKey(_),
            ) => (HandshakeProblem::NoCommonParameters, DtlsAlert::ILLEGAL_PARAMETER),
            DtlsImplError::UnexpectedMessage(_) => (HandshakeProblem::UnexpectedMessage, DtlsAlert::UNEXPECTED_MESSAGE),
            _ => (HandshakeProblem::Internal, DtlsAlert::INTERNAL_ERROR),
        };
        Some(Self::Handshake { problem, alert })
    }
}
