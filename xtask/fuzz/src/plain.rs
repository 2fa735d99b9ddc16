//! What is shown to people, said again in a plainer way than the project's code does.

use p2p_ci::limits::{MAX_ERROR_MESSAGE_BYTES, MAX_TITLE_BYTES};

/// Whether a character could act on a terminal or mislead its reader: C0, DEL and C1 (ECMA-48), the separators of lines
/// and paragraphs, what Unicode lists as `Bidi_Control` (UAX #9), and the byte order mark.
pub(crate) fn is_active(c: char) -> bool {
    const BIDI_CONTROLS: [u32; 12] = [
        0x061c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069,
    ];
    let code = u32::from(c);
    code < 0x20
        || (0x7f..0xa0).contains(&code)
        || [0x2028, 0x2029, 0xfeff].contains(&code)
        || BIDI_CONTROLS.contains(&code)
}

/// Panics unless `text` can be shown as it is: nothing acts, but for ends of lines where they are promised.
#[track_caller]
pub(crate) fn assert_inert(text: &str, lines: bool) {
    let found = text.chars().find(|c| is_active(*c) && !(lines && *c == '\n'));
    assert_eq!(found, None, "{text:?} holds {found:?}");
}

/// Panics unless `text` can be an error that is shown: it says something, is short, and nothing in it acts.
#[track_caller]
pub(crate) fn assert_message(text: &str) {
    assert_inert(text, false);
    assert!(!text.is_empty(), "an error says nothing");
    assert!(text.len() <= MAX_ERROR_MESSAGE_BYTES, "{} bytes: {text}", text.len());
}

/// Panics unless `title` can be a title.
#[track_caller]
pub(crate) fn assert_title(title: &str) {
    assert!(title.len() <= MAX_TITLE_BYTES, "a title of {} bytes", title.len());
    assert!(
        !title.chars().any(char::is_control),
        "{title:?} has a control character"
    );
}

/// Panics unless `title` is one that was made out of any text: words with one space between them.
#[track_caller]
pub(crate) fn assert_folded_title(title: &str) {
    assert_title(title);
    let words: Vec<&str> = title.split_whitespace().collect();
    assert_eq!(title, words.join(" "), "white space is not folded");
}
