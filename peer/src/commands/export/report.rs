//! What is told about an export.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    commands::mirror::shown,
    error::{Exit, PeerError},
    export::{Layout, Summary},
    output::{Output, human, json::ExportObject},
};

/// Files that are told one by one; the rest is counted.
const SHOWN_FILES: usize = 10;

/// Tells of one round after the other, and of each trouble once.
#[derive(Debug)]
pub(super) struct Report {
    layout: Layout,
    target: PathBuf,
    told: HashSet<String>,
    is_first: bool,
}

impl Report {
    pub(super) fn new(layout: Layout, target: PathBuf) -> Self {
        Self {
            layout,
            target,
            told: HashSet::new(),
            is_first: true,
        }
    }

    /// The folder that is filled.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Tells what was done; of a later round, only where something was.
    pub(super) fn tell(&mut self, summary: &Summary, took: Duration, output: &mut Output) -> Result<(), PeerError> {
        for (troubles, more) in [
            (&summary.kept, "more that were left as they are"),
            (&summary.failed, "more that could not be exported"),
        ] {
            let new: Vec<&String> = troubles
                .iter()
                .filter(|trouble| !self.told.contains(*trouble))
                .collect();
            for trouble in new.iter().take(SHOWN_FILES) {
                output.message(trouble);
            }
            if let Some(hidden) = new.len().checked_sub(SHOWN_FILES).filter(|hidden| *hidden > 0) {
                output.message(format_args!("and {hidden} {more}"));
            }
        }
        let troubles = summary.kept.iter().chain(&summary.failed);
        self.told.extend(troubles.cloned());
        if let Some(error) = &summary.stopped {
            output.message(error);
        }
        if summary.is_interrupted {
            output.wipe_key();
        }
        if std::mem::take(&mut self.is_first) || !summary.is_quiet() {
            if output.is_json() {
                output.object(&ExportObject::new(summary, self.layout, &self.target, took))?;
            } else {
                output.lines(self.line(summary, took))?;
            }
        }
        if summary.is_interrupted && summary.left > 0 {
            let left = human::count(summary.left, "file");
            output.message(format_args!(
                "interrupted, {left} still to come; run it again to go on where it stopped"
            ));
        }
        Ok(())
    }

    fn line(&self, summary: &Summary, took: Duration) -> String {
        let target = shown(&self.target);
        if summary.removed > 0 {
            let removed = human::count(summary.removed, "file");
            return format!("removed {removed} from {target}, whose documents are gone");
        }
        let told = [
            (summary.linked, "by hard link"),
            (summary.cloned, "sharing blocks"),
            (summary.copied, "copied"),
            (summary.made, "made"),
            (summary.present, "already there"),
            (summary.kept.len() as u64, "left alone with other bytes"),
            (summary.failed.len() as u64, "failed"),
            (summary.left, "still to come"),
            (summary.incomplete, "sets left out, as they lack a text"),
        ];
        let told: Vec<String> = told
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        format!(
            "exported {}, {} to {target} in {} ({})",
            human::count(summary.exported(), "file"),
            human::bytes(summary.bytes),
            human::span(took),
            told.join(", ")
        )
    }
}

/// How an export ended.
pub(super) fn exit_of(summary: &Summary) -> Exit {
    let is_nothing = summary.exported() == 0 && summary.present == 0;
    if summary.is_interrupted {
        return Exit::Interrupted;
    }
    let is_whole = summary.kept.is_empty() && summary.failed.is_empty() && summary.stopped.is_none();
    match (is_whole, is_nothing && summary.kept.is_empty()) {
        (true, _) => Exit::Done,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Partly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{library::StoreError, output::screen::Screen};

    #[test]
    fn each_trouble_is_told_once_and_quiet_rounds_are_not() {
        let (lines, messages) = (
            crate::output::tests::Buffer::default(),
            crate::output::tests::Buffer::default(),
        );
        let mut output = Output::new(lines.clone(), messages.clone(), false, Screen::ENDLESS);
        let mut report = Report::new(Layout::Flat, "/t".into());
        let second = Duration::from_secs(1);
        let mut summary = Summary {
            linked: 2,
            made: 1,
            bytes: 2000,
            kept: (0..12).map(|number| format!("rfc{number}.txt is kept")).collect(),
            ..Summary::default()
        };
        report.tell(&summary, second, &mut output).unwrap();
        assert_eq!(
            lines.text(),
            "exported 3 files, 2.0 kB to /t in 1.0 s (2 by hard link, 1 made, 12 left alone with other bytes)\n"
        );
        assert_eq!(messages.text().lines().count(), SHOWN_FILES + 1);
        assert!(messages.text().ends_with("and 2 more that were left as they are\n"));
        let before = messages.text();
        (summary.linked, summary.made, summary.present) = (0, 0, 3);
        report.tell(&summary, second, &mut output).unwrap();
        assert_eq!(
            (lines.text().lines().count(), messages.text()),
            (1, before),
            "nothing new"
        );
        summary.removed = 1;
        report.tell(&summary, second, &mut output).unwrap();
        assert!(
            lines
                .text()
                .ends_with("\nremoved 1 file from /t, whose documents are gone\n")
        );
    }

    #[test]
    fn exits_say_what_is_left() {
        let full = || Some(StoreError::NoFiles("/t".into()));
        let kept = || vec![String::new()];
        let exits = |summary: Summary| exit_of(&summary);
        let there = || Summary {
            present: 1,
            ..Summary::default()
        };
        assert_eq!(exits(there()), Exit::Done);
        assert_eq!(
            exits(Summary {
                kept: kept(),
                ..Summary::default()
            }),
            Exit::Partly
        );
        assert_eq!(
            exits(Summary {
                failed: kept(),
                ..there()
            }),
            Exit::Partly
        );
        assert_eq!(
            exits(Summary {
                stopped: full(),
                ..there()
            }),
            Exit::Partly
        );
        assert_eq!(
            exits(Summary {
                stopped: full(),
                ..Summary::default()
            }),
            Exit::Failed
        );
        assert_eq!(
            exits(Summary {
                is_interrupted: true,
                kept: kept(),
                ..there()
            }),
            Exit::Interrupted
        );
    }
}
