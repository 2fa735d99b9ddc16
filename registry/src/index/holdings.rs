//! What one session holds: the numbers of its documents, a set for each format.
//!
//! Most sessions hold exactly what others hold, so that a set may be shared with all of those; whoever changes what it
//! holds gets a copy of its own first.

use std::sync::Arc;

use p2p_ci::document::Format;

use super::{id_set::IdSet, sessions::Counts};

/// The documents of one session.
#[derive(Debug, Default)]
pub(super) struct Holdings([Option<Arc<IdSet>>; Format::ALL.len()]);

/// Where what is kept by format has that of `format`.
pub(super) fn place_of(format: Format) -> Option<usize> {
    Format::ALL.iter().position(|known| *known == format)
}

impl Holdings {
    /// Those of one format; `None` when there never were any.
    pub(super) fn of(&self, format: Format) -> Option<&IdSet> {
        self.0.get(place_of(format)?)?.as_deref()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.iter().flatten().map(|set| set.len()).sum()
    }

    /// How many there are of each format.
    pub(super) fn counts(&self) -> Counts {
        let count = |set: &Option<Arc<IdSet>>| set.as_ref().map_or(0, |set| super::count(set.len()));
        self.0.each_ref().map(count)
    }

    /// Whether document `number`, of `format`, is one of them.
    pub(super) fn contains(&self, format: Format, number: u32) -> bool {
        self.of(format).is_some_and(|set| set.contains(number))
    }

    fn of_mut(&mut self, format: Format) -> Option<&mut IdSet> {
        let set = self.0.get_mut(place_of(format)?)?;
        Some(Arc::make_mut(set.get_or_insert_default()))
    }

    /// Adds document `number`, of `format`; says whether it is new.
    pub(super) fn insert(&mut self, format: Format, number: u32) -> bool {
        self.of_mut(format).is_some_and(|set| set.insert(number))
    }

    /// Removes document `number`, of `format`; says whether it was there.
    pub(super) fn remove(&mut self, format: Format, number: u32) -> bool {
        self.contains(format, number) && self.of_mut(format).is_some_and(|set| set.remove(number))
    }

    /// Makes a set that others may have too the documents of `format`.
    pub(super) fn share(&mut self, format: Format, shared: Arc<IdSet>) {
        if let Some(set) = place_of(format).and_then(|place| self.0.get_mut(place)) {
            *set = Some(shared);
        }
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flatten().flat_map(|set| set.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_set_is_copied_by_whoever_changes_it() {
        let mut set = IdSet::default();
        (0..100).for_each(|number| _ = set.insert(number));
        let shared = Arc::new(set);
        let mut both = [Holdings::default(), Holdings::default()];
        both.iter_mut()
            .for_each(|holdings| holdings.share(Format::Txt, Arc::clone(&shared)));
        let [one, other] = &mut both;
        assert!(!one.remove(Format::Html, 5) && !one.remove(Format::Txt, 100));
        assert_eq!(
            Arc::strong_count(&shared),
            3,
            "nothing was changed, so nothing was copied"
        );
        assert!(one.remove(Format::Txt, 5) && one.insert(Format::Pdf, 200));
        assert!(!one.contains(Format::Txt, 5) && other.contains(Format::Txt, 5));
        assert_eq!((one.len(), one.counts(), other.len()), (100, [99, 0, 1, 0, 0], 100));
        assert_eq!(Arc::strong_count(&shared), 2);
    }
}
