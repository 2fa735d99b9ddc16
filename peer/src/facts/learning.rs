//! A peer that shares facts learns them from others too, for as long as there is a registry to ask who they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
};

use p2p_ci::{
    address,
    message::{DescribeQuery, Holder, Reachability},
};
use rand::seq::SliceRandom as _;
use tokio::sync::watch;

use super::{
    SharedCatalogue,
    inquiry::{Told, ask, sharers},
    store,
};
use crate::{
    blocking,
    commands::Context,
    error::PeerError,
    limits::{FACTS_FIRST_PAUSE, FACTS_INTERVAL, FACTS_PATIENCE, FACTS_TEACHERS, GATEWAYS_KNOWN},
};

/// Learns what others know.
#[derive(Debug)]
pub struct Learner {
    context: Context,
    catalogue: SharedCatalogue,
    /// This peer itself.
    own: watch::Receiver<Option<SocketAddr>>,
    /// What each peer knew when it was asked last.
    versions: BTreeMap<SocketAddr, String>,
    others: watch::Sender<Others>,
    /// Where what was learnt is kept.
    file: Option<PathBuf>,
}

/// What is known of others.
#[derive(Debug, Clone, Default)]
pub struct Others {
    /// Where they serve RFCs over HTTP.
    pub gateways: Vec<SocketAddr>,
    /// Those of them that ask another site for what nobody around has, ascending.
    pub upstreams: Vec<SocketAddr>,
    /// Whether one of them has told all that it knows.
    pub have_told: bool,
}

impl Learner {
    /// Learns for `catalogue`, from everybody but `own`.
    #[must_use]
    pub fn new(context: Context, catalogue: SharedCatalogue, own: watch::Receiver<Option<SocketAddr>>) -> Self {
        Self {
            file: None,
            context,
            catalogue,
            own,
            versions: BTreeMap::new(),
            others: watch::Sender::default(),
        }
    }

    /// The same, beginning with what was kept in `file`, where all that is learnt is kept.
    #[must_use]
    pub fn remembering(self, file: PathBuf) -> Self {
        Self {
            file: Some(file),
            ..self
        }
    }

    /// What is known of others, now and from now on.
    #[must_use]
    pub fn others(&self) -> watch::Receiver<Others> {
        self.others.subscribe()
    }

    /// Asks some of the other peers now and then, for as long as it is polled: often while there is something new, as
    /// there is when they have just come and read what they share.
    pub async fn keep_learning(mut self) {
        let mut pause = FACTS_FIRST_PAUSE;
        self.recall().await;
        loop {
            let learnt = self.learn().await.unwrap_or_else(|error| {
                tracing::debug!(%error, "nobody was asked what they know");
                0
            });
            if learnt > 0 {
                self.keep().await;
            }
            pause = match learnt {
                0 => FACTS_INTERVAL.min(pause * 2),
                _ => FACTS_FIRST_PAUSE,
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes over what was kept.
    async fn recall(&self) {
        let Some(file) = self.file.clone() else { return };
        let catalogue = self.catalogue.clone();
        let recalled = blocking::run(move || catalogue.learn(store::load(&file))).await;
        if recalled.is_ok_and(|count| count > 0) {
            self.others.send_modify(|others| others.have_told = true);
        }
    }

    /// Keeps what is known for the next start.
    async fn keep(&self) {
        let Some(file) = self.file.clone() else { return };
        let catalogue = self.catalogue.clone();
        let kept = blocking::run(move || store::save(&file, &catalogue)).await;
        if let Err(error) | Ok(Err(error)) = kept.map_err(std::io::Error::other) {
            tracing::debug!(%error, "what was learnt is not kept");
        }
    }

    /// Asks once; returns of how many RFCs something new was learnt.
    async fn learn(&mut self) -> Result<usize, PeerError> {
        let own = *self.own.borrow();
        let (registry, others) = others(&self.context, own).await?;
        self.versions
            .retain(|address, _| others.iter().any(|holder| holder.address == *address));
        let (mut gateways, mut upstreams) = (BTreeSet::new(), BTreeSet::new());
        let (mut learnt, mut have_told) = (0, self.others.borrow().have_told);
        for holder in others
            .iter()
            .filter(|holder| address::reaches(registry, holder.address.ip()))
        {
            let query = DescribeQuery {
                unless_version: self.versions.get(&holder.address).cloned(),
                ..DescribeQuery::default()
            };
            let asked = tokio::time::timeout(FACTS_PATIENCE, ask(&self.context.dialer, holder, &query)).await;
            let Ok(Ok(told)) = asked else {
                tracing::debug!(holder = %holder.name, address = %holder.address, "tells nothing");
                continue;
            };
            let Told {
                version,
                http_port,
                asks_upstream,
                facts,
            } = told;
            have_told |= !facts.is_empty();
            let new = self.catalogue.learn(facts);
            if new > 0 {
                tracing::info!(holder = %holder.name, rfcs = new, "learnt about RFCs");
            }
            learnt += new;
            self.versions.insert(holder.address, version);
            let gateway = http_port.map(|port| SocketAddr::new(holder.address.ip(), port.get()));
            gateways.extend(gateway);
            upstreams.extend(gateway.filter(|_| asks_upstream));
        }
        self.others.send_replace(Others {
            gateways: gateways.into_iter().take(GATEWAYS_KNOWN).collect(),
            upstreams: upstreams.into_iter().take(GATEWAYS_KNOWN).collect(),
            have_told,
        });
        Ok(learnt)
    }
}

/// Peers to ask: those that hold the most first, then others by chance, so that all are asked in time.
async fn others(context: &Context, own: Option<SocketAddr>) -> Result<(std::net::IpAddr, Vec<Holder>), PeerError> {
    let client = context.connect().await?;
    let mut peers = sharers(&client, |reachability| reachability == Reachability::Reachable)
        .await
        .map_err(|error| context.registry_error(error))?;
    peers.retain(|(_, holder)| Some(holder.address) != own);
    peers.shuffle(&mut rand::rng());
    peers.sort_by_key(|(holds, _)| std::cmp::Reverse(*holds));
    let mut rest = peers.split_off(peers.len().min(FACTS_TEACHERS / 2));
    rest.shuffle(&mut rand::rng());
    let chosen = peers.into_iter().chain(rest).take(FACTS_TEACHERS);
    Ok((client.address().ip(), chosen.map(|(_, holder)| holder).collect()))
}
