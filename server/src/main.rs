//! The binary `metered-realtime-server`: the library of that name, with its options on the command line.

mod cli;
mod log_writer;
mod open_files;
mod signals;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use metered_realtime_server::{PublishableKey, RunningServer, Server, ServerConfig};
use tracing_subscriber::EnvFilter;

use cli::{Options, UsageError};
use log_writer::LogWriter;
use signals::StopSignal;

/// The key of development mode, so that a first try needs no options.
const DEVELOPMENT_KEY: &str = "pk_live_development";

/// The exit code for options that cannot be used, as clap has it too.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => return cli::explain(&error),
    };
    match start(&options) {
        Ok(code) => code,
        Err(Failure::Usage(error)) => {
            complain(&format!("error: {error}\n\nFor more information, try '--help'."));
            ExitCode::from(USAGE)
        }
        Err(Failure::Run(error)) => {
            complain(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

enum Failure {
    Usage(UsageError),
    Run(Box<dyn std::error::Error>),
}

fn start(options: &Options) -> Result<ExitCode, Failure> {
    let (mut config, filter) = options.read().map_err(Failure::Usage)?;
    let log = LogWriter::new(std::io::stderr()).map_err(|error| Failure::Run(error.into()))?;
    log_to(log.clone(), filter);
    let development = config.keys.is_empty() && config.secrets.is_empty();
    if development {
        config = config.key(PublishableKey::new(DEVELOPMENT_KEY));
    } else {
        options.warn(&config);
    }
    open_files::raise(config.limits.max_sockets());
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Failure::Run(error.into()))?;
    let outcome = runtime.block_on(serve(config, options, development)).map_err(Failure::Run);
    // Nothing is waited for any more.
    runtime.shutdown_background();
    log.finish();
    outcome
}

async fn serve(
    config: ServerConfig,
    options: &Options,
    development: bool,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let server = Server::bind(config, options.listen.as_str())
        .await
        .map_err(|error| format!("--listen {}: {error}", options.listen))?;
    // A parent that reads the line may stop the server at once, which must not kill it.
    let mut stop = StopSignal::catch()?;
    announce(&server, development)?;
    stop.received().await;
    tracing::info!("stopping; a second signal ends the server at once");
    Ok(tokio::select! {
        () = server.shutdown() => ExitCode::SUCCESS,
        () = stop.received() => {
            tracing::warn!("ended at once");
            ExitCode::FAILURE
        }
    })
}

fn announce(server: &RunningServer, development: bool) -> std::io::Result<()> {
    let hint =
        if development { format!(" (development key: {DEVELOPMENT_KEY}; loopback only)") } else { String::new() };
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}{hint}", server.url())?;
    out.flush()
}

fn log_to(log: LogWriter, filter: EnvFilter) {
    // Colours are for people: a file or a pipe gets none.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(log).init();
}

fn complain(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _outcome = writeln!(std::io::stderr(), "{text}");
}
