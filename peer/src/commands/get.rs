//! `peer get`: downloads RFCs by their numbers.

mod report;

use p2p_ci::{
    document::{DocumentKey, Format, RfcNumber, RfcRange},
    shutdown::Signals,
    text::escaped,
};

use self::report::report;
use super::{
    Context, blocking, durability_of,
    hints::{Hints, info_tells},
    tally::Tally,
};
use crate::{
    config::{DurabilityArg, GetArgs, TargetArgs},
    destination::Destination,
    directory::Directory,
    error::{Exit, PeerError},
    getter::{Getter, Wish},
    library::StoreError,
    limits,
    output::{
        Output, human,
        json::{GetObject, SuccessorsObject},
        progress::Progress,
    },
    state::StateDir,
    wanted::{Wanted, format_of},
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
    let asked = numbers_of(args)?;
    let told = args
        .ranges
        .iter()
        .map(|wanted| wanted.format.or(args.format).or(Some(Format::Txt)));
    let format = format_of(told, args.format)?.unwrap_or(Format::Txt);
    let mut output = Output::standard(args.target.json);
    tokio::pin!(interrupted);
    let by_themselves = asked.iter().filter(|asked| !asked.in_range);
    let hints = Hints::ask(context, by_themselves.map(|asked| asked.number));
    let opening = async {
        let download = Download::open(context, args, format, asked.len(), hints).await?;
        let checked = download.getter.check_holder().await;
        Ok::<_, PeerError>((download, checked))
    };
    let opened = tokio::select! {
        opened = opening => opened,
        () = &mut interrupted => return Ok(tell_interrupted(&mut output)),
    };
    let (mut download, checked) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            tell_failed(&asked, format, &error, &mut output)?;
            return Err(error);
        }
    };
    if let Err(error) = checked {
        tell_failed(&asked, format, &error, &mut output)?;
        if dooms_all(&error) {
            return Err(error);
        }
        output.message(&error);
        return Ok(error.exit());
    }
    let ended = tokio::select! {
        ended = download.get_each(&asked, &mut output) => Some(ended),
        () = &mut interrupted => None,
    };
    download.finish(&mut output).await?;
    match ended {
        Some(ended) => ended?,
        None => return Ok(tell_interrupted(&mut output)),
    }
    // All is done, so that there is nothing to interrupt.
    tokio::select! {
        () = download.hints.tell(&download.got, info_tells, &mut output) => {}
        () = &mut interrupted => {}
    }
    Ok(download.tally.exit())
}

/// Tells programs of each RFC what all of them fail of.
fn tell_failed(asked: &[Asked], format: Format, error: &PeerError, output: &mut Output) -> Result<(), PeerError> {
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

fn tell_interrupted(output: &mut Output) -> Exit {
    output.wipe_key();
    output.message("interrupted; what was saved before is complete");
    Exit::Interrupted
}

/// An RFC that was asked for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    number: RfcNumber,
    /// Whether it was asked for as one of a range.
    in_range: bool,
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
    /// Those of them that were got.
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
            tally: Tally::default(),
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
            tell_failed(std::slice::from_ref(asked), self.format, &error, output)?;
            tell_failed(left.as_slice(), self.format, &error, output)?;
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
        self.got.push(asked.number);
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

    /// Tells in one line which RFCs of ranges nobody has.
    fn tell_missing(&self, output: &mut Output) {
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
    fn tell_no_room(&self, output: &mut Output) {
        let others = self.no_room.as_deref().unwrap_or_default();
        if !others.is_empty() {
            let runs = human::runs(&RfcRange::merged(others), human::SHOWN_RUNS);
            output.message(format_args!("nor is there space for {runs}"));
        }
    }
}

/// Whether what failed for one RFC would fail for each, or for most: the registry, or the folder to write to.
fn dooms_all(error: &PeerError) -> bool {
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
    numbers_of(args).is_err()
}

/// The numbers asked for, bounded.
fn numbers_of(args: &GetArgs) -> Result<Vec<Asked>, PeerError> {
    let too_many = || {
        PeerError::Usage(format!(
            "more than {} RFCs; `peer mirror` fetches many at once",
            limits::MAX_GET_NUMBERS
        ))
    };
    let mut numbers = Vec::new();
    for Wanted { range, .. } in &args.ranges {
        let count = u64::from(range.last.get() - range.first.get()) + 1;
        if numbers.len() as u64 + count > limits::MAX_GET_NUMBERS as u64 {
            return Err(too_many());
        }
        let in_range = count > 1;
        let of_range = (range.first.get()..=range.last.get()).filter_map(RfcNumber::new);
        numbers.extend(of_range.map(|number| Asked { number, in_range }));
    }
    Ok(numbers)
}
