//! The methods of a peer, of remote peers and of what they have.

use std::time::Duration;

use metered_realtime_runtime::{
    Codec, ConnectionState, DataChannelMessage, DataChannelOptions, EncodedFrame, JoinOptions, LocalStream, LocalTrack,
    PeerState, Runtime,
};

use super::{POLLS, drop_after};
use crate::support::{Pair, ROOM, builder, meet, next, pair, peer, server, sleep, soon, until};

pub(crate) async fn every_method_of_a_room_may_be_dropped_half_way<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let Pair { ada, ben, ben_for_ada, ada_for_ben, .. } = &pair;
    let mut channels = ada_for_ben.on_data_channel();
    let options = || DataChannelOptions { label: "kept".to_owned(), ..Default::default() };
    let channel = soon(ben_for_ada.open_data_channel(options())).await.unwrap();
    let theirs = next(&mut channels).await;
    soon(channel.opened()).await.unwrap();
    let kept = LocalTrack::audio();
    soon(ada.add_track(&kept, None, None)).await.unwrap();
    let track = next(&mut ada_for_ben.on_track()).await;
    let (mut data, mut events) = (ben.on_data(), ada.events());
    let mut typed = ben.on_data_as::<String>();
    let mut expected = Vec::new();
    for polls in POLLS {
        drop_after(polls, ada.join("another")).await;
        drop_after(polls, ada.join_with("another", JoinOptions::default())).await;
        drop_after(polls, ada.send(&format!("room {polls}"))).await;
        drop_after(polls, ada.send_to(ben_for_ada.id(), &format!("ben {polls}"))).await;
        drop_after(polls, channel.send(format!("channel {polls}"))).await;
        // Sent once it was polled, however soon it was dropped.
        expected.extend((polls > 0).then_some(polls));
        drop_after(polls, ada.open_room_channel(DataChannelOptions::reliable("unwanted"))).await;
        drop_after(polls, ada.counters()).await;
        drop_after(polls, ada.network_changed()).await;
        drop_after(polls, ada.track_metadata(&kept)).await;
        drop_after(polls, kept.received()).await;
        drop_after(polls, typed.next()).await;
        drop_after(polls, events.next()).await;
        drop_after(polls, ben_for_ada.phase()).await;
        drop_after(polls, ben_for_ada.counters()).await;
        drop_after(polls, ben_for_ada.restart_ice()).await;
        let opened = drop_after(polls, ben_for_ada.open_data_channel(DataChannelOptions::default())).await;
        // One that nobody got is closed for whoever asked for it.
        if let Some(opened) = opened {
            soon(opened.unwrap().close()).await;
        }
        drop_after(polls, channel.opened()).await;
        drop_after(polls, channel.closed()).await;
        drop_after(polls, channel.recv()).await;
        drop_after(polls, channel.buffered_amount()).await;
        drop_after(polls, channel.set_low_water(polls)).await;
        drop_after(polls, channel.buffered_amount_low()).await;
        drop_after(polls, track.recv()).await;
        drop_after(polls, track.request_keyframe()).await;
        // Each of these may have been done or not: it is done in full, or can be undone all the same.
        let (one, other) = (LocalTrack::audio(), LocalTrack::audio());
        let stream = LocalStream::new([LocalTrack::audio()]);
        drop_after(polls, ada.add_stream(&stream, None)).await;
        drop_after(polls, ada.stream_metadata(&stream)).await;
        drop_after(polls, ada.remove_stream(&stream)).await;
        drop_after(polls, ada.add_track(&one, None, None)).await;
        drop_after(polls, ada.replace_track(&one, Some(&other))).await;
        for track in [&one, &other] {
            drop_after(polls, ada.remove_track(track)).await;
            soon(ada.remove_track(track)).await.unwrap();
        }
        soon(ada.remove_stream(&stream)).await.unwrap();
    }
    soon(ada.send("the end")).await.unwrap();
    for polls in &expected {
        for whom in ["room", "ben"] {
            let text = next(&mut data).await.data.decode::<String>().unwrap();
            assert_eq!(text, format!("{whom} {polls}"));
        }
        let text = format!("channel {polls}");
        assert_eq!(soon(theirs.recv()).await, Some(Ok(DataChannelMessage::Text(text))));
    }
    assert_eq!(next(&mut data).await.data.decode::<String>().unwrap(), "the end");
    // All is as it was: one remote peer each, one channel, one track.
    assert_eq!((ada.state(), ada.channel().unwrap().as_str()), (PeerState::Joined, ROOM));
    assert_eq!((ada.remote_peers().len(), ben.remote_peers().len()), (1, 1));
    until(|| ben_for_ada.data_channels() == std::slice::from_ref(&channel)).await;
    until(|| ada_for_ben.data_channels().len() == 1).await;
    until(|| matches!(&ada_for_ben.tracks()[..], [one] if one.id() == kept.id())).await;
    assert_eq!(ben_for_ada.state(), ConnectionState::Connected);
    let mut timestamp = Duration::ZERO;
    let hears = async {
        loop {
            timestamp += Duration::from_millis(20);
            let _taken =
                kept.write(EncodedFrame { codec: Codec::Opus, timestamp, data: vec![0xf8, 0xff, 0xfe].into() });
            sleep(Duration::from_millis(20)).await;
        }
    };
    soon(smol::future::or(async { drop(track.recv().await.unwrap()) }, hears)).await;
}

pub(crate) async fn a_join_or_a_close_dropped_half_way_goes_on<R: Runtime + Default>() {
    let server = server().await;
    for polls in POLLS {
        let (ada, ben) = (peer::<R>(&server), peer::<R>(&server));
        drop_after(polls, ada.join(ROOM)).await;
        if polls == 0 {
            assert_eq!(ada.state(), PeerState::Idle);
        } else {
            until(|| ada.state() == PeerState::Joined).await;
            soon(ada.close()).await;
        }
        let ada = peer::<R>(&server);
        meet(&ada, &ben).await;
        drop_after(polls, ada.close_with_reason("done")).await;
        if polls == 0 {
            assert_eq!(ada.state(), PeerState::Joined);
            drop_after(1, ada.close()).await;
        }
        until(|| ada.state() == PeerState::Closed).await;
        until(|| ben.remote_peers().is_empty()).await;
        soon(ben.close()).await;
        until(|| server.connections() == 0).await;
    }
}

pub(crate) async fn a_builder_that_joins_and_is_dropped_half_way_leaves_nobody_behind<R: Runtime + Default>() {
    let server = server().await;
    for polls in POLLS {
        let newcomer = builder::<R>(&server);
        drop_after(polls, newcomer.join(ROOM)).await;
        let newcomer = builder::<R>(&server);
        drop_after(polls, newcomer.join_on(R::default(), ROOM)).await;
    }
    until(|| server.connections() == 0).await;
}
