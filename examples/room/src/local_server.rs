//! A server on this machine.

use metered_realtime_server::{PublishableKey, RunningServer, Server, ServerConfig};
use tokio::runtime::{Builder, Runtime};

/// A server on a tokio runtime of its own, whatever runtime the peers are on.
pub(crate) struct LocalServer {
    url: String,
    /// Until it is dropped.
    running: Option<(Runtime, RunningServer)>,
}

impl LocalServer {
    pub(crate) async fn start(key: &'static str) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(|e| text(&e))?;
        let bind = Server::bind(ServerConfig::new().key(PublishableKey::new(key)), "127.0.0.1:0");
        let bound = runtime.spawn(bind).await;
        match bound.map_err(|e| text(&e)).and_then(|bound| bound.map_err(|e| text(&e))) {
            Ok(server) => Ok(Self { url: server.url(), running: Some((runtime, server)) }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Tells the clients, and ends.
    pub(crate) async fn stop(mut self) {
        if let Some((runtime, server)) = self.running.take() {
            let _ended = runtime.spawn(server.shutdown()).await;
            runtime.shutdown_background();
        }
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        if let Some((runtime, _server)) = self.running.take() {
            // Waiting for its threads would block the caller's.
            runtime.shutdown_background();
        }
    }
}
