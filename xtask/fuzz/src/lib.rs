//! What must hold whatever bytes arrive from network, disk or command line.
//!
//! Each module is a target: a function that takes any bytes, has the project's own code work on them, and panics where
//! something does not hold that must. A fuzzer looks for such bytes (`cargo xtask fuzz`); what it found to lead to
//! different places is kept in `corpus/`, and what it found to fail in `crashes/`, and the tests try all of that again.
//!
//! Where a target says what should come out, it says so in its own, plainer way, and not by calling what it checks.

mod answers;
mod command_line;
mod download;
mod escaping;
mod facts;
mod file_names;
mod frames;
mod holder;
mod input;

mod messages;
mod metadata;
mod mirror;
mod network;
mod plain;
mod requests;
mod session;

/// The environment's name for the target that the fuzzer is to try.
pub const TARGET_VARIABLE: &str = "FUZZ_TARGET";

/// Something that must hold for any input.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it goes by, on the command line and as the name of its folders.
    pub name: &'static str,
    /// Panics where it does not hold.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "answers",
        run: answers::run,
    },
    Target {
        name: "command_line",
        run: command_line::run,
    },
    Target {
        name: "download",
        run: download::run,
    },
    Target {
        name: "escaping",
        run: escaping::run,
    },
    Target {
        name: "facts",
        run: facts::run,
    },
    Target {
        name: "file_names",
        run: file_names::run,
    },
    Target {
        name: "frames",
        run: frames::run,
    },
    Target {
        name: "metadata",
        run: metadata::run,
    },
    Target {
        name: "mirror",
        run: mirror::run,
    },
    Target {
        name: "requests",
        run: requests::run,
    },
    Target {
        name: "session",
        run: session::run,
    },
];

/// The target of this name.
#[must_use]
pub fn find(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}
