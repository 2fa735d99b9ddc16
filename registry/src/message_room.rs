//! How much room answers take in a message, so that none is built that cannot be sent.

#[cfg(test)]
mod tests;

use p2p_ci::{limits, message::DocumentEntry};

/// Bytes of entries in one message: the largest message less what stands around them (a request id, a page token).
const ENTRIES_BYTES: usize = limits::MAX_REGISTRY_MESSAGE_BYTES - 1024;

/// How many bytes an entry takes within a message, at most.
///
/// Counts what the fields of `DocumentEntry` can need (field keys and lengths included), which is exact enough to fill
/// messages well and never too little.
#[must_use]
pub fn entry_bytes_max(entry: &DocumentEntry) -> usize {
    /// Everything but the title: 66 bytes of digest, numbers, time, and the lengths around them.
    const DOCUMENT_BYTES: usize = 128;
    /// Everything but the name: 34 bytes of id, up to 49 of address, and the lengths around them.
    const HOLDER_BYTES: usize = 96;
    let holders = entry
        .holders
        .iter()
        .map(|holder| HOLDER_BYTES + holder.name.as_str().len());
    DOCUMENT_BYTES + entry.document.title.as_str().len() + holders.sum::<usize>()
}

/// Counts entries until a message is full.
#[derive(Debug, Default)]
pub struct Room {
    used_bytes: usize,
}

impl Room {
    /// Takes room for one more entry, if there is any.
    pub fn take(&mut self, entry: &DocumentEntry) -> bool {
        self.used_bytes += entry_bytes_max(entry);
        self.used_bytes <= ENTRIES_BYTES
    }
}

/// Makes the documents of one number fit a message by naming fewer holders of each. An answer has at most
/// [`LOOKUP_DOCUMENTS`](crate::limits::LOOKUP_DOCUMENTS), and as many without holders always fit.
#[must_use]
pub fn fit(mut entries: Vec<DocumentEntry>) -> Vec<DocumentEntry> {
    let bytes: usize = entries.iter().map(entry_bytes_max).sum();
    if bytes > ENTRIES_BYTES {
        let share = ENTRIES_BYTES / entries.len();
        for entry in &mut entries {
            while entry_bytes_max(entry) > share && entry.holders.pop().is_some() {}
        }
    }
    entries
}
