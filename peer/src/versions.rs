//! Which of several versions of an RFC to take: documents of one number and format whose bytes differ.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use p2p_ci::{
    address,
    document::{DocumentKey, Format},
    message::DocumentEntry,
};

/// Versions of one document that are tried: honest swarms know one or two, and each may cost a wait.
pub const MAX_VERSIONS: usize = 4;

/// A document, and which version of it to take.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The version that was chosen.
    pub entry: DocumentEntry,
    /// The other versions of its number and format, the best one first. None of metadata, whose old versions are just
    /// that.
    pub others: Vec<DocumentEntry>,
}

/// Of several documents of one number and format, the one to mirror: for metadata the newest, else the one of the best
/// [`rank`]. Ties go to the smaller digest, so that everybody chooses alike.
#[must_use]
pub fn choose(entries: Vec<DocumentEntry>) -> Vec<Chosen> {
    let mut versions: BTreeMap<DocumentKey, Vec<DocumentEntry>> = BTreeMap::new();
    for entry in entries {
        versions.entry(entry.document.id.key).or_default().push(entry);
    }
    let choose_one = |(key, mut versions): (DocumentKey, Vec<DocumentEntry>)| {
        versions.sort_by_key(|entry| Reverse(rank(entry)));
        let mut versions = versions.into_iter();
        let entry = versions.next()?;
        let others = match key.format {
            Format::Json => Vec::new(),
            Format::Txt | Format::Html | Format::Pdf | Format::Xml => versions.collect(),
        };
        Some(Chosen { entry, others })
    };
    versions.into_iter().filter_map(choose_one).collect()
}

/// Whether nothing but its digest speaks for `chosen` against `other`.
#[must_use]
pub fn is_tie(chosen: &DocumentEntry, other: &DocumentEntry) -> bool {
    chosen.holder_count == other.holder_count && addresses(chosen) == addresses(other)
}

/// At how many addresses a version is known to be held.
fn addresses(entry: &DocumentEntry) -> usize {
    let ips = entry.holders.iter().map(|holder| holder.address.ip());
    ips.map(address::accountable).collect::<BTreeSet<_>>().len()
}

/// Larger is better: versions that are held at more addresses first, then those that more peers hold. One machine can
/// pose as many peers; it has few addresses.
#[must_use]
pub fn rank(entry: &DocumentEntry) -> impl Ord + use<> {
    let modified = match entry.document.id.key.format {
        Format::Json => entry.document.modified,
        Format::Txt | Format::Html | Format::Pdf | Format::Xml => None,
    };
    (
        modified,
        addresses(entry),
        entry.holder_count,
        Reverse(entry.document.id.sha256),
    )
}

#[cfg(test)]
mod tests {
    use p2p_ci::{
        digest::Sha256,
        document::{Document, DocumentId, RfcNumber, Title, UnixSeconds},
        identity::SessionId,
        message::Holder,
    };

    use super::*;

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

    #[test]
    fn of_several_versions_most_holders_win_and_of_metadata_the_newest() {
        let chosen = choose(vec![
            entry(1, b"x", &[1]),
            entry(1, b"y", &[1, 2]),
            entry(2, b"z", &[1]),
        ]);
        let digests: Vec<Sha256> = chosen.iter().map(|chosen| chosen.entry.document.id.sha256).collect();
        assert_eq!(digests, [Sha256::of(b"y"), Sha256::of(b"z")]);
        assert_eq!(chosen[0].others, [entry(1, b"x", &[1])], "and the other one is told");
        assert!(!is_tie(&chosen[0].entry, &chosen[0].others[0]));
        assert!(is_tie(&entry(1, b"x", &[1]), &entry(1, b"y", &[2])));
        let json = |bytes: &[u8], holders: &[u8], seconds| {
            let mut entry = entry(1, bytes, holders);
            entry.document.id.key.format = Format::Json;
            entry.document.modified = Some(UnixSeconds(seconds));
            entry
        };
        let chosen = choose(vec![json(b"old", &[1, 2], 1), json(b"new", &[1], 2)]);
        assert_eq!(chosen[0].entry.document.id.sha256, Sha256::of(b"new"));
        assert_eq!(chosen[0].others, [], "old metadata contradicts nothing");
    }
}
