//! A network in memory: hosts with cables that can be pulled, and connections of a speed of one's choice.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_core::future::BoxFuture;
use p2p_ci::transport::{Conn, Dial, Dialer, Incoming, Io};
use peer::{
    node::{Node, NodeConfig},
    uploads::UploadRate,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::{mpsc, watch},
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use crate::support::{open_library, write_settled};

/// Bytes in flight on one connection.
const WIRE_BYTES: usize = 64 * 1024;

/// Hosts with one address each, and a cable that can be pulled.
#[derive(Clone, Default)]
pub(crate) struct Network {
    listeners: Arc<Mutex<HashMap<SocketAddr, mpsc::Sender<Conn>>>>,
    cables: Arc<Mutex<HashMap<IpAddr, watch::Sender<bool>>>>,
    next_port: Arc<AtomicU16>,
    /// What each connection carries at most; as much as can be if `None`.
    bytes_per_second: Option<u32>,
    /// Bytes that were carried, of all connections.
    carried: Arc<AtomicU64>,
}

impl Network {
    /// A network on which no connection carries more.
    pub(crate) fn slow(bytes_per_second: u32) -> Self {
        Self {
            bytes_per_second: Some(bytes_per_second),
            ..Self::default()
        }
    }

    /// Bytes that were carried so far.
    pub(crate) fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// Lets nobody be reached at `address` any more.
    pub(crate) fn unlisten(&self, address: SocketAddr) {
        self.listeners.lock().unwrap().remove(&address);
    }

    fn listen(&self, address: SocketAddr) -> Incoming {
        let (sender, receiver) = mpsc::channel(64);
        self.listeners.lock().unwrap().insert(address, sender);
        Box::pin(ReceiverStream::new(receiver).map(Ok))
    }

    pub(crate) fn dialer(&self, host: IpAddr) -> Dialer {
        Arc::new(Host {
            network: self.clone(),
            ip: host,
        })
    }

    fn cable(&self, host: IpAddr) -> watch::Receiver<bool> {
        self.cables
            .lock()
            .unwrap()
            .entry(host)
            .or_insert_with(|| watch::Sender::new(true))
            .subscribe()
    }

    /// Lets bytes from and to `host` through, or holds them.
    pub(crate) fn plug(&self, host: IpAddr, plugged: bool) {
        self.cables
            .lock()
            .unwrap()
            .entry(host)
            .or_insert_with(|| watch::Sender::new(true))
            .send_replace(plugged);
    }
}

struct Host {
    network: Network,
    ip: IpAddr,
}

impl Dial for Host {
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let address = host
            .parse()
            .map(|ip| vec![SocketAddr::new(ip, port)])
            .map_err(io::Error::other);
        Box::pin(std::future::ready(address))
    }

    fn dial(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let listener = self.network.listeners.lock().unwrap().get(&address).cloned();
        let source = SocketAddr::new(self.ip, 50_000 + self.network.next_port.fetch_add(1, Ordering::Relaxed));
        let network = self.network.clone();
        let cables = [self.network.cable(self.ip), self.network.cable(address.ip())];
        Box::pin(async move {
            let mut plugged = cables.clone();
            for cable in &mut plugged {
                cable.wait_for(|plugged| *plugged).await.map_err(io::Error::other)?;
            }
            let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
            let (near, near_wire) = duplex(WIRE_BYTES);
            let (far, far_wire) = duplex(WIRE_BYTES);
            tokio::spawn(network.wire(near_wire, far_wire, cables));
            listener
                .send(Conn::new(far, source))
                .await
                .map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(near) as Box<dyn Io>)
        })
    }
}

impl Network {
    /// Carries bytes both ways for as long as every cable is plugged in.
    async fn wire(self, near: DuplexStream, far: DuplexStream, cables: [watch::Receiver<bool>; 2]) {
        let (near_read, near_write) = tokio::io::split(near);
        let (far_read, far_write) = tokio::io::split(far);
        tokio::join!(
            self.carry(near_read, far_write, cables.clone()),
            self.carry(far_read, near_write, cables)
        );
    }

    async fn carry(
        &self,
        mut from: tokio::io::ReadHalf<DuplexStream>,
        mut to: tokio::io::WriteHalf<DuplexStream>,
        mut cables: [watch::Receiver<bool>; 2],
    ) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer).await.unwrap_or(0);
            self.carried.fetch_add(read as u64, Ordering::Relaxed);
            if let Some(rate) = self.bytes_per_second {
                tokio::time::sleep(Duration::from_secs(1).mul_f64(read as f64 / f64::from(rate))).await;
            }
            for cable in &mut cables {
                if cable.wait_for(|plugged| *plugged).await.is_err() {
                    return;
                }
            }
            if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
                // Whoever wrote last hears of the end.
                let _ = to.shutdown().await;
                return;
            }
        }
    }
}

pub(crate) const REGISTRY: &str = "10.0.0.1:7734";

pub(crate) async fn start_registry(network: &Network) -> registry::Server {
    let address: SocketAddr = REGISTRY.parse().unwrap();
    let incoming = network.listen(address);
    registry::Server::serve(registry::Config::at(address), incoming, network.dialer(address.ip()))
        .await
        .unwrap()
}

pub(crate) struct Peer {
    pub(crate) node: Node,
    _folders: [TempDir; 2],
}

/// Shares these files.
pub(crate) async fn start_peer(network: &Network, name: &str, address: &str, files: &[(&str, &[u8])]) -> Peer {
    start_capped_peer(network, name, address, files, None).await
}

/// Shares these files, and uploads at most so much.
pub(crate) async fn start_capped_peer(
    network: &Network,
    name: &str,
    address: &str,
    files: &[(&str, &[u8])],
    max_upload: Option<UploadRate>,
) -> Peer {
    let address: SocketAddr = address.parse().unwrap();
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    for (file, bytes) in files {
        write_settled(folders[0].path(), file, bytes);
    }
    let mut config = NodeConfig::new(format!("http://{REGISTRY}").parse().unwrap());
    config.name = Some(name.parse().unwrap());
    config.max_upload = max_upload;
    let library = open_library(folders[0].path(), folders[1].path());
    let incoming = network.listen(address);
    let node = Node::start_on(config, library, network.dialer(address.ip()), incoming, address)
        .await
        .unwrap();
    Peer {
        node,
        _folders: folders,
    }
}
