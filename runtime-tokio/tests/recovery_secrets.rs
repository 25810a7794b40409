//! Neither key nor token nor TURN credential is in any log line, error, event or handle, whatever happens.
//!
//! The only test of its binary, since it takes the logs of the whole process.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod support;

use std::fmt::{Debug, Display};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use metered_realtime_server::{PublishableKey, Server, ServerConfig, TokenClaims};
use metered_realtime_tokio::{
    CloseCode, DataChannelOptions, IceServer, IceServerProblem, MeteredPeer, PeerState, Secret, SignallingClient,
};
use support::proxy::{Admission, Proxy};
use support::turn::Turn;
use support::{ROOM, next, quickly, soon, token_with, until, whole};
use tracing_subscriber::fmt::MakeWriter;

const KEY: &str = "pk_live_hunter2";

/// Everything that was said.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn debug(&self, what: &dyn Debug) {
        writeln!(self.0.lock().unwrap(), "{what:?} {what:#?}").unwrap();
    }

    fn error<E: Debug + Display>(&self, error: &E) {
        writeln!(self.0.lock().unwrap(), "{error} {error:?} {error:#?}").unwrap();
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Said {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_credential_is_ever_said() {
    let said = Said::default();
    // Everything there is, of every crate beneath too.
    let logs = tracing_subscriber::fmt().with_writer(said.clone()).with_ansi(false).with_env_filter("trace");
    tracing::subscriber::set_global_default(logs.finish()).unwrap();

    let config = ServerConfig::new().key(PublishableKey::new(KEY)).secret(support::secret());
    let server = Server::bind(config, "127.0.0.1:0").await.unwrap();
    let proxy = Proxy::new(server.local_addr()).await;
    let token = token_with(TokenClaims::new("tess"));
    let wrong = Secret::new("wrong-swordfish".to_owned());
    let provided = |token: &Secret| {
        let token = token.clone();
        move || {
            let token = token.clone();
            async move { Ok::<_, String>(token) }
        }
    };

    let turn = Turn::new("turn-user-hunter2", "turn-word-hunter2").await;
    let ice_server = |credential: &str| IceServer {
        urls: vec![turn.url()],
        username: Some("turn-user-hunter2".to_owned()),
        credential: Some(Secret::new(credential)),
    };

    let by_key = MeteredPeer::api_key(KEY).url(proxy.url()).loopback_candidates(true).reconnect(quickly());
    let by_token = MeteredPeer::token_provider(provided(&token)).url(proxy.url()).reconnect(quickly());
    let by_key = by_key.ice_server(ice_server("turn-word-hunter2"));
    let by_token = by_token.loopback_candidates(true).ice_server(ice_server("turn-wrong-hunter2"));
    said.debug(&by_key);
    said.debug(&by_token);
    let (kay, tess) = (by_key.build().unwrap(), by_token.build().unwrap());
    let (mut kay_events, mut tess_events) = (kay.events(), tess.events());

    // Refused, and unreachable.
    for refused in [
        MeteredPeer::api_key("pk_live_swordfish").url(server.url()).build().unwrap(),
        MeteredPeer::token_provider(provided(&wrong)).url(server.url()).build().unwrap(),
    ] {
        said.error(&soon(refused.join(ROOM)).await.unwrap_err());
        said.debug(&refused);
    }
    let refused = SignallingClient::api_key("pk_live_swordfish").url(server.url()).build().unwrap();
    said.error(&soon(refused.connect()).await.unwrap_err());
    said.debug(&refused);
    proxy.admit(Admission::Refuse);
    for peer in [&kay, &tess] {
        said.error(&soon(peer.join(ROOM)).await.unwrap_err());
    }
    for url in [format!("ws://{KEY}@127.0.0.1"), format!("wss://example.com/?key={KEY}"), KEY.to_owned()] {
        let builder = MeteredPeer::api_key(KEY).url(url);
        said.debug(&builder);
        said.error(&builder.build().unwrap_err());
    }
    said.error(&MeteredPeer::api_key("sk_secret_swordfish").build().unwrap_err());
    let unusable = IceServer { urls: vec!["turn:turn-word-hunter2@a".to_owned()], ..ice_server("turn-word-hunter2") };
    let builder = MeteredPeer::api_key(KEY).ice_server(unusable);
    said.debug(&builder);
    said.error(&builder.build().unwrap_err());
    proxy.admit(Admission::Forward);

    // In the room, with a connection between the two.
    soon(kay.join(ROOM)).await.unwrap();
    soon(tess.join(ROOM)).await.unwrap();
    whole(&[&kay, &tess]).await;
    let mut failures = tess.on_ice_server_failed();
    let remote = kay.remote_peer("tess").unwrap();
    let channel = soon(remote.open_data_channel(DataChannelOptions::default())).await.unwrap();
    soon(channel.send("private words")).await.unwrap();
    soon(channel.opened()).await.unwrap();
    soon(kay.send("private words")).await.unwrap();
    said.error(&soon(kay.send_to("nobody", "private words")).await.unwrap_err());
    said.debug(&(&kay, &tess, &remote, &channel));
    let failure = next(&mut failures).await;
    assert_eq!(failure.problem, IceServerProblem::Unauthorized);
    said.error(&failure);
    until(|| said.text().contains("allocated on a TURN server")).await;

    // Dropped, and back; dropped, and away.
    proxy.reset();
    until(|| kay.state() == PeerState::Reconnecting && tess.state() == PeerState::Reconnecting).await;
    until(|| kay.state() == PeerState::Joined && tess.state() == PeerState::Joined).await;
    proxy.admit(Admission::Refuse);
    proxy.reset();
    until(|| kay.state() == PeerState::Reconnecting && tess.state() == PeerState::Reconnecting).await;
    let before = proxy.accepted();
    until(|| proxy.accepted() > before + 3).await;
    said.error(&soon(kay.send("private words")).await.unwrap_err());
    said.debug(&(&kay, &tess));
    proxy.admit(Admission::Forward);
    until(|| tess.state() == PeerState::Joined).await;

    // The end: one by an administrator, one by itself.
    let mut errors = tess.on_error();
    server.disconnect_peer(&tess.peer_id().unwrap(), CloseCode::ADMIN_DISCONNECT);
    said.error(&next(&mut errors).await);
    soon(kay.close()).await;
    said.error(&soon(kay.join(ROOM)).await.unwrap_err());
    for events in [&mut kay_events, &mut tess_events] {
        while let Some(event) = soon(events.next()).await {
            said.debug(&event);
        }
    }
    said.debug(&(&kay, &tess, &server));
    drop(proxy);
    soon(server.kill()).await;

    let text = said.text();
    for heard in ["metered_realtime_core", "metered_realtime_runtime", "metered_realtime_server"] {
        assert!(text.contains(heard), "nothing was captured of {heard}");
    }
    let signature = token.expose().rsplit('.').next().unwrap();
    for secret in [KEY, "hunter2", "swordfish", token.expose(), signature] {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "this is said of a credential");
    }
    // At this level the WebRTC library prints what passes through data channels. We print no contents of messages.
    let line = text.lines().find(|line| line.contains("private words") && !line.contains(" str0m"));
    assert_eq!(line, None, "this is said of a message");
}
