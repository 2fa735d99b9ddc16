//! The system's randomness, replaced on the threads that simulate.
//!
//! Hash tables, the order in which `select!` looks at its branches, session ids, jitter and samples all draw from the
//! operating system in the end. A thread that [`seed`]s itself gets what follows from the seed instead, so that the same
//! seed gives the same run; all other threads get what the system gives.

use std::cell::RefCell;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

thread_local! {
    static SEEDED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// Has everything on this thread draw from `seed`. To be called before anything on it has drawn: hash tables and random
/// numbers keep what they were given first.
pub(crate) fn seed(seed: u64) {
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

#[cfg(test)]
mod tests {
    use std::{collections::hash_map::RandomState, hash::BuildHasher as _, thread};

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
}
