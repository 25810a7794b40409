//! Commands from handles to the driver, each with the way back for its answer.

use futures_channel::oneshot;

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
