//! What `get` prints.

use std::{path::Path, time::Duration};

use p2p_ci::{document::DocumentKey, message::DocumentEntry};
use serde::Serialize;

use super::objects::{ErrorObject, HolderObject, SuccessorsObject, whole_millis};
use crate::error::PeerError;

/// How a download ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GetOutcome {
    /// The document was downloaded, verified and stored.
    Saved,
    /// The same bytes were there already.
    Present,
    /// Neither.
    Failed,
}

/// One document of `get`. What does not apply to its outcome is `null`.
#[derive(Debug, Serialize)]
pub struct GetObject<'a> {
    /// The RFC's number.
    pub number: u32,
    /// The format, by its extension.
    pub format: &'static str,
    /// How it ended.
    pub outcome: GetOutcome,
    /// Where the file is.
    #[serde(serialize_with = "lossy")]
    pub path: Option<&'a Path>,
    /// Length of the document.
    pub size_bytes: Option<u64>,
    /// Digest of the document, as 64 digits.
    pub sha256: Option<String>,
    /// Whether the registry told of the document, and so of its digest; otherwise peers known from before did.
    pub by_registry: Option<bool>,
    /// The peer that the last byte came from.
    pub holder: Option<HolderObject<'a>>,
    /// How long the download took.
    #[serde(serialize_with = "millis", rename = "duration_ms")]
    pub duration: Option<Duration>,
    /// Versions that would have been taken first and could not be had.
    pub missed: Vec<MissedObject>,
    /// Other versions that were not taken.
    pub others: Vec<VersionObject>,
    /// What took the RFC's place; empty for those of ranges, and where it failed.
    #[serde(flatten)]
    pub successors: SuccessorsObject,
    /// Why it failed.
    pub error: Option<ErrorObject>,
}

/// A version of a document.
#[derive(Debug, Serialize)]
pub struct VersionObject {
    sha256: String,
    holder_count: u32,
}

impl From<&DocumentEntry> for VersionObject {
    fn from(entry: &DocumentEntry) -> Self {
        Self {
            sha256: entry.document.id.sha256.to_string(),
            holder_count: entry.holder_count,
        }
    }
}

/// A version of a document that could not be had.
#[derive(Debug, Serialize)]
pub struct MissedObject {
    #[serde(flatten)]
    version: VersionObject,
    message: String,
}

impl MissedObject {
    /// A version, and why it could not be had.
    #[must_use]
    pub fn new(entry: &DocumentEntry, why: &str) -> Self {
        Self {
            version: VersionObject::from(entry),
            message: why.to_owned(),
        }
    }
}

impl<'a> GetObject<'a> {
    /// A document that ended so, with everything else still to be filled in.
    #[must_use]
    pub fn new(key: DocumentKey, outcome: GetOutcome) -> Self {
        Self {
            number: key.number.get(),
            format: key.format.extension(),
            outcome,
            path: None,
            size_bytes: None,
            sha256: None,
            by_registry: None,
            holder: None,
            duration: None,
            missed: Vec::new(),
            others: Vec::new(),
            successors: SuccessorsObject::default(),
            error: None,
        }
    }

    /// A document that could not be had.
    #[must_use]
    pub fn failed(key: DocumentKey, error: &PeerError) -> Self {
        Self {
            error: Some(ErrorObject::from(error)),
            ..Self::new(key, GetOutcome::Failed)
        }
    }
}

/// Paths that are no Unicode are shown as far as they are.
fn lossy<S: serde::Serializer>(path: &Option<&Path>, serializer: S) -> Result<S::Ok, S::Error> {
    path.map(Path::to_string_lossy).serialize(serializer)
}

fn millis<S: serde::Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    span.map(whole_millis).serialize(serializer)
}
