//! The ICE servers of the options and of the `welcome`.

use super::policy::IceTransportPolicy;
use super::problem::IceServerFailed;
use super::servers::{Servers, TurnServer};
use super::url::ServerUrl;
use crate::protocol::IceServer;

/// The lists of servers, and which of them are in use.
#[derive(Debug)]
pub(super) struct ServerList {
    policy: IceTransportPolicy,
    /// From the options.
    configured: Vec<IceServer>,
    /// From the last `welcome`.
    listed: Vec<IceServer>,
    stun: Vec<ServerUrl>,
    left_out: Vec<LeftOut>,
}

/// A server that is not used because of its URL.
#[derive(Debug)]
struct LeftOut {
    failed: IceServerFailed,
    reported: bool,
}

impl ServerList {
    /// Reads the servers of the options. Also returns the TURN servers.
    pub(super) fn new(policy: IceTransportPolicy, configured: Vec<IceServer>) -> (Self, Vec<TurnServer>) {
        let mut list = Self { policy, configured, listed: Vec::new(), stun: Vec::new(), left_out: Vec::new() };
        let turn = list.read();
        (list, turn)
    }

    /// Takes the servers of a `welcome`. Returns the TURN servers, or `None` if the list is the former one.
    pub(super) fn set_listed(&mut self, listed: &[IceServer]) -> Option<Vec<TurnServer>> {
        if self.listed == listed {
            return None;
        }
        self.listed = listed.to_vec();
        Some(self.read())
    }

    /// The STUN servers. None with [`IceTransportPolicy::Relay`].
    pub(super) fn stun(&self) -> &[ServerUrl] {
        &self.stun
    }

    /// Stops using the STUN servers.
    pub(super) fn clear(&mut self) {
        self.stun.clear();
    }

    /// The next server that is left out and was not reported before.
    pub(super) fn next_left_out(&mut self) -> Option<IceServerFailed> {
        let left_out = self.left_out.iter_mut().find(|left_out| !left_out.reported)?;
        left_out.reported = true;
        Some(left_out.failed.clone())
    }

    fn read(&mut self) -> Vec<TurnServer> {
        let servers = Servers::read(self.configured.iter().chain(&self.listed));
        self.stun = if self.policy == IceTransportPolicy::All { servers.stun } else { Vec::new() };
        let reported: Vec<IceServerFailed> =
            self.left_out.drain(..).filter(|former| former.reported).map(|former| former.failed).collect();
        let left_out = servers.left_out.into_iter();
        self.left_out = left_out.map(|failed| LeftOut { reported: reported.contains(&failed), failed }).collect();
        servers.turn
    }
}
