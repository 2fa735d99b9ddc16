//! Mirrors that end early, at every kind of moment, and are run again.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use p2p_ci::{document::Document, limits::MAX_OUTSTANDING_DOWNLOADS, message::Holder};
use peer::mirror::{Compress, Observer};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{
    support::{TestPeer, TestRegistry, eventually, files, leftovers},
    swarm::{mirror, mirror_into},
};

/// Documents of the series that is mirrored, all of one length.
const DOCUMENTS: u64 = 150;
const LENGTH: u64 = 20_000;

fn series() -> Vec<(String, Vec<u8>)> {
    let document = |number: u64| format!("{number:019}\n").repeat(1000).into_bytes();
    (1..=DOCUMENTS)
        .map(|number| (format!("rfc{number}.txt"), document(number)))
        .collect()
}

/// Cancels a token once so many documents have been received.
struct Ends {
    after_bytes: u64,
    received_bytes: AtomicU64,
    end: CancellationToken,
}

impl Observer for Ends {
    fn planned(&self, _: u64, _: u64) {}

    fn received(&self, bytes: u64) {
        let received = self.received_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if received >= self.after_bytes {
            self.end.cancel();
        }
    }

    fn stored(&self, _: &Document, _: &Holder) {}

    fn note(&self, _: &str) {}
}

/// How many documents are in a folder; there must be nothing else, and each must be whole.
fn whole_documents(folder: &Path, series: &[(String, Vec<u8>)]) -> u64 {
    let here = files(folder);
    for file in &here {
        assert!(series.contains(file), "{} is none of them, or not whole", file.0);
    }
    here.len() as u64
}

#[tokio::test]
async fn a_mirror_that_was_stopped_goes_on_with_what_is_missing() {
    let registry = TestRegistry::start().await;
    let series = series();
    let borrowed: Vec<(&str, &[u8])> = series.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let _holder = TestPeer::start(&registry, "holder", &borrowed).await;
    for after in [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, DOCUMENTS - 1, DOCUMENTS] {
        let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let first = mirror_into(&folder, &state, Compress::Auto);
        let ends = Arc::new(Ends {
            after_bytes: after * LENGTH,
            received_bytes: AtomicU64::new(0),
            end: first.stop.clone(),
        });
        let stopped = first
            .run(&registry.client().await, Arc::clone(&ends) as _)
            .await
            .unwrap();
        drop(first);
        let here = whole_documents(folder.path(), &series);
        assert_eq!(stopped.fetched, here, "after {after}: it says what is there");
        assert!(stopped.failures.is_empty(), "after {after}: {:?}", stopped.failures);
        assert!(stopped.interrupted, "after {after}");
        // What arrived and was not kept is no more than what may be asked for at a time.
        let in_vain = ends.received_bytes.load(Ordering::Relaxed) - here * LENGTH;
        assert!(
            in_vain <= MAX_OUTSTANDING_DOWNLOADS as u64 * LENGTH,
            "after {after}: {in_vain} bytes in vain"
        );
        let rest = mirror(&registry, &folder, &state).await;
        assert_eq!(
            (rest.present, rest.fetched, rest.failures.len()),
            (here, DOCUMENTS - here, 0),
            "after {after}: what is there is not fetched again"
        );
        assert_eq!(whole_documents(folder.path(), &series), DOCUMENTS, "after {after}");
        assert_eq!(leftovers(folder.path()), 0, "after {after}");
    }
}

#[tokio::test]
async fn a_mirror_that_was_torn_off_is_completed_by_the_next() {
    let registry = TestRegistry::start().await;
    let series = series();
    let borrowed: Vec<(&str, &[u8])> = series.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let _holder = TestPeer::start(&registry, "holder", &borrowed).await;
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut here = 0;
    // Again and again in one folder, each time a little further.
    for after in 1..=20 {
        let torn = mirror_into(&folder, &state, Compress::Auto);
        let ends = Arc::new(Ends {
            after_bytes: after * LENGTH / 2,
            received_bytes: AtomicU64::new(0),
            end: CancellationToken::new(),
        });
        let client = registry.client().await;
        tokio::select! {
            biased;
            () = ends.end.cancelled() => {}
            ended = torn.run(&client, Arc::clone(&ends) as _) => drop(ended.unwrap()),
        }
        drop(torn);
        // The threads that store what had arrived end by themselves, and their folder with them.
        eventually("nothing is written any more", || {
            let left = leftovers(folder.path());
            async move { (left == 0).then_some(()) }
        })
        .await;
        let now = whole_documents(folder.path(), &series);
        assert!(now >= here, "{now} documents, but there were {here}");
        here = now;
    }
    let rest = mirror(&registry, &folder, &state).await;
    assert_eq!((rest.present + rest.fetched, rest.failures.len()), (DOCUMENTS, 0));
    assert_eq!(whole_documents(folder.path(), &series), DOCUMENTS);
    assert_eq!(leftovers(folder.path()), 0);
}
