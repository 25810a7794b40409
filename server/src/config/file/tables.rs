//! The tables of the configuration file.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use toml::Spanned;

use crate::config::{Limits, TenantQuota};
use crate::state::RateLimit;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) keys: Vec<Spanned<Key>>,
    #[serde(default)]
    pub(super) secrets: Vec<Spanned<Secret>>,
    #[serde(default)]
    pub(super) turn: Vec<Spanned<Turn>>,
    #[serde(default)]
    pub(super) tenants: Vec<Tenant>,
    pub(super) tls: Option<Tls>,
    #[serde(default)]
    pub(super) trusted_proxies: Vec<IpAddr>,
    pub(super) limits: Option<Spanned<LimitsTable>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Key {
    pub(super) key: Spanned<SecretString>,
    pub(super) tenant: Option<String>,
    pub(super) channel_patterns: Spanned<Vec<String>>,
    pub(super) actions: Option<Spanned<Vec<String>>>,
    pub(super) allowed_origins: Option<Spanned<Vec<String>>>,
    pub(super) ice_servers: Option<Spanned<Vec<IceServer>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct IceServer {
    pub(super) urls: Vec<String>,
    pub(super) username: Option<String>,
    pub(super) credential: Option<SecretString>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Secret {
    pub(super) id: Spanned<String>,
    pub(super) secret: Option<Spanned<SecretString>>,
    pub(super) secret_file: Option<Spanned<PathBuf>>,
    pub(super) tenant: Option<String>,
    pub(super) channel_patterns: Option<Spanned<Vec<String>>>,
    pub(super) actions: Option<Spanned<Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Turn {
    pub(super) urls: Vec<String>,
    pub(super) secret: Option<Spanned<SecretString>>,
    pub(super) secret_file: Option<Spanned<PathBuf>>,
    pub(super) lifetime_secs: Option<u64>,
    pub(super) tenant: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Tenant {
    pub(super) name: String,
    pub(super) max_connections: Option<usize>,
    pub(super) messages: Option<Messages>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Messages {
    pub(super) max: u64,
    pub(super) period_secs: NonZeroU32,
}

impl From<Tenant> for TenantQuota {
    fn from(table: Tenant) -> Self {
        let mut quota = Self::new(table.name);
        if let Some(connections) = table.max_connections {
            quota = quota.connections(connections);
        }
        if let Some(Messages { max, period_secs }) = table.messages {
            quota = quota.messages(max, Duration::from_secs(period_secs.get().into()));
        }
        quota
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LimitsTable {
    pub(super) max_message_size: Option<usize>,
    pub(super) max_connections: Option<usize>,
    pub(super) max_connections_per_peer: Option<usize>,
    pub(super) max_channels: Option<usize>,
    pub(super) message_rate: Option<Rate>,
    pub(super) fan_out_rate: Option<Rate>,
    pub(super) connects_per_address: Option<Rate>,
    pub(super) limit_loopback: Option<bool>,
    pub(super) rest_rate: Option<Rate>,
    pub(super) outbound_messages: Option<usize>,
    pub(super) outbound_bytes: Option<usize>,
    pub(super) outbound_total: Option<usize>,
    pub(super) http_timeout_secs: Option<u64>,
}

/// A rate; `false` for none.
#[derive(Deserialize, Clone, Copy)]
#[serde(untagged, expecting = "false, or a table with sustained, burst and per (in seconds, 1 if absent)")]
pub(super) enum Rate {
    Table(RateTable),
    Off(Off),
}

#[derive(Deserialize, Clone, Copy)]
#[serde(deny_unknown_fields)]
pub(super) struct RateTable {
    pub(super) sustained: u32,
    pub(super) burst: u32,
    #[serde(default = "one")]
    pub(super) per: u32,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "bool")]
pub(super) struct Off;

impl TryFrom<bool> for Off {
    type Error = &'static str;

    fn try_from(on: bool) -> Result<Self, Self::Error> {
        if on { Err("must be false or a table") } else { Ok(Self) }
    }
}

impl From<Rate> for Option<RateLimit> {
    fn from(rate: Rate) -> Self {
        match rate {
            Rate::Table(RateTable { sustained, burst, per }) => {
                Some(RateLimit::per(Duration::from_secs(per.into()), sustained, burst))
            }
            Rate::Off(Off) => None,
        }
    }
}

impl LimitsTable {
    pub(super) fn apply(self, limits: &mut Limits) {
        fn set<T>(to: &mut T, from: Option<impl Into<T>>) {
            if let Some(from) = from {
                *to = from.into();
            }
        }
        set(&mut limits.max_message_size, self.max_message_size);
        set(&mut limits.max_connections, self.max_connections);
        set(&mut limits.max_connections_per_peer, self.max_connections_per_peer);
        set(&mut limits.max_channels, self.max_channels);
        set(&mut limits.message_rate, self.message_rate);
        set(&mut limits.fan_out_rate, self.fan_out_rate);
        set(&mut limits.connects_per_address, self.connects_per_address);
        set(&mut limits.limit_loopback, self.limit_loopback);
        set(&mut limits.rest_rate, self.rest_rate);
        set(&mut limits.outbound_queue.messages, self.outbound_messages);
        set(&mut limits.outbound_queue.bytes, self.outbound_bytes);
        set(&mut limits.outbound_total, self.outbound_total);
        set(&mut limits.http_timeout, self.http_timeout_secs.map(Duration::from_secs));
    }
}
