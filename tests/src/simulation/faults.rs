//! What goes wrong, and when.

use std::time::Duration;

use metered_realtime_core::protocol::CloseCode;

use super::random::Random;

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// Nothing passes between one machine and the server, one way or both.
    Cut { slot: usize, up: bool, down: bool, lasts: Duration },
    /// The same for about half of all machines, both ways.
    Partition { slots: Vec<usize>, lasts: Duration },
    /// One socket dies without either end being told.
    HalfOpen { slot: usize, up: bool, down: bool },
    /// Everything from and to a machine takes long.
    Slow { slot: usize, by: Duration, lasts: Duration },
    /// A socket is reset.
    Reset { slot: usize },
    /// The server forgets everything, resets every socket and is away for a while.
    Restart { away: Duration, silent: bool },
    /// The server says that it goes away, and does.
    GoAway { retry_after: Duration, away: Duration },
    /// Upgrades are answered with an error.
    RefuseUpgrades { lasts: Duration },
    /// Connections are closed before their welcome.
    RefuseConnections { code: CloseCode, lasts: Duration },
    /// The server closes one connection.
    Close { slot: usize, code: CloseCode },
    /// An administrator throws a peer out.
    Kick { slot: usize },
    /// A machine loses its power, or its process dies and the sockets are reset.
    Crash { slot: usize, power: bool },
    /// A machine sleeps. Its clock may stand still meanwhile.
    Sleep { slot: usize, lasts: Duration, clock_stands: bool },
    /// A clock leaps ahead.
    Leap { slot: usize, by: Duration },
    /// The token provider misbehaves.
    Tokens { mode: TokenMode, lasts: Duration },
    /// The server's clock is wrong.
    Skew { seconds: f64, lasts: Duration },
    /// Subscribes are refused, for something behind the server is broken.
    Backend { lasts: Duration },
    /// The server sends what is no frame, and frames out of place.
    Nonsense { slot: usize, which: usize },
}

/// How the token provider answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenMode {
    Good,
    Failing,
    Empty,
    Slow,
    Expired,
    /// Some tokens are nonsense: their peers are thrown out.
    Bad,
}

/// Frames that a peer has to survive.
pub(super) const NONSENSE: [&str; 6] = [
    "{",
    r#"{"type":"newer"}"#,
    r#"{"type":"ack","requestId":"99999999999999999999"}"#,
    r#"{"type":"presence","channel":"elsewhere","joined":[{"peerId":"x"}],"left":[]}"#,
    r#"{"type":"error","code":"internal_error"}"#,
    r#"{"type":"welcome","peerId":"x","expiresAt":null,"serverTime":1,"maxMessageSize":1}"#,
];

impl Fault {
    /// Draws one that may happen to any of `slots` machines.
    pub(super) fn draw(random: &mut Random, slots: usize) -> Self {
        let slot = random.below(slots);
        let ways = |random: &mut Random| [(true, true), (true, false), (false, true)][random.below(3)];
        match random.below(100) {
            0..12 => {
                let (up, down) = ways(random);
                Self::Cut { slot, up, down, lasts: random.seconds(1, 180) }
            }
            12..17 => {
                let slots = (0..slots).filter(|_| random.per_mille(500)).collect();
                Self::Partition { slots, lasts: random.seconds(1, 120) }
            }
            17..29 => {
                let (up, down) = ways(random);
                Self::HalfOpen { slot, up, down }
            }
            29..34 => Self::Slow { slot, by: random.millis(500, 25_000), lasts: random.seconds(10, 180) },
            34..44 => Self::Reset { slot },
            44..48 => Self::Restart { away: random.millis(0, 90_000), silent: random.per_mille(300) },
            48..51 => Self::GoAway { retry_after: random.millis(1, 60_000), away: random.millis(0, 20_000) },
            51..54 => Self::RefuseUpgrades { lasts: random.seconds(2, 90) },
            54..57 => {
                let codes = [CloseCode::OVER_CONCURRENT_LIMIT, CloseCode::GOING_AWAY, CloseCode::POLICY_VIOLATION];
                Self::RefuseConnections { code: codes[random.below(3)], lasts: random.seconds(2, 60) }
            }
            57..67 => {
                const CODES: [u16; 9] = [1000, 1001, 1008, 1009, 1011, 4002, 4010, 4011, 4999];
                Self::Close { slot, code: CloseCode(CODES[random.below(CODES.len())]) }
            }
            67..70 => Self::Kick { slot },
            70..74 => Self::Crash { slot, power: random.per_mille(500) },
            74..81 => {
                let lasts = random.around(Duration::from_secs(300));
                Self::Sleep { slot, lasts, clock_stands: random.per_mille(500) }
            }
            81..87 => Self::Leap { slot, by: random.around(Duration::from_secs(1800)) },
            87..93 => {
                use TokenMode::{Bad, Empty, Expired, Failing, Slow};
                let mode = [Failing, Failing, Empty, Slow, Expired, Bad][random.below(6)];
                Self::Tokens { mode, lasts: random.seconds(5, 240) }
            }
            93..96 => {
                let seconds = random.seconds(1, 5400).as_secs_f64();
                let seconds = if random.per_mille(500) { -seconds } else { seconds };
                Self::Skew { seconds, lasts: random.seconds(30, 600) }
            }
            96..98 => Self::Backend { lasts: random.seconds(1, 60) },
            _ => Self::Nonsense { slot, which: random.below(NONSENSE.len()) },
        }
    }
}
