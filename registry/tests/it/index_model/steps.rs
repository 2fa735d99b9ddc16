//! What can happen to an index, and in what proportion.

use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentId, DocumentKey, Format, RfcNumber, RfcRange, Title, UnixSeconds},
    limits::MAX_HOLDERS,
    message::{IndexFilter, LookupQuery},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use proptest_state_machine::ReferenceStateMachine;

pub(super) const SOURCES: [&str; 4] = ["127.0.0.1", "10.0.0.1", "10.0.0.2", "203.0.113.9"];
pub(super) const NAMES: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

/// One step; sessions are named by their place among all that ever joined, so that gone ones are used as well.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Join {
        name: usize,
        source: usize,
        port: Option<u16>,
        resume: Option<usize>,
    },
    Leave(usize),
    Announce(usize, Vec<Document>),
    Withdraw(usize, Vec<DocumentKey>),
    WithdrawFormats(usize, Vec<Format>),
    Heartbeat(usize, u32),
    /// What a session holds of a format becomes a list that others can name.
    Note(usize, Format),
    /// A session names a list: the last one that could be named, the one before, and so on.
    Adopt(usize, usize),
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

fn format() -> impl Strategy<Value = Format> {
    select(vec![Format::Txt, Format::Pdf, Format::Json])
}

fn key() -> impl Strategy<Value = DocumentKey> {
    (number(), format()).prop_map(|(number, format)| DocumentKey { number, format })
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

/// Sessions that are named by how recently they joined.
pub(super) const RECENT: usize = 12;

/// The place of a session where so many have joined: half of the time a recent one, else any of them from the first one on,
/// or one that there never was.
fn session(joined: usize) -> impl Strategy<Value = usize> + Clone {
    prop_oneof![0..RECENT.min(joined).max(1), RECENT..=RECENT + joined]
}

fn step(joined: usize) -> impl Strategy<Value = Step> {
    let session = session(joined);
    prop_oneof![
        3 => (0..NAMES.len(), 0..SOURCES.len(), option::weighted(0.9, 5000u16..5003), option::of(0..NAMES.len()))
            .prop_map(|(name, source, port, resume)| Step::Join { name, source, port, resume }),
        1 => session.clone().prop_map(Step::Leave),
        4 => (session.clone(), vec(document(), 0..5)).prop_map(|(who, what)| Step::Announce(who, what)),
        2 => (session.clone(), vec(key(), 0..4)).prop_map(|(who, what)| Step::Withdraw(who, what)),
        1 => (session.clone(), vec(format(), 0..3)).prop_map(|(who, what)| Step::WithdrawFormats(who, what)),
        1 => (session.clone(), 0u32..3).prop_map(|(who, count)| Step::Heartbeat(who, count)),
        3 => (session.clone(), format()).prop_map(|(who, format)| Step::Note(who, format)),
        4 => (session.clone(), 0usize..4).prop_map(|(who, which)| Step::Adopt(who, which)),
        3 => (session.clone(), prop::bool::weighted(0.8)).prop_map(|(who, reached)| Step::Reach(who, reached)),
        3 => (session.clone(), 0..SOURCES.len(), query(), filter(), option::of(session), 1usize..5)
            .prop_map(|(asker, source, query, filter, holder, visits)| {
                Step::Look { asker, source, query, filter, holder, visits }
            }),
    ]
}

impl Step {
    /// The places of sessions that it names.
    fn sessions(&self) -> impl Iterator<Item = usize> {
        let (first, second) = match self {
            Self::Join { .. } => (None, None),
            Self::Leave(who)
            | Self::Announce(who, _)
            | Self::Withdraw(who, _)
            | Self::WithdrawFormats(who, _)
            | Self::Heartbeat(who, _)
            | Self::Note(who, _)
            | Self::Adopt(who, _)
            | Self::Reach(who, _) => (Some(*who), None),
            Self::Look { asker, holder, .. } => (Some(*asker), *holder),
        };
        first.into_iter().chain(second)
    }
}

/// What steps depend on: how many sessions have joined by then, taken in or not.
pub(super) struct Joined;

impl ReferenceStateMachine for Joined {
    type State = usize;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<usize> {
        Just(0).boxed()
    }

    fn transitions(joined: &usize) -> BoxedStrategy<Step> {
        step(*joined).boxed()
    }

    fn apply(joined: usize, step: &Step) -> usize {
        joined + usize::from(matches!(step, Step::Join { .. }))
    }

    /// Only sessions that there are by then, and one more.
    fn preconditions(joined: &usize, step: &Step) -> bool {
        step.sessions().all(|place| place < RECENT || place <= RECENT + joined)
    }
}
