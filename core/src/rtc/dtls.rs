//! What goes wrong with DTLS, whichever library does it.
//!
//! It is also where the packets of SCTP pass, through [`Filter`].
//!
//! `str0m` 0.25 passes on errors of its DTLS as text only, and gives no access to the instance except to the version of the
//! protocol. So the instance tells its last error as a version that does not exist, until the next datagram.

use std::fmt;
use std::time::Instant;

use str0m::Rtc;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
};
use str0m::crypto::{CryptoError, CryptoProvider};

use super::alert::DtlsAlert;
use super::crypto;
use super::failure::{HandshakeProblem, TransportFailure};
use super::sctp::Filter;

/// Tells the DTLS instance that the descriptions agree on data channels. `str0m` 0.25 gives no way to the instance but this:
/// a datagram of a content type that DTLS does not have (RFC 9147, section 4.1). See [`is_command`].
pub(super) const BEGIN_SCTP: &[u8] = &[63, b'S', b'C', b'T', b'P'];

/// Whether a datagram is one that only the connection itself may hand in.
pub(super) fn is_command(datagram: &[u8]) -> bool {
    datagram == BEGIN_SCTP
}

/// The cryptography of `str0m`, with handshakes that wait for ICE.
pub(super) fn crypto_provider() -> CryptoProvider {
    crypto::provider(&Patient)
}

#[derive(Debug)]
struct Patient;

impl DtlsProvider for Patient {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        crypto::generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let dtls = crypto::new_dtls(certificate, now, version, mtu)?;
        Ok(Box::new(Instance { dtls, sctp: Filter::new(now), connected: false, report: None }))
    }
}

/// An error of a DTLS instance that is about more than one stray datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) failure: TransportFailure,
    /// The instance is at its end, or the other side has said so under encryption. Otherwise the datagram may have come
    /// from anyone, and the handshake may go on.
    pub(super) certain: bool,
}

/// The error of the datagram or timeout that was handled last.
pub(super) fn report(rtc: &mut Rtc) -> Option<Report> {
    rtc.direct_api().dtls_protocol_version().and_then(Report::from_version)
}

impl Report {
    const CERTAIN: u16 = 1 << 14;
    const ALERT_RECEIVED: u16 = 1;
    const PROBLEMS: [HandshakeProblem; 6] = [
        HandshakeProblem::NoCertificate,
        HandshakeProblem::UnusableCertificate,
        HandshakeProblem::NoCommonParameters,
        HandshakeProblem::Verification,
        HandshakeProblem::UnexpectedMessage,
        HandshakeProblem::Internal,
    ];

    /// A number that is no version of DTLS: those all begin with 0xFE.
    fn to_version(self) -> Option<ProtocolVersion> {
        let (kind, alert) = match self.failure {
            TransportFailure::AlertReceived(alert) => (Self::ALERT_RECEIVED, alert),
            TransportFailure::Handshake { problem, alert } => {
                let index = Self::PROBLEMS.iter().position(|known| *known == problem)?;
                (u16::try_from(index).ok()? + Self::ALERT_RECEIVED + 1, alert)
            }
            _ => return None,
        };
        let certain = if self.certain { Self::CERTAIN } else { 0 };
        Some(ProtocolVersion::from_u16(certain | (kind << 8) | u16::from(alert.number())))
    }

    fn from_version(version: ProtocolVersion) -> Option<Self> {
        let [kind, alert] = (version.as_u16() & !Self::CERTAIN).to_be_bytes();
        let alert = DtlsAlert::new(alert);
        let failure = match u16::from(kind).checked_sub(Self::ALERT_RECEIVED)? {
            0 => TransportFailure::AlertReceived(alert),
            index => {
                let problem = *Self::PROBLEMS.get(usize::from(index) - 1)?;
                TransportFailure::Handshake { problem, alert }
            }
        };
        Some(Self { failure, certain: version.as_u16() & Self::CERTAIN != 0 })
    }
}

struct Instance {
    dtls: Box<dyn DtlsInstance>,
    sctp: Filter,
    connected: bool,
    report: Option<Report>,
}

impl Instance {
    /// Sends what the filter has for the other side. What DTLS does not take is lost, and repeated.
    fn send_outbound(&mut self) {
        while let Some(packet) = self.sctp.next_outbound() {
            if let Err(error) = self.dtls.send_application_data(&packet) {
                tracing::debug!(%error, "a packet of SCTP is not sent");
            }
        }
    }

    /// What to think of an error, after a datagram with `told` in it.
    fn failed(&self, error: &DtlsImplError, told: Option<DtlsAlert>) -> Option<Report> {
        let failure = TransportFailure::of(error)?;
        let is_over = self.dtls.is_closing() || self.dtls.is_closed();
        let is_proven = failure.alert_received().is_some() && (self.connected || told.is_none());
        let certain = is_over || is_proven;
        (certain || !self.connected).then_some(Report { failure, certain })
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Instance")
    }
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        self.dtls.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        if is_command(packet) {
            self.sctp.begin();
            return Ok(());
        }
        let told = DtlsAlert::unprotected(packet);
        let result = self.dtls.handle_packet(packet);
        match (&result, told) {
            (Ok(()), None) => self.report = None,
            // It was ignored, as is right once the other side encrypts, or because it is no fatal one. It is counted, and
            // one that closes is the end of the handshake if it is genuine.
            (Ok(()), Some(alert)) => {
                let failure = TransportFailure::AlertReceived(alert);
                let closes = !self.connected && alert == DtlsAlert::CLOSE_NOTIFY;
                self.report = closes.then_some(Report { failure, certain: false });
                return Err(DtlsImplError::ConnectionClosed);
            }
            (Err(error), _) => self.report = self.failed(error, told),
        }
        result
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        self.send_outbound();
        if let Some(packet) = self.sctp.next_inbound() {
            let Some(place) = buffer.get_mut(..packet.len()) else { return DtlsOutput::ApplicationData(&[]) };
            place.copy_from_slice(&packet);
            return DtlsOutput::ApplicationData(place);
        }
        match self.dtls.poll_output(buffer) {
            DtlsOutput::ApplicationData(packet) if !self.sctp.received(packet) => DtlsOutput::ApplicationData(&[]),
            DtlsOutput::Connected => {
                self.connected = true;
                self.sctp.connected(self.dtls.is_active());
                DtlsOutput::Connected
            }
            DtlsOutput::Timeout(at) => DtlsOutput::Timeout(self.sctp.poll_timeout().map_or(at, |due| due.min(at))),
            output => output,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.sctp.handle_timeout(now);
        let result = self.dtls.handle_timeout(now);
        if let Err(error) = &result {
            self.report = TransportFailure::of(error).map(|failure| Report { failure, certain: true });
        }
        result
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        let Some(packet) = self.sctp.sent(data) else { return Ok(data.len()) };
        let accepted = self.dtls.send_application_data(&packet)?;
        // As much as was given, or nothing.
        Ok(if accepted == packet.len() { data.len() } else { 0 })
    }

    fn is_active(&self) -> bool {
        self.dtls.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.report.and_then(Report::to_version).or_else(|| self.dtls.protocol_version())
    }

    fn is_closing(&self) -> bool {
        self.dtls.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.dtls.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.dtls.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once encrypted, only the other side can have sent an alert, and nothing else is the end.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn an_alert_under_encryption_is_certain_and_other_errors_are_about_one_datagram() {
        let certificate = Patient.generate_certificate().unwrap();
        let now = Instant::now();
        let dtls = crypto::new_dtls(&certificate, now, DtlsVersion::Dtls12, None).unwrap();
        let mut instance = Instance { dtls, sctp: Filter::new(now), connected: false, report: None };
        let alert = DtlsAlert::new(80);
        let told = DtlsImplError::SecurityError(dimpl::SecurityError::FatalAlert { description: 80 });
        let failure = TransportFailure::AlertReceived(alert);
        assert_eq!(instance.failed(&told, Some(alert)), Some(Report { failure, certain: false }));
        assert_eq!(instance.failed(&told, None), Some(Report { failure, certain: true }));
        instance.connected = true;
        assert_eq!(instance.failed(&told, Some(alert)), Some(Report { failure, certain: true }));
        for error in [DtlsImplError::IncompleteServerHello, DtlsImplError::RenegotiationAttempt] {
            assert_eq!(instance.failed(&error, None), None);
        }
    }

    #[test]
    fn a_report_is_no_version_and_survives_the_passage() {
        let alert = DtlsAlert::new(255);
        let handshakes = Report::PROBLEMS.map(|problem| TransportFailure::Handshake { problem, alert });
        for failure in handshakes.into_iter().chain([TransportFailure::AlertReceived(DtlsAlert::CLOSE_NOTIFY)]) {
            for certain in [false, true] {
                let report = Report { failure, certain };
                let version = report.to_version().unwrap();
                assert!(version.is_unknown());
                assert_eq!(Report::from_version(version), Some(report));
            }
        }
        for version in [ProtocolVersion::DTLS1_0, ProtocolVersion::DTLS1_2, ProtocolVersion::DTLS1_3] {
            assert_eq!(Report::from_version(version), None);
        }
    }
}
