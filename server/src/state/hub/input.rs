//! The inputs of the hub.

use std::time::Duration;

use metered_realtime_core::PeerId;
use metered_realtime_core::protocol::{ClientFrame, ClientFrameError, CloseCode};

use crate::state::conn_id::ConnId;
use crate::state::identity::{Identity, TenantId};
use crate::state::tenants::Quota;

/// An input of the hub.
#[derive(Debug)]
pub enum Input<'a> {
    /// A connection with a good credential was made.
    Connected {
        /// Its number.
        conn: ConnId,
        /// Who it is.
        identity: Identity,
        /// When its credential runs out, in Unix seconds; `None` for a key.
        expires_at: Option<f64>,
        /// The time, in Unix seconds.
        server_time: f64,
    },
    /// A message came. What cannot be read is answered too: a binary message is a malformed one.
    Frame {
        /// Who sent it.
        conn: ConnId,
        /// The frame, or why it is none.
        frame: Result<ClientFrame<'a>, ClientFrameError>,
    },
    /// A connection is gone, or is being closed by the shell.
    Disconnected {
        /// Its number.
        conn: ConnId,
    },
    /// Close every connection of a peer.
    DisconnectPeer {
        /// Its tenant; `None` for every tenant.
        tenant: Option<TenantId>,
        /// The peer.
        peer: PeerId,
        /// The code to close with.
        code: CloseCode,
    },
    /// From now on close new connections with a code before their `welcome`; `None` ends that.
    Refuse(Option<CloseCode>),
    /// From now on these tenants have these quotas, and all others none.
    SetQuotas(Vec<(TenantId, Quota)>),
    /// A new period begins for the quota of messages of a tenant.
    StartPeriod(TenantId),
    /// Send the changes of presence that wait: [`PRESENCE_BATCH`](super::PRESENCE_BATCH) after [`Output::PresenceWaits`](super::Output::PresenceWaits).
    FlushPresence,
    /// Announce to every connection that the server goes away, and close them all.
    GoAway {
        /// How long the first of them is asked to wait before it comes back. Each further one is asked to wait 2 ms longer,
        /// up to the protocol's 5 minutes.
        retry_after: Duration,
    },
}
