//! Finds RFCs, the best first.
//!
//! Each word counts where it counts most: in a title more than among keywords, there more than in the text. Words that stand
//! next to each other in the query count more where they do in the RFC. What is obsolete yields a little to what is current.

use std::collections::HashMap;

use p2p_ci::document::RfcNumber;
use tantivy::{
    DocId, Score, Searcher, SegmentReader, TantivyDocument, Term,
    collector::TopDocs,
    query::{
        BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, Occur, PhraseQuery, Query,
        RangeQuery, TermQuery,
    },
    schema::{Field, IndexRecordOption},
    tokenizer::TextAnalyzer,
};

use super::{
    error::SearchError,
    place::{Opened, Place},
    query::{Asked, Clause, Scope},
    schema::{OBSOLETE, analyzer, status_term, tokens, told},
    updating::{is_read, reader},
};

use crate::library::Library;

/// How much more a word counts in a field than in the text. Measured with the known items of `cargo xtask bench search`.
const TITLE: Score = 3.0;
const KEYWORDS: Score = 1.5;
const ABSTRACT: Score = 1.5;
const AUTHORS: Score = 1.5;
const BODY: Score = 1.0;

/// How much a word counts in the fields where it counts less than in the best one.
const OTHER_FIELDS: Score = 0.3;

/// How much two neighbours of the query count that are neighbours in a field, beside what each counts.
const NEIGHBOURS: Score = 0.5;

/// What is left of the score of an obsolete RFC.
const OBSOLETE_PART: Score = 0.8;

/// What an RFC counts that the query names: more than all words together can.
const NAMED: Score = 10_000.0;

/// Of this many different words, all must be there; of more, three of each five.
const ALL_OF: usize = 2;
const OF_FIVE: usize = 3;

/// A word that one of so many RFCs holds is one that need not be there, as long as there are others.
const COMMON: u64 = 3;

/// RFCs that are looked at again, by how often others cite them.
const CANDIDATES: usize = 200;

/// How much more an RFC counts that is cited: by so much for each power of *e* of RFCs that do.
const CITED: Score = 0.12;

/// An RFC that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Its number.
    pub number: RfcNumber,
    /// How well it fits: only good for comparison within one answer.
    pub score: f32,
    /// Its title, as somebody claims it.
    pub title: String,
    /// When it was published, as the RFC Editor writes it; empty where nobody says.
    pub published: String,
    /// The year of that.
    pub year: Option<u32>,
    /// What it is, as the RFC Editor writes it.
    pub status: String,
    /// What took its place, followed to today; empty where it is current.
    pub current: Vec<u32>,
}

/// An index as it was when it was opened.
pub struct Searching {
    opened: Opened,
    searcher: Searcher,
}

impl std::fmt::Debug for Searching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Searching")
            .field("rfcs", &self.len())
            .finish_non_exhaustive()
    }
}

impl Searching {
    /// Opens the index of `library` at `place`. Blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// [`SearchError::BeingMade`], also where nothing of what there is was read yet; [`SearchError::Unusable`].
    pub fn open(place: &Place, library: &Library) -> Result<Self, SearchError> {
        let opened = place.open()?;
        let searcher = reader(&opened)?.searcher();
        let searching = Self { opened, searcher };
        if searching.is_empty() && library.snapshot().iter().any(is_read) {
            return Err(SearchError::BeingMade);
        }
        Ok(searching)
    }

    /// RFCs in it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.searcher.num_docs()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The best RFCs, `limit` at most. Blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// [`SearchError::Unusable`].
    pub fn find(&self, asked: &Asked, limit: usize) -> Result<Vec<Hit>, SearchError> {
        let query = Composer::new(self).compose(asked);
        let best = TopDocs::with_limit(limit.max(CANDIDATES)).tweak_score(|segment: &SegmentReader| {
            let obsolete = segment.fast_fields().u64(OBSOLETE).ok();
            move |entry: DocId, score: Score| {
                let is_obsolete = obsolete.as_ref().and_then(|column| column.first(entry)) == Some(1);
                if is_obsolete && score < NAMED {
                    score * OBSOLETE_PART
                } else {
                    score
                }
            }
        });
        let found = self.searcher.search(&query, &best)?;
        let mut hits = Vec::with_capacity(found.len());
        for (score, address) in found {
            let entry: TantivyDocument = self.searcher.doc(address)?;
            let Some((number, shown)) = told(&self.opened.fields, &entry) else {
                return Err(SearchError::unusable("an entry tells no number"));
            };
            hits.push(Hit {
                number,
                score: score * self.standing(number.get(), &shown.obsoletes),
                title: shown.title,
                published: shown.published,
                year: shown.year,
                status: shown.status,
                current: shown.current,
            });
        }
        hits.sort_by(|one, other| other.score.total_cmp(&one.score));
        hits.truncate(limit);
        Ok(hits)
    }

    /// How much more an RFC counts because others cite it, or what it took the place of.
    fn standing(&self, number: u32, obsoletes: &[u32]) -> Score {
        let citing = |number: &u32| {
            let term = Term::from_field_text(self.opened.fields.cites, &number.to_string());
            self.searcher.doc_freq(&term).unwrap_or(0)
        };
        let citing = citing(&number) + obsoletes.iter().map(citing).max().unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let citing = citing as f32;
        1.0 + CITED * citing.ln_1p()
    }

    /// RFCs that hold a word in their text.
    fn holders(&self, word: &str) -> u64 {
        let term = Term::from_field_text(self.opened.fields.body, word);
        self.searcher.doc_freq(&term).unwrap_or(0)
    }

    /// What each word of a query that was looked for in texts is worth there: the rarer, the more.
    #[must_use]
    pub fn worths(&self, asked: &Asked) -> HashMap<String, f32> {
        let mut analyzer = analyzer();
        let required = asked
            .required
            .iter()
            .filter(|clause| matches!(clause.scope, Scope::All));
        let texts = asked.words.iter().chain(required.map(|clause| &clause.text));
        let words: Vec<String> = texts.flat_map(|text| tokens(&mut analyzer, text)).collect();
        let worth = |word: String| {
            let holders = self.holders(&word);
            #[expect(clippy::cast_precision_loss, reason = "a share of some thousands")]
            let share = (self.len() as f32 + 1.0) / (holders as f32 + 0.5);
            (word, share.ln().max(0.0) + 0.05)
        };
        words.into_iter().map(worth).collect()
    }
}

/// Makes queries of what is asked for.
struct Composer<'a> {
    searching: &'a Searching,
    analyzer: TextAnalyzer,
}

type Part = (Occur, Box<dyn Query>);

impl<'a> Composer<'a> {
    fn new(searching: &'a Searching) -> Self {
        Self {
            searching,
            analyzer: analyzer(),
        }
    }

    fn compose(&mut self, asked: &Asked) -> BooleanQuery {
        let scope = if asked.is_title_only { Scope::Title } else { Scope::All };
        let words: Vec<String> = asked
            .words
            .iter()
            .flat_map(|word| tokens(&mut self.analyzer, word))
            .collect();
        let mut parts: Vec<Part> = Vec::new();
        if !words.is_empty() {
            parts.push((Occur::Must, self.most_of(scope, &words, asked)));
            parts.extend(self.neighbours(scope, &words));
        }
        for clause in &asked.required {
            let clause_scope = if clause.scope == Scope::All {
                scope
            } else {
                clause.scope
            };
            parts.push((Occur::Must, self.all_of(clause_scope, clause)));
        }
        for clause in &asked.excluded {
            parts.push((Occur::MustNot, self.all_of(clause.scope, clause)));
        }
        parts.extend(self.filters(asked));
        if let Some(number) = asked.named {
            parts.push((Occur::Should, constant(self.is_number(number), NAMED)));
        }
        for number in asked.numbers.iter().filter(|number| Some(**number) != asked.named) {
            parts.push((Occur::Should, self.fitting(*number, &words)));
        }
        BooleanQuery::new(parts)
    }

    /// Most of the words, or the RFC that is named.
    fn most_of(&self, scope: Scope, words: &[String], asked: &Asked) -> Box<dyn Query> {
        let mut distinct: Vec<&String> = words.iter().collect();
        distinct.sort_unstable();
        distinct.dedup();
        let is_common = |word: &&String| self.searching.holders(word) * COMMON > self.searching.len();
        let (common, rare): (Vec<&String>, Vec<&String>) = distinct.into_iter().partition(is_common);
        let (counted, others) = if rare.is_empty() {
            (common, rare)
        } else {
            (rare, common)
        };
        let least = match counted.len() {
            few if few <= ALL_OF => few,
            many => (many * OF_FIVE).div_ceil(5).max(ALL_OF),
        };
        let each = counted.into_iter().map(|word| self.word(scope, word)).collect();
        let most: Box<dyn Query> = Box::new(BooleanQuery::union_with_minimum_required_clauses(each, least));
        let others = others.into_iter().map(|word| (Occur::Should, self.word(scope, word)));
        let most: Box<dyn Query> = Box::new(BooleanQuery::new(
            std::iter::once((Occur::Must, most)).chain(others).collect(),
        ));
        match asked.named {
            Some(number) => Box::new(BooleanQuery::union(vec![most, self.is_number(number)])),
            None => most,
        }
    }

    /// A word in the field where it counts most.
    fn word(&self, scope: Scope, word: &str) -> Box<dyn Query> {
        let fields = self.fields(scope).into_iter().map(|(field, boost)| {
            let term = Term::from_field_text(field, word);
            boosted(Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs)), boost)
        });
        Box::new(DisjunctionMaxQuery::with_tie_breaker(fields.collect(), OTHER_FIELDS))
    }

    /// What is worth more because words stand next to each other.
    fn neighbours(&self, scope: Scope, words: &[String]) -> Vec<Part> {
        let pairs = words.windows(2).filter_map(|pair| match pair {
            [first, second] if first != second => Some([first, second]),
            _ => None,
        });
        let pairs = pairs.flat_map(|pair| {
            self.fields(scope).into_iter().map(move |(field, boost)| {
                let terms = pair.map(|word| Term::from_field_text(field, word)).into();
                let phrase = Box::new(PhraseQuery::new(terms));
                (Occur::Should, boosted(phrase, boost * NEIGHBOURS))
            })
        });
        pairs.collect()
    }

    /// All words of a clause, next to each other, in any field of its scope.
    fn all_of(&mut self, scope: Scope, clause: &Clause) -> Box<dyn Query> {
        let words = tokens(&mut self.analyzer, &clause.text);
        let Some(first) = words.first() else {
            return Box::new(EmptyQuery);
        };
        if words.len() == 1 {
            return self.word(scope, first);
        }
        let fields = self.fields(scope).into_iter().map(|(field, boost)| {
            let terms = words.iter().map(|word| Term::from_field_text(field, word)).collect();
            boosted(Box::new(PhraseQuery::new(terms)), boost)
        });
        Box::new(DisjunctionMaxQuery::with_tie_breaker(fields.collect(), OTHER_FIELDS))
    }

    fn filters(&self, asked: &Asked) -> Vec<Part> {
        let fields = &self.searching.opened.fields;
        let mut filters: Vec<Part> = Vec::new();
        if !asked.statuses.is_empty() {
            let each = asked.statuses.iter().map(|status| {
                let term = Term::from_field_text(fields.status, status_term(*status));
                Box::new(TermQuery::new(term, IndexRecordOption::Basic)) as Box<dyn Query>
            });
            let any = Box::new(BooleanQuery::union(each.collect()));
            filters.push((Occur::Must, constant(any, 0.0)));
        }
        if let Some(years) = asked.years {
            let bound = |year: u32| std::ops::Bound::Included(Term::from_field_u64(fields.year, year.into()));
            let range = Box::new(RangeQuery::new(bound(years.first), bound(years.last)));
            filters.push((Occur::Must, constant(range, 0.0)));
        }
        filters
    }

    fn is_number(&self, number: RfcNumber) -> Box<dyn Query> {
        let term = Term::from_field_u64(self.searching.opened.fields.number, number.get().into());
        Box::new(TermQuery::new(term, IndexRecordOption::Basic))
    }

    /// The RFC of a number among other words, where one of those is in its title.
    fn fitting(&self, number: RfcNumber, words: &[String]) -> Box<dyn Query> {
        let others = words.iter().filter(|word| **word != number.to_string());
        let titled = others.map(|word| self.word(Scope::Title, word)).collect();
        let both = BooleanQuery::intersection(vec![self.is_number(number), Box::new(BooleanQuery::union(titled))]);
        constant(Box::new(both), NAMED)
    }

    /// The fields of a scope, with what they count.
    fn fields(&self, scope: Scope) -> Vec<(Field, Score)> {
        let fields = &self.searching.opened.fields;
        match scope {
            Scope::All => vec![
                (fields.title, TITLE),
                (fields.keywords, KEYWORDS),
                (fields.summary, ABSTRACT),
                (fields.authors, AUTHORS),
                (fields.body, BODY),
            ],
            Scope::Title => vec![(fields.title, TITLE)],
            Scope::Author => vec![(fields.authors, AUTHORS)],
            Scope::Keyword => vec![(fields.keywords, KEYWORDS)],
            Scope::Abstract => vec![(fields.summary, ABSTRACT)],
        }
    }
}

fn boosted(query: Box<dyn Query>, boost: Score) -> Box<dyn Query> {
    Box::new(BoostQuery::new(query, boost))
}

fn constant(query: Box<dyn Query>, score: Score) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(query, score))
}
