//! The core's state machines with their clocks and watches. Nothing else here calls their methods, but for the commands of
//! the user.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use arbitrary::Unstructured;
use metered_realtime_core::media::EncodedFrame;
use metered_realtime_core::peer::{JoinError, JoinOptions, MeteredPeer, MeteredPeerOptions, Output as PeerOutput};
use metered_realtime_core::protocol::{CloseCode, Signal};
use metered_realtime_core::rtc::{
    self, Config, Connection, DataChannelOptions, Datagram, OutboundTrack, Output, Transmit,
};
use metered_realtime_core::signalling::{
    Output as ClientOutput, ProviderError, RequestError, Signalling, SignallingOptions, SocketError, SocketErrorKind,
    State, StateError, TokenError,
};
use metered_realtime_core::{
    Channel, DataChannelId, LinkId, RequestId, ResolveId, Secret, SocketId, TokenRequestId, TrackId, net, signalling,
};

use crate::watch::{ClientWatch, PeerWatch};

/// What every token is.
pub(crate) const TOKEN: &str = "eyJhbGciOi.open.sesame";

/// Wake-ups of a signalling connection in one input, and of a peer in one wait. Those of a token provider with a limit of
/// 1 ms that is asked again at once would take for ever; what is beyond is not waited for.
const WAKES: usize = 20_000;

/// Wake-ups at one moment that no connection needs.
const WAKES_AT_ONCE: u128 = 16;

/// Wake-ups in a millisecond that no connection needs.
const WAKES_PER_MILLISECOND: u128 = 4;

/// What a peer may take to leave: 5 s for its data channels, a second for the server, and an hour if the clock has gone back
/// since.
const LONGEST_CLOSE: Duration = Duration::from_secs(3600);

/// What goes wrong with sockets.
pub(crate) const FAILURES: &[SocketErrorKind] = &[
    SocketErrorKind::NameLookup,
    SocketErrorKind::Refused,
    SocketErrorKind::TimedOut,
    SocketErrorKind::HostUnreachable,
    SocketErrorKind::NoLocalPort,
    SocketErrorKind::Tls,
    SocketErrorKind::Http(401),
    SocketErrorKind::Http(429),
    SocketErrorKind::Http(503),
    SocketErrorKind::Protocol,
    SocketErrorKind::Ended,
    SocketErrorKind::NotReading,
    SocketErrorKind::Io,
];

/// What a token provider gives. An error of its own may repeat the token.
pub(crate) fn token_answer(u: &mut Unstructured<'_>) -> arbitrary::Result<Result<&'static str, TokenError>> {
    Ok(match u.int_in_range(0..=4)? {
        0 => Ok(TOKEN),
        1 => Ok(""),
        2 => Err(TokenError::Failed),
        3 => Err(TokenError::Timeout),
        _ => Err(TokenError::Provider(ProviderError::new(TOKEN))),
    })
}

/// Some moment far enough from the clock's own beginning to go back from.
pub(crate) fn start() -> Instant {
    Instant::now() + Duration::from_secs(30 * 24 * 3600)
}

/// Counts the wake-ups of one wait.
struct Wakes {
    begin: Instant,
    count: usize,
}

impl Wakes {
    fn new(begin: Instant) -> Self {
        Self { begin, count: 0 }
    }

    /// One more. The timers of so many connections may be due at one moment, but none again and again.
    fn woken(&mut self, now: Instant, connections: usize) {
        self.count += 1;
        let time = now - self.begin;
        let most = (time.as_millis() * WAKES_PER_MILLISECOND + WAKES_AT_ONCE) * connections as u128;
        assert!(self.count as u128 <= most, "a busy loop: {} wake-ups in {time:?}", self.count);
    }
}

/// What happens to a machine.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    Opened(SocketId),
    Text(SocketId, &'a str),
    Binary(SocketId),
    Failed(SocketId, SocketErrorKind),
    Closed(SocketId, Option<u16>),
    Token(TokenRequestId, Result<&'a str, TokenError>),
    Datagram { local: SocketAddr, remote: SocketAddr, bytes: &'a [u8] },
    LinkOpened(LinkId),
    LinkData(LinkId, &'a [u8]),
    LinkClosed(LinkId),
    Resolved(ResolveId, &'a [IpAddr]),
    Addresses(&'a [SocketAddr]),
    NetworkChanged,
    Timeout,
}

impl<'a> Event<'a> {
    fn to_signalling(&self) -> Option<signalling::Input<'a>> {
        Some(match *self {
            Event::Opened(socket) => signalling::Input::SocketOpened { socket },
            Event::Text(socket, text) => signalling::Input::SocketText { socket, text },
            Event::Binary(socket) => signalling::Input::SocketBinary { socket },
            Event::Failed(socket, kind) => {
                let error = SocketError::new(kind, "because");
                signalling::Input::SocketFailed { socket, error }
            }
            Event::Closed(socket, code) => {
                signalling::Input::SocketClosed { socket, close: code.map(|code| (CloseCode(code), "because")) }
            }
            Event::Token(request, ref answer) => {
                signalling::Input::Token { request, token: answer.clone().map(Secret::from) }
            }
            _ => return None,
        })
    }

    fn to_network(&self) -> Option<net::Input<'a>> {
        Some(match *self {
            Event::Datagram { local, remote, bytes } => net::Input::Datagram { local, remote, contents: bytes },
            Event::LinkOpened(link) => net::Input::LinkOpened { link },
            Event::LinkData(link, contents) => net::Input::LinkData { link, contents },
            Event::LinkClosed(link) => net::Input::LinkClosed { link },
            Event::Resolved(request, addresses) => net::Input::Resolved { request, addresses },
            Event::Addresses(addresses) => net::Input::LocalAddresses(addresses),
            _ => return None,
        })
    }
}

/// One WebRTC connection.
#[derive(Debug)]
pub(crate) struct Link {
    connection: Connection,
    outputs: Vec<Output>,
}

impl Link {
    pub(crate) fn new(now: Instant, polite: bool) -> Self {
        let config = Config { polite, channel_serial: 1, ..Config::default() };
        Self { connection: Connection::new(now, config), outputs: Vec::new() }
    }

    fn drain(&mut self) {
        self.outputs.extend(std::iter::from_fn(|| self.connection.poll_output()));
    }

    pub(crate) fn outputs(&mut self) -> Vec<Output> {
        self.drain();
        std::mem::take(&mut self.outputs)
    }

    pub(crate) fn add_local_address(&mut self, now: Instant, address: SocketAddr) {
        self.connection.add_local_address(now, address);
        self.drain();
    }

    pub(crate) fn finish_local_addresses(&mut self, now: Instant) {
        self.connection.finish_local_addresses(now);
        self.drain();
    }

    pub(crate) fn local_ufrag(&self) -> Option<String> {
        self.connection.local_ufrags().next().map(str::to_owned)
    }

    pub(crate) fn signal(&mut self, now: Instant, signal: Signal) {
        self.connection.handle_input(now, rtc::Input::Signal(signal));
        self.drain();
    }

    /// Hands in a datagram, whether the connection says that it accepts it or not.
    pub(crate) fn datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) {
        let datagram = Datagram::parse(now, local, remote, bytes);
        let _for_it = self.connection.accepts(&datagram);
        self.connection.handle_input(now, rtc::Input::Datagram(datagram));
        self.drain();
    }

    pub(crate) fn attach_track(&mut self, now: Instant, track: OutboundTrack) {
        self.connection.attach_track(now, track);
    }

    pub(crate) fn detach_track(&mut self, now: Instant, track: &TrackId) {
        self.connection.detach_track(now, track);
    }

    pub(crate) fn open_channel(&mut self, now: Instant, options: DataChannelOptions) -> Option<DataChannelId> {
        self.connection.open_channel(now, options).ok()
    }

    pub(crate) fn write_frame(&mut self, now: Instant, track: &TrackId, frame: &EncodedFrame) {
        let _refused = self.connection.write_frame(now, track, frame);
        self.drain();
    }

    pub(crate) fn restart_ice(&mut self, now: Instant) -> bool {
        self.connection.restart_ice(now).is_ok()
    }

    pub(crate) fn network_changed(&mut self, now: Instant) {
        self.connection.handle_input(now, rtc::Input::NetworkChanged);
    }

    pub(crate) fn close(&mut self, now: Instant) {
        self.connection.close(now);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.connection.poll_timeout()
    }

    /// Tells the time, and gives what came out since the outputs were taken last.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<Output> {
        self.connection.handle_timeout(now);
        self.outputs()
    }
}

/// One signalling connection.
#[derive(Debug)]
pub(crate) struct Client {
    machine: Signalling,
    pub(crate) now: Instant,
    pub(crate) watch: ClientWatch,
    /// Every output, byte for byte.
    pub(crate) transcript: String,
    /// Wake-ups that are left.
    wakes: usize,
}

impl Client {
    pub(crate) fn new(begin: Instant, options: SignallingOptions, seed: u64) -> Self {
        let machine = Signalling::new(options, seed).expect("good options");
        Self { machine, now: begin, watch: ClientWatch::default(), transcript: String::new(), wakes: WAKES }
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            let text = format!("{output:?}");
            assert!(!text.contains("sesame"), "a credential in an output");
            self.transcript.push_str(&text);
            if let ClientOutput::Action(signalling::Action::SendText { text, .. }) = &output {
                write!(self.transcript, "{text}").unwrap_or_default();
            }
            self.watch.output(&output);
        }
        self.watch.settled(&self.machine);
    }

    pub(crate) fn state(&self) -> State {
        self.machine.state()
    }

    /// A command of the user's.
    pub(crate) fn request(
        &mut self,
        command: impl FnOnce(&mut Signalling, Instant) -> Result<RequestId, RequestError>,
    ) {
        let result = command(&mut self.machine, self.now);
        self.watch.request(&result);
        self.drain();
    }

    pub(crate) fn connect(&mut self) {
        let result: Result<(), StateError<State>> = self.machine.connect(self.now);
        self.watch.connect(result.is_ok());
        self.drain();
    }

    pub(crate) fn close(&mut self) {
        self.machine.close(self.now, "bye");
        self.drain();
    }

    pub(crate) fn input(&mut self, event: Event<'_>) {
        self.watch.input(&event);
        match event.to_signalling() {
            Some(input) => self.machine.handle_input(self.now, input),
            None => {
                self.machine.handle_timeout(self.now);
                let due = self.machine.poll_timeout();
                assert!(due.is_none_or(|at| at >= self.now), "woken for nothing");
            }
        }
        self.drain();
    }

    /// How long until something is due.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        self.machine.poll_timeout().map(|at| at.saturating_duration_since(self.now))
    }

    /// Lets time go by, and does what becomes due on the way.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut wakes = Wakes::new(self.now);
        while self.wakes > 0 {
            let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) else {
                self.now = end;
                return self.input(Event::Timeout);
            };
            self.now = self.now.max(at);
            wakes.woken(self.now, 1);
            self.wakes -= 1;
            self.input(Event::Timeout);
        }
    }

    /// The end of it, which comes once.
    pub(crate) fn finish(mut self) -> String {
        self.wakes = WAKES;
        self.close();
        self.wait(Duration::from_secs(2));
        // The clock may have gone back since the machine closed by itself.
        self.wait(self.due_in().unwrap_or_default());
        self.watch.is_over();
        assert_eq!(self.due_in(), None, "a wake-up after the end");
        self.transcript
    }
}

/// What a [`Peer`] begins with.
#[derive(Debug)]
pub(crate) struct PeerSetup {
    pub(crate) options: MeteredPeerOptions,
    pub(crate) seed: u64,
}

impl Default for PeerSetup {
    fn default() -> Self {
        Self { options: MeteredPeerOptions::api_key("pk_live_sesame"), seed: 7 }
    }
}

/// Where the peer's own UDP socket is.
pub(crate) fn own_address() -> SocketAddr {
    ([10, 0, 0, 1], 5000).into()
}

/// A peer in a room.
#[derive(Debug)]
pub(crate) struct Peer {
    machine: MeteredPeer,
    pub(crate) now: Instant,
    pub(crate) watch: PeerWatch,
    /// What is to be done, oldest first.
    outputs: Vec<PeerOutput>,
    sockets_wanted: bool,
}

impl Peer {
    pub(crate) fn new(setup: PeerSetup) -> Self {
        let machine = MeteredPeer::new(setup.options, setup.seed).expect("good options");
        Self { machine, now: start(), watch: PeerWatch::default(), outputs: Vec::new(), sockets_wanted: false }
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            self.watch.output(&output);
            self.sockets_wanted |= matches!(output, PeerOutput::Network(net::Action::BindSockets { .. }));
            self.outputs.push(output);
        }
        self.watch.settled(&self.machine);
    }

    /// What came out since this was asked last.
    pub(crate) fn outputs(&mut self) -> Vec<PeerOutput> {
        std::mem::take(&mut self.outputs)
    }

    pub(crate) fn machine(&self) -> &MeteredPeer {
        &self.machine
    }

    /// The socket that is open and not yet to be replaced.
    pub(crate) fn socket(&self) -> Option<SocketId> {
        self.watch.sockets.open.last().copied()
    }

    /// A command of the user's.
    pub(crate) fn command<T>(&mut self, command: impl FnOnce(&mut MeteredPeer, Instant) -> T) -> T {
        let result = command(&mut self.machine, self.now);
        self.drain();
        result
    }

    /// A command of the user's that leads to one output.
    pub(crate) fn request<E>(&mut self, command: impl FnOnce(&mut MeteredPeer, Instant) -> Result<RequestId, E>) {
        if let Ok(request) = command(&mut self.machine, self.now) {
            self.watch.began(request);
        }
        self.drain();
    }

    pub(crate) fn join(&mut self, channel: &str) {
        let channel = Channel::new(channel).expect("a good name");
        let options = JoinOptions { include_sender_metadata: true };
        self.request(|peer, now| -> Result<RequestId, JoinError> { peer.join(now, &channel, options) });
    }

    /// Tells the address of the UDP socket, if that was asked for.
    pub(crate) fn bind_sockets(&mut self) {
        if std::mem::take(&mut self.sockets_wanted) {
            self.input(Event::Addresses(&[own_address()]));
        }
    }

    pub(crate) fn input(&mut self, event: Event<'_>) {
        self.watch.input(&event);
        let now = self.now;
        match (event.to_signalling(), event.to_network(), event) {
            (Some(input), ..) => self.machine.handle_input(now, input),
            (_, Some(input), _) => self.machine.handle_input(now, input),
            (.., Event::NetworkChanged) => self.machine.network_changed(now),
            _ => self.machine.handle_timeout(now),
        }
        self.drain();
    }

    /// Lets time go by, and does what becomes due on the way.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut wakes = Wakes::new(self.now);
        while wakes.count < WAKES {
            let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) else {
                self.now = end;
                return self.input(Event::Timeout);
            };
            self.now = self.now.max(at);
            wakes.woken(self.now, 1 + self.machine.remote_peers().count());
            self.input(Event::Timeout);
        }
    }

    /// Lets the time of one wake-up go by, and gives whether there was one to wait for.
    pub(crate) fn wake(&mut self) -> bool {
        let Some(at) = self.machine.poll_timeout() else { return false };
        self.now = self.now.max(at);
        self.input(Event::Timeout);
        true
    }

    /// The end of it, which comes once.
    pub(crate) fn finish(mut self) {
        self.command(|peer, now| peer.close(now, None));
        self.wait(LONGEST_CLOSE);
        self.watch.is_over();
        assert_eq!(self.machine.poll_timeout(), None, "a wake-up after the end");
    }
}

/// A datagram as another may see it.
pub(crate) fn parts(transmit: Transmit) -> (SocketAddr, SocketAddr, Vec<u8>) {
    (transmit.local, transmit.remote, transmit.contents)
}
