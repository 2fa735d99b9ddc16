//! `peer get`: downloads RFCs by their numbers.

use std::path::Path;

use p2p_ci::{
    document::{Document, RfcNumber},
    message::Holder,
    shutdown::Signals,
};

use super::{Context, target_of};
use crate::{
    config::{DurabilityArg, GetArgs, TargetArgs},
    error::{Exit, PeerError},
    getter::{Getter, Got, How, Wish},
    limits,
    output::{
        Output, human,
        json::{GetObject, GetOutcome, HolderObject},
        progress::Progress,
    },
    versions::is_tie,
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
    get_all(context, args, interrupted).await
}

/// Downloads each RFC that was asked for, until it is `interrupted`: what was not finished by then leaves nothing
/// behind.
///
/// # Errors
///
/// [`PeerError`] where nothing at all could be tried; what fails for one RFC is told and counted.
pub(super) async fn get_all(
    context: &Context,
    args: &GetArgs,
    interrupted: impl Future<Output = ()>,
) -> Result<Exit, PeerError> {
    let numbers = numbers_of(args)?;
    let mut output = Output::standard(args.target.json);
    tokio::pin!(interrupted);
    let client = tokio::select! {
        client = context.connect() => client?,
        () = &mut interrupted => return Ok(Exit::Interrupted),
    };
    let target = target_of(&durable(&args.target, numbers.len())).await?;
    let wish = Wish {
        format: args.format,
        from: args.from.clone(),
        sha256_prefix: args.sha256.clone().unwrap_or_default(),
        replace: args.target.force,
    };
    let getter = Getter::new(context.clone(), client, target.clone(), wish);
    let mut tally = Tally::default();
    let mut is_interrupted = false;
    for number in numbers {
        let result = tokio::select! {
            result = get_one(&getter, number, args, &mut output) => result,
            () = &mut interrupted => {
                is_interrupted = true;
                break;
            }
        };
        match result {
            Ok(exit) => tally.count(exit),
            // What was got before is there, and the rest would fail alike.
            Err(error @ PeerError::Registry { .. }) if tally.done > 0 => {
                output.message(&error);
                tally.count(error.exit());
                break;
            }
            Err(error) => return Err(error),
        }
    }
    super::blocking("writing to the disk", move || target.finish()).await??;
    Ok(if is_interrupted {
        Exit::Interrupted
    } else {
        tally.exit()
    })
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

/// The numbers asked for, bounded.
fn numbers_of(args: &GetArgs) -> Result<Vec<RfcNumber>, PeerError> {
    let too_many = || {
        PeerError::Usage(format!(
            "more than {} RFCs; `peer mirror` fetches many at once",
            limits::MAX_GET_NUMBERS
        ))
    };
    let mut numbers = Vec::new();
    for range in &args.ranges {
        let count = u64::from(range.last.get() - range.first.get()) + 1;
        if numbers.len() as u64 + count > limits::MAX_GET_NUMBERS as u64 {
            return Err(too_many());
        }
        numbers.extend((range.first.get()..=range.last.get()).filter_map(RfcNumber::new));
    }
    Ok(numbers)
}

async fn get_one(getter: &Getter, number: RfcNumber, args: &GetArgs, output: &mut Output) -> Result<Exit, PeerError> {
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
    let result = getter.get(number, started, &received).await;
    if let Some(bar) = progress.get() {
        bar.finish();
    }
    match result {
        Ok(got) => {
            report(&got, output)?;
            Ok(Exit::Done)
        }
        Err(error @ PeerError::Registry { .. }) => Err(error),
        Err(error) => {
            let key = p2p_ci::document::DocumentKey {
                number,
                format: args.format,
            };
            if output.is_json() {
                output.object(&GetObject::failed(key, &error))?;
            }
            output.message(&error);
            Ok(error.exit())
        }
    }
}

/// Tells what was got, from whom, how fast, and that it was verified.
pub(super) fn report(got: &Got, output: &mut Output) -> Result<(), PeerError> {
    let document = &got.entry.document;
    let key = document.id.key;
    let sha256 = document.id.sha256;
    for (version, why) in &got.missed {
        output.message(format_args!(
            "{key}: SHA-256 {}, which most peers have, could not be had: {}; took the next version",
            version.document.id.sha256.fmt_short(),
            p2p_ci::text::escaped(why),
        ));
    }
    for other in &got.others {
        output.message(format_args!(
            "{key} exists with other bytes too: SHA-256 {} ({}); --sha256 chooses",
            other.document.id.sha256.fmt_short(),
            human::count(u64::from(other.holder_count), "holder"),
        ));
    }
    if !got.others.is_empty() {
        let holders = human::count(u64::from(got.entry.holder_count), "holder");
        let tie = got.others.iter().any(|other| is_tie(&got.entry, other));
        let why = if tie {
            "; a tie, which the smaller digest wins"
        } else {
            ""
        };
        output.message(format_args!(
            "{key}: took SHA-256 {} ({holders}{why})",
            sha256.fmt_short()
        ));
    }
    match &got.how {
        How::Present(path) if output.is_json() => {
            output.object(&described(GetObject::new(key, GetOutcome::Present), document, path))
        }
        How::Present(path) => {
            let path = p2p_ci::text::escaped(&path.to_string_lossy()).to_string();
            output.lines(format_args!(
                "{key}: {path} is already there with the same bytes, SHA-256 {sha256}"
            ))
        }
        How::Fetched(fetched) => {
            for detour in &fetched.detours {
                let Holder { name, address, .. } = &detour.holder;
                let error = p2p_ci::text::escaped(&detour.error.to_string()).to_string();
                output.message(format_args!(
                    "{key}: {name} ({address}) failed: {error}; went on elsewhere"
                ));
            }
            if output.is_json() {
                let mut object = described(GetObject::new(key, GetOutcome::Saved), document, &fetched.path);
                object.holder = Some(HolderObject::from(&fetched.holder));
                object.duration = Some(fetched.duration);
                return output.object(&object);
            }
            output.lines(format_args!(
                "{key}: saved as {}, {} bytes from {} ({}), {}, SHA-256 verified {sha256}",
                p2p_ci::text::escaped(&fetched.path.to_string_lossy()),
                document.size_bytes,
                fetched.holder.name,
                fetched.holder.address,
                human::rate(fetched.received_bytes, fetched.duration),
            ))
        }
    }
}

fn described<'a>(mut object: GetObject<'a>, document: &Document, path: &'a Path) -> GetObject<'a> {
    object.path = Some(path);
    object.size_bytes = Some(document.size_bytes);
    object.sha256 = Some(document.id.sha256.to_string());
    object
}

/// What came of many downloads.
#[derive(Debug, Default)]
pub(super) struct Tally {
    done: usize,
    failed: Vec<Exit>,
}

impl Tally {
    pub(super) fn count(&mut self, exit: Exit) {
        if exit == Exit::Done {
            self.done += 1
        } else {
            self.failed.push(exit)
        }
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
