//! What is to lie in a target, given what there is. Pure.

use std::collections::HashSet;

use p2p_ci::{
    document::{Document, DocumentKey, Format, RfcNumber, UnixSeconds},
    facts::Reference,
};

use super::layout::{ERRATA, Index, Layout, Place};
use crate::facts::Catalogue;

/// A file of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its path below the target.
    pub path: String,
    /// What it holds.
    pub content: Content,
    /// Names what it holds: while this stays the same, so do its bytes.
    pub stamp: String,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A document.
    Document(Document),
    /// A document, packed with gzip.
    Packed(Document),
    /// Documents, one after the other.
    Together(Vec<Document>),
    /// An index.
    Index(Index),
    /// A metadata record that is made of what is known.
    Record(RfcNumber),
    /// A file that lies beside the documents.
    Beside(&'static str),
}

impl Content {
    /// Whether making it needs no document's bytes to be read.
    #[must_use]
    pub fn is_document(&self) -> bool {
        matches!(self, Self::Document(_))
    }

    /// Bytes of the documents in it.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Document(document) | Self::Packed(document) => document.size_bytes,
            Self::Together(documents) => documents.iter().map(|document| document.size_bytes).sum(),
            Self::Index(_) | Self::Record(_) | Self::Beside(_) => 0,
        }
    }
}

/// What is to lie in a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files.
    pub items: Vec<Item>,
    /// Sets of RFCs that are left out, since not all of their texts are here.
    pub incomplete: Vec<Reference>,
}

/// What there is to be laid out.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The documents, ascending.
    pub documents: &'a [Document],
    /// What is known of RFCs.
    pub catalogue: &'a Catalogue,
    /// Names what is known.
    pub version: &'a str,
    /// The list of errors beside the documents, by length and time, if there is one.
    pub errata: Option<(u64, UnixSeconds)>,
}

impl Plan {
    /// What is to lie in a target of that layout. Empty where there is no document for it.
    #[must_use]
    pub fn new(layout: Layout, sources: &Sources<'_>) -> Self {
        let mut plan = Self::default();
        for document in sources.documents {
            plan.add_document(layout, document);
        }
        if plan.items.is_empty() {
            return plan;
        }
        plan.add_sets(layout, sources);
        plan.add_records(layout, sources);
        for (path, index) in layout.indexes() {
            plan.items.push(Item {
                path: (*path).to_owned(),
                content: Content::Index(*index),
                stamp: format!("{index:?} {}", sources.version),
            });
        }
        if let Some((path, (size_bytes, modified))) = layout.place_of_errata().zip(sources.errata) {
            plan.items.push(Item {
                path,
                content: Content::Beside(ERRATA),
                stamp: format!("{ERRATA} {size_bytes} {}", modified.0),
            });
        }
        plan
    }

    /// Bytes of all documents in it.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.items.iter().map(|item| item.content.size_bytes()).sum()
    }

    fn add_document(&mut self, layout: Layout, document: &Document) {
        let Some(Place { path, is_packed }) = layout.place(document.id.key, document.size_bytes) else {
            return;
        };
        let stamp = document.id.sha256.to_string();
        let document = document.clone();
        let content = if is_packed {
            Content::Packed(document)
        } else {
            Content::Document(document)
        };
        self.items.push(Item { path, content, stamp });
    }

    /// The texts of each subseries together, where all of them are here.
    fn add_sets(&mut self, layout: Layout, sources: &Sources<'_>) {
        for set in sources.catalogue.all_subseries() {
            let Some(path) = layout.place_of_set(set) else { continue };
            let members = sources.catalogue.members(set);
            let texts: Vec<Document> = members
                .iter()
                .filter_map(|number| text_of(sources.documents, *number))
                .cloned()
                .collect();
            if texts.len() < members.len() {
                self.incomplete.push(set);
                continue;
            }
            let stamps: Vec<String> = texts.iter().map(|text| text.id.sha256.to_string()).collect();
            let content = match texts.as_slice() {
                [text] => Content::Document(text.clone()),
                _ => Content::Together(texts),
            };
            let stamp = stamps.join(" ");
            self.items.push(Item { path, content, stamp });
        }
    }

    /// Records for the RFCs whose text is here and whose record is not.
    fn add_records(&mut self, layout: Layout, sources: &Sources<'_>) {
        let taken: HashSet<String> = self.items.iter().map(|item| item.path.clone()).collect();
        let texts = sources.documents.iter().map(|document| document.id.key);
        for DocumentKey { number, .. } in texts.filter(|key| key.format == Format::Txt) {
            let path = layout.place_of_record(number).filter(|path| !taken.contains(path));
            let is_issued = || {
                sources
                    .catalogue
                    .get(number)
                    .is_some_and(|facts| facts.issued.is_some())
            };
            if let Some(path) = path.filter(|_| is_issued()) {
                self.items.push(Item {
                    path,
                    content: Content::Record(number),
                    stamp: format!("record {}", sources.version),
                });
            }
        }
    }
}

fn text_of(documents: &[Document], number: RfcNumber) -> Option<&Document> {
    let format = Format::Txt;
    let key = DocumentKey { number, format };
    let at = documents.binary_search_by_key(&key, |document| document.id.key).ok()?;
    documents.get(at)
}

#[cfg(test)]
mod tests {
    use p2p_ci::{
        digest::Sha256,
        document::{DocumentId, Title},
        facts::{Facts, Issued, Source},
    };
    use proptest::{collection::btree_set, prelude::*, sample::select};

    use super::*;
    use clap::ValueEnum as _;

    fn document(number: u32, format: Format) -> Document {
        let key = DocumentKey {
            number: RfcNumber::new(number).unwrap(),
            format,
        };
        let bytes = key.to_string();
        Document {
            id: DocumentId {
                key,
                sha256: Sha256::of(bytes.as_bytes()),
            },
            size_bytes: 5000,
            title: Title::default(),
            modified: None,
        }
    }

    fn catalogue(all: &[(u32, &str)]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for (number, also) in all {
            let facts = Facts {
                number: RfcNumber::new(*number).unwrap(),
                source: Source::Record,
                as_of: None,
                issued: Some(Box::new(Issued {
                    also: also.parse().into_iter().collect(),
                    ..Issued::default()
                })),
            };
            catalogue.learn(facts, UnixSeconds(1));
        }
        catalogue
    }

    fn planned(layout: Layout, documents: &[Document], catalogue: &Catalogue) -> Plan {
        Plan::new(
            layout,
            &Sources {
                documents,
                catalogue,
                version: "1",
                errata: Some((7, UnixSeconds(1))),
            },
        )
    }

    fn paths(plan: &Plan) -> Vec<&str> {
        plan.items.iter().map(|item| item.path.as_str()).collect()
    }

    #[test]
    fn sets_are_whole_or_left_out() {
        let known = catalogue(&[
            (2119, "BCP14"),
            (8174, "BCP14"),
            (791, "STD5"),
            (9110, "STD97"),
            (8, "BCP9"),
            (10_052, "BCP9"),
        ]);
        let documents = [791, 2119, 8174, 9110, 10_052].map(|number| document(number, Format::Txt));
        let plan = planned(Layout::InNotes, &documents, &known);
        assert_eq!(
            paths(&plan),
            [
                "in-notes/rfc791.txt",
                "in-notes/rfc2119.txt",
                "in-notes/rfc8174.txt",
                "in-notes/rfc9110.txt",
                "in-notes/rfc10052.txt",
                "in-notes/std/std5.txt",
                "in-notes/std/std97.txt",
                "in-notes/bcp/bcp14.txt",
                "in-notes/rfc-index.txt",
                "in-notes/rfc-index.xml",
            ]
        );
        assert_eq!(plan.incomplete, ["BCP9".parse().unwrap()]);
        let of = |path: &str| plan.items.iter().find(|item| item.path == path).unwrap();
        assert!(
            of("in-notes/std/std5.txt").content.is_document(),
            "one text can be linked"
        );
        let Content::Together(both) = &of("in-notes/bcp/bcp14.txt").content else {
            panic!("{plan:?}")
        };
        assert_eq!(both, &documents[1..3]);
        assert_eq!(plan.size_bytes(), 9 * 5000);
    }

    #[test]
    fn a_cache_by_addresses_has_a_record_of_each_text() {
        let documents = [
            (1, Format::Txt),
            (2, Format::Txt),
            (2, Format::Json),
            (3, Format::Pdf),
            (9, Format::Txt),
        ];
        let documents = documents.map(|(number, format)| document(number, format));
        let plan = planned(Layout::Sha256Url, &documents, &catalogue(&[(1, ""), (2, ""), (3, "")]));
        let contents: Vec<&Content> = plan
            .items
            .iter()
            .skip(documents.len())
            .map(|item| &item.content)
            .collect();
        let first = RfcNumber::new(1).unwrap();
        assert_eq!(contents, [&Content::Record(first), &Content::Beside(ERRATA)]);
    }

    #[test]
    fn without_documents_there_is_nothing() {
        let known = catalogue(&[(1, "STD1")]);
        for layout in Layout::value_variants() {
            assert_eq!(planned(*layout, &[], &known), Plan::default());
        }
        let only_html = [document(1, Format::Html)];
        assert_eq!(planned(Layout::Number, &only_html, &known), Plan::default());
    }

    proptest! {
        /// Whatever there is, no two files have one name, and all of them lie below the target.
        #[test]
        fn names_are_below_and_of_one_file_each(
            layout in select(Layout::value_variants()),
            keys in btree_set((1_u32..200_000, select(&Format::ALL[..])), 0..40),
        ) {
            let mut documents: Vec<Document> = keys.iter().map(|(number, format)| document(*number, *format)).collect();
            documents.sort_by_key(|document| document.id.key);
            let known: Vec<(u32, &str)> = keys.iter().map(|(number, _)| (*number, "STD1")).collect();
            let plan = planned(layout, &documents, &catalogue(&known));
            let mut paths = paths(&plan);
            let count = paths.len();
            for path in &paths {
                let parts: Vec<&str> = path.split('/').collect();
                prop_assert!(parts.len() <= 3 && parts.iter().all(|part| !part.is_empty() && !part.starts_with('.')));
            }
            paths.sort_unstable();
            paths.dedup();
            prop_assert_eq!(paths.len(), count);
        }
    }
}
