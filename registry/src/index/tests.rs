//! In what order answers name documents and holders, and why there are none.

use std::net::SocketAddr;

use p2p_ci::{
    address::accountable,
    digest::Sha256,
    document::{Document, Format, UnixSeconds},
    identity::{ResumeToken, SessionId},
    message::{LookupQuery, PeerLabel, Reachability},
};
use rand::{SeedableRng as _, rngs::StdRng};

use super::{
    answers::{Asker, Found, Unusable},
    *,
};
use crate::testing::{LIMITS, document, key};

struct Fixture {
    index: Index,
    rng: StdRng,
    joined: u8,
}

impl Fixture {
    fn new() -> Self {
        Self {
            index: Index::new(IndexLimits {
                sessions_per_address: 0,
                ..LIMITS.index
            }),
            rng: StdRng::seed_from_u64(7),
            joined: 0,
        }
    }

    /// A peer at `address` that is reachable, is serving `upload_count` uploads and holds `documents`.
    fn peer(&mut self, address: &str, upload_count: u32, documents: &[Document]) -> SessionId {
        self.joined += 1;
        let id = SessionId::from_bytes([self.joined; 16]);
        let address: SocketAddr = address.parse().unwrap();
        let joining = Joining {
            label: PeerLabel {
                id,
                name: format!("p{}", self.joined).parse().unwrap(),
            },
            token: ResumeToken::from_bytes([self.joined; 16]),
            resume: None,
            address: Some(address),
            account: accountable(address.ip()),
            registered: UnixSeconds(0),
        };
        self.index.join(joining).unwrap();
        self.index.announce(id, documents.to_vec()).unwrap();
        self.index.heartbeat(id, upload_count).unwrap();
        self.index.set_reachability(id, Reachability::Reachable);
        id
    }

    fn lookup(&mut self, asker: &str, max_holders: usize, max_documents: usize) -> Result<Vec<Found>, Unusable> {
        let query = LookupQuery {
            number: key(1).number,
            format: None,
            sha256_prefix: Default::default(),
            max_holders,
        };
        let asker = Asker {
            ip: asker.parse().unwrap(),
            session: None,
        };
        self.index.lookup(&query, asker, max_documents, &mut self.rng)
    }

    /// The holders of the first document, by address.
    fn holders(&mut self, asker: &str, max_holders: usize) -> Vec<String> {
        let found = self.lookup(asker, max_holders, 256).unwrap();
        let entry = found.into_iter().next().unwrap().into_entry();
        entry.holders.iter().map(|holder| holder.address.to_string()).collect()
    }
}

fn version(format: Format, content: u8, modified: Option<i64>) -> Document {
    let mut document = document(1);
    document.id.key.format = format;
    document.id.sha256 = Sha256::of(&[content]);
    document.modified = modified.map(UnixSeconds);
    document
}

#[test]
fn neighbours_come_first_then_those_with_fewer_uploads() {
    let mut fixture = Fixture::new();
    for (address, upload_count) in [
        ("10.0.1.1:5000", 0),
        ("10.0.0.1:5000", 9),
        ("10.0.1.2:5000", 3),
        ("10.0.0.2:5000", 2),
        ("[2001:db8::1]:5000", 1),
    ] {
        fixture.peer(address, upload_count, &[document(1)]);
    }
    let expected = [
        "10.0.0.2:5000",
        "10.0.0.1:5000",
        "10.0.1.1:5000",
        "[2001:db8::1]:5000",
        "10.0.1.2:5000",
    ];
    assert_eq!(fixture.holders("10.0.0.99", 20), expected);
    assert_eq!(fixture.holders("2001:db8::2", 20)[0], "[2001:db8::1]:5000");
}

#[test]
fn equals_take_turns_and_a_sample_reaches_everybody() {
    let mut fixture = Fixture::new();
    for host in 1..=60 {
        fixture.peer(&format!("10.0.0.{host}:5000"), 0, &[document(1)]);
    }
    let mut first = std::collections::BTreeMap::new();
    for _ in 0..6000 {
        let holders = fixture.holders("10.0.0.99", 3);
        assert_eq!(holders.len(), 3);
        *first.entry(holders[0].clone()).or_insert(0u32) += 1;
    }
    assert_eq!(first.len(), 60);
    // 100 each is expected; ten standard deviations either way.
    assert!(first.values().all(|count| (1..200).contains(count)), "{first:?}");
}

#[test]
fn of_one_format_the_document_with_most_holders_comes_first_and_of_records_the_newest() {
    let mut fixture = Fixture::new();
    let (common, odd) = (version(Format::Txt, 1, None), version(Format::Txt, 2, None));
    let (old, new) = (version(Format::Json, 3, Some(10)), version(Format::Json, 4, Some(20)));
    fixture.peer("10.0.0.1:5000", 0, &[odd.clone(), old.clone()]);
    fixture.peer("10.0.0.2:5000", 0, &[common.clone(), old.clone()]);
    fixture.peer("10.0.0.3:5000", 0, &[common.clone(), new.clone()]);
    let found = fixture.lookup("10.0.0.99", 8, 256).unwrap();
    let order: Vec<_> = found.into_iter().map(|found| found.into_entry().document.id).collect();
    assert_eq!(order, [common.id, odd.id, new.id, old.id]);

    let found = fixture.lookup("10.0.0.99", 8, 3).unwrap();
    let cut: Vec<_> = found.into_iter().map(|found| found.into_entry().document.id).collect();
    assert_eq!(
        cut,
        [common.id, odd.id, new.id],
        "the first of each format, then the second"
    );
    let found = fixture.lookup("10.0.0.99", 8, 2).unwrap();
    let cut: Vec<_> = found.into_iter().map(|found| found.into_entry().document.id).collect();
    assert_eq!(cut, [common.id, new.id]);
}

#[test]
fn who_cannot_be_reached_is_counted_but_not_handed_out() {
    let mut fixture = Fixture::new();
    let here = fixture.peer("127.0.0.1:5000", 0, &[document(1)]);
    let other = fixture.peer("10.0.0.1:5000", 0, &[document(1)]);
    assert_eq!(fixture.holders("127.0.0.1", 8).len(), 2);
    assert_eq!(fixture.holders("10.0.0.2", 8), ["10.0.0.1:5000"]);

    fixture.index.set_reachability(other, Reachability::Unreachable);
    let found = fixture.lookup("127.0.0.1", 8, 256).unwrap();
    let entry = found.into_iter().next().unwrap().into_entry();
    assert_eq!((entry.holder_count, entry.holders.len()), (2, 1));
    let nobody = |pending, unreachable, elsewhere| Unusable {
        pending,
        unreachable,
        elsewhere,
    };
    assert_eq!(fixture.lookup("10.0.0.2", 8, 256).unwrap_err(), nobody(0, 1, 1));
    fixture.index.set_reachability(other, Reachability::Pending);
    assert_eq!(fixture.lookup("10.0.0.2", 8, 256).unwrap_err(), nobody(1, 0, 1));
    fixture.index.leave(other);
    fixture.index.leave(here);
    assert_eq!(fixture.lookup("10.0.0.2", 8, 256).unwrap_err(), nobody(0, 0, 0));
}

#[test]
fn slots_and_numbers_are_used_again() {
    let mut fixture = Fixture::new();
    for round in 0..1000u32 {
        fixture.joined = 0;
        let id = fixture.peer("10.0.0.1:5000", 0, &[document(round + 1)]);
        assert_eq!(fixture.index.document_count(), 1);
        fixture.index.leave(id);
    }
    assert_eq!(
        fixture.index.capacity(),
        (1, 1),
        "a thousand peers, one after the other, take one slot"
    );
}

#[test]
fn a_false_length_binds_nobody() {
    let mut fixture = Fixture::new();
    let lie = Document {
        size_bytes: document(1).size_bytes + 1,
        ..document(1)
    };
    fixture.peer("10.0.0.66:5000", 0, std::slice::from_ref(&lie));
    let honest = fixture.peer("10.0.0.1:5000", 0, &[document(1)]);
    fixture.peer("10.0.0.2:5000", 0, &[document(1)]);
    let found = fixture.lookup("10.0.0.99", 8, 8).unwrap();
    let told: Vec<(Document, u32)> = found
        .into_iter()
        .map(Found::into_entry)
        .map(|entry| (entry.document, entry.holder_count))
        .collect();
    assert_eq!(told, [(document(1), 2), (lie.clone(), 1)]);
    fixture.index.announce(honest, vec![lie]).unwrap();
    assert_eq!(fixture.index.document_count(), 2, "a new length replaces the old one");
}
