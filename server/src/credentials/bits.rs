//! Sets of places in a channel name, as bits: how patterns are matched in time that does not depend on what matches.

use std::cell::OnceCell;

use metered_realtime_core::protocol::limits;

/// Words that hold a bit for each place before, between and after the bytes of a channel name.
const WORDS: usize = (limits::CHANNEL_BYTES + 1).div_ceil(64);

/// A set of places in a name. Place `i` lies before byte `i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Places([u64; WORDS]);

impl Places {
    /// One place, of those there are.
    pub(super) fn at(place: usize) -> Self {
        let mut places = Self::default();
        if let Some(word) = places.0.get_mut(place / 64) {
            *word = 1 << (place % 64);
        }
        places
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    pub(super) fn contains(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    fn and(&self, other: &Self) -> Self {
        let mut out = *self;
        out.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
        out
    }

    /// Each place moved on by one.
    fn next(&self) -> Self {
        let mut carry = 0;
        Self(self.0.map(|word| word << 1 | std::mem::replace(&mut carry, word >> 63)))
    }

    /// The first place and all that follow.
    pub(super) fn and_all_after(&self) -> Self {
        let mut seen = false;
        Self(self.0.map(|word| {
            let filled = if seen { u64::MAX } else { word | word.wrapping_neg() };
            seen |= word != 0;
            filled
        }))
    }

    /// The places that are reached by going on through any number of bytes of `class`, which is a set of the places before
    /// them: the `MatchStar` of the Parabix papers, in which the carry of an addition runs through them.
    fn through(&self, class: &Self) -> Self {
        let starts = self.and(class);
        let mut carry = false;
        let mut out = *self;
        for ((out, start), class) in out.0.iter_mut().zip(starts.0).zip(class.0) {
            let (sum, first) = start.overflowing_add(class);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            carry = first || second;
            *out |= sum ^ class;
        }
        out
    }
}

/// A channel name, made ready for any number of patterns.
#[derive(Debug)]
pub(super) struct Name<'a> {
    pub(super) text: &'a str,
    bytes: OnceCell<Bytes>,
}

/// Where each byte is.
#[derive(Debug)]
struct Bytes {
    /// For each byte, one more than its place in `places`; 0 for those that are not in the name.
    index: [u8; 256],
    places: Vec<Places>,
    not_slash: Places,
}

impl<'a> Name<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, bytes: OnceCell::new() }
    }

    fn bytes(&self) -> &Bytes {
        self.bytes.get_or_init(|| {
            let mut bytes = Bytes { index: [0; 256], places: Vec::new(), not_slash: Places::default() };
            for (place, byte) in self.text.bytes().enumerate() {
                bytes.insert(place, byte);
            }
            bytes
        })
    }

    /// The places after `byte`, for those in `from` that stand before one.
    pub(super) fn step(&self, from: &Places, byte: u8) -> Places {
        self.bytes().places_of(byte).map(|places| from.and(places).next()).unwrap_or_default()
    }

    /// The places after any run without a slash, the empty one included.
    pub(super) fn run(&self, from: &Places) -> Places {
        from.through(&self.bytes().not_slash)
    }
}

impl Bytes {
    fn insert(&mut self, place: usize, byte: u8) {
        let at = Places::at(place);
        let union = |places: &mut Places| places.0.iter_mut().zip(at.0).for_each(|(word, new)| *word |= new);
        if byte != b'/' {
            union(&mut self.not_slash);
        }
        let Some(index) = self.index.get_mut(usize::from(byte)) else {
            return;
        };
        if *index == 0 {
            self.places.push(Places::default());
            // UTF-8 has fewer than 255 different bytes.
            *index = u8::try_from(self.places.len()).unwrap_or(u8::MAX);
        }
        if let Some(places) = self.places.get_mut(usize::from(*index).wrapping_sub(1)) {
            union(places);
        }
    }

    fn places_of(&self, byte: u8) -> Option<&Places> {
        let index = usize::from(*self.index.get(usize::from(byte))?);
        self.places.get(index.checked_sub(1)?)
    }
}
