//! Media and data channels between two peers on this machine.

use std::time::Duration;

use crate::support::{meet, next, pair, peer, server, sleep, soon};
use metered_realtime_runtime::{
    Codec, ConnectionState, DataChannelError, DataChannelMessage, DataChannelOptions, DataChannelState, EncodedFrame,
    LocalStream, LocalTrack, MediaKind, Metadata, Runtime,
};

fn options(label: &str) -> DataChannelOptions {
    DataChannelOptions { label: label.to_owned(), ..Default::default() }
}

pub(crate) async fn a_data_channel_echoes<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let channel = soon(pair.ada.remote_peers()[0].open_data_channel(options("echo"))).await.unwrap();
    assert_eq!(channel.label(), "echo");
    // Sent before it is open, it waits.
    let first = channel.send("before");
    let mut channels = pair.ada_for_ben.on_data_channel();
    let (sent, theirs) = soon(async { tokio::join!(first, next(&mut channels)) }).await;
    sent.unwrap();
    assert_eq!(theirs.label(), "echo");
    assert!(theirs.info().opened_by_remote);
    soon(channel.opened()).await.unwrap();
    soon(channel.send(vec![1, 2, 3])).await.unwrap();
    for expected in [DataChannelMessage::Text("before".to_owned()), DataChannelMessage::Binary(vec![1, 2, 3].into())] {
        let message = soon(theirs.recv()).await.unwrap().unwrap();
        assert_eq!(message, expected);
        soon(theirs.send(message)).await.unwrap();
        assert_eq!(soon(channel.recv()).await, Some(Ok(expected)));
    }
    assert_eq!(pair.ben_for_ada.state(), ConnectionState::Connected);

    soon(channel.close()).await;
    soon(theirs.closed()).await;
    assert_eq!(soon(theirs.recv()).await, None);
    assert_eq!(theirs.state(), DataChannelState::Closed);
    assert!(matches!(soon(theirs.send("late")).await, Err(DataChannelError::Closed)));
}

pub(crate) async fn a_channel_that_came_before_anyone_looked_is_there_with_its_messages<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let channel = soon(pair.ben_for_ada.open_data_channel(options("early"))).await.unwrap();
    soon(channel.send("early bird")).await.unwrap();
    // The other side has it once the bytes are acknowledged.
    soon(async {
        while channel.buffered_amount().await > 0 || pair.ada_for_ben.data_channels().is_empty() {
            smol::future::yield_now().await;
        }
    })
    .await;
    let theirs = next(&mut pair.ada_for_ben.on_data_channel()).await;
    assert_eq!(soon(theirs.recv()).await, Some(Ok(DataChannelMessage::Text("early bird".to_owned()))));
}

pub(crate) async fn more_than_may_be_buffered_waits_its_turn_and_all_arrives<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let channel = soon(pair.ben_for_ada.open_data_channel(options("bulk"))).await.unwrap();
    let theirs = next(&mut pair.ada_for_ben.on_data_channel()).await;
    const MESSAGES: usize = 32;
    const SIZE: usize = 64 * 1024;
    let send = async {
        for _ in 0..MESSAGES {
            channel.send(vec![7; SIZE]).await.unwrap();
        }
    };
    let receive = async {
        let mut bytes = 0;
        for _ in 0..MESSAGES {
            bytes += theirs.recv().await.unwrap().unwrap().as_bytes().len();
        }
        bytes
    };
    let ((), bytes) = soon(async { tokio::join!(send, receive) }).await;
    assert_eq!(bytes, MESSAGES * SIZE);
}

pub(crate) async fn frames_reach_the_other_peer_with_stream_and_metadata<R: Runtime + Default>() {
    let server = server().await;
    let (ada, ben) = (peer::<R>(&server), peer::<R>(&server));
    let microphone = LocalTrack::audio();
    let stream = LocalStream::new([microphone.clone()]);
    let metadata = Metadata::from_json(r#"{"role":"voice"}"#).unwrap();
    soon(ada.add_stream(&stream, Some(metadata.clone()))).await.unwrap();
    assert_eq!(soon(ada.stream_metadata(&stream)).await, Some(metadata.clone()));
    assert_eq!(soon(ada.track_metadata(&microphone)).await, Some(metadata.clone()));
    let (_, ada_for_ben) = meet(&ada, &ben).await;

    // Nobody subscribes before the track is there: it must not be lost.
    soon(async {
        while ada_for_ben.tracks().is_empty() {
            smol::future::yield_now().await;
        }
    })
    .await;
    let track = next(&mut ada_for_ben.on_track()).await;
    assert_eq!((track.id(), track.kind(), track.stream_id()), (microphone.id(), MediaKind::Audio, Some(stream.id())));
    assert_eq!(track.metadata().as_ref(), Some(&metadata));
    let theirs = next(&mut ada_for_ben.on_stream_added()).await;
    assert_eq!((&theirs.id, &theirs.metadata), (stream.id(), &Some(metadata)));

    let mut timestamp = Duration::ZERO;
    let frame = soon(async {
        loop {
            tokio::select! {
                frame = track.recv() => return frame.unwrap(),
                () = sleep(Duration::from_millis(20)) => {
                    timestamp += Duration::from_millis(20);
                    let data = vec![0xf8, 0xff, 0xfe].into();
                    assert_eq!(microphone.write(EncodedFrame { codec: Codec::Opus, timestamp, data }), Ok(1));
                }
            }
        }
    })
    .await;
    assert_eq!((frame.codec, &*frame.data), (Codec::Opus, &[0xf8, 0xff, 0xfe][..]));

    let mut removed = ada_for_ben.on_track_removed();
    let mut streams_removed = ada_for_ben.on_stream_removed();
    soon(ada.remove_stream(&stream)).await.unwrap();
    assert_eq!(next(&mut removed).await, track);
    assert_eq!(next(&mut streams_removed).await.id, *stream.id());
    soon(async { while track.recv().await.is_some() {} }).await;
    assert_eq!(microphone.write(EncodedFrame { codec: Codec::Opus, timestamp, data: vec![1].into() }), Ok(0));
}

pub(crate) async fn one_track_serves_two_rooms_and_a_replaced_one_falls_silent<R: Runtime + Default>() {
    let server = server().await;
    let (one, two) = (peer::<R>(&server), peer::<R>(&server));
    let (old, new) = (LocalTrack::video(), LocalTrack::video());
    for peer in [&one, &two] {
        soon(peer.add_track(&old, None, None)).await.unwrap();
    }
    let frame = || EncodedFrame { codec: Codec::Vp8, timestamp: Duration::ZERO, data: vec![1].into() };
    assert_eq!(old.write(frame()), Ok(2));
    soon(one.replace_track(&old, Some(&new))).await.unwrap();
    assert_eq!((old.write(frame()), new.write(frame())), (Ok(1), Ok(1)));
    soon(one.replace_track(&new, None)).await.unwrap();
    soon(two.close()).await;
    assert_eq!((old.write(frame()), new.write(frame())), (Ok(0), Ok(0)));
}

pub(crate) async fn a_track_nobody_reads_holds_up_nothing<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let microphone = LocalTrack::audio();
    soon(pair.ada.add_track(&microphone, None, None)).await.unwrap();
    let unread = next(&mut pair.ada_for_ben.on_track()).await;
    let channel = soon(pair.ben_for_ada.open_data_channel(options("beside"))).await.unwrap();
    let theirs = next(&mut pair.ada_for_ben.on_data_channel()).await;
    let mut timestamp = Duration::ZERO;
    soon(async {
        while unread.dropped_frames() == 0 {
            timestamp += Duration::from_millis(20);
            microphone.write(EncodedFrame { codec: Codec::Opus, timestamp, data: vec![0xf8; 50].into() }).unwrap();
            // The echo goes round all the while.
            channel.send("ping").await.unwrap();
            assert_eq!(theirs.recv().await, Some(Ok(DataChannelMessage::Text("ping".to_owned()))));
        }
    })
    .await;
    assert!(!soon(unread.recv()).await.unwrap().contiguous, "what was dropped is a gap");
    assert_eq!(pair.ben_for_ada.state(), ConnectionState::Connected);
}
