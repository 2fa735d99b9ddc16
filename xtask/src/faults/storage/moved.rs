//! Files that are deleted, and a whole folder that is moved away and back, while a peer serves them.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::faults::{
    Amount, Bench, finish,
    proxy::{Conditions, Proxy},
    slowest,
    transfer::{FIRST, LONGEST, check_folder, fill, get_command, join_behind, path_of},
};
use crate::{
    ci::Outcome,
    cluster::SOON,
    process::Process,
    wait::{self, Look},
};

/// How often each is done.
const ROUNDS: Amount = Amount { full: 20, short: 2 };

/// How soon the index must know.
const LIMIT: Duration = Duration::from_secs(5);

const SIZE: usize = 2 << 20;

/// Bytes a second of a download under way.
const RATE: u64 = 2 << 20;

const DOCUMENTS: usize = 4;

/// Deletes and moves.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    let shared = cluster.make_folder("shared")?;
    let digests = fill(&shared, &[SIZE; DOCUMENTS], &mut bench.dice(0))?;
    let proxy = Proxy::open()?;
    join_behind(&mut cluster, &proxy, "holder", "shared", &[])?;
    let last = FIRST + u32::try_from(DOCUMENTS)? - 1;
    let target = cluster.folder().join("target");
    let aside = cluster.folder().join("aside");
    let (mut deleted, mut gone, mut back, mut whole) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 0..bench.pick(ROUNDS) {
        cluster.wait_for_holders(last, &["holder"], SOON)?;
        cluster.wait_for_holders(FIRST, &["holder"], SOON)?;
        // Deleted in the middle of a download: what is open stays readable, and nothing else is given out.
        proxy.set_all(Conditions {
            rate: Some(RATE),
            ..Conditions::default()
        });
        let command = get_command(&cluster, &[FIRST], &target, &["--force"])?;
        let mut getting = Process::spawn("get", command, &cluster.logs())?;
        wait::until("the download to begin", SOON, || {
            let bytes = proxy.down_bytes();
            Ok(if bytes > 100_000 {
                Look::Done(())
            } else {
                Look::NotYet(format!("{bytes} bytes"))
            })
        })?;
        let path = path_of(&shared, FIRST);
        let kept = fs::read(&path)?;
        fs::remove_file(&path)?;
        deleted.push(cluster.wait_for_holders(FIRST, &[], LIMIT)?);
        wait::until("the end of the download", LONGEST, || {
            Ok(if getting.runs()? {
                Look::NotYet("it still runs".into())
            } else {
                Look::Done(())
            })
        })?;
        whole += check_folder(&target, &digests)?.len();
        let _nothing = fs::remove_dir_all(&target);
        proxy.set_all(Conditions::default());
        fs::rename(&shared, &aside).with_context(|| format!("round {round}"))?;
        gone.push(cluster.wait_for_holders(last, &[], LIMIT)?);
        // The peer must not take another folder's place for granted either.
        fs::write(path_of(&aside, FIRST), &kept)?;
        fs::rename(&aside, &shared)?;
        back.push(cluster.wait_for_holders(last, &["holder"], LIMIT)?);
    }
    let log = cluster.peer("holder")?.stderr()?;
    ensure!(!log.contains("panicked"), "the holder panicked:\n{log}");
    finish(cluster)?;
    Ok(Outcome::Passed(format!(
        "a file deleted during its download: {} times withdrawn within {} s, slowest {}, {whole} downloads whole, 0 others saved; the \
         folder moved away: withdrawn, slowest {}; and back: announced again, slowest {}",
        deleted.len(),
        LIMIT.as_secs(),
        slowest(&deleted),
        slowest(&gone),
        slowest(&back)
    )))
}
