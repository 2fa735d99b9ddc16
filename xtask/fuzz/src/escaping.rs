//! Strings of others as they are shown, and titles that are made of any text.

use p2p_ci::{document::Title, failure::bounded, limits::MAX_ERROR_MESSAGE_BYTES, text::escaped};

use crate::{
    input,
    plain::{assert_folded_title, assert_inert, assert_title, is_active},
};

pub(crate) fn run(data: &[u8]) {
    let text = input::text(data);
    let shown = escaped(&text).to_string();
    assert_inert(&shown, false);
    assert_eq!(shown, escaped_plainly(&text), "everything else stays");
    assert_eq!(escaped(&shown).to_string(), shown, "escaping twice is escaping once");

    let message = bounded(&text);
    assert_inert(&message, false);
    assert!(message.len() <= MAX_ERROR_MESSAGE_BYTES);
    assert_eq!(bounded(&message), message, "cutting twice is cutting once");
    if shown.len() <= MAX_ERROR_MESSAGE_BYTES {
        assert_eq!(message, shown, "what is short enough is not cut");
    }

    let title = Title::from_lossy(&text);
    assert_folded_title(title.as_str());
    assert_eq!(Title::from_lossy(title.as_str()), title, "a title is a title of itself");
    assert_eq!(Title::try_from(title.as_str().to_owned()), Ok(title));
    match Title::try_from(text.into_owned()) {
        Ok(taken) => assert_title(taken.as_str()),
        Err(error) => assert_inert(&error.to_string(), false),
    }
}

fn escaped_plainly(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        if is_active(c) {
            shown += &format!("\\u{{{:x}}}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}
