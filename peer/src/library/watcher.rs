//! Watching the folder, so that the library follows it within two seconds.
//!
//! Events of the operating system tell which files to look at; one thread does the looking. A whole look from time to
//! time is the safety net: for events that were lost, and for file systems whose other users cause none.

use std::{
    collections::HashMap,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use notify::{Config, EventKindMask, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::{
    Inner, Library, clock,
    error::{LibraryError, shown},
    events::{Sign, Signal, pass_on},
    lock,
    name::FileName,
    scan::{Look, News, look_at_all, look_at_news},
    silent::is_silent,
    walk::Candidate,
};

/// Signals that may wait for the thread: a copied series makes three for each file, and what does not fit causes a look
/// at everything instead.
const QUEUE_SIGNALS: usize = 8_192;

/// How long it must be quiet before signals are acted on, so that one rewrite is one change and not two, and the last
/// file has passed the file system's tick.
const QUIET_TIME: Duration = clock::TICK.saturating_mul(2);

/// How long signals are gathered at most when it is never quiet.
const BATCH_TIME: Duration = Duration::from_millis(100);

/// How often a whole look is taken although no event asked for it.
const RESCAN_INTERVAL: Duration = Duration::from_secs(30);

/// The same where the folder's file system tells no events, or no watch can be had.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How often it is checked that the root still is the folder of that name. Mounting tells no event.
const ROOT_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The least pause between two whole looks.
const RESCAN_PAUSE: Duration = Duration::from_millis(250);

/// Whole looks take at most one part in so many of the time, when events ask for them.
const BUSY_SHARE: u32 = 4;

/// The same for those that nothing asked for.
const IDLE_SHARE: u32 = 100;

/// Keeps a library up to date with its folder. Dropping it ends the watching.
#[derive(Debug)]
pub struct Watcher {
    queue: SyncSender<Signal>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts to watch the folder of `library`. What happens to files from the return of this function on is seen;
    /// what happened since the library was opened is looked at right away.
    ///
    /// Where the operating system grants no watches, the folder is looked at every half second instead, and a warning
    /// says so.
    ///
    /// # Errors
    ///
    /// [`LibraryError::Thread`] when no thread can be started.
    pub fn start(library: Library) -> Result<Self, LibraryError> {
        Self::start_guarded(library, ())
    }

    /// The same; the watching thread owns `guard` for as long as it runs, and drops it while it panics if it does.
    ///
    /// # Errors
    ///
    /// As [`Watcher::start`].
    pub fn start_guarded(library: Library, guard: impl Send + 'static) -> Result<Self, LibraryError> {
        let (queue, signals) = sync_channel(QUEUE_SIGNALS);
        let stop = Arc::new(AtomicBool::new(false));
        let lost = Arc::new(AtomicBool::new(false));
        let path = library.inner.path.clone();
        let events = {
            let (path, queue, lost) = (path.clone(), queue.clone(), Arc::clone(&lost));
            let handler = move |event| pass_on(event, &path, &queue, &lost);
            // Not the opening of files: each one that is served would wake a thread.
            let kinds = EventKindMask::CORE | EventKindMask::ACCESS_CLOSE;
            RecommendedWatcher::new(handler, Config::default().with_event_kinds(kinds))
        };
        let events = events.inspect_err(|error| warn_of_polling(&path, error)).ok();
        let now = clock::now();
        let mut watch = Watch {
            inner: library.inner,
            events,
            watched: HashMap::new(),
            signals,
            stop: Arc::clone(&stop),
            lost,
            polling: false,
            rescan_due: now,
            root_check_due: now + ROOT_CHECK_INTERVAL,
            root_is_lost: false,
        };
        watch.polling = watch.events.is_none() || is_silent(&path);
        watch.follow_folders();
        let thread = thread::Builder::new()
            .name("library".to_owned())
            .spawn(move || {
                let _guard = guard;
                watch.run();
            })
            .map_err(|source| LibraryError::Thread { path, source })?;
        Ok(Self {
            queue,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // When the queue is full, the thread has something to wake up for anyway.
        let _full = self.queue.try_send(Signal::Stop);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that watched the folder has panicked");
        }
    }
}

fn warn_of_polling(path: &Path, error: &notify::Error) {
    tracing::warn!(
        folder = %shown(path),
        %error,
        "the folder cannot be watched, so it is looked at every half second instead; raise fs.inotify.max_user_watches"
    );
}

/// The watching thread's own.
struct Watch {
    inner: Arc<Inner>,
    events: Option<RecommendedWatcher>,
    /// The folders that are watched, with the device and inode that they had.
    watched: HashMap<PathBuf, (u64, u64)>,
    signals: Receiver<Signal>,
    stop: Arc<AtomicBool>,
    lost: Arc<AtomicBool>,
    polling: bool,
    rescan_due: Instant,
    root_check_due: Instant,
    root_is_lost: bool,
}

impl Watch {
    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let batch = self.gather();
            let mut news = self.digest_signals(batch);
            self.add_due(&mut news);
            if !news.numbers.is_empty() {
                let look = Look {
                    cancel: &self.stop,
                    on_progress: &|_| {},
                };
                if look_at_news(&self.inner, &news, &look).is_none() {
                    return;
                }
            }
            self.check_root();
            if clock::now() >= self.rescan_due {
                self.look_at_everything();
            }
        }
    }

    /// Waits for signals until something else is due, and gathers those that follow closely.
    fn gather(&self) -> Vec<Signal> {
        let mut due = self.rescan_due.min(self.root_check_due);
        if let Some(settled) = lock(&self.inner.state).dues().min() {
            due = due.min(settled);
        }
        let mut batch = Vec::new();
        let mut wait = due.saturating_duration_since(clock::now());
        let mut end = None;
        while batch.len() < QUEUE_SIGNALS {
            match self.signals.recv_timeout(wait) {
                Ok(signal) => batch.push(signal),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let end = *end.get_or_insert_with(|| clock::now() + BATCH_TIME);
            wait = end.saturating_duration_since(clock::now()).min(QUIET_TIME);
        }
        batch
    }

    /// Turns signals into what is to be looked at, and keeps the books on who is writing.
    fn digest_signals(&mut self, batch: Vec<Signal>) -> News {
        let mut news = News::default();
        if self.lost.swap(false, Ordering::Relaxed) {
            // A writer that closed its file unseen must not be waited for.
            lock(&self.inner.state).writers.clear();
            self.ask_for_everything();
        }
        for signal in batch {
            let Signal::Event(sign, path) = signal else { continue };
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| name.starts_with('.')) {
                continue;
            }
            match name.and_then(FileName::parse) {
                Some(file_name) if sign != Sign::Folder => {
                    self.note_file(&mut news, sign, Candidate { path, name: file_name });
                }
                Some(_) | None => self.note_other(sign, &path),
            }
        }
        news
    }

    fn note_file(&self, news: &mut News, sign: Sign, candidate: Candidate) {
        let path = candidate.path.clone();
        let mut state = lock(&self.inner.state);
        match sign {
            Sign::Written => {
                state.writers.insert(path.clone(), clock::now());
                news.whole.remove(&path);
            }
            Sign::Closed => {
                state.writers.remove(&path);
                news.whole.insert(path.clone());
                news.written.insert(path);
            }
            Sign::Renamed => {
                state.writers.remove(&path);
                news.whole.insert(path);
            }
            Sign::Created => {
                news.created.insert(path);
            }
            Sign::Gone => {
                state.writers.remove(&path);
                news.whole.remove(&path);
            }
            Sign::Touched | Sign::Folder => {}
        }
        drop(state);
        news.numbers.insert(candidate.name.key.number);
        if sign != Sign::Gone {
            news.appeared.push(candidate);
        }
    }

    /// Anything else matters only if it is a folder.
    fn note_other(&mut self, sign: Sign, path: &Path) {
        let folder = match sign {
            Sign::Folder => true,
            Sign::Gone => self.watched.contains_key(path),
            Sign::Renamed => self.inner.path.join(path).is_dir(),
            Sign::Touched => path.as_os_str().is_empty(),
            Sign::Created | Sign::Written | Sign::Closed => false,
        };
        if folder {
            if sign != Sign::Touched {
                self.forget(path);
            }
            self.ask_for_everything();
        }
    }

    /// Forgets the watches of a folder that came or went, and of those below: they end with its name, and it may be back
    /// before anybody looks.
    fn forget(&mut self, path: &Path) {
        let Some(events) = &mut self.events else { return };
        self.watched.retain(|watched, _| {
            let stays = !watched.starts_with(path);
            if !stays {
                let _ended = events.unwatch(&full_path(&self.inner.path, watched));
            }
            stays
        });
    }

    /// Adds the files that must have settled by now, and those that were found changed while they were served.
    fn add_due(&self, news: &mut News) {
        let mut state = lock(&self.inner.state);
        news.numbers.append(&mut state.suspects);
        news.numbers.append(&mut state.take_due(clock::now()));
    }

    fn ask_for_everything(&mut self) {
        self.rescan_due = self.rescan_due.min(clock::now());
    }

    /// Asks for a look at everything when another folder has the root's name now, or none.
    fn check_root(&mut self) {
        let now = clock::now();
        if now < self.root_check_due {
            return;
        }
        self.root_check_due = now + ROOT_CHECK_INTERVAL;
        let found = std::fs::metadata(&self.inner.path).ok();
        let found = found.map(|metadata| (metadata.dev(), metadata.ino()));
        if found != self.inner.root().map(|root| root.file) {
            self.ask_for_everything();
        }
    }

    fn look_at_everything(&mut self) {
        let look = Look {
            cancel: &self.stop,
            on_progress: &|_| {},
        };
        let started = clock::now();
        match look_at_all(&self.inner, &look) {
            Ok(_) if self.root_is_lost => {
                tracing::info!(folder = %shown(&self.inner.path), "the shared folder is back");
                self.root_is_lost = false;
            }
            Ok(_) => {}
            Err(error) if !self.root_is_lost => {
                tracing::warn!(%error, "the shared folder is gone: nothing is shared until it is back");
                self.root_is_lost = true;
            }
            Err(_) => {}
        }
        self.inner.keep_digests();
        let took = clock::now().saturating_duration_since(started);
        let interval = if self.polling { POLL_INTERVAL } else { RESCAN_INTERVAL };
        let share = if self.polling { BUSY_SHARE } else { IDLE_SHARE };
        self.rescan_due = clock::now() + interval.max(took * share);
        if self.follow_folders() {
            // Files may have come into a new folder before it was watched.
            self.rescan_due = clock::now() + RESCAN_PAUSE.max(took * BUSY_SHARE);
        }
    }

    /// Watches the folders that the last whole look went into, and no others. Returns whether one of them is new.
    fn follow_folders(&mut self) -> bool {
        let Some(events) = &mut self.events else { return false };
        let folders = lock(&self.inner.folders).clone();
        let wanted: HashMap<PathBuf, (u64, u64)> =
            folders.into_iter().map(|folder| (folder.path, folder.file)).collect();
        let full_path = |path: &Path| full_path(&self.inner.path, path);
        self.watched.retain(|path, file| {
            let stays = wanted.get(path) == Some(file);
            if !stays {
                // The watch of a folder that is gone has ended by itself.
                let _ended = events.unwatch(&full_path(path));
            }
            stays
        });
        let mut is_new = false;
        for (path, file) in wanted {
            if self.watched.contains_key(&path) {
                continue;
            }
            match events.watch(&full_path(&path), RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(path, file);
                    is_new = true;
                }
                // Gone again: its parent's events tell.
                Err(_) if !full_path(&path).is_dir() => {}
                Err(error) => {
                    if !self.polling {
                        warn_of_polling(&full_path(&path), &error);
                    }
                    self.polling = true;
                }
            }
        }
        is_new
    }
}

/// A folder's path as it is watched.
fn full_path(root: &Path, path: &Path) -> PathBuf {
    root.join(path).components().collect()
}
