//! What one source address may do: sockets that speak HTTP, and connects over time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::rate::{Rate, RateLimit};

/// Who counts as one source: an IPv4 address, or the /64 of an IPv6 address, within which one host has its choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
            v4 => v4,
        })
    }
}

/// Connects of each source over time. At most [`SOURCES`](Self::SOURCES) are remembered; beyond that, those whose bucket
/// is full again are forgotten, and if there are none, the oldest.
#[derive(Debug)]
pub struct ConnectRates {
    limit: Option<RateLimit>,
    sources: HashMap<Source, Entry>,
    /// Sources by when they were last seen.
    ages: BTreeMap<(Instant, Source), ()>,
}

#[derive(Debug)]
struct Entry {
    rate: Rate,
    seen: Instant,
}

impl ConnectRates {
    /// Sources that are remembered at most.
    pub const SOURCES: usize = 65_536;

    /// Nobody has connected yet.
    pub fn new(limit: Option<RateLimit>) -> Self {
        Self { limit, sources: HashMap::new(), ages: BTreeMap::new() }
    }

    /// Counts one connect. Says whether it is within the limit.
    pub fn connect(&mut self, now: Instant, source: Source) -> bool {
        let Some(limit) = self.limit else {
            return true;
        };
        self.forget(now, limit.refill());
        let entry =
            self.sources.entry(source).or_insert_with(|| Entry { rate: Rate::new(Some(limit), now), seen: now });
        self.ages.remove(&(entry.seen, source));
        entry.seen = now;
        self.ages.insert((now, source), ());
        entry.rate.charge(now, 1)
    }

    fn forget(&mut self, now: Instant, refill: Duration) {
        while let Some((&(seen, source), ())) = self.ages.first_key_value() {
            let full_again = now.saturating_duration_since(seen) >= refill;
            if !full_again && self.sources.len() < Self::SOURCES {
                return;
            }
            self.ages.pop_first();
            self.sources.remove(&source);
        }
    }
}

/// How long a socket may wait for its client before it can be dropped to make room.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sockets looked at, from the oldest on, to find one that can be dropped.
const CANDIDATES: usize = 16;

/// Bounds of [`HttpSockets`].
#[derive(Debug, Clone, Copy)]
pub struct HttpSocketLimits {
    /// Sockets in all.
    pub total: usize,
    /// Sockets of one source before its own oldest ones make room.
    pub per_source: usize,
}

/// Sockets that speak HTTP: everything that is not, or not yet, a WebSocket.
///
/// A client that keeps its socket waiting loses it when others want the room, so that half-open requests, however many,
/// cost nobody else a second: at either bound, the oldest socket that has waited for its client for 1 s is dropped for the
/// new one.
#[derive(Debug)]
pub struct HttpSockets {
    limits: HttpSocketLimits,
    sockets: BTreeMap<u64, HttpSocket>,
    by_source: HashMap<Source, BTreeSet<u64>>,
    last: u64,
}

#[derive(Debug)]
struct HttpSocket {
    source: Source,
    waits_since: Option<Instant>,
}

/// A socket that may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its number.
    pub id: u64,
    /// The socket that must be dropped for it.
    pub dropped: Option<u64>,
}

/// Every socket is busy. Try again soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl HttpSockets {
    /// No sockets yet.
    pub fn new(limits: HttpSocketLimits) -> Self {
        Self { limits, sockets: BTreeMap::new(), by_source: HashMap::new(), last: 0 }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Takes in a new socket.
    ///
    /// # Errors
    /// [`Full`] if the total is reached and none of the oldest has kept the server waiting.
    pub fn accept(&mut self, now: Instant, source: Source) -> Result<Accepted, Full> {
        let own = self.by_source.get(&source);
        let over_own = own.filter(|own| own.len() >= self.limits.per_source);
        let mut dropped = over_own.and_then(|own| self.overdue(now, own.iter().copied()));
        if dropped.is_none() && self.sockets.len() >= self.limits.total {
            dropped = Some(self.overdue(now, self.sockets.keys().copied()).ok_or(Full)?);
        }
        if let Some(dropped) = dropped {
            self.remove(dropped);
        }
        self.last = self.last.wrapping_add(1);
        let id = self.last;
        self.sockets.insert(id, HttpSocket { source, waits_since: Some(now) });
        self.by_source.entry(source).or_default().insert(id);
        Ok(Accepted { id, dropped })
    }

    fn overdue(&self, now: Instant, ids: impl Iterator<Item = u64>) -> Option<u64> {
        ids.take(CANDIDATES).find(|id| {
            let since = self.sockets.get(id).and_then(|socket| socket.waits_since);
            since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE)
        })
    }

    /// The server waits for more from the client.
    pub fn waits(&mut self, now: Instant, id: u64) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.waits_since.get_or_insert(now);
        }
    }

    /// Bytes came.
    pub fn received(&mut self, id: u64) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.waits_since = None;
        }
    }

    /// The socket has become a WebSocket, or is closed.
    pub fn remove(&mut self, id: u64) {
        let Some(socket) = self.sockets.remove(&id) else {
            return;
        };
        if let Some(own) = self.by_source.get_mut(&socket.source) {
            own.remove(&id);
            if own.is_empty() {
                self.by_source.remove(&socket.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HttpSocketLimits = HttpSocketLimits { total: 4, per_source: 2 };

    fn source(last: u8) -> Source {
        IpAddr::from([192, 0, 2, last]).into()
    }

    fn accept(sockets: &mut HttpSockets, now: Instant, last: u8) -> Option<u64> {
        sockets.accept(now, source(last)).unwrap().dropped
    }

    #[test]
    fn an_ipv6_network_of_one_host_is_one_source() {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn sixty_connects_pass_and_one_more_does_not() {
        let start = Instant::now();
        let mut rates = ConnectRates::new(Some(RateLimit::per(Duration::from_secs(60), 60, 60)));
        assert!((0..60).all(|_| rates.connect(start, source(1))));
        assert!(!rates.connect(start, source(1)));
        assert!(rates.connect(start, source(2)), "another address is not touched");
        assert!(rates.connect(start + Duration::from_secs(1), source(1)));
        assert!(!rates.connect(start + Duration::from_secs(1), source(1)));
    }

    #[test]
    fn sources_are_forgotten_and_bounded() {
        let start = Instant::now();
        let mut rates = ConnectRates::new(Some(RateLimit::per(Duration::from_secs(60), 60, 60)));
        for n in 0..ConnectRates::SOURCES as u32 + 10 {
            rates.connect(start, IpAddr::from(n.to_be_bytes()).into());
        }
        assert_eq!(rates.sources.len(), ConnectRates::SOURCES);
        assert_eq!(rates.ages.len(), ConnectRates::SOURCES);
        rates.connect(start + Duration::from_secs(60), source(1));
        assert_eq!((rates.sources.len(), rates.ages.len()), (1, 1));
    }

    #[test]
    fn a_source_with_too_many_half_open_requests_loses_its_oldest() {
        let start = Instant::now();
        let mut sockets = HttpSockets::new(LIMITS);
        assert_eq!(accept(&mut sockets, start, 1), None);
        assert_eq!(accept(&mut sockets, start, 1), None);
        assert_eq!(accept(&mut sockets, start, 2), None);
        let later = start + PATIENCE;
        assert_eq!(accept(&mut sockets, later, 1), Some(1));
        assert_eq!(accept(&mut sockets, later, 1), Some(2));
        assert_eq!(sockets.len(), 3);
    }

    #[test]
    fn a_burst_of_one_source_is_served_while_there_is_room_for_all() {
        let start = Instant::now();
        let mut sockets = HttpSockets::new(LIMITS);
        for _ in 0..4 {
            assert_eq!(accept(&mut sockets, start, 1), None);
        }
        assert_eq!(sockets.accept(start, source(2)), Err(Full));
        assert_eq!(accept(&mut sockets, start + PATIENCE, 2), Some(1));
    }

    #[test]
    fn a_socket_that_the_server_works_on_is_never_dropped() {
        let start = Instant::now();
        let mut sockets = HttpSockets::new(HttpSocketLimits { total: 1, per_source: 1 });
        let id = sockets.accept(start, source(1)).unwrap().id;
        sockets.received(id);
        let later = start + PATIENCE;
        assert_eq!(sockets.accept(later, source(2)), Err(Full));
        sockets.waits(later, id);
        assert_eq!(sockets.accept(later, source(2)), Err(Full));
        sockets.waits(later + PATIENCE, id);
        assert_eq!(accept(&mut sockets, later + PATIENCE, 2), Some(id));
    }

    #[test]
    fn what_has_become_a_websocket_makes_room() {
        let now = Instant::now();
        let mut sockets = HttpSockets::new(HttpSocketLimits { total: 1, per_source: 1 });
        let id = sockets.accept(now, source(1)).unwrap().id;
        sockets.remove(id);
        assert!(sockets.is_empty() && sockets.by_source.is_empty());
        assert_eq!(accept(&mut sockets, now, 1), None);
    }
}
