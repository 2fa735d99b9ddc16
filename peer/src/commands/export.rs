//! `peer export`: lays out the RFCs of a folder as readers look for them. Needs no registry.

mod report;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use p2p_ci::{shutdown::Signals, text::escaped};
use tokio::time::Instant;

use self::report::Report;
use super::{Cancels, blocking, mirror::shown, open_library};
use crate::{
    config::ExportArgs,
    error::{Exit, PeerError},
    export::{Export, GONE_FOR, Layout, Options, Record, Summary, apart, tool::Places},
    library::{Durability, Library, Target, Watcher},
    output::{Output, progress::Progress, reader_gone},
    state::StateDir,
};

/// How long the folder is left alone after a change: many come together.
const PAUSE: Duration = Duration::from_secs(1);

/// How often files beside the documents are looked at, of which no event tells.
const INTERVAL: Duration = Duration::from_secs(60);

/// Runs the command.
///
/// # Errors
///
/// [`PeerError`] when one of the folders cannot be used. That some files could not be put there is no error but an [`Exit`].
pub async fn run(args: &ExportArgs) -> Result<Exit, PeerError> {
    let mut signals = Signals::install().map_err(PeerError::system("cannot catch signals"))?;
    let mut output = Output::standard(args.json);
    let goal = Goal::of(args)?;
    apart::check(&args.from, &goal.dir)?;
    let state = StateDir::resolve(&args.state)?;
    let ended = if args.follow { Exit::Done } else { Exit::Interrupted };
    let (library, _report) = tokio::select! {
        opened = open_library(&args.from, state.path(), &mut output) => opened?,
        _ = signals.next() => return Ok(ended),
    };
    if !args.follow && !has_any(&library, goal.layout) {
        let (from, layout) = (shown(&args.from), goal.layout.name());
        output.message(format_args!("{from} holds no RFC that belongs into {layout}"));
        return Ok(Exit::NotFound);
    }
    let target = open_target(&goal).await?;
    let path = target.path().to_owned();
    let record = {
        let (state, path) = (state.path().to_owned(), path.clone());
        blocking("reading what was exported", move || {
            Record::of(&state, &path.canonicalize().unwrap_or(path))
        })
        .await?
    };
    let options = Options {
        force: args.force,
        copy: args.copy,
    };
    // From now on: what changes while the first round runs is taken up by the next one.
    let watcher = args.follow.then(|| Watcher::start(library.clone())).transpose()?;
    let export = Export::new(library.clone(), target, goal.layout, options, record);
    let mut following = Following {
        export: Arc::new(Mutex::new(export)),
        report: Report::new(goal.layout, path),
    };
    let bar = Arc::new(Progress::download(&output, "exporting", 0));
    let summary = following.round(&mut signals, &bar, &mut output).await?;
    if let Some(tool) = args.tool.filter(|_| !goal.is_default && !summary.is_interrupted) {
        let (tool, setting) = (tool.name(), tool.setting(following.report.target()));
        output.message(format_args!("tell {tool} to look there: {setting}"));
    }
    let exit = report::exit_of(&summary);
    let Some(_watcher) = watcher else { return Ok(exit) };
    if summary.is_interrupted || summary.stopped.is_some() {
        return Ok(if summary.is_interrupted { Exit::Done } else { exit });
    }
    following.follow(&library, &args.from, &mut signals, &mut output).await
}

/// What is to be laid out where.
#[derive(Debug)]
struct Goal {
    layout: Layout,
    dir: PathBuf,
    /// Whether the tool looks there without being told.
    is_default: bool,
}

impl Goal {
    fn of(args: &ExportArgs) -> Result<Self, PeerError> {
        let default = args.tool.and_then(|tool| tool.target(&Places::of_environment()));
        let layout = args.layout.or(args.tool.map(|tool| tool.layout()));
        let dir = args.dir.clone().or_else(|| default.clone());
        match (layout, dir) {
            (Some(layout), Some(dir)) => Ok(Self {
                layout,
                is_default: default.as_ref() == Some(&dir),
                dir,
            }),
            (Some(_), None) => Err(PeerError::Usage(match args.tool {
                Some(tool) => {
                    let (name, setting) = (tool.name(), tool.setting(Path::new("DIR")));
                    format!("{name} has no usual place, so name a DIR, and then tell it: {setting}")
                }
                None => "name the folder to fill: peer export --layout LAYOUT DIR".to_owned(),
            })),
            (None, _) => Err(PeerError::Usage("name a --layout, or a tool with --for".to_owned())),
        }
    }
}

/// Whether the folder has anything for a layout.
fn has_any(library: &Library, layout: Layout) -> bool {
    let documents = library.snapshot();
    documents
        .iter()
        .any(|document| layout.place(document.id.key, document.size_bytes).is_some())
}

/// Opens the folder to fill. Where a tool looks by itself, the folders around it are made as well, as the tool would.
async fn open_target(goal: &Goal) -> Result<Target, PeerError> {
    let (dir, is_default) = (goal.dir.clone(), goal.is_default);
    blocking("opening the target folder", move || {
        if let Some(parent) = dir.parent().filter(|_| is_default) {
            let name = escaped(&parent.to_string_lossy()).to_string();
            let made = std::fs::create_dir_all(parent);
            made.map_err(PeerError::system(format!("cannot create {name}")))?;
        }
        Ok(Target::open(&dir, Durability::End)?)
    })
    .await?
}

/// An export that goes on.
struct Following {
    export: Arc<Mutex<Export>>,
    report: Report,
}

impl Following {
    /// Puts into the target what is missing there, and tells what was done. A signal ends it before the next file.
    async fn round(
        &mut self,
        signals: &mut Signals,
        bar: &Arc<Progress>,
        output: &mut Output,
    ) -> Result<Summary, PeerError> {
        let began = Instant::now();
        let cancel = Arc::new(AtomicBool::new(false));
        let _cancels = Cancels(Arc::clone(&cancel));
        let (stop, shown) = (Arc::clone(&cancel), Arc::clone(bar));
        let running = off_thread(&self.export, move |export| {
            let summary = export.round(&stop, &|done, total| shown.set(done, total));
            (summary, export.remember().err())
        });
        tokio::pin!(running);
        let (summary, forgetful) = tokio::select! {
            result = &mut running => result?,
            _ = signals.next() => {
                cancel.store(true, Ordering::Relaxed);
                signals.or_exit(running).await?
            }
        };
        bar.finish();
        self.report.tell(&summary, began.elapsed(), output)?;
        if let Some(forgetful) = forgetful {
            output.message(forgetful);
        }
        Ok(summary)
    }

    /// Keeps the target as the folder is, until a signal comes or nobody reads what is told.
    async fn follow(
        &mut self,
        library: &Library,
        from: &Path,
        signals: &mut Signals,
        output: &mut Output,
    ) -> Result<Exit, PeerError> {
        if !output.is_json() {
            output.lines(format_args!("following {}", shown(from)))?;
        }
        let mut version = library.version();
        let bar = Arc::new(Progress::hidden());
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                // An error means that the library is gone, and this task with it.
                _ = tokio::time::timeout(pause, version.changed()) => {}
                _ = signals.next() => break,
                () = reader_gone() => break,
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = signals.next() => break,
            }
            version.mark_unchanged();
            let summary = self.round(signals, &bar, output).await?;
            if summary.is_interrupted {
                break;
            }
            let began = Instant::now();
            let pruning = move |export: &mut Export| (export.prune(began), export.is_pruning());
            let (removed, is_pruning) = off_thread(&self.export, pruning).await?;
            let pruned = Summary {
                removed,
                ..Summary::default()
            };
            self.report.tell(&pruned, began.elapsed(), output)?;
            pause = if is_pruning { GONE_FOR } else { INTERVAL };
        }
        output.wipe_key();
        Ok(Exit::Done)
    }
}

/// Does something with an export off the async threads.
async fn off_thread<T: Send + 'static>(
    export: &Arc<Mutex<Export>>,
    work: impl FnOnce(&mut Export) -> T + Send + 'static,
) -> Result<T, PeerError> {
    let export = Arc::clone(export);
    blocking("exporting", move || {
        work(&mut export.lock().unwrap_or_else(PoisonError::into_inner))
    })
    .await
}
