//! Why an RFC cannot be searched for.

use std::{io, path::PathBuf};

use p2p_ci::text::{escaped, excerpt};

/// Bytes that an error repeats of what the index said.
const SHOWN_BYTES: usize = 120;

/// Why there is no answer from an index.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The index cannot be written where it belongs.
    #[error(
        "cannot keep the search index in {}: {source}; name another state folder with --state-dir",
        escaped(&path.to_string_lossy())
    )]
    Unwritable {
        /// The folder of the index.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process makes the index, and nothing of it is there yet.
    #[error("another process is making the search index of this folder; try again in a moment")]
    BeingMade,
    /// The index is there and cannot be used.
    #[error("the search index cannot be used: {0}")]
    Unusable(String),
    /// Whoever asked does not wait any more.
    #[error("the search index was not brought up to date: interrupted")]
    Cancelled,
}

impl SearchError {
    /// What an index said that cannot be used.
    pub(super) fn unusable(error: impl std::fmt::Display) -> Self {
        Self::Unusable(excerpt(&error.to_string(), SHOWN_BYTES))
    }
}

impl From<tantivy::TantivyError> for SearchError {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::unusable(error)
    }
}
