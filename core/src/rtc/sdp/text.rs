//! Descriptions as text: their lines, read and written.

/// The lines of a description, whatever ends them, without white space at the end.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty())
}

/// A description in the making.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) text: String,
}

impl Writer {
    pub(super) fn new(like: &str) -> Self {
        Self { text: String::with_capacity(like.len()) }
    }

    pub(super) fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push_str("\r\n");
    }

    pub(super) fn maybe(&mut self, line: Option<impl AsRef<str>>) {
        if let Some(line) = line {
            self.line(line.as_ref());
        }
    }

    pub(super) fn candidates(&mut self, candidates: &[String]) {
        for candidate in candidates {
            self.line(&format!("a={candidate}"));
        }
    }
}
