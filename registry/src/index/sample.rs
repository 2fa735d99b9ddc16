//! Members of several sets, drawn at random as if these were one set.

use rand::{Rng, RngExt as _};

use super::id_set::IdSet;

/// A uniform sample of at most `count` of those members of `sets` that are `usable`, in no particular order. No two of the
/// sets have a member in common.
pub fn sample<'a>(
    sets: impl Iterator<Item = &'a IdSet> + Clone,
    count: usize,
    rng: &mut impl Rng,
    usable: impl Fn(u32) -> bool,
) -> Vec<u32> {
    let members: usize = sets.clone().map(IdSet::len).sum();
    if members > 2 * count
        && let Some(chosen) = probe(sets.clone(), count, rng, &usable)
    {
        return chosen;
    }
    let mut chosen: Vec<u32> = Vec::with_capacity(count);
    // Each of the first n usable members is among the chosen with the same probability, count / n (reservoir).
    for (seen, id) in sets.flat_map(IdSet::iter).filter(|id| usable(*id)).enumerate() {
        if chosen.len() < count {
            chosen.push(id);
        } else if let Some(place) = chosen.get_mut(rng.random_range(0..=seen)) {
            *place = id;
        }
    }
    chosen
}

/// Draws members by trying places of all sets at random, which does not depend on the number of members. Gives up when
/// too few of them are usable.
fn probe<'a>(
    sets: impl Iterator<Item = &'a IdSet> + Clone,
    count: usize,
    rng: &mut impl Rng,
    usable: &impl Fn(u32) -> bool,
) -> Option<Vec<u32>> {
    /// At least one place in 64 has a member, so that this finds enough of them unless most are not usable.
    const TRIES_EACH: usize = 128;
    let places: usize = sets.clone().map(IdSet::places).sum();
    let mut chosen: Vec<u32> = Vec::with_capacity(count);
    for _ in 0..TRIES_EACH * count {
        if chosen.len() == count {
            break;
        }
        let mut place = rng.random_range(0..places);
        let set = sets.clone().find(|set| {
            let is_in_it = place < set.places();
            place -= if is_in_it { 0 } else { set.places() };
            is_in_it
        });
        let member = set.and_then(|set| set.at(place));
        if let Some(id) = member.filter(|id| usable(*id) && !chosen.contains(id)) {
            chosen.push(id);
        }
    }
    (chosen.len() == count).then_some(chosen)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn samples_are_uniform_over_the_usable() {
        let mut rng = StdRng::seed_from_u64(7);
        for members in [20u32, 1000] {
            // A row of bits with most of them, a few, none, and some that are dense.
            let in_set = |place: u32| match place {
                0..7 => 0,
                _ if place < members / 2 => 3,
                _ => 1,
            };
            let set = |set| {
                (0..members)
                    .filter(|place| in_set(*place) == set)
                    .map(|place| place * 2)
                    .collect()
            };
            let sets: [IdSet; 4] = [0, 1, 2, 3].map(set);
            let mut hits = vec![0u32; members as usize];
            const ROUNDS: u32 = 40_000;
            for _ in 0..ROUNDS {
                let chosen = sample(sets.iter(), 4, &mut rng, |id| id % 4 == 0);
                assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), 4);
                chosen.iter().for_each(|id| hits[*id as usize / 2] += 1);
            }
            let expected = f64::from(ROUNDS) * 4.0 / f64::from(members / 2);
            for (id, count) in hits.iter().enumerate() {
                if id % 2 == 1 {
                    assert_eq!(*count, 0, "{id} is not usable");
                } else {
                    // Six standard deviations of a binomial count.
                    assert!(
                        (f64::from(*count) - expected).abs() < 6.0 * expected.sqrt(),
                        "{id}: {count}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_sample_finds_the_only_usable_member() {
        let mut rng = StdRng::seed_from_u64(7);
        let sets: [IdSet; 2] = [(0..2500).collect(), (2500..5000).collect()];
        assert_eq!(sample(sets.iter(), 8, &mut rng, |id| id == 4999), [4999]);
        assert!(sample(sets.iter(), 8, &mut rng, |_| false).is_empty());
    }
}
