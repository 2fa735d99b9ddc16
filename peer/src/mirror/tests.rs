//! When a mirror is over.

use p2p_ci::{
    digest::Sha256,
    document::{DocumentId, DocumentKey, RfcNumber, Title},
    message::DocumentEntry,
    transport::tcp_dialer,
};
use tokio::{sync::mpsc, time::timeout};

use super::*;
use crate::{library::Durability, versions::Chosen};

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
        stop: CancellationToken::new(),
    }
}

/// RFC 1, of one holder.
fn of_one_holder() -> (Chosen, Holder) {
    let holder = Holder {
        id: p2p_ci::identity::SessionId::from_bytes([1; 16]),
        name: "alice".parse().unwrap(),
        address: "127.0.0.1:9".parse().unwrap(),
    };
    let key = DocumentKey {
        number: RfcNumber::new(1).unwrap(),
        format: Format::Txt,
    };
    let sha256 = Sha256::of(b"RFC 1");
    let document = Document {
        id: DocumentId { key, sha256 },
        size_bytes: 5,
        title: Title::default(),
        modified: None,
    };
    let entry = DocumentEntry {
        document,
        holder_count: 1,
        holders: vec![holder.clone()],
    };
    let others = Vec::new();
    (Chosen { entry, others }, holder)
}

#[tokio::test]
async fn a_mirror_goes_on_while_what_has_come_is_being_checked() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Arc::new(mirror(dir.path()).shared([127, 0, 0, 1].into(), Arc::new(Nobody)));
    let (chosen, holder) = of_one_holder();
    {
        let mut plan = shared.plan();
        plan.add(chosen, 0);
        plan.take(holder.id, Duration::ZERO).unwrap();
        plan.arrived(0, holder.id);
    }
    shared.is_listed.store(true, Ordering::Release);
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
