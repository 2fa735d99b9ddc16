//! Titles, which peers claim and people read.

use std::sync::Arc;

use crate::{limits, text};

/// A title as somebody claims it: at most [`limits::MAX_TITLE_BYTES`] bytes, without control characters. Cheap to clone,
/// as lists of documents are copied often.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Title(Arc<str>);

/// Why a text is no title.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TitleError {
    /// Longer than [`limits::MAX_TITLE_BYTES`].
    #[error("a title has at most {max} bytes, not {0}", max = limits::MAX_TITLE_BYTES)]
    TooLong(usize),
    /// Holds a control character.
    #[error("a title has no control characters")]
    Control,
}

impl Title {
    /// Makes a title out of any text: white space is folded, control characters are dropped, the rest is cut at the
    /// limit.
    #[must_use]
    pub fn from_lossy(text: &str) -> Self {
        Self(text::folded(text, limits::MAX_TITLE_BYTES).into())
    }

    /// The text. It comes from another peer: show it through [`text::escaped`](crate::text::escaped) only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Title {
    type Error = TitleError;

    fn try_from(text: String) -> Result<Self, TitleError> {
        if text.len() > limits::MAX_TITLE_BYTES {
            return Err(TitleError::TooLong(text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(TitleError::Control);
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_bounded_and_clean() {
        assert_eq!(
            Title::from_lossy("  HTTP \n\t Semantics\u{1b} ").as_str(),
            "HTTP Semantics"
        );
        assert_eq!(Title::from_lossy("a \u{1} b\u{2}\u{3} \u{4}").as_str(), "a b");
        assert_eq!(Title::from_lossy(&format!("{} b", "a".repeat(511))).as_str().len(), 511);
        assert_eq!(
            Title::from_lossy(&"é".repeat(400)).as_str().len(),
            limits::MAX_TITLE_BYTES
        );
        assert_eq!(Title::try_from("a\u{7}".to_owned()), Err(TitleError::Control));
        assert_eq!(Title::try_from("a".repeat(513)), Err(TitleError::TooLong(513)));
    }
}
