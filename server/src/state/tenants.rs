//! What each tenant uses, and what it may use.

use std::collections::HashMap;

use super::identity::TenantId;

/// What a tenant may use; `None` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Connections at a time. More are closed with 4010.
    pub connections: Option<usize>,
    /// Messages, published and sent, in a period. More are answered with `over_message_quota`.
    pub messages: Option<u64>,
}

/// What a tenant uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Connections now.
    pub connections: usize,
    /// Messages in this period.
    pub messages: u64,
    /// What it may use.
    pub quota: Quota,
}

/// The account of every tenant. A tenant without a quota is kept while it has connections or has sent messages; tenants
/// come from the configuration alone, so that their number is bounded.
#[derive(Debug, Default)]
pub(super) struct Tenants(HashMap<TenantId, Usage>);

impl Tenants {
    /// Sets all quotas anew. What was used stays.
    pub(super) fn set_quotas(&mut self, quotas: impl IntoIterator<Item = (TenantId, Quota)>) {
        for usage in self.0.values_mut() {
            usage.quota = Quota::default();
        }
        for (tenant, quota) in quotas {
            self.0.entry(tenant).or_default().quota = quota;
        }
    }

    pub(super) fn usage(&self, tenant: &TenantId) -> Usage {
        self.0.get(tenant).copied().unwrap_or_default()
    }

    /// Counts a connection, if the tenant may have it.
    pub(super) fn connect(&mut self, tenant: &TenantId) -> bool {
        let usage = self.0.entry(tenant.clone()).or_default();
        let may = usage.quota.connections.is_none_or(|max| usage.connections < max);
        if may {
            usage.connections += 1;
        }
        may
    }

    pub(super) fn disconnect(&mut self, tenant: &TenantId) {
        if let Some(usage) = self.0.get_mut(tenant) {
            usage.connections = usage.connections.saturating_sub(1);
        }
    }

    /// Counts a message, if the tenant may send it.
    pub(super) fn message(&mut self, tenant: &TenantId) -> bool {
        let usage = self.0.entry(tenant.clone()).or_default();
        let may = usage.quota.messages.is_none_or(|max| usage.messages < max);
        if may {
            usage.messages = usage.messages.saturating_add(1);
        }
        may
    }

    /// A new period begins for a tenant.
    pub(super) fn start_period(&mut self, tenant: &TenantId) {
        if let Some(usage) = self.0.get_mut(tenant) {
            usage.messages = 0;
        }
    }
}
