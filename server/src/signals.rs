//! Ctrl-C, SIGTERM and SIGHUP.

/// Ctrl-C and SIGTERM, caught from the moment this is made.
#[cfg(unix)]
pub(crate) struct StopSignal {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignal {
    pub(crate) fn catch() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ctrl-C, caught from the moment this is made.
#[cfg(windows)]
pub(crate) struct StopSignal(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl StopSignal {
    pub(crate) fn catch() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    /// Waits for the next one.
    pub(crate) async fn received(&mut self) {
        let _ctrl_c = self.0.recv().await;
    }
}

/// SIGHUP, caught from the moment this is made.
#[cfg(unix)]
pub(crate) struct HangUp(tokio::signal::unix::Signal);

#[cfg(unix)]
impl HangUp {
    pub(crate) fn catch() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one.
    pub(crate) async fn received(&mut self) {
        let _hang_up = self.0.recv().await;
    }
}

/// There is none.
#[cfg(windows)]
pub(crate) struct HangUp;

#[cfg(windows)]
impl HangUp {
    pub(crate) fn catch() -> std::io::Result<Self> {
        Ok(Self)
    }

    /// Waits for ever.
    pub(crate) async fn received(&mut self) {
        std::future::pending().await
    }
}
