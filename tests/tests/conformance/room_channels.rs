//! Channels to everybody in the room: who hears what, who comes and goes, and what is refused.

use std::time::Duration;

use futures_util::StreamExt as _;
use metered_realtime_runtime::{
    DataChannelMessage, DataChannelOptions, OpenRoomChannelError, PeerId, RoomChannel, RoomChannelError, Runtime,
};

use crate::support::{ROOM, meet, named, next, pair, peer, server, sleep, soon, until};

fn game() -> DataChannelOptions {
    DataChannelOptions::reliable("game")
}

/// Waits until the channel is open to so many peers.
pub(crate) async fn open_to(channel: &RoomChannel, peers: usize) {
    soon(async {
        while channel.peers().await.iter().filter(|peer| peer.is_open).count() != peers {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// The next message must be this text from that peer.
async fn hears(channel: &RoomChannel, sender: &PeerId, text: &str) {
    let heard = soon(channel.recv()).await.unwrap().unwrap();
    assert_eq!(heard, (sender.clone(), DataChannelMessage::Text(text.to_owned())));
}

pub(crate) async fn everybody_hears_a_broadcast_and_the_end<R: Runtime + Default>() {
    let server = server().await;
    let peers = [(); 3].map(|()| peer::<R>(&server));
    let mut channels = Vec::new();
    for peer in &peers {
        channels.push(soon(peer.open_room_channel(game())).await.unwrap());
        soon(peer.join(ROOM)).await.unwrap();
    }
    for channel in &channels {
        open_to(channel, 2).await;
    }
    let sent = soon(channels[0].broadcast("hello")).await.unwrap();
    assert_eq!((sent.sent, sent.slow.len(), sent.unopened), (2, 0, 0));
    let sender = peers[0].peer_id().unwrap();
    for channel in &channels[1..] {
        hears(channel, &sender, "hello").await;
        soon(channel.send_to(&sender, vec![1])).await.unwrap();
        let (_, answer) = soon(channels[0].recv()).await.unwrap().unwrap();
        assert_eq!(answer.as_bytes(), [1]);
    }
    soon(channels[0].close()).await;
    assert_eq!(soon(channels[0].recv()).await, None);
    assert_eq!(soon(channels[0].broadcast("late")).await, Err(RoomChannelError::Closed));
    soon(peers[1].close()).await;
    assert_eq!(soon(channels[1].recv()).await, None);
    assert!(soon(channels[1].peers()).await.is_empty());
}

pub(crate) async fn a_message_to_one_peer_is_for_that_peer_alone<R: Runtime + Default>() {
    let server = server().await;
    let [ada, ben, cyd] = [(); 3].map(|()| peer::<R>(&server));
    let mut channels = Vec::new();
    for peer in [&ada, &ben, &cyd] {
        soon(peer.join(ROOM)).await.unwrap();
        channels.push(soon(peer.open_room_channel(game())).await.unwrap());
    }
    let [of_ada, of_ben, mut of_cyd] = <[RoomChannel; 3]>::try_from(channels).unwrap();
    open_to(&of_ada, 2).await;
    let (ada_id, ben_id) = (ada.peer_id().unwrap(), ben.peer_id().unwrap());
    soon(of_ada.send_to(&ben_id, "for ben")).await.unwrap();
    soon(of_ada.broadcast("for all")).await.unwrap();
    hears(&of_ben, &ada_id, "for ben").await;
    hears(&of_ben, &ada_id, "for all").await;
    let first = soon(of_cyd.next()).await.unwrap().unwrap();
    assert_eq!(first, (ada_id, DataChannelMessage::Text("for all".to_owned())));
    soon(async {
        while of_ada.buffered_amount(&ben_id).await.unwrap() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub(crate) async fn what_cannot_be_is_refused_by_name<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let options = DataChannelOptions { max_buffered_amount: 1000, ..game() };
    let channel = soon(pair.ada.open_room_channel(options)).await.unwrap();
    assert_eq!(channel.label(), "game");
    open_to(&channel, 1).await;
    let again = soon(pair.ada.open_room_channel(game())).await;
    assert_eq!(again.unwrap_err(), OpenRoomChannelError::LabelInUse);
    let negotiated = DataChannelOptions { negotiated: Some(7), ..DataChannelOptions::reliable("other") };
    let refused = soon(pair.ada.open_room_channel(negotiated)).await.unwrap_err();
    assert!(matches!(refused, OpenRoomChannelError::InvalidOption { option: "negotiated", .. }), "{refused:?}");
    assert!(soon(pair.ben_for_ada.open_data_channel(game())).await.is_err(), "the label is the room channel's");

    let nobody = PeerId::new("nobody").unwrap();
    assert_eq!(soon(channel.send_to(&nobody, "x")).await, Err(RoomChannelError::NoSuchPeer));
    assert_eq!(soon(channel.buffered_amount(&nobody)).await, Ok(0));
    assert!(soon(channel.buffered_amount("")).await.is_err());
    let too_large = RoomChannelError::TooLarge { size: 1001, max: 1000 };
    assert_eq!(soon(channel.broadcast(vec![0; 1001])).await, Err(too_large));
    assert_eq!(soon(channel.send_to(pair.ben_for_ada.id(), vec![0; 1001])).await, Err(too_large));

    soon(pair.ada.close()).await;
    let closed = soon(pair.ada.open_room_channel(DataChannelOptions::reliable("late"))).await.unwrap_err();
    assert!(matches!(closed, OpenRoomChannelError::InvalidState(_)), "{closed:?}");
    assert_eq!(soon(channel.send_to(pair.ben_for_ada.id(), "late")).await, Err(RoomChannelError::Closed));
}

pub(crate) async fn who_comes_later_hears_and_who_goes_is_not_waited_for<R: Runtime + Default>() {
    let server = server().await;
    let [ada, ben, cyd] = [(); 3].map(|()| peer::<R>(&server));
    let of_ada = soon(ada.open_room_channel(game())).await.unwrap();
    let of_ben = soon(ben.open_room_channel(game())).await.unwrap();
    assert_eq!(soon(of_ada.broadcast("to nobody")).await.unwrap(), Default::default());
    soon(ada.join(ROOM)).await.unwrap();
    soon(ben.join(ROOM)).await.unwrap();
    open_to(&of_ada, 1).await;
    soon(of_ada.broadcast("to ben")).await.unwrap();
    let ada_id = ada.peer_id().unwrap();
    hears(&of_ben, &ada_id, "to ben").await;

    soon(cyd.join(ROOM)).await.unwrap();
    let of_cyd = soon(cyd.open_room_channel(game())).await.unwrap();
    open_to(&of_ada, 2).await;
    assert_eq!(soon(of_ada.broadcast("to both")).await.unwrap().sent, 2);
    hears(&of_ben, &ada_id, "to both").await;
    hears(&of_cyd, &ada_id, "to both").await;

    soon(ben.close()).await;
    until(|| ada.remote_peers().len() == 1).await;
    assert_eq!(soon(of_ada.broadcast("to cyd")).await.unwrap().sent, 1);
    hears(&of_cyd, &ada_id, "to cyd").await;
    assert_eq!(soon(of_ben.recv()).await, None);
}

pub(crate) async fn a_room_channel_is_open_again_after_a_reconnect<R: Runtime + Default>() {
    let server = server().await;
    let ada = named::<R>("ada", server.url()).build().unwrap();
    let ben = named::<R>("ben", server.url()).build().unwrap();
    let of_ada = soon(ada.open_room_channel(game())).await.unwrap();
    let of_ben = soon(ben.open_room_channel(game())).await.unwrap();
    let (ben_for_ada, _) = meet(&ada, &ben).await;
    let (ada_id, ben_id) = (ada.peer_id().unwrap(), ben.peer_id().unwrap());
    open_to(&of_ada, 1).await;
    soon(of_ada.broadcast("before")).await.unwrap();
    hears(&of_ben, &ada_id, "before").await;

    let mut resets = ben_for_ada.on_connection_reset();
    let mut back = ben.on_peer_joined();
    next(&mut back).await;
    server.drop_peer_sockets(&ada_id);
    next(&mut resets).await;
    next(&mut back).await;
    // Whether or not it is open by now: a reliable room channel keeps what it accepts until it is.
    soon(of_ada.broadcast("after")).await.unwrap();
    soon(of_ben.broadcast("as well")).await.unwrap();
    hears(&of_ben, &ada_id, "after").await;
    hears(&of_ada, &ben_id, "as well").await;
}

pub(crate) async fn a_room_channel_closes_with_its_last_handle<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let of_ben = soon(pair.ben.open_room_channel(game())).await.unwrap();
    let of_ada = soon(pair.ada.open_room_channel(game())).await.unwrap();
    let another = of_ada.clone();
    open_to(&of_ada, 1).await;
    open_to(&of_ben, 1).await;
    drop(of_ada);
    soon(another.broadcast("still here")).await.unwrap();
    let ada_id = pair.ada.peer_id().unwrap();
    hears(&of_ben, &ada_id, "still here").await;
    drop(another);
    open_to(&of_ben, 0).await;
    assert_eq!(soon(of_ben.send_to(&ada_id, "gone")).await, Err(RoomChannelError::NotOpen));
    let again = soon(pair.ada.open_room_channel(game())).await.unwrap();
    open_to(&of_ben, 1).await;
    soon(of_ben.broadcast("welcome back")).await.unwrap();
    hears(&again, &pair.ben.peer_id().unwrap(), "welcome back").await;
}
