//! What is told about a mirror that has ended.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use p2p_ci::{
    document::{DocumentKey, RfcNumber},
    message::ranges_of,
    text::escaped,
};

use super::{super::JUST_STARTED, SHOWN_FAILURES, rounds::awaits_holders};
use crate::{
    error::{Exit, PeerError},
    mirror::{Cause, Given, Summary},
    output::{
        Output, human,
        json::{GiverObject, MirrorObject, MirrorSummary},
    },
};

/// Holders that are shown one by one, those that gave most; the rest is summed.
const SHOWN_HOLDERS: usize = 8;

/// Tells what was done, what was not, and who gave what.
pub(super) fn report(summary: &Summary, took: Duration, output: &mut Output) -> Result<Exit, PeerError> {
    for line in failures_of(summary) {
        output.message(line);
    }
    if let Some(error) = &summary.failed {
        output.message(error);
    }
    if summary.interrupted {
        output.wipe_key();
    }
    let exit = exit_of(summary);
    if output.is_json() {
        output.object(&object_of(summary, took))?;
    } else if exit != Exit::NotFound {
        output.lines(lines_of(summary, took))?;
    }
    if exit == Exit::NotFound {
        output.message("no active peer holds any of it; `peer list` shows what there is");
    }
    if summary.interrupted {
        output.message(format_args!(
            "interrupted{}; run it again to go on where it stopped",
            told(summary.left, "still to come")
        ));
    }
    if !summary.interrupted && awaits_holders(summary) {
        output.message("who has it went away; run it again to fetch the rest once they are back");
    }
    if summary.converging {
        output.message(format_args!(
            "{JUST_STARTED}; run it again to fetch what only they have"
        ));
    }
    Ok(exit)
}

/// What could not be had: one line for each reason, however many documents it is the reason of.
fn failures_of(summary: &Summary) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, Vec<DocumentKey>> = BTreeMap::new();
    for (id, problem) in &summary.failures {
        by_reason.entry(&problem.message).or_default().push(id.key);
    }
    let mut reasons: Vec<_> = by_reason.into_iter().collect();
    reasons.sort_by_key(|(_, keys)| Reverse(keys.len()));
    let hidden: usize = reasons.iter().skip(SHOWN_FAILURES).map(|(_, keys)| keys.len()).sum();
    let mut lines: Vec<String> = reasons
        .into_iter()
        .take(SHOWN_FAILURES)
        .map(|(reason, keys)| format!("{}: {}", named(&keys), escaped(reason)))
        .collect();
    if hidden > 0 {
        lines.push(format!("and {hidden} more that could not be had"));
    }
    lines
}

/// `RFC 9110`, or how many documents these are and of which numbers.
fn named(keys: &[DocumentKey]) -> String {
    if let [only] = keys {
        return only.to_string();
    }
    let mut numbers: Vec<RfcNumber> = keys.iter().map(|key| key.number).collect();
    numbers.sort_unstable();
    let documents = human::count(keys.len() as u64, "document");
    format!("{documents} ({})", human::runs(&ranges_of(numbers), human::SHOWN_RUNS))
}

fn object_of(summary: &Summary, took: Duration) -> MirrorObject {
    MirrorObject {
        summary: MirrorSummary {
            fetched: summary.fetched,
            present: summary.present,
            failed: summary.failures.len() as u64,
            left: summary.left,
            kept: summary.kept,
            contested: summary.contested,
            converging: summary.converging,
            bytes: summary.bytes,
            holders: summary.by_holder.len() as u64,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            by_holder: summary
                .givers()
                .into_iter()
                .map(|(name, given)| GiverObject {
                    name: name.to_string(),
                    documents: given.documents,
                    bytes: given.bytes,
                })
                .collect(),
        },
    }
}

/// One line for all, and one for each holder where there are several.
fn lines_of(summary: &Summary, took: Duration) -> String {
    let mut lines = format!(
        "mirrored {}, {} from {} in {} ({} already there, {} failed{}{}{})",
        human::count(summary.fetched, "document"),
        human::bytes(summary.bytes),
        human::count(summary.by_holder.len() as u64, "peer"),
        human::span(took),
        summary.present,
        summary.failures.len(),
        told(summary.kept, "left alone with other bytes"),
        told(summary.contested, "in several versions"),
        told(summary.left, "still to come"),
    );
    let givers = summary.givers();
    if givers.len() < 2 {
        return lines;
    }
    let (shown, hidden) = givers.split_at_checked(SHOWN_HOLDERS).unwrap_or((&givers, &[]));
    let mut add = |what: &str, given: Given| {
        let documents = human::count(given.documents, "document");
        lines.push_str(&format!("\n  {what}: {documents}, {}", human::bytes(given.bytes)));
    };
    for (name, given) in shown {
        add(&escaped(name.as_str()).to_string(), *given);
    }
    if !hidden.is_empty() {
        let rest = hidden.iter().fold(Given::default(), |sum, (_, given)| Given {
            documents: sum.documents + given.documents,
            bytes: sum.bytes + given.bytes,
        });
        add(&format!("{} more", hidden.len()), rest);
    }
    lines
}

/// A count that is worth a word only where there is something to count.
fn told(count: u64, what: &str) -> String {
    if count == 0 {
        String::new()
    } else {
        format!(", {count} {what}")
    }
}

fn exit_of(summary: &Summary) -> Exit {
    let nothing = summary.fetched == 0 && summary.present == 0;
    if summary.interrupted {
        return Exit::Interrupted;
    }
    if summary.failed.is_some() {
        return if nothing { Exit::Failed } else { Exit::Partly };
    }
    match summary.failures.as_slice() {
        [] if nothing && summary.kept == 0 => Exit::NotFound,
        [] if summary.kept > 0 => Exit::Partly,
        [] => Exit::Done,
        failures if nothing && failures.iter().all(|(_, problem)| problem.cause == Cause::WrongBytes) => {
            Exit::Integrity
        }
        _ if nothing => Exit::Unreachable,
        _ => Exit::Partly,
    }
}

#[cfg(test)]
mod tests {
    use p2p_ci::{
        digest::Sha256,
        document::{DocumentId, Format},
    };

    use super::*;
    use crate::mirror::Problem;

    /// A mirror from so many holders, of which each gave less than the one before.
    fn summary(holders: u64) -> Summary {
        let mut summary = Summary::default();
        for at in 0..holders {
            let given = Given {
                documents: holders - at,
                bytes: 100 * (holders - at),
            };
            summary.fetched += given.documents;
            summary.bytes += given.bytes;
            summary.by_holder.insert(format!("peer-{at}").parse().unwrap(), given);
        }
        summary
    }

    #[test]
    fn each_of_several_holders_is_told_and_a_single_one_is_not_told_twice() {
        let lines = |holders| lines_of(&summary(holders), Duration::from_secs(3));
        let whole = "mirrored 1 document, 100 bytes from 1 peer in 3.0 s (0 already there, 0 failed)";
        assert_eq!(lines(1), whole);
        let told = lines(2);
        let (_, rest) = told.split_once('\n').unwrap();
        assert_eq!(
            rest,
            "  peer-0: 2 documents, 200 bytes\n  peer-1: 1 document, 100 bytes"
        );
        let told = lines(12);
        assert_eq!(told.lines().count(), 1 + SHOWN_HOLDERS + 1);
        assert!(told.ends_with("\n  4 more: 10 documents, 1.0 kB"), "{told}");
    }

    #[test]
    fn one_reason_is_told_once_for_all_documents() {
        let failure = |number, message: &str| {
            let key = DocumentKey {
                number: RfcNumber::new(number).unwrap(),
                format: Format::Txt,
            };
            let sha256 = Sha256::of(b"");
            let problem = Problem {
                message: message.to_owned(),
                cause: Cause::Other,
            };
            (DocumentId { key, sha256 }, problem)
        };
        let mut summary = summary(0);
        summary.failures = (1..=62).map(|number| failure(number, "slow: it went away")).collect();
        summary.failures.push(failure(768, "odd: wrong bytes"));
        let lines = failures_of(&summary);
        let expected = ["62 documents (1-62): slow: it went away", "RFC 768: odd: wrong bytes"];
        assert_eq!(lines, expected);
        summary.failures = (1..=99)
            .map(|number| failure(number, &format!("reason {number}")))
            .collect();
        let lines = failures_of(&summary);
        assert_eq!(lines.len(), SHOWN_FAILURES + 1);
        assert_eq!(lines.last().unwrap(), "and 89 more that could not be had");
    }

    #[test]
    fn programs_are_told_of_every_holder() {
        let object = object_of(&summary(12), Duration::from_secs(3));
        let line = crate::output::json::line(&object).unwrap();
        assert!(
            line.contains(r#""by_holder":[{"name":"peer-0","documents":12,"bytes":1200},{"name":"peer-1","#),
            "{line}"
        );
        assert_eq!(object.summary.by_holder.len(), 12);
    }
}
