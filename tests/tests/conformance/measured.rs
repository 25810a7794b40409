//! What a sender and a receiver learn of the way between them, over real sockets.

use std::time::Duration;

use crate::support::{builder, meet, next, pair, server, sleep, soon};
use metered_realtime_runtime::{
    BandwidthEstimation, Codec, Demand, EncodedFrame, Events, LocalTrack, MeteredPeer, RemotePeer, Runtime,
};
use metered_realtime_server::RunningServer;

const FIRST_ESTIMATE: u64 = 400_000;

async fn measuring<R: Runtime + Default>() -> (RunningServer, MeteredPeer<R>, MeteredPeer<R>, RemotePeer, RemotePeer) {
    let server = server().await;
    let estimation = BandwidthEstimation { initial: FIRST_ESTIMATE, ..Default::default() };
    let [ada, ben] = [(), ()].map(|()| {
        let builder = builder::<R>(&server).bandwidth_estimation(estimation);
        builder.stats_interval(Duration::from_millis(100)).build().unwrap()
    });
    let (ben_for_ada, ada_for_ben) = meet(&ada, &ben).await;
    (server, ada, ben, ben_for_ada, ada_for_ben)
}

fn picture(ms: u64) -> EncodedFrame {
    let mut data = vec![0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00];
    data.resize(1500, 0xab);
    EncodedFrame { codec: Codec::Vp8, timestamp: Duration::from_millis(ms), data: data.into() }
}

/// Plays until the future is done.
async fn playing<T>(track: &LocalTrack, from: u64, until: impl Future<Output = T>) -> T {
    let play = async {
        for n in 0.. {
            let _taken = track.write(picture(from + n * 20));
            sleep(Duration::from_millis(20)).await;
        }
        unreachable!()
    };
    soon(async {
        tokio::select! {
            result = until => result,
            () = play => unreachable!(),
        }
    })
    .await
}

async fn until<T>(events: &mut Events<T>, is: impl Fn(&T) -> bool) -> T {
    loop {
        let event = next(events).await;
        if is(&event) {
            return event;
        }
    }
}

pub(crate) async fn a_sender_learns_of_its_receivers_and_the_bandwidth_to_them<R: Runtime + Default>() {
    let (_server, ada, ben, ben_for_ada, ada_for_ben) = measuring::<R>().await;
    let camera = LocalTrack::video();
    let mut demands = camera.on_demand();
    assert_eq!(next(&mut demands).await, Demand::default());
    let mut estimates = ben_for_ada.on_bandwidth_estimate();
    soon(ada.add_track(&camera, None, None)).await.unwrap();
    until(&mut demands, |demand| demand.receivers == 1).await;
    playing(&camera, 0, async {
        assert_eq!(next(&mut estimates).await, Some(FIRST_ESTIMATE));
        until(&mut demands, |demand| demand.bandwidth.is_some()).await;
    })
    .await;
    // One is set after the other.
    crate::support::until(|| camera.demand().bandwidth == ben_for_ada.bandwidth_estimate()).await;
    assert_eq!(ada_for_ben.bandwidth_estimate(), None, "ben sends nothing");
    soon(ben.close()).await;
    until(&mut demands, |demand| *demand == Demand::default()).await;
}

pub(crate) async fn a_receiver_learns_of_pauses<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let (ada, ada_for_ben) = (&pair.ada, &pair.ada_for_ben);
    let camera = LocalTrack::video();
    soon(ada.add_track(&camera, None, None)).await.unwrap();
    let track = next(&mut ada_for_ben.on_track()).await;
    assert!(track.is_paused());
    let mut pauses = track.on_paused();
    assert!(!playing(&camera, 0, next(&mut pauses)).await);
    assert!(!track.is_paused());
    assert!(next(&mut pauses).await);
    assert!(!playing(&camera, 60_000, next(&mut pauses)).await);
    soon(ada.remove_track(&camera)).await.unwrap();
    soon(async { while pauses.next().await.is_some() {} }).await;
}

pub(crate) async fn numbers_are_taken_of_peers_tracks_and_channels<R: Runtime + Default>() {
    let (_server, ada, _ben, ben_for_ada, ada_for_ben) = measuring::<R>().await;
    let camera = LocalTrack::video();
    soon(ada.add_track(&camera, None, None)).await.unwrap();
    let channel = soon(ben_for_ada.open_data_channel(Default::default())).await.unwrap();
    soon(channel.send("four")).await.unwrap();
    let (mut ours, mut theirs) = (ben_for_ada.on_stats(), ada_for_ben.on_stats());
    let ours = playing(
        &camera,
        0,
        until(&mut ours, |stats| {
            let sent = stats.outbound.iter().any(|track| track.bytes > 10_000 && track.track == *camera.id());
            sent && stats.media_bytes_sent > 10_000 && stats.data_channels.iter().any(|channel| channel.bytes_sent == 4)
        }),
    )
    .await;
    assert!(ours.bytes_sent > ours.media_bytes_sent, "{ours:?}");
    assert!(ours.outbound[0].packets >= 7, "of 1.5 kB at most: {ours:?}");
    assert!(ours.candidate_pair.unwrap().local.ip().is_loopback() || ours.candidate_pair.unwrap().remote.port() > 0);
    assert!(ben_for_ada.stats().unwrap().taken_at >= ours.taken_at);
    let theirs = until(&mut theirs, |stats| stats.inbound.iter().any(|track| track.packets > 10)).await;
    assert_eq!(theirs.data_channels[0].bytes_received, 4);
    assert!(theirs.outbound.is_empty());
}

pub(crate) async fn without_being_asked_nothing_is_measured<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let camera = LocalTrack::video();
    soon(pair.ada.add_track(&camera, None, None)).await.unwrap();
    let track = next(&mut pair.ada_for_ben.on_track()).await;
    assert!(playing(&camera, 0, track.recv()).await.is_some());
    assert_eq!((pair.ben_for_ada.bandwidth_estimate(), pair.ben_for_ada.stats()), (None, None));
    assert_eq!(camera.demand().receivers, 1);
}
