//! DTLS 1.2 by OpenSSL.
//!
//! OpenSSL repeats lost messages of the handshake by a clock of its own, after a second at first, and gives up after some
//! seven minutes. A handshake that nobody has answered is begun anew then: ICE may find a way later.
//!
//! It tells the other side's certificate after the whole flight that the certificate is in. If that ends the handshake and
//! the certificate is the wrong one, the other side is not told why the connection ends: the alert is not encrypted.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::srtp::SrtpProfileId;
use openssl::ssl::{
    self, ErrorCode, ShutdownState, Ssl, SslContext, SslMethod, SslOptions, SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, KeyingMaterial, ProtocolVersion, SrtpProfile,
};

use super::datagrams::Datagrams;
use crate::rtc::alert::DtlsAlert;

/// Suites with forward secrecy (RFC 8827, section 6.5), for certificates of both kinds.
const SUITES: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES";

/// In the order of preference.
const SRTP_PROFILES: &str = "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80";

/// The label of the keys for SRTP (RFC 5764, section 4.2).
const SRTP_LABEL: &str = "EXTRACTOR-dtls_srtp";

/// Bytes of a datagram if the connection does not say.
const MTU: usize = 1150;

/// How often OpenSSL is asked whether it wants to repeat something.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// With nothing to do.
const IDLE: Duration = Duration::from_secs(3600);

/// Where the codes of alerts begin among OpenSSL's reasons.
const ALERTS: i32 = 1000;

pub(super) struct Session {
    context: SslContext,
    mtu: u32,
    stream: SslStream<Datagrams>,
    active: Option<bool>,
    progress: Progress,
    /// Something came during the handshake.
    answered: bool,
    certificate_told: bool,
    events: VecDeque<Event>,
    now: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Handshaking,
    Connected,
    /// This side closes.
    Closing,
    /// The handshake or the session has failed.
    Failed,
}

/// What is to be told. At most one of each kind and, emptied before the next datagram, the messages of one.
enum Event {
    PeerCertificate(Vec<u8>),
    Connected,
    Keys(Vec<u8>, SrtpProfile),
    Data(Vec<u8>),
    Closed,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(certificate: &DtlsCert, now: Instant, mtu: Option<usize>) -> Result<Self, ErrorStack> {
        let context = context(certificate)?;
        let mtu = u32::try_from(mtu.unwrap_or(MTU)).unwrap_or(u32::MAX);
        let stream = stream(&context, mtu, None)?;
        let events = VecDeque::new();
        Ok(Self {
            context,
            mtu,
            stream,
            active: None,
            progress: Progress::Handshaking,
            answered: false,
            certificate_told: false,
            events,
            now,
        })
    }

    /// Goes on with the handshake as far as it goes.
    fn shake_hands(&mut self) -> Result<(), DtlsImplError> {
        if self.active.is_none() {
            return Ok(());
        }
        match self.stream.do_handshake() {
            Ok(()) => self.connected(),
            Err(error) if would_block(&error) => {
                self.tell_certificate();
                Ok(())
            }
            Err(_) if !self.answered => self.begin_anew(),
            Err(error) => {
                self.progress = Progress::Failed;
                Err(problem(&error))
            }
        }
    }

    /// Nobody has seen anything of the handshake that was, if there was one.
    fn begin_anew(&mut self) -> Result<(), DtlsImplError> {
        match stream(&self.context, self.mtu, self.active) {
            Ok(stream) => {
                self.stream = stream;
                Ok(())
            }
            Err(_) => {
                self.progress = Progress::Failed;
                Err(internal())
            }
        }
    }

    /// As soon as it is there: whoever shows a wrong one is told before the handshake is done.
    fn tell_certificate(&mut self) {
        if !self.certificate_told
            && let Some(certificate) = self.stream.ssl().peer_certificate().and_then(|shown| shown.to_der().ok())
        {
            self.certificate_told = true;
            self.events.push_back(Event::PeerCertificate(certificate));
        }
    }

    fn connected(&mut self) -> Result<(), DtlsImplError> {
        match secrets(self.stream.ssl()) {
            Some((keys, profile)) => {
                self.progress = Progress::Connected;
                self.tell_certificate();
                self.events.push_back(Event::Connected);
                self.events.push_back(Event::Keys(keys, profile));
                Ok(())
            }
            None => {
                self.progress = Progress::Failed;
                Err(DtlsImplError::IncompleteServerHello)
            }
        }
    }

    /// Takes the messages out of a datagram. None is longer than the datagram.
    fn read(&mut self, datagram: usize) -> Result<(), DtlsImplError> {
        let mut buffer = vec![0; datagram];
        loop {
            match self.stream.ssl_read(&mut buffer) {
                Ok(len) => self.events.push_back(Event::Data(buffer.get(..len).unwrap_or_default().to_vec())),
                Err(error) if would_block(&error) => return Ok(()),
                Err(_) if self.stream.get_shutdown().contains(ShutdownState::RECEIVED) => {
                    self.events.push_back(Event::Closed);
                    return self.close();
                }
                Err(error) => {
                    self.progress = Progress::Failed;
                    return Err(problem(&error));
                }
            }
        }
    }

    fn next_timeout(&self) -> Instant {
        let waits = self.progress == Progress::Handshaking && self.active.is_some();
        self.now + if waits { CHECK_EVERY } else { IDLE }
    }
}

impl DtlsInstance for Session {
    fn set_active(&mut self, active: bool) {
        self.active = Some(active);
        // If there is no session for it, it has failed, which the next call says.
        let _begun_or_failed = self.begin_anew();
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        // To OpenSSL an empty one is the end of the network.
        if packet.is_empty() {
            return Ok(());
        }
        // Anyone can have sent an alert that is not encrypted, and OpenSSL would end the handshake on it.
        if DtlsAlert::is_in_clear(packet) {
            return match DtlsAlert::unprotected(packet).filter(|alert| *alert != DtlsAlert::CLOSE_NOTIFY) {
                Some(alert) if self.progress == Progress::Handshaking => Err(alert_received(alert.number())),
                _ => Ok(()),
            };
        }
        match self.progress {
            Progress::Handshaking => {
                self.answered = true;
                self.stream.get_mut().received(packet);
                self.shake_hands()?;
            }
            Progress::Connected => self.stream.get_mut().received(packet),
            Progress::Closing | Progress::Failed => return Ok(()),
        }
        // The rest of a datagram that ended the handshake is read too.
        if self.progress == Progress::Connected { self.read(packet.len()) } else { Ok(()) }
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        if let Some(datagram) = self.stream.get_ref().front() {
            return match copied(datagram, buffer) {
                Ok(place) => {
                    self.stream.get_mut().pop();
                    DtlsOutput::Packet(place)
                }
                Err(needed) => DtlsOutput::BufferTooSmall { needed },
            };
        }
        let Some(event) = self.events.pop_front() else { return DtlsOutput::Timeout(self.next_timeout()) };
        let (contents, of): (_, fn(&'a [u8]) -> DtlsOutput<'a>) = match &event {
            Event::Connected => return DtlsOutput::Connected,
            Event::Closed => return DtlsOutput::CloseNotify,
            Event::Keys(keys, profile) => return DtlsOutput::KeyingMaterial(KeyingMaterial::new(keys), *profile),
            Event::PeerCertificate(certificate) => (certificate, DtlsOutput::PeerCert),
            Event::Data(data) => (data, DtlsOutput::ApplicationData),
        };
        match copied(contents, buffer) {
            Ok(place) => of(place),
            Err(needed) => {
                self.events.push_front(event);
                DtlsOutput::BufferTooSmall { needed }
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.now = now;
        match self.progress {
            Progress::Handshaking => self.shake_hands(),
            Progress::Connected | Progress::Closing | Progress::Failed => Ok(()),
        }
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        match self.progress {
            Progress::Handshaking => Ok(0),
            Progress::Connected if data.is_empty() => Ok(0),
            Progress::Connected => self.stream.ssl_write(data).map_err(|error| problem(&error)),
            Progress::Closing | Progress::Failed => Err(DtlsImplError::ConnectionClosed),
        }
    }

    fn is_active(&self) -> bool {
        self.active == Some(true)
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        (self.progress == Progress::Connected).then_some(ProtocolVersion::DTLS1_2)
    }

    fn is_closing(&self) -> bool {
        matches!(self.progress, Progress::Closing | Progress::Failed)
    }

    fn is_closed(&self) -> bool {
        let is_over = matches!(self.progress, Progress::Closing | Progress::Failed);
        is_over && self.stream.get_ref().is_empty()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        if self.progress == Progress::Connected {
            // The alert goes out, or this side is gone without it.
            let _sent_or_not = self.stream.shutdown();
        }
        if self.progress != Progress::Failed {
            self.progress = Progress::Closing;
        }
        Ok(())
    }
}

fn context(certificate: &DtlsCert) -> Result<SslContext, ErrorStack> {
    let mut context = SslContext::builder(SslMethod::dtls())?;
    context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    context.set_cipher_list(SUITES)?;
    context.set_tlsext_use_srtp(SRTP_PROFILES)?;
    context.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_RENEGOTIATION | SslOptions::NO_TICKET);
    // Each side shows a certificate; whether it is the right one, its fingerprint tells.
    context.set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, |_, _| true);
    let shown = X509::from_der(&certificate.certificate)?;
    context.set_certificate(&shown)?;
    let key = PKey::private_key_from_der(&certificate.private_key)?;
    context.set_private_key(&key)?;
    Ok(context.build())
}

fn stream(context: &SslContext, mtu: u32, active: Option<bool>) -> Result<SslStream<Datagrams>, ErrorStack> {
    let mut ssl = Ssl::new(context)?;
    ssl.set_mtu(mtu)?;
    match active {
        Some(true) => ssl.set_connect_state(),
        Some(false) => ssl.set_accept_state(),
        None => {}
    }
    SslStream::new(ssl, Datagrams::default())
}

/// The keys of SRTP.
fn secrets(ssl: &ssl::SslRef) -> Option<(Vec<u8>, SrtpProfile)> {
    let profile = match ssl.selected_srtp_profile()?.id() {
        SrtpProfileId::SRTP_AES128_CM_SHA1_80 => SrtpProfile::AES128_CM_SHA1_80,
        SrtpProfileId::SRTP_AEAD_AES_128_GCM => SrtpProfile::AEAD_AES_128_GCM,
        SrtpProfileId::SRTP_AEAD_AES_256_GCM => SrtpProfile::AEAD_AES_256_GCM,
        _ => return None,
    };
    let mut keys = vec![0; profile.keying_material_len()];
    ssl.export_keying_material(&mut keys, SRTP_LABEL, None).ok()?;
    Some((keys, profile))
}

fn copied<'a>(contents: &[u8], buffer: &'a mut [u8]) -> Result<&'a [u8], usize> {
    let place = buffer.get_mut(..contents.len()).ok_or(contents.len())?;
    place.copy_from_slice(contents);
    Ok(place)
}

fn would_block(error: &ssl::Error) -> bool {
    matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
}

fn alert_received(description: u8) -> DtlsImplError {
    DtlsImplError::SecurityError(dimpl::SecurityError::FatalAlert { description })
}

fn internal() -> DtlsImplError {
    DtlsImplError::CryptoError(dimpl::CryptoError::OperationFailed(dimpl::CryptoOperation::CompleteKeyExchange))
}

/// OpenSSL's reason in the terms of dimpl. Numbers of reasons are stable (`openssl/sslerr.h`).
fn problem(error: &ssl::Error) -> DtlsImplError {
    const BAD_SIGNATURE: i32 = 123;
    const DIGEST_CHECK_FAILED: i32 = 149;
    const NO_SHARED_CIPHER: i32 = 193;
    const NO_CERTIFICATE: i32 = 199;
    const UNSUPPORTED_PROTOCOL: i32 = 258;
    tracing::debug!(%error, "OpenSSL ends the session");
    let reason = error.ssl_error().and_then(|stack| stack.errors().first()).map_or(0, |first| first.reason_code());
    if let Some(description) = reason.checked_sub(ALERTS).and_then(|alert| u8::try_from(alert).ok()) {
        return alert_received(description);
    }
    match reason {
        NO_CERTIFICATE => DtlsImplError::CertificateError(dimpl::CertificateError::NoClientCertificateReceived),
        NO_SHARED_CIPHER | UNSUPPORTED_PROTOCOL => DtlsImplError::IncompleteServerHello,
        BAD_SIGNATURE | DIGEST_CHECK_FAILED => {
            DtlsImplError::CryptoError(dimpl::CryptoError::OperationFailed(dimpl::CryptoOperation::VerifySignature))
        }
        _ => internal(),
    }
}
