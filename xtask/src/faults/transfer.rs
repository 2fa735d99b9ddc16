//! A download ends with the right bytes or with none, whatever becomes of those who send them.

mod altered;
mod crowd;
mod cut;
mod headless;
mod killed;
mod leaving;
mod lossy;
mod silent;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use super::{Check, Dice, check, proxy::Proxy};
use crate::{
    cluster::{Cluster, SOON},
    documents, json,
    process::{self, Finished},
};

pub(super) const CHECKS: [Check; 12] = [
    check("sender killed", 2, killed::run),
    check("altered", 1, altered::run),
    check("cut short", 1, cut::short),
    check("bad network", 3, cut::bad_network),
    check("sender silent", 2, silent::sender),
    check("no holder", 3, silent::nobody),
    check("sender leaves", 2, leaving::run),
    check("crowd", 0, crowd::run),
    check("no registry", 2, headless::registry),
    check("clocks", 1, headless::clocks),
    check("packet loss", 3, lossy::loss),
    check("slow link", 3, lossy::slow),
];

/// The first of the documents that are no RFCs.
pub(super) const FIRST: u32 = 20_001;

/// The longest that a command with many downloads may take here, whatever befalls them.
pub(super) const LONGEST: Duration = Duration::from_secs(240);

/// Commands at a time.
pub(super) const AT_ONCE: usize = 4;

/// What documents should be, by number: their SHA-256.
pub(super) type Digests = BTreeMap<u32, String>;

/// Starts a peer that others are told to find at a proxy.
pub(super) fn join_behind(
    cluster: &mut Cluster,
    proxy: &Proxy,
    name: &str,
    folder: &str,
    options: &[&str],
) -> Result<()> {
    proxy.lead_to(None);
    let port = proxy.port().to_string();
    let behind = ["--listen", "127.0.0.1:0", "--advertise-port", &port];
    cluster.join_with(name, folder, &[&behind, options].concat())?;
    let is_address = |line: &str| line.strip_prefix("serving on ")?.parse().ok();
    let (address, _) = cluster.peer(name)?.wait_for_line("its address", SOON, is_address)?;
    proxy.lead_to(Some(address));
    Ok(())
}

/// Fills a folder with documents of these sizes, numbered from [`FIRST`] on.
pub(super) fn fill(folder: &Path, sizes: &[usize], dice: &mut Dice) -> Result<Digests> {
    let mut digests = Digests::new();
    for (number, &size) in (FIRST..).zip(sizes) {
        let path = path_of(folder, number);
        fs::write(&path, dice.bytes(size)).with_context(|| format!("cannot write {}", path.display()))?;
        digests.insert(number, documents::sha256(&path)?);
    }
    Ok(digests)
}

/// Where a document is in a folder.
pub(super) fn path_of(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("rfc{number}.txt"))
}

/// Copies a folder of documents inside the cluster's folder.
pub(super) fn copy_folder(cluster: &Cluster, from: &Path, name: &str) -> Result<PathBuf> {
    let folder = cluster.make_folder(name)?;
    for entry in fs::read_dir(from)? {
        documents::copy_into(&entry?.path(), &folder)?;
    }
    Ok(folder)
}

/// Checks that a folder holds whole documents and nothing else, and tells which ones.
pub(super) fn check_folder(folder: &Path, digests: &Digests) -> Result<Vec<u32>> {
    let (found, others) = look_into(folder, digests)?;
    ensure!(others.is_empty(), "{others:?} were left behind");
    Ok(found)
}

/// Checks that whatever has the name of a document is whole; there may be unfinished ones in their own folder.
pub(super) fn check_names(folder: &Path, digests: &Digests) -> Result<Vec<u32>> {
    let (found, mut others) = look_into(folder, digests)?;
    others.retain(|name| name != ".p2pci-part");
    ensure!(others.is_empty(), "{others:?} were left behind");
    Ok(found)
}

/// The documents in a folder, which should be these, and the names of everything else.
fn look_into(folder: &Path, digests: &Digests) -> Result<(Vec<u32>, Vec<String>)> {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    // It is made when there is something to put into it.
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok((found, others));
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let number = name.strip_prefix("rfc").and_then(|name| name.strip_suffix(".txt"));
        let Some(number) = number.and_then(|number| number.parse().ok()) else {
            others.push(name);
            continue;
        };
        let (is, should) = (documents::sha256(&path)?, digests.get(&number));
        ensure!(
            should == Some(&is),
            "{} has the SHA-256 {is} and should have {should:?}",
            path.display()
        );
        found.push(number);
    }
    found.sort_unstable();
    Ok((found, others))
}

/// The state folder of a command that writes into `to`. Each knows of nobody's lies but those that it is told itself: whoever
/// lies is to be asked again.
fn own_state(cluster: &Cluster, to: &Path) -> PathBuf {
    cluster.folder().join("state").join(to.file_name().unwrap_or_default())
}

/// A `peer get` of these documents into a folder.
pub(super) fn get_command(cluster: &Cluster, numbers: &[u32], to: &Path, options: &[&str]) -> Result<Command> {
    let mut command = cluster.peer_command()?;
    command.arg("get").args(numbers.iter().map(u32::to_string));
    // What else is asked of the holders would have the faults of the links that are meant for documents.
    command.args(["--no-hints", "--json", "--to"]).arg(to).args(options);
    command.env("P2PCI_STATE_DIR", own_state(cluster, to));
    Ok(command)
}

/// Runs a `peer get` to its end.
pub(super) fn get(cluster: &Cluster, numbers: &[u32], to: &Path, options: &[&str]) -> Result<Finished> {
    let what = match numbers {
        [only] => format!("peer get {only}"),
        many => format!("peer get, of {} documents", many.len()),
    };
    process::run(&what, get_command(cluster, numbers, to, options)?, LONGEST)
}

/// A `peer mirror` into a folder.
pub(super) fn mirror_command(cluster: &Cluster, to: &Path, options: &[&str]) -> Result<Command> {
    let mut command = cluster.peer_command()?;
    command.args(["mirror", "--json", "--to"]).arg(to).args(options);
    command.env("P2PCI_STATE_DIR", own_state(cluster, to));
    Ok(command)
}

/// Whether a document of `peer get --json` was saved.
pub(super) fn saved(object: &Value) -> bool {
    json::text(object, "/outcome").is_ok_and(|outcome| outcome == "saved")
}

/// How many holders a `peer get` tells to have failed while another one helped.
pub(super) fn detours(done: &Finished) -> usize {
    done.stderr
        .lines()
        .filter(|line| line.ends_with("; went on elsewhere"))
        .count()
}

/// Does something with each of some things, a few at a time.
pub(super) fn at_once<T: Send, R: Send>(
    things: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let things = Mutex::new(things);
    let next = || things.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        let worker = || -> Result<Vec<R>> { std::iter::from_fn(next).map(&work).collect() };
        let running: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        let panicked = |_| Err(anyhow!("a thread panicked"));
        let mut results = Vec::new();
        for thread in running {
            results.extend(thread.join().unwrap_or_else(panicked)?);
        }
        Ok(results)
    })
}
