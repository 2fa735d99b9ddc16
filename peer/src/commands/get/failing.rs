//! What is told about downloads that failed.

use p2p_ci::{
    document::{DocumentKey, Format, RfcRange},
    text::escaped,
};

use super::{
    Download,
    asked::{Asked, Wishes},
};
use crate::{
    commands::{hints::Hints, tally::Tally},
    error::{Exit, PeerError},
    library::StoreError,
    output::{
        Output, human,
        json::{GetObject, GetOutcome, UnknownObject},
    },
};

/// Whether what failed for one RFC would fail for each, or for most: the registry, or the folder to write to.
pub(super) fn dooms_all(error: &PeerError) -> bool {
    matches!(
        error,
        PeerError::Registry { .. }
            | PeerError::Store(
                StoreError::NoParent(_)
                    | StoreError::NotAFolder(_)
                    | StoreError::NotWritable { .. }
                    | StoreError::PartFolder(_)
                    | StoreError::NoFiles(_)
            )
    )
}

/// Tells programs of each wish what all of them fail of.
pub(super) fn tell_failed(
    wishes: &Wishes,
    format: Format,
    error: &PeerError,
    output: &mut Output,
) -> Result<(), PeerError> {
    if !output.is_json() {
        return Ok(());
    }
    for series in &wishes.unknown {
        output.object(&UnknownObject::new(*series, Some(GetOutcome::Failed), error))?;
    }
    tell_each_failed(&wishes.asked, format, error, output)
}

/// Tells programs of each RFC what all of them fail of.
pub(super) fn tell_each_failed(
    asked: &[Asked],
    format: Format,
    error: &PeerError,
    output: &mut Output,
) -> Result<(), PeerError> {
    if !output.is_json() {
        return Ok(());
    }
    asked.iter().try_for_each(|asked| {
        let key = DocumentKey {
            number: asked.number,
            format,
        };
        output.object(&GetObject::failed(key, error))
    })
}

/// Tells which subseries cannot be got because nobody knows what RFCs they are, and counts them.
pub(super) fn tell_unknown(wishes: &Wishes, hints: &Hints, output: &mut Output) -> Result<Tally, PeerError> {
    let mut tally = Tally::default();
    for series in &wishes.unknown {
        let error = hints.why_unknown(*series);
        if output.is_json() {
            output.object(&UnknownObject::new(*series, Some(GetOutcome::Failed), &error))?;
        }
        output.message(&error);
        tally.count(error.exit());
    }
    Ok(tally)
}

/// Tells that not all could be done that was asked for.
pub(super) fn tell_interrupted(output: &mut Output) -> Exit {
    output.wipe_key();
    output.message("interrupted; what was saved before is complete");
    Exit::Interrupted
}

impl Download<'_> {
    /// Tells in one line which RFCs of ranges nobody has.
    pub(super) fn tell_missing(&self, output: &mut Output) {
        let [first, ..] = self.missing.as_slice() else {
            return;
        };
        let runs = RfcRange::merged(&self.missing);
        let who = match &self.args.from {
            Some(from) => format!("{} does not have", escaped(from)),
            None => "no active peer has".to_owned(),
        };
        let count = human::numbers(&runs);
        if count == 1 {
            output.message(format_args!("{who} {}", self.key(first.first)));
            return;
        }
        let format = match self.format {
            Format::Txt => String::new(),
            other @ (Format::Html | Format::Pdf | Format::Xml | Format::Json) => format!(" as {other}"),
        };
        output.message(format_args!(
            "{who} {count} of them{format}: {}",
            human::runs(&runs, human::SHOWN_RUNS)
        ));
    }

    /// Tells in one line for which other RFCs there was no room.
    pub(super) fn tell_no_room(&self, output: &mut Output) {
        let others = self.no_room.as_deref().unwrap_or_default();
        if !others.is_empty() {
            let runs = human::runs(&RfcRange::merged(others), human::SHOWN_RUNS);
            output.message(format_args!("nor is there space for {runs}"));
        }
    }
}
