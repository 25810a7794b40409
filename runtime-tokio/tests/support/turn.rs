//! A TURN server over UDP on this machine, with one user.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use turn_server_proto::api::{SocketAllocateError, Transmit, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::stun;
use turn_server_proto::stun::types::TransportType;

/// Stops when dropped. It answers, and gives an address that nothing is relayed for.
pub(crate) struct Turn {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Turn {
    pub(crate) async fn new(user: &str, word: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut server = TurnServer::new(TransportType::Udp, address, "example.org".to_owned());
        server.add_user(user.to_owned(), word.to_owned());
        let mut serving = JoinSet::new();
        serving.spawn(serve(socket, server, address));
        Self { address, _serving: serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("turn:{}", self.address)
    }
}

async fn serve(socket: UdpSocket, mut server: TurnServer, address: SocketAddr) {
    let began = Instant::now();
    let mut buffer = [0; 2048];
    loop {
        // The library wants to be asked every now and then.
        let received = tokio::time::timeout(Duration::from_millis(20), socket.recv_from(&mut buffer)).await;
        let now = stun::Instant::from_nanos(i64::try_from(began.elapsed().as_nanos()).unwrap());
        let mut out = Vec::new();
        if let Ok(Ok((length, from))) = received {
            let transmit = Transmit::new(buffer[..length].to_vec(), TransportType::Udp, from, address);
            out.extend(server.recv(transmit, now).map(|answer| answer.build()).map(|sent| (sent.to, sent.data)));
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
                let given: Result<_, SocketAllocateError> = Ok(SocketAddr::new(address.ip(), 9));
                server.allocated_socket(transport, listen_addr, client_addr, allocation_transport, family, given, now);
            }
            while let Some(sent) = server.poll_transmit(now) {
                out.push((sent.to, sent.data));
            }
        }
        for (to, data) in out {
            // Whoever asked may be gone.
            let _sent = socket.send_to(&data, to).await;
        }
    }
}
