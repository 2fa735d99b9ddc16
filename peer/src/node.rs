//! A peer at work: a library, the server that shares it, and the session with the registry.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use p2p_ci::{
    address::AllowedSources,
    client::CallError,
    identity::PeerName,
    message::{PeerRequest, RegistryReply},
    registry_url::RegistryUrl,
    transport::{Dialer, Incoming},
};
use tokio::sync::{broadcast, watch};

use crate::{
    error::PeerError,
    facts::{Gathering, SharedCatalogue},
    library::{Library, Watcher},
    limits,
    share::{Share, ShareConfig},
    uplink::{LinkState, NodeEvent, Uplink, UplinkConfig},
    uploads::{UploadRate, Uploads},
    vital::Vital,
};

/// Events that wait for a slow listener, who is told how many it missed.
const EVENT_QUEUE: usize = 256;

/// How a peer takes part.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The registry.
    pub registry: RegistryUrl,
    /// The name to register by; without one, the host's name and the port.
    pub name: Option<PeerName>,
    /// Serve here, instead of on the address by which the registry is reached.
    pub listen: Option<SocketAddr>,
    /// An address to hand out instead of the observed one.
    pub advertise: Option<SocketAddr>,
    /// A port to hand out instead of the one listened on.
    pub advertise_port: Option<u16>,
    /// Who may download.
    pub allowed: AllowedSources,
    /// Uploads at a time.
    pub max_uploads: usize,
    /// What is uploaded at most, to all downloaders together; without, as much as they take.
    pub max_upload: Option<UploadRate>,
    /// Describe the services to tools.
    pub reflection: bool,
    /// Follow what others do to the folder. Without, only what this program itself stores is announced; a file that was
    /// changed is noticed when somebody asks for it. For peers that are there for the length of a mirror only, as events
    /// cost a tenth of it.
    pub watches_folder: bool,
    /// Read what the shared files say of RFCs, to tell others. Not for peers that are there for the length of a mirror only,
    /// which have better things to do.
    pub gathers_facts: bool,
    /// Where RFCs are served over HTTP, for others to know; see [`gateway`](crate::gateway).
    pub http: Option<SocketAddr>,
    /// Whether that site asks another one for what nobody around has, for others to know.
    pub asks_upstream: bool,
}

impl NodeConfig {
    /// A peer that registers at `registry`, with every other setting at its default.
    #[must_use]
    pub fn new(registry: RegistryUrl) -> Self {
        Self {
            registry,
            name: None,
            listen: None,
            advertise: None,
            advertise_port: None,
            allowed: AllowedSources::default(),
            max_uploads: limits::MAX_UPLOADS,
            max_upload: None,
            reflection: true,
            watches_folder: true,
            gathers_facts: true,
            http: None,
            asks_upstream: false,
        }
    }
}

/// A peer at work. Dropping it ends it at once; [`Node::shutdown`] ends it in good order.
#[derive(Debug)]
pub struct Node {
    library: Library,
    share: Arc<Share>,
    uplink: Uplink,
    events: broadcast::Sender<NodeEvent>,
    /// Has missed nothing; for whoever asks first.
    first_events: Mutex<Option<broadcast::Receiver<NodeEvent>>>,
    _watcher: Option<Watcher>,
    catalogue: SharedCatalogue,
    _gathering: Option<Gathering>,
}

impl Node {
    /// Starts to watch, to share and to announce `library`.
    ///
    /// # Errors
    ///
    /// [`PeerError::Library`] when the folder cannot be watched, [`PeerError::System`] when the address to serve on
    /// cannot be had.
    pub fn start(config: NodeConfig, library: Library, dialer: Dialer) -> Result<Self, PeerError> {
        let catalogue = SharedCatalogue::default();
        let share = Arc::new(share_of(&config, &library, &catalogue));
        if let Some(listen) = config.listen {
            share.take_address().map_err(PeerError::system(format!(
                "cannot listen on {listen}; name another address with --listen, or none"
            )))?;
        }
        Self::with_share(config, library, dialer, share, catalogue)
    }

    /// The same, serving connections that somebody else accepts at `address`: in tests, and in simulated networks.
    ///
    /// # Errors
    ///
    /// As [`Node::start`], and when the server cannot be set up.
    pub async fn start_on(
        config: NodeConfig,
        library: Library,
        dialer: Dialer,
        incoming: Incoming,
        address: SocketAddr,
    ) -> Result<Self, PeerError> {
        let catalogue = SharedCatalogue::default();
        let share = Arc::new(share_of(&config, &library, &catalogue));
        share
            .serve(incoming, address)
            .await
            .map_err(PeerError::system("cannot serve documents"))?;
        Self::with_share(config, library, dialer, share, catalogue)
    }

    fn with_share(
        config: NodeConfig,
        library: Library,
        dialer: Dialer,
        share: Arc<Share>,
        catalogue: SharedCatalogue,
    ) -> Result<Self, PeerError> {
        let (events, first_events) = broadcast::channel(EVENT_QUEUE);
        let guard = Vital::new("watching the folder", events.clone());
        let watching = config
            .watches_folder
            .then(|| Watcher::start_guarded(library.clone(), guard));
        let watcher = watching.transpose()?;
        let gathering = config
            .gathers_facts
            .then(|| Gathering::start(library.clone(), catalogue.clone()));
        let uplink_config = UplinkConfig {
            registry: config.registry,
            name: config.name,
            advertise: config.advertise,
            advertise_port: config.advertise_port,
        };
        let uplink = Uplink::start(
            uplink_config,
            dialer,
            library.clone(),
            Arc::clone(&share),
            events.clone(),
        );
        Ok(Self {
            library,
            share,
            uplink,
            events,
            first_events: Mutex::new(Some(first_events)),
            _watcher: watcher,
            catalogue,
            _gathering: gathering,
        })
    }

    /// The documents that are shared.
    #[must_use]
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// What is known of RFCs beside their bytes.
    #[must_use]
    pub fn catalogue(&self) -> &SharedCatalogue {
        &self.catalogue
    }

    /// Where the session with the registry stands, now and from now on.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<LinkState> {
        self.uplink.state()
    }

    /// Where documents are served, now and from now on.
    #[must_use]
    pub fn address(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.share.address()
    }

    /// What happens from now on; for the first caller, what has happened since the start as well.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<NodeEvent> {
        let first = self.first_events.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.unwrap_or_else(|| self.events.subscribe())
    }

    /// Guards a task without which this peer is none, see [`Vital`].
    #[must_use]
    pub fn vital(&self, part: &'static str) -> Vital {
        Vital::new(part, self.events.clone())
    }

    /// Makes a request within the session with the registry.
    ///
    /// # Errors
    ///
    /// [`CallError::Unreachable`] while the peer waits to try the registry again; otherwise what the registry answers, or that it does not.
    pub async fn request(&self, request: PeerRequest) -> Result<RegistryReply, CallError> {
        self.uplink.request(request).await
    }

    /// Leaves the registry, and waits at most `grace` for the running uploads.
    pub async fn shutdown(self, grace: Duration) {
        self.uplink.leave().await;
        self.share.drain(grace).await;
    }
}

fn share_of(config: &NodeConfig, library: &Library, catalogue: &SharedCatalogue) -> Share {
    let share_config = ShareConfig {
        listen: config.listen,
        allowed: config.allowed.clone(),
        reflection: config.reflection,
        http: config.http,
        asks_upstream: config.asks_upstream,
    };
    let uploads = Uploads::new(library.clone(), config.max_uploads, config.max_upload);
    Share::new(share_config, uploads, catalogue.clone())
}
