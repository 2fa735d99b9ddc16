//! `cargo xtask grpcurl-test`: public gRPC tools look into a real registry and a real peer.
//!
//! grpcurl 1.8.6 knows the schema from reflection v1alpha, buf from reflection v1; neither has seen the `.proto` files.
//! Every RPC of both services is called by both. The commands of `docs/grpcurl.md` are run too, and must print what
//! is written there.

mod calls;
mod document;
mod normal;
mod session;
mod tools;

use anyhow::Result;
use clap::Args;

use self::tools::Tools;
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    console, documents, workspace,
};

/// Options of the command.
#[derive(Debug, Args)]
pub struct Options {
    /// Write what the commands of docs/grpcurl.md print into it, instead of comparing
    #[arg(long)]
    bless: bool,
}

/// A registry and two peers, and the tools to look at them.
#[derive(Debug)]
struct Bench {
    cluster: Cluster,
    tools: Tools,
    registry: String,
    /// The address of a peer that shares the samples of the same name.
    alice: String,
    /// The address of a second one.
    bob: String,
}

/// Runs every check without options.
pub fn run() -> Result<Outcome> {
    run_with(&Options { bless: false })
}

/// Runs every check.
pub fn run_with(options: &Options) -> Result<Outcome> {
    let tools = match Tools::install() {
        Ok(tools) => tools,
        Err(error) => {
            crate::wait::check_interrupt()?;
            return Ok(Outcome::Skipped(format!(
                "grpcurl and buf cannot be installed here: {error:#}"
            )));
        }
    };
    tools.check_protos()?;
    println!("ok  buf lint and buf format find nothing");
    let mut bench = Bench::start(tools)?;
    let calls = calls::run(&bench)?;
    session::run(&mut bench)?;
    bench.cluster.wait_until_converged()?;
    let commands = document::run(&bench, options.bless)?;
    let took = bench.cluster.stop_all()?;
    println!(
        "ok  registry and peers ended with exit code 0 in {}",
        console::seconds(took)
    );
    Ok(Outcome::Passed(format!(
        "{calls} calls, and {commands} commands of docs/grpcurl.md"
    )))
}

impl Bench {
    fn start(tools: Tools) -> Result<Self> {
        let mut cluster = Cluster::new(workspace::build()?)?;
        cluster.start_registry()?;
        // One after the other, because the registry lists peers in order of registration.
        for name in ["alice", "bob"] {
            let folder = cluster.make_folder(name)?;
            let rfcs = documents::scan(&workspace::root().join("xtask/samples").join(name))?;
            for file in rfcs.iter().flat_map(|rfc| &rfc.files) {
                documents::copy_into(file, &folder)?;
            }
            let documents: u64 = rfcs.iter().map(|rfc| rfc.formats() as u64).sum();
            cluster.join(name, name)?;
            cluster.wait_for_peers(&format!("{name} to be registered"), SOON, |rows| {
                rows.iter()
                    .any(|row| row.name == name && row.reachability == "reachable" && row.documents == documents)
            })?;
        }
        let registry = cluster.registry_address()?.to_string();
        let rows = cluster.peer_rows()?;
        let address = |name: &str| {
            rows.iter()
                .find(|row| row.name == name)
                .map(|row| row.address.clone())
                .unwrap_or_default()
        };
        let (alice, bob) = (address("alice"), address("bob"));
        Ok(Self {
            cluster,
            tools,
            registry,
            alice,
            bob,
        })
    }
}
