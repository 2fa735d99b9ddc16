//! What is told in which batches, and what becomes of those that are refused.

use std::time::Duration;

use p2p_ci::{
    digest::Sha256,
    document::{Format, RfcNumber, Title},
};

use super::*;

fn document(number: u32, bytes: &[u8]) -> Document {
    let key = DocumentKey {
        number: RfcNumber::new(number).unwrap(),
        format: Format::Txt,
    };
    Document {
        id: DocumentId {
            key,
            sha256: Sha256::of(bytes),
        },
        size_bytes: bytes.len() as u64,
        title: Title::default(),
        modified: None,
    }
}

fn drain(sync: &mut Sync) -> Vec<Batch> {
    std::iter::from_fn(|| {
        let batch = sync.next_batch()?;
        sync.confirmed(batch.clone());
        Some(batch)
    })
    .collect()
}

#[test]
fn only_differences_are_told() {
    let mut sync = Sync::default();
    sync.aim(vec![document(1, b"a"), document(2, b"b")]);
    assert_eq!(
        drain(&mut sync),
        [Batch::Announce(vec![document(1, b"a"), document(2, b"b")])]
    );
    sync.aim(vec![document(2, b"changed"), document(3, b"c")]);
    let expected = [
        Batch::Withdraw(vec![document(1, b"a").id.key]),
        Batch::Announce(vec![document(2, b"changed"), document(3, b"c")]),
    ];
    assert_eq!(drain(&mut sync), expected);
    sync.aim(vec![document(2, b"changed"), document(3, b"c")]);
    assert!(drain(&mut sync).is_empty());
}

#[test]
fn batches_keep_both_limits() {
    let mut sync = Sync::default();
    let mut documents: Vec<Document> = (1..=1000).map(|number| document(number, b"x")).collect();
    for document in documents.iter_mut().skip(500) {
        document.title = Title::from_lossy(&"t".repeat(512));
    }
    sync.aim(documents);
    let batches = drain(&mut sync);
    let sizes: Vec<usize> = batches
        .iter()
        .map(|batch| match batch {
            Batch::Announce(documents) => documents.len(),
            Batch::Withdraw(_) | Batch::Reset(_) => 0,
        })
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), 1000);
    assert!(sizes.iter().all(|size| *size <= 256));
    assert!(sizes.last().is_some_and(|size| *size <= 48 * 1024 / 512));
}

#[test]
fn one_bad_document_does_not_take_the_others_along() {
    let mut sync = Sync::default();
    let bad = document(3, b"bad");
    sync.aim(vec![
        document(1, b"a"),
        document(2, b"b"),
        bad.clone(),
        document(4, b"d"),
    ]);
    let failure = Failure::new(Reason::InvalidRequest, "no");
    while let Some(batch) = sync.next_batch() {
        match &batch {
            Batch::Announce(documents) if documents.contains(&bad) => {
                sync.refused(batch, &failure);
            }
            Batch::Announce(_) | Batch::Withdraw(_) | Batch::Reset(_) => sync.confirmed(batch),
        }
    }
    let refusals = Refusals {
        keys: vec![bad.id.key],
        why: "no".to_owned(),
    };
    assert_eq!(sync.take_refusals(), Some(refusals));
    assert_eq!(sync.take_refusals(), None, "told once");
    assert_eq!(sync.told.len(), 3);
    sync.aim(vec![bad.clone()]);
    assert!(
        !drain(&mut sync).iter().any(|batch| matches!(batch, Batch::Announce(_))),
        "not tried again"
    );
    assert!(sync.reconsider());
    sync.aim(vec![bad.clone()]);
    assert_eq!(drain(&mut sync), [Batch::Announce(vec![bad])], "tried again later");
    assert!(!sync.reconsider(), "nothing is left to try again");
}

#[tokio::test(start_paused = true)]
async fn a_registry_short_of_room_is_asked_again_later() {
    let mut sync = Sync::default();
    sync.aim(vec![document(1, b"a")]);
    let batch = sync.next_batch().unwrap();
    let failure = Failure::new(Reason::LimitExceeded, "slow down").with_retry_after(Duration::from_secs(2));
    sync.refused(batch.clone(), &failure);
    assert_eq!(sync.next_batch(), None);
    assert_eq!(sync.retry_at(), Some(Instant::now() + Duration::from_secs(2)));
    sync.resume();
    assert_eq!(sync.next_batch().as_ref(), Some(&batch));
    let at_once = Failure::new(Reason::Overloaded, "no room").with_retry_after(Duration::ZERO);
    sync.refused(batch, &at_once);
    assert_eq!(
        sync.retry_at(),
        Some(Instant::now() + limits::SHORTEST_RETRY),
        "no registry makes its peers ask without end"
    );
}

fn pdf(number: u32, bytes: &[u8]) -> Document {
    let mut document = document(number, bytes);
    document.id.key.format = Format::Pdf;
    document
}

#[test]
fn what_the_registry_knows_is_not_told() {
    let all = [document(1, b"a"), pdf(1, b"b"), document(2, b"c")];
    let mut sync = Sync::knowing(all.to_vec(), &[Format::Txt]);
    assert_eq!(sync.told().collect::<Vec<_>>(), [all[0].id.key, all[2].id.key]);
    sync.aim(all.to_vec());
    assert_eq!(drain(&mut sync), [Batch::Announce(vec![all[1].clone()])]);
    let mut sync = Sync::knowing(all.to_vec(), &[Format::Txt, Format::Pdf]);
    sync.aim(all[1..].to_vec());
    assert_eq!(drain(&mut sync), [Batch::Withdraw(vec![all[0].id.key])]);
}

#[test]
fn fingerprints_are_those_of_what_is_confirmed_and_only_when_nothing_is_left_to_tell() {
    let mut sync = Sync::default();
    let all = [document(1, b"a"), pdf(1, b"b"), document(2, b"c")];
    assert_eq!(sync.fingerprints(), []);
    sync.aim(all.to_vec());
    assert_eq!(sync.fingerprints(), [], "there is something to tell");
    let batch = sync.next_batch().unwrap();
    assert_eq!(sync.fingerprints(), [], "it is not confirmed");
    sync.confirmed(batch);
    assert_eq!(sync.fingerprints(), Fingerprint::of_each(&all));
    sync.aim(all[..1].to_vec());
    drain(&mut sync);
    let nothing = Fingerprint::of(Format::Pdf, []);
    let expected = [Fingerprint::of(Format::Txt, [all[0].claim()]), nothing];
    assert_eq!(sync.fingerprints(), expected, "that nothing is left is said, too");
    sync.aim(vec![document(1, b"changed")]);
    drain(&mut sync);
    let changed = Fingerprint::of(Format::Txt, [document(1, b"changed").claim()]);
    assert_eq!(sync.fingerprints(), [changed, nothing]);
}

#[tokio::test(start_paused = true)]
async fn a_format_on_which_the_registry_disagrees_is_told_from_the_beginning_and_not_without_end() {
    let all = [document(1, b"a"), pdf(1, b"b")];
    let mut sync = Sync::knowing(all.to_vec(), &[Format::Txt, Format::Pdf]);
    let reset = Batch::Reset(vec![Format::Txt]);
    let again = [reset.clone(), Batch::Announce(vec![all[0].clone()])];
    assert_eq!(sync.begin_afresh(&[Format::Txt], all.to_vec()), [Format::Txt]);
    assert_eq!(sync.fingerprints(), []);
    assert_eq!(drain(&mut sync), again);
    assert_eq!(sync.fingerprints(), Fingerprint::of_each(&all));

    assert_eq!(
        sync.begin_afresh(&[Format::Txt, Format::Pdf], all.to_vec()),
        [Format::Pdf]
    );
    let pdfs = [Batch::Reset(vec![Format::Pdf]), Batch::Announce(vec![all[1].clone()])];
    assert_eq!(drain(&mut sync), pdfs);
    tokio::time::sleep(limits::AFRESH_INTERVAL).await;
    assert_eq!(sync.begin_afresh(&[Format::Txt], all.to_vec()), [Format::Txt]);
    assert_eq!(drain(&mut sync), again);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_when_the_registry_disagrees_is_told_again() {
    let all = [document(1, b"a"), document(2, b"b")];
    let mut sync = Sync::knowing(all[..1].to_vec(), &[Format::Txt]);
    sync.aim(all.to_vec());
    let under_way = sync.next_batch().unwrap();
    assert_eq!(under_way, Batch::Announce(vec![all[1].clone()]));
    sync.begin_afresh(&[Format::Txt], all.to_vec());
    assert_eq!(sync.next_batch(), None);
    sync.confirmed(under_way);
    let again = [Batch::Reset(vec![Format::Txt]), Batch::Announce(all.to_vec())];
    assert_eq!(drain(&mut sync), again);
}
