//! The kinds of candidates that the two sides of a connection have.

use std::fmt;

use str0m::Candidate;

/// A kind of ICE candidate (RFC 8445, section 5.1.1). Displays as in descriptions: `host`, `srflx`, `prflx`, `relay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CandidateKind {
    /// An address of the machine.
    Host,
    /// An address that a STUN server saw.
    ServerReflexive,
    /// An address that the other side saw.
    PeerReflexive,
    /// An address of a TURN server.
    Relayed,
}

impl CandidateKind {
    const ALL: [Self; 4] = [Self::Host, Self::ServerReflexive, Self::PeerReflexive, Self::Relayed];

    fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        }
    }

    /// The kind of a candidate in its text (RFC 8839, section 5.1). `None` if it is of no known kind.
    fn read(candidate: &str) -> Option<Self> {
        let mut words = candidate.split(' ').skip_while(|word| *word != "typ");
        let name = words.nth(1)?;
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for CandidateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The kinds of candidates of one side. Displays as a list, or as `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CandidateKinds(u8);

impl CandidateKinds {
    /// Whether there are candidates of a kind.
    pub fn contains(self, kind: CandidateKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// Whether there are no candidates.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds, from host to relayed.
    pub fn iter(self) -> impl Iterator<Item = CandidateKind> {
        CandidateKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    /// The kinds of candidates in their texts.
    pub(super) fn read<'a>(candidates: impl IntoIterator<Item = &'a str>) -> Self {
        candidates.into_iter().filter_map(CandidateKind::read).collect()
    }
}

impl FromIterator<CandidateKind> for CandidateKinds {
    fn from_iter<T: IntoIterator<Item = CandidateKind>>(kinds: T) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | (1 << kind as u8)))
    }
}

impl fmt::Display for CandidateKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (place, kind) in self.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            fmt::Display::fmt(&kind, f)?;
        }
        Ok(())
    }
}

/// How many candidates of each kind this side has.
#[derive(Debug, Default)]
pub(super) struct LocalKinds([u32; 4]);

impl LocalKinds {
    pub(super) fn added(&mut self, candidate: &Candidate) {
        if let Some(count) = self.count(candidate) {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn removed(&mut self, candidate: &Candidate) {
        if let Some(count) = self.count(candidate) {
            *count = count.saturating_sub(1);
        }
    }

    fn count(&mut self, candidate: &Candidate) -> Option<&mut u32> {
        let kind = match candidate.kind() {
            str0m::CandidateKind::Host => CandidateKind::Host,
            str0m::CandidateKind::ServerReflexive => CandidateKind::ServerReflexive,
            str0m::CandidateKind::PeerReflexive => CandidateKind::PeerReflexive,
            str0m::CandidateKind::Relayed => CandidateKind::Relayed,
        };
        self.0.get_mut(kind as usize)
    }

    pub(super) fn kinds(&self) -> CandidateKinds {
        CandidateKind::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0).map(|(kind, _)| kind).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_are_listed_once_each_in_order() {
        let kinds = CandidateKinds::read([
            "candidate:1 1 udp 1 10.0.0.1 9 typ relay raddr 0.0.0.0 rport 0",
            "candidate:1 1 udp 1 3f1a-77.local 9 typ host generation 0",
            "candidate:2 1 udp 1 10.0.0.2 9 typ host",
            "candidate:2 1 udp 1 10.0.0.2 9 typ",
            "garbage",
        ]);
        assert_eq!(kinds.to_string(), "host, relay");
        assert!(kinds.contains(CandidateKind::Relayed) && !kinds.contains(CandidateKind::ServerReflexive));
        assert_eq!(CandidateKinds::default().to_string(), "none");
    }
}
