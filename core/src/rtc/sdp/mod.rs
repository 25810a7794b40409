//! What must be known of a session description beside what `str0m` tells, and the changes made to one on its way in
//! and out (RFC 8866, RFC 8829).
//!
//! Lines are read as they come; nothing here is longer than the text, and no line is looked at twice in one pass.

mod application;
mod description;
mod inbound;
mod outbound;
mod section;

pub(super) use application::{names_application, rename_application};
pub(super) use description::{Description, MAX_CANDIDATES, MAX_SECTIONS};
pub(super) use inbound::{Sources, inbound};
pub(super) use outbound::outbound;
pub(super) use section::{Flow, Section, SectionKind};

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).filter(|line| !line.is_empty())
}

/// A description in the making.
struct Writer {
    text: String,
}

impl Writer {
    fn new(like: &str) -> Self {
        Self { text: String::with_capacity(like.len()) }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push_str("\r\n");
    }

    fn maybe(&mut self, line: Option<&str>) {
        if let Some(line) = line {
            self.line(line);
        }
    }

    fn candidates(&mut self, candidates: &[String]) {
        for candidate in candidates {
            self.line(&format!("a={candidate}"));
        }
    }
}

#[cfg(test)]
mod sample {
    const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
        a=ice-ufrag:abcd\r\na=ice-pwd:secretsecretsecretsecret\r\na=fingerprint:sha-256 AB:CD\r\n";

    pub(super) fn text(sections: &str) -> String {
        format!("{HEAD}{sections}")
    }
}
