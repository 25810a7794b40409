//! Descriptions that come again: the other side repeats an offer whose answer it did not get, and answers each copy of ours.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::offer::LocalOffer;
use crate::rtc::sdp::Section;

/// The text of a description, to compare with later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rtc) struct Fingerprint(u64);

impl Fingerprint {
    pub(super) fn of(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The last answer that was accepted, which may come again when another offer is out.
#[derive(Debug)]
struct Accepted {
    answer: Fingerprint,
    sections: Vec<Section>,
    /// How often at most.
    again: u32,
    /// Its offer was sent more than once, so that it is likely to.
    repeated: bool,
}

/// The descriptions that may come again.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    accepted: Option<Accepted>,
    /// The offer that the last answer of ours was for, and that answer, until something else is agreed on.
    answered: Option<(Fingerprint, String)>,
}

impl Repeats {
    /// The answer of ours to an offer that came again.
    pub(super) fn answer_to(&self, offer: Fingerprint) -> Option<&str> {
        self.answered.as_ref().filter(|(answered, _)| *answered == offer).map(|(_, answer)| answer.as_str())
    }

    /// Something is agreed on: what was answered before does not count any more.
    pub(super) fn agreed(&mut self) {
        self.answered = None;
    }

    /// We answered an offer.
    pub(super) fn answered(&mut self, offer: Fingerprint, answer: String) {
        self.answered = Some((offer, answer));
    }

    /// We accepted an answer to an offer that was sent so often.
    pub(super) fn accepted(&mut self, answer: Fingerprint, sections: Vec<Section>, copies: u32) {
        let repeated = copies > 1;
        let again = copies.saturating_sub(1).max(1);
        self.accepted = Some(Accepted { answer, sections, again, repeated });
    }

    /// We accepted an offer. An answer to an offer of ours may then be the same as the last.
    pub(super) fn accepted_offer(&mut self) {
        self.accepted = self.accepted.take().filter(|accepted| accepted.repeated);
    }

    /// Whether an answer is the last one once more, and not for the offer in flight. Answers to two offers may be the
    /// same text, `o=` line included, as aiortc's of one second are: it counts if it takes all that this offer sends.
    pub(super) fn is_repeated(&mut self, answer: Fingerprint, offer: Option<&LocalOffer>) -> bool {
        let Some(accepted) = self.accepted.as_mut().filter(|accepted| accepted.answer == answer) else { return false };
        if !accepted.repeated && offer.is_some_and(|offer| takes_all(&accepted.sections, offer)) {
            return false;
        }
        accepted.again = accepted.again.saturating_sub(1);
        if accepted.again == 0 {
            self.accepted = None;
        }
        true
    }
}

/// Whether an answer takes all that an offer sends, and no restart is needed.
fn takes_all(answered: &[Section], offer: &LocalOffer) -> bool {
    let offered = &offer.description().sections;
    let flows = offered.iter().zip(answered).all(|(offered, answered)| {
        !answered.rejected
            && offered.mid == answered.mid
            && offered.flow.sends == answered.flow.receives
            && offered.kind == answered.kind
    });
    flows && offered.len() == answered.len() && !offer.is_restart()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_answered_alike_until_something_else_is_agreed_on() {
        let (offer, other) = (Fingerprint::of("offer"), Fingerprint::of("other"));
        let mut repeats = Repeats::default();
        repeats.answered(offer, "answer".to_owned());
        assert_eq!((repeats.answer_to(offer), repeats.answer_to(other)), (Some("answer"), None));
        repeats.agreed();
        assert_eq!(repeats.answer_to(offer), None);
    }

    #[test]
    fn an_answer_is_a_repetition_as_often_as_its_offer_was_sent_again() {
        let answer = Fingerprint::of("answer");
        for (copies, again) in [(1, 1), (2, 1), (4, 3)] {
            let mut repeats = Repeats::default();
            repeats.accepted(answer, Vec::new(), copies);
            assert!(!repeats.is_repeated(Fingerprint::of("other"), None));
            for _ in 0..again {
                assert!(repeats.is_repeated(answer, None));
            }
            assert!(!repeats.is_repeated(answer, None));
        }
    }

    #[test]
    fn after_an_accepted_offer_only_likely_repetitions_are_remembered() {
        let answer = Fingerprint::of("answer");
        for (copies, remembered) in [(1, false), (2, true)] {
            let mut repeats = Repeats::default();
            repeats.accepted(answer, Vec::new(), copies);
            repeats.accepted_offer();
            assert_eq!(repeats.is_repeated(answer, None), remembered);
        }
    }
}
