//! One exit code for a command that was asked for many things.

use crate::error::Exit;

/// How each of many things ended that a command was asked for.
#[derive(Debug, Default)]
pub(super) struct Tally {
    done: usize,
    failed: Vec<Exit>,
}

impl Tally {
    /// One more has ended.
    pub(super) fn count(&mut self, exit: Exit) {
        if exit == Exit::Done {
            self.done += 1
        } else {
            self.failed.push(exit)
        }
    }

    /// Whether anything is done.
    pub(super) fn any_done(&self) -> bool {
        self.done > 0
    }

    /// One exit code for all of them.
    pub(super) fn exit(&self) -> Exit {
        match self.failed.as_slice() {
            [] => Exit::Done,
            _ if self.done > 0 => Exit::Partly,
            [first, rest @ ..] if rest.iter().all(|exit| exit == first) => *first,
            _ => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_of_many() {
        let exit = |exits: &[Exit]| {
            let mut tally = Tally::default();
            exits.iter().for_each(|exit| tally.count(*exit));
            tally.exit()
        };
        assert_eq!(exit(&[Exit::Done, Exit::Done]), Exit::Done);
        assert_eq!(exit(&[Exit::Done, Exit::NotFound]), Exit::Partly);
        assert_eq!(exit(&[Exit::NotFound, Exit::NotFound]), Exit::NotFound);
        assert_eq!(exit(&[Exit::NotFound, Exit::Integrity]), Exit::Failed);
    }
}
