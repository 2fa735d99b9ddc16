//! The index does what a naive model does, whatever happens in whatever order.

mod model;
mod steps;

use std::{collections::BTreeSet, net::IpAddr};

use p2p_ci::{
    address::accountable,
    document::{Document, DocumentClaim, Format, UnixSeconds},
    fingerprint::Fingerprint,
    identity::{ResumeToken, SessionId},
    limits::MAX_HOLDERS,
    message::{DocumentEntry, IndexFilter, LookupQuery, PeerLabel, Reachability},
};
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine as _, StateMachineTest, prop_state_machine};
use rand::{SeedableRng as _, rngs::StdRng};
use registry::index::{
    Index, IndexLimits, Joining, List, Refusal,
    answers::{Asker, WalkQuery},
};

use self::{
    model::{Model, check, name_of},
    steps::{Joined, NAMES, RECENT, SOURCES, Step},
};

/// So small that every one of them is met often.
const LIMITS: IndexLimits = IndexLimits {
    session_documents: 6,
    documents: 9,
    documents_per_source: 5,
    sessions_per_address: 2,
    lists: 2,
    list_documents: 6,
};

/// Both, side by side.
struct Pair {
    index: Index,
    model: Model,
    rng: StdRng,
    /// Every session that ever joined, gone or not.
    sessions: Vec<SessionId>,
    /// Every list that could be named at some time.
    lists: Vec<(Fingerprint, Vec<DocumentClaim>)>,
    /// What happened beside plain success.
    met: BTreeSet<&'static str>,
}

impl Pair {
    fn new() -> Self {
        Self {
            index: Index::new(LIMITS),
            model: Model {
                limits: LIMITS,
                peers: Vec::new(),
                documents: Default::default(),
                brought_by: Default::default(),
                remembered: Default::default(),
            },
            rng: StdRng::seed_from_u64(7),
            sessions: Vec::new(),
            lists: Vec::new(),
            met: BTreeSet::new(),
        }
    }

    /// The last sessions that joined, most of which are still there, then others from the first one on.
    fn session(&self, place: usize) -> SessionId {
        let stranger = SessionId::from_bytes([0xff; 16]);
        let session = match place.checked_sub(RECENT) {
            None => self.sessions.iter().rev().nth(place),
            Some(place) => self.sessions.get(place),
        };
        *session.unwrap_or(&stranger)
    }

    fn take(&mut self, step: Step) {
        self.take_unchecked(step);
        self.forget_unknown();
    }

    fn take_unchecked(&mut self, step: Step) {
        match step {
            Step::Join {
                name,
                source,
                port,
                resume,
            } => self.join(name, source, port, resume),
            Step::Leave(who) => {
                let id = self.session(who);
                assert_eq!(self.index.leave(id).is_some(), self.model.leave(id));
            }
            Step::Announce(who, documents) => {
                let id = self.session(who);
                let expected = self.model.announce(id, &documents);
                let change = self.index.announce(id, documents);
                self.met.extend(change.as_ref().err().map(name_of));
                assert_eq!(change.map(|change| (change.keys.to_vec(), change.total)), expected);
            }
            Step::Withdraw(who, keys) => {
                let id = self.session(who);
                let expected = self.model.withdraw(id, &keys);
                let change = self.index.withdraw(id, keys);
                assert_eq!(change.map(|change| (change.keys.to_vec(), change.total)), expected);
            }
            Step::WithdrawFormats(who, formats) => {
                let id = self.session(who);
                let keys = self.model.keys_of(id, &formats);
                let expected = self.model.withdraw(id, &keys);
                let change = self.index.withdraw_formats(id, &formats);
                assert_eq!(change.map(|change| (change.keys.to_vec(), change.total)), expected);
            }
            Step::Note(who, format) => self.note(self.session(who), format),
            Step::Adopt(who, which) => self.adopt(self.session(who), which),
            Step::Heartbeat(who, count) => {
                let id = self.session(who);
                assert_eq!(self.index.heartbeat(id, count), self.model.heartbeat(id, count));
            }
            Step::Reach(who, reached) => {
                let id = self.session(who);
                let verdict = if reached {
                    Reachability::Reachable
                } else {
                    Reachability::Unreachable
                };
                let news = self.index.set_reachability(id, verdict);
                assert_eq!(news.is_some(), self.model.set_reachability(id, verdict));
            }
            Step::Look {
                asker,
                source,
                query,
                filter,
                holder,
                visits,
            } => {
                let asker = Asker {
                    ip: SOURCES[source].parse().unwrap(),
                    session: Some(self.session(asker)),
                };
                let holder = holder.map(|place| self.session(place));
                self.look_up(&query, asker);
                self.walk(filter, holder, asker, visits);
            }
        }
    }

    fn join(&mut self, name: usize, source: usize, port: Option<u16>, resume: Option<usize>) {
        let ip: IpAddr = SOURCES[source].parse().unwrap();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.sessions.len().to_be_bytes());
        let joining = Joining {
            label: PeerLabel {
                id: SessionId::from_bytes(id),
                name: NAMES[name].parse().unwrap(),
            },
            token: ResumeToken::from_bytes(id),
            resume: resume.and_then(|name| self.model.token_of(&NAMES[name].parse().unwrap())),
            address: port.map(|port| (ip, port).into()),
            account: accountable(ip),
            registered: UnixSeconds(0),
        };
        let expected = self.model.join(joining.clone());
        let joined = self.index.join(joining.clone());
        match &joined {
            Err(refusal) => self.met.extend([name_of(refusal)]),
            Ok(joined) if !joined.superseded.is_empty() => self.met.extend(["superseded"]),
            Ok(_) => {}
        }
        let superseded = joined.map(|joined| joined.superseded.into_iter().map(|member| member.label.id).collect());
        let sorted = |ids: Vec<SessionId>| ids.into_iter().collect::<BTreeSet<_>>();
        assert_eq!(superseded.map(sorted), expected.map(sorted));
        self.sessions.push(joining.label.id);
    }

    fn note(&mut self, id: SessionId, format: Format) {
        let Ok(held) = self.index.held(id, &[format]) else {
            assert!(self.model.peer(id).is_none());
            return;
        };
        let documents = self.model.held(id, format);
        let list = List::of(format, &held);
        let fingerprint = list.fingerprint();
        assert_eq!(
            fingerprint,
            Fingerprint::of(format, documents.iter().map(Document::claim))
        );
        let known: Vec<Fingerprint> = self.known().map(|(fingerprint, _)| *fingerprint).collect();
        self.index.note_list(id, list, true).unwrap();
        assert!(self.index.fingerprints(id).unwrap().contains(&fingerprint));
        if documents.is_empty() {
            return;
        }
        let is_held = |gone: &Fingerprint| {
            let mut peers = self.model.peers.iter();
            peers.any(|peer| self.index.fingerprints(peer.id()).unwrap().contains(gone))
        };
        let mut known = known.into_iter().chain([fingerprint]);
        if known.any(|known| !self.index.knows(&known) && is_held(&known)) {
            self.met.extend(["made way while held"]);
        }
        self.lists.retain(|(known, _)| *known != fingerprint);
        self.lists
            .push((fingerprint, documents.iter().map(Document::claim).collect()));
    }

    /// A session that names a list is as one that announced it.
    fn adopt(&mut self, id: SessionId, which: usize) {
        let Some((fingerprint, claims)) = self.lists.iter().rev().nth(which).cloned() else {
            return;
        };
        let is_known = self.index.knows(&fingerprint);
        match self.index.adopt(id, &fingerprint) {
            Ok(Some(change)) => {
                assert!(is_known && self.model.held(id, fingerprint.format).is_empty());
                let is_held = |claim: &DocumentClaim| self.model.documents.contains_key(claim);
                self.met.extend([match claims.iter().all(is_held) {
                    true => "adopted beside others",
                    false => "adopted anew",
                }]);
                let documents: Vec<Document> = claims.iter().map(|claim| self.model.known(claim)).collect();
                let expected = self.model.announce(id, &documents);
                assert_eq!(Ok((change.keys.to_vec(), change.total)), expected);
            }
            Ok(None) => self.met.extend([if is_known { "not adopted" } else { "not known" }]),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::NotRegistered);
                assert!(self.model.peer(id).is_none());
            }
        }
    }

    /// The lists that can be named now.
    fn known(&self) -> impl Iterator<Item = &(Fingerprint, Vec<DocumentClaim>)> {
        self.lists
            .iter()
            .filter(|(fingerprint, _)| self.index.knows(fingerprint))
    }

    /// What is said about the documents of a list stays as long as the list is known.
    fn forget_unknown(&mut self) {
        let known = self
            .lists
            .iter()
            .filter(|(fingerprint, _)| self.index.knows(fingerprint));
        let pinned: BTreeSet<DocumentClaim> = known.flat_map(|(_, claims)| claims).copied().collect();
        self.model.remembered.retain(|claim, _| pinned.contains(claim));
    }

    /// What is known of a session's fingerprints is so.
    fn check_fingerprints(&self) {
        for peer in &self.model.peers {
            for fingerprint in self.index.fingerprints(peer.id()).unwrap() {
                let claims = peer.documents.values().copied();
                assert_eq!(fingerprint, Fingerprint::of(fingerprint.format, claims));
            }
        }
    }

    fn look_up(&mut self, query: &LookupQuery, asker: Asker) {
        let expected = self.model.lookup(query, asker.ip, asker.session);
        match self.index.lookup(query, asker, 256, &mut self.rng) {
            Ok(found) => {
                let entries: Vec<DocumentEntry> = found.into_iter().map(|found| found.into_entry()).collect();
                check(&entries, &expected, query.max_holders);
            }
            Err(_) => assert!(expected.is_empty(), "{query:?} should find {expected:?}"),
        }
    }

    /// Walks in steps of a few documents; together they are the whole list.
    fn walk(&mut self, filter: IndexFilter, holder: Option<SessionId>, asker: Asker, visits: usize) {
        let query = WalkQuery {
            filter,
            holder,
            max_holders: MAX_HOLDERS,
        };
        let mut entries = Vec::new();
        let mut after = None;
        loop {
            let walk = self.index.walk(&query, asker, after, visits, &mut self.rng);
            assert!(walk.found.len() <= visits);
            entries.extend(walk.found.into_iter().map(|found| found.into_entry()));
            after = walk.next;
            if after.is_none() {
                break;
            }
        }
        let expected = self.model.list(filter, holder, asker.ip, asker.session);
        check(&entries, &expected, MAX_HOLDERS);
    }

    /// What holds after every step.
    fn check_whole(&mut self) {
        assert_eq!(self.index.session_count(), self.model.peers.len());
        assert_eq!(self.index.document_count(), self.model.documents.len());
        let asker = Asker {
            ip: SOURCES[0].parse().unwrap(),
            session: None,
        };
        self.walk(IndexFilter::ALL, None, asker, 100);
        self.check_fingerprints();
        let mut shown = Vec::new();
        let mut after = 0;
        loop {
            let page = self.index.peers(after, 2);
            let Some(last) = page.last() else { break };
            after = last.number;
            shown.extend(page.into_iter().map(|peer| peer.into_info()));
        }
        assert_eq!(shown.len(), self.model.peers.len());
        for (info, peer) in shown.iter().zip(&self.model.peers) {
            assert_eq!((info.id, &info.name), (peer.id(), &peer.joining.label.name));
            assert_eq!(
                (info.address, info.reachability),
                (peer.joining.address, peer.reachability)
            );
            assert_eq!(info.upload_count, peer.upload_count);
            let of_format = |format| peer.documents.keys().filter(|key| key.format == format).count();
            let counts: Vec<_> = Format::ALL
                .into_iter()
                .map(|format| (format, u32::try_from(of_format(format)).unwrap()))
                .filter(|(_, count)| *count > 0)
                .collect();
            assert_eq!(info.document_counts, counts);
        }
    }
}

impl StateMachineTest for Pair {
    type SystemUnderTest = Self;
    type Reference = Joined;

    fn init_test(_: &usize) -> Self {
        Self::new()
    }

    fn apply(mut pair: Self, _: &usize, step: Step) -> Self {
        pair.take(step);
        pair.check_whole();
        pair
    }

    fn check_invariants(pair: &Self, joined: &usize) {
        assert_eq!(pair.sessions.len(), *joined);
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_index_does_what_the_model_does(sequential 1..100 => Pair);
}

/// The steps above must not pass by never meeting what they are for.
#[test]
fn the_steps_meet_everything() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut met = BTreeSet::new();
    for _ in 0..60 {
        let mut pair = Pair::new();
        let (_, steps, _) = Joined::sequential_strategy(150)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        steps.into_iter().for_each(|step| pair.take(step));
        met.extend(pair.met);
    }
    let all = [
        "address taken",
        "adopted anew",
        "adopted beside others",
        "made way while held",
        "name taken",
        "not adopted",
        "not known",
        "not registered",
        "observer",
        "session full",
        "source brought too much",
        "source full",
        "superseded",
        "total full",
    ];
    assert_eq!(met.into_iter().collect::<Vec<_>>(), all);
}
