//! One RFC as `rfc-index.txt` tells of it.

use std::str::FromStr;

use p2p_ci::{
    document::RfcNumber,
    facts::{Facts, Issued, Line, Reference},
    text::escaped,
};

use crate::facts::record::doi_of;

/// The forms that `rfc-index.txt` has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// That of the RFC Editor until 2026, which tools are made for: numbers have four digits at least, and the last line of
    /// an entry ends with a space, which is how some find its end.
    #[default]
    Legacy,
    /// That since: numbers as they are, and lines that are broken at hyphens, too.
    Since2026,
}

impl FromStr for Style {
    type Err = ();

    /// Reads `legacy` and `2026`.
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "legacy" => Ok(Self::Legacy),
            "2026" => Ok(Self::Since2026),
            _ => Err(()),
        }
    }
}

/// The first RFC that was published as XML, of which everything else was made: since then HTML is named first.
const FIRST_XML: u32 = 8650;

/// How the formats of RFCs before that one are ordered.
const FORMATS: [&str; 5] = ["TXT", "PS", "PDF", "HTML", "XML"];

/// How those of later ones are.
const LATER_FORMATS: [&str; 5] = ["HTML", "TXT", "PS", "PDF", "XML"];

/// What stands for the title of an RFC of which nobody knows it: tools expect one.
const NO_TITLE: &str = "Untitled";

impl Style {
    /// A number as entries begin with it.
    pub(super) fn number(self, number: RfcNumber) -> String {
        match self {
            Self::Legacy => format!("{:04}", number.get()),
            Self::Since2026 => number.to_string(),
        }
    }

    fn reference(self, reference: &Reference) -> String {
        match self {
            Self::Legacy => reference.padded(),
            Self::Since2026 => reference.unpadded(),
        }
    }

    fn references(self, references: &[Reference], between: &str) -> String {
        let named: Vec<String> = references.iter().map(|one| self.reference(one)).collect();
        named.join(between)
    }
}

/// What an entry says after its number, with single spaces or more between its words, and without any line's end. What
/// nobody knows is left out; what would act on a terminal is escaped.
pub(super) fn told(facts: &Facts, style: Style) -> String {
    let Some(issued) = facts.issued.as_deref() else {
        return "Not Issued.".to_owned();
    };
    let mut told = match issued.title.as_str().trim() {
        "" => format!("{NO_TITLE}."),
        title => format!("{}.", escaped(title)),
    };
    let mut tell = |told_next: String| {
        if !told_next.is_empty() {
            told.push(' ');
            told.push_str(&told_next);
        }
    };
    tell(ended(&joined(issued.authors.iter())));
    tell(ended(
        &issued.published.map(|date| date.to_string()).unwrap_or_default(),
    ));
    tell(labelled("Format: ", &joined(in_order(facts.number, issued))));
    let references = |all: &[Reference]| style.references(all, ", ");
    tell(labelled("Obsoletes ", &references(&issued.obsoletes)));
    tell(labelled("Obsoleted by ", &references(&issued.obsoleted_by)));
    tell(labelled("Updates ", &references(&issued.updates)));
    tell(labelled("Updated by ", &references(&issued.updated_by)));
    let also = match style {
        Style::Legacy => references(&issued.also),
        Style::Since2026 => style.references(&issued.also, ","),
    };
    tell(labelled("Also ", &also));
    tell(labelled("Status: ", issued.status.name()));
    tell(labelled("DOI: ", &escaped(&doi_of(facts)).to_string()));
    told
}

/// The formats of an RFC, in the order of the index.
pub(super) fn in_order(number: RfcNumber, issued: &Issued) -> impl Iterator<Item = &Line> {
    let order = if number.get() < FIRST_XML {
        FORMATS
    } else {
        LATER_FORMATS
    };
    let place = move |format: &&Line| {
        let known = order.iter().position(|name| *name == format.as_str());
        known.unwrap_or(order.len())
    };
    let mut formats: Vec<&Line> = issued.formats.iter().collect();
    formats.sort_by_key(place);
    formats.into_iter()
}

fn joined<'a>(lines: impl Iterator<Item = &'a Line>) -> String {
    let shown: Vec<String> = lines.map(|line| escaped(line.as_str()).to_string()).collect();
    shown.join(", ")
}

/// A sentence, where there is something to say.
fn ended(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!("{text}."),
    }
}

/// A remark in parentheses, where there is something to say.
fn labelled(label: &str, text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!("({label}{text})"),
    }
}
