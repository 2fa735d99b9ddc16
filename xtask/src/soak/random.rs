//! Choices that a seed decides: SplitMix64, which is enough to choose faults by, and the same everywhere.

use std::time::Duration;

/// The choices that follow from a seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The choices of this seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.any() % (high.saturating_sub(low) + 1)
    }

    /// A time between two, given in seconds.
    pub fn seconds(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low * 1_000, high * 1_000))
    }

    /// One of several things; none of none.
    pub fn one_of<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        let last = u64::try_from(things.len()).ok()?.checked_sub(1)?;
        things.get(usize::try_from(self.between(0, last)).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_and_bounds_hold() {
        let draws = |seed| -> Vec<u64> {
            let mut random = Random::of(seed);
            (0..100).map(|_| random.between(3, 5)).collect()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
        assert_eq!(draws(1).iter().min(), Some(&3));
        assert_eq!(draws(1).iter().max(), Some(&5));
        assert_eq!(Random::of(1).one_of::<u8>(&[]), None);
    }

    #[test]
    fn the_numbers_are_those_of_the_published_generator() {
        let mut random = Random::of(1_234_567);
        assert_eq!(random.any(), 6_457_827_717_110_365_317);
        assert_eq!(random.any(), 3_203_168_211_198_807_973);
    }
}
