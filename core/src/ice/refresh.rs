//! Keeps an allocation alive for as long as it is wanted, and deletes it then (RFC 8656, section 8).
//!
//! turn-client-proto 0.7.3 ignores a successful answer to a Refresh if the lifetime in it is below 600 s (`MIN_LIFETIME` in
//! its `protocol.rs`), sends no other Refresh, and drops the allocation at the end of the former lifetime, although the server
//! keeps it: coturn with `--max-allocate-lifetime` gives such lifetimes. So the library's client is told that allocations
//! last, and the Refresh requests are made here, for every lifetime.
//!
//! The library's client leaves 50 ms between two requests, so that one that deletes would wait behind the last, and be lost
//! where the link is closed in the same moment. So that request is made here as well, and waits for none.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use turn_client_proto::stun::agent::{StunAgent, StunAgentPollRet};
use turn_client_proto::stun::auth::{LongTermClientAuth, LongTermClientValidation};
use turn_client_proto::stun::types::TransportType;
use turn_client_proto::stun::types::message::{
    Message, MessageClass, MessageType, MessageWriteVec, StunWriteError, TransactionId,
};
use turn_client_proto::stun::types::prelude::{MessageWrite, MessageWriteExt};
use turn_client_proto::types::TurnCredentials;
use turn_client_proto::types::attribute::{Lifetime, XorRelayedAddress};
use turn_client_proto::types::message::{ALLOCATE, REFRESH};

use super::retransmission::{MAX_RETRANSMIT, RETRANSMIT, TRANSMISSIONS};
use super::time::Epoch;

/// The lifetime that is asked for, in seconds. The server decides.
const WANTED: u32 = 1800;

/// A longer lifetime is taken for this.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The lifetime that the library's client is told, in seconds.
const FOR_EVER: u32 = u32::MAX;

/// How long before its end an allocation is refreshed, or half of its lifetime if that is less; and up to half more, by luck.
const MARGIN: Duration = Duration::from_secs(60);

/// The shortest time between two requests.
const MIN_WAIT: Duration = Duration::from_secs(1);

/// The shortest time between two looks at a request that is under way.
const MIN_POLL: Duration = Duration::from_millis(10);

/// Nonces in a row that a server may call old.
const MAX_STALE_NONCES: u32 = 8;

/// Addresses in an answer that are looked at: one of each family are used.
const MAX_RELAYED: u16 = 8;

/// What a message of the server's means for the client.
pub(super) enum Taken {
    /// It is the client's.
    Untouched,
    /// The client gets this one instead.
    Replaced(Vec<u8>),
    /// It answers a request that was made here.
    Own,
}

/// What there is to do.
pub(super) enum Step {
    Send(Vec<u8>),
    /// The allocation is deleted, or its lifetime is over.
    Gone,
}

/// An allocation that there is.
struct Kept {
    lifetime: Duration,
    expires_at: Instant,
    /// When the next request goes out, if none is under way.
    next: Instant,
    pending: Option<TransactionId>,
    /// It is to be deleted.
    deleting: bool,
}

pub(super) struct Refresh {
    epoch: Epoch,
    agent: StunAgent,
    server: SocketAddr,
    /// Follows what the server tells the client, so that both sign alike.
    auth: LongTermClientAuth,
    /// From 0 to 1: clients that came together are not to refresh together.
    luck: f64,
    kept: Option<Kept>,
    stale_nonces: u32,
}

impl Refresh {
    pub(super) fn new(
        epoch: Epoch,
        transport: TransportType,
        [local, server]: [SocketAddr; 2],
        credentials: TurnCredentials,
        luck: f64,
    ) -> Self {
        let agent = StunAgent::builder(transport, local).remote_addr(server);
        let agent = agent.request_retransmits(RETRANSMIT, MAX_RETRANSMIT, TRANSMISSIONS, MAX_RETRANSMIT).build();
        let mut auth = LongTermClientAuth::new();
        auth.set_credentials(credentials.into());
        Self { epoch, agent, server, auth, luck, kept: None, stale_nonces: 0 }
    }

    /// Asks for the deletion of the allocation, at the next step. Returns whether there is one.
    pub(super) fn delete(&mut self, now: Instant) -> bool {
        let Some(kept) = &mut self.kept else { return false };
        if !kept.deleting {
            kept.deleting = true;
            kept.next = now;
            if let Some(mut former) = kept.pending.take().and_then(|former| self.agent.mut_request_transaction(former))
            {
                former.cancel();
            }
        }
        true
    }

    /// Whether the allocation is to be deleted.
    pub(super) fn is_deleting(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.deleting)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let kept = self.kept.as_ref()?;
        Some(kept.next.min(kept.expires_at))
    }

    /// Looks at a response of the server's.
    pub(super) fn response(&mut self, now: Instant, message: &Message<'_>) -> Taken {
        let id = message.transaction_id();
        let own = self.kept.as_ref().is_some_and(|kept| kept.pending == Some(id));
        let validated = self.auth.validate_incoming_message(message);
        if own {
            self.answered(now, message, validated.ok());
            return Taken::Own;
        }
        let allocated = message.has_method(ALLOCATE) && message.has_class(MessageClass::Success);
        if allocated && validated.is_ok() && self.kept.is_none() {
            return self.allocated(now, message).unwrap_or(Taken::Untouched);
        }
        Taken::Untouched
    }

    fn allocated(&mut self, now: Instant, message: &Message<'_>) -> Option<Taken> {
        let lifetime = message.attribute::<Lifetime>().ok()?;
        let lasting = self.lasting(message).ok()?;
        self.keep(now, Duration::from_secs(lifetime.seconds().into()));
        Some(Taken::Replaced(lasting))
    }

    /// The same answer for an allocation that lasts.
    fn lasting(&mut self, message: &Message<'_>) -> Result<Vec<u8>, StunWriteError> {
        let id = message.transaction_id();
        let kind = MessageType::from_class_method(MessageClass::Success, ALLOCATE);
        let mut lasting = Message::builder(kind, id, MessageWriteVec::new());
        lasting.add_attribute(&Lifetime::new(FOR_EVER))?;
        let relayed = (0..MAX_RELAYED).map_while(|n| message.nth_attribute::<XorRelayedAddress>(n.into()).ok());
        for relayed in relayed {
            lasting.add_attribute(&XorRelayedAddress::new(relayed.addr(id), id))?;
        }
        Ok(self.auth.sign_outgoing_message(lasting)?.finish())
    }

    fn keep(&mut self, now: Instant, lifetime: Duration) {
        let lifetime = lifetime.min(MAX_LIFETIME);
        let margin = MARGIN.min(lifetime / 2);
        let margin = margin.saturating_add((margin / 2).mul_f64(self.luck.clamp(0.0, 1.0)));
        let next = now + lifetime.saturating_sub(margin).max(MIN_WAIT);
        self.kept = Some(Kept { lifetime, expires_at: now + lifetime, next, pending: None, deleting: false });
    }

    fn answered(&mut self, now: Instant, message: &Message<'_>, validated: Option<LongTermClientValidation>) {
        let Some(kept) = &mut self.kept else { return };
        let success = message.has_class(MessageClass::Success);
        if success && validated.is_none() {
            // Not the server's.
            return;
        }
        self.agent.handle_stun_message_with_time(message, self.server, self.epoch.since(now));
        kept.pending = None;
        if success && kept.deleting {
            kept.expires_at = now;
        } else if success {
            let told =
                message.attribute::<Lifetime>().ok().map(|lifetime| Duration::from_secs(lifetime.seconds().into()));
            let lifetime = told.unwrap_or(kept.lifetime);
            self.stale_nonces = 0;
            self.keep(now, lifetime);
        } else if let Some(LongTermClientValidation::ResendRequest(_)) = validated
            && self.stale_nonces < MAX_STALE_NONCES
        {
            self.stale_nonces += 1;
            kept.next = now;
        } else {
            let rest = kept.expires_at.saturating_duration_since(now);
            kept.next = now + (rest / 2).max(MIN_WAIT);
        }
    }

    /// The next thing to do, until there is none.
    pub(super) fn step(&mut self, now: Instant) -> Option<Step> {
        let at = self.epoch.since(now);
        let kept = self.kept.as_mut()?;
        if kept.expires_at <= now {
            self.kept = None;
            return Some(Step::Gone);
        }
        if kept.pending.is_some() {
            if let Some(again) = self.agent.poll_transmit(at) {
                return Some(Step::Send(again.data.to_vec()));
            }
            match self.agent.poll(at) {
                StunAgentPollRet::TransactionTimedOut(id) | StunAgentPollRet::TransactionCancelled(id)
                    if kept.pending == Some(id) =>
                {
                    (kept.pending, kept.next) = (None, now);
                }
                StunAgentPollRet::WaitUntil(wait) => {
                    kept.next = self.epoch.instant(wait).max(now + MIN_POLL);
                    return None;
                }
                // A former one, which is gone now.
                _ => {
                    kept.next = now + MIN_POLL;
                    return None;
                }
            }
        }
        if kept.next > now {
            return None;
        }
        // A failure to write or to send is one that no later try mends: the allocation runs out.
        kept.next = kept.expires_at;
        let mut request = Message::builder_request(REFRESH, MessageWriteVec::new());
        request.add_attribute(&Lifetime::new(if kept.deleting { 0 } else { WANTED })).ok()?;
        let id = request.transaction_id();
        let request = self.auth.sign_outgoing_message(request).ok()?.finish();
        let bytes = self.agent.send_request(&request, self.server, at).ok()?.data.to_vec();
        (kept.pending, kept.next) = (Some(id), now);
        Some(Step::Send(bytes))
    }
}
