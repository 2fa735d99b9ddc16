//! Holders that lie, die or dawdle, and what it costs: never a wrong byte, never a lost document that somebody has.

use std::{fs, time::Duration};

use p2p_ci::{
    digest::Sha256,
    failure::{Failure, Reason},
    limits as shared_limits, pb,
};
use peer::{
    commands::Context,
    destination::Destination,
    directory::Directory,
    error::Exit,
    getter::{Getter, How},
    library::Durability,
    limits,
};
use tempfile::TempDir;
use tokio::time::Instant;
use tonic::Status;

use crate::{
    fake_holder::{FakeHolder, Message, Script, chunks, header},
    support::{TestPeer, TestRegistry, any_version, get, get_within, leftovers, number},
    swarm::mirror,
};

pub(crate) fn document() -> Vec<u8> {
    (0..10_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// A header, whatever bytes follow it, and a clean end.
pub(crate) fn sends<'a>(
    header: pb::DocumentHeader,
    bytes: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Message>, Option<Status>) {
    let chunks = bytes.into_iter().flat_map(chunks);
    (std::iter::once(Message::Header(header)).chain(chunks).collect(), None)
}

/// What a lying or dying holder may do.
fn misdeeds() -> Vec<(&'static str, Exit, Script)> {
    let mut all = lies();
    all.extend(failings());
    all
}

/// What an honest holder never does.
pub(crate) fn lies() -> Vec<(&'static str, Exit, Script)> {
    vec![
        ("wrong bytes", Exit::Integrity, |bytes, offset| {
            let mut wrong = bytes[offset as usize..].to_vec();
            wrong[17] ^= 1;
            sends(header(bytes), [&wrong[..]])
        }),
        ("one byte long", Exit::Integrity, |bytes, offset| {
            let mut long = bytes[offset as usize..].to_vec();
            long.push(0);
            sends(header(bytes), [&long[..]])
        }),
        ("endless", Exit::Integrity, |bytes, _| {
            sends(header(bytes), std::iter::repeat_n(bytes, 100))
        }),
        ("no header", Exit::Integrity, |bytes, _| (chunks(bytes).collect(), None)),
        ("another document", Exit::Integrity, |bytes, _| {
            let mut other = header(bytes);
            other.number = 2;
            sends(other, [bytes])
        }),
        ("another size", Exit::Integrity, |bytes, _| {
            let mut other = header(bytes);
            other.size_bytes += 1;
            sends(other, [bytes])
        }),
        ("two headers", Exit::Integrity, |bytes, _| {
            let twice = [header(bytes), header(bytes)];
            (twice.into_iter().map(Message::Header).collect(), None)
        }),
    ]
}

/// What befalls honest holders too.
fn failings() -> Vec<(&'static str, Exit, Script)> {
    vec![
        ("one byte short", Exit::Unreachable, |bytes, offset| {
            sends(header(bytes), [&bytes[offset as usize..bytes.len() - 1]])
        }),
        ("nothing", Exit::Unreachable, |_, _| (Vec::new(), None)),
        ("empty chunk", Exit::Unreachable, |bytes, _| {
            (vec![Message::Header(header(bytes)), Message::Chunk(Vec::new())], None)
        }),
        ("dies in the middle", Exit::Unreachable, |bytes, offset| {
            let (messages, _) = sends(header(bytes), [&bytes[offset as usize..bytes.len() / 2]]);
            (messages, Some(Status::unavailable("the process died")))
        }),
        ("changed its mind", Exit::Unreachable, |_, _| {
            (Vec::new(), Some(Failure::new(Reason::DocumentNotFound, "no").into()))
        }),
        ("cannot read it", Exit::Unreachable, |bytes, _| {
            let failure = Failure::new(Reason::Internal, "cannot read it");
            (vec![Message::Header(header(bytes))], Some(failure.into()))
        }),
        ("data loss", Exit::Integrity, |bytes, _| {
            let failure = Failure::new(Reason::DocumentChanged, "it changed");
            (vec![Message::Header(header(bytes))], Some(failure.into()))
        }),
        ("somebody else's data loss", Exit::Unreachable, |bytes, _| {
            (vec![Message::Header(header(bytes))], Some(Status::data_loss("changed")))
        }),
    ]
}

#[tokio::test]
async fn no_misdeed_yields_a_file_when_nobody_else_has_it() {
    for (what, exit, script) in misdeeds() {
        let registry = TestRegistry::start().await;
        let bytes = document();
        let liar = FakeHolder::start(&registry, "liar", &bytes, script).await;
        let folder = TempDir::new().unwrap();
        let error = get(&registry, folder.path(), 1, any_version()).await.unwrap_err();
        assert_eq!(error.exit(), exit, "{what}: {error}");
        assert!(error.to_string().len() <= 300, "{what}: {error}");
        assert!(!folder.path().join("rfc1.txt").exists(), "{what}");
        assert_eq!(leftovers(folder.path()), 0, "{what}");
        assert!(liar.was_asked(), "{what}");
    }
}

#[tokio::test]
async fn every_misdeed_is_survived_when_somebody_honest_has_it() {
    for (what, _, script) in misdeeds() {
        let registry = TestRegistry::start().await;
        let bytes = document();
        let liar = FakeHolder::start(&registry, "liar", &bytes, script).await;
        let _honest = TestPeer::start(&registry, "honest", &[("rfc1.txt", &bytes)]).await;
        // Holders come in random order; until the liar was first, nothing is shown.
        for round in 0.. {
            assert!(round < 100, "{what}: the liar was never asked");
            let folder = TempDir::new().unwrap();
            let got = get(&registry, folder.path(), 1, any_version())
                .await
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            let How::Fetched(fetched) = got.how else {
                panic!("{what}: was there")
            };
            assert_eq!(fs::read(&fetched.path).unwrap(), bytes, "{what}");
            assert_eq!(fetched.holder.name.as_str(), "honest", "{what}");
            if !fetched.detours.is_empty() {
                assert!(liar.was_asked(), "{what}");
                break;
            }
        }
        let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let summary = mirror(&registry, &folder, &state).await;
        assert_eq!((summary.fetched, summary.failures.len()), (1, 0), "{what}");
        assert_eq!(fs::read(folder.path().join("rfc1.txt")).unwrap(), bytes, "{what}");
    }
}

#[tokio::test]
async fn a_download_goes_on_where_it_broke() {
    let registry = TestRegistry::start().await;
    let bytes = document();
    let half: Script = |bytes, offset| {
        let half = bytes.len() as u64 / 2;
        if offset >= half {
            return (
                std::iter::once(Message::Header(header(bytes)))
                    .chain(chunks(&bytes[offset as usize..]))
                    .collect(),
                None,
            );
        }
        let messages = std::iter::once(Message::Header(header(bytes)))
            .chain(chunks(&bytes[..half as usize]))
            .collect();
        (messages, Some(Status::unavailable("the process died")))
    };
    let first = FakeHolder::start(&registry, "first", &bytes, half).await;
    let second = FakeHolder::start(&registry, "second", &bytes, half).await;
    let folder = TempDir::new().unwrap();
    let got = get(&registry, folder.path(), 1, any_version()).await.unwrap();
    let How::Fetched(fetched) = got.how else {
        panic!("was there")
    };
    assert_eq!(fs::read(&fetched.path).unwrap(), bytes);
    assert_eq!(fetched.received_bytes, bytes.len() as u64, "no byte twice");
    let mut offsets = [
        first.offsets.lock().unwrap().clone(),
        second.offsets.lock().unwrap().clone(),
    ]
    .concat();
    offsets.sort_unstable();
    assert_eq!(offsets, [0, bytes.len() as u64 / 2]);
}

#[tokio::test]
async fn who_finishes_what_a_liar_began_is_not_blamed() {
    let registry = TestRegistry::start().await;
    let bytes = document();
    let liar: Script = |bytes, offset| {
        let mut half = bytes[offset as usize..bytes.len() / 2].to_vec();
        half[17] ^= 1;
        let messages = std::iter::once(Message::Header(header(bytes)))
            .chain(chunks(&half))
            .collect();
        (messages, Some(Status::unavailable("the process died")))
    };
    let _liar = FakeHolder::start(&registry, "liar", &bytes, liar).await;
    let _honest = TestPeer::start(&registry, "honest", &[("rfc1.txt", &bytes)]).await;
    for round in 0.. {
        assert!(round < 100, "the liar was never first");
        let folder = TempDir::new().unwrap();
        let got = get(&registry, folder.path(), 1, any_version()).await.unwrap();
        let How::Fetched(fetched) = got.how else {
            panic!("was there")
        };
        assert_eq!(fs::read(&fetched.path).unwrap(), bytes);
        assert_eq!(fetched.holder.name.as_str(), "honest");
        if let [only] = fetched.detours.as_slice() {
            assert_eq!(only.holder.name.as_str(), "liar");
            let both = bytes.len() as u64 * 2;
            assert_eq!(fetched.received_bytes, both, "half, the other half, and all of it anew");
            break;
        }
    }
}

#[tokio::test]
async fn the_next_version_is_taken_where_nobody_delivers_the_first() {
    let registry = TestRegistry::start().await;
    let (wanted, other) = (document(), b"another version".to_vec());
    let nothing: Script = |_, _| (Vec::new(), None);
    let _one = FakeHolder::start(&registry, "one", &wanted, nothing).await;
    let _two = FakeHolder::start(&registry, "two", &wanted, nothing).await;
    let _honest = TestPeer::start(&registry, "honest", &[("rfc1.txt", &other)]).await;
    let folder = TempDir::new().unwrap();
    let got = get(&registry, folder.path(), 1, any_version()).await.unwrap();
    assert_eq!(got.entry.document.id.sha256, Sha256::of(&other));
    let missed: Vec<Sha256> = got.missed.iter().map(|(entry, _)| entry.document.id.sha256).collect();
    assert_eq!(missed, [Sha256::of(&wanted)], "and it is told");
    assert_eq!(fs::read(folder.path().join("rfc1.txt")).unwrap(), other);
}

#[tokio::test]
async fn a_mirror_takes_the_next_version_where_nobody_delivers_the_first() {
    let registry = TestRegistry::start().await;
    let (wanted, other) = (document(), b"another version".to_vec());
    let nothing: Script = |_, _| (Vec::new(), None);
    let _one = FakeHolder::start(&registry, "one", &wanted, nothing).await;
    let _two = FakeHolder::start(&registry, "two", &wanted, nothing).await;
    let _honest = TestPeer::start(&registry, "honest", &[("rfc1.txt", &other)]).await;
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let summary = mirror(&registry, &folder, &state).await;
    assert_eq!((summary.fetched, summary.failures.len()), (1, 0));
    assert_eq!(fs::read(folder.path().join("rfc1.txt")).unwrap(), other);
}

#[tokio::test]
async fn a_busy_holder_is_not_waited_for_while_others_are_untried() {
    let registry = TestRegistry::start().await;
    let bytes = document();
    let busy: Script = |_, _| {
        let failure = Failure::new(Reason::Overloaded, "all slots are taken").with_retry_after(Duration::from_secs(60));
        (Vec::new(), Some(failure.into()))
    };
    let busy = FakeHolder::start(&registry, "busy", &bytes, busy).await;
    let _free = TestPeer::start(&registry, "free", &[("rfc1.txt", &bytes)]).await;
    let began = Instant::now();
    let mut rounds = 0;
    // Holders come in random order; until the busy one was first, nothing is shown.
    while !busy.was_asked() {
        rounds += 1;
        assert!(rounds < 100, "the busy one was never asked");
        let folder = TempDir::new().unwrap();
        get(&registry, folder.path(), 1, any_version()).await.unwrap();
    }
    let shortest_wait = limits::BUSY_RETRY_LONGEST / 2;
    assert!(
        began.elapsed() < shortest_wait,
        "{:?} for {rounds} rounds",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_silent_holder_costs_ten_seconds_at_most() {
    let registry = TestRegistry::start().await;
    let bytes = document();
    let silent: Script = |bytes, _| (vec![Message::Header(header(bytes)), Message::Silence], None);
    let _silent = FakeHolder::start(&registry, "silent", &bytes, silent).await;
    let folder = TempDir::new().unwrap();
    let began = Instant::now();
    let error = get(&registry, folder.path(), 1, any_version()).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Unreachable, "{error}");
    assert!(began.elapsed() < shared_limits::HOLDER_SILENCE + Duration::from_secs(5));
}

#[tokio::test]
async fn a_holder_that_trickles_is_left_for_a_faster_one() {
    let registry = TestRegistry::start().await;
    let bytes = document();
    // A quarter of the least speed, and never silent for long.
    let trickle: Script = |bytes, offset| {
        let pause = || Message::Pause(Duration::from_secs(1));
        let chunks = chunks(&bytes[offset as usize..]).flat_map(|chunk| [pause(), chunk]);
        let header = std::iter::once(Message::Header(header(bytes)));
        (header.chain(chunks.collect::<Vec<_>>()).collect(), None)
    };
    let slow = FakeHolder::start(&registry, "slow", &bytes, trickle).await;
    let _fast = TestPeer::start(&registry, "fast", &[("rfc1.txt", &bytes)]).await;
    let folder = TempDir::new().unwrap();
    // Either may be asked first.
    for attempt in 0..100 {
        let to = folder.path().join(attempt.to_string());
        let began = Instant::now();
        let got = get(&registry, &to, 1, any_version()).await.unwrap();
        assert_eq!(fs::read(to.join("rfc1.txt")).unwrap(), bytes);
        if slow.offsets.lock().unwrap().is_empty() {
            continue;
        }
        let How::Fetched(fetched) = got.how else {
            panic!("it was here already");
        };
        assert_eq!(fetched.holder.name.as_str(), "fast");
        assert_eq!(fetched.detours.len(), 1);
        let took = began.elapsed();
        assert!(
            took < limits::SPEED_SPAN + Duration::from_secs(5),
            "{took:?} instead of forty"
        );
        assert_eq!(slow.offsets.lock().unwrap().as_slice(), [0]);
        assert_eq!(leftovers(&to), 0);
        return;
    }
    panic!("the slow one was never asked");
}

#[tokio::test]
async fn a_registry_that_knows_nobody_yet_is_stood_in_for() {
    let (before, after) = (TestRegistry::start().await, TestRegistry::start().await);
    let bytes = document();
    // It never comes to the other registry, however long that takes.
    let _alice = TestPeer::start(&before, "alice", &[("rfc1.txt", &bytes)]).await;
    let folder = TempDir::new().unwrap();
    let context = before.context();
    let got = get_within(&context, &folder.path().join("before"), 1, any_version()).await;
    assert!(got.unwrap().by_registry);
    let context = Context {
        registry: after.url.clone(),
        ..context
    };
    let to = folder.path().join("after");
    let destination = Destination::new(to.clone(), Durability::None).await.unwrap();
    let directory = Directory::open(context.clone(), true).await.unwrap();
    let getter = Getter::new(directory, destination, any_version());
    let got = getter.get(number(1), |_| {}, &|_| {}).await.unwrap();
    assert!(!got.by_registry);
    assert_eq!(fs::read(to.join("rfc1.txt")).unwrap(), bytes);
    let error = get_within(&context, &to, 1, any_version()).await.unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound, "unless that is not wanted");
}

#[tokio::test]
async fn a_file_that_changes_under_the_hand_is_never_served_as_what_it_was() {
    let registry = TestRegistry::start().await;
    let bytes = document();
    let alice = TestPeer::start(&registry, "alice", &[("rfc1.txt", &bytes)]).await;
    let path = alice.folder.path().join("rfc1.txt");
    for round in 0..50_u32 {
        fs::write(&path, [bytes.as_slice(), &round.to_le_bytes()].concat()).unwrap();
        let folder = TempDir::new().unwrap();
        if let Ok(got) = get(&registry, folder.path(), 1, any_version()).await {
            let saved = fs::read(folder.path().join("rfc1.txt")).unwrap();
            assert_eq!(Sha256::of(&saved), got.entry.document.id.sha256);
        } else {
            assert!(!folder.path().join("rfc1.txt").exists());
        }
    }
}
