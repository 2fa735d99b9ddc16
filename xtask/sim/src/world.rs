//! One simulation: hosts, faults in their time, and the checks.

mod faults;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use peer::known::Memory;
use tempfile::TempDir;
use turmoil::{Builder, Sim};

use crate::{
    checker::{self, LATENCY, Violation, Way},
    documents,
    hosts::{self, OBSERVER, Order, Orders, Peer, REGISTRY},
    liar::{self, LIAR},
    script::{Deed, FAULTS_END, PEERS, QUIET_START, Script},
    truth::{PeerTruth, SharedTruth, Source, Time, View},
    watcher::{self, WATCHER},
};

/// The grain of time. Finer ones make a simulation slower.
const TICK: Duration = Duration::from_millis(10);

/// From the last fault until everybody must be back: a dead connection is noticed within 15 s, the next attempt follows
/// within 30 s, and one more if that came too early.
const HEALING: Duration = Duration::from_secs(75);

/// How long the downloads of the end may take.
const DOWNLOADING: Duration = Duration::from_secs(30);

/// How long peers may take to leave; none of them has anything to wait for.
const LEAVING: Duration = Duration::from_secs(35);

/// How long the registry may take to end.
const ENDING: Duration = Duration::from_secs(8);

/// Downloads of each peer at the end.
const LAST_DOWNLOADS: usize = 3;

/// The peer that downloads everything instead.
const MIRRORING: usize = PEERS - 1;

const NAMES: [&str; PEERS] = ["alice", "bob", "carol", "dave", "erin"];

/// How a simulation went.
#[derive(Debug)]
pub struct Outcome {
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// What happened, a line each, with the time in seconds.
    pub trace: Vec<String>,
    /// Times that what a client knew of the index was checked.
    pub views: usize,
    /// Downloads that were asked for, and those of them that came.
    pub downloads: (usize, usize),
    /// Times that a holder sent something else than it was asked for.
    pub lies: usize,
}

struct World<'a> {
    sim: Sim<'a>,
    truth: SharedTruth,
    peers: Vec<Peer>,
    registry_orders: Orders<()>,
    ways: Vec<Way>,
    loses: bool,
    /// How many reasons there are for a peer to be down, and for the registry.
    down: [u32; PEERS],
    registry_down: u32,
    violations: Vec<Violation>,
    views: usize,
    last_views: BTreeMap<Source, View>,
    /// The first of the downloads of the end.
    last_downloads: usize,
}

pub(crate) fn run(seed: u64) -> Result<Outcome> {
    let script = Script::of(seed);
    let folders = TempDir::new().context("a folder for the simulated hosts")?;
    let mut world = World::build(seed, &script, &folders)?;
    world.play(&script)?;
    world.heal()?;
    world.download_at_the_end()?;
    world.part()?;
    let truth = world.truth.lock();
    let came = truth
        .downloads
        .iter()
        .filter(|download| matches!(download.ended, Some((_, Ok(())))));
    Ok(Outcome {
        downloads: (truth.downloads.len(), came.count()),
        lies: truth.lies,
        trace: truth.trace.clone(),
        views: world.views,
        violations: world.violations.clone(),
    })
}

impl World<'_> {
    fn build(seed: u64, script: &Script, folders: &TempDir) -> Result<Self> {
        let truth = SharedTruth::default();
        let mut peers = Vec::new();
        for ((index, name), numbers) in NAMES.into_iter().enumerate().zip(&script.folders) {
            let (folder, state) = (folders.path().join(name), folders.path().join(format!("{name}-state")));
            fs::create_dir(&folder)?;
            fs::create_dir(&state)?;
            for number in numbers {
                documents::put(&folder, *number)?;
            }
            truth.lock().peers.push(PeerTruth {
                ever: numbers.iter().copied().collect(),
                ..PeerTruth::default()
            });
            peers.push(Peer {
                index,
                name,
                folder,
                state,
                orders: Orders::default(),
                memory: Memory::default(),
                truth: truth.clone(),
            });
        }
        let mut sim = Builder::new()
            .rng_seed(seed)
            .tick_duration(TICK)
            .simulation_duration(Duration::MAX)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(LATENCY / 2)
            .tcp_capacity(4096)
            .build();
        let registry_orders = Orders::default();
        let (orders, of_registry) = (registry_orders.clone(), truth.clone());
        sim.host(REGISTRY, move || hosts::registry(orders.clone(), of_registry.clone()));
        for peer in &peers {
            let peer = peer.clone();
            sim.host(peer.name, move || peer.clone().run());
        }
        if !script.lies.is_empty() {
            let numbers = script.lies.clone();
            let of_liar = truth.clone();
            sim.host(LIAR, move || liar::run(numbers.clone(), of_liar.clone()));
        }
        let of_observer = truth.clone();
        sim.host(OBSERVER, move || hosts::observe(of_observer.clone()));
        let of_watcher = truth.clone();
        sim.host(WATCHER, move || watcher::run(of_watcher.clone()));
        Ok(Self {
            sim,
            truth,
            peers,
            registry_orders,
            ways: vec![Way::default(); PEERS],
            loses: script.loss > 0.0,
            down: [0; PEERS],
            registry_down: 0,
            violations: Vec::new(),
            views: 0,
            last_views: BTreeMap::new(),
            last_downloads: 0,
        })
    }

    fn now(&self) -> Time {
        self.sim.elapsed()
    }

    fn tell(&self, what: impl AsRef<str>) {
        self.truth.lock().tell(self.now(), what);
    }

    /// Lets time pass, and checks each look of the client.
    fn pass(&mut self, until: Time) -> Result<()> {
        self.pass_unless(until, |_| false)
    }

    /// The same, until something has happened.
    fn pass_unless(&mut self, until: Time, is_over: impl Fn(&Self) -> bool) -> Result<()> {
        while self.now() < until && !is_over(self) {
            self.sim
                .step()
                .map_err(|error| anyhow!("at {:?}: {error}", self.now()))?;
            let (views, untrue) = {
                let mut truth = self.truth.lock();
                (std::mem::take(&mut truth.views), std::mem::take(&mut truth.untrue))
            };
            let untrue = untrue.into_iter().map(|what| Violation {
                invariant: "what is told follows",
                what,
            });
            self.violate(untrue.collect());
            for view in views {
                let found = checker::check_view(&view, &self.truth.lock(), &self.peers, &self.ways, self.loses);
                self.violate(found);
                self.views += 1;
                self.last_views.insert(view.source, view);
            }
        }
        Ok(())
    }

    fn violate(&mut self, found: Vec<Violation>) {
        for violation in &found {
            self.tell(format!("VIOLATION {}: {}", violation.invariant, violation.what));
        }
        self.violations.extend(found);
    }

    fn play(&mut self, script: &Script) -> Result<()> {
        self.pass(QUIET_START)?;
        self.sim.set_fail_rate(script.loss);
        for (time, deed) in &script.deeds {
            self.pass(*time)?;
            self.tell(format!("{deed:?}"));
            match *deed {
                Deed::Begin(fault) => self.begin(fault),
                Deed::End(fault) => self.end(fault),
                Deed::Get(peer, number) => self.order(peer, Order::Get(number)),
                Deed::Mirror(peer) => self.order(peer, Order::Mirror),
                Deed::Put(peer, number) => self.order(peer, Order::Put(number)),
                Deed::Take(peer, number) => self.order(peer, Order::Take(number)),
            }
        }
        self.pass(FAULTS_END)?;
        self.sim.set_fail_rate(0.0);
        Ok(())
    }

    fn name(&self, peer: usize) -> &'static str {
        NAMES.get(peer).copied().unwrap_or_default()
    }

    fn order(&self, peer: usize, order: Order) {
        if let Some(peer) = self.peers.get(peer) {
            // One that is down does nothing.
            let _taken = peer.orders.give(order);
        }
    }

    /// Waits until everybody is back, and checks that they are.
    fn heal(&mut self) -> Result<()> {
        self.tell("everything is whole again");
        let now = self.now();
        self.pass(now + HEALING)?;
        // A look that began before would not count.
        let since = self.now();
        self.last_views.clear();
        let sources = [Source::Look, Source::Watch];
        self.pass_unless(since + 2 * LATENCY + Duration::from_secs(3), |world| {
            let is_new = |source| world.last_views.get(source).is_some_and(|view| view.began >= since);
            sources.iter().all(is_new)
        })?;
        for source in sources {
            let found = match self.last_views.get(&source) {
                Some(view) => checker::check_healed(view, &self.peers),
                None => vec![Violation {
                    invariant: "comes back",
                    what: format!("the registry does not answer: {source:?}"),
                }],
            };
            self.violate(found);
        }
        let found = checker::check_files(&self.peers, &BTreeSet::new());
        self.violate(found);
        Ok(())
    }

    /// Has each peer download some of what it lacks, and the last one everything: now nothing may fail.
    fn download_at_the_end(&mut self) -> Result<()> {
        let held: Vec<BTreeSet<u32>> = self.peers.iter().map(numbers_of).collect();
        let first = self.truth.lock().downloads.len();
        self.last_downloads = first;
        let mut wanted = 0;
        for (index, own) in held.iter().enumerate() {
            if index == MIRRORING {
                self.order(index, Order::Mirror);
                wanted += 1;
                continue;
            }
            let there = (1..=documents::NUMBERS).filter(|number| held.iter().any(|held| held.contains(number)));
            for number in there.filter(|number| !own.contains(number)).take(LAST_DOWNLOADS) {
                self.order(index, Order::Get(number));
                wanted += 1;
            }
        }
        let end = self.now() + DOWNLOADING;
        let ended = |world: &Self| {
            let truth = world.truth.lock();
            let last = truth.downloads.iter().skip(first);
            last.filter(|download| download.ended.is_some()).count()
        };
        self.pass_unless(end, |world| ended(world) == wanted)?;
        let downloads: Vec<_> = self.truth.lock().downloads.iter().skip(first).cloned().collect();
        let mut found = Vec::new();
        if downloads.len() != wanted {
            found.push(format!("{wanted} were ordered, and {} begun", downloads.len()));
        }
        for download in downloads {
            let what = match download.ended {
                Some((_, Ok(()))) => continue,
                Some((_, Err(error))) => error,
                None => "it did not end".to_owned(),
            };
            let name = self.name(download.peer);
            let of = download
                .number
                .map_or("everything".to_owned(), |number| number.to_string());
            found.push(format!("{name}, {of} from {:?} on: {what}", download.began));
        }
        let all: BTreeSet<u32> = held.iter().flatten().copied().collect();
        let mirrored = self.peers.get(MIRRORING).map(numbers_of).unwrap_or_default();
        if !all.is_subset(&mirrored) {
            let missing: Vec<&u32> = all.difference(&mirrored).collect();
            found.push(format!("{} has everything but {missing:?}", self.name(MIRRORING)));
        }
        let violations = found.into_iter().map(|what| Violation {
            invariant: "can be had",
            what,
        });
        self.violate(violations.collect());
        Ok(())
    }

    /// Has everybody leave, and the registry end.
    fn part(&mut self) -> Result<()> {
        for peer in 0..PEERS {
            self.order(peer, Order::Leave);
        }
        let end = self.now() + LEAVING;
        self.pass_unless(end, |world| world.truth.lock().peers.iter().all(|peer| peer.has_left))?;
        let staying: Vec<_> = {
            let truth = self.truth.lock();
            let all = NAMES.into_iter().zip(&truth.peers);
            all.filter(|(_, peer)| !peer.has_left).map(|(name, _)| name).collect()
        };
        let violations = staying.into_iter().map(|name| Violation {
            invariant: "leaves in time",
            what: name.to_owned(),
        });
        self.violate(violations.collect());
        // Long enough for looks that would see who has left.
        let now = self.now();
        self.pass(now + Duration::from_secs(3))?;
        // Whoever was killed while it downloaded tidies up when it downloads again.
        let done = self
            .truth
            .lock()
            .downloads
            .iter()
            .skip(self.last_downloads)
            .map(|download| download.peer)
            .collect();
        let found = checker::check_files(&self.peers, &done);
        self.violate(found);
        let _taken = self.registry_orders.give(());
        let end = self.now() + ENDING + LATENCY;
        self.pass_unless(end, |world| world.truth.lock().registry_has_ended)?;
        let has_ended = self.truth.lock().registry_has_ended;
        if !has_ended {
            self.violate(vec![Violation {
                invariant: "leaves in time",
                what: REGISTRY.to_owned(),
            }]);
        }
        Ok(())
    }
}

fn numbers_of(peer: &Peer) -> BTreeSet<u32> {
    let files = documents::files(&peer.folder).unwrap_or_default();
    let is_there = |number: &u32| documents::key(*number).is_some_and(|key| files.contains_key(&key.file_name()));
    (1..=documents::NUMBERS).filter(is_there).collect()
}
