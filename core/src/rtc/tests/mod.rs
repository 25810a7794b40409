//! Two connections over a simulated signalling channel and a simulated link, and one against written descriptions.

mod agreed;
mod browser;
mod codecs;
mod corpus;
mod data;
mod dtls;
mod flow;
mod hostile;
mod lateness;
mod media;
mod negotiation;
mod opening;
mod opening_time;
mod outage;
mod pair;
mod random;
#[cfg(feature = "openssl")]
mod rsa;
mod shapes;
