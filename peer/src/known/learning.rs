//! A peer that shares learns of others as long as there is a registry to ask.

use std::convert::Infallible;

use p2p_ci::{
    client::CallError,
    digest::DigestPrefix,
    limits::MAX_HOLDERS,
    message::{IndexFilter, ListPageQuery, LookupQuery, PeerRequest, RegistryReply},
};
use rand::seq::IndexedRandom as _;

use crate::{blocking, commands::Context, limits::LEARN_INTERVAL, node::Node, uplink::LinkState};

/// What a peer asks for that has no documents of its own, or such as nobody else has.
const FIRST_PAGE: ListPageQuery = ListPageQuery {
    filter: IndexFilter::ALL,
    page_size: 8,
    after: None,
};

/// Asks now and then who else is there, and remembers it, for the commands of this machine: twenty of those who hold a
/// document that this peer has too. That costs the registry one lookup a minute.
pub async fn keep_learning(node: &Node, context: &Context) -> Infallible {
    let mut link = node.link();
    loop {
        // It fails when the session has ended for good; then nothing is left to learn.
        // What is returned holds a lock on the state, which must not outlive this line.
        let ended = link
            .wait_for(|state| matches!(state, LinkState::Registered { .. }))
            .await
            .is_err();
        if ended {
            return std::future::pending().await;
        }
        if let Err(error) = learn(node, context).await {
            tracing::debug!(%error, "nothing was learnt of other peers");
        }
        tokio::time::sleep(LEARN_INTERVAL).await;
    }
}

async fn learn(node: &Node, context: &Context) -> Result<(), CallError> {
    let url = context.registry.clone();
    let resolved = context.dialer.resolve(url.host.clone(), url.port).await;
    let Some(registry) = resolved.ok().and_then(|addresses| addresses.first().copied()) else {
        return Ok(());
    };
    let of_own = match question(node) {
        Some(question) => node.request(question).await.ok(),
        None => None,
    };
    let reply = match of_own {
        Some(reply) => reply,
        None => node.request(PeerRequest::List(FIRST_PAGE)).await?,
    };
    let entries = if let RegistryReply::Found(found) = &reply {
        found.documents.as_slice()
    } else if let RegistryReply::Page(page) = &reply {
        page.entries.as_slice()
    } else {
        &[]
    };
    let memory = context.memory.clone();
    memory.learn(registry.ip(), entries.iter().flat_map(|entry| &entry.holders));
    // What was not written now is the next time.
    let _ = blocking::run(move || memory.save(&url)).await;
    Ok(())
}

/// Asks for others who hold a document that this peer has.
fn question(node: &Node) -> Option<PeerRequest> {
    let documents = node.library().snapshot();
    let key = documents.choose(&mut rand::rng())?.id.key;
    Some(PeerRequest::Lookup(LookupQuery {
        number: key.number,
        format: Some(key.format),
        sha256_prefix: DigestPrefix::default(),
        max_holders: MAX_HOLDERS,
    }))
}
