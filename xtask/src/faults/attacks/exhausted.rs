//! Descriptors that run out, and memory that would: the registry waits or turns away, and neither spins nor ends.

use std::{fs, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use super::{
    arena::{Arena, Span, cpu_of, mebibytes},
    cores,
    link::{Link, readable, source},
};
use crate::{
    ci::Outcome,
    console,
    faults::{Amount, Bench, http2},
    procfs,
    wait::{self, Look},
};

/// Descriptors that the registry may still open.
const SPARE: u64 = 8;

/// Connections that want one each, and how many of them come from one address.
const CONNECTIONS: usize = 400;
const PER_ADDRESS: usize = 100;

/// How long there are none, in seconds.
const EXHAUSTED: Amount = Amount { full: 10, short: 3 };

/// The processor time that a registry may take meanwhile, in hundredths of one processor.
const LARGEST_SHARE: f64 = 20.0;

/// How soon it must serve again when there are some: it looks at least once a second.
const SERVED_LIMIT: Duration = Duration::from_secs(5);

/// What the registry's log says each time.
const COMPLAINT: &str = "cannot accept connections now";

/// Memory of a small machine or container.
const SMALL_BYTES: u64 = 512 << 20;

/// Connections for which there is room in half of it, 64 KiB for each.
const FIT: usize = 4_096;

/// Connections that want to be served at once: up to five times as many as fit.
const CROWD: Amount = Amount {
    full: 20_000,
    short: 5_000,
};

/// How many show that some are turned away.
const MORE_THAN_FIT: usize = 4_600;

/// Descriptors that this process needs for itself.
const OWN_DESCRIPTORS: usize = 500;

/// Connections of one address.
const CROWD_PER_ADDRESS: usize = 200;

/// How soon those that are too many must be turned away.
const TURNED_AWAY_LIMIT: Duration = Duration::from_secs(10);

/// Has far more connect, and speak, than a registry with little memory can bear.
pub(super) fn memory(bench: &Bench) -> Result<Outcome> {
    let usual = getrlimit(Resource::Data);
    let little = Rlimit {
        current: Some(SMALL_BYTES),
        maximum: usual.maximum,
    };
    // Whom this process starts has its limits.
    setrlimit(Resource::Data, little).context("cannot limit memory")?;
    let arena = Arena::start(bench, &[]);
    setrlimit(Resource::Data, usual).context("cannot take the limit of memory back")?;
    let mut arena = match arena? {
        Ok(arena) => arena,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let few = usize::try_from(cores::raise_descriptors()).unwrap_or(usize::MAX);
    let count = arena.pick(CROWD).min(few.saturating_sub(OWN_DESCRIPTORS));
    if count < MORE_THAN_FIT {
        arena.finish()?;
        return Ok(Outcome::Skipped(format!(
            "this process may have {few} open files only, and {MORE_THAN_FIT} connections are needed"
        )));
    }
    let told = crowd_in(&mut arena, count)?;
    arena.await_index()?;
    arena.finish()?;
    Ok(Outcome::Passed(told))
}

fn crowd_in(arena: &mut Arena, count: usize) -> Result<String> {
    let id = arena.cluster.registry()?.id();
    let mut links = Vec::new();
    for index in 0..count {
        let mut link = Link::open(source(index / CROWD_PER_ADDRESS), arena.target)?;
        link.offer(&http2::greeting(&[])?);
        links.push(link);
    }
    let is_open = |link: &&Link| link.end().is_none();
    let deadline = Span::of(TURNED_AWAY_LIMIT);
    let (mut most, mut open) = (0, count);
    while !deadline.is_over() {
        for place in readable(links.iter())? {
            links.get_mut(place).map_or(Ok(()), Link::read)?;
        }
        most = most.max(procfs::resident_memory(id).context("the registry has ended")?);
        open = links.iter().filter(is_open).count();
        std::thread::sleep(deadline.left().min(Duration::from_millis(100)));
    }
    ensure!(
        open <= FIT,
        "{open} of {count} connections are served with {SMALL_BYTES} bytes, and {FIT} fit"
    );
    ensure!(most < SMALL_BYTES, "the registry has {most} bytes resident");
    drop(links);
    let served = served_again(arena)?;
    Ok(format!(
        "{count} connections to a registry that may have {}: {open} were taken, the others turned away; at most {} resident; \
         serves others after {}",
        mebibytes(SMALL_BYTES),
        mebibytes(most),
        console::seconds(served)
    ))
}

/// How soon others are served when whoever was too many is gone.
fn served_again(arena: &Arena) -> Result<Duration> {
    let (_, served) = wait::until_dear("the registry to serve again", SERVED_LIMIT, || {
        let done = arena.cluster.run(&["lookup", "1"])?;
        Ok(if done.code() == 0 {
            Look::Done(())
        } else {
            Look::NotYet(done.stderr)
        })
    })?;
    Ok(served)
}

/// Takes a registry's descriptors away, has many connect, and gives them back.
pub(super) fn descriptors(bench: &Bench) -> Result<Outcome> {
    let mut arena = match Arena::start(bench, &[])? {
        Ok(arena) => arena,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let told = starve(&mut arena)?;
    arena.await_index()?;
    arena.finish()?;
    Ok(Outcome::Passed(told))
}

fn starve(arena: &mut Arena) -> Result<String> {
    let id = arena.cluster.registry()?.id();
    let pid = Pid::from_raw(i32::try_from(id)?).ok_or_else(|| anyhow!("the registry has no process id"))?;
    let open = fs::read_dir(format!("/proc/{id}/fd"))?.count();
    let usual = getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(u64::try_from(open)? + SPARE),
        maximum: usual.maximum,
    };
    prlimit(Some(pid), Resource::Nofile, few).context("cannot take descriptors away from the registry")?;
    let mut links = Vec::new();
    for index in 0..CONNECTIONS {
        let mut link = Link::open(source(index / PER_ADDRESS), arena.target)?;
        link.offer(&http2::greeting(&[])?);
        links.push(link);
    }
    let (before, start) = (cpu_of(id)?, wait::now());
    let span = Span::of(Duration::from_secs(arena.pick(EXHAUSTED) as u64));
    while !span.is_over() {
        std::thread::sleep(span.left().min(Duration::from_millis(50)));
    }
    let took = start.elapsed();
    let share = (cpu_of(id)?.saturating_sub(before)).as_secs_f64() / took.as_secs_f64() * 100.0;
    let complaints = arena.cluster.registry()?.stderr()?.matches(COMPLAINT).count();
    ensure!(complaints > 0, "the registry did not run out of descriptors");
    ensure!(
        share <= LARGEST_SHARE,
        "a registry without descriptors took {share:.0} % of a processor, and complained {complaints} times"
    );
    drop(links);
    let served = served_again(arena)?;
    let many = Rlimit {
        current: usual.maximum,
        maximum: usual.maximum,
    };
    prlimit(Some(pid), Resource::Nofile, many)?;
    Ok(format!(
        "{CONNECTIONS} connections for {SPARE} descriptors, for {}: {share:.1} % of a processor, {complaints} complaints; \
         serves again after {}",
        console::seconds(took),
        console::seconds(served)
    ))
}
