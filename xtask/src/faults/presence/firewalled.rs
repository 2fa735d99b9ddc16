//! Peers that can reach the registry, but that nobody can reach, because of a firewall on their own host.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::faults::{Amount, Bench, lan::Lan, write_document};
use crate::{ci::Outcome, cluster::SOON, console, json, space::Space, tools, wait};

/// Lookups that must not hand out a peer that cannot be reached.
const LOOKUPS: Amount = Amount { full: 100, short: 10 };

/// How soon a peer must be told.
const TOLD_LIMIT: Duration = Duration::from_secs(5);

/// How soon a peer must be known as reachable after its firewall has opened: the registry tries every 30 s, and no
/// address more often than every 10 s.
const OPENED_LIMIT: Duration = Duration::from_secs(45);

const SHARED: u32 = 20_001;

/// The peers behind a firewall, what it does with those who knock, and a document that only that peer has.
const BLOCKED: [(&str, &str, u32); 2] = [("carol", "drop", 20_002), ("dave", "reject", 20_003)];

/// Starts two peers behind firewalls of either kind, and one without.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let Some(firewall) = Firewall::find() else {
        return Ok(Outcome::Skipped("neither nft nor iptables is installed".to_owned()));
    };
    let mut lan = match Lan::with_hosts(bench, &["alice", "bob", "carol", "dave"])? {
        Ok(lan) => lan,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    write_document(&lan.make_folder("alice")?, SHARED, "the same")?;
    lan.join("alice", "alice", "alice")?;
    lan.wait_for_reachable("bob", &["alice"])?;
    let mut told = Vec::new();
    for (name, verdict, own) in BLOCKED {
        let folder = lan.make_folder(name)?;
        write_document(&folder, SHARED, "the same")?;
        write_document(&folder, own, "its own")?;
        if let Err(error) = firewall.close(lan.host(name)?, verdict) {
            wait::check_interrupt()?;
            return Ok(Outcome::Skipped(format!("the system grants no firewall: {error:#}")));
        }
        let start = wait::now();
        lan.join(name, name, name)?;
        lan.peer(name)?
            .wait_for_line("that it cannot be reached", TOLD_LIMIT, |line| {
                line.starts_with("registered, but others cannot reach 10.77.0.")
                    .then_some(())
            })?;
        told.push(format!("{verdict} after {}", console::seconds(start.elapsed())));
    }
    check_shown(&lan)?;
    for _ in 0..bench.pick(LOOKUPS) {
        check_not_handed_out(&lan)?;
    }
    let opened = if !bench.is_short {
        format!(
            "; reachable {} after the firewalls opened",
            console::seconds(open(&lan, firewall)?)
        )
    } else {
        String::new()
    };
    lan.finish()?;
    Ok(Outcome::Passed(format!(
        "behind a firewall: told so within {} s ({}), shown so, handed out in none of {} lookups{opened}",
        TOLD_LIMIT.as_secs(),
        told.join(", "),
        3 * bench.pick(LOOKUPS)
    )))
}

fn check_shown(lan: &Lan) -> Result<()> {
    let rows = lan.peer_rows("bob")?;
    for (name, ..) in BLOCKED {
        let shown = rows
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.reachability.as_str());
        ensure!(
            shown == Some("unreachable"),
            "{name} should be shown as unreachable: {rows:?}"
        );
    }
    for (_, _, number) in BLOCKED {
        let done = lan.run("bob", &["get", &number.to_string(), "--to", "downloads"])?;
        ensure!(
            done.code() == 3,
            "what only an unreachable peer has should not be found: {}, {}",
            done.status,
            done.stderr
        );
    }
    let listed = lan.run("bob", &["list", "--json"])?.expect_code("peer list", 0)?;
    let names = json::holder_names(&json::lines(&listed.stdout)?)?;
    ensure!(names == ["alice"], "the index names {names:?} as holders");
    Ok(())
}

fn check_not_handed_out(lan: &Lan) -> Result<()> {
    let holders = lan.holders("bob", SHARED)?;
    ensure!(holders == ["alice"], "{holders:?} were handed out");
    for (_, _, number) in BLOCKED {
        let holders = lan.holders("bob", number)?;
        ensure!(holders.is_empty(), "{holders:?} were handed out");
    }
    Ok(())
}

/// Opens the firewalls, and waits until all can be reached.
fn open(lan: &Lan, firewall: Firewall) -> Result<Duration> {
    for (name, ..) in BLOCKED {
        firewall.open(lan.host(name)?)?;
    }
    let names = BLOCKED.map(|(name, ..)| name);
    let took = lan.wait_for_peers("bob", "the peers to be reachable", OPENED_LIMIT, |rows| {
        names.iter().all(|name| {
            rows.iter()
                .any(|row| row.name == *name && row.reachability == "reachable")
        })
    })?;
    let holders = lan.holders("bob", SHARED)?;
    ensure!(holders == ["alice", "carol", "dave"], "only {holders:?} are handed out");
    lan.run("bob", &["get", "20002", "20003", "--to", "downloads"])?
        .expect_code("peer get", 0)?;
    Ok(took.min(OPENED_LIMIT + SOON))
}

/// A program that sets up the kernel's firewall.
#[derive(Debug, Clone, Copy)]
enum Firewall {
    Nft,
    Iptables,
}

impl Firewall {
    fn find() -> Option<Self> {
        if tools::has("nft") {
            Some(Self::Nft)
        } else {
            tools::has("iptables").then_some(Self::Iptables)
        }
    }

    /// Lets nobody connect to this host, which itself can connect to others.
    fn close(self, host: &Space, verdict: &str) -> Result<()> {
        match self {
            Self::Nft => {
                host.run("nft", &["add table inet wall"])?;
                host.run(
                    "nft",
                    &["add chain inet wall in { type filter hook input priority 0; }"],
                )?;
                let rule = format!("add rule inet wall in iif != lo tcp flags & (syn | ack) == syn {verdict}");
                host.run("nft", &[&rule])
            }
            Self::Iptables => {
                let verdict = verdict.to_uppercase();
                host.run(
                    "iptables",
                    &["-A", "INPUT", "!", "-i", "lo", "-p", "tcp", "--syn", "-j", &verdict],
                )
            }
        }
    }

    fn open(self, host: &Space) -> Result<()> {
        match self {
            Self::Nft => host.run("nft", &["delete table inet wall"]),
            Self::Iptables => host.run("iptables", &["-F", "INPUT"]),
        }
    }
}
