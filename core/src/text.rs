//! Bounds on text that comes from outside.

/// The longest beginning of `text` that has at most `max` bytes and ends between two characters.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!([0, 1, 2, 3, 4, 9].map(|max| cut("aéb", max)), ["", "a", "a", "aé", "aéb", "aéb"]);
    }
}
