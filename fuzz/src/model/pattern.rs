//! Channel patterns.

/// Whether a pattern covers a channel: `*` matches any run without `/`, `**` any run with `/`; `\*` and `\\` are literal.
/// Exponential in the number of stars.
pub(crate) fn matches(pattern: &str, channel: &str) -> bool {
    let run = |rest: &str, slash: bool| {
        let ends = channel.char_indices().map(|(at, _)| at).chain([channel.len()]);
        let ends = ends.take_while(|end| slash || !channel[..*end].contains('/'));
        ends.into_iter().any(|end| matches(rest, &channel[end..]))
    };
    if let Some(rest) = pattern.strip_prefix("**") {
        return run(rest, true);
    }
    if let Some(rest) = pattern.strip_prefix('*') {
        return run(rest, false);
    }
    let literal = pattern.strip_prefix('\\').filter(|rest| rest.starts_with(['*', '\\'])).unwrap_or(pattern);
    let mut rest = literal.chars();
    match rest.next() {
        None => channel.is_empty(),
        Some(c) => channel.strip_prefix(c).is_some_and(|channel| matches(rest.as_str(), channel)),
    }
}
