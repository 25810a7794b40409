//! Who is in which channel, and who is told of it.

use std::sync::Arc;

use metered_realtime_core::Channel;
use metered_realtime_core::protocol::ErrorCode;

use super::{ChannelKey, Hub, Output};
use crate::state::channel::{ChannelState, Subscription};
use crate::state::conn_id::ConnId;
use crate::state::identity::Identity;
use crate::state::presence::{self, Change, presence_peer};

impl Hub {
    /// Counts the channel against the connection's limit.
    pub(super) fn remember(&mut self, conn: ConnId, channel: &Channel) -> Result<(), ErrorCode> {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return Ok(());
        };
        if !connection.channels.contains(channel) {
            if connection.channels.len() >= self.limits.max_channels {
                return Err(ErrorCode::ChannelLimitExceeded);
            }
            connection.channels.insert(channel.clone());
        }
        Ok(())
    }

    pub(super) fn subscribe(
        &mut self,
        conn: ConnId,
        identity: &Arc<Identity>,
        channel: Channel,
        subscription: Subscription,
    ) {
        let key = (identity.tenant.clone(), channel);
        let state = self.channels.entry(key.clone()).or_default();
        let joins = state.subscribe(conn, &identity.peer_id, subscription);
        if subscription.sees_presence {
            let peers = state.peers_besides(&identity.peer_id).map(|(peer, newest)| {
                let newest = self.connections.get(&newest);
                presence_peer(peer, newest.and_then(|connection| connection.identity.peer_metadata.as_ref()))
            });
            for text in presence::snapshot(&key.1, peers.collect()) {
                self.outputs.push_back(Output::Send { conn, text });
            }
        }
        if joins {
            self.change_presence(&key, conn, Change::Joined(Arc::clone(identity)));
        }
    }

    pub(super) fn unsubscribe(&mut self, conn: ConnId, identity: &Arc<Identity>, channel: Channel) {
        let key = (identity.tenant.clone(), channel);
        let Some(state) = self.channels.get_mut(&key) else {
            return;
        };
        if state.unsubscribe(conn, &identity.peer_id) {
            self.change_presence(&key, conn, Change::Left(Arc::clone(identity)));
        }
        if self.channels.get(&key).is_some_and(ChannelState::is_empty) {
            self.channels.remove(&key);
            self.presence_waits.remove(&key);
        }
    }

    /// Tells a change of presence to those who may see it: at once in a small channel, with others in a large one.
    fn change_presence(&mut self, key: &ChannelKey, conn: ConnId, change: Change) {
        let Some(state) = self.channels.get_mut(key) else {
            return;
        };
        if !state.is_large() && !state.presence_waits() {
            presence::delta(&key.1, &[change], |text| {
                let others = state.others(conn).filter(|(_, options)| options.sees_presence);
                self.outputs.extend(others.map(|(conn, _)| Output::Send { conn, text: text.clone() }));
            });
            return;
        }
        // Changes of one peer are told one after the other, and not in one frame, whose order is not told.
        if state.has_waiting(&change.identity().peer_id) {
            self.flush_presence(key);
        }
        if let Some(state) = self.channels.get_mut(key) {
            state.wait(change);
            if self.presence_waits.is_empty() {
                self.outputs.push_back(Output::PresenceWaits);
            }
            self.presence_waits.insert(key.clone());
        }
    }

    /// Sends the changes that wait to everybody in the channel who may see them. A peer that came since sees some that
    /// its snapshot has already, and itself: clients ignore both.
    pub(super) fn flush_presence(&mut self, key: &ChannelKey) {
        let Some(state) = self.channels.get_mut(key) else {
            return;
        };
        let changes = state.take_waiting();
        presence::delta(&key.1, &changes, |text| {
            let seers = state.all().filter(|(_, options)| options.sees_presence);
            self.outputs.extend(seers.map(|(conn, _)| Output::Send { conn, text: text.clone() }));
        });
    }

    /// A peer is seen before it is heard: where its arrival waits to be told, it is told now.
    pub(super) fn announce_speaker(&mut self, conn: ConnId, identity: &Identity) {
        if self.presence_waits.is_empty() {
            return;
        }
        let Some(connection) = self.connections.get(&conn) else {
            return;
        };
        let keys: Vec<ChannelKey> =
            connection.channels.iter().map(|channel| (identity.tenant.clone(), channel.clone())).collect();
        for key in keys {
            if self.channels.get(&key).is_some_and(|state| state.has_waiting(&identity.peer_id)) {
                self.flush_presence(&key);
            }
        }
    }
}
