//! Quotas of tenants.

use std::time::Duration;

use crate::state::Quota;

/// The tenant of credentials that name none.
pub(super) const DEFAULT_TENANT: &str = "default";

/// The quota of a tenant. A tenant without one uses what it wants.
///
/// ```
/// use std::time::Duration;
/// use metered_realtime_server::{ServerConfig, TenantQuota};
/// let month = Duration::from_secs(30 * 24 * 3600);
/// let config = ServerConfig::new().quota(TenantQuota::new("default").connections(100).messages(1_000_000, month));
/// # let _ = config;
/// ```
#[derive(Debug, Clone)]
pub struct TenantQuota {
    pub(crate) tenant: String,
    pub(crate) quota: Quota,
    pub(crate) period: Duration,
}

impl TenantQuota {
    /// No limits yet, for the tenant of this name.
    pub fn new(tenant: impl Into<String>) -> Self {
        Self { tenant: tenant.into(), quota: Quota::default(), period: Duration::from_secs(30 * 24 * 3600) }
    }

    /// Connections at a time. More are closed with 4010.
    pub fn connections(mut self, connections: usize) -> Self {
        self.quota.connections = Some(connections);
        self
    }

    /// Messages, published and sent, in each period. More are answered with `over_message_quota`. The first period begins
    /// when the server starts, and a period is a second at least.
    pub fn messages(mut self, messages: u64, period: Duration) -> Self {
        self.quota.messages = Some(messages);
        self.period = period.max(Duration::from_secs(1));
        self
    }
}
