//! The headings of an RFC's sections, as they stand in its text.

/// The longest heading: real ones fit a line of 72 columns.
const MAX_HEADING_BYTES: usize = 100;

/// Parts of a section's number at most: `4.2.2.1`.
const MAX_PARTS: usize = 8;

/// The heading that a line is, with its white space folded: one that starts at the left margin after an empty line, and
/// either has a number or letter of its own (`4.2.2.`, `Appendix A.`) or stands alone (`Security Considerations`).
#[must_use]
pub(super) fn heading(before: &str, line: &str, after: &str) -> Option<String> {
    let starts = line.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !starts || !before.is_empty() || line.len() > MAX_HEADING_BYTES {
        return None;
    }
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let second = words.next();
    let is_numbered = is_number(first) && second.is_some_and(starts_title);
    let is_appendix = first.eq_ignore_ascii_case("appendix") && second.is_some();
    let is_plain = after.is_empty()
        && line.starts_with(|c: char| c.is_ascii_uppercase())
        && !line.ends_with(['.', ',', ';', ':', '-'])
        // Two columns are a table, or the first page.
        && !line.contains("   ");
    (is_numbered || is_appendix || is_plain).then(|| line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// `4.2.2.`, `4`, `A.1.`, `B.`
fn is_number(word: &str) -> bool {
    let has_dot = word.contains('.');
    let parts: Vec<&str> = word.trim_end_matches('.').split('.').collect();
    let is_digits = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_letter = |part: &&str| part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_uppercase());
    let Some((first, rest)) = parts.split_first() else {
        return false;
    };
    parts.len() <= MAX_PARTS && (is_digits(first) || has_dot && is_letter(first)) && rest.iter().all(is_digits)
}

fn starts_title(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c.is_ascii_digit() || matches!(c, '"' | '\'' | '<' | '_' | '`'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headings_are_told_from_text() {
        for (line, told) in [
            ("4.2.2.  https URI Scheme", "4.2.2. https URI Scheme"),
            ("10.4.5 404 Not Found", "10.4.5 404 Not Found"),
            ("1. INTRODUCTION", "1. INTRODUCTION"),
            ("Appendix B.  Changes", "Appendix B. Changes"),
            ("A.1.  Collected ABNF", "A.1. Collected ABNF"),
            ("Security Considerations", "Security Considerations"),
        ] {
            assert_eq!(heading("", line, "").as_deref(), Some(told));
            assert_eq!(heading("text", line, ""), None, "in the middle of a paragraph");
        }
        for line in [
            "",
            "   1.  An item",
            "A sentence that ends here.",
            "Network Working Group          A. Author",
            "1234567 is a number",
            "1.2.3.4.5.6.7.8.9 deep",
            "-- a rule",
        ] {
            assert_eq!(heading("", line, ""), None, "{line}");
        }
        assert_eq!(heading("", "A line of a paragraph", "and the next one"), None);
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_read(line in ".{0,120}") {
            let told = heading("", &line, "");
            prop_assert!(told.is_none_or(|told| !told.is_empty() && !told.contains("  ")));
        }
    }
}
