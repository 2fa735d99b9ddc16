//! Peers that fetch whatever they lack.

use std::{error::Error, sync::Arc};

use p2p_ci::{client::registry::RegistryClient, document::Document, message::Holder};
use peer::{
    library::{Durability, Library, Target},
    mirror::{Compress, Mirror, Observer, Selection},
};
use tokio_util::sync::CancellationToken;

use crate::{
    hosts::{Peer, registry_url},
    network::dialer,
};

/// Notes what arrives at a peer.
struct Arrivals(Peer);

impl Observer for Arrivals {
    fn planned(&self, _: u64, _: u64) {}

    fn received(&self, _: u64) {}

    fn stored(&self, document: &Document, _: &Holder) {
        self.0.has_got(document.id.key);
    }

    fn note(&self, line: &str) {
        self.0.tell(&format!("mirror: {line}"));
    }
}

/// Fetches whatever `peer` lacks. What only the liar has may not come.
///
/// # Errors
///
/// When the registry cannot be asked, or the folder not be written to.
pub(crate) async fn run(peer: &Peer, library: Library) -> Result<(), Box<dyn Error + Send + Sync>> {
    let dialer = dialer();
    let client = RegistryClient::connect(&dialer, &registry_url()).await?;
    let mirror = Mirror {
        dialer,
        library,
        target: Target::open(&peer.folder, Durability::None)?,
        selection: Selection::default(),
        replace: false,
        compress: Compress::Auto,
        known: peer.memory.clone(),
        stop: CancellationToken::new(),
    };
    let summary = mirror.run(&client, Arc::new(Arrivals(peer.clone()))).await?;
    if let Some(failed) = summary.failed {
        return Err(failed.into());
    }
    peer.tell(&format!(
        "mirror: {} fetched, {} could not be had",
        summary.fetched,
        summary.failures.len()
    ));
    Ok(())
}
