//! What rooms need of the network beside the sockets to the server: UDP sockets, links to TURN servers, and names.

use std::task::Context;
use std::time::Instant;

use super::links::Links;
use super::names::Names;
use super::udp::Udp;
use crate::net::Connector;
use crate::runtime::Runtime;

pub(super) struct Network<R: Runtime> {
    pub(super) udp: Udp<R>,
    pub(super) links: Links<R>,
    pub(super) names: Names<R>,
}

impl<R: Runtime> Network<R> {
    pub(super) fn new(connector: Connector<R>) -> Self {
        let runtime = connector.runtime();
        Self { udp: Udp::new(runtime.clone()), names: Names::new(runtime.clone()), links: Links::new(connector) }
    }

    /// Hands over what waits. Gives whether there is something to report that needs no waking.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        self.udp.flush(cx);
        self.links.flush(cx);
        self.links.has_news()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.links.poll_timeout(), self.udp.poll_timeout()].into_iter().flatten().min()
    }
}

impl<R: Runtime> Drop for Network<R> {
    fn drop(&mut self) {
        tracing::debug!(lost_datagrams = self.udp.lost(), lost_to_links = self.links.lost(), "network released");
    }
}
