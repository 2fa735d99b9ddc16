//! A registry on an address of a network, and peers on several hosts: more of them than one host may have.

use anyhow::{Result, ensure};

use crate::faults::{Amount, Bench, lan::Lan, slowest, write_document};
use crate::{ci::Outcome, cluster::SOON, documents, wait};

/// Sessions of each of three hosts that share one registry: three times as many exceed the 64 that a registry grants to one
/// address.
const SESSIONS_PER_HOST: Amount = Amount { full: 24, short: 1 };

const HOSTS: [&str; 3] = ["alice", "bob", "carol"];

const FIRST: u32 = 20_001;

/// Starts peers on three hosts, and downloads from each host to each other.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut lan = match Lan::with_hosts(bench, &HOSTS)? {
        Ok(lan) => lan,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    for (host, number) in HOSTS.into_iter().zip(FIRST..) {
        let own = lan.make_folder(host)?;
        write_document(&own, number, host)?;
        lan.join(host, host, host)?;
        for index in 2..=bench.pick(SESSIONS_PER_HOST) {
            lan.join(host, &format!("{host}-{index}"), host)?;
        }
    }
    let all = HOSTS.len() * bench.pick(SESSIONS_PER_HOST);
    lan.wait_for_peers("alice", "every peer to be reachable", 2 * SOON, |rows| {
        rows.len() == all && rows.iter().all(|row| row.reachability == "reachable")
    })?;
    let mut took = Vec::new();
    for (to, (from, number)) in HOSTS
        .iter()
        .flat_map(|to| HOSTS.iter().zip(FIRST..).map(move |from| (to, from)))
    {
        if to == from {
            continue;
        }
        let target = lan.make_folder(&format!("{from}-to-{to}"))?;
        let start = wait::now();
        let (number, path) = (number.to_string(), target.to_string_lossy());
        lan.run(to, &["get", &number, "--to", &path])?
            .expect_code("peer get", 0)?;
        took.push(start.elapsed());
        let name = format!("rfc{number}.txt");
        let source = target.with_file_name(from).join(&name);
        let (there, here) = (documents::sha256(&source)?, documents::sha256(&target.join(&name))?);
        ensure!(there == here, "{from} has {there}, {to} received {here}");
    }
    let log = lan.registry_log()?;
    // A connection too many is worth a warning.
    ensure!(
        !log.contains(" WARN ") && !log.contains(" ERROR "),
        "something was wrong:\n{log}"
    );
    ensure!(
        log.contains("private networks") && log.contains("--allow-from"),
        "a registry beyond loopback should say who may come: {log:?}"
    );
    lan.finish()?;
    Ok(Outcome::Passed(format!(
        "a registry on a network's address: {all} peers on {} hosts, nobody refused, {} downloads across hosts, slowest {}",
        HOSTS.len(),
        took.len(),
        slowest(&took)
    )))
}
