//! What must be known of a session description beside what `str0m` tells, and the changes made to one on its way in
//! and out (RFC 8866, RFC 9429).
//!
//! The other side's descriptions are read here in all their forms, and written anew for `str0m`; ours are changed back so
//! that sections have the names, kinds and places that the other side gave them.

mod application;
mod description;
mod inbound;
mod names;
mod outbound;
mod payloads;
mod reader;
mod section;

pub(super) use application::{names_application, rename_application};
pub(super) use description::{Credentials, Description, MAX_CANDIDATES, MAX_SECTIONS};
pub(super) use inbound::{Sources, inbound};
pub(super) use names::Known;
pub(super) use outbound::{Theirs, outbound};
pub(super) use payloads::PayloadTypes;
pub(super) use section::{Flow, Refusal, Section, SectionKind};

/// The lines of a description, whatever ends them, without white space at the end.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty())
}

/// A description in the making.
#[derive(Debug, Default)]
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

    fn maybe(&mut self, line: Option<impl AsRef<str>>) {
        if let Some(line) = line {
            self.line(line.as_ref());
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
    const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 4\r\n\
        a=ice-ufrag:abcd\r\na=ice-pwd:secretsecretsecretsecret\r\na=fingerprint:sha-256 AB:CD\r\n";

    pub(super) fn text(sections: &str) -> String {
        format!("{HEAD}{sections}")
    }
}
