//! The documents that all sessions share.

use std::ops::RangeInclusive;

use anyhow::{Context as _, Result};
use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentId, DocumentKey, Format, RfcNumber, Title},
    fingerprint::Fingerprint,
};

/// Bytes of each document; the median of the real series. Nobody ever reads them.
const SIZE_BYTES: u64 = 36_615;

/// A made-up series.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    documents: Vec<Document>,
    fingerprint: Fingerprint,
}

impl Series {
    /// RFC 1 to RFC `count`, with digests and with titles as long as real ones.
    pub(crate) fn made_up(count: u32) -> Result<Self> {
        let document = |number: u32| {
            let key = DocumentKey {
                number: RfcNumber::new(number).context("an RFC has a number from 1 on")?,
                format: Format::Txt,
            };
            Ok(Document {
                id: DocumentId {
                    key,
                    sha256: Sha256::of(&number.to_be_bytes()),
                },
                size_bytes: SIZE_BYTES,
                title: Title::from_lossy(&format!("A Made-Up Protocol for Measuring Registries, Part {number}")),
                modified: None,
            })
        };
        let documents: Vec<Document> = (1..=count).map(document).collect::<Result<_>>()?;
        let fingerprint = Fingerprint::of(Format::Txt, documents.iter().map(Document::claim));
        Ok(Self { documents, fingerprint })
    }

    /// All of it.
    pub(crate) fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// What it is known by.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The numbers in it.
    pub(crate) fn numbers(&self) -> RangeInclusive<u32> {
        1..=u32::try_from(self.documents.len()).unwrap_or(u32::MAX)
    }
}
