//! `peer lookup`: who has an RFC.

use std::{collections::HashSet, fmt::Write as _};

use p2p_ci::{
    client::{CallError, registry::LookedUp},
    document::{DocumentKey, Format, RfcNumber},
    limits,
    message::{DocumentEntry, LookupManyQuery},
    text::escaped,
};

use super::{
    Context, JUST_STARTED,
    hints::{Hints, info_tells, tell_members},
};
use crate::{
    config::LookupArgs,
    error::{Exit, PeerError},
    output::{
        Output,
        json::{DocumentObject, MissingObject, UnknownObject},
        screen::Screen,
    },
    wanted::{WantedWord, format_of},
};

/// Runs the command.
///
/// # Errors
///
/// When the registry cannot be asked, or stdout cannot be written to. That nobody has an RFC is no error but an
/// [`Exit`].
pub async fn run(context: &Context, args: &LookupArgs) -> Result<Exit, PeerError> {
    let mut output = Output::standard(args.json);
    show(context, args, &mut output).await
}

/// Shows the documents of each number once, in the order in which they were asked for.
///
/// # Errors
///
/// As [`run`].
pub async fn show(context: &Context, args: &LookupArgs, output: &mut Output) -> Result<Exit, PeerError> {
    let format = format_of(args.words.iter().map(WantedWord::format), args.format)?;
    let mut hints = Hints::about(context, &args.words, false, true).await?;
    let Named { numbers, unknown } = named(&args.words, &hints, output)?;
    let client = context.connect().await?;
    let mut found = Vec::new();
    // Whether what was not found may be known soon.
    let mut converging = false;
    for batch in numbers.chunks(limits::MAX_LOOKUP_NUMBERS) {
        let query = LookupManyQuery {
            numbers: batch.to_vec(),
            format,
            max_holders: limits::MAX_HOLDERS,
        };
        let mut answers = client
            .lookup_many(query)
            .await
            .map_err(|error| context.registry_error(error))?;
        for number in batch {
            let answer = answers.next().await.map_err(|error| context.registry_error(error))?;
            let answer = answer.filter(|answer| answer.number == number.get());
            let Some(answer) = answer else {
                let what = format!("it left out RFC {number}, which it was asked for");
                return Err(context.registry_error(CallError::Violation(what)));
            };
            if answer.documents.is_empty() {
                let told = nobody_has(*number, format);
                if output.is_json() {
                    let error = PeerError::NotFound(told.clone());
                    output.object(&MissingObject::new(*number, format, &error))?;
                }
                output.message(told);
                converging |= answer.converging;
                continue;
            }
            let LookedUp {
                documents, converging, ..
            } = &answer;
            show_documents(documents, *converging, !found.is_empty(), &mut hints, output).await?;
            found.push(*number);
        }
    }
    hints.tell(&found, info_tells, output).await;
    if converging {
        output.message(JUST_STARTED);
    }
    Ok(match found.len() {
        0 => Exit::NotFound,
        found if found == numbers.len() && unknown == 0 => Exit::Done,
        _ => Exit::Partly,
    })
}

/// What words ask for.
pub(super) struct Named {
    /// Each number once.
    pub(super) numbers: Vec<RfcNumber>,
    /// How many subseries there are beside them of which nobody knows what RFCs they are.
    unknown: usize,
}

/// What words without ranges ask for, in their order. Tells what subseries are.
pub(super) fn named(words: &[WantedWord], hints: &Hints, output: &mut Output) -> Result<Named, PeerError> {
    let (mut seen, mut met) = (HashSet::new(), HashSet::new());
    let mut named = Named {
        numbers: Vec::new(),
        unknown: 0,
    };
    let references = words.iter().filter_map(WantedWord::reference);
    for reference in references.filter(|reference| met.insert(*reference)) {
        let members = match reference.rfc() {
            Some(number) => vec![number],
            None => hints.members(reference),
        };
        if members.is_empty() {
            let error = hints.why_unknown(reference);
            if output.is_json() {
                output.object(&UnknownObject::new(reference, None, &error))?;
            }
            output.message(error);
            named.unknown += 1;
        } else if reference.rfc().is_none() {
            tell_members(reference, &members, output);
        }
        named
            .numbers
            .extend(members.into_iter().filter(|number| seen.insert(*number)));
    }
    Ok(named)
}

/// The sentence for an RFC that no active peer has.
#[must_use]
pub fn nobody_has(number: RfcNumber, format: Option<Format>) -> String {
    match format {
        Some(format) => format!("no active peer has {}", DocumentKey { number, format }),
        None => format!("no active peer has RFC {number}"),
    }
}

/// Shows the documents of one number, apart from those of the number before. Programs are told with each what took the
/// RFC's place.
pub(super) async fn show_documents(
    documents: &[DocumentEntry],
    converging: bool,
    mut apart: bool,
    hints: &mut Hints,
    output: &mut Output,
) -> Result<(), PeerError> {
    for entry in documents {
        if output.is_json() {
            let successors = hints.object(entry.document.id.key.number).await;
            output.object(&DocumentObject::new(entry, converging).followed_by(successors))?;
            continue;
        }
        let gap = if std::mem::replace(&mut apart, true) { "\n" } else { "" };
        output.lines(format_args!("{gap}{}", described(entry, output.screen())))?;
    }
    Ok(())
}

/// A document as a person reads it, on several lines. The digest stands whole on a line of less than 80 columns.
fn described(entry: &DocumentEntry, screen: Screen) -> String {
    let document = &entry.document;
    let mut heading = format!("RFC {}", document.id.key.number);
    if !document.title.as_str().is_empty() {
        // Writing into a string cannot fail.
        let _ = write!(heading, ": {}", escaped(document.title.as_str()));
    }
    let mut lines = vec![
        screen.fit(&heading),
        format!("  format   {}, {} bytes", document.id.key.format, document.size_bytes),
        format!("  SHA-256  {}", document.id.sha256),
    ];
    let name_width = entry
        .holders
        .iter()
        .map(|holder| holder.name.as_str().len())
        .max()
        .unwrap_or(0);
    let mut holders = entry
        .holders
        .iter()
        .map(|holder| format!("{:name_width$}  {}", holder.name, holder.address));
    let further = u64::from(entry.holder_count).saturating_sub(u64::try_from(entry.holders.len()).unwrap_or(u64::MAX));
    match holders.next() {
        Some(first) => lines.push(format!("  holders  {first}")),
        None => lines.push(format!("  holders  {further}, none of which others can reach")),
    }
    lines.extend(holders.map(|holder| format!("           {holder}")));
    if further > 0 && !entry.holders.is_empty() {
        lines.push(format!("           and {further} more"));
    }
    lines.join("\n")
}
