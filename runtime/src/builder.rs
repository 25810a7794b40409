//! How peers and clients are made: exactly one credential, checked options, and a driver that is started.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use metered_realtime_core::ice::IceTransportPolicy;
use metered_realtime_core::peer::MeteredPeerOptions;
use metered_realtime_core::protocol::IceServer;
use metered_realtime_core::rtc::BandwidthEstimation;
use metered_realtime_core::signalling::{Credentials, ReconnectOptions, SignallingOptions};
use metered_realtime_core::{InvalidOption, Secret};

use crate::drive::Driver;
use crate::events::DEFAULT_EVENT_CAPACITY;
use crate::net::{InvalidCertificates, Roots};
use crate::peer::{Driven, MeteredPeer};
use crate::reply::COMMANDS;
use crate::runtime::Runtime;
use crate::signalling::{self, SignallingClient};
use crate::token::TokenProvider;
use crate::track::OUTBOUND_FRAMES;

/// The seed of what the core draws by lot.
fn seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1
}

fn check_runtime(runtime: &impl Runtime) -> Result<(), InvalidOption> {
    match runtime.unavailable() {
        Some(allowed) => Err(InvalidOption { option: "runtime", value: "none".to_owned(), allowed }),
        None => Ok(()),
    }
}

fn of_peer(options: &mut MeteredPeerOptions) -> &mut SignallingOptions {
    &mut options.signalling
}

fn itself(options: &mut SignallingOptions) -> &mut SignallingOptions {
    options
}

macro_rules! builder {
    ($(#[$doc:meta])* $name:ident makes $noun:literal $made:ident with $options:ty, $signalling:expr) => {
        $(#[$doc])*
        #[must_use = "nothing is made before `build`"]
        pub struct $name<R> {
            options: $options,
            credentials: Credentials,
            tokens: Option<TokenProvider>,
            event_capacity: usize,
            roots: Roots,
            runtime: PhantomData<fn() -> R>,
        }

        impl<R> $made<R> {
            #[doc = concat!("A ", $noun, " that connects with a publishable key, `pk_live_…`. The server gives it a new id on every")]
            /// connect.
            pub fn api_key(key: impl Into<Secret>) -> $name<R> {
                $name::api_key(key.into())
            }

            #[doc = concat!("A ", $noun, " that asks for a token before every connect. The token's `sub` is its id.")]
            ///
            /// The provider is asked again whenever it fails. Its error is a [`ProviderError`](crate::ProviderError), the
            /// source of the [`TokenError`](crate::TokenError) that tells of it.
            pub fn token_provider<P, F, T, E>(provider: P) -> $name<R>
            where
                P: Fn() -> F + Send + Sync + 'static,
                F: Future<Output = Result<T, E>> + Send + 'static,
                T: Into<Secret>,
                E: Into<Box<dyn std::error::Error + Send + Sync>>,
            {
                $name::token_provider(TokenProvider::new(provider))
            }
        }

        impl<R> $name<R> {
            pub(crate) fn api_key(key: Secret) -> Self {
                Self::new(SignallingOptions::api_key(key), None)
            }

            pub(crate) fn token_provider(provider: TokenProvider) -> Self {
                Self::new(SignallingOptions::token_provider(), Some(provider))
            }

            fn new(options: SignallingOptions, tokens: Option<TokenProvider>) -> Self {
                Self {
                    credentials: options.credentials.clone(),
                    options: options.into(),
                    tokens,
                    event_capacity: DEFAULT_EVENT_CAPACITY,
                    roots: Roots::default(),
                    runtime: PhantomData,
                }
            }

            /// The server's origin: `wss://…`, or `ws://…` on this machine only. Default `wss://rms.metered.ca`.
            pub fn url(mut self, origin: impl Into<String>) -> Self {
                $signalling(&mut self.options).url = origin.into();
                self
            }

            /// Whether to connect again after a drop. Default true.
            pub fn auto_reconnect(mut self, reconnect: bool) -> Self {
                $signalling(&mut self.options).auto_reconnect = reconnect;
                self
            }

            /// How long to wait between attempts to reconnect, and how often to try.
            pub fn reconnect(mut self, reconnect: ReconnectOptions) -> Self {
                $signalling(&mut self.options).reconnect = reconnect;
                self
            }

            /// Close and reconnect if nothing arrives for this long; zero: never. Default 60 s.
            pub fn inactivity_timeout(mut self, timeout: Duration) -> Self {
                $signalling(&mut self.options).inactivity_timeout = timeout;
                self
            }

            /// How long the token provider may take. Default 10 s.
            pub fn token_provider_timeout(mut self, timeout: Duration) -> Self {
                $signalling(&mut self.options).token_provider_timeout = timeout;
                self
            }

            /// How many events wait for one slow reader before the oldest are dropped; at least 1. Default 1024.
            pub fn event_capacity(mut self, events: usize) -> Self {
                self.event_capacity = events;
                self
            }

            /// Trusts these certificates, in PEM form, beside the system's roots: for `wss:` and for `turns:`. Replaces
            /// those of an earlier call.
            ///
            /// # Errors
            /// [`InvalidCertificates`] if there is none, or one that cannot be a root.
            pub fn root_certificates(mut self, pem: &[u8]) -> Result<Self, InvalidCertificates> {
                self.roots = Roots::with(pem)?;
                Ok(self)
            }

            /// Takes all options at once, or changes any of them. The credentials stay what they were made with.
            pub fn configure(mut self, change: impl FnOnce(&mut $options)) -> Self {
                change(&mut self.options);
                self
            }

            /// Makes it, on the default runtime. Nothing is connected yet.
            ///
            /// # Errors
            /// [`InvalidOption`] names the option that cannot be, and what is allowed. Outside of a runtime the option is
            /// `runtime`.
            pub fn build(self) -> Result<$made<R>, InvalidOption>
            where
                R: Runtime + Default,
            {
                self.build_on(R::default())
            }

            fn checked(&mut self) -> Result<($options, Option<TokenProvider>), InvalidOption> {
                if self.event_capacity == 0 {
                    return Err(InvalidOption {
                        option: "event_capacity",
                        value: "0".to_owned(),
                        allowed: "at least 1",
                    });
                }
                let mut options = self.options.clone();
                $signalling(&mut options).credentials = self.credentials.clone();
                Ok((options, self.tokens.take()))
            }
        }

        impl<R> fmt::Debug for $name<R> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("options", &self.options).finish_non_exhaustive()
            }
        }
    };
}

builder! {
    /// Makes a [`MeteredPeer`].
    MeteredPeerBuilder makes "peer" MeteredPeer with MeteredPeerOptions,
    of_peer
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

    /// How long [`close`](MeteredPeer::close) waits for the remote peers to acknowledge the data channel messages that
    /// were accepted: at most a minute; with zero they are lost. Default 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.options.close_timeout = timeout;
        self
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
        let (driven, shared) = Driven::new(options, seed(), self.event_capacity, commands.downgrade(), frames)?;
        check_runtime(&runtime)?;
        runtime.spawn(Driver::new(runtime.clone(), self.roots, driven, tokens, commands_in, frames_in).run());
        Ok(MeteredPeer::from_parts(commands, shared))
    }
}

builder! {
    /// Makes a [`SignallingClient`].
    SignallingClientBuilder makes "client" SignallingClient with SignallingOptions,
    itself
}

impl<R> SignallingClientBuilder<R> {
    /// Whether to subscribe again, after a reconnect, to what was subscribed to before. Default true.
    pub fn auto_resubscribe(mut self, resubscribe: bool) -> Self {
        self.options.auto_resubscribe = resubscribe;
        self
    }

    /// Makes the client, on this runtime. Nothing is connected yet.
    ///
    /// # Errors
    /// [`InvalidOption`] names the option that cannot be, and what is allowed.
    pub fn build_on(mut self, runtime: R) -> Result<SignallingClient<R>, InvalidOption>
    where
        R: Runtime,
    {
        let (options, tokens) = self.checked()?;
        let (commands, commands_in) = async_channel::bounded(COMMANDS);
        // A client has no tracks: nothing is ever sent in here.
        let (_, frames_in) = async_channel::bounded(1);
        let (driven, shared) = signalling::Driven::new(options, seed(), self.event_capacity)?;
        check_runtime(&runtime)?;
        runtime.spawn(Driver::new(runtime.clone(), self.roots, driven, tokens, commands_in, frames_in).run());
        Ok(SignallingClient::from_parts(commands, shared))
    }
}
