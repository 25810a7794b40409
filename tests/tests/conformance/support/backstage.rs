//! A tokio runtime for what the scenarios need around the peers: the server and proxies are tokio's, whatever the peers run
//! on.

use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};

static BACKSTAGE: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

/// The future's output; it runs on that runtime, and may be awaited on any.
pub(crate) async fn backstage<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    BACKSTAGE.spawn(future).await.unwrap()
}
