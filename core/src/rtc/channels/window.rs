//! How much of a data channel's messages `str0m` has at a time.
//!
//! With every packet, SCTP beneath looks through all messages that are on their way, so that to give it all there are costs
//! more than sending them. It gets what keeps the path busy: twice what is acknowledged in one round trip, as in BBR's bound on
//! what is in flight, at least [`LEAST`]. While the path bears it, that doubles with each round trip, as SCTP's own window
//! does. What is counted is bytes, and [`LEAST_COST`] for a message that is smaller.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What it always may have: enough for a network near by, and to measure on.
const LEAST: usize = 32 * 1024;

/// What a message counts at least. 16 000 messages of one byte on their way would take SCTP longer than the round trip.
const LEAST_COST: usize = 256;

/// Rounds after which the shortest one is forgotten, for the path may have become longer. The next is measured with less
/// on its way, so that what is not the path's delay but the queue's is found to be shorter.
const ROUNDS: u32 = 32;

/// By what part less.
const PROBE: usize = 4;

/// From a byte that was handed over to its acknowledgement.
#[derive(Debug, Clone, Copy)]
struct Round {
    since: Instant,
    /// What had been acknowledged then.
    acknowledged: u64,
    /// What is to be acknowledged until it is over.
    end: u64,
}

/// A message that `str0m` has.
#[derive(Debug, Clone, Copy)]
struct Handed {
    /// Bytes that are not acknowledged.
    bytes: usize,
    /// What it counts beyond its bytes.
    surcharge: usize,
}

#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    most: usize,
    /// Messages that are not acknowledged in full, as if they were acknowledged in order. `most` bounds their number.
    messages: VecDeque<Handed>,
    on_their_way: usize,
    handed: u64,
    acknowledged: u64,
    round: Option<Round>,
    shortest: Option<Duration>,
    rounds: u32,
    probing: bool,
}

impl Window {
    pub(super) fn new(most: usize) -> Self {
        let (messages, on_their_way, handed, acknowledged) = (VecDeque::new(), 0, 0, 0);
        let (size, most, round, shortest, rounds, probing) = (LEAST, most.max(LEAST), None, None, 0, false);
        Self { size, most, messages, on_their_way, handed, acknowledged, round, shortest, rounds, probing }
    }

    /// Whether another message may be handed over.
    pub(super) fn has_room(&self) -> bool {
        let size = if self.probing { (self.size / PROBE).max(LEAST) } else { self.size };
        self.on_their_way == 0 || self.on_their_way < size
    }

    /// A message of so many bytes was handed over.
    pub(super) fn handed(&mut self, now: Instant, bytes: usize) {
        let surcharge = LEAST_COST.saturating_sub(bytes);
        self.messages.push_back(Handed { bytes, surcharge });
        let cost = bytes.saturating_add(surcharge);
        self.on_their_way = self.on_their_way.saturating_add(cost);
        self.handed = self.handed.saturating_add(cost as u64);
        let (acknowledged, end) = (self.acknowledged, self.handed);
        self.round.get_or_insert(Round { since: now, acknowledged, end });
    }

    /// Takes so many bytes off the oldest messages. Gives what they counted.
    fn take_off(&mut self, mut bytes: usize) -> usize {
        let mut cost = 0_usize;
        while let Some(first) = self.messages.front_mut() {
            let taken = first.bytes.min(bytes);
            first.bytes -= taken;
            bytes -= taken;
            cost = cost.saturating_add(taken);
            if first.bytes > 0 {
                break;
            }
            cost = cost.saturating_add(first.surcharge);
            self.messages.pop_front();
        }
        self.on_their_way = self.on_their_way.saturating_sub(cost);
        cost
    }

    /// So many bytes are no longer on their way; `more` says that others wait for their room.
    pub(super) fn acknowledged(&mut self, now: Instant, bytes: usize, more: bool) {
        let cost = self.take_off(bytes);
        self.acknowledged = self.acknowledged.saturating_add(cost as u64);
        let Some(round) = self.round.filter(|round| self.acknowledged >= round.end) else { return };
        self.round = None;
        let took = now.saturating_duration_since(round.since).max(Duration::from_micros(1));
        let shortest = self.shortest.map_or(took, |shortest| shortest.min(took));
        self.shortest = Some(shortest);
        // What there was too little of to fill the path says nothing of the path.
        if more && !self.probing {
            let acknowledged = self.acknowledged.saturating_sub(round.acknowledged) as f64;
            let wanted = 2.0 * acknowledged * shortest.as_secs_f64() / took.as_secs_f64();
            // One round that took long is no reason to begin anew.
            self.size = (wanted as usize).max(self.size / 4 * 3).max(LEAST).min(self.most);
        }
        self.rounds += 1;
        self.probing = self.rounds >= ROUNDS;
        if self.probing {
            (self.rounds, self.shortest) = (0, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const MOST: usize = 1024 * 1024;
    const MESSAGE: usize = 1024;

    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn some_instant() -> Instant {
        Instant::now()
    }

    /// Sends as fast as the window allows over a path of a delay and a rate, and gives the largest and the last size of the
    /// window, and the bytes that were sent.
    fn run(window: &mut Window, rtt: Duration, bytes_per_second: f64, time: Duration) -> (usize, usize, usize) {
        let start = some_instant();
        let (mut now, mut free_at) = (start, start);
        let mut on_their_way: VecDeque<Instant> = VecDeque::new();
        let (mut largest, mut sent) = (0, 0);
        while now < start + time {
            while window.has_room() {
                window.handed(now, MESSAGE);
                free_at = free_at.max(now) + Duration::from_secs_f64(MESSAGE as f64 / bytes_per_second);
                on_their_way.push_back(free_at + rtt);
            }
            now = on_their_way.pop_front().unwrap();
            sent += MESSAGE;
            window.acknowledged(now, MESSAGE, true);
            largest = largest.max(window.size);
        }
        window.acknowledged(now, on_their_way.len() * MESSAGE, false);
        (largest, window.size, sent)
    }

    #[test]
    fn a_long_path_is_filled() {
        let (rate, rtt) = (4e6, Duration::from_millis(100));
        let (_, _, sent) = run(&mut Window::new(MOST), rtt, rate, Duration::from_secs(10));
        assert!(sent as f64 > 0.9 * rate * 10.0, "{sent}");
    }

    #[test]
    fn a_path_with_no_delay_of_its_own_gets_little_at_a_time() {
        let time = Duration::from_secs(1);
        let (largest, _, sent) = run(&mut Window::new(MOST), Duration::from_micros(20), 20e6, time);
        assert!(largest <= 3 * LEAST, "{largest}");
        assert!(sent as f64 > 0.95 * 20e6, "{sent}");
    }

    #[test]
    fn a_path_that_becomes_longer_is_filled_again_and_one_that_becomes_shorter_is_not_overfilled() {
        let mut window = Window::new(MOST);
        run(&mut window, Duration::from_millis(1), 10e6, Duration::from_secs(1));
        run(&mut window, Duration::from_millis(50), 10e6, Duration::from_secs(20));
        let (_, _, sent) = run(&mut window, Duration::from_millis(50), 10e6, Duration::from_secs(10));
        assert!(sent as f64 > 0.9 * 10e6 * 10.0, "{sent}");
        run(&mut window, Duration::from_millis(1), 10e6, Duration::from_secs(20));
        let (largest, ..) = run(&mut window, Duration::from_millis(1), 10e6, Duration::from_secs(5));
        assert!(largest <= 4 * LEAST, "{largest}");
    }

    #[test]
    fn little_to_send_tells_nothing_and_something_may_always_be_sent() {
        let mut window = Window::new(MOST);
        let mut now = some_instant();
        for _ in 0..100 {
            assert!(window.has_room());
            window.handed(now, 10);
            now += Duration::from_millis(100);
            window.acknowledged(now, 10, false);
        }
        assert_eq!(window.size, LEAST);
        window.handed(now, MOST);
        assert!(!window.has_room());
        window.acknowledged(now, MOST - LEAST, true);
        assert!(!window.has_room());
        window.acknowledged(now, LEAST, true);
        assert!(window.has_room() && window.messages.is_empty());
    }

    #[test]
    fn small_messages_count_for_what_they_cost() {
        let mut window = Window::new(MOST);
        let now = some_instant();
        let mut handed = 0;
        while window.has_room() {
            window.handed(now, 1);
            handed += 1;
        }
        assert_eq!(handed, LEAST / LEAST_COST);
        window.acknowledged(now, 1, true);
        assert!(window.has_room());
        window.handed(now, 3);
        assert!(!window.has_room());
        window.acknowledged(now, handed - 1 + 2, true);
        assert_eq!(window.on_their_way, 1 + LEAST_COST - 3);
        window.acknowledged(now, 1, true);
        assert_eq!(window.on_their_way, 0);
    }
}
