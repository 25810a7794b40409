//! A TURN server over UDP on this machine, with one user, and such as are none.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use turn_server_proto::api::{Transmit, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::stun;
use turn_server_proto::stun::types::TransportType;

/// Stops when dropped.
pub(crate) struct Turn {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

/// A datagram that came: to which of the server's sockets, from whom, what.
type Came = (SocketAddr, SocketAddr, Vec<u8>);

impl Turn {
    pub(crate) async fn new(user: &str, word: &str) -> Self {
        let (came, coming) = mpsc::channel(1024);
        let mut serving = Serving { sockets: BTreeMap::new(), readers: JoinSet::new(), came };
        let address = serving.bind().await;
        let mut server = TurnServer::new(TransportType::Udp, address, "example.org".to_owned());
        server.add_user(user.to_owned(), word.to_owned());
        let mut tasks = JoinSet::new();
        tasks.spawn(serving.serve(server, coming));
        Self { address, _serving: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("turn:{}", self.address)
    }
}

struct Serving {
    /// The server's own, and those it relays for.
    sockets: BTreeMap<SocketAddr, Arc<UdpSocket>>,
    readers: JoinSet<()>,
    came: mpsc::Sender<Came>,
}

impl Serving {
    async fn bind(&mut self) -> SocketAddr {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        self.sockets.insert(address, socket.clone());
        let came = self.came.clone();
        self.readers.spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                if came.send((address, from, buffer[..length].to_vec())).await.is_err() {
                    return;
                }
            }
        });
        address
    }

    async fn serve(mut self, mut server: TurnServer, mut coming: mpsc::Receiver<Came>) {
        let began = Instant::now();
        loop {
            // The library wants to be asked every now and then.
            let received = tokio::time::timeout(Duration::from_millis(20), coming.recv()).await;
            let now = stun::Instant::from_nanos(i64::try_from(began.elapsed().as_nanos()).unwrap());
            if let Ok(Some((to, from, data))) = received {
                let answer = server.recv(Transmit::new(data, TransportType::Udp, from, to), now);
                if let Some(sent) = answer.map(|answer| answer.build()) {
                    self.send(sent).await;
                }
            }
            for _ in 0..16 {
                if let TurnServerPollRet::AllocateSocket {
                    transport,
                    listen_addr,
                    client_addr,
                    allocation_transport,
                    family,
                } = server.poll(now)
                {
                    let given = Ok(self.bind().await);
                    server.allocated_socket(
                        transport,
                        listen_addr,
                        client_addr,
                        allocation_transport,
                        family,
                        given,
                        now,
                    );
                }
                while let Some(sent) = server.poll_transmit(now) {
                    self.send(sent).await;
                }
            }
        }
    }

    async fn send(&self, sent: Transmit<Vec<u8>>) {
        if let Some(socket) = self.sockets.get(&sent.from) {
            // Whoever it is for may be gone.
            let _sent = socket.send_to(&sent.data, sent.to).await;
        }
    }
}

/// A server that does this with each connection, and its address.
pub(crate) async fn misbehaving<F: Future<Output = ()> + Send + 'static>(act: fn(TcpStream) -> F) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(act(stream));
        }
    });
    address
}
