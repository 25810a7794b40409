//! Drives two connections in simulated time, from timeout to timeout.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ids::{DataChannelId, RequestId, StreamId, TrackId};
use crate::media::{Codec, EncodedFrame, MediaKind, ReceivedFrame};
use crate::property::seed_usual;
use crate::protocol::{DescriptionKind, Signal};
use crate::rtc::{
    Config, Connection, ConnectionState, DataChannelError, DataChannelMessage, Datagram, Event, Input, Measurements,
    NegotiationError, OutboundTrack, Output, Transmit,
};

pub(super) const A: usize = 0;
pub(super) const B: usize = 1;

/// The longest that a datagram waits for the link.
const MAX_WAIT: Duration = Duration::from_millis(300);

/// Says whether a datagram is lost, by its sender and contents.
pub(super) type Loss = Box<dyn FnMut(usize, &[u8]) -> bool>;

#[derive(Debug)]
enum Parcel {
    Signal(Signal),
    Datagram(Transmit),
}

pub(super) struct Side {
    pub(super) connection: Connection,
    pub(super) address: SocketAddr,
    pub(super) events: Vec<Event>,
    pub(super) done: Vec<(u64, Result<(), DataChannelError>)>,
    /// Every signal it sent.
    pub(super) sent: Vec<Signal>,
    /// When each frame came out.
    pub(super) delivered: Vec<(Instant, TrackId, Arc<[u8]>)>,
}

impl Side {
    pub(super) fn offers(&self) -> usize {
        self.descriptions(DescriptionKind::Offer).count()
    }

    pub(super) fn descriptions(&self, wanted: DescriptionKind) -> impl DoubleEndedIterator<Item = &str> {
        self.sent.iter().filter_map(move |signal| match signal {
            Signal::Description { kind, sdp } if *kind == wanted => Some(sdp.as_str()),
            _ => None,
        })
    }

    pub(super) fn messages(&self) -> Vec<DataChannelMessage> {
        let message = |event: &Event| match event {
            Event::DataChannelMessage { message, .. } => Some(message.clone()),
            _ => None,
        };
        self.events.iter().filter_map(message).collect()
    }

    pub(super) fn frames(&self) -> Vec<(TrackId, ReceivedFrame)> {
        let frame = |event: &Event| match event {
            Event::Frame { track, frame } => Some((track.clone(), frame.clone())),
            _ => None,
        };
        self.events.iter().filter_map(frame).collect()
    }

    /// `+track` and `-track`, in order.
    pub(super) fn track_changes(&self) -> Vec<String> {
        let change = |event: &Event| match event {
            Event::TrackAdded { track, .. } => Some(format!("+{track}")),
            Event::TrackRemoved { track, .. } => Some(format!("-{track}")),
            _ => None,
        };
        self.events.iter().filter_map(change).collect()
    }

    pub(super) fn states(&self) -> Vec<ConnectionState> {
        let state = |event: &Event| match event {
            Event::StateChange { to, .. } => Some(*to),
            _ => None,
        };
        self.events.iter().filter_map(state).collect()
    }

    pub(super) fn errors(&self) -> Vec<NegotiationError> {
        let error = |event: &Event| match event {
            Event::NegotiationError(error) => Some(*error),
            _ => None,
        };
        self.events.iter().filter_map(error).collect()
    }

    pub(super) fn opened(&self) -> Vec<crate::rtc::DataChannelInfo> {
        let info = |event: &Event| match event {
            Event::ChannelOpened(info) => Some(info.clone()),
            _ => None,
        };
        self.events.iter().filter_map(info).collect()
    }

    pub(super) fn closed_channels(&self) -> Vec<DataChannelId> {
        let channel = |event: &Event| match event {
            Event::ChannelClosed { channel } => Some(*channel),
            _ => None,
        };
        self.events.iter().filter_map(channel).collect()
    }
}

/// What comes of a description on its way, by its sender.
pub(super) type Rewrite = Box<dyn FnMut(usize, &str) -> String>;

/// `A` is polite.
pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) sides: [Side; 2],
    pub(super) signal_delay: Duration,
    pub(super) link_delay: Duration,
    pub(super) link_up: bool,
    pub(super) signals_up: bool,
    /// How descriptions are changed on their way, as if the other side had written them so.
    pub(super) rewrite: Option<Rewrite>,
    /// Which datagrams are lost.
    pub(super) lost: Option<Loss>,
    /// Bits a second the link carries each way; what has to wait for more than 300 ms is lost.
    pub(super) link_rate: Option<u64>,
    /// Until when the link is busy with what is on it.
    link_busy: [Instant; 2],
    /// Due time, and to whom, in the order of sending.
    in_flight: Vec<(Instant, usize, Parcel)>,
    /// When the last signal to each side is due: a later one does not overtake it.
    last_signal_due: [Instant; 2],
}

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
pub(super) fn any_instant() -> Instant {
    Instant::now()
}

impl Pair {
    /// Both have one address and know that it is the only one.
    pub(super) fn new() -> Self {
        Self::configured(&Config::default())
    }

    pub(super) fn without_addresses() -> Self {
        Self::measuring(Measurements::default())
    }

    /// Without addresses.
    pub(super) fn measuring(measurements: Measurements) -> Self {
        Self::of(&Config { measurements, ..Config::default() })
    }

    /// Both have an address, and are configured alike.
    pub(super) fn configured(config: &Config) -> Self {
        let mut pair = Self::of(config);
        for side in [A, B] {
            pair.add_address(side);
            pair.finish_addresses(side);
        }
        pair
    }

    /// Without addresses, configured alike.
    pub(super) fn of(config: &Config) -> Self {
        seed_usual();
        let now = any_instant();
        let side = |polite: bool, n: u8| Side {
            connection: Connection::new(now, Config { polite, channel_serial: n.into(), ..config.clone() }),
            address: SocketAddr::from(([10, 0, 0, n], 5000)),
            events: Vec::new(),
            done: Vec::new(),
            sent: Vec::new(),
            delivered: Vec::new(),
        };
        Self {
            now,
            sides: [side(true, 1), side(false, 2)],
            signal_delay: Duration::from_millis(40),
            link_delay: Duration::from_millis(10),
            link_up: true,
            signals_up: true,
            rewrite: None,
            lost: None,
            link_rate: None,
            link_busy: [now; 2],
            in_flight: Vec::new(),
            last_signal_due: [now; 2],
        }
    }

    pub(super) fn add_address(&mut self, side: usize) {
        let Side { connection, address, .. } = &mut self.sides[side];
        connection.add_local_address(self.now, *address);
    }

    pub(super) fn finish_addresses(&mut self, side: usize) {
        self.sides[side].connection.finish_local_addresses(self.now);
    }

    pub(super) fn connection(&mut self, side: usize) -> &mut Connection {
        &mut self.sides[side].connection
    }

    pub(super) fn attach(&mut self, side: usize, id: &str, stream: Option<&str>, kind: MediaKind) {
        let now = self.now;
        self.connection(side).attach_track(now, track(id, stream, kind));
    }

    pub(super) fn detach(&mut self, side: usize, id: &str) {
        let now = self.now;
        self.connection(side).detach_track(now, &TrackId::new(id).unwrap());
    }

    pub(super) fn write(&mut self, side: usize, id: &str, codec: Codec, ms: u64, data: &[u8]) {
        let frame = EncodedFrame { codec, timestamp: Duration::from_millis(ms), data: data.into() };
        let now = self.now;
        self.connection(side).write_frame(now, &TrackId::new(id).unwrap(), &frame).unwrap();
    }

    pub(super) fn send(&mut self, side: usize, request: u64, channel: DataChannelId, message: DataChannelMessage) {
        let now = self.now;
        self.connection(side).send(now, RequestId(request), channel, message).unwrap();
    }

    pub(super) fn signal(&mut self, side: usize, signal: Signal) {
        let now = self.now;
        self.connection(side).handle_input(now, Input::Signal(signal));
    }

    pub(super) fn both(&self, state: ConnectionState) -> bool {
        self.sides.iter().all(|side| side.connection.state() == state)
    }

    /// Loses the signals and datagrams that are under way.
    pub(super) fn lose_all(&mut self) {
        self.in_flight.clear();
    }

    pub(super) fn all_delivered(&self) -> bool {
        !self.in_flight.iter().any(|(.., parcel)| matches!(parcel, Parcel::Signal(_)))
    }

    /// Until both are connected.
    pub(super) fn connect(&mut self) {
        self.run_until(|pair| pair.both(ConnectionState::Connected));
    }

    /// Takes what both have to say.
    pub(super) fn drain(&mut self) {
        for from in [A, B] {
            while let Some(output) = self.sides[from].connection.poll_output() {
                let side = &mut self.sides[from];
                match output {
                    Output::Signal(mut signal) => {
                        side.sent.push(signal.clone());
                        if let (Signal::Description { sdp, .. }, Some(rewrite)) = (&mut signal, &mut self.rewrite) {
                            *sdp = rewrite(from, sdp);
                        }
                        if self.signals_up {
                            let due = self.last_signal_due[1 - from].max(self.now + self.signal_delay);
                            self.last_signal_due[1 - from] = due;
                            self.in_flight.push((due, 1 - from, Parcel::Signal(signal)));
                        }
                    }
                    Output::Transmit(transmit) => {
                        assert_eq!(transmit.local, side.address);
                        let lost = self.lost.as_mut().is_some_and(|lost| lost(from, &transmit.contents));
                        let busy = self.on_the_link(from, transmit.contents.len());
                        if self.link_up && !lost && busy < MAX_WAIT {
                            let due = self.now + busy + self.link_delay;
                            self.in_flight.push((due, 1 - from, Parcel::Datagram(transmit)));
                        }
                    }
                    Output::Event(event) => {
                        if let Event::Frame { track, frame } = &event {
                            side.delivered.push((self.now, track.clone(), frame.data.clone()));
                        }
                        side.events.push(event);
                    }
                    Output::SendDone { request, result } => side.done.push((request.get(), result)),
                }
            }
        }
    }

    /// How long until the link has sent this many bytes more.
    fn on_the_link(&mut self, from: usize, bytes: usize) -> Duration {
        let Some(rate) = self.link_rate else { return Duration::ZERO };
        let start = self.link_busy[from].max(self.now);
        let end = start + Duration::from_secs_f64((bytes as f64 + 28.0) * 8.0 / rate as f64);
        if end - self.now < MAX_WAIT {
            self.link_busy[from] = end;
        }
        end - self.now
    }

    /// Moves to the next moment at which something happens, if that is not after `end`.
    fn step(&mut self, end: Instant) -> bool {
        self.drain();
        let timeouts = self.sides.iter().filter_map(|side| side.connection.poll_timeout());
        let parcels = self.in_flight.iter().map(|(due, ..)| *due);
        let Some(next) = timeouts.chain(parcels).min().filter(|next| *next <= end) else { return false };
        self.now = self.now.max(next);
        if let Some(first) = self.in_flight.iter().position(|(due, ..)| *due <= self.now) {
            let (_, to, parcel) = self.in_flight.remove(first);
            match parcel {
                Parcel::Signal(signal) => self.sides[to].connection.handle_input(self.now, Input::Signal(signal)),
                Parcel::Datagram(Transmit { local, remote, contents }) if remote == self.sides[to].address => {
                    self.sides[to]
                        .connection
                        .handle_input(self.now, Input::Datagram(Datagram::parse(self.now, remote, local, &contents)));
                }
                Parcel::Datagram(_) => {}
            }
        } else {
            for side in &mut self.sides {
                if side.connection.poll_timeout().is_some_and(|at| at <= self.now) {
                    side.connection.handle_timeout(self.now);
                }
            }
        }
        self.drain();
        true
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        let mut at_once = 0;
        loop {
            let before = self.now;
            if !self.step(end) {
                break;
            }
            at_once = if self.now == before { at_once + 1 } else { 0 };
            assert!(at_once < 10_000, "time stands still");
        }
        self.now = end;
    }

    /// At most an hour.
    pub(super) fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        self.drain();
        let end = self.now + Duration::from_secs(3600);
        let mut at_once = 0;
        while !done(self) {
            let before = self.now;
            assert!(self.step(end), "it never happens");
            at_once = if self.now == before { at_once + 1 } else { 0 };
            assert!(at_once < 10_000, "time stands still");
        }
    }
}

pub(super) fn track(id: &str, stream: Option<&str>, kind: MediaKind) -> OutboundTrack {
    OutboundTrack { id: TrackId::new(id).unwrap(), stream: stream.map(|stream| StreamId::new(stream).unwrap()), kind }
}

/// A sends "mic" and "cam" and both are connected.
pub(super) fn sending() -> Pair {
    sending_over(Pair::without_addresses())
}

/// The same with a pair that has no addresses yet.
pub(super) fn sending_over(mut pair: Pair) -> Pair {
    for side in [A, B] {
        pair.add_address(side);
        pair.finish_addresses(side);
    }
    pair.attach(A, "mic", Some("stream"), MediaKind::Audio);
    pair.attach(A, "cam", Some("stream"), MediaKind::Video);
    pair.connect();
    pair.run_for(Duration::from_millis(200));
    pair
}

pub(super) fn text(text: &str) -> DataChannelMessage {
    DataChannelMessage::Text(text.to_owned())
}

pub(super) fn binary(bytes: impl Into<Vec<u8>>) -> DataChannelMessage {
    DataChannelMessage::Binary(bytes.into().into())
}
