//! The lists of servers, as they are told to the gatherer.

use std::collections::BTreeSet;
use std::time::Instant;

use super::gatherer::Gatherer;
use super::output::{IceTransportPolicy, Output};
use super::problem::IceServerFailed;
use super::servers::Servers;
use super::target::Target;
use super::url::Host;
use crate::ids::LinkId;
use crate::protocol::IceServer;

impl Gatherer {
    /// A `welcome` brought this list. Servers that are in the former with the same credentials go on as they are; others
    /// begin anew, and what they replace goes once no connection uses it.
    pub(crate) fn set_servers(&mut self, now: Instant, listed: &[IceServer]) {
        if self.listed != listed {
            self.listed = listed.to_vec();
            for link in self.read_servers() {
                self.retire(now, link);
            }
            self.resume(now);
            self.step(now);
        }
        self.tell_no_relay();
    }

    /// Tells once that no candidate can be had, until the list has a TURN server.
    fn tell_no_relay(&mut self) {
        let none = self.policy == IceTransportPolicy::Relay && self.targets.is_empty();
        if none && !self.no_relay_told {
            tracing::warn!("only relayed candidates are allowed, and no usable TURN server is listed");
            self.outputs.push_back(Output::NoRelayServer);
        }
        self.no_relay_told = none;
    }

    /// Reads the lists, and gives the links to servers that are in them no more.
    pub(super) fn read_servers(&mut self) -> Vec<LinkId> {
        let servers = Servers::read(self.configured.iter().chain(&self.listed));
        self.stun = if self.policy == IceTransportPolicy::All { servers.stun } else { Vec::new() };
        let told = |failed: &IceServerFailed| self.left_out.iter().any(|(known, told)| known == failed && *told);
        self.left_out = servers
            .left_out
            .into_iter()
            .map(|failed| {
                let told = told(&failed);
                (failed, told)
            })
            .collect();
        let mut former = std::mem::take(&mut self.targets);
        for (rank, server) in (0..).zip(servers.turn) {
            let known = former.iter().position(|target| target.server == server);
            let mut target = known.map_or_else(|| Target::new(server), |index| former.swap_remove(index));
            target.rank = rank;
            self.targets.push(target);
        }
        let (targets, stun) = (&self.targets, &self.stun);
        let mut urls = targets.iter().map(|target| &target.server.url).chain(stun).map(|url| &url.host);
        let wanted: BTreeSet<&Host> = urls.by_ref().collect();
        self.names.retain(|name| wanted.iter().any(|host| matches!(host, Host::Name(known) if known == name)));
        former.iter().filter_map(Target::link).collect()
    }

    /// Tells of servers in the list that are not used for what their URLs say, once they would be wanted.
    pub(super) fn tell_left_out(&mut self) {
        for (failed, told) in self.left_out.iter_mut().filter(|(_, told)| !told) {
            *told = true;
            tracing::warn!(server = %failed.server, problem = %failed.problem, "an ICE server is left out");
            self.outputs.push_back(Output::Failed(failed.clone()));
        }
    }
}
