//! Titles: from the metadata record where there is one, else from the first page of the text.

use std::borrow::Cow;

use p2p_ci::document::{Format, Title};
use serde::Deserialize;

/// The first bytes of a text in which its title is looked for: a first page has less than 4,000 characters, and some
/// texts start with an empty one.
const TEXT_HEAD_BYTES: usize = 8 * 1024;

/// The largest metadata record that is read: real ones have less than 10 KB.
const RECORD_BYTES: usize = 1024 * 1024;

/// Blocks of lines that are looked at before the title is given up.
const MAX_BLOCKS: usize = 12;

/// Lines of a title. Longer blocks are prose.
const MAX_TITLE_LINES: usize = 6;

/// Characters of a title: the longest real one has 222.
const MAX_TITLE_CHARS: usize = 240;

/// The column from which on a line is set to the right: names, places and dates of the heading, never a title.
const RIGHT_COLUMN: usize = 36;

/// The width to which tabs are expanded, as printers did.
const TAB_WIDTH: usize = 8;

/// How many of its first bytes a file of this format is asked for.
#[must_use]
pub const fn head_bytes(format: Format) -> usize {
    match format {
        Format::Txt => TEXT_HEAD_BYTES,
        Format::Json => RECORD_BYTES,
        Format::Html | Format::Pdf | Format::Xml => 0,
    }
}

/// The title that a file tells, given its first [`head_bytes`]; empty when it tells none.
#[must_use]
pub fn of_file(format: Format, head: &[u8], size_bytes: u64) -> Title {
    let whole = u64::try_from(head.len()).is_ok_and(|length| length == size_bytes);
    match format {
        Format::Txt => of_text(head),
        Format::Json if whole => of_record(head),
        Format::Json | Format::Html | Format::Pdf | Format::Xml => Title::default(),
    }
}

/// The title in a metadata record. Whatever is odd about the record, it then tells no title: no JSON object, the field
/// repeated, missing or no string. How deep other fields are nested does not matter: they are skipped without recursion.
fn of_record(record: &[u8]) -> Title {
    #[derive(Deserialize)]
    struct Record<'a> {
        #[serde(borrow)]
        title: Cow<'a, str>,
    }
    let record = record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record);
    // serde takes a list as well, for one whose fields are in order.
    if !record.trim_ascii_start().starts_with(b"{") {
        return Title::default();
    }
    serde_json::from_slice::<Record<'_>>(record)
        .map(|record| Title::from_lossy(&record.title))
        .unwrap_or_default()
}

/// The title on the first page of a text.
///
/// A first page has a heading (the block that says `Request for Comments: 1149` or the like, with the authors to the
/// right), perhaps more blocks of that kind, and then the title as a block of its own. Where that block looks like
/// prose or like a section, the text tells no title: none is better than a wrong one.
pub(super) fn of_text(head: &[u8]) -> Title {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let mut blocks = blocks(head).take(MAX_BLOCKS);
    let heading = blocks.find(|block| block.iter().any(|line| names_an_rfc(&line.text)));
    let Some(heading) = heading else {
        return Title::default();
    };
    if let Some(title) = labelled_title(&heading) {
        return title;
    }
    let mut title = String::new();
    for block in blocks {
        if let Some(labelled) = labelled_title(&block) {
            return labelled;
        }
        if block
            .iter()
            .all(|line| line.indent >= RIGHT_COLUMN || is_date(&line.text))
            || block.iter().any(|line| is_heading(&line.text))
        {
            continue;
        }
        let lines: Vec<&str> = block
            .iter()
            .map(|line| line.text.as_str())
            .take_while(|line| !is_rule(line) && !is_date(line) && !is_section(line))
            .collect();
        if lines.is_empty() {
            if block.first().is_some_and(|line| is_section(&line.text)) {
                break;
            }
            continue;
        }
        lines.iter().for_each(|line| join(&mut title, line));
        if lines.len() > MAX_TITLE_LINES || is_prose(&title) {
            return Title::default();
        }
        if !is_unfinished(&title) {
            break;
        }
    }
    Title::from_lossy(&title)
}

/// A line without the white space around it.
struct Line {
    indent: usize,
    text: String,
}

/// The text's blocks: lines between empty lines. Found one by one, since the title is in one of the first.
fn blocks(text: &[u8]) -> impl Iterator<Item = Vec<Line>> + '_ {
    let mut lines = text.split(|byte| matches!(byte, b'\n' | b'\r' | b'\x0c'));
    std::iter::from_fn(move || {
        let mut block = Vec::new();
        for line in lines.by_ref() {
            let line = str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed);
            let trimmed = line.trim_start();
            if !trimmed.is_empty() {
                let blank = line.get(..line.len() - trimmed.len()).unwrap_or_default();
                block.push(line_of(blank, trimmed));
            } else if !block.is_empty() {
                break;
            }
        }
        (!block.is_empty()).then_some(block)
    })
}

fn line_of(blank: &str, trimmed: &str) -> Line {
    let indent = blank.chars().fold(0, |column, c| match c {
        '\t' => (column / TAB_WIDTH + 1) * TAB_WIDTH,
        _ => column + 1,
    });
    let mut text = String::with_capacity(trimmed.len());
    for word in trimmed.split_whitespace() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    Line { indent, text }
}

/// Appends a line of a title; a word that was divided at the end of a line is put together with its rest.
fn join(title: &mut String, line: &str) {
    let divided = title.ends_with('-') && !title.ends_with(" -") && !title.ends_with("--");
    if !title.is_empty() && !divided {
        title.push(' ');
    }
    title.push_str(line);
}

/// Whether a line says of which RFC this is the text: `Request for Comments: 1149`, `RFC 768`, `RFC-3`, `NWG/RFC# 734`.
fn names_an_rfc(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    if line.contains("request for comment") || line.contains("requests for comment") {
        return true;
    }
    line.match_indices("rfc").any(|(position, _)| {
        let after = line.get(position + 3..).unwrap_or_default();
        after
            .trim_start_matches([' ', ':', '#', '-'])
            .starts_with(|c: char| c.is_ascii_digit())
    })
}

/// The title of texts that say `Title: Host Software`.
fn labelled_title(block: &[Line]) -> Option<Title> {
    block.iter().find_map(|line| {
        let (label, title) = line.text.split_once(':')?;
        let title = Title::from_lossy(title);
        (label.eq_ignore_ascii_case("title") && !title.as_str().is_empty()).then_some(title)
    })
}

/// Whether a line belongs to the heading.
fn is_heading(line: &str) -> bool {
    const STARTS: [&str; 6] = [
        "network working group",
        "arpa network working group",
        "nic ",
        "nic#",
        "see also",
        "references",
    ];
    const LABELS: [&str; 17] = [
        "category",
        "categories",
        "issn",
        "std",
        "bcp",
        "fyi",
        "nic",
        "reference",
        "related",
        "related documents",
        "author",
        "date",
        "installation",
        "status",
        "replaces",
        "supersedes",
        "ien",
    ];
    const RELATIONS: [&str; 4] = ["obsoletes", "updates", "obsoleted by", "updated by"];
    let line = line.to_ascii_lowercase();
    let line = line.trim_start_matches('(');
    let related = RELATIONS.iter().filter_map(|word| line.strip_prefix(word)).any(|rest| {
        let rest = rest.trim_start_matches([' ', ':']);
        line.contains(':') || rest.starts_with("rfc") || rest.starts_with("ien") || rest.starts_with(char::is_numeric)
    });
    let labelled = line
        .split_once([':', '#'])
        .is_some_and(|(label, _)| LABELS.contains(&label.trim_end()));
    related || labelled || STARTS.iter().any(|start| line.starts_with(start)) || line == "nic"
}

/// Whether a line is the name of a section that follows a title.
fn is_section(line: &str) -> bool {
    const SECTIONS: [&str; 16] = [
        "abstract",
        "status of this memo",
        "status of the memo",
        "status of this document",
        "status of this rfc",
        "introduction",
        "table of contents",
        "contents",
        "copyright notice",
        "preface",
        "foreword",
        "overview",
        "summary",
        "purpose",
        "background",
        "note",
    ];
    let line = line.to_ascii_lowercase();
    let name = line
        .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, 'i' | 'v' | 'x' | '.'))
        .trim_matches([' ', '.', ':']);
    SECTIONS.contains(&name) || SECTIONS.contains(&line.trim_matches([' ', '.', ':']))
}

/// Whether a line is drawn: dashes under a title, a frame.
fn is_rule(line: &str) -> bool {
    !line.chars().any(char::is_alphanumeric)
}

/// Whether a line is a date: a month, a year, perhaps a day.
fn is_date(line: &str) -> bool {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let line = line.to_ascii_lowercase();
    let mut months = 0;
    let mut numbers = 0;
    let parts = line
        .split(|c: char| !c.is_alphanumeric())
        .filter(|part| !part.is_empty());
    for part in parts {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            numbers += 1;
        } else if part.len() >= 3 && MONTHS.iter().any(|month| month.starts_with(part)) {
            months += 1;
        } else {
            return false;
        }
    }
    months == 1 && (1..=2).contains(&numbers)
}

/// Whether what was taken for a title is a sentence, an address or a remark. Titles are written in capitals, wholly or
/// at the start of most words; a sentence ends with a full stop or a colon, or was cut at its start.
fn is_prose(title: &str) -> bool {
    let words = title.split_whitespace().count();
    let capitals = title
        .split_whitespace()
        .filter(|word| word.starts_with(char::is_uppercase));
    let sentence = title.ends_with(['.', ':']) || title.starts_with(char::is_lowercase);
    title.chars().count() > MAX_TITLE_CHARS
        || title.contains('@')
        || title.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("to:"))
        || (sentence && 3 * capitals.count() < words)
}

/// Whether a title goes on in the next block: `Resource ReSerVation Protocol (RSVP) --`.
fn is_unfinished(title: &str) -> bool {
    const LINKS: [&str; 10] = ["of", "the", "for", "and", "to", "in", "on", "with", "a", "an"];
    let last = title.split_whitespace().next_back().unwrap_or_default();
    title.is_empty() || title.ends_with([':', '-', ',']) || LINKS.contains(&last.to_ascii_lowercase().as_str())
}
