//! The same work for many things, on as many threads as the machine runs at once.

use std::{
    panic,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// The most threads: disks gain nothing from more.
const MAX_THREADS: usize = 16;

/// Does `work` for each of `things`, until `is_over`. Blocks.
pub(super) fn all<T: Sync>(things: &[T], is_over: &(dyn Fn() -> bool + Sync), work: &(dyn Fn(&T) + Sync)) {
    let next = AtomicUsize::new(0);
    let take_turns = || {
        while !is_over() {
            let Some(thing) = things.get(next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            work(thing);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let helpers = threads.min(things.len()).saturating_sub(1);
    thread::scope(|scope| {
        // Where no thread can be had, this one does the work alone.
        let handles: Vec<_> = (0..helpers)
            .filter_map(|_| {
                let helper = thread::Builder::new().name("export".to_owned());
                helper.spawn_scoped(scope, take_turns).ok()
            })
            .collect();
        take_turns();
        for handle in handles {
            if let Err(panicked) = handle.join() {
                panic::resume_unwind(panicked);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_thing_is_done_once_until_it_is_over() {
        let done = Mutex::new(Vec::new());
        let things: Vec<usize> = (0..1000).collect();
        all(&things, &|| false, &|thing| done.lock().unwrap().push(*thing));
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, things);
        let count = AtomicUsize::new(0);
        all(&things, &|| count.load(Ordering::Relaxed) >= 5, &|_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert!((5..5 + MAX_THREADS).contains(&count.into_inner()));
    }
}
