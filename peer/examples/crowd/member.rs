//! One peer of the crowd: its node, where it dials from, and what has happened to it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use futures_core::future::BoxFuture;
use p2p_ci::{
    message::Reachability,
    registry_url::RegistryUrl,
    transport::{Dial, Dialer, Io},
};
use peer::{
    library::Library,
    node::{Node, NodeConfig},
    uplink::NodeEvent,
};
use tokio::{net::TcpSocket, sync::broadcast::error::RecvError, time::Instant};
use tokio_util::task::AbortOnDropHandle;

/// How long the registry has to confirm that a peer has left, and uploads have to end.
const GRACE: Duration = Duration::from_secs(2);

/// What has happened to a peer since it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// When it dialled the registry.
    pub(crate) dialled: Vec<Instant>,
    /// When it was taken in.
    pub(crate) registered: Vec<Instant>,
    /// How often it lost its session.
    pub(crate) lost: usize,
    /// How often it was told that the registry ends.
    pub(crate) told_of_end: usize,
    /// Why it was last refused.
    pub(crate) refused: Option<String>,
    /// A part of it that failed by a defect.
    pub(crate) broken: Option<&'static str>,
    /// Whether it is registered now.
    pub(crate) is_registered: bool,
    /// Whether the registry has connected back to it in this session.
    pub(crate) is_reachable: bool,
}

impl Past {
    /// Begins to count anew; where the peer stands stays known.
    pub(crate) fn forget(&mut self) {
        *self = Self {
            broken: self.broken,
            is_registered: self.is_registered,
            is_reachable: self.is_reachable,
            ..Self::default()
        };
    }

    fn note(&mut self, event: NodeEvent) {
        match event {
            NodeEvent::Registered { .. } => {
                self.registered.push(Instant::now());
                (self.is_registered, self.is_reachable) = (true, false);
            }
            NodeEvent::Reachability(notice) => self.is_reachable = notice.reachability == Reachability::Reachable,
            NodeEvent::Disconnected { reason, .. } => {
                self.lost += usize::from(self.is_registered);
                self.told_of_end += usize::from(reason.contains("shutting down"));
                (self.is_registered, self.is_reachable) = (false, false);
            }
            NodeEvent::Refused(failure) => self.refused = Some(failure.message),
            NodeEvent::Broken(part) => self.broken = Some(part),
            NodeEvent::Serving(_)
            | NodeEvent::Announced(_)
            | NodeEvent::Withdrawn(_)
            | NodeEvent::Rejected(..)
            | NodeEvent::Left => {}
        }
    }
}

/// A past that the node's dialer and the one who follows its events write down.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedPast(Arc<Mutex<Past>>);

impl SharedPast {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Past> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A peer at work. Dropping it ends it without a word to the registry.
#[derive(Debug)]
pub(crate) struct Member {
    node: Node,
    /// Ends with the node, whose events are over then.
    _follower: AbortOnDropHandle<()>,
    pub(crate) past: SharedPast,
}

impl Member {
    /// Starts peer number `index`.
    pub(crate) fn start(registry: &RegistryUrl, library: &Library, index: usize) -> Result<Self> {
        let (source, past) = (source_of(index)?, SharedPast::default());
        let mut config = NodeConfig::new(registry.clone());
        config.name = Some(format!("crowd-{index}").parse().ok().context("a name")?);
        config.listen = Some(SocketAddr::new(source, 0));
        // The folder is everybody's, and nobody changes it.
        config.watches_folder = false;
        config.gathers_facts = false;
        let dialer: Dialer = Arc::new(SourceDialer {
            source,
            past: past.clone(),
        });
        let node = Node::start(config, library.clone(), dialer)?;
        let (mut events, noted) = (node.events(), past.clone());
        let follower = tokio::spawn(async move {
            loop {
                match events.recv().await {
                    Ok(event) => noted.lock().note(event),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        Ok(Self {
            node,
            _follower: AbortOnDropHandle::new(follower),
            past,
        })
    }

    /// Ends it in good order.
    pub(crate) async fn leave(self) {
        self.node.shutdown(GRACE).await;
    }
}

/// Dials from an address of its own, and notes when.
struct SourceDialer {
    source: IpAddr,
    past: SharedPast,
}

impl Dial for SourceDialer {
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        p2p_ci::transport::tcp_dialer().resolve(host, port)
    }

    fn dial(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        self.past.lock().dialled.push(Instant::now());
        let source = self.source;
        Box::pin(async move {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(source, 0))?;
            let stream = socket.connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}

/// The address of peer number `index`: 250 of them in each /24, as hosts of as many networks.
fn source_of(index: usize) -> Result<IpAddr> {
    let index = u32::try_from(index)?;
    let (network, host) = (index / 250, index % 250);
    ensure!(network < 1 << 15, "there are no more addresses");
    let base = u32::from(Ipv4Addr::new(127, 1, 0, 2));
    Ok(IpAddr::V4(Ipv4Addr::from(base + (network << 8) + host)))
}
