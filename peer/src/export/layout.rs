//! Where files lie, as readers of RFCs look for them. Pure.

use clap::ValueEnum;
use p2p_ci::{
    digest::Sha256,
    document::{DocumentKey, Format, RfcNumber},
    facts::{Reference, Series},
};

use crate::facts::listing::Lines;

/// The least bytes of a file that Debian's packages pack: shorter ones would hardly become shorter.
const LEAST_PACKED_BYTES: u64 = 4096;

/// Where the RFC Editor's documents are, as readers name what they have fetched from there.
const RFC_EDITOR: &str = "https://www.rfc-editor.org";

/// The list of errors in RFCs, beside the documents and at the RFC Editor.
pub const ERRATA: &str = "errata.json";

/// How a folder for readers of RFCs is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Layout {
    /// rfc9110.txt, rfc9110.html and so on, and rfc-index.txt.
    Flat,
    /// rfc0791.txt, with four digits at least.
    Padded,
    /// 9110: texts by their number alone.
    Number,
    /// The same, and INDEX with a line for each RFC.
    NumberIndex,
    /// links/rfc9110.txt.gz, packed as in Debian's doc-rfc, and rfc-index.txt.gz.
    DebianGz,
    /// in-notes/rfc9110.txt, bcp/bcp14.txt and so on, and both indexes: the RFC Editor's old tree.
    InNotes,
    /// rfc/rfc9110, rfc/std97, and rfc/INDEX with a line for each.
    NoExtension,
    /// Files named by the SHA-256 of their addresses at the RFC Editor.
    Sha256Url,
}

/// An index in some form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// `rfc-index.txt` of the old form.
    Txt,
    /// The same, packed.
    PackedTxt,
    /// `rfc-index.xml` of the old form.
    Xml,
    /// One line for each RFC.
    Lines(Lines),
}

/// Where a document lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its path below the target.
    pub path: String,
    /// Whether it is packed there.
    pub is_packed: bool,
}

impl Layout {
    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Where a document of so many bytes lies; `None` where readers do not look for its format.
    #[must_use]
    pub fn place(self, key: DocumentKey, size_bytes: u64) -> Option<Place> {
        let DocumentKey { number, format } = key;
        let is_text = format == Format::Txt;
        let plain = |path: String| Some(Place { path, is_packed: false });
        match self {
            Self::Flat => plain(key.file_name()),
            Self::Padded => plain(format!("rfc{:04}.{}", number.get(), format.extension())),
            Self::Number | Self::NumberIndex => is_text.then(|| plain(number.to_string())).flatten(),
            Self::DebianGz => {
                let is_packed = format != Format::Json && size_bytes >= LEAST_PACKED_BYTES;
                let ending = if is_packed { ".gz" } else { "" };
                let path = format!("links/{}{ending}", key.file_name());
                Some(Place { path, is_packed })
            }
            Self::InNotes => plain(format!("in-notes/{}", key.file_name())),
            Self::NoExtension => is_text.then(|| plain(format!("rfc/rfc{number}"))).flatten(),
            Self::Sha256Url => plain(url_digest(&format!("rfc/{}", key.file_name()))),
        }
    }

    /// The indexes, and where they lie.
    #[must_use]
    pub fn indexes(self) -> &'static [(&'static str, Index)] {
        match self {
            Self::Flat => &[("rfc-index.txt", Index::Txt)],
            Self::NumberIndex => &[("INDEX", Index::Lines(Lines::Numbered))],
            Self::DebianGz => &[("rfc-index.txt.gz", Index::PackedTxt)],
            Self::InNotes => &[
                ("in-notes/rfc-index.txt", Index::Txt),
                ("in-notes/rfc-index.xml", Index::Xml),
            ],
            Self::NoExtension => &[("rfc/INDEX", Index::Lines(Lines::Labelled))],
            Self::Padded | Self::Number | Self::Sha256Url => &[],
        }
    }

    /// Where the texts of a subseries lie, one after the other; `None` where readers do not look for them.
    #[must_use]
    pub fn place_of_set(self, set: Reference) -> Option<String> {
        let name = set.series.name().to_ascii_lowercase();
        let number = set.number;
        match self {
            Self::InNotes => Some(format!("in-notes/{name}/{name}{number}.txt")),
            Self::NoExtension => (set.series == Series::Std).then(|| format!("rfc/{name}{number}")),
            Self::Flat | Self::Padded | Self::Number | Self::NumberIndex | Self::DebianGz | Self::Sha256Url => None,
        }
    }

    /// Where a metadata record lies that is made of what is known, as nobody has the RFC Editor's; `None` where readers do
    /// without.
    #[must_use]
    pub fn place_of_record(self, number: RfcNumber) -> Option<String> {
        let format = Format::Json;
        let key = DocumentKey { number, format };
        (self == Self::Sha256Url).then(|| url_digest(&format!("rfc/{}", key.file_name())))
    }

    /// Where the list of errors lies; `None` where readers do without.
    #[must_use]
    pub fn place_of_errata(self) -> Option<String> {
        (self == Self::Sha256Url).then(|| url_digest(ERRATA))
    }

    /// Whether anything of it is made of what is known of RFCs.
    #[must_use]
    pub fn needs_facts(self) -> bool {
        !self.indexes().is_empty() || self == Self::Sha256Url
    }
}

/// The digest of what a file is called at the RFC Editor.
fn url_digest(path: &str) -> String {
    Sha256::of(format!("{RFC_EDITOR}/{path}").as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32, format: Format) -> DocumentKey {
        let number = RfcNumber::new(number).unwrap();
        DocumentKey { number, format }
    }

    #[test]
    fn names_are_those_that_readers_look_for() {
        let path = |layout: Layout, number, format| layout.place(key(number, format), 5000).map(|place| place.path);
        for (layout, text, later, html) in [
            (Layout::Flat, "rfc791.txt", "rfc100000.txt", Some("rfc791.html")),
            (Layout::Padded, "rfc0791.txt", "rfc100000.txt", Some("rfc0791.html")),
            (Layout::Number, "791", "100000", None),
            (Layout::NumberIndex, "791", "100000", None),
            (
                Layout::DebianGz,
                "links/rfc791.txt.gz",
                "links/rfc100000.txt.gz",
                Some("links/rfc791.html.gz"),
            ),
            (
                Layout::InNotes,
                "in-notes/rfc791.txt",
                "in-notes/rfc100000.txt",
                Some("in-notes/rfc791.html"),
            ),
            (Layout::NoExtension, "rfc/rfc791", "rfc/rfc100000", None),
        ] {
            assert_eq!(path(layout, 791, Format::Txt).as_deref(), Some(text));
            assert_eq!(path(layout, 100_000, Format::Txt).as_deref(), Some(later));
            assert_eq!(path(layout, 791, Format::Html).as_deref(), html);
        }
        assert_eq!(
            path(Layout::Sha256Url, 9110, Format::Txt).as_deref(),
            Some("b0a7ba3817a5518b609f59cf294e1f585487af51d71ceb697ee2a722cd448b00")
        );
    }

    #[test]
    fn debian_packs_what_is_long_and_no_records() {
        for (format, size_bytes, path) in [
            (Format::Txt, 4095, "links/rfc1.txt"),
            (Format::Txt, 4096, "links/rfc1.txt.gz"),
            (Format::Json, 4096, "links/rfc1.json"),
        ] {
            let place = Layout::DebianGz.place(key(1, format), size_bytes).unwrap();
            assert_eq!((place.path.as_str(), place.is_packed), (path, path.ends_with(".gz")));
        }
    }

    #[test]
    fn sets_lie_where_the_old_tree_had_them() {
        let set = |text: &str| text.parse().unwrap();
        assert_eq!(
            Layout::InNotes.place_of_set(set("BCP14")).unwrap(),
            "in-notes/bcp/bcp14.txt"
        );
        assert_eq!(Layout::NoExtension.place_of_set(set("STD97")).unwrap(), "rfc/std97");
        assert_eq!(Layout::NoExtension.place_of_set(set("FYI36")), None);
        assert_eq!(Layout::Flat.place_of_set(set("STD97")), None);
    }
}
