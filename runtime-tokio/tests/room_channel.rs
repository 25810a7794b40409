//! A channel to everybody in the room, over real sockets.

mod support;

use metered_realtime_tokio::{ChannelMessage, DataChannelOptions, RoomChannelError};
use support::{ROOM, peer, server, soon};

#[tokio::test]
async fn everybody_hears_a_broadcast_and_the_end() {
    let server = server().await;
    let peers = [(); 3].map(|()| peer(&server));
    let mut channels = Vec::new();
    for peer in &peers {
        channels.push(soon(peer.open_room_channel(DataChannelOptions::reliable("game"))).await.unwrap());
        soon(peer.join(ROOM)).await.unwrap();
    }
    let all_open = async {
        for channel in &channels {
            while channel.peers().await.iter().filter(|peer| peer.is_open).count() < 2 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    };
    soon(all_open).await;
    let sent = soon(channels[0].broadcast("hello")).await.unwrap();
    assert_eq!((sent.sent, sent.slow.len()), (2, 0));
    let sender = peers[0].peer_id().unwrap();
    for channel in &channels[1..] {
        let heard = soon(channel.recv()).await.unwrap().unwrap();
        assert_eq!(heard, (sender.clone(), ChannelMessage::Text("hello".to_owned())));
        soon(channel.send_to(&sender, vec![1])).await.unwrap();
        let (_, answer) = soon(channels[0].recv()).await.unwrap().unwrap();
        assert_eq!(answer.as_bytes(), [1]);
    }
    soon(channels[0].close()).await;
    assert_eq!(soon(channels[0].recv()).await, None);
    assert_eq!(soon(channels[0].broadcast("late")).await, Err(RoomChannelError::Closed));
    soon(peers[1].close()).await;
    assert_eq!(soon(channels[1].recv()).await, None);
}
