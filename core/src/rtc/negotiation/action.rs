//! What the negotiation asks of the connection.

use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};

use super::repeats::Fingerprint;
use crate::protocol::DescriptionKind;
use crate::rtc::error::NegotiationError;
use crate::rtc::refused::TrackRefused;
use crate::rtc::sdp::Description;

/// Something to do.
#[derive(Debug)]
pub(in crate::rtc) enum Action {
    /// Send a description.
    Send {
        /// Offer or answer.
        kind: DescriptionKind,
        /// The description.
        sdp: String,
    },
    /// Have `str0m` answer an offer. Continues with [`Negotiation::offer_accepted`](super::Negotiation::offer_accepted).
    AcceptOffer(SdpOffer, Box<RemoteOffer>),
    /// Have `str0m` take an answer. Continues with [`Negotiation::answer_accepted`](super::Negotiation::answer_accepted).
    AcceptAnswer(SdpAnswer, SdpPendingOffer, Box<RemoteAnswer>),
    /// An answer rejected all sections of our offer.
    RejectAll {
        /// Whether the offer had data channels.
        data_channels: bool,
    },
    /// Report a description that cannot be used.
    Refuse(NegotiationError),
    /// Report that an offer stays without an answer.
    Unanswered,
}

/// An offer of the other side's that can be used.
#[derive(Debug)]
pub(in crate::rtc) struct RemoteOffer {
    pub(in crate::rtc) description: Description,
    pub(in crate::rtc) fingerprint: Fingerprint,
    /// An offer of ours was withdrawn for it.
    pub(in crate::rtc) withdraws: bool,
}

/// An answer of the other side's that can be used.
#[derive(Debug)]
pub(in crate::rtc) struct RemoteAnswer {
    pub(in crate::rtc) description: Description,
    /// The offer it is for.
    pub(in crate::rtc) offer: Description,
    pub(in crate::rtc) is_restart: bool,
}

/// What changes with a description of the other side's that is in force.
#[derive(Debug)]
pub(in crate::rtc) struct Changes {
    /// ICE is restarted.
    pub(in crate::rtc) restarted: bool,
    /// Data channels are agreed on for the first time.
    pub(in crate::rtc) begins_data_channels: bool,
    /// Tracks of the other side's that are refused here.
    pub(in crate::rtc) refused_tracks: Vec<TrackRefused>,
    /// Data channels of the other side's are refused here.
    pub(in crate::rtc) refused_data_channels: bool,
}
