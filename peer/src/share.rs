//! The FileTransfer server of this peer, on the address by which the registry is reached.
//!
//! A laptop changes its network while it runs; then the server moves to the new address, and the uploads that still
//! run on the old one end with their connections.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    num::NonZeroU16,
    sync::{Mutex as StdMutex, PoisonError},
    time::Duration,
};

use p2p_ci::{
    address::{self, AllowedSources},
    client::{FACTS_SERVICE, FILE_TRANSFER_SERVICE},
    front_door,
    line::Allowance,
    quota::QuotaLimits,
    reflection::with_reflection,
    serving::Serving,
    transport::Incoming,
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, watch},
};
use tokio_util::sync::DropGuard;
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    facts::{self, SharedCatalogue, service::SiteNotice},
    limits, serve,
    uploads::Uploads,
};

/// What is served beside health and reflection.
const SERVICES: [&str; 2] = [FILE_TRANSFER_SERVICE, FACTS_SERVICE];

/// Where and to whom documents are served.
#[derive(Debug, Clone, Default)]
pub struct ShareConfig {
    /// Serve here, instead of on the address by which the registry is reached.
    pub listen: Option<SocketAddr>,
    /// Serve to these sources.
    pub allowed: AllowedSources,
    /// Describe the services to tools.
    pub reflection: bool,
    /// Where RFCs are served over HTTP, which others are told if it can be reached where this is.
    pub http: Option<SocketAddr>,
    /// Whether another site is asked for what nobody around has.
    pub asks_upstream: bool,
}

impl ShareConfig {
    /// What is told of the site over HTTP: nothing unless whoever reaches `address` reaches it at the same IP address.
    fn notice(&self, address: SocketAddr) -> SiteNotice {
        let here = |http: &SocketAddr| http.ip().is_unspecified() || http.ip() == address.ip();
        let http_port = self.http.filter(here).and_then(|http| NonZeroU16::new(http.port()));
        SiteNotice {
            http_port,
            asks_upstream: self.asks_upstream && http_port.is_some(),
        }
    }
}

/// Where documents are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServingAt {
    /// The address that is listened on.
    pub address: SocketAddr,
    /// Whether the server has just moved here.
    pub is_new: bool,
}

/// The server, which moves with the local address.
#[derive(Debug)]
pub struct Share {
    config: ShareConfig,
    uploads: Uploads,
    catalogue: SharedCatalogue,
    /// Cuts the uploads off when the server is dropped.
    _ends_uploads: DropGuard,
    /// Listens on the address that the configuration names, until documents are served there.
    taken: StdMutex<Option<TcpListener>>,
    running: Mutex<Option<Running>>,
    address: watch::Sender<Option<SocketAddr>>,
}

#[derive(Debug)]
struct Running {
    address: SocketAddr,
    /// The registry's address that the local address was found for; none where the local address is given.
    follows: Option<SocketAddr>,
    serving: Serving,
    health: HealthReporter,
}

impl Share {
    /// Prepares to serve `uploads`, and what `catalogue` knows; nothing is listened on yet.
    #[must_use]
    pub fn new(config: ShareConfig, uploads: Uploads, catalogue: SharedCatalogue) -> Self {
        Self {
            config,
            _ends_uploads: uploads.ending.clone().drop_guard(),
            uploads,
            catalogue,
            taken: StdMutex::default(),
            running: Mutex::new(None),
            address: watch::Sender::new(None),
        }
    }

    /// Takes the address that the configuration names, if it names one: whether that can be had is known before there
    /// is a registry. Whoever connects waits until documents are served.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub fn take_address(&self) -> io::Result<()> {
        if let Some(listen) = self.config.listen {
            let listener = front_door::bind(listen)?;
            *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
        }
        Ok(())
    }

    /// Serves on connections that somebody else accepts at `address`, whatever the configuration says.
    ///
    /// # Errors
    ///
    /// When the server cannot be set up.
    pub async fn serve(&self, incoming: Incoming, address: SocketAddr) -> io::Result<()> {
        let running = self.spawn(incoming, address, None).await?;
        *self.running.lock().await = Some(running);
        self.address.send_replace(Some(address));
        Ok(())
    }

    /// Makes sure that documents are served where they should be, given the address of the registry.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub async fn ensure(&self, registry: SocketAddr) -> io::Result<ServingAt> {
        let mut running = self.running.lock().await;
        if let Some(now) = &mut *running
            && !now.serving.is_over()
            && (now.follows.is_none()
                || local_address_towards(registry).is_ok_and(|local| local.ip() == now.address.ip()))
        {
            now.follows = now.follows.map(|_| registry);
            return Ok(ServingAt {
                address: now.address,
                is_new: false,
            });
        }
        let (wanted, follows) = match self.config.listen {
            Some(listen) => (listen, None),
            None => (
                SocketAddr::new(local_address_towards(registry)?.ip(), 0),
                Some(registry),
            ),
        };
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        let listener = taken.map_or_else(|| front_door::bind(wanted), Ok)?;
        let address = listener.local_addr()?;
        let incoming = front_door::guard(
            listener,
            QuotaLimits {
                total: limits::MAX_CONNECTIONS,
                per_source: limits::MAX_CONNECTIONS_PER_SOURCE,
                spare_loopback: false,
            },
        );
        *running = Some(self.spawn(incoming, address, follows).await?);
        self.address.send_replace(Some(address));
        Ok(ServingAt { address, is_new: true })
    }

    async fn spawn(&self, incoming: Incoming, address: SocketAddr, follows: Option<SocketAddr>) -> io::Result<Running> {
        let (health, health_service) = tonic_health::server::health_reporter();
        for service in SERVICES {
            health.set_service_status(service, ServingStatus::Serving).await;
        }
        let mut routes = Routes::new(serve::service(&self.uploads))
            .add_service(facts::service::service(
                &self.catalogue,
                self.config.notice(address),
                &self.uploads,
            ))
            .add_service(health_service);
        if self.config.reflection {
            routes = with_reflection(routes, &SERVICES).map_err(io::Error::other)?;
        }
        let serving = Serving::spawn_with(
            routes,
            self.config.allowed.clone(),
            incoming,
            Allowance::for_documents(),
        );
        Ok(Running {
            address,
            follows,
            serving,
            health,
        })
    }

    /// Whether the server has to start anew: the registry is reached from another local address than the one that is
    /// served on, or the server has failed.
    pub async fn must_move(&self) -> bool {
        let running = self.running.lock().await;
        let Some(now) = &*running else { return false };
        if now.serving.is_over() {
            tracing::error!(address = %now.address, "the server has failed; starting it anew");
            return true;
        }
        let Running {
            address,
            follows: Some(registry),
            ..
        } = now
        else {
            return false;
        };
        // Without any route there is no better address to move to.
        local_address_towards(*registry).is_ok_and(|local| local.ip() != address.ip())
    }

    /// Where documents are served, now and from now on.
    #[must_use]
    pub fn address(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.address.subscribe()
    }

    /// How many uploads there are now.
    #[must_use]
    pub fn upload_count(&self) -> u32 {
        self.uploads.count()
    }

    /// Takes no more requests, and waits at most `grace` for the running uploads.
    pub async fn drain(&self, grace: Duration) {
        let Some(running) = self.running.lock().await.take() else {
            return;
        };
        for service in SERVICES.into_iter().chain([""]) {
            running
                .health
                .set_service_status(service, ServingStatus::NotServing)
                .await;
        }
        let began = tokio::time::Instant::now();
        self.uploads.drain(grace).await;
        // What the uploads have handed over is not sent yet: on a slow link that takes as long as they did. Connections
        // without a stream are closed at once.
        running.serving.drain(grace.saturating_sub(began.elapsed())).await;
    }
}

/// The local address from which packets to `remote` would be sent now. Nothing is sent to find out.
fn local_address_towards(remote: SocketAddr) -> io::Result<SocketAddr> {
    let any: SocketAddr = if remote.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(remote)?;
    Ok(address::canonical(socket.local_addr()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_told_to_those_who_can_reach_it() {
        let port = |http: Option<&str>, address: &str| {
            let http = http.map(|http| http.parse().unwrap());
            let config = ShareConfig {
                http,
                ..ShareConfig::default()
            };
            config.notice(address.parse().unwrap()).http_port.map(NonZeroU16::get)
        };
        assert_eq!(port(Some("0.0.0.0:7780"), "192.0.2.7:4000"), Some(7780));
        assert_eq!(port(Some("192.0.2.7:7780"), "192.0.2.7:4000"), Some(7780));
        assert_eq!(port(Some("127.0.0.1:7780"), "127.0.0.1:4000"), Some(7780));
        assert_eq!(port(Some("127.0.0.1:7780"), "192.0.2.7:4000"), None);
        assert_eq!(port(None, "192.0.2.7:4000"), None);
    }

    #[test]
    fn loopback_is_reached_from_loopback() {
        let local = local_address_towards("127.0.0.1:7734".parse().unwrap()).unwrap();
        assert!(local.ip().is_loopback());
    }
}
