//! A set of small numbers, kept sorted while they are few and as a row of bits when that is smaller.

/// Up to so many members are always kept as a sorted list: it is searched within two cache lines.
const FEW: usize = 32;

/// Bits of one word of a row.
const WORD_BITS: u32 = u64::BITS;

/// Words by which the room of a row grows: a cache line, and 512 members.
const BLOCK_WORDS: usize = 8;

/// A set of slots or document numbers.
#[derive(Debug, Clone)]
pub struct IdSet(Members);

impl PartialEq for IdSet {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for IdSet {}

impl FromIterator<u32> for IdSet {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        let mut sorted: Vec<u32> = ids.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let last = sorted.last().map(|last| word_of(*last));
        match last.filter(|last| is_better_as_bits(sorted.len(), *last)) {
            Some(last) => Self(Members::Many(Row::of(&sorted, last))),
            None => Self(Members::Few(sorted)),
        }
    }
}

#[derive(Debug, Clone)]
enum Members {
    Few(Vec<u32>),
    Many(Row),
}

/// One bit for each number from 0 to the largest member at least.
#[derive(Debug, Clone)]
struct Row {
    words: Vec<u64>,
    len: usize,
}

fn word_of(id: u32) -> usize {
    (id / WORD_BITS) as usize
}

fn bit_of(id: u32) -> u64 {
    1 << (id % WORD_BITS)
}

impl Row {
    /// The row of `ids`, the largest of which is in `last_word`.
    fn of(ids: &[u32], last_word: usize) -> Self {
        let mut row = Self {
            words: Vec::new(),
            len: 0,
        };
        row.reach(last_word);
        for id in ids {
            row.insert(*id);
        }
        row
    }

    /// Has a place in `word`, and takes no more room than to the end of its block: doubling would leave half of each row
    /// unused, for thousands of documents.
    fn reach(&mut self, word: usize) {
        let block = (word / BLOCK_WORDS + 1) * BLOCK_WORDS;
        self.words.reserve_exact(block.saturating_sub(self.words.len()));
        self.words.resize(word + 1, 0);
    }

    fn contains(&self, id: u32) -> bool {
        self.words.get(word_of(id)).is_some_and(|word| word & bit_of(id) != 0)
    }

    fn insert(&mut self, id: u32) -> bool {
        if self.words.len() <= word_of(id) {
            self.reach(word_of(id));
        }
        let Some(word) = self.words.get_mut(word_of(id)) else {
            return false;
        };
        let added = *word & bit_of(id) == 0;
        *word |= bit_of(id);
        self.len += usize::from(added);
        added
    }

    fn remove(&mut self, id: u32) -> bool {
        let Some(word) = self.words.get_mut(word_of(id)) else {
            return false;
        };
        let removed = *word & bit_of(id) != 0;
        *word &= !bit_of(id);
        self.len -= usize::from(removed);
        removed
    }

    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).zip(&self.words).flat_map(|(index, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(index * WORD_BITS + bit)
            })
        })
    }
}

/// Whether `len` members up to the one in word `last_word` take less room as bits than as a list.
fn is_better_as_bits(len: usize, last_word: usize) -> bool {
    len > FEW && len * size_of::<u32>() > (last_word + 1) * size_of::<u64>()
}

/// Whether so many members would take less than half the room as a list. The factor keeps a set whose size swings
/// around the border from being rebuilt each time.
fn is_better_as_list(len: usize, words: usize) -> bool {
    len <= FEW / 2 || 2 * len * size_of::<u32>() < words * size_of::<u64>()
}

impl Default for IdSet {
    fn default() -> Self {
        Self(Members::Few(Vec::new()))
    }
}

impl IdSet {
    /// Number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Members::Few(list) => list.len(),
            Members::Many(row) => row.len,
        }
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `id` is a member.
    #[must_use]
    pub fn contains(&self, id: u32) -> bool {
        match &self.0 {
            Members::Few(list) => list.binary_search(&id).is_ok(),
            Members::Many(row) => row.contains(id),
        }
    }

    /// Adds `id`; says whether it is new.
    pub fn insert(&mut self, id: u32) -> bool {
        if let Members::Many(row) = &self.0
            && is_better_as_list(row.len + 1, word_of(id) + 1)
        {
            self.0 = Members::Few(row.iter().collect());
        }
        match &mut self.0 {
            Members::Many(row) => row.insert(id),
            Members::Few(list) => {
                let Err(place) = list.binary_search(&id) else {
                    return false;
                };
                list.insert(place, id);
                if let Some(last) = list.last()
                    && is_better_as_bits(list.len(), word_of(*last))
                {
                    let row = Row::of(list, word_of(*last));
                    self.0 = Members::Many(row);
                }
                true
            }
        }
    }

    /// Removes `id`; says whether it was a member.
    pub fn remove(&mut self, id: u32) -> bool {
        match &mut self.0 {
            Members::Few(list) => list.binary_search(&id).map(|place| list.remove(place)).is_ok(),
            Members::Many(row) => {
                let removed = row.remove(id);
                if removed && is_better_as_list(row.len, row.words.len()) {
                    self.0 = Members::Few(row.iter().collect());
                }
                removed
            }
        }
    }

    /// The members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let (list, row) = match &self.0 {
            Members::Few(list) => (Some(list), None),
            Members::Many(row) => (None, Some(row)),
        };
        list.into_iter()
            .flatten()
            .copied()
            .chain(row.into_iter().flat_map(Row::iter))
    }

    /// Adds all members of `other`.
    pub fn unite(&mut self, other: &Self) {
        if self.is_empty() {
            self.clone_from(other);
        } else {
            other.iter().for_each(|id| _ = self.insert(id));
        }
    }

    /// Places of members, with gaps between these when it is a row of bits: at least one in 64 has one.
    pub(super) fn places(&self) -> usize {
        match &self.0 {
            Members::Few(list) => list.len(),
            Members::Many(row) => row.words.len() * WORD_BITS as usize,
        }
    }

    /// The member at one of these places.
    pub(super) fn at(&self, place: usize) -> Option<u32> {
        match &self.0 {
            Members::Few(list) => list.get(place).copied(),
            Members::Many(row) => u32::try_from(place).ok().filter(|id| row.contains(*id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    /// Numbers around the borders at which the form changes: dense runs, and single ones far away.
    fn ids() -> impl Strategy<Value = u32> {
        prop_oneof![4 => 0u32..80, 2 => 0u32..3000, 1 => 100_000u32..200_000]
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(steps in prop::collection::vec((any::<bool>(), ids()), 0..600)) {
            let (mut set, mut model) = (IdSet::default(), BTreeSet::new());
            for (add, id) in steps {
                if add {
                    prop_assert_eq!(set.insert(id), model.insert(id));
                } else {
                    prop_assert_eq!(set.remove(id), model.remove(&id));
                }
                prop_assert_eq!(set.len(), model.len());
                prop_assert_eq!(set.contains(id), add);
            }
            prop_assert!(set.iter().eq(model.iter().copied()));
        }
    }

    proptest! {
        #[test]
        fn a_union_has_the_members_of_both(one in prop::collection::vec(ids(), 0..80), other in prop::collection::vec(ids(), 0..80)) {
            let mut set: IdSet = one.iter().copied().collect();
            set.unite(&other.iter().copied().collect());
            let expected: IdSet = one.into_iter().chain(other).collect();
            prop_assert_eq!(set, expected);
        }
    }

    #[test]
    fn both_forms_are_used_and_left_again() {
        let mut set = IdSet::default();
        (0..64).for_each(|id| assert!(set.insert(id)));
        assert!(matches!(set.0, Members::Many(_)));
        set.insert(100_000);
        assert!(
            matches!(set.0, Members::Few(_)),
            "a far member would cost 12 KB as bits"
        );
        set.remove(100_000);
        set.insert(64);
        assert!(matches!(set.0, Members::Many(_)));
        (10..65).for_each(|id| assert!(set.remove(id)));
        assert!(matches!(set.0, Members::Few(_)));
        assert!(set.iter().eq(0..10));
    }
}
