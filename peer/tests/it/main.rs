//! Peers against a real registry and against each other, over TCP on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and its helpers do, too"
)]

mod browser;
mod capping;
mod coming_back;
mod compressing;
mod fake_holder;
mod fake_registry;
mod faults;
mod fingerprints;
mod hostages;
mod interrupted;
mod large;
mod liars;
mod link;
mod lying_registries;
mod memory;
mod misdeeds_on_streams;
mod network;
mod odd_requests;
mod readers;
mod reading;
mod reading_badly;
mod support;
mod swarm;
mod uploading;
mod upstream;
mod wiretap;
