//! `peer search`: finds RFCs in a folder by the words in them.

mod shown;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use p2p_ci::{shutdown::Signals, text::escaped};
use tokio::time::Instant;

use self::shown::{Look, described};
use super::{Cancels, blocking, open_silently};
use crate::{
    blocking::{Haste, apart},
    config::SearchArgs,
    error::{Exit, PeerError},
    facts::{Gatherer, SharedCatalogue, store},
    library::Library,
    output::{Output, json::SearchObject, progress::Progress},
    search::{
        Asked, Clause, Hit, Pace, Passage, Passages, Place, Scope, SearchError, Searching, Updated, fingerprint,
        is_fresh, joined, update,
    },
    state::StateDir,
};

/// Brings the index of a folder up to date, and shows what is found in it, until a signal arrives.
///
/// # Errors
///
/// [`PeerError`] when the words make no sense, the folder cannot be read, or the index cannot be kept. That nothing matches is
/// no error but an [`Exit`].
pub async fn run(args: &SearchArgs) -> Result<Exit, PeerError> {
    let asked = asked(args)?;
    let mut signals = Signals::install().map_err(PeerError::system("cannot catch signals"))?;
    let mut output = Output::standard(args.json);
    let state = StateDir::resolve(&args.state)?;
    let dir = folder(args, &state);
    let searched = tokio::select! {
        searched = search(&dir, &state, &asked, args.limit.into(), &mut output) => Some(searched?),
        _ = signals.next() => None,
    };
    let Some(answer) = searched else {
        output.wipe_key();
        output.message("interrupted; the next search goes on where the index was");
        return Ok(Exit::Interrupted);
    };
    show(&answer, &dir, &mut output)
}

/// What is asked for, by words and by options.
fn asked(args: &SearchArgs) -> Result<Asked, PeerError> {
    let of_author = |name: &String| Clause {
        scope: Scope::Author,
        text: name.clone(),
    };
    let options = Asked {
        required: args.author.iter().map(of_author).collect(),
        statuses: args.status.iter().map(|wanted| wanted.0).collect(),
        years: args.year,
        is_title_only: args.title_only,
        ..Asked::default()
    };
    let read = options.reading(&joined(&args.words));
    read.map_err(|error| PeerError::Usage(error.to_string()))
}

/// The folder that is searched.
fn folder(args: &SearchArgs, state: &StateDir) -> PathBuf {
    let shared = || {
        // What a peer tells that cannot be read is no reason not to search here.
        let mut live = state.live_peers().unwrap_or_default().into_iter();
        let only = live.next().filter(|_| live.next().is_none());
        only.map(|peer| PathBuf::from(peer.root)).filter(|root| root.is_dir())
    };
    args.dir.clone().or_else(shared).unwrap_or_else(|| PathBuf::from("."))
}

/// What was found.
#[derive(Debug, Default)]
struct Answer {
    hits: Vec<(Hit, Passage)>,
    /// RFCs that were looked at.
    rfcs: u64,
}

async fn search(
    dir: &Path,
    state: &StateDir,
    asked: &Asked,
    limit: usize,
    output: &mut Output,
) -> Result<Answer, PeerError> {
    let (library, _report) = open_silently(dir, state.path(), output).await?;
    let canonical = library.root().canonicalize();
    let canonical = canonical.map_err(PeerError::system(format!("cannot read {}", shown_path(dir))))?;
    let place = Place::of(state.path(), &canonical);
    let is_there = bring_up_to_date(&place, &library, state, output).await;
    if let Err(error) = is_there {
        // What is there is better than nothing.
        match find(&place, &library, asked, limit).await {
            Ok(answer) => {
                output.message(format_args!("{error}; this was found in the index as it is"));
                return Ok(answer);
            }
            Err(_) => return Err(error),
        }
    }
    match find(&place, &library, asked, limit).await {
        Err(PeerError::Search(SearchError::Unusable(why))) => {
            tracing::debug!("the search index cannot be used: {why}");
            let damaged = place.clone();
            blocking("removing the search index", move || damaged.discard()).await??;
            bring_up_to_date(&place, &library, state, output).await?;
            find(&place, &library, asked, limit).await
        }
        found => found,
    }
}

/// Brings the index up to date, and says what is odd about that.
async fn bring_up_to_date(
    place: &Place,
    library: &Library,
    state: &StateDir,
    output: &mut Output,
) -> Result<(), PeerError> {
    let bar = Arc::new(Progress::download(output, "indexing", 0));
    let shown = Arc::clone(&bar);
    let cancel = Arc::new(AtomicBool::new(false));
    let _cancels = Cancels(Arc::clone(&cancel));
    let (place, library, learnt) = (place.clone(), library.clone(), store::file_of(state.path()));
    let updating = apart("search index", Haste::Some, move || {
        updated(
            &place,
            &library,
            &learnt,
            &|done, total| shown.set(done, total),
            &cancel,
        )
    });
    let updated = updating.await;
    bar.finish();
    let updated = updated.ok_or(PeerError::Broken("the making of the search index"))??;
    if updated.is_remade {
        output.message("the search index could not be used, and was made anew");
    }
    if updated.is_busy {
        output.message("another process brings the search index up to date; this was found in it as it was");
    }
    Ok(())
}

/// Does what there is to do.
fn updated(
    place: &Place,
    library: &Library,
    learnt: &Path,
    on_progress: &dyn Fn(u64, u64),
    cancel: &AtomicBool,
) -> Result<Updated, SearchError> {
    let began = Instant::now();
    let made_of = fingerprint(library, learnt);
    if is_fresh(place, made_of) {
        return Ok(Updated::default());
    }
    let catalogue = SharedCatalogue::default();
    catalogue.learn(store::load(learnt));
    Gatherer::default().gather(library, &catalogue, cancel);
    if cancel.load(Ordering::Relaxed) {
        return Err(SearchError::Cancelled);
    }
    let updated = update(place, library, &catalogue, made_of, Pace::Hurried, on_progress, cancel)?;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(
        took_ms,
        added = updated.added,
        removed = updated.removed,
        "search index is up to date"
    );
    Ok(updated)
}

async fn find(place: &Place, library: &Library, asked: &Asked, limit: usize) -> Result<Answer, PeerError> {
    let (place, library, asked) = (place.clone(), library.clone(), asked.clone());
    // What is read of an index is not checked each time: one that is damaged may do anything but harm.
    let found = apart("search", Haste::Some, move || found(&place, &library, &asked, limit));
    let defect = || SearchError::Unusable("it is damaged".to_owned());
    Ok(found.await.ok_or_else(defect)??)
}

fn found(place: &Place, library: &Library, asked: &Asked, limit: usize) -> Result<Answer, SearchError> {
    let began = Instant::now();
    let searching = Searching::open(place, library)?;
    let opened = Instant::now();
    let hits = searching.find(asked, limit)?;
    let found = Instant::now();
    let mut passages = Passages::new(searching.worths(asked));
    let with_passage = |hit: Hit| {
        let passage = passages.of(library, hit.number);
        (hit, passage)
    };
    let hits = hits.into_iter().map(with_passage).collect();
    let us = |from: Instant, to: Instant| u64::try_from((to - from).as_micros()).unwrap_or(u64::MAX);
    tracing::debug!(
        open_us = us(began, opened),
        find_us = us(opened, found),
        passages_us = us(found, Instant::now()),
        "searched"
    );
    let rfcs = searching.len();
    Ok(Answer { hits, rfcs })
}

fn show(answer: &Answer, dir: &Path, output: &mut Output) -> Result<Exit, PeerError> {
    let look = Look::of(output.screen());
    for (at, (hit, passage)) in answer.hits.iter().enumerate() {
        if output.is_json() {
            output.object(&SearchObject::new(hit, passage))?;
        } else {
            let gap = if at > 0 { "\n" } else { "" };
            output.lines(format_args!("{gap}{}", described(hit, passage, look)))?;
        }
    }
    if !answer.hits.is_empty() {
        return Ok(Exit::Done);
    }
    let dir = shown_path(dir);
    output.message(match answer.rfcs {
        0 => format!("there are no RFCs in {dir}; name the folder to search with --in"),
        rfcs => format!(
            "nothing matches in the {} of {dir}",
            crate::output::human::count(rfcs, "RFC")
        ),
    });
    Ok(Exit::NotFound)
}

fn shown_path(path: &Path) -> String {
    escaped(&path.to_string_lossy()).to_string()
}
