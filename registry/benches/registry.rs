//! What the index costs when ten thousand sessions share the whole series, and what a message costs on its way in or
//! out: `cargo bench -p registry`.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

use std::{
    collections::VecDeque,
    hint::black_box,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use criterion::{BatchSize, Criterion};
use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentId, DocumentKey, Format, RfcNumber, Title, UnixSeconds},
    fingerprint::Fingerprint,
    identity::{ResumeToken, SessionId},
    limits::MAX_BATCH_DOCUMENTS,
    message::{Hello, LookupAnswer, LookupQuery, PeerLabel, PeerRequest, Reachability, RegistryReply},
    wire::registry::{decode_request, encode_reply, encode_request},
};
use rand::{SeedableRng as _, rngs::StdRng};
use registry::index::{
    Index, IndexLimits, Joining, List,
    answers::{Asker, Found},
    id_set::IdSet,
    sample::sample,
};
use tonic_prost::prost::Message as _;

/// The series at the beginning of 2026.
const DOCUMENTS: u32 = 9_148;

/// Sessions, few and many.
const SESSIONS: [u32; 2] = [100, 10_000];

const LIMITS: IndexLimits = IndexLimits {
    session_documents: 40_000,
    documents: 200_000,
    documents_per_source: 50_000,
    sessions_per_address: 0,
    lists: 256,
    list_documents: 120_000,
};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    of_index(&mut criterion);
    of_sets(&mut criterion);
    of_messages(&mut criterion);
    criterion.final_summary();
}

fn document(number: u32) -> Document {
    Document {
        id: DocumentId {
            key: DocumentKey {
                number: RfcNumber::new(number).unwrap(),
                format: Format::Txt,
            },
            sha256: Sha256::of(&number.to_be_bytes()),
        },
        size_bytes: 36_615,
        title: Title::from_lossy("A Made-Up Protocol for Measuring Registries"),
        modified: None,
    }
}

/// An index in which every session holds the series.
struct Swarm {
    index: Index,
    series: Fingerprint,
    joined: u32,
}

impl Swarm {
    fn of(sessions: u32) -> Self {
        let series: Vec<Document> = (1..=DOCUMENTS).map(document).collect();
        let mut swarm = Self {
            index: Index::new(LIMITS),
            series: Fingerprint::of(Format::Txt, series.iter().map(Document::claim)),
            joined: 0,
        };
        let first = swarm.join();
        swarm.index.announce(first, series).unwrap();
        let held = swarm.index.held(first, &[Format::Txt]).unwrap();
        swarm
            .index
            .note_list(first, List::of(Format::Txt, &held), true)
            .unwrap();
        while swarm.joined < sessions {
            swarm.join_with_series();
        }
        swarm
    }

    fn join(&mut self) -> SessionId {
        self.joined += 1;
        let id = SessionId::from_bytes(u128::from(self.joined).to_be_bytes());
        let ip = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + self.joined));
        let joining = Joining {
            label: PeerLabel {
                id,
                name: format!("peer-{}", self.joined).parse().unwrap(),
            },
            token: ResumeToken::from_bytes(u128::from(self.joined).to_be_bytes()),
            resume: None,
            address: Some(SocketAddr::new(ip, 7735)),
            account: ip,
            registered: UnixSeconds(1_700_000_000),
        };
        self.index.join(joining).unwrap();
        self.index.set_reachability(id, Reachability::Reachable);
        id
    }

    fn join_with_series(&mut self) -> SessionId {
        let id = self.join();
        self.index.adopt(id, &self.series).unwrap().unwrap();
        id
    }

    fn look_up(&self, number: u32, rng: &mut StdRng) -> Vec<Found> {
        let query = LookupQuery {
            number: RfcNumber::new(number).unwrap(),
            format: None,
            sha256_prefix: Default::default(),
            max_holders: 8,
        };
        let asker = Asker {
            ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            session: None,
        };
        self.index.lookup(&query, asker, 256, rng).unwrap()
    }
}

fn of_index(criterion: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(7);
    for sessions in SESSIONS {
        let mut swarm = Swarm::of(sessions);
        criterion.bench_function(
            &format!("join with the series and leave, among {sessions}"),
            |bencher| {
                bencher.iter(|| {
                    let id = swarm.join_with_series();
                    swarm.index.leave(id).unwrap();
                });
            },
        );
        let mut present: VecDeque<SessionId> = (1..=sessions)
            .map(|number| SessionId::from_bytes(u128::from(number).to_be_bytes()))
            .collect();
        criterion.bench_function(
            &format!("the oldest leaves and a new one joins, among {sessions}"),
            |bencher| {
                bencher.iter(|| {
                    let oldest = present.pop_front().unwrap();
                    swarm.index.leave(oldest).unwrap();
                    present.push_back(swarm.join_with_series());
                });
            },
        );
        let mut number = 0;
        criterion.bench_function(&format!("lookup with 8 holders, among {sessions}"), |bencher| {
            bencher.iter(|| {
                number = number % DOCUMENTS + 1;
                black_box(swarm.look_up(number, &mut rng))
            });
        });
    }
}

fn of_sets(criterion: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(7);
    for (what, step) in [("all", 1), ("one in 100", 100)] {
        let set: IdSet = (0..10_000).step_by(step).collect();
        criterion.bench_function(&format!("sample 8 of {what} of 10,000"), |bencher| {
            bencher.iter(|| black_box(sample([&set].into_iter(), 8, &mut rng, |_| true)));
        });
    }
}

fn of_messages(criterion: &mut Criterion) {
    let swarm = Swarm::of(100);
    let mut rng = StdRng::seed_from_u64(7);
    criterion.bench_function("an answer with 8 holders, to bytes", |bencher| {
        bencher.iter_batched(
            || swarm.look_up(1, &mut rng),
            |found| {
                let answer = LookupAnswer {
                    documents: found.into_iter().map(Found::into_entry).collect(),
                    converging: false,
                };
                encode_reply(1, RegistryReply::Found(answer)).encode_to_vec()
            },
            BatchSize::SmallInput,
        );
    });
    let hello = PeerRequest::Hello(Hello {
        protocol_version: 1,
        name: "alice".parse().unwrap(),
        port: Some(7735),
        advertise: None,
        resume_token: None,
        fingerprints: vec![swarm.series],
    });
    let batch = u32::try_from(MAX_BATCH_DOCUMENTS).unwrap();
    let announcement = PeerRequest::Announce((1..=batch).map(document).collect());
    for (what, request) in [("a hello", hello), ("an announcement of 256", announcement)] {
        let bytes = bytes::Bytes::from(encode_request(1, request).encode_to_vec());
        criterion.bench_function(&format!("{what}, from bytes"), |bencher| {
            bencher.iter(|| decode_request(tonic_prost::prost::Message::decode(bytes.clone()).unwrap()));
        });
    }
}
