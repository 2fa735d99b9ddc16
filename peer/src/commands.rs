//! The verbs of the command line, one module each.

pub mod export;
pub mod get;
pub mod healthcheck;
mod hints;
pub mod info;
pub mod join;
mod leaving;
pub mod list;
pub mod lookup;
pub mod mirror;
pub mod peers;
pub mod probe;
pub mod search;
pub mod shell;
mod tally;
pub mod watch;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use p2p_ci::{
    client::registry::RegistryClient,
    registry_url::RegistryUrl,
    transport::{Dialer, tcp_dialer},
};

use crate::{
    config::{Cli, Command, DurabilityArg, TargetArgs},
    error::{Exit, PeerError},
    known::Memory,
    library::{Durability, Library, ScanReport},
    output::{Output, progress::Progress},
    state::StateDir,
};

/// What is said where a registry answers that may soon know more.
const JUST_STARTED: &str = "the registry has just started, and peers may be coming back";

/// Carries out a command line.
///
/// # Errors
///
/// [`PeerError`], which has an exit code of its own.
pub async fn run(cli: Cli) -> Result<Exit, PeerError> {
    let context = Context {
        registry: cli.registry,
        dialer: tcp_dialer(),
        memory: Memory::default(),
    };
    let result = match cli.command {
        Command::Join(args) => join::run(&context, &args).await,
        Command::Get(args) => get::run(&context, &args).await,
        Command::Mirror(args) => mirror::run(&context, &args).await,
        Command::Export(args) => export::run(&args).await,
        Command::Lookup(args) => lookup::run(&context, &args).await,
        Command::Info(args) => info::run(&context, &args).await,
        Command::Search(args) => search::run(&args).await,
        Command::List(args) => list::run(&context, &args).await,
        Command::Peers(args) => peers::run(&context, &args).await,
        Command::Watch(args) => watch::run(&context, &args).await,
        Command::Shell(args) => shell::run(&context, &args).await,
        Command::Healthcheck(args) => healthcheck::run(&context, &args).await,
    };
    match result {
        Err(error) => Err(probe::explained(&context, error).await),
        Ok(exit) => Ok(exit),
    }
}

/// What every command needs.
#[derive(Debug, Clone)]
pub struct Context {
    /// The registry to ask.
    pub registry: RegistryUrl,
    /// How connections are made.
    pub dialer: Dialer,
    /// What is known of other peers.
    pub memory: Memory,
}

impl Context {
    /// The same, with what earlier commands with this state folder have learnt of other peers.
    #[must_use]
    pub fn remembering(&self, state: &StateDir) -> Self {
        Self {
            memory: Memory::of(state, &self.registry),
            ..self.clone()
        }
    }

    /// Connects to the registry.
    ///
    /// # Errors
    ///
    /// [`PeerError::Registry`].
    pub async fn connect(&self) -> Result<RegistryClient, PeerError> {
        RegistryClient::connect(&self.dialer, &self.registry)
            .await
            .map_err(|source| self.registry_error(source))
    }

    /// An error of the registry, with its name.
    #[must_use]
    pub fn registry_error(&self, source: p2p_ci::client::CallError) -> PeerError {
        PeerError::Registry {
            url: self.registry.to_string(),
            source,
        }
    }
}

/// Runs blocking work off the async threads.
async fn blocking<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PeerError> {
    match crate::blocking::run(work).await {
        Ok(result) => Ok(result),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(PeerError::system(what)(std::io::Error::other(error))),
    }
}

/// When files are forced to the disk that are written as `args` say.
fn durability_of(args: &TargetArgs) -> Durability {
    match args.durability.unwrap_or(DurabilityArg::End) {
        DurabilityArg::None => Durability::None,
        DurabilityArg::End => Durability::End,
        DurabilityArg::File => Durability::File,
    }
}

/// Ends blocking work when whoever waits for it no longer does.
struct Cancels(Arc<AtomicBool>);

impl Drop for Cancels {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Opens a folder of documents. A first look at a large folder takes a while, and
/// ends when the returned future is dropped.
async fn open_silently(dir: &Path, state_dir: &Path, output: &Output) -> Result<(Library, ScanReport), PeerError> {
    let (dir, state_dir) = (dir.to_owned(), state_dir.to_owned());
    let bar = Arc::new(Progress::download(output, "hashing", 0));
    let shown = Arc::clone(&bar);
    let cancel = Arc::new(AtomicBool::new(false));
    let _cancels = Cancels(Arc::clone(&cancel));
    let opened = blocking("reading the shared folder", move || {
        Library::open_unless(&cancel, &dir, &state_dir, &|progress| {
            shown.set(progress.bytes_done, progress.bytes_total)
        })
    })
    .await?;
    bar.finish();
    Ok(opened?)
}

/// The same, and tells what its owner should know.
async fn open_library(dir: &Path, state_dir: &Path, output: &mut Output) -> Result<(Library, ScanReport), PeerError> {
    let (library, report) = open_silently(dir, state_dir, output).await?;
    let not_shared = report.skipped.notices();
    for line in not_shared.iter().chain(&report.warnings).chain(&report.hint) {
        output.message(line);
    }
    Ok((library, report))
}
