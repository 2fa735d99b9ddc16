//! One attacker that does its worst, unthrottled: lookups of others stay quick, and the registry stays small and alive.

mod arena;
mod churn;
mod cores;
mod exhausted;
mod fates;
mod floods;
mod holder;
mod kinds;
mod link;
mod probe;
mod requests;
mod resets;
mod sessions;
mod silent;
mod stalls;
mod trickle;

use super::{Check, check};

pub(super) const CHECKS: [Check; 32] = [
    check("rapid reset", 0, resets::rapid_reset),
    check("made-you-reset", 0, resets::made_you_reset),
    check("continuation", 0, resets::continuation),
    check("empty DATA", 0, floods::empty_data),
    check("SETTINGS", 0, floods::settings),
    check("PING", 0, floods::pings),
    check("PRIORITY", 0, floods::priorities),
    check("silent", 0, silent::spread),
    check("silent, one IP", 0, silent::from_one_address),
    check("not found", 0, kinds::nothing_found),
    check("LookupMany", 0, kinds::lookup_many),
    check("listings", 0, kinds::listings),
    check("reflection", 0, kinds::reflection),
    check("health", 0, kinds::health),
    check("no such method", 0, kinds::unknown_method),
    check("64 KiB", 0, kinds::largest_message),
    check("64 KiB + 1", 0, kinds::message_too_large),
    check("2 GiB", 0, kinds::message_of_2_gib),
    check("large headers", 0, kinds::large_headers),
    check("gzip", 0, kinds::gzip),
    check("trickle", 3, trickle::run),
    check("window 0", 0, stalls::window_zero),
    check("slow listings", 0, stalls::slow_reader),
    check("claims", 0, stalls::claims),
    check("Watch churn", 0, churn::watches),
    check("session churn", 0, churn::sessions),
    check("64 sessions", 0, sessions::crowd),
    check("greedy", 3, sessions::greedy),
    check("hoarder", 0, sessions::hoarder),
    check("descriptors", 3, exhausted::descriptors),
    check("peer, silent", 0, holder::silent),
    check("peer, resets", 0, holder::rapid_reset),
];
