//! A machine whose addresses change under a connection.

// Every address of 127.0.0.0/8 is this machine's on Linux alone.
#![cfg(target_os = "linux")]

use std::net::IpAddr;
use std::time::Duration;

use metered_realtime_tests::Wandering;
use metered_realtime_tests::benchmark::{Outcome, Room, first};
use metered_realtime_tokio::{ConnectionState, DataChannel, DataChannelOptions, Events, RemotePeer, StateChange};

/// Far longer than anything here takes; reached only when something never comes.
const PATIENCE: Duration = Duration::from_secs(300);

fn address(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

/// Its connection goes down and comes up again.
async fn recovers(remote: &RemotePeer, states: &mut Events<StateChange<ConnectionState>>) -> Outcome<()> {
    for expected in [ConnectionState::Reconnecting, ConnectionState::Connected] {
        assert_eq!(states.next().await.ok_or("no more states")?.to, expected);
    }
    assert_eq!(remote.state(), ConnectionState::Connected);
    Ok(())
}

async fn passes(near: &DataChannel, far: &DataChannel, text: &str) -> Outcome<()> {
    near.send(text).await?;
    assert_eq!(far.recv().await.ok_or("the channel is closed")??.as_bytes(), text.as_bytes());
    Ok(())
}

async fn follows() -> Outcome<()> {
    let room = Room::new().await?;
    let here = Wandering::at(address(2));
    let (ada, ben) = (room.join_on(here.clone()).await?, room.join_on(Wandering::at(address(3))).await?);
    let ben_for_ada = first(&ada).await?;
    let ada_for_ben = first(&ben).await?;
    let mut channels = ada_for_ben.on_data_channel();
    let near = ben_for_ada.open_data_channel(DataChannelOptions::default()).await?;
    near.send("before").await?;
    let far = channels.next().await.ok_or("no channel")?;
    assert_eq!(far.recv().await.ok_or("the channel is closed")??.as_bytes(), b"before");

    let mut states = ben_for_ada.state_changes();
    here.move_to(address(4));
    ada.network_changed().await;
    recovers(&ben_for_ada, &mut states).await?;
    passes(&near, &far, "told").await?;

    here.move_to(address(5));
    recovers(&ben_for_ada, &mut states).await?;
    passes(&near, &far, "noticed").await?;
    ada.close().await;
    ben.close().await;
    Ok(())
}

#[tokio::test]
async fn a_connection_follows_to_another_address_told_or_not() {
    tokio::time::timeout(PATIENCE, follows()).await.expect("it never came").unwrap();
}
