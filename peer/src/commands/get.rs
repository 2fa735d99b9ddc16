//! `peer get`: downloads RFCs by their numbers.

mod asked;
mod failing;
mod following;
mod report;

use std::ops::ControlFlow;

use p2p_ci::{
    document::{DocumentKey, Format, RfcNumber, RfcRange},
    shutdown::Signals,
};

use self::{
    asked::{Asked, Wishes},
    failing::{dooms_all, tell_each_failed, tell_failed, tell_interrupted, tell_unknown},
    following::Known,
    report::report,
};
use super::{Context, blocking, durability_of, hints::Hints, tally::Tally};
use crate::{
    config::{DurabilityArg, GetArgs, TargetArgs},
    destination::Destination,
    directory::Directory,
    error::{Exit, PeerError},
    getter::{Getter, Wish},
    known::Memory,
    library::StoreError,
    output::{
        Output, human,
        json::{GetObject, SuccessorsObject},
        progress::Progress,
    },
    state::StateDir,
    wanted::{WantedWord, format_of},
};

/// Downloads each RFC that was asked for, until a signal arrives.
///
/// # Errors
///
/// As [`get_all`].
pub async fn run(context: &Context, args: &GetArgs) -> Result<Exit, PeerError> {
    let mut signals = Signals::install().map_err(PeerError::system("cannot catch signals"))?;
    let interrupted = async move {
        signals.next().await;
    };
    // Without a home, there is nothing to remember anybody in.
    let context = match StateDir::resolve(&args.state) {
        Ok(state) => context.remembering(&state),
        Err(_) => context.clone(),
    };
    get_all(&context, args, interrupted).await
}

/// Downloads each RFC that was asked for, until it is `interrupted`: what was not finished by then leaves nothing
/// behind. What was learnt of other peers is kept.
///
/// # Errors
///
/// [`PeerError`] where nothing at all could be tried; what fails for one RFC is told and counted.
pub(super) async fn get_all(
    context: &Context,
    args: &GetArgs,
    interrupted: impl Future<Output = ()>,
) -> Result<Exit, PeerError> {
    let told = args.words.iter().map(WantedWord::format);
    let told = told.map(|format| format.or(args.format).or(Some(Format::Txt)));
    let format = format_of(told, args.format)?.unwrap_or(Format::Txt);
    let mut output = Output::standard(args.target.json);
    tokio::pin!(interrupted);
    let begun = tokio::select! {
        begun = begin(context, args, format, &mut output) => begun?,
        () = &mut interrupted => return Ok(tell_interrupted(&mut output)),
    };
    let (mut download, asked) = match begun {
        ControlFlow::Continue(begun) => begun,
        ControlFlow::Break(exit) => return Ok(exit),
    };
    let ended = tokio::select! {
        ended = download.get_each(&asked, &mut output) => Some(ended),
        () = &mut interrupted => None,
    };
    download.finish(&mut output).await?;
    match ended {
        Some(ended) => ended?,
        None => return Ok(tell_interrupted(&mut output)),
    }
    let what_to_do = |_| "--follow gets those".to_owned();
    // All is done, so that there is nothing to interrupt.
    tokio::select! {
        () = download.hints.tell(&download.got, what_to_do, &mut output) => {}
        () = &mut interrupted => {}
    }
    Ok(download.tally.exit())
}

/// Finds out what is asked for, and makes ready to get it. Ends the command where the one peer is not there that is to be
/// asked.
async fn begin<'a>(
    context: &Context,
    args: &'a GetArgs,
    format: Format,
    output: &mut Output,
) -> Result<ControlFlow<Exit, (Download<'a>, Vec<Asked>)>, PeerError> {
    let wishes = Wishes::new(&args.words, None)?;
    let mut asking = context.clone();
    if !args.offline_ok {
        asking.memory = Memory::default();
    }
    let hints = match Hints::about(&asking, &args.words, args.follow, !args.no_hints).await {
        Ok(hints) => hints,
        Err(error) => {
            tell_failed(&wishes, format, &error, output)?;
            return Err(error);
        }
    };
    let mut known = Known {
        hints: &hints,
        follows: args.follow,
        output,
    };
    let wishes = Wishes::new(&args.words, Some(&mut known))?;
    let tally = tell_unknown(&wishes, &hints, output)?;
    let asked = wishes.asked;
    let opened = async {
        let download = Download::open(context, args, format, asked.len(), hints, tally).await?;
        let checked = download.getter.check_holder().await;
        Ok::<_, PeerError>((download, checked))
    };
    let error = match opened.await {
        Ok((download, Ok(()))) => return Ok(ControlFlow::Continue((download, asked))),
        Ok((_, Err(error))) if !dooms_all(&error) => {
            tell_each_failed(&asked, format, &error, output)?;
            output.message(&error);
            return Ok(ControlFlow::Break(error.exit()));
        }
        Ok((_, Err(error))) | Err(error) => error,
    };
    tell_each_failed(&asked, format, &error, output)?;
    Err(error)
}

/// Downloads of one command line.
struct Download<'a> {
    args: &'a GetArgs,
    format: Format,
    destination: Destination,
    directory: Directory,
    getter: Getter,
    tally: Tally,
    /// What took the place of those RFCs that were asked for by themselves.
    hints: Hints,
    /// Those of them that were got, unless what took their place was got instead and that was told.
    got: Vec<RfcNumber>,
    /// RFCs of ranges that nobody has, which people are told together.
    missing: Vec<RfcRange>,
    /// RFCs for which the disk had no room; `None` as long as it had.
    no_room: Option<Vec<RfcRange>>,
    /// Whether it was said that the registry cannot be asked.
    told_lost: bool,
}

impl<'a> Download<'a> {
    async fn open(
        context: &Context,
        args: &'a GetArgs,
        format: Format,
        files: usize,
        hints: Hints,
        tally: Tally,
    ) -> Result<Self, PeerError> {
        let directory = Directory::open(context.clone(), args.offline_ok).await?;
        let durability = durability_of(&durable(&args.target, files));
        let destination = Destination::new(args.target.to.clone(), durability).await?;
        let wish = Wish {
            format,
            from: args.from.clone(),
            sha256_prefix: args.sha256.clone().unwrap_or_default(),
            replace: args.target.force,
        };
        Ok(Self {
            args,
            format,
            getter: Getter::new(directory.clone(), destination.clone(), wish),
            directory,
            destination,
            tally,
            hints,
            got: Vec::new(),
            missing: Vec::new(),
            no_room: None,
            told_lost: false,
        })
    }

    fn key(&self, number: RfcNumber) -> DocumentKey {
        DocumentKey {
            number,
            format: self.format,
        }
    }

    async fn get_each(&mut self, asked: &[Asked], output: &mut Output) -> Result<(), PeerError> {
        let mut left = asked.iter();
        while let Some(asked) = left.next() {
            self.tell_lost(output);
            let error = match self.get_one(*asked, output).await {
                Ok(exit) => {
                    self.tally.count(exit);
                    continue;
                }
                Err(error) => error,
            };
            if !dooms_all(&error) {
                return Err(error);
            }
            tell_each_failed(std::slice::from_ref(asked), self.format, &error, output)?;
            tell_each_failed(left.as_slice(), self.format, &error, output)?;
            if !self.tally.any_done() {
                return Err(error);
            }
            // What was got before is there, and the rest would fail alike.
            output.message(format_args!("{}: {error}", self.key(asked.number)));
            let untried: Vec<RfcRange> = left.as_slice().iter().map(|asked| asked.number.into()).collect();
            if !untried.is_empty() {
                let runs = human::runs(&RfcRange::merged(&untried), human::SHOWN_RUNS);
                output.message(format_args!("not tried any more: {runs}"));
            }
            self.tally.count(error.exit());
            break;
        }
        Ok(())
    }

    /// Tells what is told together, and settles what was got and what was learnt.
    async fn finish(&self, output: &mut Output) -> Result<(), PeerError> {
        self.tell_missing(output);
        self.tell_no_room(output);
        let context = self.directory.context();
        let (memory, registry) = (context.memory.clone(), context.registry.clone());
        let finished = self.destination.finish().await;
        blocking("remembering peers", move || memory.save(&registry)).await?;
        finished
    }

    async fn get_one(&mut self, asked: Asked, output: &mut Output) -> Result<Exit, PeerError> {
        let progress = std::sync::OnceLock::new();
        let shown_on: &Output = output;
        let started = |entry: &p2p_ci::message::DocumentEntry| {
            let bar = Progress::download(shown_on, &entry.document.id.key.to_string(), entry.document.size_bytes);
            // Called once a download; a second bar would be a defect without harm.
            let _ = progress.set(bar);
        };
        let received = |bytes: u64| {
            if let Some(bar) = progress.get() {
                Progress::advance(bar, bytes);
            }
        };
        let result = self.getter.get(asked.number, started, &received).await;
        if let Some(bar) = progress.get() {
            bar.finish();
        }
        self.tell_lost(output);
        let error = match result {
            Ok(got) => {
                let successors = self.successors(asked, output).await;
                report(&got, self.args.from.as_deref(), successors, output)?;
                return Ok(Exit::Done);
            }
            Err(error) => error,
        };
        if dooms_all(&error) {
            return Err(error);
        }
        if output.is_json() {
            output.object(&GetObject::failed(self.key(asked.number), &error))?;
        } else if asked.in_range && self.args.sha256.is_none() && matches!(error, PeerError::NotFound(_)) {
            self.missing.push(asked.number.into());
            return Ok(error.exit());
        }
        // What is smaller may fit; that nothing does is told once.
        match &mut self.no_room {
            _ if !matches!(error, PeerError::Store(StoreError::NoSpace { .. })) => output.message(&error),
            Some(others) => others.push(asked.number.into()),
            none => {
                *none = Some(Vec::new());
                output.message(format_args!("{}: {error}", self.key(asked.number)));
            }
        }
        Ok(error.exit())
    }

    /// What took the place of an RFC that was got. Programs wait for that, people are told at the end.
    async fn successors(&mut self, asked: Asked, output: &Output) -> SuccessorsObject {
        if asked.in_range {
            return SuccessorsObject::default();
        }
        if !self.args.follow {
            self.got.push(asked.number);
        }
        if output.is_json() {
            self.hints.object(asked.number).await
        } else {
            SuccessorsObject::default()
        }
    }

    /// Says once that the registry cannot be asked, and who is asked instead.
    fn tell_lost(&mut self, output: &mut Output) {
        let Some(why) = self.directory.lost().filter(|_| !self.told_lost) else {
            return;
        };
        output.message(format_args!("{why}; asking the peers known from before instead"));
        self.told_lost = true;
    }
}

/// Files up to which each is forced to the disk by itself: forcing the whole file system once, which is cheaper for
/// many, waits for whatever else the machine is writing.
const FEW_FILES: usize = 16;

fn durable(args: &TargetArgs, files: usize) -> TargetArgs {
    let mut args = args.clone();
    if files <= FEW_FILES {
        args.durability.get_or_insert(DurabilityArg::File);
    }
    args
}

/// Whether these are more RFCs than one command line may ask for.
pub(super) fn is_too_much(args: &GetArgs) -> bool {
    Wishes::new(&args.words, None).is_err()
}
