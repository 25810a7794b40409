//! The builder of room peers.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use metered_realtime_core::ice::IceTransportPolicy;
use metered_realtime_core::peer::{JoinError, MeteredPeerOptions};
use metered_realtime_core::protocol::IceServer;
use metered_realtime_core::rtc::BandwidthEstimation;
use metered_realtime_core::signalling::{Credentials, ReconnectOptions, SignallingOptions};
use metered_realtime_core::{InvalidOption, Secret};
use rustls::crypto::CryptoProvider;

use super::{check_runtime, seed};
use crate::drive::Driver;
use crate::events::{DEFAULT_EVENT_CAPACITY, Events};
use crate::net::{InvalidCertificates, Tls, TlsOptions};
use crate::peer::{Event, MeteredPeer, PeerDriver};
use crate::reply::COMMANDS;
use crate::runtime::Runtime;
use crate::token::TokenProvider;
use crate::track::OUTBOUND_FRAMES;

fn signalling(options: &mut MeteredPeerOptions) -> &mut SignallingOptions {
    &mut options.signalling
}

/// Why [`MeteredPeerBuilder::join`] failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The peer was not built.
    #[error(transparent)]
    InvalidOption(#[from] InvalidOption),
    /// The room was not joined.
    #[error(transparent)]
    Join(#[from] JoinError),
}

builder! {
    /// Makes a [`MeteredPeer`].
    MeteredPeerBuilder makes "peer" MeteredPeer with MeteredPeerOptions,
    signalling
}

impl<R> MeteredPeerBuilder<R> {
    /// Whether to offer this machine's loopback addresses to peers, for peers on one machine. Default false.
    pub fn loopback_candidates(mut self, offer: bool) -> Self {
        self.options.loopback_candidates = offer;
        self
    }

    /// A STUN or TURN server to use beside those that the server lists for us, and before them; at most 16.
    pub fn ice_server(mut self, server: IceServer) -> Self {
        self.options.ice_servers.push(server);
        self
    }

    /// Which candidates are offered to peers: all, or those of TURN servers alone, so that peers learn no address of ours.
    /// Default all.
    pub fn ice_transport_policy(mut self, policy: IceTransportPolicy) -> Self {
        self.options.ice_transport_policy = policy;
        self
    }

    /// Estimates the bandwidth to each peer, for encoders that follow it: see [`BandwidthEstimation`]. Default not.
    pub fn bandwidth_estimation(mut self, estimation: BandwidthEstimation) -> Self {
        self.options.bandwidth_estimation = Some(estimation);
        self
    }

    /// How often the numbers of each connection are taken for [`RemotePeer::stats`](crate::RemotePeer::stats), from
    /// 100 ms to an hour. Default not at all, which costs nothing.
    pub fn stats_interval(mut self, interval: Duration) -> Self {
        self.options.stats_interval = Some(interval);
        self
    }

    /// How long nothing may come from a peer before the connection to it counts as lost, and is restarted: from 5 s to 24 s.
    /// Default 24 s. A live peer gives a sign of life every 3 s; short times give false alarms on lossy networks.
    pub fn disconnect_timeout(mut self, timeout: Duration) -> Self {
        self.options.disconnect_timeout = timeout;
        self
    }

    /// How many audio packets after a missing one arrive before the missing one is given up, from 1 to 15. Default 3.
    ///
    /// Audio is not retransmitted: a lost packet holds up the next one by 40 ms by default, in general by 20 ms for each packet
    /// but one. With 1 nothing waits, and a packet that was overtaken by another is dropped.
    pub fn audio_reordering(mut self, packets: u8) -> Self {
        self.options.audio_reordering = packets;
        self
    }

    /// How long a remote peer that left may take to return and count as the same stay: it is not reported as left, and returns
    /// with a connection reset. Only peers with a token return with their id. At most 60 s. Default zero.
    pub fn peer_grace(mut self, grace: Duration) -> Self {
        self.options.peer_grace = grace;
        self
    }

    /// How long [`close`](MeteredPeer::close) waits for the remote peers to acknowledge the data channel messages that
    /// were accepted: at most a minute; with zero they are lost. Default 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.options.close_timeout = timeout;
        self
    }

    /// Builds the peer on the default runtime, subscribes to its events, and joins a room: no event is missed.
    ///
    /// Cancellation: the peer is dropped and leaves.
    ///
    /// # Errors
    /// [`StartError`]: an option that cannot be, or why the room could not be joined.
    pub async fn join(self, channel: impl AsRef<str>) -> Result<(MeteredPeer<R>, Events<Event>), StartError>
    where
        R: Runtime + Default,
    {
        self.join_on(R::default(), channel).await
    }

    /// [`join`](Self::join), on this runtime.
    ///
    /// Cancellation: the peer is dropped and leaves.
    ///
    /// # Errors
    /// [`StartError`]: an option that cannot be, or why the room could not be joined.
    pub async fn join_on(
        self,
        runtime: R,
        channel: impl AsRef<str>,
    ) -> Result<(MeteredPeer<R>, Events<Event>), StartError>
    where
        R: Runtime,
    {
        let peer = self.build_on(runtime)?;
        let events = peer.events();
        peer.join(channel).await?;
        Ok((peer, events))
    }

    /// Makes the peer, on this runtime. Nothing is connected yet.
    ///
    /// # Errors
    /// [`InvalidOption`] names the option that cannot be, and what is allowed.
    pub fn build_on(mut self, runtime: R) -> Result<MeteredPeer<R>, InvalidOption>
    where
        R: Runtime,
    {
        let (options, tokens) = self.checked()?;
        let (commands, commands_in) = async_channel::bounded(COMMANDS);
        let (frames, frames_in) = async_channel::bounded(OUTBOUND_FRAMES);
        let (driver, shared) = PeerDriver::new(options, seed(), self.event_capacity, commands.downgrade(), frames)?;
        check_runtime(&runtime)?;
        runtime.spawn(Driver::new(runtime.clone(), Tls::new(self.tls), driver, tokens, commands_in, frames_in).run());
        Ok(MeteredPeer::from_parts(commands, shared))
    }
}
