//! The site that a peer serves over HTTP while it shares.

use std::net::SocketAddr;

use p2p_ci::address::AllowedSources;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    commands::Context,
    config::{JoinArgs, SharingArgs},
    destination::Destination,
    error::PeerError,
    facts::{learning::Learner, store},
    gateway::{Beyond, BoundGateway, Fetcher, Gateway, GatewayConfig, Site, Upstream},
    library::{Durability, Target},
    limits::SITE_GRACE,
    node::Node,
    output::{Output, json::JoinEvent},
    search::Place,
    state::StateDir,
};

/// A site at work, and what keeps it up to date.
pub(super) struct Running {
    gateway: Gateway,
    fetcher: Option<Fetcher>,
    learning: AbortOnDropHandle<()>,
}

/// Listens for readers.
///
/// # Errors
///
/// [`PeerError::System`] when the address cannot be had.
pub(super) fn bind(listen: SocketAddr, sharing: &SharingArgs) -> Result<BoundGateway, PeerError> {
    let config = GatewayConfig {
        listen,
        allowed: AllowedSources::private_and(sharing.allow_from.clone()),
    };
    BoundGateway::bind(config).map_err(PeerError::system(format!(
        "cannot serve RFCs on {listen}; name another address with --http"
    )))
}

/// Serves what `node` shares, and what other peers have; whatever is fetched goes into `dir`.
///
/// With nothing bound, nothing is served. Words are found by what is kept at `index`.
pub(super) async fn start(
    bound: Option<BoundGateway>,
    context: &Context,
    state: &StateDir,
    args: &JoinArgs,
    node: &Node,
    target: Option<&Target>,
    index: Option<Place>,
) -> Option<Running> {
    let bound = bound?;
    let destination = match target {
        Some(target) => Ok(Destination::of(target.clone())),
        None => Destination::new(args.dir.clone(), Durability::None).await,
    };
    let learner = Learner::new(context.clone(), node.catalogue().clone(), node.address());
    let learner = learner.remembering(store::file_of(state.path()));
    let upstream = args.upstream.as_ref().map(Upstream::new);
    let beyond = Beyond::new(upstream, node.address(), bound.address().port(), learner.others());
    let fetcher = match destination {
        Ok(destination) => {
            let library = node.library().clone();
            Some(Fetcher::new(context.clone(), library, destination, Some(beyond)))
        }
        Err(error) => {
            tracing::warn!("{error}; RFCs that are not here are not fetched for readers");
            None
        }
    };
    let site = Site::new(
        node.library().clone(),
        node.catalogue().clone(),
        fetcher.clone(),
        learner.others(),
    )
    .searching(index);
    Some(Running {
        gateway: bound.serve(site),
        fetcher,
        learning: AbortOnDropHandle::new(tokio::spawn(learner.keep_learning())),
    })
}

impl Running {
    /// Says where readers find it.
    ///
    /// # Errors
    ///
    /// When stdout cannot be written to.
    pub(super) fn tell(&self, output: &mut Output) -> Result<(), PeerError> {
        let url = format!("http://{}/", self.gateway.address());
        if output.is_json() {
            return output.object(&JoinEvent::Site { url });
        }
        output.lines(format_args!("RFCs at {url}"))
    }

    /// Ends in good order: requests that run are answered.
    pub(super) async fn close(self) {
        drop(self.learning);
        self.gateway.shutdown(SITE_GRACE).await;
        // By now nobody waits for what is still being fetched.
        if let Some(fetcher) = &self.fetcher {
            fetcher.close().await;
        }
    }
}
