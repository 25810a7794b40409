//! Channel patterns: which channels a credential covers.

use metered_realtime_core::protocol::limits;

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
    Exact(String),
    Wild(Vec<Step>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Literal(char),
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
        let mut steps = Vec::with_capacity(text.len());
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            steps.push(match c {
                '\\' => Step::Literal(chars.next_if(|next| matches!(next, '*' | '\\')).unwrap_or('\\')),
                '*' if chars.next_if_eq(&'*').is_some() => Step::Anything,
                '*' => Step::Segment,
                literal => Step::Literal(literal),
            });
        }
        let literals: Option<String> = steps
            .iter()
            .map(|step| match step {
                Step::Literal(c) => Some(*c),
                Step::Segment | Step::Anything => None,
            })
            .collect();
        Ok(Self(literals.map_or(Kind::Wild(steps), Kind::Exact)))
    }

    /// Whether the pattern covers `channel`.
    ///
    /// The work is at most the product of the two lengths, whatever the pattern.
    pub fn matches(&self, channel: &str) -> bool {
        match &self.0 {
            Kind::Exact(name) => name == channel,
            Kind::Wild(steps) => matches(steps, channel),
        }
    }
}

/// Walks the channel once and keeps the set of places in the pattern where the match may stand, instead of backtracking.
fn matches(steps: &[Step], channel: &str) -> bool {
    // `places[i]`: the first `i` steps match what has been read.
    let mut places = vec![false; steps.len() + 1];
    if let Some(start) = places.first_mut() {
        *start = true;
    }
    skip_empty_runs(steps, &mut places);
    for c in channel.chars() {
        let mut next = vec![false; places.len()];
        for (index, step) in steps.iter().enumerate() {
            if !places.get(index).is_some_and(|place| *place) {
                continue;
            }
            let reached = match step {
                Step::Literal(literal) => (*literal == c).then_some(index + 1),
                Step::Segment => (c != '/').then_some(index),
                Step::Anything => Some(index),
            };
            if let Some(place) = reached.and_then(|index| next.get_mut(index)) {
                *place = true;
            }
        }
        if !next.contains(&true) {
            return false;
        }
        skip_empty_runs(steps, &mut next);
        places = next;
    }
    places.last().is_some_and(|end| *end)
}

/// A wildcard may match nothing, or end here.
fn skip_empty_runs(steps: &[Step], places: &mut [bool]) {
    let mut open = false;
    for (place, before) in places.iter_mut().zip(std::iter::once(None).chain(steps.iter().map(Some))) {
        *place |= open && matches!(before, Some(Step::Segment | Step::Anything));
        open = *place;
    }
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

    #[test]
    fn the_length_has_bounds() {
        assert_eq!(ChannelPattern::new(""), Err(PatternError { length: 0 }));
        assert!(ChannelPattern::new(&"x".repeat(513)).is_err());
        assert!(!matches("x", ""));
    }
}
