//! What the index answers. Answers refer to shared values, so that they can be spelled out after the lock is free.

use std::{net::IpAddr, sync::Arc};

use p2p_ci::{
    address,
    document::{Document, DocumentClaim, Format},
    identity::SessionId,
    message::{DocumentEntry, Holder, IndexFilter, LookupQuery, PeerInfo, Reachability},
};
use rand::{Rng, seq::SliceRandom as _};

use super::{
    Card, Counts, Index, count,
    documents::Record,
    holders::Holders,
    sessions::{Session, Sessions, Standing},
};

/// Who asks: decides which holders are of use to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// Its source address.
    pub ip: IpAddr,
    /// Its own session, which it never wants to hear of.
    pub session: Option<SessionId>,
}

/// A document that was found, with a sample of its holders.
#[derive(Debug, Clone)]
pub struct Found {
    document: Arc<Document>,
    holder_count: u32,
    holders: Vec<Arc<Card>>,
}

impl Found {
    /// The answer, spelled out.
    #[must_use]
    pub fn into_entry(self) -> DocumentEntry {
        let holder = |card: Arc<Card>| {
            Some(Holder {
                id: card.label.id,
                name: card.label.name.clone(),
                address: card.address?,
            })
        };
        DocumentEntry {
            document: Document::clone(&self.document),
            holder_count: self.holder_count,
            holders: self.holders.into_iter().filter_map(holder).collect(),
        }
    }
}

/// Why a lookup found nobody from whom the asker could get an RFC: peers hold it, but none of them is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unusable {
    /// Holders to which the registry has not connected back yet.
    pub pending: u32,
    /// Holders that it could not reach.
    pub unreachable: u32,
    /// Holders with an address that means something else where the asker is.
    pub elsewhere: u32,
}

/// Part of a walk through the index.
#[derive(Debug, Clone)]
pub struct Walk {
    /// What the filter lets through.
    pub found: Vec<Found>,
    /// Where to go on, or `None` at the end.
    pub next: Option<DocumentClaim>,
}

/// Holders that take about as long to choose from as it takes to look at a document. When none of ten thousand holders
/// is of use to the asker, finding that out takes a while, and everybody else waits for it.
const HOLDERS_OF_A_VISIT: usize = 256;

/// Which documents a walk stops at.
#[derive(Debug, Clone, Copy)]
pub struct WalkQuery {
    /// Only these numbers, and only this format.
    pub filter: IndexFilter,
    /// Only what this session holds.
    pub holder: Option<SessionId>,
    /// At most so many holders for each document.
    pub max_holders: usize,
}

/// A registered session as it was at one moment.
#[derive(Debug, Clone)]
pub struct PeerView {
    /// Its place in the order of registration.
    pub number: u64,
    card: Arc<Card>,
    counts: Counts,
    reachability: Reachability,
    upload_count: u32,
}

impl PeerView {
    fn of((session, standing): (&Session, &Standing)) -> Self {
        Self {
            number: session.number,
            card: Arc::clone(&session.card),
            counts: session.documents.counts(),
            reachability: standing.reachability,
            upload_count: standing.upload_count,
        }
    }

    /// The view, spelled out.
    #[must_use]
    pub fn into_info(self) -> PeerInfo {
        let counts = Format::ALL.into_iter().zip(self.counts);
        PeerInfo {
            id: self.card.label.id,
            name: self.card.label.name.clone(),
            address: self.card.address,
            document_counts: counts.filter(|(_, count)| *count > 0).collect(),
            registered: self.card.registered,
            reachability: self.reachability,
            upload_count: self.upload_count,
        }
    }
}

/// What a holder other than the asker is to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Usable,
    Pending,
    Unreachable,
    Elsewhere,
}

impl Asker {
    fn use_of(&self, holder: &Standing) -> Use {
        match (holder.reachability, holder.ip) {
            (Reachability::Pending, _) => Use::Pending,
            (Reachability::Unreachable | Reachability::Observer, _) | (_, None) => Use::Unreachable,
            (Reachability::Reachable, Some(ip)) if address::reaches(self.ip, ip) => Use::Usable,
            (Reachability::Reachable, Some(_)) => Use::Elsewhere,
        }
    }
}

impl Index {
    /// The documents of one number that somebody holds from whom `asker` could get them: in order of format, and of
    /// one format those with most holders first (of metadata records, the newest first). At most `max_documents`; of
    /// more, each format keeps its first ones.
    ///
    /// # Errors
    ///
    /// When there are none; says who holds some that the asker could not get.
    pub fn lookup(
        &self,
        query: &LookupQuery,
        asker: Asker,
        max_documents: usize,
        rng: &mut impl Rng,
    ) -> Result<Vec<Found>, Unusable> {
        let found = self.usable(query, asker, max_documents, rng);
        if found.is_empty() {
            return Err(self.unusable(self.wanted(query).map(|(_, record)| record), asker));
        }
        Ok(found)
    }

    /// The same, for whoever does not ask why there are none.
    pub fn usable(&self, query: &LookupQuery, asker: Asker, max_documents: usize, rng: &mut impl Rng) -> Vec<Found> {
        let mut found: Vec<Found> = self
            .wanted(query)
            .map(|numbered| self.answer(numbered, asker, query.max_holders, rng))
            .filter(|found| !found.holders.is_empty())
            .collect();
        found.sort_by_key(rank);
        keep_first_of_each_format(&mut found, max_documents);
        found
    }

    /// How long it may take to find out who of the holders of an RFC is of use to an asker, counted in documents with few
    /// holders.
    #[must_use]
    pub fn visits_of(&self, query: &LookupQuery) -> usize {
        self.wanted(query).map(|(_, record)| self.visits(record)).sum()
    }

    fn visits(&self, record: &Record) -> usize {
        1 + self.holders(record).len() / HOLDERS_OF_A_VISIT
    }

    fn wanted<'a>(&'a self, query: &'a LookupQuery) -> impl Iterator<Item = (u32, &'a Record)> {
        self.documents.of_number(query.number).filter(|(_, record)| {
            let id = record.document.id;
            query.format.is_none_or(|format| format == id.key.format) && query.sha256_prefix.matches(&id.sha256)
        })
    }

    fn holders<'a>(&'a self, record: &'a Record) -> Holders<'a> {
        Holders::of(record, &self.lists)
    }

    /// The holders of `records`, each counted once, by why they are of no use.
    fn unusable<'a>(&'a self, records: impl Iterator<Item = &'a Record>, asker: Asker) -> Unusable {
        let records: Vec<&Record> = records.collect();
        if let [only] = records.as_slice() {
            return self.count_unusable(self.holders(only).iter(), asker);
        }
        let mut slots: Vec<u32> = records.iter().flat_map(|record| self.holders(record).iter()).collect();
        slots.sort_unstable();
        slots.dedup();
        self.count_unusable(slots.into_iter(), asker)
    }

    fn count_unusable(&self, slots: impl Iterator<Item = u32>, asker: Asker) -> Unusable {
        let mut unusable = Unusable::default();
        let own = self.slot_of(asker);
        let others = slots.filter(|slot| Some(*slot) != own);
        for holder in others.filter_map(|slot| self.sessions.standing(slot)) {
            match asker.use_of(holder) {
                Use::Pending => unusable.pending += 1,
                Use::Unreachable => unusable.unreachable += 1,
                Use::Elsewhere => unusable.elsewhere += 1,
                Use::Usable => {}
            }
        }
        unusable
    }

    /// The next part of the index in order of document id, behind `after`: looks at no more than `max_visited`
    /// documents, at fewer where many peers hold each of them. An asker with a session is not among the holders, and
    /// what only it holds is left out.
    pub fn walk(
        &self,
        query: &WalkQuery,
        asker: Asker,
        after: Option<DocumentClaim>,
        max_visited: usize,
        rng: &mut impl Rng,
    ) -> Walk {
        let IndexFilter { range, format } = query.filter;
        let holder = query.holder.map(|id| self.session(id));
        let mut walk = Walk {
            found: Vec::new(),
            next: None,
        };
        let mut last = None;
        let mut visited = 0;
        for (number, claim, record) in self.documents.from(range.first, after) {
            let id = claim.id;
            if id.key.number > range.last {
                return walk;
            }
            if visited >= max_visited {
                walk.next = last;
                return walk;
            }
            visited += self.visits(record);
            last = Some(*claim);
            let is_held = match holder {
                None => true,
                Some(session) => session.is_some_and(|session| session.documents.contains(id.key.format, number)),
            };
            if is_held && format.is_none_or(|format| format == id.key.format) {
                let found = self.answer((number, record), asker, query.max_holders, rng);
                if found.holder_count > 0 {
                    walk.found.push(found);
                }
            }
        }
        walk
    }

    /// The registered sessions in order of registration, from behind number `after` on, at most `max` of them.
    #[must_use]
    pub fn peers(&self, after: u64, max: usize) -> Vec<PeerView> {
        self.sessions.after(after).take(max).map(PeerView::of).collect()
    }

    /// One registered session.
    #[must_use]
    pub fn peer(&self, id: SessionId) -> Option<PeerView> {
        let slot = self.sessions.slot(id)?;
        Some(PeerView::of((self.sessions.get(slot)?, self.sessions.standing(slot)?)))
    }

    fn slot_of(&self, asker: Asker) -> Option<u32> {
        asker.session.and_then(|id| self.sessions.slot(id))
    }

    /// A document with a uniform sample of the holders that are of use to the asker: its neighbours first, then those
    /// with fewer uploads, then in random order.
    fn answer(&self, (number, record): (u32, &Record), asker: Asker, max_holders: usize, rng: &mut impl Rng) -> Found {
        let own = self.slot_of(asker);
        let usable = |slot| {
            let holder = self.sessions.standing(slot).filter(|_| Some(slot) != own);
            holder.is_some_and(|holder| asker.use_of(holder) == Use::Usable)
        };
        let holders = self.holders(record);
        let mut slots = holders.sample(max_holders, rng, usable);
        slots.shuffle(rng);
        let format = record.document.id.key.format;
        let own = own.and_then(|slot| self.sessions.get(slot));
        let is_own = own.is_some_and(|session| session.documents.contains(format, number));
        Found {
            document: Arc::clone(&record.document),
            holder_count: count(holders.len() - usize::from(is_own)),
            holders: nearest_first(&self.sessions, &slots, asker.ip),
        }
    }
}

fn nearest_first(sessions: &Sessions, slots: &[u32], asker: IpAddr) -> Vec<Arc<Card>> {
    let home = address::neighbourhood(asker);
    let mut holders: Vec<(bool, u32, &Arc<Card>)> = slots
        .iter()
        .filter_map(|slot| sessions.standing(*slot))
        .map(|holder| {
            let is_far = holder.ip.is_none_or(|ip| address::neighbourhood(ip) != home);
            (is_far, holder.upload_count, &holder.card)
        })
        .collect();
    holders.sort_by_key(|(is_far, upload_count, _)| (*is_far, *upload_count));
    holders.into_iter().map(|(_, _, card)| Arc::clone(card)).collect()
}

/// Format, then the newest metadata record, then the most holders; digest and length make the order a total one.
fn rank(found: &Found) -> impl Ord + use<> {
    use std::cmp::Reverse;
    let id = found.document.id;
    let newest = match id.key.format {
        Format::Json => found.document.modified,
        Format::Txt | Format::Html | Format::Pdf | Format::Xml => None,
    };
    let claim = found.document.claim();
    (id.key.format, Reverse(newest), Reverse(found.holder_count), claim)
}

/// Keeps `max` of documents in order of rank: the first one of every format before the second one of any.
fn keep_first_of_each_format(found: &mut Vec<Found>, max: usize) {
    if found.len() <= max {
        return;
    }
    let mut places: Vec<(usize, usize)> = Vec::with_capacity(found.len());
    let mut previous = None;
    for (place, item) in found.iter().enumerate() {
        let format = item.document.id.key.format;
        let of_format = match (previous, places.last()) {
            (Some(known), Some((of_format, _))) if known == format => of_format + 1,
            _ => 0,
        };
        previous = Some(format);
        places.push((of_format, place));
    }
    places.sort_unstable();
    let mut kept: Vec<usize> = places.into_iter().take(max).map(|(_, place)| place).collect();
    kept.sort_unstable();
    let mut place = 0;
    found.retain(|_| {
        let keep = kept.binary_search(&place).is_ok();
        place += 1;
        keep
    });
}
