//! A peer in a room, from the command line.
//!
//! Without arguments it shows the whole of it on this machine: a server, two peers, presence, messages, a data channel
//! and live sound. With `--key` or `--token` it joins a room of a real service, plays files to it and records it.

mod demo;
mod guest;
mod media_file;
mod play;
mod record;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use media_file::MediaReader;

/// Joins a room, shows what happens in it, plays files to it and records it. Without arguments: a demonstration that
/// needs no network.
#[derive(Parser)]
struct Arguments {
    /// The server's origin, `wss://…`, or `ws://…` on this machine. The service's own if absent.
    #[arg(long)]
    url: Option<String>,
    /// A publishable key, `pk_live_…`.
    #[arg(long, conflicts_with = "token")]
    key: Option<String>,
    /// A token for this peer. A reconnect uses it again, as long as it lasts.
    #[arg(long)]
    token: Option<String>,
    /// The room to join.
    #[arg(long, default_value = "room-42")]
    room: String,
    /// A file to stream to everyone in real time: Ogg with Opus, or IVF with VP8. May be given more than once.
    #[arg(long, value_name = "FILE")]
    play: Vec<PathBuf>,
    /// Begin a file again when it ends.
    #[arg(long, requires = "play")]
    repeat: bool,
    /// A directory for what each remote peer sends, a file for each track.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Offer this machine's loopback addresses to peers.
    #[arg(long)]
    loopback: bool,
}

/// Something is wrong with what was asked for: a line for standard error, and exit code 2.
struct Usage(String);

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let outcome = match credential(&arguments) {
        Ok(Some(credential)) => match open_files(&arguments.play) {
            Ok(files) => guest::run(arguments, credential, files).await,
            Err(usage) => Err(guest::Failure::Usage(usage)),
        },
        Ok(None) => demo::run().await.map_err(guest::Failure::Other),
        Err(usage) => Err(guest::Failure::Usage(usage)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(guest::Failure::Usage(Usage(line))) => {
            report::complain(&line);
            ExitCode::from(2)
        }
        Err(guest::Failure::Other(line)) => {
            report::complain(&line);
            ExitCode::FAILURE
        }
    }
}

/// What the peer identifies itself with.
enum Credential {
    Key(String),
    Token(String),
}

/// The credential that was given; none if nothing was given at all.
fn credential(arguments: &Arguments) -> Result<Option<Credential>, Usage> {
    match (&arguments.key, &arguments.token) {
        (Some(key), _) => Ok(Some(Credential::Key(key.clone()))),
        (None, Some(token)) => Ok(Some(Credential::Token(token.clone()))),
        (None, None) => {
            let needs_room = arguments.url.is_some() || !arguments.play.is_empty() || arguments.record.is_some();
            if needs_room { Err(Usage("--url, --play and --record need --key or --token".into())) } else { Ok(None) }
        }
    }
}

/// Opens every file before anything is connected.
fn open_files(paths: &[PathBuf]) -> Result<Vec<play::Source>, Usage> {
    let open = |path: &PathBuf| {
        let reader = MediaReader::open(path).map_err(|error| Usage(error.to_string()))?;
        Ok(play::Source::new(path.clone(), reader))
    };
    paths.iter().map(open).collect()
}
