//! Alerts of DTLS: their numbers and names, and their records while nothing is encrypted yet (RFC 6347, section 4.1).

use std::fmt;

/// The bytes of a record before its contents.
const HEADER_BYTES: usize = 13;

/// The content type of records with alerts (RFC 5246, section 6.2.1).
const ALERT: u8 = 21;

/// The level of alerts that end a session (RFC 5246, section 7.2).
const FATAL: u8 = 2;

/// The sequence number of the one alert this side writes itself: above that of any record of a handshake. A receiver only
/// wants a number that it has not seen (RFC 6347, section 4.1.2.6).
const SEQUENCE: u32 = u32::MAX;

/// An alert of DTLS, by its number in IANA's registry of TLS alerts. Displays as `handshake_failure (40)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DtlsAlert(u8);

impl DtlsAlert {
    pub(super) const CLOSE_NOTIFY: Self = Self(0);
    pub(super) const UNEXPECTED_MESSAGE: Self = Self(10);
    pub(super) const HANDSHAKE_FAILURE: Self = Self(40);
    pub(super) const BAD_CERTIFICATE: Self = Self(42);
    pub(super) const UNSUPPORTED_CERTIFICATE: Self = Self(43);
    pub(super) const ILLEGAL_PARAMETER: Self = Self(47);
    pub(super) const DECRYPT_ERROR: Self = Self(51);
    pub(super) const PROTOCOL_VERSION: Self = Self(70);
    pub(super) const INTERNAL_ERROR: Self = Self(80);

    /// The alert with a number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The number, from 0 to 255.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The name in the registry; `unknown` for a number without one.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            21 => "decryption_failed",
            22 => "record_overflow",
            30 => "decompression_failure",
            40 => "handshake_failure",
            41 => "no_certificate",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            60 => "export_restriction",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            111 => "certificate_unobtainable",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            114 => "bad_certificate_hash_value",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            _ => "unknown",
        }
    }

    /// The datagram that tells this alert, as a fatal one, to a side to which nothing has been encrypted yet.
    pub(super) fn to_datagram(self) -> Vec<u8> {
        let mut datagram = vec![ALERT, 0xFE, 0xFD, 0, 0, 0, 0];
        datagram.extend_from_slice(&SEQUENCE.to_be_bytes());
        datagram.extend_from_slice(&[0, 2, FATAL, self.0]);
        datagram
    }

    /// The first alert in a datagram that is not encrypted, and so proves nothing of its sender, and that would end the
    /// handshake: a fatal one, or the notice that the other side closes.
    pub(super) fn unprotected(datagram: &[u8]) -> Option<Self> {
        Self::all_unprotected(datagram).find_map(|(level, alert)| {
            let ends = level == FATAL || alert == Self::CLOSE_NOTIFY;
            ends.then_some(alert)
        })
    }

    /// Whether there is an alert of any kind in a datagram that is not encrypted.
    #[cfg(feature = "openssl")]
    pub(super) fn is_in_clear(datagram: &[u8]) -> bool {
        Self::all_unprotected(datagram).next().is_some()
    }

    /// The alerts in a datagram that are not encrypted, with their levels.
    fn all_unprotected(datagram: &[u8]) -> impl Iterator<Item = (u8, Self)> {
        let mut rest = datagram;
        let records = std::iter::from_fn(move || {
            let (header, after) = rest.split_at_checked(HEADER_BYTES)?;
            let [kind, _, _, epoch @ .., length_high, length_low] = header else { return None };
            let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
            let (contents, next) = after.split_at_checked(length)?;
            rest = next;
            Some((*kind, epoch.starts_with(&[0, 0]), contents))
        });
        records.filter_map(|record| match record {
            (ALERT, true, [level, number, ..]) => Some((*level, Self(*number))),
            _ => None,
        })
    }
}

impl fmt::Display for DtlsAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_found_in_any_record_of_a_datagram_unless_it_is_encrypted() {
        let alert = DtlsAlert::HANDSHAKE_FAILURE;
        let mut datagram = alert.to_datagram();
        assert_eq!(DtlsAlert::unprotected(&datagram), Some(alert));
        let behind = [&[22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 9][..], &datagram].concat();
        assert_eq!(DtlsAlert::unprotected(&behind), Some(alert));
        // The second byte of the epoch.
        datagram[4] = 1;
        assert_eq!(DtlsAlert::unprotected(&datagram), None);
    }

    #[test]
    fn warnings_and_pieces_are_no_alerts() {
        let with = |level, number| {
            let mut datagram = DtlsAlert::new(number).to_datagram();
            datagram[13] = level;
            DtlsAlert::unprotected(&datagram)
        };
        assert_eq!(with(1, 100), None);
        assert_eq!(with(1, 0), Some(DtlsAlert::CLOSE_NOTIFY));
        let datagram = DtlsAlert::INTERNAL_ERROR.to_datagram();
        for length in 0..datagram.len() {
            assert_eq!(DtlsAlert::unprotected(&datagram[..length]), None);
        }
    }

    #[test]
    fn an_alert_says_its_name_and_number() {
        assert_eq!(DtlsAlert::HANDSHAKE_FAILURE.to_string(), "handshake_failure (40)");
        assert_eq!(DtlsAlert::new(200).to_string(), "unknown (200)");
    }
}
