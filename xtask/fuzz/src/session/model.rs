//! Who is registered with what, naively: lists, searched from end to end.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use arbitrary::Arbitrary;
use p2p_ci::{
    digest::{DigestPrefix, Sha256},
    document::{Document, DocumentClaim, DocumentId, DocumentKey, Format, RfcNumber, Title},
    fingerprint::Fingerprint,
    identity::ResumeToken,
    message::{IndexFilter, ListQuery, Listed, LookupQuery},
};
use registry::{
    index::{IndexLimits, answers::Asker},
    swarm::Swarm,
};
use tokio_util::sync::CancellationToken;

/// One of a few documents.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) struct Item {
    number: u8,
    version: bool,
    is_html: bool,
}

fn number(value: u8) -> RfcNumber {
    RfcNumber::new(1 + u32::from(value % 4)).expect("more than 0")
}

impl Item {
    pub(super) fn document(&self) -> Document {
        let format = if self.is_html { Format::Html } else { Format::Txt };
        let number = number(self.number);
        let digest = Sha256::of(&[u8::from(self.version), u8::from(self.is_html), self.number % 4]);
        Document {
            id: DocumentId {
                key: DocumentKey { number, format },
                sha256: digest,
            },
            size_bytes: 4,
            title: Title::default(),
            modified: None,
        }
    }
}

pub(super) fn query(of: u8) -> LookupQuery {
    LookupQuery {
        number: number(of),
        format: None,
        sha256_prefix: DigestPrefix::default(),
        max_holders: 8,
    }
}

/// How many hold each document, as the swarm lists it.
pub(super) async fn listed(swarm: &Swarm) -> BTreeMap<DocumentClaim, u32> {
    let query = ListQuery {
        filter: IndexFilter::ALL,
        peer: None,
        max_holders: 3,
    };
    let asker = Asker {
        ip: "127.0.0.1".parse().expect("an address"),
        session: None,
    };
    let mut documents = swarm
        .list(query, asker, CancellationToken::new())
        .expect("everything can be listed");
    let mut listed = BTreeMap::new();
    while let Some(Listed { entry, .. }) = documents.next().await.expect("the list ends well") {
        assert!(entry.holders.is_empty(), "nobody can be reached");
        let told = listed.insert(entry.document.claim(), entry.holder_count);
        assert!(told.is_none(), "a document is listed twice");
    }
    listed
}

/// What one peer holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holdings(BTreeMap<DocumentKey, DocumentClaim>);

impl Holdings {
    pub(super) fn of(items: &[Item]) -> Self {
        let claims = items.iter().map(|item| item.document().claim());
        Self(claims.map(|claim| (claim.id.key, claim)).collect())
    }

    pub(super) fn only(&self, formats: &[Format]) -> Self {
        let of_these = self.0.iter().filter(|(key, _)| formats.contains(&key.format));
        Self(of_these.map(|(key, claim)| (*key, *claim)).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn claims(&self) -> impl Iterator<Item = DocumentClaim> {
        self.0.values().copied()
    }

    /// One for each format of which there is anything.
    pub(super) fn fingerprints(&self) -> Vec<Fingerprint> {
        let all = self.fingerprints_of_all().into_iter();
        all.filter(|fingerprint| fingerprint.count > 0).collect()
    }

    /// One for each format.
    pub(super) fn fingerprints_of_all(&self) -> Vec<Fingerprint> {
        Format::ALL
            .map(|format| Fingerprint::of(format, self.claims()))
            .to_vec()
    }
}

struct Peer {
    id: usize,
    name: String,
    address: Option<SocketAddr>,
    source: SocketAddr,
    token: ResumeToken,
    held: Holdings,
}

pub(super) struct Model {
    limits: IndexLimits,
    peers: Vec<Peer>,
    tokens: Vec<ResumeToken>,
    /// What any peer held of a format at any time when it said so itself.
    lists: BTreeSet<Holdings>,
    brought_by: BTreeMap<DocumentClaim, SocketAddr>,
}

impl Model {
    pub(super) fn new(limits: IndexLimits) -> Self {
        Self {
            limits,
            peers: Vec::new(),
            tokens: Vec::new(),
            lists: BTreeSet::new(),
            brought_by: BTreeMap::new(),
        }
    }

    pub(super) fn open(&self) -> Vec<usize> {
        self.peers.iter().map(|peer| peer.id).collect()
    }

    /// The secret of a session that was once open.
    pub(super) fn token_of(&self, whose: usize) -> Option<ResumeToken> {
        self.tokens.get(whose % self.tokens.len().max(1)).copied()
    }

    /// The sessions that a newcomer takes the place of; `None` when it may not come.
    pub(super) fn would_replace(
        &self,
        name: &str,
        address: Option<SocketAddr>,
        source: SocketAddr,
        resume: Option<ResumeToken>,
    ) -> Option<Vec<usize>> {
        let in_its_way = |peer: &&Peer| peer.name == name || (address.is_some() && peer.address == address);
        let theirs: Vec<&Peer> = self.peers.iter().filter(in_its_way).collect();
        if theirs.iter().any(|peer| resume != Some(peer.token)) {
            return None;
        }
        let replaced: Vec<usize> = theirs.iter().map(|peer| peer.id).collect();
        let beside = |peer: &&Peer| peer.source == source && !replaced.contains(&peer.id);
        let is_room = self.peers.iter().filter(beside).count() < self.limits.sessions_per_address;
        is_room.then_some(replaced)
    }

    pub(super) fn join(
        &mut self,
        id: usize,
        name: &str,
        address: Option<SocketAddr>,
        source: SocketAddr,
        token: ResumeToken,
        held: Holdings,
    ) {
        self.tokens.push(token);
        self.peers.push(Peer {
            id,
            name: name.to_owned(),
            address,
            source,
            token,
            held,
        });
        self.note_brought(source);
    }

    pub(super) fn leave(&mut self, id: usize) {
        self.peers.retain(|peer| peer.id != id);
        self.forget_unheld();
    }

    pub(super) fn held(&self, id: usize) -> &Holdings {
        &self.peer(id).held
    }

    fn peer(&self, id: usize) -> &Peer {
        self.peers.iter().find(|peer| peer.id == id).expect("it is open")
    }

    /// How many documents a peer holds after it announced these; `None` where that is refused.
    pub(super) fn announce(&mut self, id: usize, items: &[Item]) -> Option<usize> {
        let source = self.peer(id).source;
        self.peer(id).address?;
        let index = self.peers.iter().position(|peer| peer.id == id)?;
        let before = self.peers[index].held.clone();
        let (brought, documents) = (self.brought_by.clone(), self.listed().len());
        self.peers[index].held.0.extend(Holdings::of(items).0);
        self.note_brought(source);
        let of_source =
            |brought: &BTreeMap<DocumentClaim, SocketAddr>| brought.values().filter(|by| **by == source).count();
        let (now, then) = (of_source(&self.brought_by), of_source(&brought));
        let is_too_much = self.peers[index].held.len() > self.limits.session_documents
            || (now > self.limits.documents_per_source && now > then)
            || (self.listed().len() > self.limits.documents && self.listed().len() > documents);
        if is_too_much {
            self.peers[index].held = before;
            self.brought_by = brought;
            return None;
        }
        Some(self.peers[index].held.len())
    }

    pub(super) fn withdraw(&mut self, id: usize, items: &[Item], all_texts: bool) -> usize {
        let peer = self.peers.iter_mut().find(|peer| peer.id == id).expect("it is open");
        for item in items {
            peer.held.0.remove(&item.document().id.key);
        }
        peer.held.0.retain(|key, _| !(all_texts && key.format == Format::Txt));
        let held = peer.held.len();
        self.forget_unheld();
        held
    }

    /// A peer said what it holds, which the registry may remember.
    pub(super) fn confirm(&mut self, id: usize) {
        let held = self.held(id).clone();
        self.lists.extend(Format::ALL.map(|format| held.only(&[format])));
    }

    /// Whether each format of this was held by somebody who said so.
    pub(super) fn was_ever_held(&self, holdings: &Holdings) -> bool {
        let of_formats = Format::ALL.map(|format| holdings.only(&[format]));
        of_formats
            .iter()
            .all(|list| list.is_empty() || self.lists.contains(list))
    }

    fn note_brought(&mut self, source: SocketAddr) {
        for claim in self.listed().into_keys() {
            self.brought_by.entry(claim).or_insert(source);
        }
        self.forget_unheld();
    }

    fn forget_unheld(&mut self) {
        let listed = self.listed();
        self.brought_by.retain(|claim, _| listed.contains_key(claim));
    }

    /// How many hold each document.
    pub(super) fn listed(&self) -> BTreeMap<DocumentClaim, u32> {
        let mut listed = BTreeMap::new();
        for claim in self.peers.iter().flat_map(|peer| peer.held.claims()) {
            *listed.entry(claim).or_default() += 1;
        }
        listed
    }
}
