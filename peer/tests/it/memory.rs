//! The real registry and real peers over an in-memory network with a paused clock: cables that are pulled, and how long
//! that takes to be noticed.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use futures_core::future::BoxFuture;
use p2p_ci::{
    client::registry::RegistryClient,
    digest::Sha256,
    document::{DocumentClaim, DocumentId, Format},
    fingerprint::Fingerprint,
    limits::HEARTBEAT_INTERVAL,
    transport::{Conn, Dial, Dialer, Incoming, Io},
};
use peer::{
    node::{Node, NodeConfig},
    uplink::LinkState,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use crate::support::{is_known, key, open_library, write_settled};

/// Bytes in flight on one connection.
const WIRE_BYTES: usize = 64 * 1024;

/// Hosts with one address each, and a cable that can be pulled.
#[derive(Clone, Default)]
struct Network {
    listeners: Arc<Mutex<HashMap<SocketAddr, mpsc::Sender<Conn>>>>,
    cables: Arc<Mutex<HashMap<IpAddr, watch::Sender<bool>>>>,
    next_port: Arc<AtomicU16>,
}

impl Network {
    fn listen(&self, address: SocketAddr) -> Incoming {
        let (sender, receiver) = mpsc::channel(64);
        self.listeners.lock().unwrap().insert(address, sender);
        Box::pin(ReceiverStream::new(receiver).map(Ok))
    }

    fn dialer(&self, host: IpAddr) -> Dialer {
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
    fn plug(&self, host: IpAddr, plugged: bool) {
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
        let cables = [self.network.cable(self.ip), self.network.cable(address.ip())];
        Box::pin(async move {
            let mut plugged = cables.clone();
            for cable in &mut plugged {
                cable.wait_for(|plugged| *plugged).await.map_err(io::Error::other)?;
            }
            let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
            let (near, near_wire) = duplex(WIRE_BYTES);
            let (far, far_wire) = duplex(WIRE_BYTES);
            tokio::spawn(wire(near_wire, far_wire, cables));
            listener
                .send(Conn::new(far, source))
                .await
                .map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(near) as Box<dyn Io>)
        })
    }
}

/// Carries bytes both ways for as long as every cable is plugged in.
async fn wire(near: DuplexStream, far: DuplexStream, cables: [watch::Receiver<bool>; 2]) {
    let (near_read, near_write) = tokio::io::split(near);
    let (far_read, far_write) = tokio::io::split(far);
    tokio::join!(
        carry(near_read, far_write, cables.clone()),
        carry(far_read, near_write, cables)
    );
}

async fn carry(
    mut from: tokio::io::ReadHalf<DuplexStream>,
    mut to: tokio::io::WriteHalf<DuplexStream>,
    mut cables: [watch::Receiver<bool>; 2],
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
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

const REGISTRY: &str = "10.0.0.1:7734";

async fn start_registry(network: &Network) -> registry::Server {
    let address: SocketAddr = REGISTRY.parse().unwrap();
    let incoming = network.listen(address);
    registry::Server::serve(registry::Config::at(address), incoming, network.dialer(address.ip()))
        .await
        .unwrap()
}

struct Peer {
    node: Node,
    _folders: [TempDir; 2],
}

async fn start_peer(network: &Network, name: &str, address: &str, file: &str) -> Peer {
    let address: SocketAddr = address.parse().unwrap();
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    write_settled(folders[0].path(), file, b"a document");
    let mut config = NodeConfig::new(format!("http://{REGISTRY}").parse().unwrap());
    config.name = Some(name.parse().unwrap());
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

async fn names(client: &RegistryClient) -> Vec<String> {
    let mut peers = client.list_peers().await.unwrap();
    let mut names = Vec::new();
    while let Some(peer) = peers.next().await.unwrap() {
        names.push(peer.name.to_string());
    }
    names
}

/// How long, on the test's clock, until the registry lists exactly these peers.
async fn until_listed(client: &RegistryClient, expected: &[&str]) -> Duration {
    let began = Instant::now();
    while names(client).await != expected {
        assert!(
            began.elapsed() < Duration::from_secs(600),
            "not {expected:?} but {:?}",
            names(client).await
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_pulled_cable_is_noticed_by_both_ends_and_the_peer_comes_back() {
    let network = Network::default();
    let _registry = start_registry(&network).await;
    let alice = start_peer(&network, "alice", "10.0.0.2:4000", "rfc1.txt").await;
    let _bob = start_peer(&network, "bob", "10.0.0.3:4000", "rfc2.txt").await;
    let observer = RegistryClient::connect(
        &network.dialer("10.0.0.9".parse().unwrap()),
        &format!("http://{REGISTRY}").parse().unwrap(),
    )
    .await
    .unwrap();
    let mut sorted = names(&observer).await;
    while sorted.len() < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        sorted = names(&observer).await;
    }

    let alice_host: IpAddr = "10.0.0.2".parse().unwrap();
    network.plug(alice_host, false);
    let gone = until_listed(&observer, &["bob"]).await;
    assert!(gone <= Duration::from_secs(20), "gone after {gone:?}");
    let mut link = alice.node.link();
    let began = Instant::now();
    drop(
        link.wait_for(|state| !matches!(state, LinkState::Registered { .. }))
            .await
            .unwrap(),
    );
    assert!(
        gone + began.elapsed() <= Duration::from_secs(25),
        "the peer noticed after {:?}",
        gone + began.elapsed()
    );

    network.plug(alice_host, true);
    let back = until_listed(&observer, &["bob", "alice"]).await;
    assert!(back <= Duration::from_secs(40), "back after {back:?}");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_cannot_connect_back_says_so() {
    let network = Network::default();
    let _registry = start_registry(&network).await;
    let alice = start_peer(&network, "alice", "10.0.0.2:4000", "rfc1.txt").await;
    let mut link = alice.node.link();
    drop(
        link.wait_for(|state| {
            matches!(
                state,
                LinkState::Registered {
                    reachability: Some(_),
                    ..
                }
            )
        })
        .await
        .unwrap(),
    );

    let bob = start_peer(&network, "bob", "10.0.0.3:4000", "rfc2.txt").await;
    // Nobody listens where this one is about to say that it does: it registers when this test first waits.
    network
        .listeners
        .lock()
        .unwrap()
        .remove(&"10.0.0.3:4000".parse().unwrap());
    let mut link = bob.node.link();
    let began = Instant::now();
    let told = link
        .wait_for(|state| {
            matches!(
                state,
                LinkState::Registered {
                    reachability: Some(_),
                    ..
                }
            )
        })
        .await
        .unwrap()
        .clone();
    let LinkState::Registered {
        reachability: Some(notice),
        ..
    } = told
    else {
        panic!("{told:?}")
    };
    assert_eq!(notice.reachability, p2p_ci::message::Reachability::Unreachable);
    assert!(
        began.elapsed() <= Duration::from_secs(5),
        "told after {:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_is_known_as_soon_as_it_is_told_and_not_at_the_next_heartbeat_only() {
    let network = Network::default();
    let _registry = start_registry(&network).await;
    let began = Instant::now();
    let _alice = start_peer(&network, "alice", "10.0.0.2:4000", "rfc1.txt").await;
    let url = format!("http://{REGISTRY}").parse().unwrap();
    let client = RegistryClient::connect(&network.dialer("10.0.0.9".parse().unwrap()), &url)
        .await
        .unwrap();
    let document = DocumentClaim {
        id: DocumentId {
            key: key(1),
            sha256: Sha256::of(b"a document"),
        },
        size_bytes: 10,
    };
    while !is_known(&client, Fingerprint::of(Format::Txt, [document])).await {
        assert!(began.elapsed() < HEARTBEAT_INTERVAL / 2, "not yet known");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
