//! The steps in which everything goes well.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::{Demo, cast};
use crate::{
    cluster::{PeerRow, STOP_LIMIT},
    console, documents, json,
    process::Finished,
    wait,
};

/// How soon a peer's registry must know of a file that was put into the peer's folder.
const SEEN_LIMIT: Duration = Duration::from_secs(2);

/// How long all peers may take to hash what they have, register and announce it. The samples take a second; the whole
/// series, half a gigabyte and perhaps compressed, may be dealt out too.
pub const JOIN_LIMIT: Duration = Duration::from_secs(180);

/// How soon a peer must be gone from the index when its stream has closed, for whatever reason.
pub const GONE_LIMIT: Duration = Duration::from_secs(1);

impl Demo {
    /// Shows a peer command and its output, and expects its exit code.
    pub fn show(&self, arguments: &[&str], code: i32) -> Result<Finished> {
        let what = format!("peer {}", arguments.join(" "));
        console::command(&what);
        let done = self.cluster.run(arguments)?;
        console::output(&done.stdout);
        console::output(&done.stderr);
        done.expect_code(&what, code)
    }

    pub fn registry_starts(&mut self) -> Result<String> {
        console::tell("It keeps the index: who is here, and who has which RFC. It stores no documents.");
        console::command("registry --listen 127.0.0.1:0");
        let took = self.cluster.start_registry()?;
        console::output(&self.cluster.registry()?.stdout()?);
        console::command(&format!(
            "export P2PCI_REGISTRY=http://{}",
            self.cluster.registry_address()?
        ));
        Ok(format!("ready {} after its start", console::seconds(took)))
    }

    pub fn peers_join(&mut self) -> Result<String> {
        console::tell(
            "Each one shares a folder: it tells the registry what it has, and serves it on a port that the system \
             chose. It is registered as long as its stream to the registry is open.",
        );
        let names: Vec<String> = self.cast.members.iter().map(|member| member.name.clone()).collect();
        let start = wait::now();
        for name in &names {
            console::command(&format!("peer join {name} --name {name} &"));
            self.cluster.join(name, name)?;
        }
        for name in &names {
            self.cluster
                .peer(name)?
                .wait_for_line("that it is registered", JOIN_LIMIT, |line| {
                    says_registered(line, name).then_some(())
                })?;
        }
        self.wait_for_everybody(JOIN_LIMIT)?;
        let took = start.elapsed();
        console::tell(&format!("{} says:", self.cast.source()));
        let first = self.cast.source().to_owned();
        console::output(&self.cluster.peer(&first)?.stdout()?);
        Ok(format!(
            "{} registered and reachable after {}",
            console::count(names.len(), "peer"),
            console::seconds(took)
        ))
    }

    /// Waits until every peer that runs is registered, reachable, and has announced all that its folder holds.
    pub fn wait_for_everybody(&mut self, limit: Duration) -> Result<Duration> {
        let mut wanted: BTreeMap<String, u64> = BTreeMap::new();
        for member in &self.cast.members {
            let rfcs = documents::scan(&self.cluster.folder().join(&member.name))?;
            wanted.insert(member.name.clone(), rfcs.iter().map(|rfc| rfc.formats() as u64).sum());
        }
        let all_there = |rows: &[PeerRow]| {
            let is_there =
                |row: &PeerRow| row.reachability == "reachable" && wanted.get(&row.name) == Some(&row.documents);
            rows.len() == wanted.len() && rows.iter().all(is_there)
        };
        let what = format!(
            "{} to be registered with all they have",
            console::count(wanted.len(), "peer")
        );
        Ok(self.cluster.wait_for_peers(&what, limit, all_there)?.1)
    }

    pub fn who_is_here(&mut self) -> Result<String> {
        let shown = self.show(&["peers"], 0)?.stdout;
        for member in &self.cast.members {
            ensure!(shown.contains(&member.name), "the list of peers lacks {}", member.name);
        }
        Ok(format!("all {} are listed", self.cast.members.len()))
    }

    pub fn whole_index(&mut self) -> Result<String> {
        self.show(&["list", "--format", "txt"], 0)?;
        let rows = self.cluster.json(&["list", "--format", "txt"])?;
        let mut listed = BTreeMap::new();
        for row in &rows {
            let [holder] = json::array(row, "/holders")? else {
                bail!("not exactly one holder: {row}")
            };
            let key = (json::number(row, "/number")?, json::text(holder, "/name")?.to_owned());
            listed.insert(key, json::text(row, "/sha256")?.to_owned());
        }
        let mut checked = 0_usize;
        for (name, rfc) in self.cast.holdings() {
            wait::check_interrupt()?;
            let digest = listed.remove(&(u64::from(rfc.number), name.to_owned()));
            let digest = digest.with_context(|| format!("the index lacks RFC {} of {name}", rfc.number))?;
            // The index knows the digest of what a compressed text unpacks to.
            ensure!(
                rfc.is_packed() || digest == documents::sha256(&rfc.text)?,
                "the index has another digest of RFC {} than the file in {name}'s folder",
                rfc.number
            );
            checked += 1;
        }
        ensure!(
            listed.is_empty(),
            "the index has entries that no folder holds: {listed:?}"
        );
        Ok(format!(
            "{} with holder and SHA-256, the same as in the folders",
            console::count(checked, "text")
        ))
    }

    pub fn lookup(&mut self) -> Result<String> {
        let number = self.cast.wanted.number.to_string();
        self.show(&["lookup", &number], 0)?;
        let holders = self.cluster.holders(self.cast.wanted.number)?;
        ensure!(
            holders == [self.cast.source()],
            "RFC {number} should be held by its one holder, not {holders:?}"
        );
        Ok(format!("{} has it", self.cast.source()))
    }

    pub fn lookup_in_vain(&mut self) -> Result<String> {
        let number = self.cast.missing.to_string();
        let said = self.show(&["lookup", &number], 3)?.stderr;
        ensure!(said.contains(&number), "the message does not name the RFC: {said:?}");
        Ok("exit code 3 means not found".to_owned())
    }

    pub fn download(&mut self) -> Result<String> {
        let (number, source, newcomer) = (self.cast.wanted.number, self.cast.source(), self.cast.newcomer());
        console::tell(&format!(
            "The bytes come straight from {source}. The file gets its name only when its SHA-256 is right. The folder \
             is the one that {newcomer} shares, so that {newcomer} has it to offer from then on."
        ));
        let expected = self.expected_digest()?;
        let said = self.show(&["get", &number.to_string(), "--to", newcomer], 0)?.stdout;
        for part in [source, &expected] {
            ensure!(said.contains(part), "the command should have named {part}");
        }
        let saved = cast::text_file(&self.cluster.folder().join(newcomer), number);
        let digest = documents::sha256(&saved)?;
        ensure!(
            digest == expected,
            "the file on disk has the digest {digest}, not {expected}"
        );
        let (source, newcomer) = (source.to_owned(), newcomer.to_owned());
        let took = self
            .cluster
            .wait_for_holders(number, &[&source, &newcomer], SEEN_LIMIT)?;
        self.show(&["lookup", &number.to_string(), "--format", "txt"], 0)?;
        Ok(format!(
            "the file has the SHA-256 of {source}'s, and {newcomer} was a holder {} later",
            console::seconds(took)
        ))
    }

    /// The digest that the wanted RFC should have: that of the file, or, where the file is compressed, of the index.
    fn expected_digest(&self) -> Result<String> {
        let wanted = &self.cast.wanted;
        if !wanted.is_packed() {
            return documents::sha256(&wanted.text);
        }
        let rows = self
            .cluster
            .json(&["lookup", &wanted.number.to_string(), "--format", "txt"])?;
        let [row] = rows.as_slice() else {
            bail!("not exactly one text of RFC {}: {rows:?}", wanted.number)
        };
        Ok(json::text(row, "/sha256")?.to_owned())
    }

    pub fn drop_file(&mut self) -> Result<String> {
        let number = self.cast.dropped.number;
        let (victim, third) = (self.cast.victim().to_owned(), self.cast.third().to_owned());
        let file = &self.cast.dropped.text;
        let name = file.file_name().unwrap_or_default().display();
        console::command(&format!("cp {third}/{name} {victim}/"));
        documents::copy_into(file, &self.cluster.folder().join(&victim))?;
        let took = self.cluster.wait_for_holders(number, &[&victim, &third], SEEN_LIMIT)?;
        self.show(&["lookup", &number.to_string(), "--format", "txt"], 0)?;
        Ok(format!(
            "{victim} announced it within {} of the copy",
            console::seconds(took)
        ))
    }

    /// Ends every process in good order. `strict`: nobody may have ended before.
    pub fn leave(&mut self, strict: bool) -> Result<String> {
        if strict {
            self.cluster.check_all_run()?;
            self.one_leaves()?;
        }
        console::command("kill -TERM … # every other peer, then the registry");
        let took = self.cluster.stop_all()?;
        Ok(format!(
            "all of them ended with exit code 0, within {}",
            console::seconds(took)
        ))
    }

    fn one_leaves(&mut self) -> Result<()> {
        let name = self.cast.third().to_owned();
        console::tell(&format!(
            "{name} is asked to end. It tells the registry before it goes."
        ));
        console::command(&format!("kill -TERM {} # {name}", self.cluster.peer(&name)?.id()));
        self.cluster.peer(&name)?.signal(Signal::TERM)?;
        let (_, took) = self
            .cluster
            .wait_for_peers(&format!("{name} to be gone"), GONE_LIMIT, |rows| {
                !rows.iter().any(|row| row.name == name)
            })?;
        let peer = self.cluster.peer(&name)?;
        peer.ends_well(STOP_LIMIT)?;
        let said = peer.stdout()?;
        let last = said.lines().last().unwrap_or_default();
        console::output(last);
        ensure!(
            last == "left",
            "the last thing that {name} printed is {last:?}, not \"left\""
        );
        console::tell(&format!(
            "{name} was gone from the index within {}.",
            console::seconds(took)
        ));
        Ok(())
    }
}

/// Whether a line that a peer printed says that it is registered under this name.
fn says_registered(line: &str, name: &str) -> bool {
    line.strip_prefix("registered as ")
        .and_then(|rest| rest.strip_prefix(name))
        .is_some_and(|rest| rest.starts_with([' ', ',']))
}
