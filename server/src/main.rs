//! The binary `metered-realtime-server`: the library of that name, with its options on the command line.

mod cli;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use metered_realtime_server::{PublishableKey, RunningServer, Server, ServerConfig};
use tracing_subscriber::EnvFilter;

use cli::{Options, UsageError};

/// What is taken when neither a key nor a secret is given, so that a first try needs no options.
const DEVELOPMENT_KEY: &str = "pk_live_development";

/// The exit code for options that cannot be used, as clap has it too.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => return cli::explain(&error),
    };
    match start(&options) {
        Ok(()) => ExitCode::SUCCESS,
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

fn start(options: &Options) -> Result<(), Failure> {
    let (mut config, filter) = options.read().map_err(Failure::Usage)?;
    log_to_stderr(filter);
    let development = config.keys.is_empty() && config.secrets.is_empty();
    if development {
        config = config.key(PublishableKey::new(DEVELOPMENT_KEY));
    }
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Failure::Run(error.into()))?;
    runtime.block_on(serve(config, options, development)).map_err(Failure::Run)
}

async fn serve(config: ServerConfig, options: &Options, development: bool) -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::bind(config, options.listen.as_str())
        .await
        .map_err(|error| format!("--listen {}: {error}", options.listen))?;
    // Whoever reads the line may stop the server at once: it must not die of it.
    let stop = StopSignal::catch()?;
    announce(&server, development)?;
    stop.received().await;
    server.shutdown().await;
    Ok(())
}

fn announce(server: &RunningServer, development: bool) -> std::io::Result<()> {
    let hint = if development { format!(" (development key: {DEVELOPMENT_KEY})") } else { String::new() };
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}{hint}", server.url())?;
    out.flush()
}

fn log_to_stderr(filter: EnvFilter) {
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn complain(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _outcome = writeln!(std::io::stderr(), "{text}");
}

/// Ctrl-C and SIGTERM, caught from the moment this is made.
#[cfg(unix)]
struct StopSignal {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignal {
    fn catch() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn received(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ctrl-C, caught from the moment this is made.
#[cfg(windows)]
struct StopSignal(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl StopSignal {
    fn catch() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn received(mut self) {
        let _ctrl_c = self.0.recv().await;
    }
}
