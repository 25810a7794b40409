//! Checked JSON text, borrowed.

use std::fmt;

use serde_json::value::RawValue;

/// JSON text that has been checked, borrowed from where it stands: from a frame, a [`Payload`](super::Payload) or a
/// [`Metadata`](super::Metadata).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawJson<'a>(pub(super) &'a str);

impl<'a> RawJson<'a> {
    /// The value as JSON text.
    pub fn get(self) -> &'a str {
        self.0
    }

    /// Whether the value is a JSON object.
    pub fn is_object(self) -> bool {
        self.0.starts_with('{')
    }
}

impl<'a> From<&'a RawValue> for RawJson<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self(raw.get())
    }
}

impl fmt::Debug for RawJson<'_> {
    /// The size only: what users say to each other is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({} bytes)", self.0.len())
    }
}
