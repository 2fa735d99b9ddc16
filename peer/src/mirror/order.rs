//! The order in which equally rare documents are asked for: each mirror has one of its own.

use std::hash::{BuildHasher as _, RandomState};

use p2p_ci::document::RfcNumber;

/// Bits of a number within a run. Documents of a run are asked for one after the other, since neighbours in the series
/// are about the same and compress each other: of the series, 3 % more than in any order, and as much as in its own.
/// The zstd window holds about twenty texts, and short runs let mirrors that begin together begin at different places.
const RUN_BITS: u32 = 5;

/// An order that is drawn: runs of documents in any order, and within each the documents by their number.
#[derive(Debug, Default)]
pub(super) struct Order(RandomState);

impl Order {
    /// The place of a document among equally rare ones.
    pub(super) fn place(&self, number: RfcNumber) -> u32 {
        let (run, within) = (number.get() >> RUN_BITS, number.get() & ((1 << RUN_BITS) - 1));
        // Any of its bits do.
        let drawn = self.0.hash_one(run) % (1 << (u32::BITS - RUN_BITS));
        (u32::try_from(drawn).unwrap_or_default() << RUN_BITS) | within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_order(order: &Order) -> Vec<u32> {
        let mut numbers: Vec<RfcNumber> = (1..=3200).map(|number| RfcNumber::try_from(number).unwrap()).collect();
        numbers.sort_by_key(|number| order.place(*number));
        numbers.into_iter().map(RfcNumber::get).collect()
    }

    #[test]
    fn neighbours_stay_together_and_each_mirror_begins_elsewhere() {
        let [one, other] = [Order::default(), Order::default()].map(|order| in_order(&order));
        assert_ne!(one, other, "drawn for each");
        let breaks = |numbers: &[u32]| numbers.windows(2).filter(|two| two[1] != two[0] + 1).count();
        assert!(
            (90..=100).contains(&breaks(&one)),
            "a hundred runs, some of which happen to follow each other"
        );
    }
}
