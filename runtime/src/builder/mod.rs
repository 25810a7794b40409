//! How peers and clients are made: exactly one credential, checked options, and a driver that is started.

use metered_realtime_core::InvalidOption;

use crate::runtime::Runtime;

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

macro_rules! builder {
    ($(#[$doc:meta])* $name:ident makes $noun:literal $made:ident with $options:ty, $signalling:expr) => {
        $(#[$doc])*
        #[must_use = "nothing is made before `build`"]
        pub struct $name<R> {
            options: $options,
            credentials: Credentials,
            tokens: Option<TokenProvider>,
            event_capacity: usize,
            tls: TlsOptions,
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
                    tls: TlsOptions::default(),
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

            /// Whether a first connect that fails is tried again as a reconnect is, unless the server refuses it for good: for
            /// devices that start before their network. Default false.
            pub fn retry_first_connect(mut self, retry: bool) -> Self {
                $signalling(&mut self.options).retry_first_connect = retry;
                self
            }

            /// Whether `ws:` is allowed to any host. The credential and all messages then travel in clear: for closed networks
            /// alone. Default false.
            pub fn allow_insecure(mut self, allow: bool) -> Self {
                $signalling(&mut self.options).allow_insecure = allow;
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

            /// Trusts these certificates, in PEM form, beside the usual roots: for `wss:` and for `turns:`. The usual roots are
            /// the system's (feature `native-roots`), and Mozilla's where the system has none (`webpki-roots`). Replaces
            /// those of an earlier call.
            ///
            /// # Errors
            /// [`InvalidCertificates`] if there is none, or one that cannot be a root.
            pub fn root_certificates(mut self, pem: &[u8]) -> Result<Self, InvalidCertificates> {
                self.tls.trust(pem)?;
                Ok(self)
            }

            /// Whose cryptography TLS uses, for `wss:` and for `turns:`. Default: OpenSSL's with the feature `openssl`, AWS-LC's
            /// with the feature `aws-lc-rs`, and without either the default of the process
            /// ([`CryptoProvider::install_default`]). WebRTC is not concerned: it has the cryptography that features choose.
            pub fn tls_provider(mut self, provider: impl Into<Arc<CryptoProvider>>) -> Self {
                self.tls.set_provider(provider.into());
                self
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
            /// `runtime`; without a provider of TLS, and a URL that needs one, it is `tls_provider`.
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
                let needs_tls = $signalling(&mut self.options).url.starts_with("wss:");
                if needs_tls && !self.tls.has_provider() {
                    return Err(InvalidOption {
                        option: "tls_provider",
                        value: "none".to_owned(),
                        allowed: "a provider of rustls: of the builder, the process, or the features aws-lc-rs or openssl",
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

#[cfg(feature = "webrtc")]
mod peer;
mod signalling;

#[cfg(feature = "webrtc")]
pub use peer::{MeteredPeerBuilder, StartError};
pub use signalling::SignallingClientBuilder;
