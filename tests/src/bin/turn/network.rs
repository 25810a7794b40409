//! Network namespaces: two for peers, and one in the middle that both reach.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;

/// The name both peers know the middle by.
pub(crate) const TURN_NAME: &str = "turn.test";

/// What is between the peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No way but over a server in the middle.
    Apart,
    /// The same, where side A has IPv4 alone and side B IPv6 alone.
    TwoFamilies,
    /// A NAT before each that keeps a port for one address of ours, whoever it talks to.
    BehindNats,
    /// A NAT before each that gives every connection another port.
    BehindSymmetricNats,
}

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

    /// The network behind the NAT, if there is one.
    fn inner(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 79, self.subnet(), host)
    }

    /// The middle's address on this side.
    pub(crate) fn middle(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.subnet(), 1)
    }

    /// The same where this side has IPv6 alone.
    pub(crate) fn middle_v6(self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, self.subnet().into(), 0, 0, 0, 1)
    }

    fn own_v6(self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, self.subnet().into(), 0, 0, 0, 2)
    }

    /// The address of the peer, or of its NAT.
    pub(crate) fn own(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.subnet(), 2)
    }
}

/// The namespaces, and a directory for files. Both are removed when this is dropped.
pub(crate) struct Network {
    kind: Kind,
    prefix: String,
    directory: PathBuf,
}

impl Network {
    pub(crate) fn set_up(kind: Kind) -> Outcome<Self> {
        let prefix = format!("mrt{}", std::process::id());
        let network = Self { kind, directory: std::env::temp_dir().join(&prefix), prefix };
        fs::create_dir_all(&network.directory)?;
        let middle = network.middle();
        network.add(&middle)?;
        for side in Side::BOTH {
            let name = network.of(side);
            network.add(&name)?;
            // What a namespace is to see instead of /etc/hosts.
            let etc = Path::new("/etc/netns").join(&name);
            fs::create_dir_all(&etc)?;
            fs::write(etc.join("hosts"), format!("127.0.0.1 localhost\n{} {TURN_NAME}\n", network.middle_of(side)))?;
            fs::write(etc.join("nsswitch.conf"), "hosts: files\n")?;
            if matches!(kind, Kind::Apart | Kind::TwoFamilies) {
                network.connect((&name, network.own_of(side)), (&middle, network.middle_of(side)), side.letter())?;
                continue;
            }
            let nat = network.nat(side);
            network.add(&nat)?;
            network.connect((&name, side.inner(2).into()), (&nat, side.inner(1).into()), side.letter())?;
            let (own, there) = (side.own().into(), side.middle().into());
            network.connect((&nat, own), (&middle, there), side.letter().to_ascii_uppercase())?;
            network.ip_in(&name, &["route", "add", "default", "via", &side.inner(1).to_string()])?;
            network.ip_in(&nat, &["route", "add", "default", "via", &side.middle().to_string()])?;
            network.forward(&nat)?;
            let random = if kind == Kind::BehindSymmetricNats { "fully-random" } else { "" };
            // What nobody behind it has asked for is dropped, as at home: else it would take the port.
            let rules = format!(
                "table ip filter {{ chain in {{ type filter hook input priority 0; \
                 ct state new meta l4proto udp drop; }}; }}; \
                 table ip nat {{ chain out {{ type nat hook postrouting priority 100; \
                 ip saddr {}/24 masquerade {random}; }}; }}",
                side.inner(0)
            );
            run(network.command(&nat, "nft").arg(rules))?;
        }
        if matches!(kind, Kind::BehindNats | Kind::BehindSymmetricNats) {
            network.forward(&middle)?;
            // What leads nowhere is lost, as in the internet; coturn ends a session that sends where there is no route.
            network.ip_in(&middle, &["link", "add", "nowhere", "type", "veth", "peer", "name", "end"])?;
            network.ip_in(&middle, &["link", "set", "end", "up"])?;
            network.ip_in(&middle, &["link", "set", "nowhere", "arp", "off", "up"])?;
            network.ip_in(&middle, &["route", "add", "default", "dev", "nowhere"])?;
        }
        Ok(network)
    }

    fn add(&self, namespace: &str) -> Outcome {
        ip(&["netns", "add", namespace])?;
        self.ip_in(namespace, &["link", "set", "lo", "up"])
    }

    /// A cable between two namespaces.
    fn connect(&self, near: (&str, IpAddr), far: (&str, IpAddr), letter: char) -> Outcome {
        let name = format!("{}{letter}", self.prefix);
        ip(&["link", "add", &name, "netns", near.0, "type", "veth", "peer", "name", &name, "netns", far.0])?;
        for (namespace, address) in [near, far] {
            match address {
                IpAddr::V4(ip) => self.ip_in(namespace, &["addr", "add", &format!("{ip}/24"), "dev", &name])?,
                // Usable at once, without looking whether somebody has it.
                IpAddr::V6(ip) => {
                    self.ip_in(namespace, &["addr", "add", &format!("{ip}/64"), "dev", &name, "nodad"])?
                }
            }
            self.ip_in(namespace, &["link", "set", &name, "up"])?;
        }
        Ok(())
    }

    fn ip_in(&self, namespace: &str, arguments: &[&str]) -> Outcome {
        run(self.command(namespace, "ip").args(arguments))
    }

    fn forward(&self, namespace: &str) -> Outcome {
        run(self.command(namespace, "sh").args(["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]))
    }

    fn nat(&self, side: Side) -> String {
        format!("{}n{}", self.prefix, side.letter())
    }

    fn is_v6(&self, side: Side) -> bool {
        self.kind == Kind::TwoFamilies && side == Side::B
    }

    /// The address of the middle that a side reaches.
    pub(crate) fn middle_of(&self, side: Side) -> IpAddr {
        if self.is_v6(side) { side.middle_v6().into() } else { side.middle().into() }
    }

    fn own_of(&self, side: Side) -> IpAddr {
        if self.is_v6(side) { side.own_v6().into() } else { side.own().into() }
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
        let sides = Side::BOTH.into_iter().flat_map(|side| [self.of(side), self.nat(side)]);
        for name in sides.chain([self.middle()]) {
            // A namespace that was not made cannot be removed either.
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
