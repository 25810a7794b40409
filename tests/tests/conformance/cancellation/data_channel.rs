//! What waits for a data channel, as a stream and a sink of messages and of bytes as well.

use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
use futures_util::{FutureExt as _, SinkExt, StreamExt as _};
use metered_realtime_runtime::{DataChannel, DataChannelMessage, DataChannelOptions, DataChannelState, Runtime};

use super::{POLLS, drop_after};
use crate::support::{Pair, next, pair, soon, until};

/// A channel that ada opened, on both sides.
async fn open<R: Runtime>(pair: &Pair<R>) -> (DataChannel, DataChannel) {
    let mut channels = pair.ada_for_ben.on_data_channel();
    let channel = soon(pair.ben_for_ada.open_data_channel(DataChannelOptions::default())).await.unwrap();
    let theirs = next(&mut channels).await;
    soon(channel.opened()).await.unwrap();
    (channel, theirs)
}

pub(crate) async fn a_receive_dropped_half_way_loses_no_message<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let mut data = pair.ben.on_data();
    let (channel, theirs) = open(&pair).await;
    for n in 0..100 {
        let waits = theirs.recv();
        let mut waits = Box::pin(waits);
        assert_eq!((&mut waits).now_or_never(), None);
        let mut hears = Box::pin(data.next());
        assert!((&mut hears).now_or_never().is_none());
        soon(channel.send(n.to_string())).await.unwrap();
        soon(pair.ada.send(&n)).await.unwrap();
        // Woken or not: nothing was taken out that was not given.
        drop((waits, hears));
        assert_eq!(soon(theirs.recv()).await, Some(Ok(DataChannelMessage::Text(n.to_string()))));
        assert_eq!(next(&mut data).await.data.get(), n.to_string());
    }
}

pub(crate) async fn a_close_of_a_channel_dropped_half_way_goes_on<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    for polls in POLLS {
        let (channel, theirs) = open(&pair).await;
        drop_after(polls, channel.close()).await;
        if polls == 0 {
            assert_eq!(channel.state(), DataChannelState::Open);
            soon(channel.close()).await;
        }
        soon(channel.closed()).await;
        soon(theirs.closed()).await;
    }
    until(|| pair.ben_for_ada.data_channels().is_empty() && pair.ada_for_ben.data_channels().is_empty()).await;
}

pub(crate) async fn a_stream_or_a_sink_dropped_half_way_loses_nothing<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let (mut sink, mut stream) = open(&pair).await;
    for polls in POLLS {
        assert_eq!(drop_after(polls, stream.next()).await, None);
        drop_after(polls, SinkExt::send(&mut sink, polls.to_string())).await;
        drop_after(polls, SinkExt::<String>::flush(&mut sink)).await;
        // Sent once it was polled.
        if polls > 0 {
            assert_eq!(soon(stream.next()).await, Some(Ok(DataChannelMessage::Text(polls.to_string()))));
        }
    }
    let (mut writer, mut reader) = (sink.byte_stream().unwrap(), stream.byte_stream().unwrap());
    let mut buffer = [0; 8];
    for polls in POLLS {
        assert!(drop_after(polls, reader.read(&mut buffer)).await.is_none());
        let written = drop_after(polls, writer.write(&[7; 3])).await;
        drop_after(polls, writer.flush()).await;
        if let Some(written) = written {
            let mut bytes = vec![0; written.unwrap()];
            soon(reader.read_exact(&mut bytes)).await.unwrap();
            assert_eq!(bytes, [7; 3]);
        }
    }
    drop_after(1, writer.close()).await;
    soon(writer.close()).await.unwrap();
    assert_eq!(soon(reader.read(&mut buffer)).await.unwrap(), 0);
    until(|| pair.ben_for_ada.data_channels().is_empty() && pair.ada_for_ben.data_channels().is_empty()).await;
}
