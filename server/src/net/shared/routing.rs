//! The hub, and where its outputs go.

use std::collections::HashMap;
use std::sync::Arc;

use metered_realtime_core::protocol::CloseCode;

use crate::net::budget::{Budget, Queued};
use crate::net::outbox::{End, Outbox};
use crate::state::{ConnId, Hub, Input, Output};

/// The hub and the queues of its connections.
#[derive(Debug)]
pub(super) struct Routing {
    pub(super) hub: Hub,
    pub(super) outboxes: HashMap<ConnId, Arc<Outbox>>,
    pub(super) last_conn: u64,
    /// The server has been stopped: a connection that is made now ends at once.
    pub(super) stopped: bool,
}

/// What one input led to.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) texts: usize,
    pub(super) bytes: usize,
    pub(super) too_slow: Vec<ConnId>,
    pub(super) closed: Vec<(ConnId, CloseCode)>,
    pub(super) presence_waits: bool,
}

impl Routing {
    pub(super) fn drive(&mut self, input: Input<'_>, budget: &Arc<Budget>) -> Report {
        self.hub.handle_input(input);
        self.carry_out(budget)
    }

    /// Carries out what the hub wants.
    pub(super) fn carry_out(&mut self, budget: &Arc<Budget>) -> Report {
        let mut report = Report::default();
        // A text for many comes in outputs that follow each other, and has two forms at most: without and with the
        // sender's metadata.
        let mut recent: [Option<Arc<Queued>>; 2] = [None, None];
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send { conn, text } => {
                    let known = recent.iter().flatten().find(|known| known.is(&text)).map(Arc::clone);
                    let queued = known.unwrap_or_else(|| {
                        recent.rotate_right(1);
                        let [newest, _] = &mut recent;
                        Arc::clone(newest.insert(Queued::new(text, budget)))
                    });
                    report.texts += 1;
                    report.bytes = report.bytes.saturating_add(queued.len());
                    let outbox = self.outboxes.get(&conn);
                    if outbox.is_some_and(|outbox| outbox.push(queued).is_err()) {
                        report.too_slow.push(conn);
                        self.hub.handle_input(Input::Disconnected { conn });
                    }
                }
                Output::PresenceWaits => report.presence_waits = true,
                Output::Close { conn, code } => {
                    report.closed.push((conn, code));
                    if let Some(outbox) = self.outboxes.get(&conn) {
                        outbox.end(End::Close(code));
                    }
                }
            }
        }
        report
    }
}
