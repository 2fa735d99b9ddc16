//! A disk that fills up: a small file system of the test's own, which nobody else sees.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{ChildStdin, Command},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::geteuid;

use crate::faults::{
    Bench, finish,
    proxy::{Conditions, Ending, Proxy},
    transfer::{Digests, FIRST, LONGEST, check_folder, check_names, fill, get_command, join_behind, mirror_command},
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    console,
    process::{self, Process},
    tools,
    wait::{self, Look},
};

/// How large the file system is.
const DISK: &str = "size=8m";

/// A document that fits, as long as nobody else writes.
const LARGE: usize = 4 << 20;

/// One that cannot fit.
const TOO_LARGE: usize = 9 << 20;

/// Those that a mirror fetches first, before the disk is full.
const SMALL: usize = 100_000;

/// Bytes a second, so that there is time to fill the disk.
const RATE: u64 = 4 << 20;

/// When the disk fills up.
const MIDWAY: u64 = 1 << 20;

/// Another file on the same disk, which must stay as it is.
const BYSTANDER: &str = "diary.txt";

/// A file system, and the process in whose mount namespace it is.
struct Disk {
    holder: Process,
    /// Where it is mounted, as processes inside see it.
    path: PathBuf,
    /// The holder ends when this is closed.
    _stdin: ChildStdin,
}

impl Disk {
    fn mount(cluster: &Cluster, name: &str) -> Result<Self> {
        let path = cluster.make_folder(name)?;
        let mut command = Command::new("unshare");
        let script = format!("mount -t tmpfs -o {DISK} tmpfs \"$1\" && echo mounted && exec cat");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
        command.arg(&path);
        let (mut holder, stdin) = Process::spawn_with_stdin(&format!("disk-{name}"), command, &cluster.logs())?;
        holder.wait_for_line("that it is mounted", SOON, |line| (line == "mounted").then_some(()))?;
        Ok(Self {
            holder,
            path,
            _stdin: stdin,
        })
    }

    /// The same from outside.
    fn seen(&self, path: &Path) -> PathBuf {
        let inside = path.strip_prefix("/").unwrap_or(path);
        Path::new(&format!("/proc/{}/root", self.holder.id())).join(inside)
    }

    /// A command inside.
    fn enter(&self, cluster: &Cluster, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()));
        inside.arg(format!("--wd={}", cluster.folder().display()));
        inside.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }
}

/// Fills the disk before and during downloads of each kind.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let missing = ["unshare", "nsenter", "mount"]
        .into_iter()
        .find(|tool| !tools::has(tool));
    if let Some(missing) = missing {
        return Ok(Outcome::Skipped(format!("`{missing}` is not installed")));
    }
    if !geteuid().is_root() {
        return Ok(Outcome::Skipped("mounting a file system needs root".to_owned()));
    }
    let mut cluster = bench.cluster()?;
    let mut dice = bench.dice(0);
    let large = fill(&cluster.make_folder("large")?, &[LARGE], &mut dice)?;
    let proxy = Proxy::open()?;
    join_behind(&mut cluster, &proxy, "holder", "large", &[])?;
    cluster.wait_for_holders(FIRST, &["holder"], SOON)?;
    let mut resumed = Duration::ZERO;
    for kind in ["get", "mirror", "join --mirror"] {
        let name = kind.replace(' ', "");
        let done = midway(&mut cluster, &proxy, &name, &large);
        resumed = done.with_context(|| format!("{kind}, with the disk full midway"))?;
    }
    cluster.peer("holder")?.stop(SOON)?;
    let fitted = too_large(bench, &mut cluster)?;
    finish(cluster)?;
    Ok(Outcome::Passed(format!(
        "disk full midway, for get, mirror and join --mirror: told, with exit code 1, no file, nothing unfinished left, other files \
         as they were; complete once there is room, join --mirror by itself after {}; a document that cannot fit: told, {fitted} of \
         2 others mirrored",
        console::seconds(resumed)
    )))
}

/// Fills the disk while a document is being written, then makes room and tries again.
fn midway(cluster: &mut Cluster, proxy: &Proxy, name: &str, digests: &Digests) -> Result<Duration> {
    let disk = Disk::mount(cluster, name)?;
    let seen = disk.seen(&disk.path);
    fs::write(seen.join(BYSTANDER), "dear diary")?;
    proxy.set_all(Conditions {
        rate: Some(RATE),
        ending: Some((MIDWAY, Ending::Mark)),
        ..Conditions::default()
    });
    let mut running = Process::spawn(name, command(cluster, &disk, name)?, &cluster.logs())?;
    wait::until_fine("the middle of the download", SOON, || {
        Ok(if proxy.faults() > 0 {
            Look::Done(())
        } else {
            Look::NotYet("not there yet".into())
        })
    })?;
    let filler = seen.join("filler");
    let _full = fs::write(&filler, vec![1; 8 << 20]);
    if name == "join--mirror" {
        wait::until("the peer to tell", SOON, || {
            let told = running.stderr()? + &running.stdout()?;
            Ok(if told.contains("no space left") {
                Look::Done(())
            } else {
                Look::NotYet(told)
            })
        })?;
        check(&seen, digests, 0)?;
        fs::remove_file(&filler)?;
        proxy.set_all(Conditions::default());
        let ((), took) = wait::until("the mirror to go on", LONGEST, || {
            let found = check_names_beside(&seen, digests)?;
            Ok(if found == digests.len() {
                Look::Done(())
            } else {
                Look::NotYet(format!("{found} documents"))
            })
        })?;
        running.stop(SOON)?;
        check(&seen, digests, digests.len())?;
        return Ok(took);
    }
    let ended = wait::until(&format!("the end of {name}"), SOON, || {
        Ok(if running.runs()? {
            Look::NotYet("it still runs".into())
        } else {
            Look::Done(())
        })
    });
    ended?;
    let words = running.stderr()?;
    running.ends_with_code(1, SOON)?;
    ensure!(
        words.contains("no space left in ") && words.contains("free some space"),
        "it said: {words}"
    );
    check(&seen, digests, 0)?;
    fs::remove_file(&filler)?;
    proxy.set_all(Conditions::default());
    let again = command(cluster, &disk, name)?;
    process::run("the next run", again, LONGEST)?.expect_code("the next run", 0)?;
    check(&seen, digests, digests.len())?;
    Ok(Duration::ZERO)
}

fn command(cluster: &Cluster, disk: &Disk, name: &str) -> Result<Command> {
    let inner = match name {
        "get" => get_command(cluster, &[FIRST], &disk.path, &[])?,
        "mirror" => mirror_command(cluster, &disk.path, &[])?,
        _ => {
            let mut command = cluster.peer_command()?;
            command.args(["join", "--mirror", "--name", "mirror"]).arg(&disk.path);
            command.env("P2PCI_STATE_DIR", cluster.folder().join("state/mirror"));
            command
        }
    };
    Ok(disk.enter(cluster, &inner))
}

/// How many documents are there, all of them whole, beside unfinished ones and files of others.
fn check_names_beside(folder: &Path, digests: &Digests) -> Result<usize> {
    let aside = tempfile::tempdir()?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("rfc") {
            fs::copy(entry.path(), aside.path().join(entry.file_name()))?;
        }
    }
    Ok(check_names(aside.path(), digests)?.len())
}

/// Checks that there are so many whole documents, the file of others as it was, and nothing else but the filler.
fn check(folder: &Path, digests: &Digests, count: usize) -> Result<()> {
    let found = check_names_beside(folder, digests)?;
    ensure!(found == count, "{found} documents instead of {count}");
    let diary = fs::read_to_string(folder.join(BYSTANDER))?;
    ensure!(diary == "dear diary", "another file has changed: {diary:?}");
    let part = folder.join(".p2pci-part");
    let left: Vec<_> = fs::read_dir(&part)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    ensure!(left.is_empty(), "unfinished files were left: {left:?}");
    Ok(())
}

/// Documents that cannot fit do not keep those from coming that do.
fn too_large(bench: &Bench, cluster: &mut Cluster) -> Result<usize> {
    let mut dice = bench.dice(1);
    let digests = fill(&cluster.make_folder("mixed")?, &[SMALL, TOO_LARGE, SMALL], &mut dice)?;
    cluster.join("mixed", "mixed")?;
    cluster.wait_for_holders(FIRST + 2, &["mixed"], SOON)?;
    let disk = Disk::mount(cluster, "small")?;
    let seen = disk.seen(&disk.path);
    let small: Digests = digests
        .iter()
        .filter(|(number, _)| **number != FIRST + 1)
        .map(|(n, d)| (*n, d.clone()))
        .collect();
    let mut fitted = 0;
    for (name, numbers) in [("get", vec![FIRST + 1]), ("mirror", Vec::new())] {
        let inner = match name {
            "get" => get_command(cluster, &numbers, &disk.path, &[])?,
            _ => mirror_command(cluster, &disk.path, &["--no-share"])?,
        };
        let done = process::run(name, disk.enter(cluster, &inner), Duration::from_secs(60))?;
        ensure!(
            done.stderr.contains("no space left in "),
            "{name} said: {}",
            done.stderr
        );
        ensure!(
            done.code() == if name == "get" { 1 } else { 6 },
            "{name} ended with exit code {}",
            done.code()
        );
        let found = check_folder(&seen, &small)?;
        ensure!(name == "mirror" || found.is_empty(), "{name} left {found:?}");
        let code = if found.is_empty() { 1 } else { 6 };
        ensure!(
            done.code() == code,
            "{name} left {found:?} and ended with exit code {}",
            done.code()
        );
        fitted = found.len();
    }
    cluster.peer("mixed")?.stop(SOON)?;
    Ok(fitted)
}
