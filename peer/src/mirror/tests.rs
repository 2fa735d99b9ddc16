//! When a mirror is over.

use p2p_ci::{
    digest::Sha256,
    document::{DocumentId, DocumentKey, RfcNumber, Title},
    identity::SessionId,
    message::DocumentEntry,
    transport::tcp_dialer,
};
use tokio::{sync::mpsc, time::timeout};

use super::{
    writers::{Arrived, Group},
    *,
};
use crate::{
    library::{Body, Durability},
    versions::Chosen,
};

/// Whoever does not look.
struct Nobody;

impl Observer for Nobody {
    fn planned(&self, _documents: u64, _bytes: u64) {}
    fn received(&self, _bytes: u64) {}
    fn stored(&self, _document: &Document, _holder: &Holder) {}
    fn note(&self, _line: &str) {}
}

fn mirror(dir: &Path) -> Mirror {
    let [held, state] = ["held", "state"].map(|name| dir.join(name));
    let target = Target::open(&held, Durability::None).unwrap();
    Mirror {
        dialer: tcp_dialer(),
        library: Library::open(&held, &state, &|_| ()).unwrap().0,
        target,
        selection: Selection::default(),
        replace: false,
        compress: Compress::Never,
        known: crate::known::Memory::default(),
        stop: CancellationToken::new(),
    }
}

/// Whoever breaks when it sees something.
struct Fragile;

impl Observer for Fragile {
    fn planned(&self, _documents: u64, _bytes: u64) {}
    fn received(&self, _bytes: u64) {}
    fn stored(&self, _document: &Document, _holder: &Holder) {
        panic!("made to")
    }
    fn note(&self, _line: &str) {}
}

const BYTES: &[u8] = b"the same in all";

fn holder() -> Holder {
    Holder {
        id: SessionId::from_bytes([1; 16]),
        name: "alice".parse().unwrap(),
        address: "127.0.0.1:9".parse().unwrap(),
    }
}

fn document(number: u32) -> Document {
    let key = DocumentKey {
        number: RfcNumber::new(number).unwrap(),
        format: Format::Txt,
    };
    let sha256 = Sha256::of(BYTES);
    Document {
        id: DocumentId { key, sha256 },
        size_bytes: BYTES.len() as u64,
        title: Title::default(),
        modified: None,
    }
}

/// A mirror of which so many documents are here and not stored yet, and their holder.
fn with_arrived(dir: &Path, observer: Arc<dyn Observer>, count: u32) -> (Arc<Shared>, Vec<Document>, Holder) {
    let shared = mirror(dir).shared([127, 0, 0, 1].into(), observer);
    let holder = holder();
    let documents: Vec<Document> = (1..=count).map(document).collect();
    for (index, document) in documents.iter().enumerate() {
        let entry = DocumentEntry {
            document: document.clone(),
            holder_count: 1,
            holders: vec![holder.clone()],
        };
        let others = Vec::new();
        let mut plan = shared.plan();
        plan.add(Chosen { entry, others }, 0);
        plan.take(holder.id, Duration::ZERO).unwrap();
        plan.arrived(index, holder.id);
    }
    shared.is_listed.store(true, Ordering::Release);
    (Arc::new(shared), documents, holder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_ends_when_the_threads_that_store_break() {
    ends_when_storing_breaks().await;
}

#[tokio::test]
async fn a_mirror_ends_when_the_task_that_stores_breaks() {
    ends_when_storing_breaks().await;
}

async fn ends_when_storing_breaks() {
    let dir = tempfile::tempdir().unwrap();
    // Each thread breaks at its first one, so that nobody stores the last one.
    let (shared, documents, holder) = with_arrived(dir.path(), Arc::new(Fragile), 3);
    let (intake, writers) = Writers::start(&shared).unwrap();
    let origin = Arc::new(Origin::new(holder));
    for (index, document) in documents.into_iter().enumerate() {
        let mut body = Body::default();
        body.push(BYTES.into(), 0);
        let mut group = Group::new(Arc::clone(&origin));
        group.add(Arrived {
            index,
            document,
            body,
            _room: shared.budget.try_take(1).unwrap(),
        });
        intake.send(group).await.unwrap();
    }
    let worked = timeout(Duration::from_secs(10), work(&shared, intake)).await;
    worked.expect("it waits for what nobody will store");
    let joined = tokio::spawn(writers.join()).await;
    assert!(joined.is_err_and(|error| error.is_panic()), "the panic is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_disk_has_no_room_for_is_not_begun() {
    begins_nothing_without_room().await;
}

#[tokio::test]
async fn what_the_disk_has_no_room_for_is_not_begun_in_place() {
    begins_nothing_without_room().await;
}

async fn begins_nothing_without_room() {
    let dir = tempfile::tempdir().unwrap();
    let (shared, mut documents, holder) = with_arrived(dir.path(), Arc::new(Nobody), 1);
    let (intake, writers) = Writers::start(&shared).unwrap();
    let mut body = Body::default();
    body.push(BYTES.into(), 0);
    let mut group = Group::new(Arc::new(Origin::new(holder)));
    group.add(Arrived {
        index: 0,
        document: documents.remove(0),
        body,
        _room: shared.budget.try_take(1).unwrap(),
    });
    // No disk has so much, beside what is left to others.
    group.bytes = u64::MAX / 2;
    intake.send(group).await.unwrap();
    let worked = timeout(Duration::from_secs(10), work(&shared, intake)).await;
    worked.expect("it waits for what nobody will store");
    writers.join().await.unwrap();
    assert!(matches!(*lock(&shared.failure), Some(StoreError::NoSpace { .. })));
    assert!(!dir.path().join("held/rfc1.txt").exists(), "it was stored all the same");
}

#[tokio::test]
async fn a_mirror_goes_on_while_what_has_come_is_being_checked() {
    let dir = tempfile::tempdir().unwrap();
    let (shared, _, _) = with_arrived(dir.path(), Arc::new(Nobody), 1);
    tokio::time::pause();
    let (intake, _groups) = mpsc::channel(1);
    let working = work(&shared, intake);
    tokio::pin!(working);
    // The holder has nothing more to give, so nobody is asked; but its bytes may be wrong, and another holder may come.
    let early = timeout(LOOK_INTERVAL * 10, &mut working).await;
    assert!(early.is_err(), "nobody would be asked again if the bytes were wrong");
    shared.plan().done(0);
    timeout(LOOK_INTERVAL * 2, working).await.unwrap();
}

#[tokio::test]
async fn a_document_that_two_holders_delivered_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let (shared, documents, holder) = with_arrived(dir.path(), Arc::new(Nobody), 1);
    let origin = Origin::new(holder);
    let stored = |was_there| shared.stored(&origin, documents.iter().map(|document| (0, document, was_there)));
    stored(false);
    stored(true);
    shared.kept(0, dir.path());
    let summary = shared.summary();
    assert_eq!((summary.fetched, summary.present, summary.kept), (1, 0, 0));
}
