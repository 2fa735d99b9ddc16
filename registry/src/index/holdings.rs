//! What one session holds: the numbers of its documents, a set for each format.
//!
//! Most sessions hold exactly what others hold, so that a set may be shared with all of those; whoever changes what it
//! holds gets a copy of its own first.

use std::{ops::Deref, sync::Arc};

use p2p_ci::{document::Format, fingerprint::Fingerprint};

use super::{id_set::IdSet, lists::ListId, sessions::Counts};

/// Numbers of documents of one format, and the fingerprint of these documents if it was found out.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    ids: IdSet,
    fingerprint: Option<Fingerprint>,
}

impl Numbers {
    /// Those of the documents that have this fingerprint.
    pub(super) fn named(ids: IdSet, fingerprint: Fingerprint) -> Self {
        Self {
            ids,
            fingerprint: Some(fingerprint),
        }
    }
}

impl Deref for Numbers {
    type Target = IdSet;

    fn deref(&self) -> &IdSet {
        &self.ids
    }
}

/// What a session holds of one format.
#[derive(Debug, Clone, Default)]
struct Held {
    numbers: Arc<Numbers>,
    /// The list on which the session hangs; without one, it is in the row of each document.
    list: Option<ListId>,
}

/// The documents of one session.
#[derive(Debug, Default)]
pub(super) struct Holdings([Option<Held>; Format::ALL.len()]);

fn place_of(format: Format) -> Option<usize> {
    Format::ALL.iter().position(|known| *known == format)
}

impl Holdings {
    fn held(&self, format: Format) -> Option<&Held> {
        self.0.get(place_of(format)?)?.as_ref()
    }

    /// Those of one format; `None` when there never were any.
    pub(super) fn of(&self, format: Format) -> Option<&Arc<Numbers>> {
        self.held(format).map(|held| &held.numbers)
    }

    /// The list on which the session hangs with those of one format.
    pub(super) fn list_of(&self, format: Format) -> Option<ListId> {
        self.held(format)?.list
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.iter().flatten().map(|held| held.numbers.len()).sum()
    }

    /// How many there are of each format.
    pub(super) fn counts(&self) -> Counts {
        let count = |held: &Option<Held>| held.as_ref().map_or(0, |held| super::count(held.numbers.len()));
        self.0.each_ref().map(count)
    }

    /// Whether document `number`, of `format`, is one of them.
    pub(super) fn contains(&self, format: Format, number: u32) -> bool {
        self.of(format).is_some_and(|numbers| numbers.contains(number))
    }

    /// Those of `format` to be changed: nobody else's, and of no known fingerprint. The session hangs on no list.
    fn changing(&mut self, format: Format) -> Option<&mut IdSet> {
        let held = self.0.get_mut(place_of(format)?)?.get_or_insert_default();
        let numbers = Arc::make_mut(&mut held.numbers);
        numbers.fingerprint = None;
        Some(&mut numbers.ids)
    }

    /// Adds document `number`, of `format`, unless it is there.
    pub(super) fn insert(&mut self, format: Format, number: u32) {
        if !self.contains(format, number)
            && let Some(ids) = self.changing(format)
        {
            ids.insert(number);
        }
    }

    /// Removes document `number`, of `format`, if it is there.
    pub(super) fn remove(&mut self, format: Format, number: u32) {
        if self.contains(format, number)
            && let Some(ids) = self.changing(format)
        {
            ids.remove(number);
        }
    }

    /// Removes all of `format`.
    pub(super) fn clear(&mut self, format: Format) {
        if let Some(held) = place_of(format).and_then(|place| self.0.get_mut(place)) {
            *held = None;
        }
    }

    /// Makes numbers that others may have too those of `format`, by a list on which the session hangs.
    pub(super) fn hang(&mut self, format: Format, list: ListId, numbers: Arc<Numbers>) {
        if let Some(held) = place_of(format).and_then(|place| self.0.get_mut(place)) {
            *held = Some(Held {
                numbers,
                list: Some(list),
            });
        }
    }

    /// Notes that the session hangs on no list any more with those of `format`.
    pub(super) fn unhang(&mut self, format: Format) {
        let held = place_of(format).and_then(|place| self.0.get_mut(place));
        if let Some(held) = held.and_then(Option::as_mut) {
            held.list = None;
        }
    }

    /// Notes the fingerprint of those of one format.
    pub(super) fn name(&mut self, fingerprint: Fingerprint) {
        let held = place_of(fingerprint.format).and_then(|place| self.0.get_mut(place));
        if let Some(held) = held {
            Arc::make_mut(&mut held.get_or_insert_default().numbers).fingerprint = Some(fingerprint);
        }
    }

    /// The fingerprints that were found out since the documents last changed, at most one for each format.
    pub(super) fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.0.iter().flatten().filter_map(|held| held.numbers.fingerprint)
    }

    /// All of them by format, with the list if the session hangs on one.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&Numbers, Option<ListId>)> {
        self.0.iter().flatten().map(|held| (&*held.numbers, held.list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_set_is_copied_by_whoever_changes_it() {
        let shared = Arc::new(Numbers {
            ids: (0..100).collect(),
            fingerprint: Some(Fingerprint::of(Format::Txt, [])),
        });
        let share = || {
            let held = Held {
                numbers: Arc::clone(&shared),
                list: None,
            };
            Holdings([Some(held), None, None, None, None])
        };
        let (mut one, other) = (share(), share());
        one.remove(Format::Html, 5);
        one.remove(Format::Txt, 100);
        one.insert(Format::Txt, 5);
        assert_eq!(
            Arc::strong_count(&shared),
            3,
            "nothing was changed, so nothing was copied"
        );
        one.remove(Format::Txt, 5);
        one.insert(Format::Pdf, 200);
        assert!(!one.contains(Format::Txt, 5) && other.contains(Format::Txt, 5));
        assert_eq!((one.len(), one.counts(), other.len()), (100, [99, 0, 1, 0, 0], 100));
        assert_eq!((one.fingerprints().count(), other.fingerprints().count()), (0, 1));
        assert_eq!(Arc::strong_count(&shared), 2);
    }
}
