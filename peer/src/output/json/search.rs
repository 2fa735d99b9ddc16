//! An RFC that a search has found, as an object.

use serde::Serialize;

use crate::search::{Hit, Passage};

/// An RFC that was found: what `search` prints.
#[derive(Debug, Serialize)]
pub struct SearchObject<'a> {
    number: u32,
    title: &'a str,
    /// For comparison within one answer only.
    score: f32,
    /// The heading of the section in which the snippet stands; empty where there is none.
    section: &'a str,
    /// Lines with words that were looked for; empty where the text holds none.
    snippet: &'a str,
    status: &'a str,
    year: Option<u32>,
    /// RFCs that took its place and are current; empty when it is current itself.
    current: &'a [u32],
}

impl<'a> SearchObject<'a> {
    /// What was found, and where.
    #[must_use]
    pub fn new(hit: &'a Hit, passage: &'a Passage) -> Self {
        Self {
            number: hit.number.get(),
            title: &hit.title,
            score: hit.score,
            section: &passage.section,
            snippet: &passage.text,
            status: &hit.status,
            year: hit.year,
            current: &hit.current,
        }
    }
}
