//! The verbs of the shell: how a line is taken apart, and what is said about one that makes no sense.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::{
    Args, CommandFactory as _, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};
use p2p_ci::{
    digest::DigestPrefix,
    document::{Format, RfcNumber},
    facts::Series,
    registry_url::RegistryUrl,
    text::excerpt,
};

use crate::wanted::{Wanted, WantedError, WantedNumber, WantedWord};

/// A line of the shell.
#[derive(Debug, Parser)]
#[command(
    name = "",
    no_binary_name = true,
    disable_help_subcommand = true,
    disable_version_flag = true
)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

/// What the user can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Registers again, here or at another registry.
    Connect {
        /// The other registry [default: the same].
        #[arg(value_name = "URL")]
        registry: Option<RegistryUrl>,
    },
    /// Shows the registration, the address, and what is shared.
    State,
    /// Copies a file into the shared folder for others to get.
    Add {
        /// The file, which is left as it is.
        path: PathBuf,
        /// The RFC that it holds [default: the one that it is named after].
        #[arg(value_name = "N")]
        number: Option<RfcNumber>,
    },
    /// Shows what the shared folder has of an RFC.
    Query {
        /// The RFCs' numbers.
        #[arg(required = true, value_name = "N", allow_negative_numbers = true, value_parser = parse_own)]
        numbers: Vec<WantedNumber>,
    },
    /// Shows which other peers have an RFC.
    Lookup(LookupVerb),
    /// Lists the documents of the other peers.
    List(ListVerb),
    /// Lists the active peers.
    Peers,
    /// Downloads RFCs into the shared folder.
    #[command(visible_alias = "get")]
    Download(DownloadVerb),
    /// Leaves.
    #[command(visible_alias = "exit")]
    Quit,
    /// Shows the commands, or how one is used.
    Help {
        /// The command.
        #[arg(value_name = "COMMAND")]
        verb: Option<String>,
    },
}

/// `lookup`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct LookupVerb {
    /// The RFCs, as numbers or subseries: 9110, bcp14.
    #[arg(required = true, value_name = "N", allow_negative_numbers = true, value_parser = parse_no_range)]
    pub words: Vec<WantedWord>,
    /// Only this format.
    #[arg(long)]
    pub format: Option<Format>,
}

/// `list`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ListVerb {
    /// Only these RFCs, as numbers or ranges [default: all].
    #[arg(value_name = "RANGES", allow_negative_numbers = true)]
    pub ranges: Vec<Wanted>,
    /// Only this format.
    #[arg(long)]
    pub format: Option<Format>,
}

/// `download`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DownloadVerb {
    /// The RFCs, as numbers, ranges, names of files or subseries: 9110, 1-10, rfc9110.txt, bcp14.
    #[arg(required = true, value_name = "N", allow_negative_numbers = true)]
    pub words: Vec<WantedWord>,
    /// The format to get [default: txt, or that of the file names].
    #[arg(long)]
    pub format: Option<Format>,
    /// Only from this peer: its name, its id or its address.
    #[arg(long, value_name = "PEER")]
    pub from: Option<String>,
    /// Only the document whose digest starts with these digits.
    #[arg(long, value_name = "PREFIX")]
    pub sha256: Option<DigestPrefix>,
    /// Instead of an obsolete RFC, gets those that took its place, followed to today.
    #[arg(long, conflicts_with = "sha256")]
    pub follow: bool,
    /// Replaces existing files whose bytes differ.
    #[arg(long)]
    pub force: bool,
}

fn parse_no_range(text: &str) -> Result<WantedWord, WantedError> {
    match text.parse()? {
        word @ WantedWord::Numbers(wanted) => word.no_range(&format!("list {} shows ranges", wanted.range)),
        word @ WantedWord::Subseries(_) => Ok(word),
    }
}

fn parse_own(text: &str) -> Result<WantedNumber, WantedError> {
    text.parse::<Wanted>()?.single("query takes single numbers")
}

/// What a line was.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// Nothing but white space.
    Nothing,
    /// A verb with its arguments.
    Verb(Box<Verb>),
    /// A verb with `--help`: how it is used.
    Usage(String),
    /// Something else, and what to say about it.
    Mistake(String),
}

/// Takes a line apart.
#[must_use]
pub fn parse(line: &str) -> Parsed {
    let words = match words(line) {
        Ok(words) if words.is_empty() => return Parsed::Nothing,
        Ok(words) => words,
        Err(mistake) => return Parsed::Mistake(mistake.to_owned()),
    };
    match Line::try_parse_from(&words) {
        Ok(line) => Parsed::Verb(Box::new(line.verb)),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Parsed::Usage(error.render().to_string()),
        Err(error) => Parsed::Mistake(mistake(&error, &words)),
    }
}

/// One sentence about what is wrong with a line.
fn mistake(error: &clap::Error, words: &[String]) -> String {
    let typed = words.first().map(String::as_str).unwrap_or_default();
    if error.kind() == ErrorKind::InvalidSubcommand {
        let meant = match error.get(ContextKind::SuggestedSubcommand) {
            Some(ContextValue::Strings(verbs)) => verbs.first().cloned(),
            Some(ContextValue::String(verb)) => Some(verb.clone()),
            _ => None,
        };
        let meant = meant
            .map(|verb| format!("; did you mean \"{verb}\"?"))
            .unwrap_or_default();
        return format!("unknown command \"{}\"{meant} (help lists them)", shortened(typed));
    }
    let rendered = error.render().to_string();
    let told: Vec<&str> = rendered
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    let told = told.join("; ").replace(":; ", ": ");
    let told = told.strip_prefix("error: ").unwrap_or(&told);
    format!(
        "{} (help {} tells more)",
        excerpt(told, MISTAKE_BYTES),
        shortened(typed)
    )
}

/// Bytes of a mistake that are shown: with what stands around it, less than 300.
const MISTAKE_BYTES: usize = 200;

/// Bytes that are shown of a verb that is none.
const VERB_BYTES: usize = 40;

/// Bounds what a message repeats of a verb.
fn shortened(text: &str) -> String {
    excerpt(text, VERB_BYTES)
}

/// The names that a line can begin with, for completion.
#[must_use]
pub fn names() -> Vec<String> {
    let line = Line::command();
    let names = line.get_subcommands().flat_map(|verb| {
        let aliases = verb.get_visible_aliases().map(str::to_owned).collect::<Vec<_>>();
        std::iter::once(verb.get_name().to_owned()).chain(aliases)
    });
    names.collect()
}

/// What `help` shows: all verbs, or how one is used.
#[must_use]
pub fn help(verb: Option<&str>) -> Parsed {
    match verb {
        Some(verb) => parse(&format!("{} --help", shortened(verb).to_lowercase())),
        None => Parsed::Usage(overview()),
    }
}

fn overview() -> String {
    let line = Line::command();
    let rows: Vec<(String, String)> = line
        .get_subcommands()
        .map(|verb| {
            let aliases: Vec<&str> = verb.get_visible_aliases().collect();
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            (
                format!("{} {}", verb.get_name(), arguments(verb)).trim_end().to_owned(),
                also(&about, &aliases),
            )
        })
        .collect();
    let width = rows.iter().map(|(usage, _)| usage.len()).max().unwrap_or(0);
    let rows: Vec<String> = rows
        .iter()
        .map(|(usage, about)| format!("  {usage:width$}  {about}"))
        .collect();
    format!("{}\nCtrl-C stops what is running, Ctrl-D leaves.", rows.join("\n"))
}

/// `about`, with the other names of a verb.
fn also(about: &str, aliases: &[&str]) -> String {
    match aliases {
        [] => about.to_owned(),
        aliases => format!("{about} (also: {})", aliases.join(", ")),
    }
}

/// The positional arguments of a verb, as its usage shows them.
fn arguments(verb: &clap::Command) -> String {
    let shown = verb.get_positionals().map(|argument| {
        let names = argument.get_value_names().unwrap_or_default();
        let name = names
            .first()
            .map_or_else(|| argument.get_id().as_str().to_uppercase(), ToString::to_string);
        let many = if argument.get_num_args().is_some_and(|count| count.max_values() > 1) {
            "..."
        } else {
            ""
        };
        if argument.is_required_set() {
            format!("{name}{many}")
        } else {
            format!("[{name}]{many}")
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// The words of a line. Quotes keep spaces together; a backslash keeps the next character as it is, except within
/// single quotes. `RFC 9110` is one word, because people write it so; and `BCP 14`, where subseries can be asked for.
fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => {
                let next = chars.next().ok_or("a backslash at the end of the line keeps nothing")?;
                word.get_or_insert_default().push(next);
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    if let Some(verb) = words.first_mut() {
        *verb = verb.to_lowercase();
    }
    Ok(joined(words))
}

/// Verbs that take subseries. Others take files, which may be called like that.
const OF_SUBSERIES: [&str; 3] = ["lookup", "download", "get"];

/// Joins the name of a series and a number that follows it.
fn joined(words: Vec<String>) -> Vec<String> {
    let takes_subseries = words.first().is_some_and(|verb| OF_SUBSERIES.contains(&verb.as_str()));
    let is_series = |word: &str| {
        Series::ALL
            .into_iter()
            .filter(|series| *series == Series::Rfc || takes_subseries && series.is_subseries())
            .any(|series| series.name().eq_ignore_ascii_case(word))
    };
    let mut joined: Vec<String> = Vec::new();
    for word in words {
        let starts_with_digit = word.starts_with(|c: char| c.is_ascii_digit());
        match joined.last_mut() {
            Some(last) if is_series(last) && starts_with_digit => last.push_str(&word),
            _ => joined.push(word),
        }
    }
    joined
}
