//! Names of files, and numbers, ranges, formats, digests and names of peers as people write them.

use std::{collections::BTreeSet, fmt::Display, str::FromStr};

use p2p_ci::{
    digest::{DigestPrefix, Sha256},
    document::{Format, RfcNumber, RfcRange},
    identity::{PeerName, ResumeToken, SessionId},
    limits::MAX_NAME_BYTES,
};
use peer::{
    library::FileName,
    wanted::{Wanted, format_of, shortened},
};

use crate::{
    input,
    plain::{assert_inert, assert_message},
};

pub(crate) fn run(data: &[u8]) {
    let text = &*input::text(data);
    file_name(text);
    there_and_back::<RfcNumber>(text);
    there_and_back::<Format>(text);
    range(text);
    wanted(text);
    merged(data);
    if let Some(digest) = there_and_back::<Sha256>(text) {
        assert_eq!(digest.to_string(), text.to_ascii_lowercase());
        let prefix: DigestPrefix = text.parse().expect("a whole digest is a prefix of itself");
        assert!(prefix.matches(&digest));
    }
    if let Some(prefix) = there_and_back::<DigestPrefix>(text) {
        assert!(
            prefix.matches(
                &format!("{prefix}{:0>width$}", "", width = 64 - prefix.as_str().len())
                    .parse()
                    .expect("digits")
            )
        );
    }
    names(text);
    let (shown, _) = (
        shortened(text),
        format_of([], None).expect("nothing contradicts nothing"),
    );
    assert_inert(&shown, false);
}

/// What a text is read as is read again when it is shown, and is the same then.
fn there_and_back<T>(text: &str) -> Option<T>
where
    T: FromStr<Err: Display> + Display + PartialEq + std::fmt::Debug,
{
    match text.parse::<T>() {
        Ok(value) => {
            let again = value.to_string().parse::<T>();
            assert_eq!(again.ok().as_ref(), Some(&value), "{text:?} is shown as \"{value}\"");
            Some(value)
        }
        Err(error) => {
            assert_message(&error.to_string());
            None
        }
    }
}

fn file_name(text: &str) {
    let parsed = FileName::parse(text);
    let plainly = file_name_plainly(text);
    let told = parsed.map(|name| (name.key.number.get(), name.key.format.extension(), name.compressed));
    assert_eq!(told, plainly, "{text:?}");
    let Some(name) = parsed else { return };
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.'));
    let usual = FileName::parse(&name.key.file_name()).expect("the usual name is a name");
    assert_eq!(usual.key, name.key);
    assert!(usual.lower_case && !usual.padded && !usual.compressed);
    let wanted: Wanted = text.parse().expect("names of files ask for what they hold");
    assert_eq!(
        (wanted.range, wanted.format),
        (name.key.number.into(), Some(name.key.format))
    );
}

/// The grammar, read from the end of the name.
fn file_name_plainly(text: &str) -> Option<(u32, &'static str, bool)> {
    let lower = text.to_ascii_lowercase();
    let (rest, compressed) = lower
        .strip_suffix(".gz")
        .map_or((lower.as_str(), false), |rest| (rest, true));
    let extension = ["txt", "html", "pdf", "xml", "json"]
        .into_iter()
        .find(|extension| rest.ends_with(&format!(".{extension}")))?;
    let digits = rest.strip_suffix(extension)?.strip_suffix('.')?.strip_prefix("rfc")?;
    let only_digits = !digits.is_empty() && digits.len() <= 10 && digits.chars().all(|c| c.is_ascii_digit());
    let number: u64 = only_digits.then(|| digits.parse().ok())??;
    let number = u32::try_from(number).ok().filter(|number| *number > 0)?;
    Some((number, extension, compressed))
}

fn range(text: &str) {
    let Some(range) = there_and_back::<RfcRange>(text) else {
        return;
    };
    assert!(range.first <= range.last, "{range}");
    if let Ok(number) = text.parse::<RfcNumber>() {
        assert_eq!(range, number.into());
    }
}

fn wanted(text: &str) {
    let wanted = match text.parse::<Wanted>() {
        Ok(wanted) => wanted,
        Err(error) => return assert_message(&error.to_string()),
    };
    match wanted.single("this takes one") {
        Ok(single) => assert_eq!((single.number, single.number), (wanted.range.first, wanted.range.last)),
        Err(error) => assert_message(&error.to_string()),
    }
    let formats = [wanted.format, None];
    match format_of(formats, Some(Format::Pdf)) {
        Ok(format) => assert_eq!(format, Some(Format::Pdf)),
        Err(error) => assert_message(&error.to_string()),
    }
}

/// Ranges of small numbers, which overlap and touch often.
fn merged(data: &[u8]) {
    let numbers: Vec<RfcNumber> = data
        .iter()
        .filter_map(|byte| RfcNumber::new(u32::from(*byte)))
        .collect();
    let ranges: Vec<RfcRange> = numbers
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[a, b]| RfcRange {
            first: *a.min(b),
            last: *a.max(b),
        })
        .collect();
    let merged = RfcRange::merged(&ranges);
    if ranges.is_empty() {
        return assert_eq!(merged, [RfcRange::ALL]);
    }
    let members = |ranges: &[RfcRange]| -> BTreeSet<u32> {
        (1..=256)
            .filter(|value| {
                RfcNumber::new(*value).is_some_and(|number| ranges.iter().any(|range| range.contains(number)))
            })
            .collect()
    };
    assert_eq!(members(&merged), members(&ranges));
    for pair in merged.windows(2) {
        assert!(
            pair[0].last.get() + 1 < pair[1].first.get(),
            "{merged:?} touch, or are out of order"
        );
    }
}

fn names(text: &str) {
    let id = there_and_back::<SessionId>(text);
    let token = text.parse::<ResumeToken>();
    assert_eq!(id.is_some(), token.is_ok(), "ids and tokens look alike");
    if let Ok(token) = token {
        assert_eq!(token.reveal(), text);
        assert!(!format!("{token:?}").contains(text), "a secret is shown");
    }
    let Some(name) = there_and_back::<PeerName>(text) else {
        return;
    };
    assert!(id.is_none(), "\"{name}\" is a name and an id");
    assert!((1..=MAX_NAME_BYTES).contains(&name.as_str().len()));
    assert!(
        name.as_str()
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    );
    assert_eq!(name.as_str(), text);
}
