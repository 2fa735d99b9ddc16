//! A registry and peers of one test, each on a port of its own.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use p2p_ci::{
    client::registry::RegistryClient,
    digest::DigestPrefix,
    document::{DocumentKey, Format, RfcNumber},
    fingerprint::Fingerprint,
    limits,
    message::{Hello, PeerRequest, Reachability, ReachabilityNotice, RegistryReply},
    registry_url::RegistryUrl,
    transport::{Dialer, tcp_dialer},
};
use peer::{
    commands::Context,
    destination::Destination,
    directory::Directory,
    error::PeerError,
    getter::{Getter, Got, Wish},
    known::Memory,
    library::{Durability, Library},
    node::{Node, NodeConfig},
    uplink::LinkState,
};
use tempfile::TempDir;

/// How long anything may take that a test waits for; far more than it should, so that a loaded machine does not matter.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for `condition`, asked again whenever it may have changed.
pub(crate) async fn within<T>(what: &str, condition: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, condition)
        .await
        .unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// Asks again and again until the answer is one.
#[track_caller]
pub(crate) fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let what = what.to_owned();
    async move {
        within(&what, async {
            loop {
                if let Some(answer) = ask().await {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }
}

/// What a command needs that asks this registry, and remembers nothing.
pub(crate) fn context_of(registry: &RegistryUrl) -> Context {
    Context {
        registry: registry.clone(),
        dialer: tcp_dialer(),
        memory: Memory::default(),
    }
}

/// A registry of one test.
pub(crate) struct TestRegistry {
    pub(crate) server: registry::Server,
    pub(crate) url: RegistryUrl,
}

impl TestRegistry {
    pub(crate) async fn start() -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_on(listen: SocketAddr) -> Self {
        let server = registry::Server::bind(registry::Config::at(listen)).await.unwrap();
        let url = format!("http://{}", server.local_addr()).parse().unwrap();
        Self { server, url }
    }

    pub(crate) fn context(&self) -> Context {
        context_of(&self.url)
    }

    pub(crate) async fn client(&self) -> RegistryClient {
        RegistryClient::connect(&tcp_dialer(), &self.url).await.unwrap()
    }

    /// How many peers are registered.
    pub(crate) async fn peer_count(&self) -> usize {
        let mut peers = self.client().await.list_peers().await.unwrap();
        let mut count = 0;
        while peers.next().await.unwrap().is_some() {
            count += 1;
        }
        count
    }
}

/// A peer of one test, with its folder.
pub(crate) struct TestPeer {
    pub(crate) node: Node,
    pub(crate) folder: TempDir,
    _state: TempDir,
}

impl TestPeer {
    /// Shares a folder with these files, and waits until all of them are in the index and can be reached.
    pub(crate) async fn start(registry: &TestRegistry, name: &str, files: &[(&str, &[u8])]) -> Self {
        Self::start_with(registry, name, files, |_| {}).await
    }

    /// The same, with further settings.
    pub(crate) async fn start_with(
        registry: &TestRegistry,
        name: &str,
        files: &[(&str, &[u8])],
        set: impl FnOnce(&mut NodeConfig),
    ) -> Self {
        let folder = TempDir::new().unwrap();
        for (file, bytes) in files {
            write_settled(folder.path(), file, bytes);
        }
        let state = TempDir::new().unwrap();
        let mut config = NodeConfig::new(registry.url.clone());
        config.name = Some(name.parse().unwrap());
        set(&mut config);
        let library = open_library(folder.path(), state.path());
        let documents = library.snapshot().len();
        assert_eq!(documents, files.len(), "every file is a document");
        let node = Node::start(config, library, tcp_dialer()).unwrap();
        let peer = Self {
            node,
            folder,
            _state: state,
        };
        peer.reachable().await;
        peer.announced(registry, documents).await;
        peer
    }

    /// Waits until the registry could connect back.
    pub(crate) async fn reachable(&self) {
        let mut link = self.node.link();
        let reached = link.wait_for(|state| {
            matches!(
                state,
                LinkState::Registered {
                    reachability: Some(ReachabilityNotice {
                        reachability: Reachability::Reachable,
                        ..
                    }),
                    ..
                }
            )
        });
        drop(within("reachable", reached).await.unwrap());
    }

    /// Waits until the registry lists so many documents of this peer.
    pub(crate) async fn announced(&self, registry: &TestRegistry, documents: usize) {
        let name = self.name();
        let client = registry.client().await;
        eventually("announced", || {
            let (client, name) = (client.clone(), name.clone());
            async move {
                let mut peers = client.list_peers().await.unwrap();
                while let Some(peer) = peers.next().await.unwrap() {
                    if peer.name.as_str() == name {
                        return (peer.document_count() == documents as u64).then_some(());
                    }
                }
                None
            }
        })
        .await;
    }

    pub(crate) fn name(&self) -> String {
        match &*self.node.link().borrow() {
            LinkState::Registered { name, .. } => name.to_string(),
            other => panic!("not registered: {other:?}"),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.node.address().borrow().unwrap()
    }
}

pub(crate) fn open_library(folder: &Path, state: &Path) -> Library {
    Library::open(folder, state, &|_| {}).unwrap().0
}

/// Writes a file that looks as if it had been there for a while.
pub(crate) fn write_settled(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let an_hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    file.set_modified(an_hour_ago).unwrap();
}

pub(crate) fn number(value: u32) -> RfcNumber {
    RfcNumber::new(value).unwrap()
}

pub(crate) fn key(value: u32) -> DocumentKey {
    DocumentKey {
        number: number(value),
        format: Format::Txt,
    }
}

pub(crate) fn any_version() -> Wish {
    Wish {
        format: Format::Txt,
        from: None,
        sha256_prefix: DigestPrefix::default(),
        replace: false,
    }
}

/// Whether the registry knows a list by its fingerprint: registers with it for a moment.
pub(crate) async fn is_known(client: &RegistryClient, fingerprint: Fingerprint) -> bool {
    let hello = PeerRequest::Hello(Hello {
        protocol_version: limits::PROTOCOL_VERSION,
        name: "curious".parse().unwrap(),
        port: Some(5000),
        advertise: None,
        resume_token: None,
        fingerprints: vec![fingerprint],
    });
    let (sender, mut receiver) = client.register(1, hello).await.unwrap();
    let reply = receiver.next().await.unwrap().unwrap().1;
    let RegistryReply::Welcome(welcome) = reply else {
        panic!("{reply:?}");
    };
    sender.send(2, PeerRequest::Leave).await.unwrap();
    while receiver.next().await.unwrap().is_some() {}
    welcome.known_formats == [fingerprint.format]
}

/// Gets one RFC into `folder`, as `peer get` does that knows of nobody.
pub(crate) async fn get(registry: &TestRegistry, folder: &Path, value: u32, wish: Wish) -> Result<Got, PeerError> {
    get_within(&registry.context(), folder, value, wish).await
}

/// The same, with what the context remembers of others.
pub(crate) async fn get_within(context: &Context, folder: &Path, value: u32, wish: Wish) -> Result<Got, PeerError> {
    let destination = Destination::new(folder.to_owned(), Durability::None).await.unwrap();
    let directory = Directory::open(context.clone(), false).await?;
    let getter = Getter::new(directory, destination, wish);
    getter.get(number(value), |_| {}, &|_| {}).await
}

pub(crate) fn dialer() -> Dialer {
    tcp_dialer()
}

/// The files of a folder besides those of unfinished downloads, by name.
pub(crate) fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read(&path).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

/// Unfinished downloads that were left behind in a folder.
pub(crate) fn leftovers(folder: &Path) -> usize {
    fs::read_dir(folder.join(".p2pci-part")).map_or(0, Iterator::count)
}
