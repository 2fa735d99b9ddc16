//! What runs on the simulated hosts: the registry, peers, and a client that looks at everything again and again.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use p2p_ci::{
    client::{CallError, registry::RegistryClient},
    digest::DigestPrefix,
    document::{DocumentKey, Format, RfcRange},
    limits::MAX_HOLDERS,
    message::{IndexFilter, ListQuery, Listed, Reachability},
    registry_url::RegistryUrl,
};
use peer::{
    commands::Context,
    destination::Destination,
    directory::Directory,
    getter::{Getter, How, Wish},
    known::Memory,
    library::{Durability, Library},
    limits::DRAIN_GRACE,
    node::{Node, NodeConfig},
    uplink::NodeEvent,
};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    documents, mirror,
    network::{dialer, listen},
    truth::{Download, PeerTruth, Session, SharedTruth, Source, View, now},
};

/// The registry's host.
pub(crate) const REGISTRY: &str = "registry";

/// The host of the client that looks.
pub(crate) const OBSERVER: &str = "observer";

const REGISTRY_PORT: u16 = 7734;

/// The port on which each peer serves documents.
pub(crate) const PEER_PORT: u16 = 40_000;

/// How often the client looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How long a look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) type Software = Result<(), Box<dyn Error>>;

pub(crate) fn registry_url() -> RegistryUrl {
    RegistryUrl {
        host: REGISTRY.to_owned(),
        port: REGISTRY_PORT,
    }
}

/// Does `work` on a thread of its own, and waits for it. How often a library looks at its folder until all files have
/// settled goes by the clock of the wall, and each look draws keys for hash tables: here, those of another thread.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let done = thread::scope(|scope| scope.spawn(work).join());
    done.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
}

/// Where a host is told what to do; to be taken anew by each of its processes.
#[derive(Debug)]
pub(crate) struct Orders<T>(Arc<Mutex<Option<mpsc::UnboundedSender<T>>>>);

impl<T> Clone for Orders<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Orders<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Orders<T> {
    fn take(&self) -> mpsc::UnboundedReceiver<T> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Gives an order; says whether there is a process that takes it.
    pub(crate) fn give(&self, order: T) -> bool {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().is_some_and(|sender| sender.send(order).is_ok())
    }
}

/// Runs a registry until it is ordered to end.
pub(crate) async fn registry(orders: Orders<()>, truth: SharedTruth) -> Software {
    let mut orders = orders.take();
    let address = SocketAddr::new(turmoil::lookup(REGISTRY), REGISTRY_PORT);
    let incoming = listen(REGISTRY_PORT).await?;
    let server = registry::Server::serve(registry::Config::at(address), incoming, dialer()).await?;
    truth.lock().tell(now(), "registry: serves");
    let _ended = orders.recv().await;
    let all_went = server.shutdown().await;
    let mut truth = truth.lock();
    truth.registry_has_ended = true;
    truth.tell(now(), format!("registry: ended, {all_went}"));
    Ok(())
}

/// What a peer is told to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    Get(u32),
    Mirror,
    Put(u32),
    Take(u32),
    Leave,
}

/// A peer and its folders, which outlive its processes.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) index: usize,
    pub(crate) name: &'static str,
    pub(crate) folder: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) orders: Orders<Order>,
    pub(crate) truth: SharedTruth,
    /// Outlives the peer's processes, as a file would.
    pub(crate) memory: Memory,
}

impl Peer {
    fn with<T>(&self, change: impl FnOnce(&mut PeerTruth) -> T) -> Option<T> {
        self.truth.lock().peers.get_mut(self.index).map(change)
    }

    pub(crate) fn tell(&self, what: &str) {
        self.truth.lock().tell(now(), format!("{}: {what}", self.name));
    }

    /// Runs the peer's process until it is told to leave.
    pub(crate) async fn run(self) -> Software {
        let mut orders = self.orders.take();
        self.with(|peer| (peer.down_since, peer.session) = (None, None));
        let (library, _) = apart(|| Library::open(&self.folder, &self.state, &|_| {}))?;
        let mut config = NodeConfig::new(registry_url());
        config.name = Some(self.name.parse()?);
        config.watches_folder = false;
        config.gathers_facts = false;
        let address = SocketAddr::new(turmoil::lookup(self.name), PEER_PORT);
        let incoming = listen(PEER_PORT).await?;
        let node = Node::start_on(config, library.clone(), dialer(), incoming, address).await?;
        let mut events = node.events();
        let mut downloads = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Ok(event) => self.note(event),
                    Err(RecvError::Lagged(_)) => self.tell("missed events"),
                    Err(RecvError::Closed) => return Err("the peer has no events any more".into()),
                },
                order = orders.recv() => match order {
                    Some(Order::Get(number)) => {
                        let (peer, library) = (self.clone(), library.clone());
                        downloads.spawn(async move { peer.follow(Some(number), peer.download(number, library)).await });
                    }
                    Some(Order::Mirror) => {
                        let (peer, library) = (self.clone(), library.clone());
                        downloads.spawn(async move { peer.follow(None, mirror::run(&peer, library)).await });
                    }
                    Some(Order::Put(number)) => self.put(number, &library)?,
                    Some(Order::Take(number)) => self.take(number, &library)?,
                    Some(Order::Leave) | None => break,
                },
            }
        }
        downloads.shutdown().await;
        // Who is about to leave may be listed still or no longer.
        self.with(|peer| peer.session = None);
        self.tell("is told to leave");
        node.shutdown(DRAIN_GRACE).await;
        self.with(|peer| (peer.down_since, peer.has_left) = (Some(now()), true));
        self.tell("has left");
        Ok(())
    }

    fn note(&self, event: NodeEvent) {
        match event {
            NodeEvent::Registered { welcome, .. } => {
                self.with(|peer| {
                    peer.session = Some(Session {
                        id: welcome.session_id,
                        reachable_since: None,
                        announced: BTreeMap::new(),
                    });
                });
                self.tell(&format!("registered as {}", welcome.session_id));
            }
            NodeEvent::Reachability(notice) => {
                self.with(|peer| {
                    let since = (notice.reachability == Reachability::Reachable).then(now);
                    if let Some(session) = &mut peer.session {
                        session.reachable_since = since;
                    }
                });
                self.tell(&format!("{:?} {}", notice.reachability, notice.detail));
            }
            NodeEvent::Announced(keys) => {
                self.tell(&format!("announced {}", keys.len()));
                self.with(|peer| {
                    if let Some(session) = &mut peer.session {
                        session.announced.extend(keys.into_iter().map(|key| (key, now())));
                    }
                });
            }
            NodeEvent::Withdrawn(keys) => {
                self.tell(&format!("withdrew {}", keys.len()));
                self.with(|peer| {
                    if let Some(session) = &mut peer.session {
                        session.announced.retain(|key, _| !keys.contains(key));
                    }
                });
            }
            NodeEvent::Disconnected { reason, retry_in } => {
                self.with(|peer| peer.session = None);
                self.tell(&format!("disconnected, {reason}, {} ms", retry_in.as_millis()));
            }
            other => self.tell(&format!("{other:?}")),
        }
    }

    fn put(&self, number: u32, library: &Library) -> Software {
        let Some(key) = documents::key(number) else {
            return Ok(());
        };
        self.with(|peer| {
            peer.ever.insert(number);
            // What was said of an earlier file of this number is no promise any more.
            peer.session.as_mut().map(|session| session.announced.remove(&key))
        });
        documents::put(&self.folder, number)?;
        apart(|| library.rescan())?;
        self.with(|peer| peer.removed.remove(&key));
        self.tell(&format!("has {number}"));
        Ok(())
    }

    fn take(&self, number: u32, library: &Library) -> Software {
        let Some(key) = documents::key(number) else {
            return Ok(());
        };
        self.with(|peer| peer.removed.insert(key, now()));
        let was_there = std::fs::remove_file(self.folder.join(key.file_name())).is_ok();
        apart(|| library.rescan())?;
        self.tell(&format!("has no {number} any more, {was_there}"));
        Ok(())
    }

    /// Notes how a download of a number, or of everything, goes.
    async fn follow(
        &self,
        number: Option<u32>,
        download: impl Future<Output = Result<(), Box<dyn Error + Send + Sync>>>,
    ) {
        let place = {
            let mut truth = self.truth.lock();
            truth.downloads.push(Download {
                peer: self.index,
                number,
                began: now(),
                ended: None,
            });
            truth.downloads.len() - 1
        };
        let result = download.await.map_err(|error| error.to_string());
        match number {
            Some(number) => self.tell(&format!("get {number}: {result:?}")),
            None => self.tell(&format!("mirror: {result:?}")),
        }
        if let Some(download) = self.truth.lock().downloads.get_mut(place) {
            download.ended = Some((now(), result));
        }
    }

    /// A document has come into the folder from elsewhere.
    pub(crate) fn has_got(&self, key: DocumentKey) {
        self.with(|peer| {
            peer.ever.insert(key.number.get());
            peer.removed.remove(&key);
        });
    }

    async fn download(&self, number: u32, library: Library) -> Result<(), Box<dyn Error + Send + Sync>> {
        let context = Context {
            registry: registry_url(),
            dialer: dialer(),
            memory: self.memory.clone(),
        };
        // What nobody announced to a registry is not what this checks.
        let directory = Directory::open(context, false).await?;
        let destination = Destination::new(self.folder.clone(), Durability::None).await?;
        let wish = Wish {
            format: Format::Txt,
            from: None,
            sha256_prefix: DigestPrefix::default(),
            replace: false,
        };
        let key = documents::key(number).ok_or("no such number")?;
        let got = Getter::new(directory, destination, wish)
            .get(key.number, |_| {}, &|_| {})
            .await?;
        if let How::Fetched(_) = got.how {
            self.has_got(key);
            library.adopt(got.entry.document)?;
        }
        Ok(())
    }
}

/// Asks the registry for everything, again and again.
pub(crate) async fn observe(truth: SharedTruth) -> Software {
    loop {
        let began = now();
        if let Ok(Ok((peers, holders))) = timeout(LOOK_TIMEOUT, look()).await {
            truth.lock().views.push(View {
                source: Source::Look,
                began,
                peers,
                holders,
                unknown: BTreeSet::new(),
            });
        }
        sleep(LOOK_INTERVAL).await;
    }
}

type Looked = (
    BTreeMap<String, (p2p_ci::identity::SessionId, Reachability)>,
    BTreeMap<p2p_ci::document::DocumentKey, BTreeSet<String>>,
);

async fn look() -> Result<Looked, CallError> {
    let client = RegistryClient::connect(&dialer(), &registry_url()).await?;
    let mut peers = BTreeMap::new();
    let mut answers = client.list_peers().await?;
    while let Some(peer) = answers.next().await? {
        peers.insert(peer.name.to_string(), (peer.id, peer.reachability));
    }
    let query = ListQuery {
        filter: IndexFilter {
            range: RfcRange::ALL,
            format: None,
        },
        peer: None,
        max_holders: MAX_HOLDERS,
    };
    let mut holders: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    let mut answers = client.list_documents(query).await?;
    while let Some(Listed { entry, .. }) = answers.next().await? {
        let names = entry.holders.iter().map(|holder| holder.name.to_string());
        holders.entry(entry.document.id.key).or_default().extend(names);
    }
    Ok((peers, holders))
}
