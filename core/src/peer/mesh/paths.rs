//! Whose datagram is whose, without asking every connection: by the addresses it comes over, and by the name that a
//! connectivity check is addressed to (RFC 8445, section 7.2.2).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use str0m::ice::StunMessage;

use crate::ids::PeerId;
use crate::net::Transmit;
use crate::packet::is_stun;

/// The addresses of a datagram: ours, and the other side's.
type Pair = (SocketAddr, SocketAddr);

/// Pairs of addresses remembered as one peer's. At the bound the least of them gives way: a peer has few, unless it names
/// many candidates, and those that are in use come up again by themselves.
const MAX_PAIRS_PER_PEER: usize = 512;

/// Peers that one pair of addresses may belong to: in networks that know nothing of each other the same addresses are in
/// use. One more takes the place of one that nothing has come from.
const MAX_PEERS_PER_PAIR: usize = 4;

/// A peer that a pair of addresses may belong to.
#[derive(Debug)]
struct Claim {
    peer: PeerId,
    /// A datagram of its came over it; else something was sent to it only.
    proven: bool,
}

/// Where datagrams of the remote peers come from.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// At most [`MAX_PEERS_PER_PAIR`] each; those that were heard of last come first.
    claims: BTreeMap<Pair, Vec<Claim>>,
    /// The pairs in `claims` of each peer, in order, at most [`MAX_PAIRS_PER_PEER`] each.
    pairs: BTreeMap<PeerId, Vec<Pair>>,
    /// The names by which each peer's connection may be addressed: two at most.
    names: BTreeMap<String, PeerId>,
}

impl Paths {
    /// Who may have sent a datagram, likeliest first; a few at most, however many peers there are.
    pub(super) fn candidates(&self, pair: Pair, datagram: &[u8]) -> Vec<PeerId> {
        let mut peers: Vec<PeerId> = match self.claims.get(&pair) {
            Some(claims) => claims.iter().map(|claim| claim.peer.clone()).collect(),
            None => Vec::new(),
        };
        // A second parse, for addresses that nothing came from yet: str0m 0.25 keeps the message of a `Receive` private.
        if is_stun(datagram)
            && let Ok(message) = StunMessage::parse(datagram)
            && let Some((name, _)) = message.split_username()
            && let Some(peer) = self.names.get(name)
            && !peers.contains(peer)
        {
            peers.push(peer.clone());
        }
        peers
    }

    /// Whose datagram was the last that came over these addresses.
    pub(super) fn last_heard(&self, pair: Pair) -> Option<&PeerId> {
        self.claims.get(&pair)?.first().filter(|claim| claim.proven).map(|claim| &claim.peer)
    }

    /// A datagram of the peer's came over these addresses.
    pub(super) fn received(&mut self, peer: &PeerId, pair: Pair) {
        let claims = self.claims.entry(pair).or_insert_with(one);
        match claims.iter().position(|claim| claim.peer == *peer) {
            Some(0) if claims.first().is_some_and(|claim| claim.proven) => return,
            Some(at) => drop(claims.remove(at)),
            None => {}
        }
        claims.insert(0, Claim { peer: peer.clone(), proven: true });
        if claims.len() > MAX_PEERS_PER_PAIR {
            let least = claims.iter().position(|claim| !claim.proven).unwrap_or(MAX_PEERS_PER_PAIR);
            let gone = claims.remove(least);
            self.unlink(&gone.peer, pair);
        }
        self.link(peer, pair);
    }

    /// A datagram goes out for the peer. What is answered over ways that are not known yet are connectivity checks only.
    pub(super) fn transmits(&mut self, peer: &PeerId, transmit: &Transmit) {
        if is_stun(&transmit.contents) {
            self.sent(peer, (transmit.local, transmit.remote));
        }
    }

    /// A connectivity check for the peer went out over these addresses: the answer comes back over them, and names nobody.
    fn sent(&mut self, peer: &PeerId, pair: Pair) {
        let claims = self.claims.entry(pair).or_insert_with(one);
        if claims.iter().any(|claim| claim.peer == *peer) {
            return;
        }
        if claims.len() >= MAX_PEERS_PER_PAIR {
            let Some(least) = claims.iter().rposition(|claim| !claim.proven) else { return };
            let gone = claims.remove(least);
            self.unlink(&gone.peer, pair);
        }
        if let Some(claims) = self.claims.get_mut(&pair) {
            claims.push(Claim { peer: peer.clone(), proven: false });
        }
        self.link(peer, pair);
    }

    /// The names by which the peer's connection may be addressed have changed.
    pub(super) fn rename<'a>(&mut self, peer: &PeerId, old: &[String], new: impl Iterator<Item = &'a str>) {
        for name in old {
            if self.names.get(name) == Some(peer) {
                self.names.remove(name);
            }
        }
        self.names.extend(new.map(|name| (name.to_owned(), peer.clone())));
    }

    /// The peer is gone, or its connection is.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        for pair in self.pairs.remove(peer).unwrap_or_default() {
            self.disclaim(peer, pair);
        }
    }

    fn link(&mut self, peer: &PeerId, pair: Pair) {
        let pairs = match self.pairs.get_mut(peer) {
            Some(pairs) => pairs,
            None => self.pairs.entry(peer.clone()).or_default(),
        };
        let Err(at) = pairs.binary_search(&pair) else { return };
        pairs.insert(at, pair);
        if pairs.len() > MAX_PAIRS_PER_PEER
            && let Some(least) = pairs.iter().position(|least| *least != pair)
        {
            let least = pairs.remove(least);
            self.disclaim(peer, least);
        }
    }

    fn unlink(&mut self, peer: &PeerId, pair: Pair) {
        if let Some(pairs) = self.pairs.get_mut(peer) {
            pairs.retain(|known| *known != pair);
        }
    }

    fn disclaim(&mut self, peer: &PeerId, pair: Pair) {
        if let Some(claims) = self.claims.get_mut(&pair) {
            claims.retain(|claim| claim.peer != *peer);
            if claims.is_empty() {
                self.claims.remove(&pair);
            }
        }
    }
}

/// Room for one: nearly always it is one peer's.
fn one() -> Vec<Claim> {
    Vec::with_capacity(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: usize) -> PeerId {
        PeerId::new(format!("p{n}")).unwrap()
    }

    fn pair(n: usize) -> Pair {
        let port = u16::try_from(n % 50_000).unwrap() + 1;
        (SocketAddr::from(([10, 0, 0, 1], 1)), SocketAddr::from(([10, 0, 0, 2], port)))
    }

    fn ids(peers: impl IntoIterator<Item = usize>) -> Vec<PeerId> {
        peers.into_iter().map(peer).collect()
    }

    #[test]
    fn whoever_was_heard_last_is_asked_first() {
        let mut paths = Paths::default();
        paths.sent(&peer(1), pair(1));
        paths.sent(&peer(2), pair(1));
        assert_eq!(paths.candidates(pair(1), &[20]), ids([1, 2]));
        paths.received(&peer(2), pair(1));
        assert_eq!(paths.candidates(pair(1), &[20]), ids([2, 1]));
        assert!(paths.candidates(pair(2), &[20]).is_empty());
        paths.forget(&peer(2));
        assert_eq!(paths.candidates(pair(1), &[20]), ids([1]));
    }

    #[test]
    fn what_was_only_sent_to_gives_way_to_what_came() {
        let mut paths = Paths::default();
        for n in 0..10 {
            paths.sent(&peer(n), pair(1));
        }
        assert_eq!(paths.candidates(pair(1), &[]).len(), MAX_PEERS_PER_PAIR);
        for n in 10..14 {
            paths.received(&peer(n), pair(1));
        }
        assert_eq!(paths.candidates(pair(1), &[]), ids([13, 12, 11, 10]));
        paths.sent(&peer(20), pair(1));
        assert_eq!(paths.candidates(pair(1), &[]), ids([13, 12, 11, 10]));
    }

    #[test]
    fn a_peer_has_a_bounded_number_of_addresses_and_leaves_none_behind() {
        let mut paths = Paths::default();
        for n in 0..2000 {
            paths.received(&peer(1), pair(n));
            paths.sent(&peer(1), pair(n + 10_000));
        }
        assert_eq!(paths.claims.len(), MAX_PAIRS_PER_PEER);
        assert_eq!(paths.candidates(pair(11_999), &[]), ids([1]));
        paths.forget(&peer(1));
        assert!(paths.claims.is_empty() && paths.pairs.is_empty());
    }
}
