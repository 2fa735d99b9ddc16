//! What is indexed of an RFC, and how words are made comparable.

use p2p_ci::{
    digest::{Hasher, Sha256},
    document::RfcNumber,
    facts::{Facts, Issued, Line, Status},
    wire,
};
use serde::{Deserialize, Serialize};
use tantivy::{
    Index, TantivyDocument,
    schema::{
        FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions, Value as _,
    },
    tokenizer::{AsciiFoldingFilter, Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer, TextAnalyzer},
};

use super::text::Text;

/// What words are called that are made comparable here. The number grows with whatever changes what is indexed, or how: an
/// index of another one is made anew.
pub(super) const VERSION: &str = "words-1";

/// The longest word that is indexed; longer ones are keys and digests, which nobody types.
const MAX_WORD_BYTES: usize = 40;

/// The name of the fast field by which obsolete RFCs are told.
pub(super) const OBSOLETE: &str = "obsolete";

/// The fields of an RFC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) number: Field,
    pub(super) title: Field,
    pub(super) authors: Field,
    pub(super) keywords: Field,
    pub(super) summary: Field,
    pub(super) body: Field,
    /// The numbers of the RFCs that it cites.
    pub(super) cites: Field,
    pub(super) status: Field,
    pub(super) stream: Field,
    pub(super) year: Field,
    obsolete: Field,
    /// The digest of all that the RFC's entry was made of.
    made_of: Field,
    shown: Field,
}

/// What is shown of an RFC that was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Shown {
    pub(super) title: String,
    /// `June 2022`; empty where nobody says.
    pub(super) published: String,
    pub(super) year: Option<u32>,
    /// As the RFC Editor writes it.
    pub(super) status: String,
    /// What took its place, followed to today.
    pub(super) current: Vec<u32>,
    /// What it took the place of.
    pub(super) obsoletes: Vec<u32>,
}

/// The fields, and the schema that has them.
pub(super) fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let words = TextFieldIndexing::default()
        .set_tokenizer(VERSION)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let words = TextOptions::default().set_indexing_options(words);
    let fields = Fields {
        number: builder.add_u64_field("number", INDEXED | STORED),
        title: builder.add_text_field("title", words.clone()),
        authors: builder.add_text_field("authors", words.clone()),
        keywords: builder.add_text_field("keywords", words.clone()),
        summary: builder.add_text_field("abstract", words.clone()),
        body: builder.add_text_field("body", words),
        cites: builder.add_text_field("cites", STRING),
        status: builder.add_text_field("status", STRING),
        stream: builder.add_text_field("stream", STRING),
        year: builder.add_u64_field("year", INDEXED | FAST),
        obsolete: builder.add_u64_field(OBSOLETE, FAST),
        made_of: builder.add_bytes_field("made_of", STORED),
        shown: builder.add_bytes_field("shown", STORED),
    };
    (builder.build(), fields)
}

/// Teaches an index how words are made comparable.
pub(super) fn prepare(index: &Index) {
    index.tokenizers().register(VERSION, analyzer());
}

/// Words in lower case, without accents, and without the endings that English has.
pub(super) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(MAX_WORD_BYTES))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .filter(Stemmer::new(Language::English))
        .build()
}

/// The words of a text as they are compared, in their order.
pub(super) fn tokens(analyzer: &mut TextAnalyzer, text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut stream = analyzer.token_stream(text);
    stream.process(&mut |token| tokens.push(token.text.clone()));
    tokens
}

/// The digest of all that an RFC's entry is made of: when that was last looked at does not matter.
pub(super) fn made_of(text: Option<Sha256>, facts: Option<&Facts>, current: &[RfcNumber]) -> Sha256 {
    let mut hasher = Hasher::default();
    hasher.update(text.map(|sha256| sha256.to_string()).unwrap_or_default().as_bytes());
    for number in current {
        hasher.update(format!(" {number}").as_bytes());
    }
    if let Some(facts) = facts {
        let facts = Facts {
            as_of: None,
            ..facts.clone()
        };
        hasher.update(&wire::facts::encode(&facts));
    }
    hasher.finish()
}

/// How a status is written in the index.
pub(super) fn status_term(status: Status) -> &'static str {
    status.name()
}

/// The entry of an RFC.
pub(super) fn entry(
    fields: &Fields,
    number: RfcNumber,
    facts: Option<&Facts>,
    current: &[RfcNumber],
    text: &Text,
    made_of: Sha256,
) -> TantivyDocument {
    let nothing = Issued::default();
    let issued = facts.and_then(|facts| facts.issued.as_deref()).unwrap_or(&nothing);
    let lines = |lines: &[Line]| lines.iter().map(Line::as_str).collect::<Vec<_>>().join("\n");
    let year = issued.published.map(|date| u32::from(date.year));
    let shown = Shown {
        title: issued.title.as_str().to_owned(),
        published: issued.published.map(|date| date.to_string()).unwrap_or_default(),
        year,
        status: issued.status.name().to_owned(),
        current: current.iter().map(|number| number.get()).collect(),
        obsoletes: issued
            .obsoletes
            .iter()
            .filter_map(|older| Some(older.rfc()?.get()))
            .collect(),
    };
    let mut entry = TantivyDocument::default();
    entry.add_u64(fields.number, number.get().into());
    entry.add_text(fields.title, issued.title.as_str());
    entry.add_text(fields.authors, lines(&issued.authors));
    entry.add_text(fields.keywords, lines(&issued.keywords));
    entry.add_text(fields.summary, issued.summary.as_str());
    entry.add_text(fields.body, text.joined());
    for cited in text.cited().into_iter().filter(|cited| *cited != number.get()) {
        entry.add_text(fields.cites, cited.to_string());
    }
    entry.add_text(fields.status, status_term(issued.status));
    if let Some(stream) = issued.stream {
        entry.add_text(fields.stream, stream.name());
    }
    if let Some(year) = year {
        entry.add_u64(fields.year, year.into());
    }
    entry.add_u64(fields.obsolete, u64::from(!current.is_empty()));
    entry.add_bytes(fields.made_of, made_of.to_string().as_bytes());
    // This type can be written as JSON.
    entry.add_bytes(fields.shown, &serde_json::to_vec(&shown).unwrap_or_default());
    entry
}

/// What an entry that was found says of itself: its number, and what is shown.
pub(super) fn told(fields: &Fields, entry: &TantivyDocument) -> Option<(RfcNumber, Shown)> {
    let number = number_of(fields, entry)?;
    let shown = entry.get_first(fields.shown).and_then(|value| value.as_bytes())?;
    Some((number, serde_json::from_slice(shown).ok()?))
}

/// The number of an entry, and the digest of what it was made of.
pub(super) fn origin(fields: &Fields, entry: &TantivyDocument) -> Option<(RfcNumber, Sha256)> {
    let digest = entry.get_first(fields.made_of).and_then(|value| value.as_bytes())?;
    let digest = std::str::from_utf8(digest).ok()?.parse().ok()?;
    Some((number_of(fields, entry)?, digest))
}

fn number_of(fields: &Fields, entry: &TantivyDocument) -> Option<RfcNumber> {
    let number = entry.get_first(fields.number).and_then(|value| value.as_u64())?;
    RfcNumber::new(u32::try_from(number).ok()?)
}

#[cfg(test)]
mod tests {
    use p2p_ci::{
        document::{Title, UnixSeconds},
        facts::Source,
    };

    use super::*;

    #[test]
    fn words_are_made_comparable() {
        let mut analyzer = analyzer();
        assert_eq!(
            tokens(&mut analyzer, "Congestion-Controlled, STREAMS of Fältström"),
            ["congest", "control", "stream", "of", "faltstrom"]
        );
        assert!(tokens(&mut analyzer, &"x".repeat(100)).is_empty());
    }

    #[test]
    fn an_entry_tells_what_it_was_made_of() {
        let number = RfcNumber::new(7230).unwrap();
        let later = RfcNumber::new(9110).unwrap();
        let facts = Facts {
            number,
            source: Source::Record,
            as_of: Some(UnixSeconds(1)),
            issued: Some(Box::new(Issued {
                title: Title::from_lossy("HTTP"),
                published: "June 2014".parse().ok(),
                ..Issued::default()
            })),
        };
        let touched = Facts {
            as_of: None,
            ..facts.clone()
        };
        let digest = made_of(None, Some(&facts), &[later]);
        assert_eq!(digest, made_of(None, Some(&touched), &[later]));
        assert_ne!(digest, made_of(None, Some(&facts), &[]));
        assert_ne!(digest, made_of(Some(Sha256::of(b"x")), Some(&facts), &[later]));
        let (_, fields) = schema();
        let entry = entry(&fields, number, Some(&facts), &[later], &Text::default(), digest);
        assert_eq!(origin(&fields, &entry), Some((number, digest)));
        let (told, shown) = told(&fields, &entry).unwrap();
        assert_eq!(
            (told, shown.year, &shown.current[..]),
            (number, Some(2014), &[9110][..])
        );
        assert_eq!((shown.title.as_str(), shown.published.as_str()), ("HTTP", "June 2014"));
    }
}
