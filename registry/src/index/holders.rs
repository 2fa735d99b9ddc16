//! Who holds a document: those in its own row, and the members of the lists that it is on.

use rand::Rng;

use super::{documents::Record, id_set::IdSet, lists::Lists, sample::sample};

/// The slots of the sessions that hold a document. A session is in the document's row or a member of one of its lists,
/// never both, and never of two: it hangs on one list for each format at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holders<'a> {
    record: &'a Record,
    lists: &'a Lists,
}

impl<'a> Holders<'a> {
    /// Those of a document.
    pub(super) fn of(record: &'a Record, lists: &'a Lists) -> Self {
        Self { record, lists }
    }

    fn sets(self) -> impl Iterator<Item = &'a IdSet> + Clone {
        let members = move |list| self.lists.members(list);
        let of_lists = self.record.lists.iter().copied().filter_map(members);
        std::iter::once(&self.record.own).chain(of_lists)
    }

    /// How many there are.
    pub(super) fn len(self) -> usize {
        self.sets().map(IdSet::len).sum()
    }

    /// Whether there are none.
    pub(super) fn is_empty(self) -> bool {
        self.sets().all(IdSet::is_empty)
    }

    /// All of them, in no particular order.
    pub(super) fn iter(self) -> impl Iterator<Item = u32> + 'a {
        self.sets().flat_map(IdSet::iter)
    }

    /// A uniform sample of at most `count` of those that are `usable`, in no particular order.
    pub(super) fn sample(self, count: usize, rng: &mut impl Rng, usable: impl Fn(u32) -> bool) -> Vec<u32> {
        sample(self.sets(), count, rng, usable)
    }
}
