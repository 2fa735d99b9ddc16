//! `peer info`: what is known about an RFC, and what took its place.

use std::collections::BTreeSet;

use p2p_ci::{
    document::RfcNumber,
    facts::{Facts, Issued, Line, Reference, Source},
    message::Holder,
    text::escaped,
};

use super::{Context, hints::circular, tally::Tally};
use crate::{
    config::InfoArgs,
    error::{Exit, PeerError},
    facts::{
        Chain,
        inquiry::{Inquired, inquire},
        record::doi_of,
    },
    limits::ASK_PATIENCE,
    output::{Output, human, json::InfoObject, screen::Screen},
    state::StateDir,
};

/// Columns of the names before what is known.
const LABEL_COLUMNS: usize = 15;

/// Columns of a text for people, however wide their screen is: longer lines are hard to read.
const TEXT_COLUMNS: usize = 100;

/// Runs the command.
///
/// # Errors
///
/// When neither the registry nor any peer known from before can be asked, or stdout cannot be written to. That nobody
/// knows anything of an RFC is no error but an [`Exit`].
pub async fn run(context: &Context, args: &InfoArgs) -> Result<Exit, PeerError> {
    let mut output = Output::standard(args.json);
    let context = match StateDir::resolve(&args.state) {
        Ok(state) => context.remembering(&state),
        Err(_) => context.clone(),
    };
    show(&context, &args.wanted, &mut output).await
}

/// Shows what is known of each RFC once, in the order in which they were asked for.
///
/// # Errors
///
/// As [`run`].
pub async fn show(context: &Context, wanted: &[Reference], output: &mut Output) -> Result<Exit, PeerError> {
    let inquired = inquire(context, wanted, true, ASK_PATIENCE).await?;
    let mut tally = Tally::default();
    let mut shown = Shown::default();
    for reference in wanted {
        let numbers = match reference.rfc() {
            Some(number) => vec![number],
            None => inquired.catalogue.members(*reference),
        };
        if reference.rfc().is_none() && !numbers.is_empty() && !output.is_json() {
            let members = listed(&numbers, Reference::to_rfc);
            output.lines(format_args!("{}{reference} is {members}", shown.gap()))?;
        }
        let mut is_known = false;
        for number in numbers {
            is_known |= show_one(&inquired, number, &mut shown, output)?;
        }
        if !is_known {
            output.message(format_args!("no active peer knows anything of {reference}"));
        }
        tally.count(if is_known { Exit::Done } else { Exit::NotFound });
    }
    Ok(tally.exit())
}

/// Shows an RFC that was not shown before; whether anything is known of it.
fn show_one(inquired: &Inquired, number: RfcNumber, shown: &mut Shown, output: &mut Output) -> Result<bool, PeerError> {
    let Some(facts) = inquired.catalogue.get(number) else {
        return Ok(false);
    };
    if !shown.numbers.insert(number) {
        return Ok(true);
    }
    let chain = inquired.catalogue.chain(number);
    if output.is_json() {
        output.object(&InfoObject::new(&facts, &chain))?;
    } else {
        let described = described(&facts, &chain, &inquired.told_by, output.screen());
        output.lines(format_args!("{}{described}", shown.gap()))?;
    }
    if chain.is_circular {
        output.message(circular(number));
    }
    Ok(true)
}

/// What was shown so far.
#[derive(Debug, Default)]
struct Shown {
    numbers: BTreeSet<RfcNumber>,
    any: bool,
}

impl Shown {
    /// What parts the next block from the one before.
    fn gap(&mut self) -> &'static str {
        if std::mem::replace(&mut self.any, true) {
            "\n"
        } else {
            ""
        }
    }
}

/// `RFC 9110, RFC 9112`.
fn listed<T: Copy>(all: &[T], reference: impl Fn(T) -> Reference) -> String {
    let shown: Vec<String> = all.iter().map(|one| reference(*one).to_string()).collect();
    shown.join(", ")
}

/// What is known of an RFC as a person reads it.
fn described(facts: &Facts, chain: &Chain, told_by: &[Holder], screen: Screen) -> String {
    let width = screen.columns.unwrap_or(usize::MAX).min(TEXT_COLUMNS);
    let number = facts.number;
    let Some(issued) = facts.issued.as_deref() else {
        return format!("RFC {number} was never issued");
    };
    let mut page = Page {
        lines: wrapped(
            &format!("RFC {number}: {}", escaped(issued.title.as_str())),
            "",
            "  ",
            width,
        ),
        width,
    };
    tell_what_it_is(&mut page, facts, issued);
    let references = |all: &[Reference]| listed(all, |reference| reference);
    page.tell("also", &references(&issued.also));
    page.tell("obsoletes", &references(&issued.obsoletes));
    page.tell("obsoleted by", &references(&issued.obsoleted_by));
    page.tell("current is", &listed(&chain.current, Reference::to_rfc));
    page.tell("updates", &references(&issued.updates));
    page.tell("updated by", &references(&issued.updated_by));
    page.tell("keywords", &texts(&issued.keywords, ", "));
    page.tell("DOI", &doi_of(facts));
    if issued.has_errata {
        page.tell("errata", &format!("https://www.rfc-editor.org/errata/rfc{number}"));
    }
    page.tell("source", &source_of(facts, told_by));
    for paragraph in issued.summary.as_str().split("\n\n").filter(|text| !text.is_empty()) {
        page.lines.push(String::new());
        page.lines
            .extend(wrapped(&escaped(paragraph).to_string(), "  ", "  ", width));
    }
    page.lines.join("\n")
}

/// Where this comes from, and through whom.
fn source_of(facts: &Facts, told_by: &[Holder]) -> String {
    let what = match facts.source {
        Source::Record => "metadata record",
        Source::Index => "index of all RFCs",
        Source::Text => "the text itself",
    };
    let day = facts.as_of.map(human::utc);
    let day = day.as_deref().and_then(|time| time.split('T').next());
    let day = day.map(|day| format!(" of {day}")).unwrap_or_default();
    let names: Vec<&str> = told_by.iter().map(|holder| holder.name.as_str()).collect();
    format!("{what}{day}, told by {}", names.join(", "))
}

fn tell_what_it_is(page: &mut Page, facts: &Facts, issued: &Issued) {
    page.tell("authors", &texts(&issued.authors, ", "));
    let published = issued.published.map(|date| date.to_string()).unwrap_or_default();
    let pages = issued
        .pages
        .map(|pages| human::count(pages.into(), "page"))
        .unwrap_or_default();
    page.tell("published", &joined([published, pages]));
    let status = issued.status.name().to_owned();
    let was = match issued.published_as {
        published_as if published_as == issued.status || facts.source == Source::Text => String::new(),
        published_as => format!("published as {published_as}"),
    };
    page.tell("status", &joined([status, was]));
    let stream = issued.stream.map(|stream| stream.name().to_owned()).unwrap_or_default();
    let group = issued.group.as_ref().map(|group| escaped(group.as_str()).to_string());
    page.tell("stream", &joined([stream, group.unwrap_or_default()]));
}

/// Those of two texts that there are.
fn joined(parts: [String; 2]) -> String {
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

fn texts(lines: &[Line], between: &str) -> String {
    let shown: Vec<String> = lines.iter().map(|line| escaped(line.as_str()).to_string()).collect();
    shown.join(between)
}

/// Names and values, one below the other.
struct Page {
    lines: Vec<String>,
    width: usize,
}

impl Page {
    /// A value under its name, unless there is none.
    fn tell(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            let first = format!("  {name:<width$}", width = LABEL_COLUMNS - 2);
            let rest = " ".repeat(LABEL_COLUMNS);
            self.lines.extend(wrapped(value, &first, &rest, self.width));
        }
    }
}

fn wrapped(text: &str, first: &str, rest: &str, width: usize) -> Vec<String> {
    let options = textwrap::Options::new(width)
        .initial_indent(first)
        .subsequent_indent(rest);
    textwrap::wrap(text, options)
        .into_iter()
        .map(|line| line.into_owned())
        .collect()
}
