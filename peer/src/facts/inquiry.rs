//! Asking other peers what they know about RFCs.

use std::{collections::BTreeSet, net::IpAddr};

use futures_util::future::join_all;
use p2p_ci::{
    address,
    client::{CallError, facts::FactsClient},
    digest::DigestPrefix,
    document::{RfcNumber, UnixSeconds},
    facts::{Facts, Reference},
    limits as shared_limits,
    message::{DescribeQuery, Described, Holder, LookupQuery, Reachability},
    transport::Dialer,
};

use super::Catalogue;
use crate::{
    commands::Context,
    error::PeerError,
    limits::{ASK_PATIENCE, FACTS_ASKED_AT_ONCE, FACTS_ASKED_IN_ALL, FACTS_WINDOW_BYTES, MAX_FACTS, MAX_FACTS_BYTES},
};

/// What peers said.
#[derive(Debug, Default)]
pub struct Inquired {
    /// All that they said, as far as it holds.
    pub catalogue: Catalogue,
    /// Whom it was learnt from.
    pub told_by: Vec<Holder>,
}

/// Asks peers about RFCs until something is known of each: those who hold the RFC first, then those who hold the most;
/// or, where there is no registry, those that are known from before.
///
/// # Errors
///
/// [`PeerError::Registry`] when it cannot be reached and nobody is known. That nobody knows anything is no error.
pub async fn inquire(context: &Context, wanted: &[Reference], with_successors: bool) -> Result<Inquired, PeerError> {
    let (registry, to_ask) = whom_to_ask(context, wanted).await?;
    let mut inquired = Inquired::default();
    let mut rounds = to_ask
        .chunks(FACTS_ASKED_AT_ONCE)
        .take(FACTS_ASKED_IN_ALL / FACTS_ASKED_AT_ONCE);
    while let Some(round) = rounds.next().filter(|_| !is_answered(&inquired.catalogue, wanted)) {
        inquired
            .ask(context, registry, round, &query_of(wanted, with_successors))
            .await;
        if with_successors {
            inquired.follow(context, registry, round, wanted).await;
        }
    }
    Ok(inquired)
}

/// The question about RFCs and subseries.
fn query_of(wanted: &[Reference], with_successors: bool) -> DescribeQuery {
    DescribeQuery {
        references: wanted
            .iter()
            .copied()
            .take(shared_limits::MAX_DESCRIBE_REFERENCES)
            .collect(),
        with_successors,
        ..DescribeQuery::default()
    }
}

/// Whether something is known of everything that was asked for.
fn is_answered(catalogue: &Catalogue, wanted: &[Reference]) -> bool {
    wanted.iter().all(|reference| match reference.rfc() {
        Some(number) => catalogue.source(number).is_some(),
        None => !catalogue.members(*reference).is_empty(),
    })
}

/// Times that peers are asked on about what one of them said to have taken an RFC's place.
const MAX_HOPS: usize = 8;

impl Inquired {
    /// Asks on about what is current as far as is known by now: one peer may know what took the place of an RFC, and
    /// another one what took the place of that.
    async fn follow(&mut self, context: &Context, registry: IpAddr, holders: &[Holder], wanted: &[Reference]) {
        let mut asked: BTreeSet<RfcNumber> = wanted.iter().filter_map(Reference::rfc).collect();
        for _ in 0..MAX_HOPS {
            let of_series = wanted.iter().flat_map(|reference| self.catalogue.members(*reference));
            let start: BTreeSet<RfcNumber> = asked.iter().copied().chain(of_series).collect();
            let current = start.iter().flat_map(|number| self.catalogue.chain(*number).current);
            let new: Vec<RfcNumber> = current.filter(|number| asked.insert(*number)).collect();
            if new.is_empty() {
                break;
            }
            let new: Vec<Reference> = new.into_iter().map(Reference::to_rfc).collect();
            self.ask(context, registry, holders, &query_of(&new, true)).await;
        }
    }

    async fn ask(&mut self, context: &Context, registry: IpAddr, holders: &[Holder], query: &DescribeQuery) {
        let reachable = |holder: &&Holder| address::reaches(registry, holder.address.ip());
        let holders: Vec<&Holder> = holders.iter().filter(reachable).collect();
        let asking = holders.iter().map(|holder| {
            let answer = ask(&context.dialer, holder, query);
            tokio::time::timeout(ASK_PATIENCE, answer)
        });
        let answers = join_all(asking.collect::<Vec<_>>()).await;
        let now = UnixSeconds::now();
        for (holder, answer) in holders.into_iter().zip(answers) {
            match answer {
                Ok(Ok(Told { facts, .. })) => {
                    let mut is_new = false;
                    for facts in facts {
                        is_new |= self.catalogue.learn(facts, now);
                    }
                    self.told_by.extend(is_new.then(|| holder.clone()));
                }
                Ok(Err(error)) => {
                    tracing::debug!(holder = %holder.name, address = %holder.address, %error, "tells nothing")
                }
                Err(_) => {
                    tracing::debug!(holder = %holder.name, address = %holder.address, "is too slow to tell anything")
                }
            }
        }
    }
}

/// The registry's address, and peers that may know something.
async fn whom_to_ask(context: &Context, wanted: &[Reference]) -> Result<(IpAddr, Vec<Holder>), PeerError> {
    let client = match context.connect().await {
        Ok(client) => client,
        Err(error) => {
            let known = context.memory.to_ask();
            let registry = context.memory.registry().unwrap_or(IpAddr::from([127, 0, 0, 1]));
            return if known.is_empty() {
                Err(error)
            } else {
                Ok((registry, known))
            };
        }
    };
    let mut holders = Vec::new();
    for number in wanted.iter().filter_map(Reference::rfc) {
        let query = LookupQuery {
            number,
            format: None,
            sha256_prefix: DigestPrefix::default(),
            max_holders: shared_limits::DEFAULT_LOOKUP_HOLDERS,
        };
        match client.lookup(&query).await {
            Ok(answer) => holders.extend(answer.documents.into_iter().flat_map(|entry| entry.holders)),
            // Others may know of an RFC that nobody has.
            Err(CallError::Refused(_)) => {}
            Err(error) => return Err(context.registry_error(error)),
        }
    }
    let mut peers = Vec::new();
    let located = |error| context.registry_error(error);
    let mut listed = client.list_peers().await.map_err(located)?;
    while let Some(peer) = listed.next().await.map_err(located)? {
        if let Some(address) = peer.address.filter(|_| peer.reachability != Reachability::Unreachable) {
            let holds = peer.document_count();
            let holder = Holder {
                id: peer.id,
                name: peer.name,
                address,
            };
            peers.push((std::cmp::Reverse(holds), holder));
        }
    }
    peers.sort_by(|(a, one), (b, other)| (a, &one.name).cmp(&(b, &other.name)));
    holders.extend(peers.into_iter().map(|(_, holder)| holder).take(FACTS_ASKED_IN_ALL));
    let mut met = BTreeSet::new();
    holders.retain(|holder| met.insert(holder.address));
    Ok((client.address().ip(), holders))
}

/// What one peer said.
#[derive(Debug)]
pub struct Told {
    /// Names the state of what it knows.
    pub version: String,
    /// Facts.
    pub facts: Vec<Facts>,
}

/// Asks one peer.
///
/// # Errors
///
/// Every [`CallError`]; [`CallError::Violation`] when it tells more than there can be.
pub async fn ask(dialer: &Dialer, holder: &Holder, query: &DescribeQuery) -> Result<Told, CallError> {
    let client = FactsClient::connect(dialer, holder.address, FACTS_WINDOW_BYTES).await?;
    let mut answers = client.describe(query).await?;
    let Some(Described::Version(version)) = answers.next().await? else {
        return Err(CallError::Violation("it tells facts before their version".to_owned()));
    };
    let mut told = Told {
        version,
        facts: Vec::new(),
    };
    while let Some(described) = answers.next().await? {
        let Described::Facts(facts) = described else {
            return Err(CallError::Violation("it tells two versions".to_owned()));
        };
        let last = told.facts.last().map(|facts| facts.number);
        if !is_ascending(last, &facts) {
            return Err(CallError::Violation(
                "it tells of an RFC twice, or out of order".to_owned(),
            ));
        }
        told.facts.extend(facts);
        if told.facts.len() > MAX_FACTS || client.received().bytes() > MAX_FACTS_BYTES {
            return Err(CallError::Violation("it tells of more RFCs than there are".to_owned()));
        }
    }
    Ok(told)
}

/// Whether facts are of RFCs with growing numbers, all of them beyond `last`.
fn is_ascending(last: Option<RfcNumber>, facts: &[Facts]) -> bool {
    let numbers = last.into_iter().chain(facts.iter().map(|facts| facts.number));
    numbers.is_sorted_by(|one, next| one < next)
}
