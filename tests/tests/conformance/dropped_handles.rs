//! Handles that are dropped, doubled or kept too long, and futures that are dropped half-way.

use std::time::Duration;

use crate::support::{next, pair, soon, until};
use futures_util::{FutureExt, SinkExt, StreamExt};
use metered_realtime_runtime::{
    Codec, ConnectionState, DataChannelError, DataChannelMessage, DataChannelOptions, DataChannelState, Demand,
    EncodedFrame, LocalTrack, OpenChannelError, RestartIceError, Runtime, TrackError,
};

fn labelled(label: &str) -> DataChannelOptions {
    DataChannelOptions { label: label.to_owned(), ..Default::default() }
}

pub(crate) async fn ice_is_restarted_without_an_interruption<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    assert_eq!(soon(pair.ben_for_ada.restart_ice()).await, Err(RestartIceError::Idle));
    let channel = soon(pair.ben_for_ada.open_data_channel(labelled("x"))).await.unwrap();
    let theirs = next(&mut pair.ada_for_ben.on_data_channel()).await;
    soon(channel.opened()).await.unwrap();
    let mut changes = pair.ben_for_ada.state_changes();
    for side in [&pair.ben_for_ada, &pair.ada_for_ben] {
        assert_eq!(soon(side.restart_ice()).await, Ok(()));
        for n in 0..20 {
            soon(channel.send(format!("{n}"))).await.unwrap();
            assert_eq!(soon(theirs.recv()).await, Some(Ok(DataChannelMessage::Text(n.to_string()))));
            smol::future::yield_now().await;
        }
    }
    assert_eq!(pair.ben_for_ada.state(), ConnectionState::Connected);
    assert!(changes.next().now_or_never().is_none());
    soon(pair.ben.close()).await;
    until(|| pair.ada.remote_peers().is_empty()).await;
    assert_eq!(soon(pair.ben_for_ada.restart_ice()).await, Err(RestartIceError::Closed));
    assert_eq!(soon(pair.ben_for_ada.open_data_channel(labelled("y"))).await.unwrap_err(), OpenChannelError::Closed);
    soon(pair.ada.close()).await;
    assert_eq!(soon(pair.ben_for_ada.restart_ice()).await, Err(RestartIceError::Closed));
}

/// The driver may not have seen the command, or have answered it, by the time the future is dropped.
pub(crate) async fn a_channel_whose_opener_has_gone_is_closed<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    for polls in 0..6 {
        let mut open = Box::pin(pair.ben_for_ada.open_data_channel(labelled("unwanted")));
        let mut got = None;
        for _ in 0..polls {
            if let Some(channel) = (&mut open).now_or_never() {
                got = Some(channel.unwrap());
                break;
            }
            smol::future::yield_now().await;
        }
        drop(open);
        if let Some(channel) = got {
            soon(channel.close()).await;
        }
    }
    let wanted = soon(pair.ben_for_ada.open_data_channel(labelled("wanted"))).await.unwrap();
    soon(wanted.opened()).await.unwrap();
    assert_eq!(pair.ben_for_ada.data_channels(), [wanted]);
    until(|| matches!(&pair.ada_for_ben.data_channels()[..], [one] if one.label() == "wanted")).await;
}

pub(crate) async fn a_message_whose_sender_has_gone_arrives_in_its_place<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let channel = soon(pair.ben_for_ada.open_data_channel(labelled("x"))).await.unwrap();
    for n in 0..10 {
        let send = channel.send(n.to_string());
        if n % 2 == 0 {
            assert!(send.now_or_never().is_none(), "it waits for the channel to open");
        } else {
            // Waits until the channel is open, and all before it have gone.
            soon(send).await.unwrap();
        }
    }
    // Whoever asks for nothing any more leaves nothing behind.
    drop(channel);
    let theirs = next(&mut pair.ada_for_ben.on_data_channel()).await;
    for n in 0..10 {
        assert_eq!(soon(theirs.recv()).await, Some(Ok(DataChannelMessage::Text(n.to_string()))));
    }
    assert_eq!(theirs.state(), DataChannelState::Open, "dropping a handle closes nothing");
}

pub(crate) async fn a_sink_that_was_closed_takes_nothing_more<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let mut channels = pair.ada_for_ben.on_data_channel();
    let mut channel = soon(pair.ben_for_ada.open_data_channel(labelled("x"))).await.unwrap();
    let mut clone = channel.clone();
    soon(channel.send("first")).await.unwrap();
    // Before the end: channels that have closed are not among those that a later stream begins with.
    let theirs = next(&mut channels).await;
    soon(SinkExt::<&str>::close(&mut channel)).await.unwrap();
    assert_eq!(soon(channel.feed("late")).await, Err(DataChannelError::Closed));
    soon(clone.closed()).await;
    assert_eq!(soon(clone.feed("late")).await, Err(DataChannelError::Closed));
    let all: Vec<_> = soon(theirs.collect()).await;
    assert_eq!(all, [Ok(DataChannelMessage::Text("first".to_owned()))]);
}

pub(crate) async fn another_handle_for_a_track_takes_over_who_receives_it<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let first = LocalTrack::with_id("mic", metered_realtime_runtime::MediaKind::Audio).unwrap();
    soon(pair.ada.add_track(&first, None, None)).await.unwrap();
    let theirs = next(&mut pair.ada_for_ben.on_track()).await;
    until(|| first.demand().receivers == 1).await;
    let other = LocalTrack::with_id("mic", metered_realtime_runtime::MediaKind::Audio).unwrap();
    soon(pair.ada.add_track(&other, None, None)).await.unwrap();
    assert_eq!((first.demand(), other.demand().receivers), (Demand::default(), 1));
    let frame = |ms| EncodedFrame { codec: Codec::Opus, timestamp: Duration::from_millis(ms), data: vec![7].into() };
    assert_eq!((first.write(frame(0)), other.write(frame(20))), (Ok(0), Ok(1)));
    assert_eq!(soon(theirs.recv()).await.unwrap().data[..], [7]);
    soon(pair.ada.replace_track(&other, Some(&first))).await.unwrap();
    assert_eq!((first.demand().receivers, other.demand()), (1, Demand::default()));
    let picture = LocalTrack::with_id("mic", metered_realtime_runtime::MediaKind::Video).unwrap();
    let refused = soon(pair.ada.add_track(&picture, None, None)).await;
    assert_eq!(refused, Err(TrackError::KindChanged { track: picture.id().clone() }));
    // By whichever handle.
    soon(pair.ada.remove_track(&other)).await.unwrap();
    soon(pair.ada.remove_track(&other)).await.unwrap();
    assert_eq!((first.demand(), first.write(frame(40))), (Demand::default(), Ok(0)));
    soon(async { while theirs.recv().await.is_some() {} }).await;
}

pub(crate) async fn numbers_of_a_peer_that_left_end<R: Runtime + Default>() {
    let server = crate::support::server().await;
    let counting = || crate::support::builder::<R>(&server).stats_interval(Duration::from_millis(100)).build().unwrap();
    let (ada, ben) = (counting(), counting());
    let (ben_for_ada, _) = crate::support::meet(&ada, &ben).await;
    let _channel = soon(ben_for_ada.open_data_channel(labelled("x"))).await.unwrap();
    let mut stats = ben_for_ada.on_stats();
    soon(stats.next()).await.unwrap();
    assert!(ben_for_ada.stats().is_some());
    soon(ben.close()).await;
    soon(async { while stats.next().await.is_some() {} }).await;
    assert_eq!(ben_for_ada.stats(), None);
    assert_eq!(ben_for_ada.state(), ConnectionState::Closed);
    assert!(ben_for_ada.data_channels().is_empty());
}
