//! Messages of the room, read as a type of the user's.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use metered_realtime_core::PeerId;
use metered_realtime_core::peer::{MeteredData, MeteredDataKind};
use metered_realtime_core::protocol::{Metadata, PayloadError};
use serde::de::DeserializeOwned;

use crate::events::Events;

/// Messages of a room, read as `T`: see [`MeteredPeer::on_data_as`](crate::MeteredPeer::on_data_as).
#[must_use = "messages are kept for it as long as it lives"]
pub struct TypedDataEvents<T> {
    data: Events<MeteredData>,
    read_as: PhantomData<fn() -> T>,
}

/// A message through the server, read as `T`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypedData<T> {
    /// The sender, as the server says. Trust this, not a name inside the value.
    pub sender: PeerId,
    /// The value.
    pub value: T,
    /// Whether it was sent to the room or to the local peer alone.
    pub kind: MeteredDataKind,
    /// The sender's `peerMetadata`: on broadcasts if asked for when joining, on directs whenever the sender has it.
    pub sender_metadata: Option<Metadata>,
}

/// A message that is not a `T`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("a message from {} is not of the type that was asked for", data.sender)]
pub struct UnexpectedData {
    /// The message as it came.
    pub data: MeteredData,
    /// The reason.
    #[source]
    pub error: PayloadError,
}

impl<T: DeserializeOwned> TypedDataEvents<T> {
    pub(super) fn new(data: Events<MeteredData>) -> Self {
        Self { data, read_as: PhantomData }
    }

    /// The next message, or `None` at the end. Cancellation safe.
    pub async fn next(&mut self) -> Option<Result<TypedData<T>, UnexpectedData>> {
        self.data.next().await.map(read)
    }

    /// The number of messages lost because the reader was too slow.
    pub fn missed(&self) -> u64 {
        self.data.missed()
    }
}

fn read<T: DeserializeOwned>(data: MeteredData) -> Result<TypedData<T>, UnexpectedData> {
    match data.decode() {
        Ok(value) => {
            let MeteredData { sender, kind, sender_metadata, .. } = data;
            Ok(TypedData { sender, value, kind, sender_metadata })
        }
        Err(error) => Err(UnexpectedData { data, error }),
    }
}

impl<T: DeserializeOwned> Stream for TypedDataEvents<T> {
    type Item = Result<TypedData<T>, UnexpectedData>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(ready!(Pin::new(&mut self.data).poll_next(cx)).map(read))
    }
}

impl<T> fmt::Debug for TypedDataEvents<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedDataEvents").field("data", &self.data).finish()
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use metered_realtime_core::protocol::Payload;

    use super::*;
    use crate::events::Hub;

    #[test]
    fn what_does_not_fit_is_reported_and_the_stream_goes_on() {
        let hub = Hub::new(8);
        let mut typed = TypedDataEvents::<u32>::new(hub.subscribe(|data: &MeteredData| Some(data.clone())));
        let sender = PeerId::new("ada").unwrap();
        for text in ["1", "\"two\"", "3"] {
            let data = Payload::from_json(text).unwrap();
            let kind = MeteredDataKind::Direct;
            hub.publish(&MeteredData { sender: sender.clone(), data, kind, sender_metadata: None });
        }
        hub.close();
        let mut next = || block_on(typed.next());
        assert_eq!(next().unwrap().unwrap().value, 1);
        let error = next().unwrap().unwrap_err();
        assert_eq!(error.data.data.get(), "\"two\"");
        assert!(!error.to_string().contains("two"));
        assert_eq!(next().unwrap().unwrap().value, 3);
        assert_eq!(next(), None);
    }
}
