//! Debian's coturn, in the middle.

use std::fs;
use std::process::Command;

use crate::Outcome;
use crate::child::Child;
use crate::network::{Network, Side, TURN_NAME, run};

/// Its users, each with a password of its own.
pub(crate) const FIRST: (&str, &str) = ("first", "word-of-the-first");
pub(crate) const SECOND: (&str, &str) = ("second", "word-of-the-second");

/// Makes a certificate authority and a certificate for the server, once, and gives the authority's in PEM form.
pub(crate) fn authority(network: &Network) -> Outcome<String> {
    let file = |name: &str| network.file(name).to_string_lossy().into_owned();
    let (ca_key, ca, key, request, certificate, extensions) =
        (file("ca.key"), file("ca.pem"), file("turn.key"), file("turn.csr"), file("turn.pem"), file("turn.ext"));
    if !network.file("turn.pem").exists() {
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        run(Command::new("openssl").args(["req", "-x509"]).args(curve).args(["-subj", "/CN=Test authority"]).args([
            "-days",
            "2",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-keyout",
            &ca_key,
            "-out",
            &ca,
        ]))?;
        run(Command::new("openssl").arg("req").args(curve).args([
            "-subj",
            &format!("/CN={TURN_NAME}"),
            "-keyout",
            &key,
            "-out",
            &request,
        ]))?;
        fs::write(&extensions, format!("subjectAltName=DNS:{TURN_NAME}\nbasicConstraints=CA:FALSE\n"))?;
        run(Command::new("openssl").args(["x509", "-req", "-in", &request, "-CA", &ca, "-CAkey", &ca_key]).args([
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            &extensions,
            "-out",
            &certificate,
        ]))?;
    }
    Ok(fs::read_to_string(ca)?)
}

/// Starts it on both sides, over UDP and TCP at 3478 and over TLS at 5349.
pub(crate) async fn start(network: &Network, more: &[&str]) -> Outcome<Child> {
    start_relaying_at(network, &Side::BOTH, more).await
}

/// The same, with addresses to relay from on these sides alone.
pub(crate) async fn start_relaying_at(network: &Network, relays: &[Side], more: &[&str]) -> Outcome<Child> {
    authority(network)?;
    let mut command = network.command(&network.middle(), "turnserver");
    command.args(["-n", "--verbose", "--lt-cred-mech", "--realm=turn.test", "--no-cli", "--no-dtls"]);
    command.args(["--log-file=stdout", "--simple-log", "--no-rfc5780", "--no-multicast-peers"]);
    command.args(["--min-port=50000", "--max-port=50999"]);
    command.arg(format!("--pidfile={}", network.file("turn.pid").display()));
    command.arg(format!("--userdb={}", network.file("turn.db").display()));
    command.arg(format!("--cert={}", network.file("turn.pem").display()));
    command.arg(format!("--pkey={}", network.file("turn.key").display()));
    for (name, word) in [FIRST, SECOND] {
        command.arg(format!("--user={name}:{word}"));
    }
    for side in Side::BOTH {
        command.arg(format!("--listening-ip={}", network.middle_of(side)));
    }
    for side in relays {
        command.arg(format!("--relay-ip={}", network.middle_of(*side)));
    }
    command.args(more);
    let child = Child::start("coturn", command)?;
    for side in Side::BOTH {
        child.mention(0, &["listener opened on", &network.middle_of(side).to_string(), "UDP"]).await?;
    }
    Ok(child)
}
