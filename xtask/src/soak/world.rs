//! Everybody who takes part: the registry, three crowds, and a few peers that are processes of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{
    downloads::Downloader,
    growth::{Sample, Series, look},
    observer::Observer,
    random::Random,
};
use crate::{
    cluster::{Cluster, SOON, STOP_LIMIT},
    crowd::{self, Crowd, Setting},
    documents,
    faults::link::Link,
    json,
    process::{self, Process},
    wait::{self, Look},
    workspace,
};

/// Peers of the crowd to which nothing happens.
const STEADY: usize = 200;

/// Peers of the crowd that some leave and others join; half of them stay.
pub const CHURNING: usize = 80;

/// Peers of the crowd whose process is killed and stopped.
pub const STRUCK: usize = 20;

/// Numbers of the crowds' peers: those of the second and the third begin here, so that none has another's name.
const CHURNING_FIRST: usize = 10_000;
const STRUCK_FIRST: usize = 20_000;

/// Documents of the crowds, and their first number.
const CROWD_DOCUMENTS: u32 = 4;
const CROWD_NUMBER: u32 = 30_001;

/// Documents of the other peers, their first number, and how long they are.
const DOCUMENTS: u32 = 40;
const NUMBER: u32 = 20_001;
const LONGEST: u64 = 300_000;

/// A document that comes and goes.
pub const CHANGING: u32 = 25_000;

/// The peers to which nothing happens, and those to which something does.
pub const KEEPERS: [&str; 2] = ["keeper-1", "keeper-2"];
pub const LINKED: &str = "linked";
pub const KILLED: &str = "killed";
pub const STOPPED: &str = "stopped";

/// No command to a crowd takes this long, unless it hangs.
pub const COMMAND_LIMIT: Duration = Duration::from_secs(150);

/// How soon all is exact once nothing happens any more: whoever was cut off last tries again within half a minute.
const QUIET_LIMIT: Duration = Duration::from_secs(60);

/// How soon the registry has closed what was open for those who left, and threads that had nothing to do have ended.
const BASELINE_LIMIT: Duration = Duration::from_secs(30);

/// All of it. It ends with this value.
pub struct World {
    pub steady: Crowd,
    pub churning: Crowd,
    pub struck: Option<Crowd>,
    pub linked: Process,
    pub link: Link,
    pub cluster: Cluster,
    setting: Setting,
    pub observer: Observer,
    /// How many churning peers there are now.
    pub churning_count: usize,
    /// Numbers of the changing document's holders, for the exact index: none or one.
    pub is_changed: bool,
    baseline: Sample,
    sources: BTreeMap<u32, String>,
    _programs: TempDir,
}

impl World {
    /// Builds the programs and starts everybody.
    pub fn start(random: &mut Random) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("p2pci-soak-").tempdir()?;
        let programs = workspace::build_release()?.copy_to(folder.path())?;
        let program = folder.path().join("crowd");
        fs::copy(crowd::build(true)?, &program)?;
        let mut cluster = Cluster::new(programs)?;
        cluster.start_registry()?;
        // Whatever a first question makes the registry keep for good is part of where it begins.
        cluster.json(&["peers"])?;
        let baseline = look(cluster.registry()?.id(), Duration::ZERO).context("the registry has ended")?;
        let shared = cluster.make_folder("shared")?;
        crowd::write_documents(&shared, CROWD_NUMBER, CROWD_DOCUMENTS)?;
        let sources = write_sources(&cluster, random)?;
        let setting = Setting {
            program,
            registry: cluster.registry_address()?,
            folder: shared,
            state: cluster.folder().join("state/crowd"),
            logs: cluster.logs(),
        };
        let link = Link::open(setting.registry)?;
        for name in KEEPERS.into_iter().chain([KILLED, STOPPED]) {
            cluster.join(name, name)?;
        }
        let mut command = cluster.peer_command()?;
        command
            .args(["join", LINKED, "--name", LINKED])
            .env("P2PCI_REGISTRY", format!("http://{}", link.address()))
            .env("P2PCI_STATE_DIR", cluster.folder().join("state").join(LINKED));
        let linked = Process::spawn(LINKED, command, &cluster.logs())?;
        let gather = |name: &str, first: usize, count: usize| -> Result<Crowd> {
            let mut crowd = Crowd::spawn(&setting, name, first)?;
            crowd.ask(&format!("start {count}"), COMMAND_LIMIT)?;
            Ok(crowd)
        };
        let mut world = Self {
            steady: gather("steady", 0, STEADY)?,
            churning: gather("churning", CHURNING_FIRST, CHURNING)?,
            struck: Some(gather("struck", STRUCK_FIRST, STRUCK)?),
            linked,
            link,
            cluster,
            setting,
            observer: Observer::default(),
            churning_count: CHURNING,
            is_changed: false,
            baseline,
            sources,
            _programs: folder,
        };
        world.introduce();
        world.quiet()?;
        Ok(world)
    }

    /// Tells the observer who is there.
    fn introduce(&mut self) {
        let keepers = KEEPERS.into_iter().map(str::to_owned);
        let steady = (0..STEADY).map(name_of);
        let staying = (0..CHURNING / 2).map(churning_name);
        keepers
            .chain(steady)
            .chain(staying)
            .for_each(|name| self.observer.add_undisturbed(name));
        let others = [LINKED, KILLED, STOPPED].into_iter().map(str::to_owned);
        let churning = (CHURNING / 2..CHURNING).map(churning_name);
        others
            .chain(churning)
            .chain(struck_names())
            .for_each(|name| self.observer.comes(name));
    }

    /// Those who live from the beginning to the end, and to whom nothing happens.
    pub fn series(&mut self) -> Result<Vec<Series>> {
        let mut series = vec![Series::of("registry", self.cluster.registry()?.id())];
        for name in KEEPERS {
            series.push(Series::of(name, self.cluster.peer(name)?.id()));
        }
        series.push(Series::of("steady crowd", self.steady.process().id()));
        Ok(series)
    }

    /// Who downloads from all of them.
    pub fn downloader(&self) -> Result<Downloader> {
        Ok(Downloader {
            program: self.cluster.programs().peer.clone(),
            registry: format!("http://{}", self.setting.registry),
            folder: self.cluster.make_folder("downloads")?,
            sources: self.sources.clone(),
        })
    }

    /// Where a document of the linked peer comes and goes.
    pub fn changing_file(&self) -> PathBuf {
        self.cluster.folder().join(LINKED).join(format!("rfc{CHANGING}.txt"))
    }

    /// The struck crowd comes again after it was killed.
    pub fn revive(&mut self) -> Result<()> {
        let mut crowd = Crowd::spawn(&self.setting, "struck", STRUCK_FIRST)?;
        crowd.ask(&format!("start {STRUCK}"), COMMAND_LIMIT)?;
        self.struck = Some(crowd);
        struck_names().for_each(|name| self.observer.comes(name));
        Ok(())
    }

    /// Looks at who is listed.
    pub fn look(&mut self) -> Result<()> {
        self.cluster.check_all_run()?;
        self.linked.check_runs()?;
        let asked = wait::now();
        let rows = self.cluster.peer_rows()?;
        let looked = self.observer.look(&rows, asked);
        let log = if looked.is_err() {
            self.cluster.registry()?.stderr()?
        } else {
            String::new()
        };
        looked.with_context(|| format!("{} rows{}", rows.len(), process::tail("the registry's log", &log)))
    }

    /// Waits until the index is exact, with nothing happening to anybody; returns how long that took.
    pub fn quiet(&mut self) -> Result<Duration> {
        let wanted = self.holders();
        let found = wait::until_dear("an exact index", QUIET_LIMIT, || {
            let rows = self.cluster.peer_rows()?;
            if let Some(difference) = self.observer.differs(&rows) {
                return Ok(Look::NotYet(difference));
            }
            let mut listed = BTreeMap::new();
            for document in self.cluster.json(&["list"])? {
                listed.insert(
                    json::number(&document, "/number")?,
                    json::number(&document, "/holder_count")?,
                );
            }
            Ok(if listed == wanted {
                Look::Done(())
            } else {
                let wrong: Vec<_> = listed
                    .iter()
                    .filter(|(number, count)| wanted.get(number) != Some(count))
                    .collect();
                Look::NotYet(format!("{} documents are listed, wrong are {wrong:?}", listed.len()))
            })
        });
        self.check_logs()?;
        found.map(|((), took)| took)
    }

    /// How many hold each document when all is quiet.
    fn holders(&self) -> BTreeMap<u64, u64> {
        let crowds = STEADY + self.churning_count + STRUCK;
        let of_crowds = (CROWD_NUMBER..)
            .take(CROWD_DOCUMENTS as usize)
            .map(|number| (number, crowds));
        let others = KEEPERS.len() + [LINKED, KILLED, STOPPED].len();
        let of_others = self.sources.keys().map(|&number| (number, others));
        let changing = self.is_changed.then_some((CHANGING, 1));
        of_crowds
            .chain(of_others)
            .chain(changing)
            .map(|(number, count)| (u64::from(number), count as u64))
            .collect()
    }

    /// Fails when anybody has panicked.
    pub fn check_logs(&self) -> Result<()> {
        for entry in fs::read_dir(self.cluster.logs())? {
            let path = entry?.path();
            let log = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            let panics: Vec<&str> = log.lines().filter(|line| line.contains("panicked at")).collect();
            ensure!(panics.is_empty(), "{} tells of a panic: {panics:?}", path.display());
        }
        Ok(())
    }

    /// Everybody leaves in good order; the registry must have as much open then as in the beginning. Returns what it has.
    pub fn end(mut self) -> Result<String> {
        self.check_logs()?;
        self.linked.stop(STOP_LIMIT)?;
        let names: BTreeSet<&str> = KEEPERS.into_iter().chain([KILLED, STOPPED]).collect();
        for name in names {
            self.cluster.peer(name)?.stop(STOP_LIMIT)?;
        }
        self.steady.stop(STEADY, SOON)?;
        self.churning.stop(self.churning_count, SOON)?;
        if let Some(struck) = self.struck {
            struck.stop(STRUCK, SOON)?;
        }
        drop(self.link);
        let registry = self.cluster.registry()?.id();
        let (before, cluster) = (self.baseline, &self.cluster);
        let (after, _) = wait::until_dear("the registry to be as in the beginning", BASELINE_LIMIT, || {
            let listed = (cluster.json(&["peers"])?.len(), cluster.json(&["list"])?.len());
            let now = look(registry, Duration::ZERO).context("the registry has ended")?;
            Ok(
                if listed == (0, 0) && now.descriptors <= before.descriptors && now.threads <= before.threads {
                    Look::Done(now)
                } else {
                    Look::NotYet(format!("{listed:?} are listed; it had {before:?}, and has {now:?}"))
                },
            )
        })?;
        self.cluster.stop_all()?;
        self.cluster.check_all_gone()?;
        self.cluster.remove()?;
        Ok(format!(
            "when all had left, the registry had no session, {} descriptors ({} in the beginning), {} threads ({}) and \
             {:.1} MB",
            after.descriptors,
            before.descriptors,
            after.threads,
            before.threads,
            super::megabytes(after.memory)
        ))
    }
}

fn name_of(index: usize) -> String {
    format!("crowd-{index}")
}

/// The name of a churning peer.
pub fn churning_name(place: usize) -> String {
    name_of(CHURNING_FIRST + place)
}

/// The names of the struck crowd.
pub fn struck_names() -> impl Iterator<Item = String> {
    (STRUCK_FIRST..).take(STRUCK).map(name_of)
}

/// Writes what the peers share that are no crowd, all of them the same; returns the digests.
fn write_sources(cluster: &Cluster, random: &mut Random) -> Result<BTreeMap<u32, String>> {
    let mut sources = BTreeMap::new();
    let texts: BTreeMap<u32, String> = (NUMBER..)
        .take(DOCUMENTS as usize)
        .map(|number| (number, text_of(number, random)))
        .collect();
    for name in KEEPERS.into_iter().chain([LINKED, KILLED, STOPPED]) {
        let folder = cluster.make_folder(name)?;
        for (number, text) in &texts {
            let path = folder.join(format!("rfc{number}.txt"));
            fs::write(&path, text)?;
            sources.insert(*number, documents::sha256(&path)?);
        }
    }
    Ok(sources)
}

/// A text of a few up to a few hundred kilobytes.
fn text_of(number: u32, random: &mut Random) -> String {
    let length = random.between(5_000, LONGEST);
    let mut text = format!("A document that stands in for RFC {number}.\n");
    while (text.len() as u64) < length {
        text.push_str(&format!("{:016x} {:016x}\n", random.any(), random.any()));
    }
    text
}
