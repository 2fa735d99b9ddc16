//! The naive index: lists, searched from end to end.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use p2p_ci::{
    address,
    document::{Document, DocumentClaim, DocumentKey, Format},
    identity::{PeerName, ResumeToken, SessionId},
    message::{DocumentEntry, IndexFilter, LookupQuery, Reachability},
};
use registry::index::{IndexLimits, Joining, Refusal};

/// A session as the model keeps it.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) joining: Joining,
    pub(super) documents: BTreeMap<DocumentKey, DocumentClaim>,
    pub(super) reachability: Reachability,
    pub(super) upload_count: u32,
}

impl Peer {
    pub(super) fn id(&self) -> SessionId {
        self.joining.label.id
    }

    fn holds(&self, claim: &DocumentClaim) -> bool {
        self.documents.get(&claim.id.key) == Some(claim)
    }
}

/// What the index should answer for one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) document: Document,
    pub(super) holder_count: u32,
    /// Everybody who may be named as a holder.
    pub(super) usable: BTreeSet<SessionId>,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) limits: IndexLimits,
    /// In order of registration.
    pub(super) peers: Vec<Peer>,
    pub(super) documents: BTreeMap<DocumentClaim, Document>,
    /// Who announced each of them first.
    pub(super) brought_by: BTreeMap<DocumentClaim, IpAddr>,
    /// What was last known of documents that nobody holds.
    pub(super) remembered: BTreeMap<DocumentClaim, Document>,
}

impl Model {
    pub(super) fn peer(&self, id: SessionId) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.id() == id)
    }

    fn peer_mut(&mut self, id: SessionId) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.id() == id)
    }

    pub(super) fn join(&mut self, joining: Joining) -> Result<Vec<SessionId>, Refusal> {
        let by_name = |peer: &&Peer| peer.joining.label.name == joining.label.name;
        let by_address = |peer: &&Peer| joining.address.is_some() && peer.joining.address == joining.address;
        let foreign = |peer: &&Peer| joining.resume != Some(peer.joining.token);
        if self.peers.iter().filter(by_name).any(|peer| foreign(&peer)) {
            return Err(Refusal::NameTaken(joining.label.name.clone()));
        }
        if let (Some(address), true) = (
            joining.address,
            self.peers.iter().filter(by_address).any(|peer| foreign(&peer)),
        ) {
            return Err(Refusal::AddressTaken(address));
        }
        let replaced: Vec<SessionId> = self
            .peers
            .iter()
            .filter(|peer| by_name(peer) || by_address(peer))
            .map(Peer::id)
            .collect();
        let of_account = self
            .peers
            .iter()
            .filter(|peer| peer.joining.account == joining.account && !replaced.contains(&peer.id()))
            .count();
        let limit = self.limits.sessions_per_address;
        if limit > 0 && of_account >= limit {
            let source_ip = joining.account;
            return Err(Refusal::TooManySessions { source_ip, limit });
        }
        replaced.iter().for_each(|id| _ = self.leave(*id));
        self.peers.push(Peer {
            reachability: match joining.address {
                Some(_) => Reachability::Pending,
                None => Reachability::Observer,
            },
            joining,
            documents: BTreeMap::new(),
            upload_count: 0,
        });
        Ok(replaced)
    }

    pub(super) fn leave(&mut self, id: SessionId) -> bool {
        let before = self.peers.len();
        self.peers.retain(|peer| peer.id() != id);
        self.forget_unheld();
        self.peers.len() < before
    }

    fn forget_unheld(&mut self) {
        let peers = &self.peers;
        let is_held = |claim: &DocumentClaim, _: &mut Document| peers.iter().any(|peer| peer.holds(claim));
        let unheld = self
            .documents
            .extract_if(.., |claim, document| !is_held(claim, document));
        self.remembered.extend(unheld);
        let documents = &self.documents;
        self.brought_by.retain(|claim, _| documents.contains_key(claim));
    }

    /// Tries on a copy and keeps it when nothing was wrong.
    pub(super) fn announce(&mut self, id: SessionId, batch: &[Document]) -> Result<(Vec<DocumentKey>, u32), Refusal> {
        let peer = self.peer(id).ok_or(Refusal::NotRegistered)?;
        if peer.joining.address.is_none() {
            return Err(Refusal::Observer);
        }
        let before = peer.documents.clone();
        let source_ip = peer.joining.account;
        let brought = |model: &Self| model.brought_by.values().filter(|ip| **ip == source_ip).count();
        let (old_brought_by, brought_before) = (self.brought_by.clone(), brought(self));
        let mut latest: BTreeMap<DocumentKey, Document> = BTreeMap::new();
        for document in batch {
            latest.insert(document.id.key, document.clone());
        }
        let old_remembered = self.remembered.clone();
        let (old_documents, old_count) = (self.documents.clone(), self.documents.len());
        let mut after = before.clone();
        for document in latest.values() {
            after.insert(document.id.key, document.claim());
            self.brought_by.entry(document.claim()).or_insert(source_ip);
            let remembered = self.remembered.remove(&document.claim());
            let known = self
                .documents
                .entry(document.claim())
                .or_insert_with(|| remembered.unwrap_or_else(|| document.clone()));
            if known.title.as_str().is_empty() {
                known.title = document.title.clone();
            }
            known.modified = known.modified.into_iter().chain(document.modified).min();
        }
        if let Some(peer) = self.peer_mut(id) {
            peer.documents = after.clone();
        }
        self.forget_unheld();
        let refusal = if after.len() > self.limits.session_documents {
            let limit = self.limits.session_documents;
            Some(Refusal::TooManyOfSession { limit })
        } else if brought(self) > self.limits.documents_per_source && brought(self) > brought_before {
            let limit = self.limits.documents_per_source;
            Some(Refusal::TooManyOfSource { source_ip, limit })
        } else if self.documents.len() > self.limits.documents && self.documents.len() > old_count {
            let limit = self.limits.documents;
            Some(Refusal::TooManyInAll { limit })
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.documents = old_documents;
            self.remembered = old_remembered;
            self.brought_by = old_brought_by;
            self.peer_mut(id).unwrap().documents = before;
            return Err(refusal);
        }
        let changed = latest.keys().filter(|key| before.get(key) != after.get(key)).copied();
        Ok((changed.collect(), u32::try_from(after.len()).unwrap()))
    }

    pub(super) fn withdraw(&mut self, id: SessionId, keys: &[DocumentKey]) -> Result<(Vec<DocumentKey>, u32), Refusal> {
        let peer = self.peer_mut(id).ok_or(Refusal::NotRegistered)?;
        let mut gone: Vec<DocumentKey> = Vec::new();
        for key in keys {
            if peer.documents.remove(key).is_some() {
                gone.push(*key);
            }
        }
        gone.sort();
        let total = u32::try_from(peer.documents.len()).unwrap();
        self.forget_unheld();
        Ok((gone, total))
    }

    /// What is known of a document, whether anybody holds it or not.
    pub(super) fn known(&self, claim: &DocumentClaim) -> Document {
        let remembered = || self.remembered.get(claim);
        self.documents.get(claim).or_else(remembered).unwrap().clone()
    }

    /// The keys of what a session holds of these formats.
    pub(super) fn keys_of(&self, id: SessionId, formats: &[Format]) -> Vec<DocumentKey> {
        let keys = self.peer(id).into_iter().flat_map(|peer| peer.documents.keys());
        keys.filter(|key| formats.contains(&key.format)).copied().collect()
    }

    /// What a session holds of a format.
    pub(super) fn held(&self, id: SessionId, format: Format) -> Vec<Document> {
        let claims = self.peer(id).into_iter().flat_map(|peer| peer.documents.values());
        let of_format = claims.filter(|claim| claim.id.key.format == format);
        of_format.map(|claim| self.documents[claim].clone()).collect()
    }

    pub(super) fn set_reachability(&mut self, id: SessionId, reachability: Reachability) -> bool {
        let Some(peer) = self.peer_mut(id) else { return false };
        let is_news = peer.reachability != reachability;
        peer.reachability = reachability;
        is_news
    }

    pub(super) fn heartbeat(&mut self, id: SessionId, upload_count: u32) -> Result<u32, Refusal> {
        let peer = self.peer_mut(id).ok_or(Refusal::NotRegistered)?;
        peer.upload_count = upload_count;
        Ok(u32::try_from(peer.documents.len()).unwrap())
    }

    /// Every document of the filter, in order.
    pub(super) fn list(
        &self,
        filter: IndexFilter,
        holder: Option<SessionId>,
        asker: IpAddr,
        own: Option<SessionId>,
    ) -> Vec<Expected> {
        let is_wanted = |claim: &DocumentClaim| {
            let id = claim.id;
            filter.range.contains(id.key.number)
                && filter.format.is_none_or(|format| format == id.key.format)
                && holder.is_none_or(|holder| self.peer(holder).is_some_and(|peer| peer.holds(claim)))
        };
        let ids = self.documents.keys().filter(|id| is_wanted(id));
        ids.map(|id| self.expected(id, asker, own))
            .filter(|expected| expected.holder_count > 0)
            .collect()
    }

    /// The documents of a lookup, in order.
    pub(super) fn lookup(&self, query: &LookupQuery, asker: IpAddr, own: Option<SessionId>) -> Vec<Expected> {
        let is_wanted = |claim: &DocumentClaim| {
            let id = claim.id;
            id.key.number == query.number
                && query.format.is_none_or(|format| format == id.key.format)
                && id.sha256.to_string().starts_with(query.sha256_prefix.as_str())
        };
        let ids = self.documents.keys().filter(|id| is_wanted(id));
        let mut found: Vec<Expected> = ids
            .map(|id| self.expected(id, asker, own))
            .filter(|expected| !expected.usable.is_empty())
            .collect();
        found.sort_by(|a, b| {
            let newest_first = match a.document.id.key.format {
                Format::Json => b.document.modified.cmp(&a.document.modified),
                _ => std::cmp::Ordering::Equal,
            };
            (a.document.id.key.format.cmp(&b.document.id.key.format))
                .then(newest_first)
                .then(b.holder_count.cmp(&a.holder_count))
                .then(a.document.claim().cmp(&b.document.claim()))
        });
        found
    }

    fn expected(&self, claim: &DocumentClaim, asker: IpAddr, own: Option<SessionId>) -> Expected {
        let holders = || {
            self.peers
                .iter()
                .filter(|peer| peer.holds(claim) && Some(peer.id()) != own)
        };
        let is_usable = |peer: &&Peer| {
            let address: Option<SocketAddr> = peer.joining.address;
            peer.reachability == Reachability::Reachable
                && address.is_some_and(|address| address::reaches(asker, address.ip()))
        };
        Expected {
            document: self.documents[claim].clone(),
            holder_count: u32::try_from(holders().count()).unwrap(),
            usable: holders().filter(is_usable).map(Peer::id).collect(),
        }
    }

    /// Whose name this is, and the token that goes with it.
    pub(super) fn token_of(&self, name: &PeerName) -> Option<ResumeToken> {
        let peer = self.peers.iter().find(|peer| peer.joining.label.name == *name)?;
        Some(peer.joining.token)
    }
}

/// What is told of a refusal that was met.
pub(super) fn name_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NameTaken(_) => "name taken",
        Refusal::AddressTaken(_) => "address taken",
        Refusal::TooManySessions { .. } => "source full",
        Refusal::NotRegistered => "not registered",
        Refusal::Observer => "observer",
        Refusal::TooManyOfSession { .. } => "session full",
        Refusal::TooManyOfSource { .. } => "source brought too much",
        Refusal::TooManyInAll { .. } => "total full",
    }
}

/// Entries are those expected, in that order, each with as many usable holders as fit, no one twice.
#[track_caller]
pub(super) fn check(entries: &[DocumentEntry], expected: &[Expected], max_holders: usize) {
    let documents = |entry: &DocumentEntry| (entry.document.clone(), entry.holder_count);
    let shown: Vec<_> = entries.iter().map(documents).collect();
    let wanted: Vec<_> = expected.iter().map(|e| (e.document.clone(), e.holder_count)).collect();
    assert_eq!(shown, wanted);
    for (entry, expected) in entries.iter().zip(expected) {
        let holders: BTreeSet<SessionId> = entry.holders.iter().map(|holder| holder.id).collect();
        assert_eq!(holders.len(), entry.holders.len(), "no holder twice");
        assert!(holders.is_subset(&expected.usable));
        assert_eq!(holders.len(), expected.usable.len().min(max_holders));
    }
}
