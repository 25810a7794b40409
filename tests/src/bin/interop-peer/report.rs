//! What the runner is told.

use std::io::Write;

use serde_json::{Value, json};

/// Standard output, one JSON object a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report;

impl Report {
    /// An event, with its fields.
    pub(crate) fn tell(self, event: &str, mut fields: Value) {
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("event".to_owned(), event.into());
        }
        Self::line(&fields);
    }

    /// The answer to a command.
    pub(crate) fn reply(self, id: u64, result: Result<Value, String>) {
        Self::line(&match result {
            Ok(value) => json!({ "reply": id, "ok": value }),
            Err(error) => json!({ "reply": id, "error": error }),
        });
    }

    fn line(value: &Value) {
        let mut out = std::io::stdout().lock();
        // If the runner is gone there is nobody to tell; standard input ends too, and with it the program.
        let _nobody_listens = writeln!(out, "{value}").and_then(|()| out.flush());
    }
}
