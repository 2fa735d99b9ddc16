//! What took the place of an obsolete RFC: asked while something else is done, and told when that is done.

use std::collections::BTreeSet;

use p2p_ci::{document::RfcNumber, facts::Reference, limits as shared_limits};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::Context;
use crate::{
    error::PeerError,
    facts::{Catalogue, Chain, inquiry::inquire},
    limits::{ASK_PATIENCE, HINT_ASK_PATIENCE, HINT_PATIENCE, MAX_SUBSERIES_RFCS},
    output::{Output, human, json::SuccessorsObject},
    wanted::WantedWord,
};

/// A question that peers are asked meanwhile, and their answer once it is there. Whoever drops it ends the asking.
#[derive(Debug)]
pub(super) struct Hints {
    asking: Option<AbortOnDropHandle<Catalogue>>,
    /// Until when the answer is worth waiting for.
    deadline: Instant,
    known: Catalogue,
}

impl Hints {
    /// Asks about the RFCs that words of a command line name: those of ranges only if they are to be `followed`, and where
    /// neither is needed for anything else, only if it is to be `told`. What is to be followed, and
    /// what subseries are, must be known before anything else can be done, and so it is waited for.
    ///
    /// # Errors
    ///
    /// As [`inquire`], where it is waited for.
    pub(super) async fn about(
        context: &Context,
        words: &[WantedWord],
        followed: bool,
        told: bool,
    ) -> Result<Self, PeerError> {
        let mut met = BTreeSet::new();
        let mut wanted: Vec<Reference> = Vec::new();
        let mut is_needed = followed;
        for word in words {
            let named: Vec<Reference> = match word {
                WantedWord::Numbers(numbers) if followed => numbers.each().map(Reference::to_rfc).collect(),
                WantedWord::Numbers(_) | WantedWord::Subseries(_) => word.reference().into_iter().collect(),
            };
            is_needed |= matches!(word, WantedWord::Subseries(_));
            wanted.extend(named.into_iter().filter(|reference| met.insert(*reference)));
        }
        let mut hints = Self {
            asking: None,
            deadline: Instant::now() + HINT_PATIENCE,
            known: Catalogue::default(),
        };
        if is_needed {
            hints.known = inquire(context, &wanted, true, ASK_PATIENCE).await?.catalogue;
        } else if told {
            hints.ask(context, wanted);
        }
        Ok(hints)
    }

    /// Asks meanwhile: about the first ones of very many.
    fn ask(&mut self, context: &Context, mut wanted: Vec<Reference>) {
        wanted.truncate(shared_limits::MAX_DESCRIBE_REFERENCES);
        let context = context.clone();
        self.asking = (!wanted.is_empty()).then(|| asked_for(async move { answer(&context, &wanted).await }));
    }

    /// What an RFC leads to today, as far as is known by now.
    pub(super) fn chain(&self, number: RfcNumber) -> Chain {
        self.known.chain(number)
    }

    /// The RFCs of a subseries among the words; none where nobody knows, or somebody is wrong.
    pub(super) fn members(&self, series: Reference) -> Vec<RfcNumber> {
        let mut members = self.known.members(series);
        if members.len() > MAX_SUBSERIES_RFCS {
            members.clear();
        }
        members
    }

    /// Why nobody knows that.
    pub(super) fn why_unknown(&self, series: Reference) -> PeerError {
        PeerError::NotFound(match self.known.members(series).len() {
            0 => format!("no active peer knows which RFCs {series} is"),
            many => format!("{series} is said to be {many} RFCs; somebody is wrong"),
        })
    }

    /// Waits for the answer for as long as it is worth it.
    async fn settle(&mut self) {
        let Some(asking) = self.asking.take() else { return };
        match timeout_at(self.deadline, asking).await {
            Ok(Ok(known)) => self.known = known,
            Ok(Err(error)) => tracing::debug!(%error, "asking what took the place of RFCs has failed"),
            Err(_) => tracing::debug!("what took the place of RFCs is not told in time"),
        }
    }

    /// What took the place of an RFC, for programs.
    pub(super) async fn object(&mut self, number: RfcNumber) -> SuccessorsObject {
        self.settle().await;
        let direct: Vec<RfcNumber> = self.known.successors(number).into_iter().collect();
        SuccessorsObject::new(&direct, &self.known.chain(number).current)
    }

    /// Tells of each of these RFCs once, if it is obsolete, and `what_to_do` about that. Programs find it in the objects,
    /// and are told only what is wrong.
    pub(super) async fn tell(
        &mut self,
        numbers: &[RfcNumber],
        what_to_do: impl Fn(RfcNumber) -> String,
        output: &mut Output,
    ) {
        if numbers.is_empty() {
            return;
        }
        self.settle().await;
        let mut told = BTreeSet::new();
        for number in numbers.iter().filter(|number| told.insert(**number)) {
            let Chain {
                current, is_circular, ..
            } = self.known.chain(*number);
            if !current.is_empty() && !output.is_json() {
                output.message(obsolete(*number, &current, &what_to_do(*number)));
            }
            if is_circular {
                output.message(circular(*number));
            }
        }
    }
}

fn asked_for(answer: impl Future<Output = Catalogue> + Send + 'static) -> AbortOnDropHandle<Catalogue> {
    AbortOnDropHandle::new(tokio::spawn(answer))
}

/// What peers know. That they cannot be asked is told by what else is done, if it matters there.
async fn answer(context: &Context, wanted: &[Reference]) -> Catalogue {
    match inquire(context, wanted, true, HINT_ASK_PATIENCE).await {
        Ok(inquired) => inquired.catalogue,
        Err(error) => {
            tracing::debug!(%error, "nobody can be asked what took the place of RFCs");
            Catalogue::default()
        }
    }
}

/// The sentence for an RFC that is obsolete, and `what_to_do`.
fn obsolete(number: RfcNumber, current: &[RfcNumber], what_to_do: &str) -> String {
    format!(
        "RFC {number} is obsolete: {} took its place; {what_to_do}",
        human::rfcs(current)
    )
}

/// Tells people which RFCs a subseries is.
pub(super) fn tell_members(series: Reference, members: &[RfcNumber], output: &mut Output) {
    if !output.is_json() {
        output.message(format_args!("{series} is {}", human::rfcs(members)));
    }
}

/// What tells more about an RFC.
pub(super) fn info_tells(number: RfcNumber) -> String {
    format!("`peer info {number}` tells more")
}

/// The sentence for an RFC that is said to have taken the place of what took its place.
pub(super) fn circular(number: RfcNumber) -> String {
    format!("{}; somebody is wrong", leads_back(number))
}

/// Its beginning.
pub(super) fn leads_back(number: RfcNumber) -> String {
    format!("RFC {number}: what is said to have taken its place leads back to itself")
}

#[cfg(test)]
impl Hints {
    /// What is known without asking anybody.
    pub(super) fn knowing(known: Catalogue) -> Self {
        Self {
            asking: None,
            deadline: Instant::now(),
            known,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::Arc, time::Duration};

    use super::*;

    fn hints(answer: impl Future<Output = Catalogue> + Send + 'static) -> Hints {
        Hints {
            asking: Some(asked_for(answer)),
            deadline: Instant::now() + HINT_PATIENCE,
            known: Catalogue::default(),
        }
    }

    fn number(value: u32) -> RfcNumber {
        RfcNumber::new(value).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_costs_no_more_than_the_patience_and_only_once() {
        let started = Instant::now();
        let mut hints = hints(pending());
        tokio::time::sleep(HINT_PATIENCE / 4).await;
        hints.settle().await;
        assert_eq!(started.elapsed(), HINT_PATIENCE);
        hints.settle().await;
        assert_eq!(started.elapsed(), HINT_PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_answered_meanwhile_counts_however_late_it_is_needed() {
        use p2p_ci::{
            document::UnixSeconds,
            facts::{Facts, Issued, Source},
        };
        let mut catalogue = Catalogue::default();
        let issued = Issued {
            obsoletes: vec![Reference::to_rfc(number(1))],
            ..Issued::default()
        };
        let facts = Facts {
            number: number(2),
            source: Source::Text,
            as_of: None,
            issued: Some(Box::new(issued)),
        };
        catalogue.learn(facts, UnixSeconds::now());
        let mut hints = hints(async { catalogue });
        tokio::time::sleep(HINT_PATIENCE * 2).await;
        hints.settle().await;
        assert_eq!(hints.known.chain(number(1)).current, [number(2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_ends_the_asking() {
        let alive = Arc::new(());
        let held = Arc::downgrade(&alive);
        let asking = hints(async move {
            let _alive = alive;
            pending().await
        });
        tokio::task::yield_now().await;
        drop(asking);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(held.upgrade().is_none(), "it asks on");
    }

    #[test]
    fn sentences_are_bounded() {
        let many: Vec<RfcNumber> = (4_294_967_000..=4_294_967_295).map(number).collect();
        let told = obsolete(many[0], &many, &info_tells(many[0]));
        assert!(told.len() <= 300 && circular(many[0]).len() <= 300, "{told}");
    }
}
