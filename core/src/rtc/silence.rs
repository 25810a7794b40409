//! When a connection over which nothing comes counts as lost, and when one that does not come up is told of.

use std::time::{Duration, Instant};

/// How long a connection may look for a path before that is told once. ICE has tried every pair several times by then, and
/// the restarts go on.
const REPORT_AFTER: Duration = Duration::from_secs(20);

/// Whether anything comes from the other side of a connection that is up. It answers the checks of ICE that are sent every
/// 3 s (RFC 7675), even if there is nothing else to send.
#[derive(Debug)]
pub(super) struct Silence {
    timeout: Duration,
    heard_at: Instant,
    silent: bool,
}

impl Silence {
    pub(super) fn new(now: Instant, timeout: Duration) -> Self {
        Self { timeout, heard_at: now, silent: false }
    }

    /// Something came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.silent = false;
    }

    /// Whether nothing has come since the connection counted as lost.
    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    /// When the connection, which is up, counts as lost.
    pub(super) fn due(&self) -> Instant {
        self.heard_at + self.timeout
    }

    pub(super) fn lost(&mut self) {
        self.silent = true;
    }
}

/// How long a connection has been without a path, and whether that was told.
#[derive(Debug, Default)]
pub(super) enum Outage {
    /// There is none.
    #[default]
    None,
    /// It is told then.
    Since { report_at: Instant },
    /// It was told.
    Told,
}

impl Outage {
    /// Whether the connection is being made or restored.
    pub(super) fn follow(&mut self, now: Instant, lasts: bool) {
        match self {
            Self::None if lasts => *self = Self::Since { report_at: now + REPORT_AFTER },
            Self::Since { .. } | Self::Told if !lasts => *self = Self::None,
            _ => {}
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Since { report_at } => Some(*report_at),
            Self::None | Self::Told => None,
        }
    }

    /// Whether it is to be told now.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.poll_timeout().is_some_and(|at| at <= now);
        if is_due {
            *self = Self::Told;
        }
        is_due
    }
}
