//! `cargo xtask soak`: a registry and hundreds of peers at work for as long as one likes, with faults all the time.
//!
//! What must hold is looked at every second: nobody is listed who is gone, everybody is listed to whom nothing happened,
//! every download is what its source is, and nobody panics. At quiet times the index must be exact. What the registry and
//! peers to whom nothing happens take is sampled, and must not grow. A seed decides all that happens, though not when
//! each process gets to run.

mod downloads;
mod growth;
mod observer;
mod random;
mod script;
mod world;

use std::{sync::atomic::Ordering, thread, time::Duration};

use anyhow::{Result, anyhow, ensure};
use clap::Args;

use self::{downloads::Shared, growth::Series, random::Random, script::Script, world::World};
use crate::{console, procfs, wait};

/// From one turn of the loop to the next.
const TURN: Duration = Duration::from_millis(200);

/// From one look at who is listed to the next.
const LOOK: Duration = Duration::from_secs(1);

/// From one look at what processes take to the next.
const SAMPLE: Duration = Duration::from_secs(5);

/// From one line to the next.
const LINE: Duration = Duration::from_secs(60);

/// From one quiet time to the next.
const QUIET: Duration = Duration::from_secs(150);

/// The shortest run: one line, and its last quiet time.
const LEAST_MINUTES: u64 = 1;

/// Options of the command.
#[derive(Debug, Args)]
pub struct Options {
    /// How long
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// What decides the faults, and all other choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs for so many minutes, or until interrupted; both end in good order.
pub fn run(options: &Options) -> Result<String> {
    ensure!(options.minutes >= LEAST_MINUTES, "a minute at least");
    println!("seed {}, {} min", options.seed, options.minutes);
    let mut random = Random::of(options.seed);
    let mut world = World::start(&mut random)?;
    let (shared, mut script) = (Shared::default(), Script::new(Random::of(random.any())));
    let downloader = world.downloader()?;
    let downloads = Random::of(random.any());
    let mut soak = Soak {
        series: world.series()?,
        span: Duration::from_secs(60 * options.minutes),
        shared: &shared,
        started: wait::now(),
        used_before: processor_time(),
    };
    let (done, downloaded) = thread::scope(|scope| {
        let downloading = scope.spawn(|| {
            let result = downloader.run(&shared, downloads);
            // Whoever waits for the end of the span learns at once that something is wrong.
            shared.ends.store(true, Ordering::SeqCst);
            result
        });
        let done = soak.turn_after_turn(&mut world, &mut script);
        shared.ends.store(true, Ordering::SeqCst);
        let relieved = wait::although_interrupted(|| script.end_all(&mut world, &shared));
        let downloaded = downloading.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")));
        (done.and(relieved), downloaded)
    });
    let failures: Vec<_> = [done, downloaded].into_iter().filter_map(Result::err).collect();
    let defect = failures
        .into_iter()
        .find(|error| error.downcast_ref::<wait::Interrupted>().is_none());
    if let Some(error) = defect {
        return Err(error.context(format!("seed {}", options.seed)));
    }
    let (looks, excused, faults) = (world.observer.looks, world.observer.excused, script.count);
    let (grown, cost) = (soak.growth()?, soak.processor_share());
    let quiet = wait::although_interrupted(|| world.quiet())?;
    let ended = wait::although_interrupted(|| world.end())?;
    println!(
        "{grown}\nexact {} after the last fault; {ended}",
        console::seconds(quiet)
    );
    soak.check_growth()?;
    wait::check_interrupt()?;
    Ok(format!(
        "{} min with {faults} faults: {looks} looks at the list ({excused} of them on a machine too busy to tell), {} downloads and {} mirrors, all as they should be \
         ({} failed while the registry stood still); {cost}",
        options.minutes,
        shared.done.load(Ordering::SeqCst),
        shared.mirrored.load(Ordering::SeqCst),
        shared.excused.load(Ordering::SeqCst),
    ))
}

/// A run.
struct Soak<'a> {
    series: Vec<Series>,
    span: Duration,
    shared: &'a Shared,
    started: std::time::Instant,
    /// Processor time that the start took.
    used_before: Duration,
}

impl Soak<'_> {
    fn turn_after_turn(&mut self, world: &mut World, script: &mut Script) -> Result<()> {
        let (mut look, mut sample, mut line, mut quiet) = (Duration::ZERO, Duration::ZERO, LINE, QUIET);
        while self.started.elapsed() < self.span && !self.shared.ends.load(Ordering::SeqCst) {
            script.go_on(world, self.shared)?;
            let now = self.started.elapsed();
            if now >= look && !script.holds_registry() {
                world.look()?;
                look = now + LOOK;
            }
            if now >= sample {
                self.series.iter_mut().try_for_each(|series| series.sample(now))?;
                sample = now + SAMPLE;
            }
            if now >= quiet {
                script.end_all(world, self.shared)?;
                world.quiet()?;
                quiet = self.started.elapsed() + QUIET;
            }
            if now >= line {
                println!("{}", self.line(script.count));
                line += LINE;
            }
            wait::let_pass(TURN)?;
        }
        Ok(())
    }

    /// How things stand.
    fn line(&self, faults: u64) -> String {
        let taken: Vec<String> = self
            .series
            .iter()
            .filter_map(|series| {
                let sample = series.latest()?;
                Some(format!(
                    "{} {:.1} MB, {} descriptors, {} threads",
                    series.name,
                    megabytes(sample.memory),
                    sample.descriptors,
                    sample.threads
                ))
            })
            .collect();
        format!(
            "{:>3} min: {faults} faults, {} downloads; {}; {}",
            self.started.elapsed().as_secs() / 60,
            self.shared.done.load(Ordering::SeqCst),
            taken.join("; "),
            self.processor_share()
        )
    }

    /// When growth begins to count: what is filled once has been filled by then.
    fn settled(&self) -> Duration {
        self.span.min(self.started.elapsed()) / 3
    }

    /// How each of them grew.
    fn growth(&self) -> Result<String> {
        let mut text = format!("growth after {}, each ten minutes:", console::seconds(self.settled()));
        for series in &self.series {
            let told = series.growth(self.settled()).map_or_else(
                || "too few samples".to_owned(),
                |growth| format!("{:+.2} % ± {:.2}", growth.percent, growth.error),
            );
            text.push_str(&format!(" {} {told};", series.name));
        }
        Ok(text)
    }

    fn check_growth(&self) -> Result<()> {
        for series in &self.series {
            if let Some(growth) = series.growth(self.settled()).filter(|growth| growth.is_too_much()) {
                return Err(anyhow!(
                    "{} grows by {:.2} % ± {:.2} each ten minutes; {} % are let pass",
                    series.name,
                    growth.percent,
                    growth.error,
                    growth::LIMIT
                ));
            }
        }
        Ok(())
    }

    /// How much of one processor all of it took.
    fn processor_share(&self) -> String {
        let used = processor_time().saturating_sub(self.used_before);
        let share = used.as_secs_f64() / self.started.elapsed().as_secs_f64().max(1.0) * 100.0;
        format!("{share:.0} % of a processor")
    }
}

/// The processor time of this process and all that it has started, those included that have ended.
fn processor_time() -> Duration {
    let of = |process: u32| procfs::times(process).unwrap_or_default();
    let own = procfs::tree(std::process::id())
        .into_iter()
        .map(|process| of(process).own);
    own.sum::<Duration>() + of(std::process::id()).waited_for
}

/// Bytes as people read them.
#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
