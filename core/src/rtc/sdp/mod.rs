//! What must be known of a session description beside what `str0m` tells, and the changes made to one on its way in
//! and out (RFC 8866, RFC 9429).
//!
//! The other side's descriptions are read here in all their forms, and written anew for `str0m`; ours are changed back so
//! that sections have the names, kinds and places that the other side gave them.

mod application;
mod body;
mod description;
mod inbound;
mod names;
mod outbound;
mod payloads;
mod reader;
mod section;
mod selection;
mod text;

pub(super) use application::{names_application, rename_application};
pub(super) use description::{Credentials, Description, MAX_CANDIDATES, MAX_SECTIONS};
pub(super) use inbound::{Sources, inbound};
pub(super) use names::Known;
pub(super) use outbound::{Theirs, outbound};
pub(super) use payloads::PayloadTypes;
pub(super) use section::{Flow, Refusal, Section, SectionKind};

#[cfg(test)]
mod sample {
    const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 4\r\n\
        a=ice-ufrag:abcd\r\na=ice-pwd:secretsecretsecretsecret\r\na=fingerprint:sha-256 AB:CD\r\n";

    pub(super) fn text(sections: &str) -> String {
        format!("{HEAD}{sections}")
    }
}
