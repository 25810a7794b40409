//! The other side's candidates: which belong to what was agreed on, and how many are too many (RFC 8838, RFC 8839).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use str0m::Candidate;
use str0m::net::Protocol;

use super::counters::Counters;
use super::kinds::CandidateKinds;
use super::sdp::{Description, MAX_CANDIDATES};
use crate::address::{is_link_local_v6, is_of_one_host};
use crate::counters::increment;
use crate::net::LocalCandidate;
use crate::protocol::{RemoteCandidate, limits};

/// Candidates taken in one ICE generation over all its negotiations, since each is remembered until the next. What is
/// over is dropped and counted.
const MAX_PER_GENERATION: usize = 5 * MAX_CANDIDATES;

/// Names of hosts in one ICE generation that are resolved. Candidates with further ones are left out and counted.
const MAX_NAMES: usize = 8;

/// Addresses of one name that are tried.
const MAX_ADDRESSES_PER_NAME: usize = 4;

/// The candidates of the remote peer, and those that came before the description they belong to.
#[derive(Debug, Default)]
pub(super) struct RemoteCandidates {
    /// The ICE generation of the description in force.
    ufrag: Option<String>,
    /// The generation of an offer that was ignored, while it is ignored.
    ignored: Option<String>,
    /// Taken in this generation. At most [`MAX_PER_GENERATION`].
    seen: BTreeSet<String>,
    /// Came too early. At most [`MAX_CANDIDATES`].
    waiting: Vec<RemoteCandidate>,
    /// Candidates at hosts whose names are being resolved, by name. At most [`MAX_NAMES`], and those as many as are taken.
    named: BTreeMap<String, Vec<String>>,
    /// Names of this generation so far.
    names: usize,
    /// Taken since the last description.
    taken: usize,
    warned: bool,
}

/// What became of a candidate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is to be tried.
    Try(Candidate),
    /// It is to be tried once the addresses of this host are known.
    Resolve(String),
    /// It waits, or was of no use.
    Nothing,
    /// It is the first over the limit in this negotiation.
    FirstTooMany,
}

impl RemoteCandidates {
    /// A candidate came. `offering` says that an offer of ours is out, whose answer may start a new generation.
    pub(super) fn candidate(&mut self, candidate: RemoteCandidate, offering: bool, counters: &mut Counters) -> Verdict {
        if candidate.candidate.chars().count() > limits::CANDIDATE_CHARS || self.taken >= MAX_CANDIDATES {
            return self.too_many(counters);
        }
        let belongs = match (generation(&candidate), &self.ufrag) {
            (Some(theirs), Some(ours)) if theirs == ours => true,
            (Some(theirs), _) if self.ignored.as_deref() == Some(theirs) => {
                increment(&mut counters.stale_candidates);
                return Verdict::Nothing;
            }
            (Some(_), Some(_)) if !offering => {
                increment(&mut counters.stale_candidates);
                return Verdict::Nothing;
            }
            (None, _) if self.ignored.is_some() => {
                increment(&mut counters.stale_candidates);
                return Verdict::Nothing;
            }
            (None, Some(_)) => true,
            (Some(_) | None, None) | (Some(_), Some(_)) => false,
        };
        self.taken += 1;
        if belongs {
            self.apply(&candidate.candidate, counters)
        } else {
            self.waiting.push(candidate);
            Verdict::Nothing
        }
    }

    /// The kinds of candidates of this generation.
    pub(super) fn kinds(&self) -> CandidateKinds {
        CandidateKinds::read(self.seen.iter().map(String::as_str))
    }

    /// An offer was ignored, and so are the candidates that belong to it, unless it is of the generation in force: those
    /// belong to what was agreed on before.
    pub(super) fn ignore(&mut self, offer: &Description) {
        if self.ufrag.as_deref() == Some(offer.ufrag.as_str()) {
            return;
        }
        self.ignored = Some(offer.ufrag.clone());
        let ignored = self.ignored.as_deref();
        self.waiting.retain(|candidate| generation(candidate) != ignored);
    }

    /// A description came into force. Gives its candidates and those that waited for it.
    pub(super) fn description(&mut self, description: &Description, counters: &mut Counters) -> Vec<Verdict> {
        if self.ufrag.as_deref() != Some(description.ufrag.as_str()) {
            self.ufrag = Some(description.ufrag.clone());
            self.seen.clear();
            self.named.clear();
            self.names = 0;
        }
        self.ignored = None;
        self.taken = 0;
        self.warned = false;
        let mut verdicts = Vec::new();
        for candidate in &description.candidates {
            self.taken += 1;
            let verdict = if candidate.chars().count() > limits::CANDIDATE_CHARS {
                self.too_many(counters)
            } else {
                self.apply(candidate, counters)
            };
            verdicts.push(verdict);
        }
        for _ in 0..description.more_candidates {
            verdicts.push(self.too_many(counters));
        }
        for candidate in std::mem::take(&mut self.waiting) {
            verdicts.push(self.candidate(candidate, false, counters));
        }
        verdicts.retain(|verdict| *verdict != Verdict::Nothing);
        verdicts
    }

    fn apply(&mut self, text: &str, counters: &mut Counters) -> Verdict {
        let text = text.strip_prefix("a=").unwrap_or(text);
        if self.seen.contains(text) {
            return Verdict::Nothing;
        }
        if self.seen.len() >= MAX_PER_GENERATION {
            return self.too_many(counters);
        }
        if let Some(host) = host_name(text) {
            self.seen.insert(text.to_owned());
            return self.name(host, text, counters);
        }
        let Some(candidate) = read(text) else {
            increment(&mut counters.unsupported_candidates);
            return Verdict::Nothing;
        };
        self.seen.insert(text.to_owned());
        Verdict::Try(candidate)
    }

    /// A candidate at a host whose address is not known yet.
    fn name(&mut self, host: &str, text: &str, counters: &mut Counters) -> Verdict {
        let host = host.to_ascii_lowercase();
        if let Some(waiting) = self.named.get_mut(&host) {
            waiting.push(text.to_owned());
            return Verdict::Nothing;
        }
        if self.names >= MAX_NAMES {
            increment(&mut counters.unsupported_candidates);
            return Verdict::Nothing;
        }
        self.names += 1;
        self.named.insert(host.clone(), vec![text.to_owned()]);
        Verdict::Resolve(host)
    }

    /// The addresses of a host are known, or, if there are none, will not be. Gives what to try.
    pub(super) fn resolved(&mut self, host: &str, addresses: &[IpAddr], counters: &mut Counters) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for text in self.named.remove(host).unwrap_or_default() {
            let before = verdicts.len();
            for address in addresses.iter().take(MAX_ADDRESSES_PER_NAME) {
                verdicts.extend(read(&at(&text, *address)).map(Verdict::Try));
            }
            if verdicts.len() == before {
                increment(&mut counters.unsupported_candidates);
            }
        }
        verdicts
    }

    fn too_many(&mut self, counters: &mut Counters) -> Verdict {
        increment(&mut counters.dropped_candidates);
        if std::mem::replace(&mut self.warned, true) { Verdict::Nothing } else { Verdict::FirstTooMany }
    }
}

impl LocalCandidate {
    /// `None` if it is an address that cannot be reached from elsewhere.
    pub(super) fn to_str0m(self) -> Option<Candidate> {
        let candidate = match self {
            Self::Host(address) => Candidate::host(address, Protocol::Udp),
            Self::ServerReflexive { address, base } => Candidate::server_reflexive(address, base, Protocol::Udp),
            // Only a candidate that was read has a priority of its own: the formula of RFC 8445, section 5.1.2.1, with the
            // type preference 0 of relayed candidates.
            Self::Relayed { address, preference } => {
                let (ip, port, priority) = (address.ip(), address.port(), (u32::from(preference) << 8) + 255);
                let related = if ip.is_ipv4() { "0.0.0.0" } else { "::" };
                Candidate::from_sdp_string(&format!(
                    "candidate:{preference} 1 udp {priority} {ip} {port} typ relay raddr {related} rport 0"
                ))
            }
        };
        candidate.ok().filter(is_usable)
    }
}

/// The generation a candidate says it belongs to.
fn generation(candidate: &RemoteCandidate) -> Option<&str> {
    candidate.username_fragment.as_deref().filter(|ufrag| !ufrag.is_empty()).or_else(|| {
        let mut words = candidate.candidate.split(' ');
        words.find(|word| *word == "ufrag").and_then(|_| words.next())
    })
}

/// Where in a candidate its address stands (RFC 8839, section 5.1).
const ADDRESS_WORD: usize = 4;

/// The name of a host that a browser gives instead of its address: one label and `.local`, to be asked for by multicast
/// DNS on the same network. Nobody may have us look up any other name.
fn host_name(text: &str) -> Option<&str> {
    let words: Vec<&str> = text.split(' ').collect();
    let over_udp = words.get(2).is_some_and(|protocol| protocol.eq_ignore_ascii_case("udp"));
    let host = words.get(ADDRESS_WORD).filter(|_| over_udp)?;
    let (label, domain) = host.split_once('.')?;
    let is_label =
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_label && domain.eq_ignore_ascii_case("local")).then_some(host)
}

/// The same candidate at an address.
fn at(text: &str, address: IpAddr) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    let address = address.to_string();
    if let Some(word) = words.get_mut(ADDRESS_WORD) {
        *word = &address;
    }
    words.join(" ")
}

/// A candidate that can be tried: over UDP, at an address that can be one host's. A link-local one of IPv6 means nothing
/// without an interface of ours, which a candidate cannot name (RFC 4007, section 6).
fn read(text: &str) -> Option<Candidate> {
    let candidate = Candidate::from_sdp_string(text).ok().filter(is_usable)?;
    (!is_link_local_v6(candidate.addr().ip())).then_some(candidate)
}

fn is_usable(candidate: &Candidate) -> bool {
    candidate.proto() == Protocol::Udp && is_of_one_host(candidate.addr())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(n: u16, ufrag: Option<&str>) -> RemoteCandidate {
        RemoteCandidate {
            candidate: format!("candidate:1 1 udp 2113929471 10.0.0.1 {} typ host", n + 1000),
            sdp_mid: Some("0".into()),
            sdp_m_line_index: Some(0),
            username_fragment: ufrag.map(str::to_owned),
        }
    }

    fn description(ufrag: &str) -> Description {
        let text = format!(
            "v=0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:p\r\na=fingerprint:sha-256 AB\r\nm=audio 9 x 1\r\na=mid:0\r\n"
        );
        Description::read(&text).unwrap()
    }

    #[test]
    fn early_candidates_wait_for_their_description() {
        let mut remote = RemoteCandidates::default();
        let mut counters = Counters::default();
        for (n, ufrag) in [(1, Some("a")), (2, None), (3, Some("b"))] {
            assert_eq!(remote.candidate(candidate(n, ufrag), false, &mut counters), Verdict::Nothing);
        }
        assert_eq!(remote.description(&description("a"), &mut counters).len(), 2);
        assert_eq!(counters.stale_candidates, 1);
        assert!(matches!(remote.candidate(candidate(4, Some("a")), false, &mut counters), Verdict::Try(_)));
        assert_eq!(remote.candidate(candidate(4, Some("a")), false, &mut counters), Verdict::Nothing, "known already");
        assert_eq!(remote.candidate(candidate(5, Some("b")), false, &mut counters), Verdict::Nothing);
        assert_eq!(counters.stale_candidates, 2);
    }

    #[test]
    fn candidates_of_an_ignored_offer_are_ignored() {
        let mut remote = RemoteCandidates::default();
        let mut counters = Counters::default();
        remote.candidate(candidate(1, Some("a")), true, &mut counters);
        remote.ignore(&description("a"));
        assert_eq!(remote.candidate(candidate(2, Some("a")), true, &mut counters), Verdict::Nothing);
        assert_eq!(remote.candidate(candidate(3, None), true, &mut counters), Verdict::Nothing);
        assert_eq!(counters.stale_candidates, 2);
        assert!(remote.description(&description("b"), &mut counters).is_empty());
        assert!(matches!(remote.candidate(candidate(3, None), false, &mut counters), Verdict::Try(_)));
    }

    #[test]
    fn an_ignored_offer_of_the_generation_in_force_takes_no_candidates_with_it() {
        let mut remote = RemoteCandidates::default();
        let mut counters = Counters::default();
        remote.description(&description("a"), &mut counters);
        remote.ignore(&description("a"));
        assert!(matches!(remote.candidate(candidate(1, Some("a")), true, &mut counters), Verdict::Try(_)));
        assert!(matches!(remote.candidate(candidate(2, None), true, &mut counters), Verdict::Try(_)));
        assert_eq!(counters, Counters::default());
    }

    #[test]
    fn two_hundred_a_negotiation_and_one_warning() {
        let mut remote = RemoteCandidates::default();
        let mut counters = Counters::default();
        remote.description(&description("a"), &mut counters);
        let mut flood = |remote: &mut RemoteCandidates, from: u16| {
            let verdicts: Vec<_> =
                (from..from + 210).map(|n| remote.candidate(candidate(n, None), false, &mut counters)).collect();
            let tried = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Try(_))).count();
            (tried, verdicts.iter().filter(|verdict| **verdict == Verdict::FirstTooMany).count())
        };
        assert_eq!(flood(&mut remote, 0), (200, 1));
        remote.description(&description("a"), &mut Counters::default());
        assert_eq!(flood(&mut remote, 300), (200, 1));
        for round in 2..6 {
            remote.description(&description("a"), &mut Counters::default());
            flood(&mut remote, round * 300);
        }
        assert_eq!(remote.seen.len(), MAX_PER_GENERATION);
    }

    #[test]
    fn a_candidate_has_a_thousand_characters_at_most() {
        // Of characters, not bytes; what stands behind is an extension (RFC 8839, section 5.1).
        let long = |port: u16, chars: usize| {
            let start = format!("candidate:1 1 udp 1 10.0.0.1 {port} typ host note ");
            let text = format!("{start}{}", "é".repeat(chars - start.chars().count()));
            RemoteCandidate { candidate: text, ..candidate(0, None) }
        };
        let mut remote = RemoteCandidates::default();
        let mut counters = Counters::default();
        remote.description(&description("a"), &mut counters);
        let longest = long(1000, limits::CANDIDATE_CHARS);
        assert!(matches!(remote.candidate(longest, false, &mut counters), Verdict::Try(_)));
        let too_long = long(2000, limits::CANDIDATE_CHARS + 1);
        assert_eq!(remote.candidate(too_long.clone(), false, &mut counters), Verdict::FirstTooMany);
        let mut described = description("a");
        described.candidates = vec![too_long.candidate];
        assert_eq!(remote.description(&described, &mut counters), [Verdict::FirstTooMany]);
        assert_eq!(counters.dropped_candidates, 2);
    }

    #[test]
    fn foreign_kinds_are_left_out_quietly() {
        let mut remote = RemoteCandidates::default();
        let mut counters = Counters::default();
        remote.description(&description("a"), &mut counters);
        for text in [
            "candidate:1 1 udp 1 3f1a-77.example.local 9 typ host",
            "candidate:1 1 udp 1 example.org 9 typ host",
            "candidate:1 1 tcp 1 3f1a-77.local 9 typ host tcptype active",
            "candidate:1 1 tcp 1 10.0.0.1 9 typ host tcptype active",
            "candidate:1 1 udp 1 0.0.0.0 9 typ host",
            "candidate:1 1 udp 1 10.0.0.1 0 typ host",
            "candidate:1 1 udp 1 239.0.0.1 9 typ host",
            "candidate:1 1 udp 1 fe80::1 9 typ host",
            "garbage",
        ] {
            let candidate = RemoteCandidate { candidate: text.into(), ..candidate(0, None) };
            assert_eq!(remote.candidate(candidate, false, &mut counters), Verdict::Nothing);
        }
        assert_eq!(counters.unsupported_candidates, 9);
        assert_eq!(counters.dropped_candidates, 0);
    }

    fn named(name: &str, port: u16) -> RemoteCandidate {
        let text = format!("candidate:1 1 UDP 2113937151 {name} {port} typ host generation 0");
        RemoteCandidate { candidate: text, ..candidate(0, None) }
    }

    #[test]
    fn a_name_of_the_local_network_is_resolved_once_for_all_its_candidates() {
        let mut remote = RemoteCandidates::default();
        let mut counters = Counters::default();
        remote.description(&description("a"), &mut counters);
        let asked = remote.candidate(named("3F1A-77.local", 9), false, &mut counters);
        assert_eq!(asked, Verdict::Resolve("3f1a-77.local".into()));
        assert_eq!(remote.candidate(named("3f1a-77.local", 10), false, &mut counters), Verdict::Nothing);
        let addresses = ["192.168.1.7", "fe80::1", "fd00::1"].map(|address| address.parse().unwrap());
        let tried: Vec<_> = remote.resolved("3f1a-77.local", &addresses, &mut counters);
        let tried = tried.into_iter().map(|verdict| match verdict {
            Verdict::Try(candidate) => candidate.addr().to_string(),
            other => panic!("{other:?}"),
        });
        let expected = ["192.168.1.7:9", "[fd00::1]:9", "192.168.1.7:10", "[fd00::1]:10"];
        assert_eq!(tried.collect::<Vec<_>>(), expected);
        assert_eq!(remote.resolved("3f1a-77.local", &addresses, &mut counters), [], "an answer counts once");
        assert_eq!(counters, Counters::default());
    }

    #[test]
    fn names_that_are_not_resolved_are_left_out_and_their_number_is_limited() {
        let mut remote = RemoteCandidates::default();
        let mut counters = Counters::default();
        remote.description(&description("a"), &mut counters);
        let verdicts: Vec<_> =
            (0..20).map(|n| remote.candidate(named(&format!("{n}.local"), 9), false, &mut counters)).collect();
        let asked = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Resolve(_))).count();
        assert_eq!((asked, counters.unsupported_candidates), (MAX_NAMES, 12));
        assert_eq!(remote.resolved("0.local", &[], &mut counters), []);
        assert_eq!(counters.unsupported_candidates, 13);
        // What belongs to a former generation is not tried any more.
        remote.description(&description("b"), &mut counters);
        assert_eq!(remote.resolved("1.local", &["10.0.0.1".parse().unwrap()], &mut counters), []);
    }
}
