//! The swarm as watchers see it, and what a broken session leaves behind.

use std::{collections::BTreeMap, time::Duration};

use p2p_ci::{
    document::{Format, RfcNumber, RfcRange},
    fingerprint::Fingerprint,
    message::PeerInfo,
};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    limits::{ADOPT_BURST, WATCH_PATIENCE, WATCH_QUEUE},
    testing::{LIMITS, document, key},
};

fn swarm() -> Swarm {
    Swarm::new(LIMITS).unwrap()
}

/// Waits for what must come; the clock jumps when nothing does.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(3600), future)
        .await
        .expect("something happens")
}

fn apply(name: &str, port: u16, resume_token: Option<ResumeToken>) -> Application {
    Application {
        name: name.parse().unwrap(),
        address: Some(SocketAddr::from(([192, 0, 2, 9], port))),
        source: "192.0.2.9:55555".parse().unwrap(),
        resume_token,
    }
}

pub(super) fn join(swarm: &Swarm, name: &str, port: u16) -> Membership {
    swarm.join(apply(name, port, None)).unwrap().0
}

/// What a watcher makes of what it is told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Replica {
    peers: BTreeMap<SessionId, PeerInfo>,
    is_complete: bool,
    resets: usize,
}

impl Replica {
    fn take(&mut self, event: &WatchEvent) {
        match event {
            WatchEvent::Peer(peer) => {
                assert!(!self.is_complete, "part of a snapshot only");
                assert!(self.peers.insert(peer.id, peer.clone()).is_none());
            }
            WatchEvent::SnapshotEnd => self.is_complete = true,
            WatchEvent::Joined(peer) => assert!(self.peers.insert(peer.id, peer.clone()).is_none()),
            WatchEvent::Left(label) => assert!(self.peers.remove(&label.id).is_some(), "{label:?} left twice"),
            WatchEvent::Announced(changed) => assert!(self.peers.contains_key(&changed.peer.id)),
            WatchEvent::Withdrawn(changed) => assert!(self.peers.contains_key(&changed.peer.id)),
            WatchEvent::Reachability(label, reachability) => {
                self.peers.get_mut(&label.id).unwrap().reachability = *reachability;
            }
            WatchEvent::Reset => {
                *self = Self {
                    resets: self.resets + 1,
                    ..Self::default()
                };
            }
        }
    }

    /// Takes everything that is queued.
    async fn catch_up(&mut self, watch: &mut Watch) {
        while let Ok(event) = tokio::time::timeout(Duration::from_millis(1), watch.next()).await {
            self.take(&event.unwrap());
        }
    }

    #[track_caller]
    fn assert_is(&self, swarm: &Swarm) {
        assert!(self.is_complete);
        let peers = swarm.lock().index.peers(0, usize::MAX);
        let states = |peer: &PeerInfo| (peer.id, peer.reachability);
        let actual: BTreeMap<_, _> = peers.into_iter().map(|peer| states(&peer.into_info())).collect();
        assert_eq!(self.peers.values().map(states).collect::<BTreeMap<_, _>>(), actual);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_sees_a_snapshot_and_then_every_change_in_order() {
    let swarm = swarm();
    let alice = join(&swarm, "alice", 5000);
    alice.announce(vec![document(1)]).unwrap();
    let mut watch = swarm.watch(CancellationToken::new()).unwrap();
    let mut next = async || WatchEvent::clone(&*soon(watch.next()).await.unwrap());

    let WatchEvent::Peer(peer) = next().await else { panic!() };
    assert_eq!(
        (peer.name.as_str(), peer.document_counts),
        ("alice", vec![(Format::Txt, 1)])
    );
    assert_eq!(next().await, WatchEvent::SnapshotEnd);

    let mut html = document(9);
    html.id.key.format = Format::Html;
    let others = [3, 1, 2, 7].map(document).into_iter().chain([html]).collect();
    alice.announce(others).unwrap();
    alice.withdraw(vec![key(2), key(100)], &[]).unwrap();
    swarm.set_reachability(alice.label().id, Reachability::Reachable);
    swarm.set_reachability(alice.label().id, Reachability::Reachable);
    let (label, bob) = (alice.label().clone(), join(&swarm, "bob", 5001));
    drop(alice);

    let range = |first, last| RfcRange {
        first: RfcNumber::new(first).unwrap(),
        last: RfcNumber::new(last).unwrap(),
    };
    let changed = |format, ranges: &[RfcRange]| Changed {
        peer: label.clone(),
        format,
        ranges: ranges.to_vec(),
    };
    let announced = changed(Format::Txt, &[range(2, 3), range(7, 7)]);
    assert_eq!(
        next().await,
        WatchEvent::Announced(announced),
        "RFC 1 was there already"
    );
    assert_eq!(
        next().await,
        WatchEvent::Announced(changed(Format::Html, &[range(9, 9)]))
    );
    assert_eq!(
        next().await,
        WatchEvent::Withdrawn(changed(Format::Txt, &[range(2, 2)]))
    );
    assert_eq!(
        next().await,
        WatchEvent::Reachability(label.clone(), Reachability::Reachable)
    );
    assert!(matches!(next().await, WatchEvent::Joined(peer) if peer.id == bob.label().id));
    assert_eq!(next().await, WatchEvent::Left(label));
}

#[tokio::test(start_paused = true)]
async fn what_comes_all_at_once_is_told_in_pieces_that_fit_a_message() {
    let swarm = swarm();
    let (mut alice, bob) = (join(&swarm, "alice", 5000), join(&swarm, "bob", 5001));
    let scattered: Vec<_> = (1..=600).map(|number| document(2 * number)).collect();
    alice.announce(scattered.clone()).unwrap();
    let named = Fingerprint::of_each(&scattered);
    assert_eq!(alice.compare(&named, || true), Ok(Vec::new()));
    let mut watch = swarm.watch(CancellationToken::new()).unwrap();
    while *soon(watch.next()).await.unwrap() != WatchEvent::SnapshotEnd {}
    assert_eq!(bob.adopt(&named), Ok(vec![Format::Txt]));
    let mut told = Vec::new();
    for expected in [256, 256, 88] {
        let WatchEvent::Announced(changed) = WatchEvent::clone(&*soon(watch.next()).await.unwrap()) else {
            panic!();
        };
        assert_eq!(changed.ranges.len(), expected);
        told.extend(changed.ranges.iter().map(|range| range.first.get()));
    }
    assert!(told.into_iter().eq((1..=600).map(|number| 2 * number)));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_comes_back_all_the_time_has_to_announce() {
    let swarm = swarm();
    let all: Vec<_> = (1..=100).map(document).collect();
    let named = Fingerprint::of_each(&all);
    let mut alice = join(&swarm, "alice", 5000);
    alice.announce(all).unwrap();
    assert_eq!(alice.compare(&named, || true), Ok(Vec::new()));
    let come_back = || join(&swarm, "bob", 5001).adopt(&named).unwrap();
    assert_eq!(come_back(), [Format::Txt]);
    let source = "192.0.2.9".parse().unwrap();
    let all_but_one_list = ADOPT_BURST - 200;
    assert!(
        swarm
            .lock()
            .adoptions
            .try_spend(source, all_but_one_list, Duration::ZERO)
    );
    assert_eq!(come_back(), [Format::Txt]);
    assert_eq!(come_back(), []);
    let other = Application {
        source: "192.0.2.10:55555".parse().unwrap(),
        ..apply("carol", 5002, None)
    };
    let (carol, _) = swarm.join(other).unwrap();
    assert_eq!(carol.adopt(&named), Ok(vec![Format::Txt]), "others are not held back");
    tokio::time::sleep(Duration::from_millis(3)).await;
    assert_eq!(come_back(), [Format::Txt]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_is_reset_and_sees_the_truth_again() {
    let swarm = swarm();
    let mut watch = swarm.watch(CancellationToken::new()).unwrap();
    let mut replica = Replica::default();
    replica.catch_up(&mut watch).await;
    let _stays = join(&swarm, "stays", 5000);
    for _ in 0..WATCH_QUEUE {
        drop(join(&swarm, "comes-and-goes", 5001));
    }
    replica.catch_up(&mut watch).await;
    assert_eq!(replica.resets, 1);
    replica.assert_is(&swarm);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_never_reads_makes_room_for_others() {
    let swarm = swarm();
    let stop = CancellationToken::new();
    let mut stuck: Vec<Watch> = (0..LIMITS.watchers)
        .map(|_| swarm.watch(stop.clone()).unwrap())
        .collect();
    for watch in &mut stuck {
        assert_eq!(*watch.next().await.unwrap(), WatchEvent::SnapshotEnd);
    }
    let refused = swarm.watch(stop.clone()).unwrap_err();
    assert_eq!(refused, RegistryError::TooManyWatchers { limit: 4 });
    for _ in 0..=WATCH_QUEUE {
        drop(join(&swarm, "comes-and-goes", 5001));
    }
    assert!(swarm.watch(stop.clone()).is_err(), "they may still read");
    tokio::time::sleep(WATCH_PATIENCE + Duration::from_secs(1)).await;
    let _fresh = swarm.watch(stop).unwrap();
    let end = loop {
        if let Err(end) = soon(stuck[0].next()).await {
            break end;
        }
    };
    assert_eq!(end, StreamEnd::WatcherTooSlow);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_watcher_frees_its_place_and_a_stopped_one_ends() {
    let swarm = swarm();
    let stop = CancellationToken::new();
    for _ in 0..10 * LIMITS.watchers {
        drop(swarm.watch(stop.clone()).unwrap());
    }
    let mut watch = swarm.watch(stop.clone()).unwrap();
    assert_eq!(*watch.next().await.unwrap(), WatchEvent::SnapshotEnd);
    let waiting = tokio::spawn(async move { watch.next().await });
    tokio::task::yield_now().await;
    stop.cancel();
    assert_eq!(soon(waiting).await.unwrap(), Err(StreamEnd::ShuttingDown));
}

/// What happens between two looks of a watcher.
#[derive(Debug, Clone)]
enum Step {
    Join(u16),
    Leave(u16),
    Announce(u16, u32),
    Reach(u16, bool),
    /// The watcher takes so many events.
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        9 => (0u16..900).prop_map(Step::Join),
        3 => (0u16..900).prop_map(Step::Leave),
        2 => (0u16..900, 1u32..9).prop_map(|(who, number)| Step::Announce(who, number)),
        2 => (0u16..900, any::<bool>()).prop_map(|(who, reached)| Step::Reach(who, reached)),
        2 => (0usize..200).prop_map(Step::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Snapshots of several pages, with changes while they are read, lead to the truth.
    #[test]
    fn a_watcher_ends_up_with_the_truth(before in vec(step(), 0..1500), during in vec(step(), 0..300)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let unlimited = IndexLimits { sessions_per_address: 0, ..LIMITS.index };
            let swarm = Swarm::new(SwarmLimits { index: unlimited, ..LIMITS }).unwrap();
            let mut members: BTreeMap<u16, Membership> = BTreeMap::new();
            let act = |members: &mut BTreeMap<u16, Membership>, step: &Step| match step {
                Step::Join(who) => {
                    if let Ok((member, _)) = swarm.join(apply(&format!("p{who}"), 2000 + who, None)) {
                        members.insert(*who, member);
                    }
                }
                Step::Leave(who) => drop(members.remove(who)),
                Step::Announce(who, number) => {
                    members.get(who).map(|member| member.announce(vec![document(*number)]));
                }
                Step::Reach(who, reached) => {
                    let verdict = if *reached { Reachability::Reachable } else { Reachability::Unreachable };
                    members.get(who).map(|member| swarm.set_reachability(member.label().id, verdict));
                }
                Step::Read(_) => {}
            };
            before.iter().for_each(|step| act(&mut members, step));
            let mut watch = swarm.watch(CancellationToken::new()).unwrap();
            let mut replica = Replica::default();
            for step in &during {
                act(&mut members, step);
                if let Step::Read(count) = step {
                    for _ in 0..*count {
                        match tokio::time::timeout(Duration::from_millis(1), watch.next()).await {
                            Ok(event) => replica.take(&event.unwrap()),
                            Err(_) => break,
                        }
                    }
                }
            }
            replica.catch_up(&mut watch).await;
            replica.assert_is(&swarm);
        });
    }
}

#[test]
fn a_session_that_was_taken_over_changes_nothing_any_more() {
    let swarm = swarm();
    let (old, welcome) = swarm.join(apply("alice", 5000, None)).unwrap();
    old.announce(vec![document(1)]).unwrap();
    let (newer, _) = swarm.join(apply("alice", 5000, Some(welcome.resume_token))).unwrap();
    newer.announce(vec![document(2)]).unwrap();
    assert!(old.announce(vec![document(3)]).is_err());
    assert!(old.withdraw(vec![key(2)], &[]).is_err());
    assert!(old.heartbeat(7).is_err());
    assert_eq!(newer.heartbeat(0), Ok(1));
    drop(old);
    assert_eq!(
        newer.heartbeat(0),
        Ok(1),
        "its clean-up was none of the newer one's business"
    );
}

/// Old sessions end on one thread while newer ones of the same peer register and announce on another.
#[test]
fn a_late_clean_up_on_another_thread_never_touches_the_newer_session() {
    let swarm = swarm();
    let (mut old, welcome) = swarm.join(apply("alice", 5000, None)).unwrap();
    let mut token = welcome.resume_token;
    for round in 0..1000 {
        old.announce(vec![document(1), document(2)]).unwrap();
        let (newer, welcome) = std::thread::scope(|scope| {
            let joining = scope.spawn(|| swarm.join(apply("alice", 5000, Some(token))).unwrap());
            let leaving = scope.spawn(move || {
                // Late requests and the clean-up of the old session, at any moment.
                let _ = old.announce(vec![document(3)]);
                drop(old);
            });
            let joined = joining.join().unwrap();
            joined.0.announce(vec![document(4)]).unwrap();
            leaving.join().unwrap();
            joined
        });
        assert_eq!(newer.heartbeat(0), Ok(1), "round {round}");
        assert_eq!(swarm.session_count(), 1, "round {round}");
        assert_eq!(swarm.lock().index.document_count(), 1, "round {round}");
        (old, token) = (newer, welcome.resume_token);
    }
}

#[test]
fn a_panic_under_the_lock_does_not_take_the_rest_down() {
    let swarm = swarm();
    let alice = join(&swarm, "alice", 5000);
    let poisoning = swarm.clone();
    let panicked = std::thread::spawn(move || {
        let _guard = poisoning.lock();
        panic!("a defect, on purpose");
    });
    assert!(panicked.join().is_err());
    assert_eq!(alice.announce(vec![document(1)]), Ok(1));
    drop(alice);
    assert_eq!(swarm.session_count(), 0);
}
