//! Asking other peers what they know about RFCs.

use std::{cmp::Reverse, collections::BTreeSet, net::IpAddr, num::NonZeroU16, time::Duration};

use futures_util::future::join_all;
use p2p_ci::{
    address,
    client::{CallError, facts::FactsClient, registry::RegistryClient},
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
    limits::{
        FACTS_ASKED_AT_ONCE, FACTS_ASKED_IN_ALL, FACTS_LOOKUPS, FACTS_WINDOW_BYTES, MAX_FACTS, MAX_FACTS_BYTES,
        MAX_NAMED_FACTS_BYTES,
    },
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
/// or, where there is no registry, those that are known from before. Each of them has as much `patience` for a question.
///
/// # Errors
///
/// [`PeerError::Registry`] when it cannot be asked and nobody is known. That nobody knows anything is no error.
pub async fn inquire(
    context: &Context,
    wanted: &[Reference],
    with_successors: bool,
    patience: Duration,
) -> Result<Inquired, PeerError> {
    let (registry, to_ask) = whom_to_ask(context, wanted).await?;
    let asking = Asking {
        context,
        registry,
        with_successors,
        patience,
    };
    let mut inquired = Inquired::default();
    for round in to_ask
        .chunks(FACTS_ASKED_AT_ONCE)
        .take(FACTS_ASKED_IN_ALL / FACTS_ASKED_AT_ONCE)
    {
        let unknown = inquired.unknown(wanted);
        if unknown.is_empty() {
            break;
        }
        let mut round = round.to_vec();
        inquired.ask(&asking, &mut round, &unknown).await;
        if with_successors {
            inquired.follow(&asking, &mut round, wanted).await;
        }
    }
    Ok(inquired)
}

/// How peers are asked.
struct Asking<'a> {
    context: &'a Context,
    /// The registry's address, which tells how far a peer's address must reach.
    registry: IpAddr,
    with_successors: bool,
    patience: Duration,
}

impl Asking<'_> {
    /// The questions about RFCs and subseries: as many as it takes.
    fn questions(&self, references: &[Reference]) -> Vec<DescribeQuery> {
        let questions = references.chunks(shared_limits::MAX_DESCRIBE_REFERENCES);
        let question = |references: &[Reference]| DescribeQuery {
            references: references.to_vec(),
            with_successors: self.with_successors,
            ..DescribeQuery::default()
        };
        questions.map(question).collect()
    }

    /// What a peer answers, and whether it answered every question.
    async fn ask(&self, holder: &Holder, questions: &[DescribeQuery]) -> (Vec<Facts>, bool) {
        let mut known = Vec::new();
        if !address::reaches(self.registry, holder.address.ip()) {
            return (known, false);
        }
        for question in questions {
            let answer = ask(&self.context.dialer, holder, question);
            match tokio::time::timeout(self.patience, answer).await {
                Ok(Ok(Told { facts, .. })) => known.extend(facts),
                Ok(Err(error)) => {
                    tracing::debug!(holder = %holder.name, address = %holder.address, %error, "tells nothing");
                    return (known, false);
                }
                Err(_) => {
                    tracing::debug!(holder = %holder.name, address = %holder.address, "is too slow to tell anything");
                    return (known, false);
                }
            }
        }
        (known, true)
    }
}

/// Times that peers are asked on about what one of them said to have taken an RFC's place.
const MAX_HOPS: usize = 8;

impl Inquired {
    /// Those of which nothing is known.
    fn unknown(&self, wanted: &[Reference]) -> Vec<Reference> {
        let is_unknown = |reference: &Reference| !self.catalogue.knows(*reference);
        wanted.iter().copied().filter(is_unknown).collect()
    }

    /// Asks on about what is current as far as is known by now: one peer may know what took the place of an RFC, and
    /// another one what took the place of that.
    async fn follow(&mut self, asking: &Asking<'_>, holders: &mut Vec<Holder>, wanted: &[Reference]) {
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
            self.ask(asking, holders, &new).await;
        }
    }

    /// Asks these peers, and keeps those that answered: whoever is silent once costs as much time again.
    async fn ask(&mut self, asking: &Asking<'_>, holders: &mut Vec<Holder>, references: &[Reference]) {
        let questions = asking.questions(references);
        let answers = join_all(holders.iter().map(|holder| asking.ask(holder, &questions))).await;
        let now = UnixSeconds::now();
        let asked = std::mem::take(holders);
        for (holder, (facts, has_answered)) in asked.into_iter().zip(answers) {
            let mut is_new = false;
            for facts in facts {
                is_new |= self.catalogue.learn(facts, now);
            }
            if is_new && !self.told_by.contains(&holder) {
                self.told_by.push(holder.clone());
            }
            holders.extend(has_answered.then_some(holder));
        }
    }
}

/// The registry's address, and peers that may know something.
async fn whom_to_ask(context: &Context, wanted: &[Reference]) -> Result<(IpAddr, Vec<Holder>), PeerError> {
    let known = || context.memory.to_ask();
    match whom_the_registry_names(context, wanted).await {
        // One that has just been started may know nobody yet.
        Ok((registry, named)) if named.is_empty() => Ok((registry, known())),
        Ok(named) => Ok(named),
        Err(error) if known().is_empty() => Err(error),
        Err(_) => {
            let registry = context.memory.registry().unwrap_or(IpAddr::from([127, 0, 0, 1]));
            Ok((registry, known()))
        }
    }
}

/// The same without anybody who is known from before.
async fn whom_the_registry_names(context: &Context, wanted: &[Reference]) -> Result<(IpAddr, Vec<Holder>), PeerError> {
    let located = |error| context.registry_error(error);
    let client = context.connect().await?;
    let mut holders = Vec::new();
    for number in wanted.iter().filter_map(Reference::rfc).take(FACTS_LOOKUPS) {
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
            Err(error) => return Err(located(error)),
        }
    }
    let mut peers = sharers(&client, |reachability| reachability != Reachability::Unreachable)
        .await
        .map_err(located)?;
    peers.sort_by(|(a, one), (b, other)| (Reverse(a), &one.name).cmp(&(Reverse(b), &other.name)));
    holders.extend(peers.into_iter().map(|(_, holder)| holder).take(FACTS_ASKED_IN_ALL));
    let mut met = BTreeSet::new();
    holders.retain(|holder| met.insert(holder.address));
    Ok((client.address().ip(), holders))
}

/// Active peers that share something and that others can reach as `may_be` says, each with how many documents it holds.
pub(super) async fn sharers(
    client: &RegistryClient,
    may_be: impl Fn(Reachability) -> bool,
) -> Result<Vec<(u64, Holder)>, CallError> {
    let mut sharers = Vec::new();
    let mut listed = client.list_peers().await?;
    while let Some(peer) = listed.next().await? {
        if let Some(address) = peer.address.filter(|_| may_be(peer.reachability)) {
            let holds = peer.document_count();
            let holder = Holder {
                id: peer.id,
                name: peer.name,
                address,
            };
            sharers.push((holds, holder));
        }
    }
    Ok(sharers)
}

/// What one peer said.
#[derive(Debug)]
pub struct Told {
    /// Names the state of what it knows.
    pub version: String,
    /// Where it serves RFCs over HTTP.
    pub http_port: Option<NonZeroU16>,
    /// Whether its site asks another one for what nobody around has.
    pub asks_upstream: bool,
    /// Facts.
    pub facts: Vec<Facts>,
}

/// Asks one peer. Of what it was asked for by name it may tell less than of everything.
///
/// # Errors
///
/// Every [`CallError`]; [`CallError::Violation`] when it tells more than there can be.
pub async fn ask(dialer: &Dialer, holder: &Holder, query: &DescribeQuery) -> Result<Told, CallError> {
    let client = FactsClient::connect(dialer, holder.address, FACTS_WINDOW_BYTES).await?;
    let most_bytes = if query.references.is_empty() {
        MAX_FACTS_BYTES
    } else {
        MAX_NAMED_FACTS_BYTES
    };
    let mut answers = client.describe(query).await?;
    let Some(Described::Opening {
        version,
        http_port,
        asks_upstream,
    }) = answers.next().await?
    else {
        return Err(CallError::Violation("it tells facts before their version".to_owned()));
    };
    let mut told = Told {
        version,
        http_port,
        asks_upstream,
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
        if told.facts.len() > MAX_FACTS || client.received().bytes() > most_bytes {
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
