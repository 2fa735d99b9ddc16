//! What is got in place of what was typed: the RFCs of subseries, and what took the place of obsolete ones.

use p2p_ci::{
    document::{RfcNumber, RfcRange},
    facts::Reference,
};

use crate::{
    commands::hints::{Hints, leads_back, tell_members},
    facts::Chain,
    output::{Output, human},
};

/// What is known of RFCs before they are got, and whom to tell what follows from it.
pub(super) struct Known<'a> {
    /// What peers say.
    pub(super) hints: &'a Hints,
    /// Whether obsolete RFCs are followed.
    pub(super) follows: bool,
    /// Where that is told.
    pub(super) output: &'a mut Output,
}

impl Known<'_> {
    /// The RFCs of a subseries; none where nobody knows.
    pub(super) fn members(&mut self, series: Reference) -> Vec<RfcNumber> {
        let members = self.hints.members(series);
        if !members.is_empty() {
            tell_members(series, &members, self.output);
        }
        members
    }

    /// What to get of the RFCs of one word, which may be a range: each, or what took its place. What leads nowhere but back to
    /// itself is got as it was asked for.
    pub(super) fn followed(&mut self, numbers: Vec<RfcNumber>, range: Option<RfcRange>) -> Vec<RfcNumber> {
        if !self.follows {
            return numbers;
        }
        let (mut followed, mut obsolete, mut circular) = (Vec::new(), Vec::new(), Vec::new());
        for number in numbers {
            let chain = self.hints.chain(number);
            if range.is_none() {
                self.tell(number, &chain);
            }
            if chain.current.is_empty() {
                circular.extend(chain.is_circular.then(|| RfcRange::from(number)));
                followed.push(number);
            } else {
                obsolete.push(number.into());
                followed.extend(chain.current);
            }
        }
        if let Some(range) = range {
            self.tell_range(range, &obsolete, &circular);
        }
        followed
    }

    /// Tells of an RFC what is got in its place, and why nothing is.
    fn tell(&mut self, number: RfcNumber, chain: &Chain) {
        if !chain.current.is_empty() {
            let instead = human::rfcs(&chain.current);
            self.output.message(format_args!(
                "RFC {number} is obsolete: getting {instead}, which took its place"
            ));
        } else if chain.is_circular {
            self.output
                .message(format_args!("{}; it is got as asked for", leads_back(number)));
        }
    }

    /// The same of those of a range together.
    fn tell_range(&mut self, range: RfcRange, obsolete: &[RfcRange], circular: &[RfcRange]) {
        if !obsolete.is_empty() {
            let obsolete = runs(obsolete);
            self.output.message(format_args!(
                "obsolete among {range}: {obsolete}; what took over is got instead"
            ));
        }
        if !circular.is_empty() {
            let circular = runs(circular);
            self.output.message(format_args!(
                "among {range}, what is said to have taken over leads back to where it began; got as asked for: {circular}"
            ));
        }
    }
}

fn runs(numbers: &[RfcRange]) -> String {
    human::runs(&RfcRange::merged(numbers), human::SHOWN_RUNS)
}
