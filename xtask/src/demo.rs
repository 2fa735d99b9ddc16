//! `cargo xtask demo`: a cluster of real processes on this machine tells the story of the system, step by step.
//!
//! Every step is checked. A step that does not go as told ends the demo with the reason and the last words of the
//! processes involved. Nothing is left behind either way.

mod cast;
mod faults;
mod keep;
mod midway;
mod steps;
mod story;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::Args;

use self::{cast::Cast, story::Story};
use crate::{cluster::Cluster, console, wait, workspace};

/// Options of the demo.
#[derive(Debug, Args)]
pub struct Options {
    /// Leave the cluster up at the end, until Enter or Ctrl-C, and print commands to try on it
    #[arg(long)]
    keep: bool,
    /// The number of peers; the last one starts with an empty folder
    // One to download from, one to be killed, one to stay, and an empty one; 64 sessions from one address is what
    // a registry allows unless told otherwise.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=50))]
    peers: u8,
    /// Use the RFCs of this folder instead of the samples: copies of them are dealt out to the peers
    #[arg(long, value_name = "DIR")]
    rfcs: Option<PathBuf>,
}

impl Options {
    /// What `cargo xtask demo` does without any option.
    pub fn standard() -> Self {
        Self {
            keep: false,
            peers: 4,
            rfcs: None,
        }
    }
}

/// Everything that the steps work with.
#[derive(Debug)]
struct Demo {
    cluster: Cluster,
    cast: Cast,
}

/// Runs the demo and returns a one-line summary.
pub fn run(options: &Options) -> Result<String> {
    let programs = workspace::build()?;
    let cluster = Cluster::new(programs)?;
    if let Some(folder) = &options.rfcs {
        println!("Dealing out copies of the RFCs of {} …", folder.display());
    }
    let cast = Cast::choose(options.rfcs.as_deref(), usize::from(options.peers), &cluster)?;
    let mut demo = Demo { cluster, cast };
    let start = wait::now();
    let mut story = Story::default();
    demo.introduce();
    demo.tell(&mut story)?;
    let told = start.elapsed();
    if options.keep {
        keep::until_told(&mut demo)?;
    }
    let closing = wait::now();
    story.step("Everybody leaves", || demo.leave(!options.keep))?;
    let summary = demo.finish(&story, told + closing.elapsed())?;
    Ok(summary)
}

impl Demo {
    /// The process id of a peer.
    fn id_of(&mut self, name: &str) -> Result<u32> {
        Ok(self.cluster.peer(name)?.id())
    }

    fn introduce(&self) {
        let (peers, rfcs) = (self.cast.members.len(), self.cast.rfc_count());
        println!(
            "\nP2P-CI: a registry and {} on this machine, with {}.",
            console::count(peers, "peer"),
            rfcs
        );
        println!(
            "Their folders and logs are in {} until the end.",
            self.cluster.folder().display()
        );
        println!("Lines with a $ are commands that run there.");
    }

    fn tell(&mut self, story: &mut Story) -> Result<()> {
        story.step("A registry starts", || self.registry_starts())?;
        story.step("The peers join", || self.peers_join())?;
        story.step("Who is here?", || self.who_is_here())?;
        story.step("The whole index", || self.whole_index())?;
        story.step("Who has this RFC?", || self.lookup())?;
        story.step("An RFC that nobody has", || self.lookup_in_vain())?;
        story.step("A download, verified", || self.download())?;
        story.step("A file dropped into a folder", || self.drop_file())?;
        story.step("A peer is killed", || self.peer_killed())?;
        story.step("A download survives the death of its source", || self.source_dies())?;
        story.step("The dead come back", || self.revive())?;
        story.step("The registry is killed and restarted", || self.registry_restarts())
    }

    /// Checks that nothing is left of any process, removes the folder, and prints the summary.
    fn finish(mut self, story: &Story, took: Duration) -> Result<String> {
        self.cluster.check_all_gone()?;
        let folder = self.cluster.remove()?;
        story.print_summary();
        let steps = console::count(story.len(), "step");
        println!(
            "\nNothing is left behind: every process has ended, and {} is gone.",
            folder.display()
        );
        Ok(format!("All went as told: {steps} in {}.", console::seconds(took)))
    }
}
