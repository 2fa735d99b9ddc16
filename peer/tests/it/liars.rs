//! Holders that send wrong bytes, and how they are found out and left alone.

use std::{fs, sync::Arc};

use p2p_ci::failure::{Failure, Reason};
use peer::{
    error::Exit,
    getter::How,
    mirror::{Cause, Compress},
};
use tempfile::TempDir;
use tonic::Status;

use crate::{
    fake_holder::{FakeHolder, Message, Script, header},
    faults::{document, lies, sends},
    support::{TestPeer, TestRegistry, any_version, get, get_within},
    swarm::{Silent, mirror_into},
};

#[tokio::test]
async fn who_lies_three_times_is_left_alone() {
    let registry = TestRegistry::start().await;
    let bytes = document();
    let wrong: Script = |bytes, offset| {
        let mut wrong = bytes[offset as usize..].to_vec();
        wrong[17] ^= 1;
        sends(header(bytes), [&wrong[..]])
    };
    let liar = FakeHolder::start(&registry, "liar", &bytes, wrong).await;
    let context = registry.context();
    let folder = TempDir::new().unwrap();
    for _ in 0..3 {
        let error = get_within(&context, folder.path(), 1, any_version()).await.unwrap_err();
        assert_eq!(error.exit(), Exit::Integrity, "{error}");
    }
    let error = get_within(&context, folder.path(), 1, any_version()).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Unreachable, "{error}");
    assert!(error.to_string().contains("left alone for 10 minutes"), "{error}");
    let _honest = TestPeer::start(&registry, "honest", &[("rfc1.txt", &bytes)]).await;
    let got = get_within(&context, folder.path(), 1, any_version()).await.unwrap();
    assert_eq!(fs::read(folder.path().join("rfc1.txt")).unwrap(), bytes);
    let How::Fetched(fetched) = got.how else {
        panic!("was there")
    };
    assert_eq!(fetched.holder.name.as_str(), "honest");
    assert_eq!(liar.offsets.lock().unwrap().as_slice(), [0, 0, 0]);
}

/// Wrong bytes, up to the middle.
fn half_a_lie(bytes: &[u8], offset: u64) -> Vec<Message> {
    let mut wrong = bytes[offset as usize..bytes.len() / 2].to_vec();
    wrong[17] ^= 1;
    sends(header(bytes), [&wrong[..]]).0
}

#[tokio::test]
async fn who_breaks_off_after_wrong_bytes_is_found_out_by_who_sends_the_right_ones() {
    let ends: [(&str, Script); 3] = [
        ("well", |bytes, offset| (half_a_lie(bytes, offset), None)),
        ("broken", |bytes, offset| {
            let died = Status::unavailable("the process died");
            (half_a_lie(bytes, offset), Some(died))
        }),
        ("busy", |bytes, offset| {
            let busy = Failure::new(Reason::Overloaded, "all slots are taken");
            (half_a_lie(bytes, offset), Some(busy.into()))
        }),
    ];
    for (what, script) in ends {
        let registry = TestRegistry::start().await;
        let bytes = document();
        let liar = FakeHolder::start(&registry, "liar", &bytes, script).await;
        let _honest = TestPeer::start(&registry, "honest", &[("rfc1.txt", &bytes)]).await;
        let context = registry.context();
        let folder = TempDir::new().unwrap();
        // Either may be asked first.
        for attempt in 0..100 {
            let to = folder.path().join(attempt.to_string());
            get_within(&context, &to, 1, any_version()).await.unwrap();
            assert_eq!(fs::read(to.join("rfc1.txt")).unwrap(), bytes);
        }
        assert_eq!(liar.offsets.lock().unwrap().as_slice(), [0, 0, 0], "{what}");
    }
}

#[tokio::test]
async fn who_refuses_costs_none_of_what_others_sent() {
    let registry = TestRegistry::start().await;
    let bytes = document();
    let dies: Script = |bytes, offset| {
        let end = (bytes.len() / 2).max(offset as usize);
        let (messages, _) = sends(header(bytes), [&bytes[offset as usize..end]]);
        (messages, Some(Status::unavailable("the process died")))
    };
    let changed: Script = |_, _| {
        let failure = Failure::new(Reason::DocumentChanged, "it changed");
        (Vec::new(), Some(failure.into()))
    };
    let _dies = FakeHolder::start(&registry, "dies", &bytes, dies).await;
    let _changed = FakeHolder::start(&registry, "changed", &bytes, changed).await;
    let _honest = TestPeer::start(&registry, "honest", &[("rfc1.txt", &bytes)]).await;
    // Holders come in random order.
    for round in 0.. {
        assert!(round < 200, "never in this order");
        let folder = TempDir::new().unwrap();
        let got = get(&registry, folder.path(), 1, any_version()).await.unwrap();
        assert_eq!(fs::read(folder.path().join("rfc1.txt")).unwrap(), bytes);
        let How::Fetched(fetched) = got.how else {
            panic!("was there")
        };
        assert_eq!(fetched.received_bytes, bytes.len() as u64, "no byte twice");
        let names = fetched.detours.iter().map(|detour| detour.holder.name.as_str());
        if names.eq(["dies", "changed"]) {
            break;
        }
    }
}

#[tokio::test]
async fn a_mirror_notes_the_same_lies_as_a_single_download() {
    // Of what is too long, a mirror takes what was asked for and looks no further.
    let all = lies()
        .into_iter()
        .filter(|(what, ..)| !["one byte long", "endless"].contains(what));
    for (what, _, script) in all {
        let registry = TestRegistry::start().await;
        let bytes = document();
        let liar = FakeHolder::start(&registry, "liar", &bytes, script).await;
        let context = registry.context();
        let client = registry.client().await;
        for run in 1..=4 {
            let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
            let mut mirror = mirror_into(&folder, &state, Compress::Never);
            mirror.known = context.memory.clone();
            let summary = mirror.run(&client, Arc::new(Silent)).await.unwrap();
            assert_eq!((summary.fetched, summary.failures.len()), (0, 1), "{what}, {run}");
            let is_lie = summary.failures[0].1.cause == Cause::WrongBytes;
            assert_eq!(is_lie, run <= 3, "{what}, {run}");
        }
        assert_eq!(liar.offsets.lock().unwrap().len(), 3, "{what}");
        let folder = TempDir::new().unwrap();
        let error = get_within(&context, folder.path(), 1, any_version()).await.unwrap_err();
        assert!(
            error.to_string().contains("left alone for 10 minutes"),
            "{what}: {error}"
        );
    }
}
