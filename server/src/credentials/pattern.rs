//! Channel patterns: which channels a credential covers.

use metered_realtime_core::protocol::limits;

use super::bits::{Name, Places};

/// A channel name or a pattern of names (Metered Realtime Messaging wire protocol): `*` matches any run without `/`, `**`
/// any run with `/`, the empty run included; `\*` and `\\` are literal. A backslash before anything else is itself.
///
/// ```
/// use metered_realtime_server::ChannelPattern;
/// let pattern = ChannelPattern::new("rooms/*")?;
/// assert!(pattern.matches("rooms/42"));
/// assert!(!pattern.matches("rooms/42/chat"));
/// # Ok::<(), metered_realtime_server::PatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelPattern(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// No wildcard in it: most tokens name their channels.
    Exact(Box<str>),
    Wild {
        /// What stands before the first wildcard.
        prefix: Box<str>,
        /// The rest, from the first wildcard on.
        steps: Box<[Step]>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Literal(u8),
    /// `*`
    Segment,
    /// `**`
    Anything,
}

/// Why a text is not a channel pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a channel pattern has 1 to {MAX_BYTES} bytes, not {length}")]
pub struct PatternError {
    /// The text's length in bytes.
    pub length: usize,
}

/// Every byte of the longest channel name may be escaped.
const MAX_BYTES: usize = 2 * limits::CHANNEL_BYTES;

impl ChannelPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] if it is empty or longer than 512 bytes.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() || text.len() > MAX_BYTES {
            return Err(PatternError { length: text.len() });
        }
        let mut prefix = String::new();
        let mut steps = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let literal = match c {
                '\\' => chars.next_if(|next| matches!(next, '*' | '\\')).unwrap_or('\\'),
                '*' => {
                    let two = chars.next_if_eq(&'*').is_some();
                    steps.push(if two { Step::Anything } else { Step::Segment });
                    continue;
                }
                literal => literal,
            };
            if steps.is_empty() {
                prefix.push(literal);
            } else {
                steps.extend(literal.encode_utf8(&mut [0; 4]).bytes().map(Step::Literal));
            }
        }
        let prefix = prefix.into_boxed_str();
        Ok(Self(if steps.is_empty() { Kind::Exact(prefix) } else { Kind::Wild { prefix, steps: steps.into() } }))
    }

    /// Whether the pattern is `**` alone, and so covers every channel.
    pub fn is_everything(&self) -> bool {
        matches!(&self.0, Kind::Wild { prefix, steps } if prefix.is_empty() && **steps == [Step::Anything])
    }

    /// Whether the pattern covers `channel`. A text over 256 bytes is no channel, and never covered.
    ///
    /// The work is a few operations for each byte of the pattern, whatever the pattern and the channel.
    pub fn matches(&self, channel: &str) -> bool {
        self.covers(&Name::new(channel))
    }

    /// Like [`matches`](Self::matches), for many patterns on one name.
    pub(super) fn covers(&self, name: &Name<'_>) -> bool {
        match &self.0 {
            Kind::Exact(exact) => **exact == *name.text,
            Kind::Wild { prefix, steps } => {
                name.text.len() <= limits::CHANNEL_BYTES
                    && name.text.starts_with(&**prefix)
                    && match &**steps {
                        [Step::Anything] => true,
                        steps => matches(steps, name, prefix.len()),
                    }
            }
        }
    }

    /// Whether any of `patterns` covers `channel`.
    pub(crate) fn any_covers(patterns: &[Self], channel: &str) -> bool {
        let name = Name::new(channel);
        patterns.iter().any(|pattern| pattern.covers(&name))
    }
}

/// Walks the pattern once and keeps the set of places in the name where the match may stand, instead of backtracking.
fn matches(steps: &[Step], name: &Name<'_>, start: usize) -> bool {
    let mut places = Places::at(start);
    for step in steps {
        places = match step {
            Step::Literal(byte) => name.step(&places, *byte),
            Step::Segment => name.run(&places),
            Step::Anything => places.and_all_after(),
        };
        if places.is_empty() {
            return false;
        }
    }
    places.contains(name.text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, channel: &str) -> bool {
        ChannelPattern::new(pattern).unwrap().matches(channel)
    }

    #[test]
    fn one_star_stops_at_a_slash_and_two_do_not() {
        for (pattern, channel, expected) in [
            ("room", "room", true),
            ("room", "rooms", false),
            ("*", "room", true),
            ("*", "a/b", false),
            ("**", "a/b", true),
            ("a/*", "a/b", true),
            ("a/*", "a/", true),
            ("a/*", "a", false),
            ("a/*", "a/b/c", false),
            ("a/**", "a/b/c", true),
            ("a/**/z", "a/b/c/z", true),
            ("a/**/z", "a/z", false),
            ("a/*/z", "a/b/z", true),
            ("a/*/z", "a/b/c/z", false),
            ("a*c", "abbc", true),
            ("a*c", "ac", true),
            ("a*b*c", "aXbYbZc", true),
            ("***", "a/b", true),
            ("*é", "caffé", true),
        ] {
            assert_eq!(matches(pattern, channel), expected, "{pattern} on {channel}");
        }
    }

    #[test]
    fn escaped_characters_are_literal() {
        for (pattern, channel, expected) in [
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            (r"a\\", r"a\", true),
            (r"a\\*", r"a\b", true),
            (r"\**", "*b", true),
            (r"a\b", r"a\b", true),
            (r"a\", r"a\", true),
        ] {
            assert_eq!(matches(pattern, channel), expected, "{pattern} on {channel}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_ends_soon() {
        let pattern = ChannelPattern::new(&"*a**".repeat(128)).unwrap();
        assert!(!pattern.matches(&"a/".repeat(127)));
        assert!(pattern.matches(&"a".repeat(256)));
    }

    /// Matching by its definition: slow, and plain to see.
    fn by_definition(pattern: &[char], channel: &[char]) -> bool {
        match pattern {
            [] => channel.is_empty(),
            ['*', '*', rest @ ..] => (0..=channel.len()).any(|skip| by_definition(rest, &channel[skip..])),
            ['*', rest @ ..] => {
                let run = channel.iter().take_while(|c| **c != '/').count();
                (0..=run).any(|skip| by_definition(rest, &channel[skip..]))
            }
            [c, rest @ ..] => channel.first() == Some(c) && by_definition(rest, &channel[1..]),
        }
    }

    #[test]
    fn every_short_pattern_matches_as_it_is_defined() {
        let texts = |alphabet: &[char], length: usize| {
            (0..=length).fold((vec![String::new()], vec![String::new()]), |(all, last), _| {
                let next: Vec<String> =
                    last.iter().flat_map(|text| alphabet.iter().map(move |c| format!("{text}{c}"))).collect();
                (all.into_iter().chain(next.clone()).collect(), next)
            })
        };
        let (channels, _) = texts(&['a', '/', 'é'], 3);
        let (patterns, _) = texts(&['a', '/', '*', 'é'], 4);
        // Three stars in a row are two and one, in this order.
        for pattern in patterns.iter().filter(|pattern| !pattern.is_empty()) {
            let compiled = ChannelPattern::new(pattern).unwrap();
            let characters: Vec<char> = pattern.chars().collect();
            for channel in &channels {
                let expected = by_definition(&characters, &channel.chars().collect::<Vec<_>>());
                assert_eq!(compiled.matches(channel), expected, "{pattern} on {channel}");
            }
        }
    }

    #[test]
    fn places_beyond_the_first_word_count_too() {
        let long = format!("{}/{}", "a".repeat(100), "b".repeat(155));
        for (pattern, expected) in [
            ("*/*", true),
            ("**b", true),
            ("**a", false),
            ("*", false),
            ("a*/b*b", true),
            ("a*/*/*", false),
            ("**/bbb*", true),
        ] {
            assert_eq!(matches(pattern, &long), expected, "{pattern}");
        }
        assert!(matches(&format!("*{}", "b".repeat(155)), &"b".repeat(256)));
        assert!(!matches("**", &"b".repeat(257)), "no channel");
    }

    #[test]
    fn everything_is_two_stars_alone() {
        for (pattern, expected) in [("**", true), ("*", false), ("a**", false), ("**a", false), (r"\**", false)] {
            assert_eq!(ChannelPattern::new(pattern).unwrap().is_everything(), expected, "{pattern}");
        }
    }

    #[test]
    fn the_length_has_bounds() {
        assert_eq!(ChannelPattern::new(""), Err(PatternError { length: 0 }));
        assert!(ChannelPattern::new(&"x".repeat(513)).is_err());
        assert!(!matches("x", ""));
    }
}
