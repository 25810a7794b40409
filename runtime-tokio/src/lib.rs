//! The Metered Realtime client on tokio: rooms with media, data channels, and messages through the server.
//!
//! ```no_run
//! use metered_realtime_tokio::{Event, MeteredPeer};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let (peer, mut events) = MeteredPeer::api_key("pk_live_…").join("room-42").await?;
//! peer.send("hello, everyone").await?;
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::PeerJoined(remote) => println!("{} is here", remote.id()),
//!         Event::Data(message) => println!("{}: {}", message.sender, message.data.get()),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Everything is one import away from here: the handles of `metered-realtime-runtime` on the runtime [`Tokio`], and the
//! types of the core they speak in.
//!
//! # Tokens instead of a key
//! ```no_run
//! # async fn fetch_token() -> Result<String, std::io::Error> { Ok(String::new()) }
//! # fn run() -> Result<(), metered_realtime_tokio::InvalidOption> {
//! use metered_realtime_tokio::MeteredPeer;
//! let peer = MeteredPeer::token_provider(|| async { fetch_token().await }).build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Media
//! ```no_run
//! # use std::time::Duration;
//! # use metered_realtime_tokio::{Codec, EncodedFrame, LocalStream, LocalTrack, MeteredPeer, Metadata};
//! # async fn run(peer: MeteredPeer, packet: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
//! let microphone = LocalTrack::audio();
//! let stream = LocalStream::new([microphone.clone()]);
//! peer.add_stream(&stream, Some(Metadata::from_json(r#"{"role":"voice"}"#)?)).await?;
//! peer.join("room-42").await?;
//! microphone.received().await;
//! microphone.write(EncodedFrame { codec: Codec::Opus, timestamp: Duration::ZERO, data: packet.into() })?;
//!
//! let mut remotes = peer.on_peer_joined();
//! while let Some(remote) = remotes.next().await {
//!     tokio::spawn(async move {
//!         let mut tracks = remote.on_track();
//!         while let Some(track) = tracks.next().await {
//!             tokio::spawn(async move {
//!                 while let Some(frame) = track.recv().await {
//!                     println!("{} bytes of {}", frame.data.len(), frame.codec);
//!                 }
//!             });
//!         }
//!     });
//! }
//! # Ok(())
//! # }
//! ```
//!
//! ## An encoder for everyone
//! One encoder serves all peers of a track: it runs while somebody receives it, at the rate of the slowest, and makes a key
//! frame when somebody needs one.
//! ```no_run
//! # use metered_realtime_tokio::{BandwidthEstimation, LocalTrack, MeteredPeer};
//! # struct Encoder;
//! # impl Encoder { fn pause(&self) {} fn run_at(&self, _bits_per_second: u64) {} fn make_keyframe(&self) {} }
//! # async fn run(encoder: Encoder) -> Result<(), Box<dyn std::error::Error>> {
//! let estimation = BandwidthEstimation { initial: 500_000, desired: 2_500_000 };
//! let peer = MeteredPeer::api_key("pk_live_…").bandwidth_estimation(estimation).build()?;
//! let camera = LocalTrack::video();
//! peer.add_track(&camera, None, None).await?;
//! let mut demands = camera.on_demand();
//! let mut keyframes = camera.on_keyframe_request();
//! loop {
//!     tokio::select! {
//!         Some(demand) = demands.next() => match demand.receivers {
//!             0 => encoder.pause(),
//!             _ => encoder.run_at(demand.bandwidth.unwrap_or(500_000)),
//!         },
//!         Some(_peer) = keyframes.next() => encoder.make_keyframe(),
//!         else => break,
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Data channels
//! A [`DataChannel`] is a `Stream` and a `Sink` of messages. It can also
//! be a stream of bytes, for protocols that expect a socket; `tokio-util` with its feature `compat` makes that one of
//! tokio's:
//! ```no_run
//! # use metered_realtime_tokio::{DataChannelOptions, RemotePeer};
//! # async fn run(remote: RemotePeer) -> Result<(), Box<dyn std::error::Error>> {
//! use tokio::io::AsyncWriteExt;
//! use tokio_util::compat::FuturesAsyncReadCompatExt;
//!
//! let channel = remote.open_data_channel(DataChannelOptions::default()).await?;
//! let mut bytes = channel.byte_stream()?.compat();
//! let mut source = &b"bytes from anywhere"[..];
//! tokio::io::copy(&mut source, &mut bytes).await?;
//! bytes.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Peers that cannot reach each other
//! STUN and TURN servers come from the server's `welcome`, or from the builder:
//! ```no_run
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use metered_realtime_tokio::{IceServer, IceTransportPolicy, MeteredPeer, Secret};
//! let peer = MeteredPeer::api_key("pk_live_…")
//!     .ice_server(IceServer {
//!         urls: vec!["turn:turn.example.org".into(), "turns:turn.example.org:443".into()],
//!         username: Some("user".into()),
//!         credential: Some(Secret::new("…")),
//!     })
//!     // Peers shall learn no address of ours.
//!     .ice_transport_policy(IceTransportPolicy::Relay)
//!     .build()?;
//! let failures = peer.on_ice_server_failed();
//! # Ok(())
//! # }
//! ```
//!
//! A private signalling or TURN server may have a certificate of an authority of its own:
//! ```no_run
//! # fn run(pem: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! use metered_realtime_tokio::MeteredPeer;
//! let peer = MeteredPeer::api_key("pk_live_…").url("wss://rooms.example.org").root_certificates(pem)?.build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//! `webrtc` (on by default) is what [`MeteredPeer`] and all that belongs to it needs; without it there is
//! [`SignallingClient`]. `aws-lc-rs` (default), `rust-crypto` and `openssl` choose the cryptography of WebRTC, and of TLS
//! except for `rust-crypto`, with which TLS uses the provider that the builder's `tls_provider` is given. Of several,
//! `openssl` comes before `rust-crypto`, and that before `aws-lc-rs`. `native-roots` and `webpki-roots` (both default) are
//! the certificates that TLS trusts: the system's, and Mozilla's where the system has none.
//!
//! # Logs
//! Through `tracing`, free of credentials and of what users say to each other. The two exceptions are not ours: at level
//! `TRACE`, the target `tungstenite::handshake::client` prints the HTTP request of the WebSocket, and its query holds the
//! credential; and the target `str0m` prints the messages of data channels. Whoever turns on `TRACE` for everything should
//! turn those targets off.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod timer;
mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

pub use metered_realtime_runtime::*;
pub use timer::Sleep;
pub use udp::Udp;

/// A peer in a room, on tokio. See [`metered_realtime_runtime::MeteredPeer`].
#[cfg(feature = "webrtc")]
pub type MeteredPeer = metered_realtime_runtime::MeteredPeer<Tokio>;

/// Makes a [`MeteredPeer`]. See [`metered_realtime_runtime::MeteredPeerBuilder`].
#[cfg(feature = "webrtc")]
pub type MeteredPeerBuilder = metered_realtime_runtime::MeteredPeerBuilder<Tokio>;

/// A signalling connection alone, on tokio. See [`metered_realtime_runtime::SignallingClient`].
pub type SignallingClient = metered_realtime_runtime::SignallingClient<Tokio>;

/// Makes a [`SignallingClient`]. See [`metered_realtime_runtime::SignallingClientBuilder`].
pub type SignallingClientBuilder = metered_realtime_runtime::SignallingClientBuilder<Tokio>;

/// The tokio runtime that is current where a peer is made, with its I/O and time drivers.
///
/// Making a peer outside of a tokio runtime is an [`InvalidOption`] error that says so: make it inside, or enter a runtime's
/// handle before.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Tokio {}

impl Tokio {
    /// The current runtime.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Runtime for Tokio {
    type Timer = Sleep;
    type Udp = Udp;
    type Tcp = Compat<TcpStream>;

    fn unavailable(&self) -> Option<&'static str> {
        let outside = tokio::runtime::Handle::try_current().is_err();
        outside
            .then_some("a tokio runtime: build inside of #[tokio::main] or a task, or enter a runtime's Handle before")
    }

    fn now(&self) -> Instant {
        // Tokio's own clock, which tests may stop.
        tokio::time::Instant::now().into_std()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let _runs_detached = tokio::spawn(task);
    }

    fn timer(&self, at: Instant) -> Sleep {
        Sleep::until(at)
    }

    fn bind_udp(&self, address: SocketAddr) -> io::Result<Udp> {
        Udp::new(metered_realtime_runtime::runtime::bind_udp(address)?)
    }

    fn connect_tcp(&self, remote: SocketAddr) -> impl Future<Output = io::Result<Self::Tcp>> + Send + 'static {
        connect(remote)
    }

    fn resolve(&self, host: String) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static {
        look_up(host)
    }
}

async fn connect(remote: SocketAddr) -> io::Result<Compat<TcpStream>> {
    let stream = TcpStream::connect(remote).await?;
    stream.set_nodelay(true)?;
    Ok(stream.compat())
}

async fn look_up(host: String) -> io::Result<Vec<IpAddr>> {
    let addresses = tokio::net::lookup_host((host, 0)).await?;
    Ok(addresses.map(|address| address.ip()).collect())
}

/// The programs in the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
