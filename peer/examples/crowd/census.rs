//! What the registry tells whoever asks: who is there, who holds what, and how soon it answers.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use p2p_ci::{
    client::{CallError, registry::RegistryClient},
    digest::DigestPrefix,
    document::RfcRange,
    limits::{DEFAULT_LOOKUP_HOLDERS, MAX_HOLDERS},
    message::{DocumentEntry, IndexFilter, ListQuery, LookupQuery, Reachability},
    registry_url::RegistryUrl,
    transport::tcp_dialer,
};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::figures::summed_up;

/// Everything that the registry lists, in numbers.
pub(crate) async fn take(registry: &RegistryUrl) -> Result<Value> {
    let client = RegistryClient::connect(&tcp_dialer(), registry).await?;
    let (mut rows, mut reachable, mut names, mut held) = (0_u64, 0_u64, BTreeSet::new(), BTreeSet::new());
    let mut peers = client.list_peers().await?;
    while let Some(peer) = peers.next().await? {
        rows += 1;
        reachable += u64::from(peer.reachability == Reachability::Reachable);
        held.insert(peer.document_count());
        names.insert(peer.name.to_string());
    }
    let entries = list(&client).await?;
    let holders: BTreeSet<u32> = entries.iter().map(|entry| entry.holder_count).collect();
    Ok(json!({
        "peers": rows,
        "names": names.len(),
        "reachable": reachable,
        "documents_of_each": held,
        "documents": entries.len(),
        "holders_of_each": holders,
    }))
}

async fn list(client: &RegistryClient) -> Result<Vec<DocumentEntry>, CallError> {
    let query = ListQuery {
        filter: IndexFilter {
            range: RfcRange::ALL,
            format: None,
        },
        peer: None,
        max_holders: MAX_HOLDERS,
    };
    let (mut answers, mut entries) = (client.list_documents(query).await?, Vec::new());
    while let Some(listed) = answers.next().await? {
        entries.push(listed.entry);
    }
    Ok(entries)
}

/// Looks up at a steady rate over one connection, for any of what is listed at the beginning.
pub(crate) async fn look_up(registry: &RegistryUrl, rate: u32, span: Duration) -> Result<Value> {
    ensure!(rate > 0, "a rate above 0");
    let client = RegistryClient::connect(&tcp_dialer(), registry).await?;
    let numbers: Vec<_> = list(&client)
        .await?
        .iter()
        .map(|entry| entry.document.id.key.number)
        .collect();
    ensure!(!numbers.is_empty(), "nothing is listed that could be looked up");
    let mut next = interval(Duration::from_secs(1) / rate);
    next.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (began, mut times, mut failed, mut missed) = (Instant::now(), Vec::new(), 0_u32, 0_u32);
    for &number in numbers.iter().cycle() {
        if began.elapsed() >= span {
            break;
        }
        next.tick().await;
        let query = LookupQuery {
            number,
            format: None,
            sha256_prefix: DigestPrefix::default(),
            max_holders: DEFAULT_LOOKUP_HOLDERS,
        };
        let asked = Instant::now();
        match client.lookup(&query).await {
            Ok(_) => {}
            // Nobody has it now, which is an answer.
            Err(CallError::Refused(failure)) if failure.reason == p2p_ci::failure::Reason::RfcNotFound => missed += 1,
            Err(_) => failed += 1,
        }
        times.push(asked.elapsed());
    }
    let mut told = json!({"lookups": times.len(), "failed": failed, "not_found": missed});
    if let (Some(told), Value::Object(times)) = (told.as_object_mut(), summed_up(times)) {
        told.extend(times);
    }
    Ok(told)
}
