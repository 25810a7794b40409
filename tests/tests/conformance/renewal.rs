//! A token that runs out while a room is busy: it is renewed, and nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{meet, named, next, server, soon, token, token_with, until};
use crate::support::{proxy_of, sleep, spawn};
use futures_util::FutureExt as _;
use metered_realtime_runtime::{
    DataChannel, DataChannelOptions, DataChannelState, Events, MeteredData, MeteredPeer, Runtime, Secret,
};
use metered_realtime_server::TokenClaims;
use tokio::sync::mpsc;

/// Little more than the shortest lifetime that is renewed: half of it is left then.
const LIFETIME: Duration = Duration::from_secs(12);

/// Between two messages, so that the test does not keep the machine busy.
const PACE: Duration = Duration::from_millis(5);

/// What is said after the numbers.
const LAST: &str = "\"last\"";

/// Says 0, 1, 2… to the room until told to stop, and gives how many.
async fn speak<R: Runtime>(speaker: MeteredPeer<R>, stop: Arc<AtomicBool>) -> u64 {
    let mut count = 0;
    while !stop.load(Ordering::SeqCst) {
        soon(speaker.send(&count)).await.unwrap();
        count += 1;
        sleep(PACE).await;
    }
    soon(speaker.send("last")).await.unwrap();
    count
}

/// What comes from the room before the end.
async fn listen(mut data: Events<MeteredData>) -> Vec<u64> {
    let mut heard = Vec::new();
    loop {
        let message = next(&mut data).await.data;
        if message.get() == LAST {
            return heard;
        }
        heard.push(message.decode().unwrap());
    }
}

async fn speak_directly(channel: DataChannel, stop: Arc<AtomicBool>) -> u64 {
    let mut count = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        soon(channel.send(count.to_string())).await.unwrap();
        count += 1;
        sleep(PACE).await;
    }
    soon(channel.send(LAST)).await.unwrap();
    count
}

async fn listen_directly(channel: DataChannel) -> Vec<u64> {
    let mut heard = Vec::new();
    loop {
        let message = soon(channel.recv()).await.unwrap().unwrap();
        let text = String::from_utf8(message.as_bytes().to_vec()).unwrap();
        if text == LAST {
            return heard;
        }
        heard.push(text.parse().unwrap());
    }
}

/// A peer whose first token runs out soon, and the time of each question to its provider.
fn renewing<R: Runtime + Default>(url: String) -> (MeteredPeer<R>, mpsc::UnboundedReceiver<Instant>) {
    let (asked, questions) = mpsc::unbounded_channel();
    let first = AtomicBool::new(true);
    let provider = move || {
        asked.send(Instant::now()).unwrap();
        let claims = TokenClaims::new("ada");
        let token = match first.swap(false, Ordering::SeqCst) {
            true => token_with(claims.lifetime(LIFETIME)),
            false => token("ada"),
        };
        async move { Ok::<Secret, std::convert::Infallible>(token) }
    };
    let builder = MeteredPeer::token_provider(provider).url(url).loopback_candidates(true);
    (builder.build().unwrap(), questions)
}

pub(crate) async fn a_token_is_renewed_while_the_room_is_busy_and_nobody_notices<R: Runtime + Default>() {
    let server = server().await;
    let proxy = proxy_of(&server).await;
    let (ada, mut questions) = renewing::<R>(proxy.url());
    let ben = named::<R>("ben", server.url()).build().unwrap();
    let (ben_for_ada, ada_for_ben) = meet(&ada, &ben).await;
    let mut channels = ada_for_ben.on_data_channel();
    let ours = soon(ben_for_ada.open_data_channel(DataChannelOptions::default())).await.unwrap();
    let theirs = next(&mut channels).await;
    soon(ours.opened()).await.unwrap();

    let mut states = ada.state_changes();
    let mut joined = ben.on_peer_joined();
    assert_eq!(next(&mut joined).await, ada_for_ben);
    let mut left = ben.on_peer_left();
    let mut link_states = [ben_for_ada.state_changes(), ada_for_ben.state_changes()];
    let mut errors = ada.on_error();
    let stop = Arc::new(AtomicBool::new(false));
    let listening = [&ben, &ada].map(|peer| spawn::<R, _>(listen(peer.on_data())));
    let listening_directly = [&theirs, &ours].map(|end| spawn::<R, _>(listen_directly(end.clone())));
    let speaking = [&ada, &ben].map(|peer| spawn::<R, _>(speak(peer.clone(), stop.clone())));
    let speaking_directly = [&ours, &theirs].map(|end| spawn::<R, _>(speak_directly(end.clone(), stop.clone())));

    let first = soon(questions.recv()).await.unwrap();
    let second = soon(questions.recv()).await.unwrap();
    assert!(second - first < LIFETIME, "asked {:?} after the first token", second - first);
    // A second socket comes and takes over, and the first one goes. Had it not, its end would come with the token's: so
    // all go on talking until that is past.
    until(|| first.elapsed() > LIFETIME && proxy.accepted() == 2 && server.connections() == 2).await;

    stop.store(true, Ordering::SeqCst);
    for (speaking, listening) in
        speaking.into_iter().chain(speaking_directly).zip(listening.into_iter().chain(listening_directly))
    {
        let said = soon(speaking).await;
        assert_eq!(soon(listening).await, (0..said).collect::<Vec<_>>());
        assert!(said > 0);
    }
    assert_eq!((ours.state(), theirs.state()), (DataChannelState::Open, DataChannelState::Open));
    assert_eq!((proxy.accepted(), questions.try_recv().ok()), (2, None));

    // Whatever happened is in the streams by now, and there is nothing in them.
    assert_eq!(states.next().now_or_never(), None);
    assert_eq!(errors.next().now_or_never(), None);
    for states in &mut link_states {
        assert_eq!(states.next().now_or_never(), None);
    }
    assert_eq!((joined.next().now_or_never(), left.next().now_or_never()), (None, None));
    assert_eq!((ada.remote_peers(), ben.remote_peers()), (vec![ben_for_ada], vec![ada_for_ben]));
    soon(ada.close()).await;
}
