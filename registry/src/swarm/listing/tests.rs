//! How long a lookup of many goes on before others get their turn.

use futures_util::future::poll_immediate;

use super::*;
use crate::{
    index::IndexLimits,
    swarm::{SwarmLimits, tests::join},
    testing::{LIMITS, document},
};

#[tokio::test]
async fn a_lookup_of_many_pauses_sooner_where_it_has_many_holders_to_look_at() {
    /// One for each time that others get their turn, with what was answered by then.
    async fn answered_at_each_pause(swarm: &Swarm) -> Vec<usize> {
        let query = LookupManyQuery {
            numbers: (1..=60).filter_map(RfcNumber::new).collect(),
            format: None,
            max_holders: 8,
        };
        let asker = Asker {
            ip: [192, 0, 2, 1].into(),
            session: None,
        };
        let (mut lookups, mut answered, mut pauses) =
            (swarm.lookup_many(query, asker, CancellationToken::new()), 0, Vec::new());
        loop {
            let mut next = std::pin::pin!(lookups.next());
            let answer = match poll_immediate(&mut next).await {
                Some(answer) => answer,
                None => {
                    pauses.push(answered);
                    next.await
                }
            };
            match answer.unwrap() {
                Some(_) => answered += 1,
                None => return pauses,
            }
        }
    }
    let swarm = Swarm::new(SwarmLimits {
        index: IndexLimits {
            sessions_per_address: 0,
            ..LIMITS.index
        },
        ..LIMITS
    })
    .unwrap();
    // Nobody has connected back to any of them, so that all are looked at in vain.
    let mut members = Vec::new();
    for port in 5000..5256 {
        let member = join(&swarm, &format!("p{port}"), port);
        member.announce((1..=60).map(document).collect()).unwrap();
        members.push(member);
    }
    assert_eq!(
        answered_at_each_pause(&swarm).await,
        [32],
        "256 holders count for another document"
    );
    members.truncate(255);
    assert!(answered_at_each_pause(&swarm).await.is_empty());
}
