//! The requests a TURN client has sent: they tell what an error response refuses.

use std::collections::VecDeque;

use turn_client_proto::stun::types::attribute::MessageIntegrity;
use turn_client_proto::stun::types::message::{Message, MessageClass, Method, TransactionId};
use turn_client_proto::stun::types::prelude::AttributeStaticType;

/// Maximum number of requests. At the bound the oldest is dropped, and a refusal of it is not reported.
const MAX_REQUESTS: usize = 64;

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// It carried the credentials.
    pub(super) signed: bool,
}

/// The requests without an error response, oldest first. At most [`MAX_REQUESTS`].
#[derive(Debug, Default)]
pub(super) struct Requests(VecDeque<(TransactionId, Request)>);

impl Requests {
    /// Remembers an outbound message if it is a request. Retransmissions count once.
    pub(super) fn note(&mut self, bytes: &[u8]) {
        let Ok(message) = Message::from_bytes(bytes) else { return };
        if !message.has_class(MessageClass::Request) {
            return;
        }
        let id = message.transaction_id();
        if self.0.iter().any(|(known, _)| *known == id) {
            return;
        }
        if self.0.len() >= MAX_REQUESTS {
            self.0.pop_front();
        }
        let signed = message.has_attribute(MessageIntegrity::TYPE);
        self.0.push_back((id, Request { method: message.method(), signed }));
    }

    /// Removes a request.
    pub(super) fn take(&mut self, id: TransactionId) -> Option<Request> {
        let index = self.0.iter().position(|(known, _)| *known == id)?;
        self.0.remove(index).map(|(_, request)| request)
    }
}
