//! The session with the registry: opened, kept, and opened again for ever.
//!
//! Whoever holds an [`Uplink`] never sees a reconnect: the state tells where the session stands, and in each session the
//! registry is told anew what the library holds, by fingerprints where it knows them.

mod name;
mod pause;
mod session;
mod sync;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use p2p_ci::{
    client::{CallError, registry::RegistryClient},
    document::DocumentKey,
    failure::Failure,
    fingerprint::Fingerprint,
    identity::{PeerName, ResumeToken},
    limits as shared_limits,
    message::{Hello, PeerRequest, ReachabilityNotice, RegistryReply, Welcome},
    registry_url::RegistryUrl,
    transport::Dialer,
};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::pause::Lived;
use crate::{backoff::Backoff, library::Library, limits, share::Share, vital::Vital};

/// Requests of the user that wait for the session.
const COMMAND_QUEUE: usize = 16;

/// Where the session with the registry stands.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkState {
    /// Trying to register.
    Connecting,
    /// Registered.
    Registered {
        /// The name that others see.
        name: PeerName,
        /// What the registry told.
        welcome: Welcome,
        /// Whether others can reach this peer, as soon as the registry knows.
        reachability: Option<ReachabilityNotice>,
    },
    /// Not registered; the next attempt follows.
    Waiting {
        /// Why.
        reason: String,
        /// How long until the next attempt.
        retry_in: Duration,
    },
    /// Over, and no attempt follows.
    Ended,
}

/// What happens to a peer, for people to follow.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeEvent {
    /// Documents are served on this address.
    Serving(SocketAddr),
    /// The registry took this peer in.
    Registered {
        /// The name that others see.
        name: PeerName,
        /// What the registry told.
        welcome: Welcome,
    },
    /// The registry tried to connect back.
    Reachability(ReachabilityNotice),
    /// Documents are in the index now.
    Announced(Vec<DocumentKey>),
    /// Documents are out of the index now.
    Withdrawn(Vec<DocumentKey>),
    /// The registry refused a document for good.
    Rejected(Vec<DocumentKey>, String),
    /// The registry took this peer not in, for a reason that may last. `Disconnected` follows.
    Refused(Failure),
    /// The session is lost, or could not be opened.
    Disconnected {
        /// Why.
        reason: String,
        /// How long until the next attempt.
        retry_in: Duration,
    },
    /// This peer has left.
    Left,
    /// A part of this peer, named here, has failed by a defect; it is of no more use.
    Broken(&'static str),
}

/// What a session is opened with.
#[derive(Debug)]
pub struct UplinkConfig {
    /// The registry.
    pub registry: RegistryUrl,
    /// The name to register by; without one, the host's name and the port.
    pub name: Option<PeerName>,
    /// An address to hand out instead of the observed one.
    pub advertise: Option<SocketAddr>,
    /// A port to hand out instead of the one listened on.
    pub advertise_port: Option<u16>,
}

/// A request of the user, to be made within the session.
struct Command {
    request: PeerRequest,
    answer: oneshot::Sender<Result<RegistryReply, CallError>>,
}

/// The handle of the session.
#[derive(Debug)]
pub struct Uplink {
    state: watch::Receiver<LinkState>,
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Uplink {
    /// Starts to register, and to announce what `library` holds and `share` serves.
    #[must_use]
    pub fn start(
        config: UplinkConfig,
        dialer: Dialer,
        library: Library,
        share: Arc<Share>,
        events: broadcast::Sender<NodeEvent>,
    ) -> Self {
        let (state_sender, state) = watch::channel(LinkState::Connecting);
        let (commands, command_receiver) = mpsc::channel(COMMAND_QUEUE);
        let stop = CancellationToken::new();
        let keeper = Keeper {
            config,
            dialer,
            library,
            share,
            events,
            state: state_sender,
            commands: command_receiver,
            stop: stop.clone(),
            resume_token: None,
            spread: Duration::ZERO,
        };
        let vital = Vital::new("the session with the registry", keeper.events.clone());
        let task = tokio::spawn(async move {
            let _vital = vital;
            keeper.run().await;
        });
        Self {
            state,
            commands,
            stop,
            task,
        }
    }

    /// Where the session stands, now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// Makes a request within the session.
    ///
    /// # Errors
    ///
    /// [`CallError::Unreachable`] while there is no session; otherwise what the registry answers, or that it does not.
    pub async fn request(&self, request: PeerRequest) -> Result<RegistryReply, CallError> {
        let lost = || CallError::Unreachable {
            address: "the registry".to_owned(),
            detail: "there is no session with it now".to_owned(),
        };
        let (answer, answered) = oneshot::channel();
        self.commands
            .send(Command { request, answer })
            .await
            .map_err(|_| lost())?;
        match tokio::time::timeout(limits::REPLY_TIMEOUT, answered).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(lost()),
            Err(_) => Err(CallError::TimedOut {
                what: "the registry's answer".to_owned(),
            }),
        }
    }

    /// Leaves the registry in good order.
    pub async fn leave(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.task).await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a session is over.
#[derive(Debug)]
enum SessionEnd {
    /// This peer wanted to leave.
    Left,
    /// The server moves to another address: the registry is reached from another one now, or the server has failed.
    Moved,
    /// The registry, or the way to it, failed.
    Lost(CallError),
}

/// The task that keeps the session.
struct Keeper {
    config: UplinkConfig,
    dialer: Dialer,
    library: Library,
    share: Arc<Share>,
    events: broadcast::Sender<NodeEvent>,
    state: watch::Sender<LinkState>,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
    resume_token: Option<ResumeToken>,
    spread: Duration,
}

impl Keeper {
    async fn run(mut self) {
        let mut backoff = Backoff::new(limits::BACKOFF_BASE, limits::BACKOFF_CAP);
        let stop = self.stop.clone();
        loop {
            self.state.send_replace(LinkState::Connecting);
            let started = Instant::now();
            let opened = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                opened = self.open() => opened,
            };
            // A session sees by itself that it is to end, since it has to say goodbye.
            let end = match opened {
                Ok(session) => session.run(&mut self).await,
                Err(error) => SessionEnd::Lost(error),
            };
            let was_registered = matches!(*self.state.borrow(), LinkState::Registered { .. });
            let (reason, pause) = match end {
                SessionEnd::Left => break,
                SessionEnd::Moved => (
                    "documents are to be served at another address".to_owned(),
                    Duration::ZERO,
                ),
                SessionEnd::Lost(error) => {
                    let lived = match started.elapsed() {
                        _ if !was_registered => Lived::Never,
                        span if span < limits::STABLE_AFTER => Lived::Briefly,
                        _ => Lived::Stable,
                    };
                    if lived != Lived::Never {
                        backoff.reset();
                    }
                    if let Some(failure) = error.failure().filter(|_| !was_registered) {
                        self.tell(NodeEvent::Refused(failure.clone()));
                    }
                    let pause = pause::after(&error, lived, self.spread, &mut backoff, rand::random);
                    (error.to_string(), pause)
                }
            };
            tracing::info!(%reason, pause_ms = pause.as_millis(), "no session with the registry");
            self.state.send_replace(LinkState::Waiting {
                reason: reason.clone(),
                retry_in: pause,
            });
            self.tell(NodeEvent::Disconnected {
                reason,
                retry_in: pause,
            });
            if self.wait(pause).await.is_err() {
                break;
            }
        }
        self.state.send_replace(LinkState::Ended);
        self.tell(NodeEvent::Left);
    }

    /// Waits before the next attempt, answering meanwhile that there is no session.
    async fn wait(&mut self, pause: Duration) -> Result<(), SessionEnd> {
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(SessionEnd::Left),
                () = &mut over => return Ok(()),
                Some(command) = self.commands.recv() => refuse(command),
            }
        }
    }

    async fn open(&mut self) -> Result<session::Session, CallError> {
        let client = RegistryClient::connect(&self.dialer, &self.config.registry).await?;
        let serving = self
            .share
            .ensure(client.address())
            .await
            .map_err(|error| CallError::Unreachable {
                address: "the local network".to_owned(),
                detail: format!("cannot serve documents: {error}"),
            })?;
        if serving.is_new {
            self.tell(NodeEvent::Serving(serving.address));
        }
        let name = self
            .config
            .name
            .clone()
            .unwrap_or_else(|| name::default_name(serving.address.port()));
        let documents = self.library.snapshot();
        let hello = Hello {
            protocol_version: shared_limits::PROTOCOL_VERSION,
            name: name.clone(),
            port: Some(self.config.advertise_port.unwrap_or_else(|| serving.address.port())),
            advertise: self.config.advertise,
            resume_token: self.resume_token,
            fingerprints: Fingerprint::of_each(&documents),
        };
        let (session, welcome) = session::Session::open(&client, hello, documents).await?;
        self.resume_token = Some(welcome.resume_token);
        self.spread = welcome.reconnect_spread;
        self.state.send_replace(LinkState::Registered {
            name: name.clone(),
            welcome: welcome.clone(),
            reachability: None,
        });
        self.tell(NodeEvent::Registered { name, welcome });
        Ok(session)
    }

    /// Tells whoever listens. Nobody has to.
    fn tell(&self, event: NodeEvent) {
        let _ = self.events.send(event);
    }
}

fn refuse(command: Command) {
    let error = CallError::Unreachable {
        address: "the registry".to_owned(),
        detail: "there is no session with it now".to_owned(),
    };
    // Whoever asked may have given up meanwhile.
    let _ = command.answer.send(Err(error));
}
