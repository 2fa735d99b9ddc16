//! Which of several versions of an RFC to take: documents of one number and format whose bytes differ.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use p2p_ci::{
    address,
    document::{DocumentKey, Format, UnixSeconds},
    message::DocumentEntry,
};

/// Versions of one document that are tried: honest swarms know one or two, and each may cost a wait.
pub const MAX_VERSIONS: usize = 4;

/// A document, and which version of it to take.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The version that was chosen.
    pub entry: DocumentEntry,
    /// The other versions of its number and format, the best one first.
    pub others: Vec<DocumentEntry>,
}

impl Chosen {
    /// Whether peers disagree about the document. Of metadata, old versions are just that.
    #[must_use]
    pub fn is_contested(&self) -> bool {
        !self.others.is_empty() && self.entry.document.id.key.format != Format::Json
    }
}

/// Of several documents of one number and format, the one of the best [`rank`] at this time. Ties go to the smaller digest,
/// so that everybody chooses alike.
#[must_use]
pub fn choose(entries: Vec<DocumentEntry>, now: UnixSeconds) -> Vec<Chosen> {
    let mut versions: BTreeMap<DocumentKey, Vec<DocumentEntry>> = BTreeMap::new();
    for entry in entries {
        versions.entry(entry.document.id.key).or_default().push(entry);
    }
    let choose_one = |mut versions: Vec<DocumentEntry>| {
        versions.sort_by_key(|entry| Reverse(rank(entry, now)));
        let mut versions = versions.into_iter();
        Some(Chosen {
            entry: versions.next()?,
            others: versions.collect(),
        })
    };
    versions.into_values().filter_map(choose_one).collect()
}

/// Whether nothing but its digest speaks for `chosen` against `other`.
#[must_use]
pub fn is_tie(chosen: &DocumentEntry, other: &DocumentEntry, now: UnixSeconds) -> bool {
    merits(chosen, now) == merits(other, now)
}

/// At how many addresses a version is known to be held.
fn addresses(entry: &DocumentEntry) -> usize {
    let ips = entry.holders.iter().map(|holder| holder.address.ip());
    ips.map(address::accountable).collect::<BTreeSet<_>>().len()
}

/// Larger is better: versions that are held at more addresses first, then those that more peers hold. One machine can
/// pose as many peers; it has few addresses. Of metadata, which changes, the newest first, if it is not from a time to come.
#[must_use]
pub fn rank(entry: &DocumentEntry, now: UnixSeconds) -> impl Ord + use<> {
    (merits(entry, now), Reverse(entry.document.id.sha256))
}

fn merits(entry: &DocumentEntry, now: UnixSeconds) -> (Option<UnixSeconds>, usize, u32) {
    let modified = match entry.document.id.key.format {
        Format::Json => entry.document.modified.filter(|modified| !modified.is_to_come(now)),
        Format::Txt | Format::Html | Format::Pdf | Format::Xml => None,
    };
    (modified, addresses(entry), entry.holder_count)
}

#[cfg(test)]
mod tests {
    use p2p_ci::{
        digest::Sha256,
        document::{Document, DocumentId, RfcNumber, Title},
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
        let now = UnixSeconds(1_000_000);
        let versions = vec![entry(1, b"x", &[1]), entry(1, b"y", &[1, 2]), entry(2, b"z", &[1])];
        let chosen = choose(versions, now);
        let digests: Vec<Sha256> = chosen.iter().map(|chosen| chosen.entry.document.id.sha256).collect();
        assert_eq!(digests, [Sha256::of(b"y"), Sha256::of(b"z")]);
        assert_eq!(chosen[0].others, [entry(1, b"x", &[1])], "and the other one is told");
        assert!(chosen[0].is_contested() && !chosen[1].is_contested());
        assert!(!is_tie(&chosen[0].entry, &chosen[0].others[0], now));
        assert!(is_tie(&entry(1, b"x", &[1]), &entry(1, b"y", &[2]), now));
        let json = |bytes: &[u8], holders: &[u8], seconds| {
            let mut entry = entry(1, bytes, holders);
            entry.document.id.key.format = Format::Json;
            entry.document.modified = Some(UnixSeconds(seconds));
            entry
        };
        let (old, new) = (json(b"old", &[1, 2], 1), json(b"new", &[1], 2));
        assert!(!is_tie(&new, &old, now));
        let to_come = json(b"to come", &[1], now.0 + 2 * 24 * 60 * 60);
        let chosen = choose(vec![to_come.clone(), old.clone(), new.clone()], now);
        assert!(!chosen[0].is_contested(), "old metadata contradicts nothing");
        assert_eq!(chosen[0].entry, new);
        assert_eq!(chosen[0].others, [old, to_come], "which are there to fall back to");
    }
}
