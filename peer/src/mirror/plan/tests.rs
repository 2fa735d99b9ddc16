//! What is asked of whom, step by step.

use p2p_ci::{digest::Sha256, document::Title};

use super::{want::MOVE_AFTER, *};

const NOW: Duration = Duration::ZERO;

fn holder(n: u8) -> Holder {
    Holder {
        id: SessionId::from_bytes([n; 16]),
        name: format!("p{n}").parse().unwrap(),
        address: format!("127.0.0.{n}:4000").parse().unwrap(),
    }
}

fn entry(number: u32, bytes: &[u8], holders: &[u8]) -> DocumentEntry {
    let key = DocumentKey {
        number: RfcNumber::new(number).unwrap(),
        format: Format::Txt,
    };
    DocumentEntry {
        document: Document {
            id: DocumentId {
                key,
                sha256: Sha256::of(bytes),
            },
            size_bytes: 1,
            title: Title::default(),
            modified: None,
        },
        holder_count: u32::try_from(holders.len()).unwrap(),
        holders: holders.iter().copied().map(holder).collect(),
    }
}

/// A plan for single versions of RFCs 1, 2, … with these holders; ties are in order of number.
fn plan(holders: &[&[u8]]) -> Plan {
    let mut plan = Plan::default();
    for (number, holders) in (1..).zip(holders) {
        let entry = entry(number, &number.to_be_bytes(), holders);
        let others = Vec::new();
        plan.add(Chosen { entry, others }, number);
    }
    plan
}

fn problem() -> Problem {
    Problem {
        message: "no".to_owned(),
        cause: Cause::Other,
    }
}

/// The numbers that a holder is asked for until there are no more.
fn take_all(plan: &mut Plan, id: SessionId, now: Duration) -> Vec<u32> {
    std::iter::from_fn(|| plan.take(id, now))
        .map(|task| task.document.id.key.number.get())
        .collect()
}

#[test]
fn each_document_is_asked_of_one_holder_at_a_time_the_rarest_first() {
    let mut plan = plan(&[&[1, 2], &[1]]);
    let (one, two) = (holder(1).id, holder(2).id);
    assert_eq!(plan.take(one, NOW).unwrap().document.id.key.number.get(), 2);
    assert_eq!(plan.take(two, NOW).unwrap().document.id.key.number.get(), 1);
    assert_eq!(plan.take(one, NOW), None);
    assert!(plan.idle_holders(NOW).is_empty());
}

#[test]
fn holders_of_the_same_are_all_asked_in_whatever_order_they_were_listed() {
    // Whoever is listed first for a document is queued with it before the other one is known.
    let orders: [&[u8]; 2] = [&[1, 2], &[2, 1]];
    let mut plan = plan(&orders.repeat(5 * MAX_LOOKS));
    assert_eq!(plan.idle_holders(NOW).len(), 2);
}

#[test]
fn ties_are_taken_in_the_order_that_the_caller_draws() {
    let mut plan = Plan::default();
    for (number, tie) in [(1, 30), (2, 10), (3, 20)] {
        let entry = entry(number, b"x", &[1]);
        plan.add(
            Chosen {
                entry,
                others: Vec::new(),
            },
            tie,
        );
    }
    assert_eq!(take_all(&mut plan, holder(1).id, NOW), [2, 3, 1]);
}

#[test]
fn what_a_holder_fails_to_deliver_goes_to_the_others() {
    let mut plan = plan(&[&[1, 2]]);
    let (one, two) = (holder(1).id, holder(2).id);
    let task = plan.take(one, NOW).unwrap();
    plan.failed(task.index, one, problem());
    assert_eq!(plan.take(one, NOW), None, "not the same holder again");
    let task = plan.take(two, NOW).unwrap();
    plan.failed(task.index, two, problem());
    assert_eq!(plan.failures().count(), 1);
    assert!(plan.is_over());
}

#[test]
fn a_lost_holder_costs_only_what_nobody_else_has() {
    let mut plan = plan(&[&[1, 2], &[1], &[1]]);
    let (one, two) = (holder(1).id, holder(2).id);
    assert_eq!(take_all(&mut plan, one, NOW), [2, 3, 1]);
    plan.lost(one, &problem());
    assert_eq!(plan.failures().count(), 2);
    assert_eq!(plan.take(one, NOW), None);
    let task = plan.take(two, NOW).unwrap();
    plan.done(task.index);
    assert_eq!(plan.failures().count(), 2);
    assert!(plan.is_over());
}

#[test]
fn what_has_arrived_is_not_lost_with_its_holder_nor_asked_of_others() {
    let mut plan = plan(&[&[1, 2], &[1], &[1]]);
    let (one, two) = (holder(1).id, holder(2).id);
    assert_eq!(take_all(&mut plan, one, NOW), [2, 3, 1]);
    for index in [0, 1, 2] {
        plan.arrived(index, one);
    }
    assert_eq!(
        plan.take(two, MOVE_AFTER),
        None,
        "it is here, however long storing it takes"
    );
    plan.lost(one, &problem());
    assert!((0..3).all(|index| plan.is_open(index)));
    assert_eq!(plan.take(two, MOVE_AFTER), None);
    plan.done(1);
    // Wrong bytes, which another holder may have right.
    plan.failed(2, one, problem());
    plan.failed(0, one, problem());
    assert_eq!(plan.failures().count(), 1);
    assert_eq!(take_all(&mut plan, two, MOVE_AFTER), [1]);
}

#[test]
fn of_two_that_delivered_one_may_have_lied() {
    let mut plan = plan(&[&[1, 2]]);
    let (one, two) = (holder(1).id, holder(2).id);
    plan.take(one, NOW).unwrap();
    plan.take(two, MOVE_AFTER).unwrap();
    plan.arrived(0, one);
    plan.arrived(0, two);
    plan.lost(two, &problem());
    plan.failed(0, one, problem());
    assert!(plan.is_open(0), "the bytes of the other are here");
    plan.done(0);
    assert!(plan.is_over());
}

#[test]
fn where_nobody_delivers_a_version_the_next_one_is_wanted() {
    let mut plan = Plan::default();
    let (one, two) = (holder(1).id, holder(2).id);
    let chosen = Chosen {
        entry: entry(1, b"wrong", &[1]),
        others: vec![entry(1, b"nobody has it any more", &[1]), entry(1, b"right", &[2])],
    };
    plan.add(chosen, 0);
    assert_eq!(plan.take(two, NOW), None, "not while the first version may come");
    plan.take(one, NOW).unwrap();
    plan.lost(one, &problem());
    let task = plan.take(two, NOW).unwrap();
    assert_eq!(task.document.id.sha256, Sha256::of(b"right"));
    let fallbacks = plan.take_fallbacks();
    assert_eq!(fallbacks.len(), 2);
    assert_eq!(fallbacks[0].missed.sha256, Sha256::of(b"wrong"));
    assert_eq!(fallbacks[1].next.sha256, Sha256::of(b"right"));
    assert_eq!(plan.failures().count(), 0);
    plan.failed(task.index, two, problem());
    assert_eq!(plan.failures().count(), 1);
}

#[test]
fn what_a_slow_holder_was_asked_for_moves_to_one_with_nothing_else_to_do() {
    let mut plan = plan(&[&[1, 2], &[1, 2]]);
    let (slow, fast) = (holder(1).id, holder(2).id);
    let task = plan.take(slow, NOW).unwrap();
    let other = plan.take(fast, NOW).unwrap();
    plan.done(other.index);
    assert_eq!(plan.take(fast, MOVE_AFTER / 2), None, "it may come yet");
    assert_eq!(plan.take(fast, MOVE_AFTER).map(|task| task.index), Some(task.index));
    plan.done(task.index);
    assert!(!plan.is_open(task.index), "what comes second is not wanted any more");
    plan.failed(task.index, slow, problem());
    assert!(plan.is_over() && plan.failures().count() == 0);
}

#[test]
fn of_two_that_were_asked_one_may_fail() {
    let mut plan = plan(&[&[1, 2]]);
    let (one, two) = (holder(1).id, holder(2).id);
    let task = plan.take(one, NOW).unwrap();
    plan.take(two, MOVE_AFTER).unwrap();
    plan.lost(one, &problem());
    assert!(plan.is_open(task.index), "the other one may deliver it");
    assert_eq!(plan.take(two, MOVE_AFTER), None, "and is not asked twice");
    plan.failed(task.index, two, problem());
    assert!(plan.is_over());
}

#[test]
fn new_holders_are_used_as_they_appear() {
    let mut plan = plan(&[&[1], &[1], &[1]]);
    plan.announced(&holder(2), Format::Txt, &["2-9".parse().unwrap()]);
    plan.announced(&holder(2), Format::Pdf, &["1".parse().unwrap()]);
    assert_eq!(plan.idle_holders(NOW).len(), 2);
    assert_eq!(take_all(&mut plan, holder(2).id, NOW), [2, 3]);
    assert_eq!(take_all(&mut plan, holder(1).id, NOW), [1]);
}

#[test]
fn who_holds_everything_is_asked_for_what_only_it_has_before_the_rest() {
    let holders: [&[u8]; 4] = [&[1, 2], &[1], &[1], &[1]];
    let mut plan = plan(&holders);
    plan.set_active(holder(2).id, true);
    let asked = take_all(&mut plan, holder(1).id, NOW);
    assert_eq!(asked, [2, 3, 4, 1], "and is not kept waiting by somebody slow");
}
