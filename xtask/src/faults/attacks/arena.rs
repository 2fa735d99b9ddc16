//! Where an attack takes place: a registry with a real index, honest lookups beside it, and what is measured.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use super::{
    cores::{self, Cores, Pinned},
    probe::{self, Known, Probed},
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    console, documents,
    faults::{Amount, Bench, finish, write_document},
    json, procfs,
    wait::{self, Look},
};

/// Documents in the index: the series, and fewer where it is only to be seen that things hold.
const DOCUMENTS: Amount = Amount {
    full: 9_000,
    short: 1_000,
};

/// Documents that are looked up.
const LOOKED_UP: usize = 100;

/// How long honest lookups may take while somebody attacks, 99 of 100 of them.
const P99_LIMIT: Duration = Duration::from_millis(50);

/// The same in the short form, which runs unoptimised programs on machines that do other things: it is gross failure.
const GROSS_LIMIT: Duration = Duration::from_secs(2);

/// Lookups before the attack: they show how slow this machine is by itself, and what they cost is no part of what the attack
/// costs.
const WARM_UP: Duration = Duration::from_secs(1);

/// How often an attack is tried when lookups were slow, at most: whatever else the machine does makes them slower, and
/// nothing makes them faster.
const ATTEMPTS: usize = 3;

/// The name of the one who shares the documents.
pub(super) const HOLDER: &str = "holder";

/// The time that an attack has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    until: Instant,
}

impl Span {
    pub(super) fn of(length: Duration) -> Self {
        Self {
            until: wait::now() + length,
        }
    }

    /// Whether it is over, also because somebody wants this program to end.
    pub(super) fn is_over(&self) -> bool {
        self.left().is_zero() || wait::check_interrupt().is_err()
    }

    pub(super) fn left(&self) -> Duration {
        self.until.saturating_duration_since(wait::now())
    }
}

/// What an attacker did, and what became of it.
#[derive(Debug)]
pub(super) struct Onslaught {
    /// How much of it.
    pub(super) count: u64,
    /// What it is that was counted.
    pub(super) what: &'static str,
    /// How the registry took it.
    pub(super) told: String,
}

/// How long attacks last that go on for ever.
pub(super) const LENGTH: Amount = Amount { full: 20, short: 2 };

/// What an attack may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// How much the registry may grow.
    pub(super) memory_bytes: u64,
}

/// Memory that a registry may take whatever is done to it: buffers of connections, and what an allocator keeps.
pub(super) const FEW_BYTES: u64 = 32 << 20;

impl Bounds {
    /// Those of an attack that is to leave no trace.
    pub(super) const USUAL: Self = Self {
        memory_bytes: FEW_BYTES,
    };
}

/// A registry with documents, whose processor it shares with those who look up.
#[derive(Debug)]
pub(super) struct Arena {
    pub(super) cluster: Cluster,
    /// Who is attacked: the registry, unless somebody else is named.
    pub(super) target: SocketAddr,
    registry: SocketAddr,
    pub(super) is_short: bool,
    pub(super) cores: Cores,
    known: Vec<Known>,
    documents: usize,
}

/// What was measured during an attack.
struct Measured {
    onslaught: Onslaught,
    /// Before the attack.
    quiet: Probed,
    probed: Probed,
    took: Duration,
    grown_bytes: u64,
    cpu: Duration,
}

/// Starts an arena, lets one attack take place, and tells how it went; SKIP where there is one processor only.
pub(super) fn under(
    bench: &Bench,
    bounds: Bounds,
    attack: impl Fn(&Arena) -> Result<Onslaught> + Sync,
) -> Result<Outcome> {
    let mut arena = match Arena::start(bench, &[])? {
        Ok(arena) => arena,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let told = arena.suffer(bounds, &attack)?;
    arena.finish()?;
    Ok(Outcome::Passed(told))
}

impl Arena {
    /// Starts a registry and a peer that shares documents; or tells why that cannot be done here.
    pub(super) fn start(bench: &Bench, options: &[&str]) -> Result<Result<Self, String>> {
        let cores = match Cores::find() {
            Ok(cores) => cores,
            Err(reason) => return Ok(Err(reason)),
        };
        cores::raise_descriptors();
        let mut cluster = Cluster::new(bench.programs.clone())?;
        cluster.set_registry_options(options);
        let pinned = Pinned::to(cores.honest)?;
        cluster.start_registry()?;
        let registry = cluster.registry_address()?;
        let folder = cluster.make_folder(HOLDER)?;
        let documents = bench.pick(DOCUMENTS);
        let write = |number| Ok((number, write_document(&folder, number, "only one")?));
        let written = (1..)
            .take(documents)
            .map(write)
            .collect::<Result<Vec<(u32, PathBuf)>>>()?;
        let known = written
            .iter()
            .step_by(documents.div_ceil(LOOKED_UP))
            .map(|(number, path)| {
                let sha256 = documents::sha256(path)?;
                Ok(Known {
                    number: *number,
                    sha256,
                })
            });
        let known = known.collect::<Result<_>>()?;
        cluster.join(HOLDER, HOLDER)?;
        drop(pinned);
        let mut arena = Self {
            cluster,
            target: registry,
            registry,
            is_short: bench.is_short,
            cores,
            known,
            documents,
        };
        arena.await_index()?;
        Ok(Ok(arena))
    }

    /// Picks an amount by the form of the run.
    pub(super) fn pick(&self, amount: Amount) -> usize {
        if self.is_short { amount.short } else { amount.full }
    }

    /// The usual time for an attack.
    pub(super) fn span(&self) -> Span {
        Span::of(Duration::from_secs(self.pick(LENGTH) as u64))
    }

    /// Waits until the registry lists the holder, and nobody else, with all documents.
    pub(super) fn await_index(&mut self) -> Result<()> {
        let wanted = u64::try_from(self.documents)?;
        self.cluster
            .wait_for_peers("the index to be what it was", 2 * SOON, |rows| {
                rows.len() == 1
                    && rows
                        .iter()
                        .all(|row| row.name == HOLDER && row.documents == wanted && row.reachability == "reachable")
            })
            .map(drop)
    }

    /// Lets an attack take place beside lookups, holds the registry to its promises, and tells the figures.
    pub(super) fn suffer(
        &mut self,
        bounds: Bounds,
        attack: &(impl Fn(&Self) -> Result<Onslaught> + Sync),
    ) -> Result<String> {
        let pid = self.cluster.registry()?.id();
        for attempt in 1.. {
            let measured = self.measure(pid, attack);
            self.cluster.check_all_run()?;
            let measured = measured?;
            ensure!(self.cluster.registry()?.id() == pid, "another registry answers");
            let told = measured.text();
            self.await_index()
                .map_err(|error| anyhow!("{error}, after this: {told}"))?;
            measured.check(bounds).map_err(|error| anyhow!("{error}: {told}"))?;
            let Err(slow) = measured.check_speed(self.is_short) else {
                return Ok(told);
            };
            if attempt == ATTEMPTS {
                return Err(anyhow!("{slow}, and was not in {ATTEMPTS} attempts: {told}"));
            }
        }
        Err(anyhow!("no attempt was made"))
    }

    fn measure(&self, pid: u32, attack: &(impl Fn(&Self) -> Result<Onslaught> + Sync)) -> Result<Measured> {
        let quiet = self.probe_for(WARM_UP)?;
        // Before anything is begun that goes on until it is stopped.
        let before = forget_peak(pid)?;
        let cpu = cpu_of(pid)?;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let probing = scope.spawn(|| -> Result<Probed> {
                let _pinned = Pinned::to(self.cores.honest)?;
                Ok(probe::run(self.registry, &self.known, &stop))
            });
            let start = wait::now();
            let attacking = scope.spawn(|| -> Result<Onslaught> {
                let _pinned = Pinned::to(self.cores.attacker)?;
                attack(self)
            });
            let onslaught = attacking
                .join()
                .unwrap_or_else(|_| Err(anyhow!("the attacker panicked")));
            let took = start.elapsed();
            stop.store(true, Ordering::Relaxed);
            let probed = probing.join().unwrap_or_else(|_| Err(anyhow!("the lookups panicked")));
            let peak = procfs::peak_memory(pid).context("the registry is gone")?;
            Ok(Measured {
                onslaught: onslaught?,
                quiet,
                probed: probed?,
                took,
                grown_bytes: peak.saturating_sub(before),
                cpu: cpu_of(pid)?.saturating_sub(cpu),
            })
        })
    }

    /// Lookups with nobody who attacks.
    fn probe_for(&self, length: Duration) -> Result<Probed> {
        let (stop, span) = (AtomicBool::new(false), Span::of(length));
        thread::scope(|scope| {
            let probing = scope.spawn(|| -> Result<Probed> {
                let _pinned = Pinned::to(self.cores.honest)?;
                Ok(probe::run(self.registry, &self.known, &stop))
            });
            while !span.is_over() {
                thread::sleep(span.left().min(Duration::from_millis(50)));
            }
            stop.store(true, Ordering::Relaxed);
            probing.join().unwrap_or_else(|_| Err(anyhow!("the lookups panicked")))
        })
    }

    /// The names of all who are listed, the holder included, with how many documents each has.
    pub(super) fn listed(&self) -> Result<Vec<(String, u64)>> {
        let row = |value: &Value| {
            let counts = value.pointer("/documents").and_then(Value::as_object);
            let documents = counts.map_or(0, |counts| counts.values().filter_map(Value::as_u64).sum());
            Ok((json::text(value, "/name")?.to_owned(), documents))
        };
        self.cluster.json(&["peers"])?.iter().map(row).collect()
    }

    /// Waits until the registry lists so many peers.
    pub(super) fn await_listed(&self, what: &str, wanted: impl Fn(usize) -> bool) -> Result<Duration> {
        let found = wait::until_dear(what, 2 * SOON, || {
            let listed = self.listed()?.len();
            Ok(if wanted(listed) {
                Look::Done(())
            } else {
                Look::NotYet(format!("{listed} are listed"))
            })
        });
        found.map(|((), took)| took)
    }

    /// Ends everything in good order.
    pub(super) fn finish(self) -> Result<()> {
        finish(self.cluster)
    }
}

/// Has the kernel forget the most memory that a process ever had, and returns what it has now.
pub(super) fn forget_peak(pid: u32) -> Result<u64> {
    const PEAK: &str = "5";
    fs::write(format!("/proc/{pid}/clear_refs"), PEAK).context("cannot have the peak of memory forgotten")?;
    procfs::resident_memory(pid).context("the registry is gone")
}

/// The processor time of a process.
pub(super) fn cpu_of(pid: u32) -> Result<Duration> {
    Ok(procfs::times(pid).context("the registry is gone")?.own)
}

/// A duration in milliseconds.
pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e3)
}

/// Bytes in MiB.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

impl Measured {
    fn check(&self, bounds: Bounds) -> Result<()> {
        if let Some(failure) = self.probed.failures.first() {
            return Err(anyhow!(
                "{} lookups failed, such as {failure}",
                self.probed.failures.len()
            ));
        }
        ensure!(
            self.grown_bytes <= bounds.memory_bytes,
            "the registry should grow by at most {}",
            mebibytes(bounds.memory_bytes)
        );
        Ok(())
    }

    fn check_speed(&self, is_short: bool) -> Result<()> {
        let limit = if is_short { GROSS_LIMIT } else { P99_LIMIT };
        for (of, latencies) in [("", &self.probed.kept), (" on a new connection", &self.probed.fresh)] {
            ensure!(
                latencies.percentile(99) <= limit,
                "a lookup{of} should take at most {} ms at p99",
                limit.as_millis()
            );
        }
        Ok(())
    }

    fn text(&self) -> String {
        let Onslaught { count, what, told } = &self.onslaught;
        let rate = *count as f64 / self.took.as_secs_f64().max(f64::EPSILON);
        let (kept, fresh) = (&self.probed.kept, &self.probed.fresh);
        format!(
            "{count} {what} in {} ({rate:.0}/s): {told}; lookups p50/p99/max {}/{}/{} ms of {}, on a new connection \
             {}/{}/{} ms of {} (p99 before it {}/{} ms); memory +{}, processor {:.0} %",
            console::seconds(self.took),
            milliseconds(kept.percentile(50)),
            milliseconds(kept.percentile(99)),
            milliseconds(kept.longest()),
            kept.count(),
            milliseconds(fresh.percentile(50)),
            milliseconds(fresh.percentile(99)),
            milliseconds(fresh.longest()),
            fresh.count(),
            milliseconds(self.quiet.kept.percentile(99)),
            milliseconds(self.quiet.fresh.percentile(99)),
            mebibytes(self.grown_bytes),
            self.cpu.as_secs_f64() / self.took.as_secs_f64().max(f64::EPSILON) * 100.0,
        )
    }
}
