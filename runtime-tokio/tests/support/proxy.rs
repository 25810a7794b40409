//! A TCP proxy between a client and the server that misbehaves on command.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

/// Bytes taken from one side in one go.
const CHUNK: usize = 16 * 1024;

/// What becomes of new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// They are forwarded.
    Forward,
    /// They are reset at once.
    Refuse,
    /// They are accepted, and nothing is ever read or written.
    Silence,
}

/// What happens to every connection there is. Those that come later know nothing of it.
#[derive(Debug, Clone)]
enum Act {
    /// Both sides are told of the end, in order.
    Finish,
    /// Both sides are reset.
    Reset,
    /// The client is told that no more will come, and is still listened to.
    HalfClose,
    /// Nothing moves any more in these directions, and nobody is told.
    Stall { to_client: bool, to_server: bool },
    /// These bytes go to the client, between those of the server.
    Inject(Arc<[u8]>),
}

#[derive(Debug, Clone, Copy)]
struct Rules {
    server: SocketAddr,
    admission: Admission,
    chunk: usize,
}

/// A proxy on this machine. Dropping it drops its connections.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
    acts: broadcast::Sender<Act>,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn new(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let rules = watch::Sender::new(Rules { server, admission: Admission::Forward, chunk: CHUNK });
        let acts = broadcast::Sender::new(64);
        let accepted = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, rules.clone(), acts.clone(), accepted.clone()));
        Self { address, rules, acts, accepted, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// How many connections have come so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn admit(&self, admission: Admission) {
        self.rules.send_modify(|rules| rules.admission = admission);
    }

    /// Passes on no more than so many bytes in one go.
    pub(crate) fn drip(&self, bytes: usize) {
        self.rules.send_modify(|rules| rules.chunk = bytes.clamp(1, CHUNK));
    }

    pub(crate) fn finish(&self) {
        self.act(Act::Finish);
    }

    pub(crate) fn reset(&self) {
        self.act(Act::Reset);
    }

    pub(crate) fn half_close(&self) {
        self.act(Act::HalfClose);
    }

    pub(crate) fn stall_to_client(&self) {
        self.act(Act::Stall { to_client: true, to_server: false });
    }

    pub(crate) fn stall_to_server(&self) {
        self.act(Act::Stall { to_client: false, to_server: true });
    }

    pub(crate) fn stall(&self) {
        self.act(Act::Stall { to_client: true, to_server: true });
    }

    pub(crate) fn inject(&self, bytes: impl Into<Arc<[u8]>>) {
        self.act(Act::Inject(bytes.into()));
    }

    fn act(&self, act: Act) {
        self.acts.send(act).expect("nobody is connected");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its connections see the end of the acts.
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    rules: watch::Sender<Rules>,
    acts: broadcast::Sender<Act>,
    accepted: Arc<AtomicUsize>,
) {
    let acts = {
        let weak = acts.downgrade();
        drop(acts);
        weak
    };
    while let Ok((client, _)) = listener.accept().await {
        let Some(acts) = acts.upgrade() else { return };
        let (rules, acts) = (rules.subscribe(), acts.subscribe());
        accepted.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(connection(client, rules, acts));
    }
}

/// How a connection ends.
enum Ending {
    Finish,
    Reset,
    /// One side has gone, or the proxy has.
    Gone,
}

async fn connection(mut client: TcpStream, rules: watch::Receiver<Rules>, acts: broadcast::Receiver<Act>) {
    let Rules { server, admission, .. } = *rules.borrow();
    match admission {
        Admission::Refuse => return reset(client),
        Admission::Silence => return silence(client, acts).await,
        Admission::Forward => {}
    }
    let Ok(mut server) = TcpStream::connect(server).await else {
        return reset(client);
    };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    match relay(&mut client, &mut server, &rules, acts).await.unwrap_or(Ending::Gone) {
        Ending::Finish => {
            drop(server);
            // A socket that is dropped with bytes unread is reset, so all is read first.
            if client.shutdown().await.is_ok() {
                let _gone = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
            }
        }
        Ending::Reset => {
            reset(client);
            reset(server);
        }
        Ending::Gone => {}
    }
}

/// Holds a connection until the proxy is gone or ends it.
async fn silence(client: TcpStream, mut acts: broadcast::Receiver<Act>) {
    loop {
        match acts.recv().await {
            Ok(Act::Reset) => return reset(client),
            Ok(Act::Finish) | Err(broadcast::error::RecvError::Closed) => return,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
        }
    }
}

async fn relay(
    client: &mut TcpStream,
    server: &mut TcpStream,
    rules: &watch::Receiver<Rules>,
    mut acts: broadcast::Receiver<Act>,
) -> io::Result<Ending> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let (mut up, mut down) = (vec![0; CHUNK], vec![0; CHUNK]);
    let (mut up_open, mut down_open) = (true, true);
    // A stalled direction is as quiet as one that has ended, but nobody is told.
    let (mut up_stalled, mut down_stalled) = (false, false);
    loop {
        let chunk = rules.borrow().chunk;
        tokio::select! {
            act = acts.recv() => match act {
                Ok(Act::Finish) => return Ok(Ending::Finish),
                Ok(Act::Reset) => return Ok(Ending::Reset),
                Ok(Act::HalfClose) => {
                    to_client.shutdown().await?;
                    down_stalled = true;
                }
                Ok(Act::Stall { to_client, to_server }) => {
                    down_stalled |= to_client;
                    up_stalled |= to_server;
                }
                Ok(Act::Inject(bytes)) => {
                    to_client.write_all(&bytes).await?;
                }
                Err(_) => return Ok(Ending::Gone),
            },
            read = from_client.read(&mut up[..chunk]), if up_open && !up_stalled => match read? {
                0 => {
                    up_open = false;
                    to_server.shutdown().await?;
                }
                n => to_server.write_all(&up[..n]).await?,
            },
            read = from_server.read(&mut down[..chunk]), if down_open && !down_stalled => match read? {
                0 => {
                    down_open = false;
                    to_client.shutdown().await?;
                }
                n => to_client.write_all(&down[..n]).await?,
            },
        }
        if !up_open && (!down_open || down_stalled) || !down_open && up_stalled {
            return Ok(Ending::Gone);
        }
    }
}

fn reset(stream: TcpStream) {
    // With nothing to linger for, the system resets the connection.
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}
