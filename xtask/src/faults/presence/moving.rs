//! Hosts whose address changes while a peer runs on them, and hosts that vanish without a word.

use std::{path::Path, thread, time::Duration};

use anyhow::{Result, anyhow, ensure};

use crate::faults::{
    Amount, Bench,
    lan::{self, Lan},
    slowest, write_document,
};
use crate::{
    ci::Outcome,
    console, documents, json,
    wait::{self, Look},
};

/// How often some peers are stopped.
const STOPS: Amount = Amount { full: 3, short: 1 };

/// Changes of a host's address.
const MOVES: Amount = Amount { full: 5, short: 1 };

/// How soon a peer must serve again after its address has changed.
const SERVES_LIMIT: Duration = Duration::from_secs(20);

/// How soon a host must be gone that vanished.
const GONE_LIMIT: Duration = Duration::from_secs(20);

/// How soon it must be back when its network is: the longest pause between two attempts is 30 s, an attempt 5 s.
const BACK_LIMIT: Duration = Duration::from_secs(45);

/// A laptop that is carried from one network to the next has no address for a while.
const CARRIED: Duration = Duration::from_secs(8);

const NUMBER: u32 = 20_001;

/// The host that moves is number 2; its further addresses start here.
const LATER_ADDRESSES: u8 = 100;

/// Gives a host one address after the other.
pub fn new_address(bench: &Bench) -> Result<Outcome> {
    let mut lan = match Lan::with_hosts(bench, &["laptop", "desk"])? {
        Ok(lan) => lan,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let digest = documents::sha256(&write_document(&lan.make_folder("shared")?, NUMBER, "only one")?)?;
    lan.join("laptop", "laptop", "shared")?;
    lan.wait_for_reachable("desk", &["laptop"])?;
    let mut address = lan::address(2);
    let target = lan.make_folder("downloads-0")?;
    ensure!(
        download(&lan, &target)? == Some((address.clone(), digest.clone())),
        "the first download failed"
    );
    let (mut at_once, mut carried) = (Vec::new(), Vec::new());
    let moves = (LATER_ADDRESSES..).take(bench.pick(MOVES));
    // Once more in the end, with a pause without any address.
    let moves = moves
        .map(|next| (next, false))
        .chain((!bench.is_short).then_some((2, true)));
    for (next, pauses) in moves {
        let next_address = lan::address(next);
        let laptop = lan.host("laptop")?;
        laptop.run("ip", &["addr", "del", &format!("{address}/24"), "dev", "eth0"])?;
        if pauses {
            thread::sleep(CARRIED);
        }
        laptop.run("ip", &["addr", "add", &format!("{next_address}/24"), "dev", "eth0"])?;
        address = next_address;
        let took = serves_from(&lan, &address, &digest)?;
        if pauses { &mut carried } else { &mut at_once }.push(took);
    }
    let rows = lan.peer_rows("desk")?;
    ensure!(rows.len() == 1, "one peer should be listed: {rows:?}");
    lan.finish()?;
    let pause = if carried.is_empty() {
        String::new()
    } else {
        format!(
            "; {} after {} without any",
            slowest(&carried),
            console::seconds(CARRIED)
        )
    };
    Ok(Outcome::Passed(format!(
        "another address: {} of {} times a download from a third host succeeded within {} s, slowest after {}{pause}",
        at_once.len(),
        bench.pick(MOVES),
        SERVES_LIMIT.as_secs(),
        slowest(&at_once)
    )))
}

/// Waits until another host can download from this address.
fn serves_from(lan: &Lan, address: &str, digest: &str) -> Result<Duration> {
    let mut attempt = 0;
    let wanted = Some((address.to_owned(), digest.to_owned()));
    let found = wait::until_dear(&format!("a download from {address}"), SERVES_LIMIT, || {
        attempt += 1;
        let target = lan.make_folder(&format!("downloads-{address}-{attempt}"))?;
        let got = download(lan, &target)?;
        Ok(if got == wanted {
            Look::Done(())
        } else {
            Look::NotYet(format!("attempt {attempt}: {got:?}"))
        })
    });
    found.map(|((), took)| took).map_err(|error| {
        let rows = lan.peer_rows("desk");
        anyhow!("{error}; listed: {rows:?}")
    })
}

/// Downloads the document, if it can be had: the address that it came from, and its digest.
fn download(lan: &Lan, target: &Path) -> Result<Option<(String, String)>> {
    let (number, to) = (NUMBER.to_string(), target.to_string_lossy());
    let done = lan.run("desk", &["get", &number, "--to", &to, "--json"])?;
    if done.code() != 0 {
        return Ok(None);
    }
    let rows = json::lines(&done.stdout)?;
    let row = rows.first().ok_or_else(|| anyhow!("the download printed nothing"))?;
    let holder = json::text(row, "/holder/address")?;
    let ip = holder.rsplit_once(':').map_or(holder, |(ip, _)| ip).to_owned();
    let digest = documents::sha256(&target.join(format!("rfc{NUMBER}.txt")))?;
    Ok(Some((ip, digest)))
}

/// Pulls a host's cable.
pub fn host_vanishes(bench: &Bench) -> Result<Outcome> {
    let mut lan = match Lan::with_hosts(bench, &["ghost", "desk"])? {
        Ok(lan) => lan,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    write_document(&lan.make_folder("shared")?, NUMBER, "only one")?;
    lan.join("ghost", "ghost", "shared")?;
    let (mut gone, mut back) = (Vec::new(), Vec::new());
    for _ in 0..bench.pick(STOPS) {
        lan.wait_for_reachable("desk", &["ghost"])?;
        lan.cable("ghost", false)?;
        gone.push(lan.wait_for_peers(
            "desk",
            "the host without a cable to be gone",
            GONE_LIMIT,
            <[_]>::is_empty,
        )?);
        let holders = lan.holders("desk", NUMBER)?;
        ensure!(holders.is_empty(), "{holders:?} are handed out, but not listed");
        lan.cable("ghost", true)?;
        back.push(lan.wait_for_peers("desk", "the host to be back", BACK_LIMIT, |rows| !rows.is_empty())?);
    }
    lan.finish()?;
    Ok(Outcome::Passed(format!(
        "cable pulled: {} of {} times gone within {} s, slowest {}; back within {} s of its return, slowest {}",
        gone.len(),
        bench.pick(STOPS),
        GONE_LIMIT.as_secs(),
        slowest(&gone),
        BACK_LIMIT.as_secs(),
        slowest(&back)
    )))
}
