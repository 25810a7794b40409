//! The binary `metered-realtime-server`: the library of that name, with its options on the command line.

mod cli;
mod log_writer;
mod open_files;
mod secrets;
mod signals;
mod token;
mod usage;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use metered_realtime_server::{RunningServer, Server, ServerConfig};
use tracing_subscriber::EnvFilter;

use cli::{Command, DEVELOPMENT_KEY, LogFormat, Options, USAGE};
use log_writer::LogWriter;
use signals::{HangUp, StopSignal};
use usage::UsageError;

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
    if let Some(Command::Token(token)) = &options.command {
        let token = token.mint().map_err(Failure::Usage)?;
        writeln!(std::io::stdout(), "{token}").map_err(|error| Failure::Run(error.into()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (config, filter, development) = options.read().map_err(Failure::Usage)?;
    let log = LogWriter::new(std::io::stderr()).map_err(|error| Failure::Run(error.into()))?;
    log_to(log.clone(), filter, options.log_format);
    if !development {
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
    let mut hang_up = HangUp::catch()?;
    announce(&server, development)?;
    loop {
        tokio::select! {
            () = stop.received() => break,
            () = hang_up.received() => reload(&server, options),
        }
    }
    tracing::info!("stopping; a second signal ends the server at once");
    Ok(tokio::select! {
        () = server.shutdown() => ExitCode::SUCCESS,
        () = stop.received() => {
            tracing::warn!("ended at once");
            ExitCode::FAILURE
        }
    })
}

/// Reads the configuration again. What is wrong with it is logged, and the former stays.
fn reload(server: &RunningServer, options: &Options) {
    let done = options.read().map_err(|error| error.to_string()).and_then(|(config, _, development)| {
        server.reload(&config).map_err(|error| error.to_string())?;
        if !development {
            options.warn(&config);
        }
        Ok(config)
    });
    match done {
        Ok(config) => tracing::info!(
            keys = config.keys.len(),
            secrets = config.secrets.len(),
            relays = config.turn.len(),
            "keys, secrets, relays, quotas and certificate are read again; limits stay as they are"
        ),
        Err(error) => tracing::error!(%error, "the configuration cannot be used; the former stays"),
    }
}

fn announce(server: &RunningServer, development: bool) -> std::io::Result<()> {
    let hint =
        if development { format!(" (development key: {DEVELOPMENT_KEY}; loopback only)") } else { String::new() };
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}{hint}", server.url())?;
    out.flush()
}

fn log_to(log: LogWriter, filter: EnvFilter, format: LogFormat) {
    // Colours are for people: a file or a pipe gets none.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log);
    match format {
        LogFormat::Text => subscriber.with_ansi(colours).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
}

fn complain(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _outcome = writeln!(std::io::stderr(), "{text}");
}
