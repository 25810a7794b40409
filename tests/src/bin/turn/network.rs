//! Three network namespaces: two for peers, with a route to the third each, and none to each other.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;

/// The name both peers know the middle by.
pub(crate) const TURN_NAME: &str = "turn.test";

/// One of the two peers' places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    A,
    B,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::A, Self::B];

    fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }

    fn subnet(self) -> u8 {
        match self {
            Self::A => 1,
            Self::B => 2,
        }
    }

    /// The middle's address on this side.
    pub(crate) fn middle(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.subnet(), 1)
    }

    /// The peer's address.
    pub(crate) fn own(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.subnet(), 2)
    }
}

/// The namespaces, and a directory for files. Both are removed when this is dropped.
pub(crate) struct Network {
    prefix: String,
    directory: PathBuf,
}

impl Network {
    pub(crate) fn set_up() -> Outcome<Self> {
        let prefix = format!("mrt{}", std::process::id());
        let network = Self { directory: std::env::temp_dir().join(&prefix), prefix };
        fs::create_dir_all(&network.directory)?;
        let middle = network.middle();
        ip(&["netns", "add", &middle])?;
        run(network.command(&middle, "ip").args(["link", "set", "lo", "up"]))?;
        for side in Side::BOTH {
            let name = network.of(side);
            let inner = format!("{}{}", network.prefix, side.letter());
            ip(&["netns", "add", &name])?;
            // What a namespace is to see instead of /etc/hosts.
            let etc = Path::new("/etc/netns").join(&name);
            fs::create_dir_all(&etc)?;
            fs::write(etc.join("hosts"), format!("127.0.0.1 localhost\n{} {TURN_NAME}\n", side.middle()))?;
            fs::write(etc.join("nsswitch.conf"), "hosts: files\n")?;
            run(network.command(&name, "ip").args(["link", "set", "lo", "up"]))?;
            ip(&["link", "add", &inner, "netns", &name, "type", "veth", "peer", "name", &inner, "netns", &middle])?;
            for (namespace, address) in [(&name, side.own()), (&middle, side.middle())] {
                let address = format!("{address}/24");
                run(network.command(namespace, "ip").args(["addr", "add", &address, "dev", &inner]))?;
                run(network.command(namespace, "ip").args(["link", "set", &inner, "up"]))?;
            }
        }
        Ok(network)
    }

    pub(crate) fn middle(&self) -> String {
        format!("{}m", self.prefix)
    }

    pub(crate) fn of(&self, side: Side) -> String {
        format!("{}{}", self.prefix, side.letter())
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A command that runs in a namespace.
    pub(crate) fn command(&self, namespace: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, program]);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in [self.of(Side::A), self.of(Side::B), self.middle()] {
            // A namespace that could not be made cannot be removed either.
            let _removed = ip(&["netns", "del", &name]);
            let _removed = fs::remove_dir_all(Path::new("/etc/netns").join(&name));
        }
        let _removed = fs::remove_dir_all(&self.directory);
    }
}

fn ip(arguments: &[&str]) -> Outcome {
    run(Command::new("ip").args(arguments))
}

pub(crate) fn run(command: &mut Command) -> Outcome {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {} {}", output.status, String::from_utf8_lossy(&output.stderr).trim()).into())
}
