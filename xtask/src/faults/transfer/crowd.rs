//! A thousand downloads at once from one peer.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{FIRST, LONGEST, check_folder, fill, get_command, join_behind};
use crate::faults::{
    Amount, Bench, finish,
    proxy::{Conditions, Proxy},
};
use crate::{ci::Outcome, cluster::SOON, console, process::Process, wait};

/// Commands at a time; a peer serves 32 downloads at a time.
const COMMANDS: Amount = Amount { full: 64, short: 12 };

/// Documents that each of them downloads.
const EACH: usize = 16;

/// Long enough that downloads meet.
const SIZE: usize = 300_000;

/// Bytes a second of each download.
const RATE: u64 = 4 << 20;

/// How soon all must be done.
const LIMIT: Duration = Duration::from_secs(60);

/// Uploads at a time in the short form, which has fewer commands.
const FEW_UPLOADS: &str = "4";

/// Starts all of them.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    let digests = fill(&cluster.make_folder("shared")?, &[SIZE; EACH], &mut bench.dice(0))?;
    let few: &[&str] = if bench.is_short {
        &["--max-uploads", FEW_UPLOADS]
    } else {
        &[]
    };
    let proxy = Proxy::open()?;
    join_behind(&mut cluster, &proxy, "holder", "shared", few)?;
    cluster.wait_for_holders(FIRST, &["holder"], SOON)?;
    let commands = bench.pick(COMMANDS);
    let numbers: Vec<u32> = digests.keys().copied().collect();
    proxy.set_all(Conditions {
        rate: Some(RATE),
        ..Conditions::default()
    });
    let start = wait::now();
    let mut running = Vec::new();
    for index in 0..commands {
        // Each begins with another one.
        let mut order = numbers.clone();
        order.rotate_left(index % EACH);
        let target = cluster.folder().join(format!("target-{index}"));
        let command = get_command(&cluster, &order, &target, &["--durability", "none"])?;
        running.push((
            target,
            Process::spawn(&format!("get-{index}"), command, &cluster.logs())?,
        ));
    }
    for (target, command) in &mut running {
        command.ends_with_code(0, LONGEST)?;
        let found = check_folder(target, &digests)?;
        ensure!(
            found.len() == EACH,
            "{} has {} documents",
            target.display(),
            found.len()
        );
    }
    let took = start.elapsed();
    // Whoever is told to come again connects again.
    let again = proxy.connections() - (commands * EACH) as u64;
    cluster.check_all_run()?;
    finish(cluster)?;
    let figures = format!(
        "{} downloads by {commands} commands at once from one peer: all came, {again} times somebody was told to come again, done after {} \
         (limit {} s)",
        commands * EACH,
        console::seconds(took),
        LIMIT.as_secs()
    );
    ensure!(again > 0, "nobody was told to come again: {figures}");
    ensure!(took <= LIMIT, "too late: {figures}");
    Ok(Outcome::Passed(figures))
}
