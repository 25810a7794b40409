//! `wss:` with a certificate of an authority of one's own.

use std::net::SocketAddr;
use std::sync::Arc;

use metered_realtime_runtime::{Runtime, SignallingClient, SignallingClientBuilder};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::backstage::backstage;
use crate::support::{KEY, server, soon};

/// Takes TLS connections for `localhost` and passes on what is in them. Gives the port, and the certificate in PEM form.
async fn terminator(to: SocketAddr) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let port = backstage(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((plain, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that does not trust us ends it here.
                    let Ok(mut tls) = acceptor.accept(plain).await else { return };
                    let mut server = TcpStream::connect(to).await.unwrap();
                    let _ended_by_either = copy_bidirectional(&mut tls, &mut server).await;
                });
            }
        });
        port
    })
    .await;
    (port, made.cert.pem())
}

fn client<R: Runtime>(port: u16) -> SignallingClientBuilder<R> {
    SignallingClient::api_key(KEY).url(format!("wss://localhost:{port}"))
}

pub(crate) async fn a_root_of_one_s_own_is_trusted_and_an_unknown_one_is_not<R: Runtime + Default>() {
    let server = server().await;
    let (port, pem) = terminator(server.local_addr()).await;

    let trusting = client::<R>(port).root_certificates(pem.as_bytes()).unwrap().build().unwrap();
    soon(trusting.connect()).await.unwrap();
    soon(trusting.close()).await;

    let wary = client::<R>(port).build().unwrap();
    assert!(soon(wary.connect()).await.is_err());
}
