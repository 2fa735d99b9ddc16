//! Holders that send wrong bytes, and how they are found out and left alone.

use std::fs;

use peer::{error::Exit, getter::How};
use tempfile::TempDir;

use crate::{
    fake_holder::{FakeHolder, Script, header},
    faults::{document, sends},
    support::{TestPeer, TestRegistry, any_version, get_within},
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

#[tokio::test]
async fn who_breaks_off_after_wrong_bytes_is_found_out_by_who_sends_the_right_ones() {
    let registry = TestRegistry::start().await;
    let bytes = document();
    let half_a_lie: Script = |bytes, offset| {
        let mut wrong = bytes[offset as usize..bytes.len() / 2].to_vec();
        wrong[17] ^= 1;
        sends(header(bytes), [&wrong[..]])
    };
    let liar = FakeHolder::start(&registry, "liar", &bytes, half_a_lie).await;
    let _honest = TestPeer::start(&registry, "honest", &[("rfc1.txt", &bytes)]).await;
    let context = registry.context();
    let folder = TempDir::new().unwrap();
    // Either may be asked first.
    for attempt in 0..100 {
        let to = folder.path().join(attempt.to_string());
        get_within(&context, &to, 1, any_version()).await.unwrap();
        assert_eq!(fs::read(to.join("rfc1.txt")).unwrap(), bytes);
    }
    assert_eq!(liar.offsets.lock().unwrap().as_slice(), [0, 0, 0]);
}
