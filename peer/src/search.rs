//! Full-text search of the RFCs of one folder, by an index that is kept in the state folder.
//!
//! # Modules, in reading order
//!
//! `text`: what of a text is worth finding · `section`: its headings · `query`: what people type · `schema`: what is indexed
//! of an RFC · `place`: where the index is, whole or not, and whose turn it is · `updating`: bringing it up to date ·
//! `ranking`: finding and ordering · `passage`: the lines that are shown of what was found · `keeping`: doing that while a
//! peer shares · `error`: why there is no answer.
//!
//! An index may be deleted at any time, and is made anew. What it says is never taken for what a file says: passages are read
//! from the files.

mod error;
mod keeping;
mod passage;
mod place;
mod query;
mod ranking;
mod schema;
mod section;
mod text;
mod updating;

pub use self::{
    error::SearchError,
    keeping::Keeping,
    passage::{Passage, Passages},
    place::Place,
    query::{Asked, Clause, QueryError, Scope, StatusWanted, Years, joined},
    ranking::{Hit, Searching},
    updating::{Pace, Updated, fingerprint, is_fresh, update},
};
