//! DTLS by dimpl, over the primitives of a crypto library. The certificates of both sides are ECDSA certificates.
//!
//! `str0m` begins the handshake as soon as the two sides agree, which may be minutes before ICE finds a way. Left to its
//! defaults, the handshake would have failed by then, and the connection with it, while ICE restarts are still to come. So
//! it is patient (RFC 6347, section 4.2.4).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsVersion, ProtocolVersion};

/// How long a message of the handshake may stay unanswered at first before it is sent again; twice as long each time.
const FIRST_RETRANSMIT: Duration = Duration::from_millis(200);

/// How often it is sent again: for more than a day. Nothing leaves while there is no way, and then all copies do.
const RETRANSMITS: usize = 19;

/// How long the whole handshake may take. When it is given up is for the schedule of ICE restarts to say, and even after that the
/// other side may restart.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

pub(super) fn new_dtls(
    primitives: dimpl::crypto::CryptoProvider,
    certificate: &DtlsCert,
    now: Instant,
    version: DtlsVersion,
    mtu: Option<usize>,
) -> Result<Box<dyn DtlsInstance>, CryptoError> {
    // ICE has verified the other side's address, which is what a cookie is for.
    let mut config = dimpl::Config::builder()
        .with_crypto_provider(primitives)
        .use_server_cookie(false)
        .flight_start_rto(FIRST_RETRANSMIT)
        .flight_retries(RETRANSMITS)
        .handshake_timeout(HANDSHAKE_TIMEOUT);
    if let Some(mtu) = mtu {
        config = config.mtu(mtu);
    }
    let config = Arc::new(config.build().map_err(|error| CryptoError::Other(error.to_string()))?);
    let certificate = certificate.clone();
    let dtls = match version {
        DtlsVersion::Dtls12 => dimpl::Dtls::new_12(config, certificate, now),
        DtlsVersion::Dtls13 => dimpl::Dtls::new_13(config, certificate, now),
        _ => dimpl::Dtls::new_auto(config, certificate, now),
    };
    Ok(Box::new(Dimpl(dtls)))
}

struct Dimpl(dimpl::Dtls);

impl fmt::Debug for Dimpl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dimpl")
    }
}

impl DtlsInstance for Dimpl {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        self.0.poll_output(buffer)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}
