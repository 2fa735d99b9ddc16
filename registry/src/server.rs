//! The registry as one value: bound, at work, and ended in good order.

use std::{io, net::SocketAddr, sync::Arc};

use futures_core::future::BoxFuture;
use p2p_ci::{
    address::AllowedSources,
    client::REGISTRY_SERVICE,
    front_door,
    limits::MAX_SESSION_DOCUMENTS,
    line::Allowance,
    quota::QuotaLimits,
    reflection::with_reflection,
    serving::Serving,
    transport::{Conn, Dialer, Incoming, tcp_dialer},
};
use tokio::{runtime::Handle, time::Instant};
use tokio_stream::StreamExt as _;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tonic::service::Routes;
use tonic_health::{
    ServingStatus,
    server::{HealthReporter, health_reporter},
};

use crate::{
    admission::Admission,
    config::Config,
    descriptors,
    histogram::{Histogram, Summary},
    index::IndexLimits,
    limits::{DRAIN, EFFECTS_INTERVAL, KNOWN_LIST_DOCUMENTS, KNOWN_LISTS, MAX_DOCUMENTS, MAX_DOCUMENTS_PER_SOURCE},
    memory,
    reach::Prober,
    service::{LONG_ANSWERS, registry_service},
    session::Environment,
    swarm::{Swarm, SwarmLimits},
    threads::Threads,
};

/// The largest request of the health service: it names one service.
const MAX_HEALTH_REQUEST_BYTES: usize = 4 * 1024;

/// Whose health is told: the server as a whole, and its service.
const HEALTH_OF: [&str; 2] = ["", REGISTRY_SERVICE];

/// Why a registry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process listens there.
    #[error(
        "cannot listen on {0}: the port is in use; stop the other process, or choose another port with --listen IP:PORT"
    )]
    PortTaken(SocketAddr),
    /// This user may not listen there.
    #[error("cannot listen on {0}: permission denied; choose a port above 1023 with --listen IP:PORT")]
    Denied(SocketAddr),
    /// The address belongs to another machine, or to none.
    #[error(
        "cannot listen on {0}: this machine does not have that address; use one that it has, or 0.0.0.0 for all of them"
    )]
    NoSuchAddress(SocketAddr),
    /// The system refuses for another reason.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The system gives no more threads, or none of what a thread needs.
    #[error("cannot start a thread; the limits of open files and processes may be too low (ulimit -n, ulimit -u)")]
    Thread(#[source] io::Error),
    /// The system gives no random numbers.
    #[error("cannot start: the system gives no random numbers")]
    NoRandomness,
    /// A defect of this build.
    #[error("cannot start: the descriptors for reflection cannot be read")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl StartError {
    fn of_listen(address: SocketAddr, error: io::Error) -> Self {
        let kind = error.kind();
        if kind == io::ErrorKind::AddrInUse {
            Self::PortTaken(address)
        } else if kind == io::ErrorKind::PermissionDenied {
            Self::Denied(address)
        } else if kind == io::ErrorKind::AddrNotAvailable {
            Self::NoSuchAddress(address)
        } else {
            Self::Listen(address, error)
        }
    }
}

/// Writes to the log, once in a while, how soon what peers said took effect.
async fn tell_effects(effects: Arc<Histogram>, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(EFFECTS_INTERVAL))
        .await
        .is_some()
    {
        if let Some(Summary { count, p50, p99, max }) = effects.take() {
            let (p50_us, p99_us, max_us) = (p50.as_micros(), p99.as_micros(), max.as_micros());
            tracing::info!(count, p50_us, p99_us, max_us, "decoded messages took effect");
        }
    }
}

/// A registry at work. Dropping it ends it at once; [`Server::shutdown`] ends it in good order.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    serving: Serving,
    sessions: TaskTracker,
    stop: CancellationToken,
    /// Ends the sessions when the server is dropped.
    _ends_sessions: DropGuard,
    health: HealthReporter,
    /// Those that it runs on, where they are its own.
    _threads: Option<Threads>,
}

impl Server {
    /// Binds the listener and serves. When this returns, connections are accepted.
    ///
    /// # Errors
    ///
    /// When it cannot listen, or the system gives no random numbers.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let of_listen = |error| StartError::of_listen(config.listen, error);
        let listener = front_door::bind(config.listen).map_err(of_listen)?;
        let local_addr = listener.local_addr().map_err(of_listen)?;
        let limits = QuotaLimits {
            total: descriptors::connection_limit().min(memory::connection_limit()),
            per_source: config.max_connections_per_address,
            spare_loopback: false,
        };
        let config = Config {
            listen: local_addr,
            ..config
        };
        let threads = Threads::start().map_err(StartError::Thread)?;
        let prober = Prober::new(tcp_dialer(), threads.probing.clone());
        let (dealt, dealing) = front_door::deal(listener, limits, threads.serving.len());
        let runtimes = threads.serving.iter().cloned().zip(dealt).collect();
        let server = Self::start(config, runtimes, Some(Box::pin(dealing)), prober).await?;
        Ok(Self {
            _threads: Some(threads),
            ..server
        })
    }

    /// Serves connections that come from anywhere, and connects back by `dialer`. `config.listen` is taken for the
    /// registry's own address.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub async fn serve(config: Config, incoming: Incoming, dialer: Dialer) -> Result<Self, StartError> {
        let prober = Prober::new(dialer, Handle::current());
        Self::start(config, vec![(Handle::current(), incoming)], None, prober).await
    }

    async fn start(
        config: Config,
        runtimes: Vec<(Handle, Incoming)>,
        accepting: Option<BoxFuture<'static, ()>>,
        prober: Prober,
    ) -> Result<Self, StartError> {
        let stop = CancellationToken::new();
        let limits = SwarmLimits {
            index: IndexLimits {
                session_documents: MAX_SESSION_DOCUMENTS,
                documents: MAX_DOCUMENTS,
                documents_per_source: MAX_DOCUMENTS_PER_SOURCE,
                sessions_per_address: config.max_sessions_per_address,
                lists: KNOWN_LISTS,
                list_documents: KNOWN_LIST_DOCUMENTS,
            },
            watchers: config.max_watchers,
        };
        let environment = Environment {
            swarm: Swarm::new(limits).map_err(|_| StartError::NoRandomness)?,
            prober: Arc::new(prober),
            effects: Arc::default(),
            admission: Arc::new(Admission::new(config.allow_advertise, config.listen)),
            stop: stop.clone(),
        };
        tokio::spawn(tell_effects(Arc::clone(&environment.effects), stop.clone()));
        let sessions = TaskTracker::new();
        let (health, health_service) = health_reporter();
        for service in HEALTH_OF {
            health.set_service_status(service, ServingStatus::Serving).await;
        }
        let mut routes = Routes::new(registry_service(environment, sessions.clone()))
            .add_service(health_service.max_decoding_message_size(MAX_HEALTH_REQUEST_BYTES));
        if config.reflection {
            routes = with_reflection(routes, &[REGISTRY_SERVICE])?;
        }
        let allowed = AllowedSources::private_and(config.allow_from);
        let allowance = Allowance {
            long_answers: &LONG_ANSWERS,
            ..Allowance::default()
        };
        let joining = |incoming: Incoming| Box::pin(incoming.map(|conn| conn.map(Conn::joining_answers))) as Incoming;
        let runtimes = runtimes
            .into_iter()
            .map(|(runtime, incoming)| (runtime, joining(incoming)));
        Ok(Self {
            local_addr: config.listen,
            serving: Serving::spawn_on(routes, allowed, runtimes.collect(), accepting, allowance),
            sessions,
            _ends_sessions: stop.clone().drop_guard(),
            stop,
            health,
            _threads: None,
        })
    }

    /// Where it listens, with the port that the system chose.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits until it ends by itself, which it does only where no more connections can come. A panic in it goes on here.
    pub async fn join(&mut self) {
        self.serving.ended().await;
    }

    /// Ends in good order, within [`DRAIN`] whatever clients do; says whether all of them went along.
    ///
    /// Whoever asks for its health learns first that it is going away; then every session and watcher is told and its
    /// stream ended; then no more connections are accepted and the open ones are closed.
    pub async fn shutdown(mut self) -> bool {
        let deadline = Instant::now() + DRAIN;
        for service in HEALTH_OF {
            self.health.set_service_status(service, ServingStatus::NotServing).await;
        }
        self.stop.cancel();
        self.sessions.close();
        let sessions_ended = tokio::time::timeout_at(deadline, self.sessions.wait()).await.is_ok();
        // Ends the streams of those who watch the health.
        for service in HEALTH_OF {
            self.health.clear_service_status(service).await;
        }
        let drained = self
            .serving
            .drain(deadline.saturating_duration_since(Instant::now()))
            .await;
        sessions_ended && drained
    }
}
