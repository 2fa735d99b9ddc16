//! The index does what a naive model does, whatever happens in whatever order.

mod model;

use std::{collections::BTreeSet, net::IpAddr};

use p2p_ci::{
    address::accountable,
    digest::Sha256,
    document::{Document, DocumentId, DocumentKey, Format, RfcNumber, RfcRange, Title, UnixSeconds},
    identity::{ResumeToken, SessionId},
    limits::MAX_HOLDERS,
    message::{DocumentEntry, IndexFilter, LookupQuery, PeerLabel, Reachability},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use rand::{SeedableRng as _, rngs::StdRng};
use registry::index::{
    Index, IndexLimits, Joining, Refusal,
    answers::{Asker, WalkQuery},
};

use self::model::{Expected, Model};

/// So small that every one of them is met often.
const LIMITS: IndexLimits = IndexLimits {
    session_documents: 6,
    documents: 9,
    documents_per_source: 5,
    sessions_per_address: 2,
};

const SOURCES: [&str; 4] = ["127.0.0.1", "10.0.0.1", "10.0.0.2", "203.0.113.9"];
const NAMES: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

/// One step; sessions are named by their place among all that ever joined, so that gone ones are used as well.
#[derive(Debug, Clone)]
enum Step {
    Join {
        name: usize,
        source: usize,
        port: Option<u16>,
        resume: Option<usize>,
    },
    Leave(usize),
    Announce(usize, Vec<Document>),
    Withdraw(usize, Vec<DocumentKey>),
    Heartbeat(usize, u32),
    Reach(usize, bool),
    Look {
        asker: usize,
        source: usize,
        query: LookupQuery,
        filter: IndexFilter,
        holder: Option<usize>,
        visits: usize,
    },
}

fn number() -> impl Strategy<Value = RfcNumber> {
    (1u32..5).prop_map(|number| RfcNumber::new(number).unwrap())
}

fn key() -> impl Strategy<Value = DocumentKey> {
    (number(), select(vec![Format::Txt, Format::Pdf, Format::Json]))
        .prop_map(|(number, format)| DocumentKey { number, format })
}

fn document() -> impl Strategy<Value = Document> {
    let title = select(vec!["", "A", "B"]);
    (key(), 0u8..3, title, option::of(0i64..3), prop::bool::weighted(0.05)).prop_map(
        |(key, digest, title, modified, lies)| Document {
            id: DocumentId {
                key,
                sha256: Sha256::of(&[digest]),
            },
            size_bytes: u64::from(digest) + u64::from(lies),
            title: Title::from_lossy(title),
            modified: modified.map(UnixSeconds),
        },
    )
}

fn filter() -> impl Strategy<Value = IndexFilter> {
    (
        option::of((number(), number())),
        option::of(select(Format::ALL.to_vec())),
    )
        .prop_map(|(range, format)| {
            let range = range.map_or(RfcRange::ALL, |(a, b)| RfcRange {
                first: a.min(b),
                last: a.max(b),
            });
            IndexFilter { range, format }
        })
}

fn query() -> impl Strategy<Value = LookupQuery> {
    let prefix = select(vec!["", "6", "4b", "ff"]);
    (
        number(),
        option::of(select(vec![Format::Txt, Format::Json])),
        prefix,
        1..=MAX_HOLDERS,
    )
        .prop_map(|(number, format, prefix, max_holders)| LookupQuery {
            number,
            format,
            sha256_prefix: prefix.parse().unwrap_or_default(),
            max_holders,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let session = 0usize..24;
    prop_oneof![
        3 => (0..NAMES.len(), 0..SOURCES.len(), option::weighted(0.9, 5000u16..5003), option::of(0..NAMES.len()))
            .prop_map(|(name, source, port, resume)| Step::Join { name, source, port, resume }),
        1 => session.clone().prop_map(Step::Leave),
        4 => (session.clone(), vec(document(), 0..5)).prop_map(|(who, what)| Step::Announce(who, what)),
        2 => (session.clone(), vec(key(), 0..4)).prop_map(|(who, what)| Step::Withdraw(who, what)),
        1 => (session.clone(), 0u32..3).prop_map(|(who, count)| Step::Heartbeat(who, count)),
        3 => (session.clone(), prop::bool::weighted(0.8)).prop_map(|(who, reached)| Step::Reach(who, reached)),
        3 => (session.clone(), 0..SOURCES.len(), query(), filter(), option::of(session), 1usize..5)
            .prop_map(|(asker, source, query, filter, holder, visits)| {
                Step::Look { asker, source, query, filter, holder, visits }
            }),
    ]
}

/// Both, side by side.
struct Pair {
    index: Index,
    model: Model,
    rng: StdRng,
    /// Every session that ever joined, gone or not.
    sessions: Vec<SessionId>,
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
            },
            rng: StdRng::seed_from_u64(7),
            sessions: Vec::new(),
            met: BTreeSet::new(),
        }
    }

    fn session(&self, place: usize) -> SessionId {
        let stranger = SessionId::from_bytes([0xff; 16]);
        *self.sessions.get(place % 24).unwrap_or(&stranger)
    }

    fn take(&mut self, step: Step) {
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
                assert_eq!(change.map(|change| (change.keys, change.total)), expected);
            }
            Step::Withdraw(who, keys) => {
                let id = self.session(who);
                let expected = self.model.withdraw(id, &keys);
                let change = self.index.withdraw(id, keys);
                assert_eq!(change.map(|change| (change.keys, change.total)), expected);
            }
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

/// Entries are those expected, in that order, each with as many usable holders as fit, no one twice.
#[track_caller]
fn check(entries: &[DocumentEntry], expected: &[Expected], max_holders: usize) {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_index_does_what_the_model_does(steps in vec(step(), 1..100)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.take(step);
            pair.check_whole();
        }
    }
}

/// The steps above must not pass by never meeting what they are for.
#[test]
fn the_steps_meet_every_refusal() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut met = BTreeSet::new();
    for _ in 0..60 {
        let mut pair = Pair::new();
        let steps = vec(step(), 100).new_tree(&mut runner).unwrap().current();
        steps.into_iter().for_each(|step| pair.take(step));
        met.extend(pair.met);
    }
    let all = [
        "address taken",
        "name taken",
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

fn name_of(refusal: &Refusal) -> &'static str {
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
