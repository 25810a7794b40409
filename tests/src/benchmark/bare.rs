//! Two ends of `str0m` and nothing else, as someone would write it who wants nothing but its speed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use str0m::channel::{ChannelConfig, ChannelId};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use tokio::sync::Notify;

use super::Outcome;

/// One end.
#[derive(Debug)]
pub struct Bare {
    rtc: Rtc,
    channel: Option<ChannelId>,
    audio: Option<Mid>,
    outbound: VecDeque<Transmit>,
    received: Arc<Received>,
}

/// What has come, for whoever waits for it.
#[derive(Debug, Default)]
pub struct Received {
    count: AtomicU64,
    changed: Notify,
}

impl Received {
    /// How many messages or frames.
    pub fn so_far(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn add(&self, count: u64) {
        self.count.fetch_add(count, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Waits until there were so many.
    pub async fn reach(&self, count: u64) {
        while self.so_far() < count {
            self.changed.notified().await;
        }
    }
}

/// What an end is to send.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// Nothing.
    Nothing,
    /// So many messages of so many bytes.
    Messages {
        /// How many.
        count: u64,
        /// Bytes of each.
        size: usize,
    },
    /// So many packets of sound.
    Frames {
        /// How many.
        count: u64,
        /// Bytes of each.
        size: usize,
        /// How many may be on their way.
        window: u64,
    },
}

impl Bare {
    fn new(addresses: &[SocketAddr]) -> Outcome<Self> {
        let config = RtcConfig::new().set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()));
        let mut rtc = config.build(Instant::now());
        for address in addresses {
            rtc.add_local_candidate(Candidate::host(*address, Protocol::Udp)?);
        }
        let (outbound, received) = (VecDeque::new(), Arc::default());
        Ok(Self { rtc, channel: None, audio: None, outbound, received })
    }

    /// Two that are connected, each with these addresses, with a data channel, and with a track of sound from the first to the second if wanted.
    ///
    /// # Errors
    /// If they do not connect.
    pub async fn pair(addresses: [&[SocketAddr]; 2], sound: bool) -> Outcome<[Self; 2]> {
        let [mut a, mut b] = [Self::new(addresses[0])?, Self::new(addresses[1])?];
        let mut api = a.rtc.sdp_api();
        api.add_channel_with_config(ChannelConfig { label: "bench".to_owned(), ..Default::default() });
        if sound {
            a.audio = Some(api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None));
        }
        let (offer, pending) = api.apply().ok_or("nothing to offer")?;
        let answer = b.rtc.sdp_api().accept_offer(offer)?;
        a.rtc.sdp_api().accept_answer(pending, answer)?;
        while a.channel.is_none() || b.channel.is_none() {
            let now = Instant::now();
            let due = [a.poll(now)?, b.poll(now)?];
            if a.outbound.is_empty() && b.outbound.is_empty() {
                tokio::time::sleep_until(due[0].min(due[1]).into()).await;
                let now = Instant::now();
                a.rtc.handle_input(Input::Timeout(now))?;
                b.rtc.handle_input(Input::Timeout(now))?;
                continue;
            }
            for transmit in std::mem::take(&mut a.outbound) {
                b.receive(now, transmit.source, transmit.destination, &transmit.contents)?;
            }
            for transmit in std::mem::take(&mut b.outbound) {
                a.receive(now, transmit.source, transmit.destination, &transmit.contents)?;
            }
        }
        Ok([a, b])
    }

    /// What has come here.
    pub fn received(&self) -> Arc<Received> {
        self.received.clone()
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, datagram: &[u8]) -> Outcome<()> {
        let receive = Receive::new(Protocol::Udp, from, to, datagram)?;
        self.rtc.handle_input(Input::Receive(now, receive))?;
        self.poll(now).map(drop)
    }

    /// Takes everything there is, and says when to come back.
    fn poll(&mut self, now: Instant) -> Outcome<Instant> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) if at <= now => self.rtc.handle_input(Input::Timeout(now))?,
                Output::Timeout(at) => return Ok(at),
                Output::Transmit(transmit) => self.outbound.push_back(transmit),
                Output::Event(Event::ChannelOpen(id, _)) => self.channel = Some(id),
                Output::Event(Event::ChannelData(_) | Event::MediaData(_)) => self.received.add(1),
                Output::Event(_) => {}
            }
        }
    }

    /// Drives this end over its socket, without end. `theirs` is what has come to the other one.
    ///
    /// # Errors
    /// If anything breaks.
    pub async fn drive(&mut self, socket: &UdpSocket, load: Load, theirs: Arc<Received>) -> Outcome<()> {
        let (message, frame) = match load {
            Load::Messages { size, .. } => (vec![7; size], Arc::from([])),
            Load::Frames { size, .. } => (Vec::new(), Arc::from(vec![7; size])),
            Load::Nothing => (Vec::new(), Arc::from([])),
        };
        let local = socket.local_addr()?;
        let (mut sent, mut buffer) = (0, vec![0; 2048]);
        let before = theirs.so_far();
        loop {
            let mut progress = false;
            for _ in 0..64 {
                let Ok((n, from)) = socket.try_recv_from(&mut buffer) else { break };
                progress = true;
                self.receive(Instant::now(), from, local, buffer.get(..n).unwrap_or_default())?;
            }
            let now = Instant::now();
            match load {
                Load::Nothing => {}
                Load::Messages { count, .. } => {
                    let id = self.channel.ok_or("no channel")?;
                    while sent < count {
                        let mut channel = self.rtc.channel(id).ok_or("no channel")?;
                        // As much as it takes by default, 128 KiB: with more it is several times slower.
                        if !channel.write(true, &message)? {
                            break;
                        }
                        self.poll(now)?;
                        sent += 1;
                        progress = true;
                    }
                }
                Load::Frames { count, window, .. } => {
                    let here = theirs.so_far() - before;
                    while sent < count && sent < here + window {
                        self.write(now, sent, &frame)?;
                        sent += 1;
                        progress = true;
                    }
                }
            }
            let due = self.poll(now)?;
            while let Some(transmit) = self.outbound.front() {
                if socket.try_send_to(&transmit.contents, transmit.destination).is_err() {
                    socket.writable().await?;
                    continue;
                }
                self.outbound.pop_front();
            }
            if progress {
                // Others have their turn after so much work.
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                readable = socket.readable() => readable?,
                () = tokio::time::sleep_until(due.into()) => self.rtc.handle_input(Input::Timeout(Instant::now()))?,
                () = theirs.changed.notified(), if matches!(load, Load::Frames { .. }) => {}
            }
        }
    }

    fn write(&mut self, now: Instant, number: u64, frame: &Arc<[u8]>) -> Outcome<()> {
        let writer = self.rtc.writer(self.audio.ok_or("no track")?).ok_or("no track")?;
        let opus = writer.payload_params().find(|params| params.spec().codec == Codec::Opus);
        let pt = opus.ok_or("no opus")?.pt();
        let time = MediaTime::from(Duration::from_millis(20) * u32::try_from(number)?);
        writer.write(pt, now, time, frame.clone())?;
        self.poll(now).map(drop)
    }
}
