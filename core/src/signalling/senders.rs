//! Those who wrote lately.

use std::collections::BTreeMap;

use crate::ids::{InvalidId, PeerId};
use crate::protocol::{Metadata, RawJson, limits};

/// How many are kept. At the bound all are forgotten, and those who go on writing are kept anew.
const MAX_SENDERS: usize = 256;

/// Ids that have been checked and the `peerMetadata` that came with them, one copy of each, so that a frame needs no new
/// one. Metadata longer than a token may hold is not kept.
#[derive(Debug, Default)]
pub(super) struct Senders(BTreeMap<PeerId, Option<Metadata>>);

impl Senders {
    /// The sender of a frame, and its metadata as the frame has it.
    pub(super) fn sender(
        &mut self,
        name: &str,
        metadata: Option<RawJson<'_>>,
    ) -> Result<(PeerId, Option<Metadata>), InvalidId> {
        let known = self.0.get_key_value(name);
        match (known, metadata) {
            (Some((id, _)), None) => return Ok((id.clone(), None)),
            (Some((id, Some(kept))), Some(raw)) if kept.as_raw() == raw => return Ok((id.clone(), Some(kept.clone()))),
            _ => {}
        }
        let id = match known {
            Some((id, _)) => id.clone(),
            None => PeerId::new(name)?,
        };
        if known.is_none() && self.0.len() >= MAX_SENDERS {
            self.0.clear();
        }
        let metadata = metadata.and_then(|raw| Metadata::try_from(raw).ok());
        let kept = metadata.clone().filter(|metadata| metadata.size() <= limits::TOKEN_PEER_METADATA_BYTES);
        self.0.insert(id.clone(), kept);
        Ok((id, metadata))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        std::ptr::eq(one, other)
    }

    #[test]
    fn a_sender_is_kept_once_and_a_bad_id_not_at_all() {
        let mut senders = Senders::default();
        let role = Metadata::from_json(r#"{"role":"host"}"#).unwrap();
        let (first, metadata) = senders.sender("ada", Some(role.as_raw())).unwrap();
        assert_eq!(metadata.as_ref(), Some(&role));
        let (again, kept) = senders.sender("ada", Some(role.as_raw())).unwrap();
        assert!(same(first.as_str(), again.as_str()) && same(metadata.unwrap().get(), kept.unwrap().get()));
        assert_eq!(senders.sender("ada", None).unwrap().1, None, "what the frame has counts");
        let other = Metadata::from_json("{}").unwrap();
        assert_eq!(senders.sender("ada", Some(other.as_raw())).unwrap().1, Some(other));
        assert!(senders.sender("", None).is_err());
        assert_eq!(senders.0.len(), 1);
    }

    #[test]
    fn number_and_size_are_bounded() {
        let mut senders = Senders::default();
        let long =
            Metadata::from_json(&format!(r#"{{"a":"{}"}}"#, "x".repeat(limits::TOKEN_PEER_METADATA_BYTES))).unwrap();
        for number in 0..10 * MAX_SENDERS {
            let name = format!("peer-{number}");
            let (id, metadata) = senders.sender(&name, Some(long.as_raw())).unwrap();
            assert_eq!((id.as_str(), metadata.as_ref()), (name.as_str(), Some(&long)));
            assert!(senders.0.len() <= MAX_SENDERS);
        }
        assert!(senders.0.values().all(Option::is_none));
    }
}
