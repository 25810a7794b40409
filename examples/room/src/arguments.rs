//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::media_file::MediaReader;
use crate::play::Source;

/// Joins a room, shows what happens in it, plays files to it and records it. Without arguments: a demonstration that
/// needs no network.
#[derive(Parser)]
pub(crate) struct Arguments {
    /// The server's origin, `wss://…`, or `ws://…` on this machine. The service's own if absent.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// A publishable key, `pk_live_…`.
    #[arg(long, conflicts_with = "token")]
    key: Option<String>,
    /// A token for this peer. A reconnect uses it again, as long as it lasts.
    #[arg(long)]
    token: Option<String>,
    /// The room to join.
    #[arg(long, default_value = "room-42")]
    pub(crate) room: String,
    /// A file to stream to everyone in real time: Ogg with Opus, or IVF with VP8. May be given more than once.
    #[arg(long, value_name = "FILE")]
    play: Vec<PathBuf>,
    /// Begin a file again when it ends.
    #[arg(long, requires = "play")]
    pub(crate) repeat: bool,
    /// A directory for what each remote peer sends, a file for each track.
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,
    /// Offer this machine's loopback addresses to peers.
    #[arg(long)]
    pub(crate) loopback: bool,
}

/// The command line cannot be used: a line for standard error, and exit code 2.
pub(crate) struct Usage(pub(crate) String);

/// What the peer identifies itself with.
pub(crate) enum Credential {
    Key(String),
    Token(String),
}

impl Arguments {
    /// The credential that was given; none if nothing was given at all.
    pub(crate) fn credential(&self) -> Result<Option<Credential>, Usage> {
        match (&self.key, &self.token) {
            (Some(key), _) => Ok(Some(Credential::Key(key.clone()))),
            (None, Some(token)) => Ok(Some(Credential::Token(token.clone()))),
            (None, None) => {
                let needs_room = self.url.is_some() || !self.play.is_empty() || self.record.is_some();
                if needs_room {
                    Err(Usage("--url, --play and --record need --key or --token".into()))
                } else {
                    Ok(None)
                }
            }
        }
    }

    /// Opens every file before anything is connected.
    pub(crate) fn open_files(&self) -> Result<Vec<Source>, Usage> {
        let open = |path: &PathBuf| {
            let reader = MediaReader::open(path).map_err(|error| Usage(error.to_string()))?;
            Ok(Source::new(path.clone(), reader))
        };
        self.play.iter().map(open).collect()
    }
}
