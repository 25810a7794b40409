//! Commands from handles to the driver, each with the way back for its answer.

use std::collections::BTreeMap;

use futures_channel::oneshot;
use metered_realtime_core::RequestId;

/// Commands that may wait for the driver. A handle that finds the channel full waits in turn: commands are made by users
/// who await them, so there is someone to slow down.
pub(crate) const COMMANDS: usize = 256;

/// Where the answer to a command goes. Nobody need be waiting for it any more.
pub(crate) type Reply<T> = oneshot::Sender<T>;

/// Sends a command and waits for its answer. `None` if the driver is gone.
pub(crate) async fn ask<C, T>(commands: &async_channel::Sender<C>, command: impl FnOnce(Reply<T>) -> C) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    commands.send(command(reply)).await.ok()?;
    answer.await.ok()
}

/// As [`ask`], from a handle that does not keep the driver alive.
pub(crate) async fn ask_weak<C, T>(
    commands: &async_channel::WeakSender<C>,
    command: impl FnOnce(Reply<T>) -> C,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    let sender = commands.upgrade()?;
    sender.send(command(reply)).await.ok()?;
    // Not held while waiting for the answer: that could take long, and the last handle may be dropped meanwhile.
    drop(sender);
    answer.await.ok()
}

/// Answers, whether or not anybody waits.
pub(crate) fn answer<T>(reply: Reply<T>, value: T) {
    let _nobody_waits = reply.send(value);
}

/// Commands under way, by the request that the core made of each. The core bounds those, and ends each once.
pub(crate) struct Waiting<E>(BTreeMap<RequestId, Reply<Result<(), E>>>);

impl<E> Waiting<E> {
    pub(crate) fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The core has taken a command on, or refused it at once.
    pub(crate) fn begun(&mut self, reply: Reply<Result<(), E>>, begun: Result<RequestId, E>) {
        match begun {
            Ok(request) => {
                self.0.insert(request, reply);
            }
            Err(error) => answer(reply, Err(error)),
        }
    }

    /// A command has ended.
    pub(crate) fn done(&mut self, request: RequestId, result: Result<(), E>) {
        if let Some(reply) = self.0.remove(&request) {
            answer(reply, result);
        }
    }
}
