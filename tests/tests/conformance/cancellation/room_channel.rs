//! The methods of a room channel.

use futures_util::FutureExt as _;
use metered_realtime_runtime::{DataChannelMessage, DataChannelOptions, Runtime};

use super::{POLLS, drop_after};
use crate::room_channels::open_to;
use crate::support::{Pair, next, pair, soon, until};

pub(crate) async fn every_method_of_a_room_channel_may_be_dropped_half_way<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let Pair { ada, ben, ben_for_ada, ada_for_ben, .. } = &pair;
    let room = soon(ada.open_room_channel(DataChannelOptions::reliable("kept"))).await.unwrap();
    let theirs = soon(ben.open_room_channel(DataChannelOptions::reliable("kept"))).await.unwrap();
    open_to(&room, 1).await;
    open_to(&theirs, 1).await;
    let mut expected = Vec::new();
    for polls in POLLS {
        drop_after(polls, ada.open_room_channel(DataChannelOptions::reliable(format!("dropped {polls}")))).await;
        drop_after(polls, room.broadcast(format!("all {polls}"))).await;
        drop_after(polls, room.send_to(ben_for_ada.id(), format!("one {polls}"))).await;
        // Sent once it was polled, however soon it was dropped.
        expected.extend((polls > 0).then(|| [format!("all {polls}"), format!("one {polls}")]));
        drop_after(polls, room.peers()).await;
        drop_after(polls, room.buffered_amount(ben_for_ada.id())).await;
        assert_eq!(drop_after(polls, room.recv()).await, None);
    }
    for text in expected.into_iter().flatten().chain(["the end".to_owned()]) {
        if text == "the end" {
            soon(room.broadcast("the end")).await.unwrap();
        }
        let heard = soon(theirs.recv()).await.unwrap().unwrap();
        assert_eq!(heard, (ada.peer_id().unwrap(), DataChannelMessage::Text(text)));
    }
    // A message that a reader that was dropped waited for is still there.
    for n in 0..20 {
        let mut hears = Box::pin(room.recv());
        assert_eq!((&mut hears).now_or_never(), None);
        soon(theirs.broadcast(n.to_string())).await.unwrap();
        drop(hears);
        let heard = soon(room.recv()).await.unwrap().unwrap();
        assert_eq!(heard, (ben.peer_id().unwrap(), DataChannelMessage::Text(n.to_string())));
    }
    until(|| ada_for_ben.data_channels().is_empty()).await;
}

pub(crate) async fn a_room_channel_that_nobody_got_is_closed<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let mut channels = pair.ada_for_ben.on_data_channel();
    let mut open = Box::pin(pair.ada.open_room_channel(DataChannelOptions::reliable("unwanted")));
    assert!((&mut open).now_or_never().is_none());
    // The answer waits by now, and no other command comes that would make the driver look.
    let theirs = next(&mut channels).await;
    drop(open);
    soon(theirs.closed()).await;
}

pub(crate) async fn a_close_of_a_room_channel_dropped_half_way_ends_it<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    for polls in POLLS {
        let room = soon(pair.ada.open_room_channel(DataChannelOptions::reliable("closing"))).await.unwrap();
        let another = room.clone();
        drop_after(polls, room.close()).await;
        if polls == 0 {
            assert_eq!(another.recv().now_or_never(), None);
            soon(room.close()).await;
        }
        assert_eq!(soon(another.recv()).await, None);
    }
    until(|| pair.ada_for_ben.data_channels().is_empty()).await;
}
