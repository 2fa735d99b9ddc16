//! What a list of documents is known by, so that a whole library can be named in a few dozen bytes.
//!
//! A fingerprint is made of the documents of one format: how many there are, and SHA-256 over one record of 48 bytes
//! for each of them, in ascending order of number, then digest, then length:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | the number, big-endian |
//! | 4 | the format, big-endian, as `p2pci.v1.Format` numbers it |
//! | 32 | the SHA-256 digest of the document |
//! | 8 | its length in bytes, big-endian |
//!
//! Records have one length and one order, so that two different lists never have the same bytes; of documents named
//! twice one counts. The length is in it because a registry keeps claims of different lengths apart. A sum or XOR of
//! digests would be cheaper to keep up to date, and can be forged.
//!
//! # Non-goals
//!
//! Titles and times are not in it: they are what an announcer says about a document, not which document it is.

use crate::{
    digest::{Hasher, Sha256},
    document::{Document, DocumentClaim, Format},
};

/// What a list of documents of one format is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// The format of all its documents.
    pub format: Format,
    /// How many there are.
    pub count: u32,
    /// The digest of their records, as described for this module.
    pub sha256: Sha256,
}

/// The number of a format in `p2pci.v1.Format`.
pub(crate) const fn format_number(format: Format) -> u32 {
    match format {
        Format::Txt => 1,
        Format::Html => 2,
        Format::Pdf => 3,
        Format::Xml => 4,
        Format::Json => 5,
    }
}

impl Fingerprint {
    /// The fingerprint of those of `claims` that are of `format`, in whatever order they come.
    #[must_use]
    pub fn of(format: Format, claims: impl IntoIterator<Item = DocumentClaim>) -> Self {
        let mut list: Vec<DocumentClaim> = claims
            .into_iter()
            .filter(|claim| claim.id.key.format == format)
            .collect();
        list.sort_unstable();
        list.dedup();
        let mut hasher = Hasher::default();
        for claim in &list {
            hasher.update(&claim.id.key.number.get().to_be_bytes());
            hasher.update(&format_number(format).to_be_bytes());
            hasher.update(claim.id.sha256.as_bytes());
            hasher.update(&claim.size_bytes.to_be_bytes());
        }
        Self {
            format,
            // A list of four thousand million documents does not fit the memory of any peer.
            count: u32::try_from(list.len()).unwrap_or(u32::MAX),
            sha256: hasher.finish(),
        }
    }

    /// One fingerprint for each format of which there is any document, in the order of [`Format::ALL`].
    #[must_use]
    pub fn of_each<'a>(documents: impl IntoIterator<Item = &'a Document>) -> Vec<Self> {
        let claims: Vec<DocumentClaim> = documents.into_iter().map(Document::claim).collect();
        Format::ALL
            .into_iter()
            .map(|format| Self::of(format, claims.iter().copied()))
            .filter(|fingerprint| fingerprint.count > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::document::{DocumentId, DocumentKey, RfcNumber, Title};

    fn claim(number: u32, format: Format, bytes: &[u8], size_bytes: u64) -> DocumentClaim {
        DocumentClaim {
            id: DocumentId {
                key: DocumentKey {
                    number: RfcNumber::new(number).unwrap(),
                    format,
                },
                sha256: Sha256::of(bytes),
            },
            size_bytes,
        }
    }

    #[track_caller]
    fn assert_vector(format: Format, claims: &[DocumentClaim], sha256: &str) {
        let expected = Fingerprint {
            format,
            count: u32::try_from(claims.len()).unwrap(),
            sha256: sha256.parse().unwrap(),
        };
        assert_eq!(Fingerprint::of(format, claims.iter().copied()), expected);
    }

    /// The digests were computed by Python's hashlib:
    ///
    /// ```text
    /// record = lambda n, f, body, size: struct.pack(">II", n, f) + sha256(body).digest() + struct.pack(">Q", size)
    /// sha256(record(9110, 1, b"abc", 3)).hexdigest()
    /// ```
    #[test]
    fn fixed_lists_have_the_fingerprints_that_others_compute() {
        assert_vector(
            Format::Txt,
            &[],
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        );
        assert_vector(
            Format::Txt,
            &[claim(9110, Format::Txt, b"abc", 3)],
            "277adfb74c2caebd4e82e562328df908cec6b9c1fc5da77c37e88582eebdfa5b",
        );
        assert_vector(
            Format::Html,
            &[claim(9110, Format::Html, b"abc", 3)],
            "001b9c8dc7259f71429a0d46b537bc91271c9a07828d223d7cdc64257a3db04b",
        );
        let three = [1, 9999, 100_000].map(|number: u32| {
            let body = number.to_string();
            claim(number, Format::Txt, body.as_bytes(), body.len() as u64)
        });
        assert_vector(
            Format::Txt,
            &three,
            "de87685cb3aa7545fd7d0d8b48cbae0dd7c3a65768c377abdb84f9cbc909d1d1",
        );
        assert_vector(
            Format::Json,
            &[claim(u32::MAX, Format::Json, b"", 16 * 1024 * 1024)],
            "596f9fb97b3da87cc248a70e7889184eeff7fa54a1119ef7cef21fda3ea01dfa",
        );
    }

    #[test]
    fn each_format_has_its_own_and_what_is_said_about_a_document_does_not_count() {
        let document = |number, format, title: &str| {
            let claim = claim(number, format, b"x", 1);
            Document {
                id: claim.id,
                size_bytes: claim.size_bytes,
                title: Title::from_lossy(title),
                modified: None,
            }
        };
        let titled = [document(2, Format::Xml, "B"), document(1, Format::Txt, "A")];
        let plain = [document(1, Format::Txt, ""), document(2, Format::Xml, "")];
        let each = Fingerprint::of_each(&titled);
        assert_eq!(
            each.iter().map(|one| (one.format, one.count)).collect::<Vec<_>>(),
            [(Format::Txt, 1), (Format::Xml, 1)]
        );
        assert_eq!(each, Fingerprint::of_each(&plain));
        assert_eq!(Fingerprint::of_each(&[]), []);
    }

    fn claims() -> impl Strategy<Value = Vec<DocumentClaim>> {
        let one = (1u32..40, select(Format::ALL.to_vec()), 0u8..4, 0u64..3);
        vec(
            one.prop_map(|(number, format, body, size)| claim(number, format, &[body], size)),
            0..60,
        )
    }

    proptest! {
        #[test]
        fn it_depends_on_the_set_and_not_on_the_order(list in claims(), shuffled in claims().prop_shuffle(), twice in 0usize..60) {
            let of = |list: &[DocumentClaim]| Fingerprint::of(Format::Txt, list.iter().copied());
            let mut reversed = list.clone();
            reversed.reverse();
            reversed.extend(list.get(twice).copied());
            prop_assert_eq!(of(&list), of(&reversed));
            let set = |list: &[DocumentClaim]| {
                list.iter().filter(|claim| claim.id.key.format == Format::Txt).copied().collect::<std::collections::BTreeSet<_>>()
            };
            prop_assert_eq!(of(&list) == of(&shuffled), set(&list) == set(&shuffled));
        }
    }
}
