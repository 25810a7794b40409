//! Commands of the handles to the driver of a client.

use metered_realtime_core::protocol::Payload;
use metered_realtime_core::signalling::{Counters, RequestError};
use metered_realtime_core::{Channel, PeerId};

use super::error::SignallingConnectError;
use super::options::SubscribeOptions;
use super::subscribed::Held;
use crate::reply::Reply;

type Request = Reply<Result<(), RequestError>>;

/// What the handles of a client ask for.
pub(crate) enum Command {
    Connect {
        reply: Reply<Result<(), SignallingConnectError>>,
    },
    Subscribe {
        channel: Channel,
        options: SubscribeOptions,
        reply: Reply<Result<Held, RequestError>>,
    },
    Unsubscribe {
        channel: Channel,
        reply: Request,
    },
    Publish {
        channel: Channel,
        data: Payload,
        reply: Request,
    },
    Send {
        to: PeerId,
        data: Payload,
        reply: Request,
    },
    Counters {
        reply: Reply<Counters>,
    },
    Close {
        reason: String,
        reply: Reply<()>,
    },
    /// The last handle of a channel was dropped.
    Released,
}
