//! The system's randomness and its clock, replaced on the threads that simulate.
//!
//! Hash tables, the order in which `select!` looks at its branches, session ids, jitter and samples all draw from the
//! operating system in the end. A thread that [`seed`]s itself gets what follows from the seed instead, so that the same
//! seed gives the same run; all other threads get what the system gives. For the same reason no time passes there but the
//! simulated: h2 forgets a stream that was reset after a second of the clock that never goes back, which a busy machine
//! may take for a minute of simulated time, or for none. A file that was hashed within a tick of its last change is hashed
//! again when it is read, and whether it was would be a matter of how busy the machine is.

use std::{
    cell::{Cell, RefCell},
    sync::OnceLock,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rustix::time::{ClockId, Timespec};

thread_local! {
    static SEEDED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
    static STOPPED_AT: Cell<Option<Timespec>> = const { Cell::new(None) };
}

/// Where the clock of the wall stands still.
static ON_THE_WALL: OnceLock<Timespec> = OnceLock::new();

/// Stops the clock of the wall for the whole process: all files that are written from now on are of its future.
pub(crate) fn stop_the_wall_clock() {
    ON_THE_WALL.get_or_init(|| rustix::time::clock_gettime(ClockId::Realtime));
}

/// Has everything on this thread draw from `seed`. To be called before anything on it has drawn: hash tables and random
/// numbers keep what they were given first. No time passes on it from now on, by the clock that never goes back.
pub(crate) fn seed(seed: u64) {
    STOPPED_AT.set(Some(rustix::time::clock_gettime(ClockId::Monotonic)));
    SEEDED.set(Some(StdRng::seed_from_u64(seed)));
}

/// Fills `bytes` if this thread is seeded.
fn fill_seeded(bytes: &mut [u8]) -> bool {
    // A thread that is about to end has no such variable any more.
    let filled = SEEDED.try_with(|seeded| match seeded.try_borrow_mut().as_deref_mut() {
        Ok(Some(rng)) => {
            rng.fill_bytes(bytes);
            true
        }
        Ok(None) | Err(_) => false,
    });
    filled.unwrap_or(false)
}

/// Fills `bytes` from the system; says how many were filled.
fn fill_from_system(bytes: &mut [u8]) -> isize {
    match rustix::rand::getrandom(bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(filled) => isize::try_from(filled).unwrap_or(isize::MAX),
        Err(_) => -1,
    }
}

/// Takes the place of the C library's function of that name (getrandom(2)), which the standard library and the crates for
/// random numbers call.
#[expect(
    unsafe_code,
    reason = "there is no other way to have hash tables of the standard library drawn from a seed"
)]
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    if buffer.is_null() {
        return if length == 0 { 0 } else { -1 };
    }
    // SAFETY: by the contract of getrandom(2), `buffer` has room for `length` bytes. It may not be initialised, and is
    // made so before a reference to it is.
    let bytes = unsafe {
        buffer.write_bytes(0, length);
        std::slice::from_raw_parts_mut(buffer, length)
    };
    if fill_seeded(bytes) {
        isize::try_from(length).unwrap_or(isize::MAX)
    } else {
        fill_from_system(bytes)
    }
}

/// What a clock says on this thread; `None` for one that nobody here asks.
fn time_of(clock: i32) -> Option<Timespec> {
    // As <time.h> of Linux numbers them.
    let clock = match clock {
        0 => ClockId::Realtime,
        1 => ClockId::Monotonic,
        2 => ClockId::ProcessCPUTime,
        3 => ClockId::ThreadCPUTime,
        4 => ClockId::MonotonicRaw,
        5 => ClockId::RealtimeCoarse,
        6 => ClockId::MonotonicCoarse,
        7 => ClockId::Boottime,
        _ => return None,
    };
    let stopped_at = match clock {
        // A thread that is about to end has no such variable any more.
        ClockId::Monotonic => STOPPED_AT.try_with(Cell::get).ok().flatten(),
        ClockId::Realtime => ON_THE_WALL.get().copied(),
        _ => None,
    };
    Some(stopped_at.unwrap_or_else(|| rustix::time::clock_gettime(clock)))
}

/// Takes the place of the C library's function of that name (clock_gettime(2)), which the standard library calls.
#[expect(
    unsafe_code,
    reason = "there is no other way to stop the clock of the standard library's instants"
)]
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: i32, time: *mut Timespec) -> i32 {
    let Some(told) = time_of(clock).filter(|_| !time.is_null()) else {
        return -1;
    };
    // SAFETY: by the contract of clock_gettime(2), there is room for a `timespec`, which this is on Linux.
    unsafe { time.write(told) };
    0
}

#[cfg(test)]
mod tests {
    use std::{
        collections::hash_map::RandomState,
        hash::BuildHasher as _,
        thread,
        time::{Duration, SystemTime},
    };

    use super::*;

    fn drawn(from: Option<u64>) -> (u64, u64, [u8; 16]) {
        let drawing = move || {
            if let Some(from) = from {
                seed(from);
            }
            let mut bytes = [0; 16];
            rand::rng().fill_bytes(&mut bytes);
            (rand::random(), RandomState::new().hash_one(1), bytes)
        };
        thread::spawn(drawing).join().unwrap()
    }

    #[test]
    fn a_seeded_thread_draws_the_same_again() {
        assert_eq!(drawn(Some(7)), drawn(Some(7)));
        assert_ne!(drawn(Some(7)).0, drawn(Some(8)).0);
        assert_ne!(drawn(Some(7)).1, drawn(Some(8)).1);
    }

    #[test]
    fn other_threads_draw_from_the_system() {
        seed(7);
        let (first, second) = (drawn(None), drawn(None));
        assert_ne!(first.0, second.0);
        assert_ne!(first.1, second.1);
        assert_ne!(first.2, second.2);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the clock is what is tested")]
    fn no_time_passes_on_a_seeded_thread_by_the_clock_that_never_goes_back() {
        let pause = Duration::from_millis(5);
        let passed = move |seeded: bool| {
            let waiting = move || {
                if seeded {
                    seed(7);
                }
                let (began, on_the_wall) = (std::time::Instant::now(), SystemTime::now());
                while on_the_wall.elapsed().unwrap() < pause {}
                began.elapsed()
            };
            thread::spawn(waiting).join().unwrap()
        };
        assert_eq!(passed(true), Duration::ZERO);
        assert!(passed(false) > Duration::ZERO);
    }
}
