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

use super::{Check, by_hand, check};

pub(super) const CHECKS: [Check; 33] = [
    check("rapid reset", 0, resets::rapid_reset),
    check("made-you-reset", 0, resets::made_you_reset),
    check("continuation", 0, resets::continuation),
    by_hand("empty DATA", floods::empty_data),
    by_hand("SETTINGS", floods::settings),
    by_hand("PING", floods::pings),
    by_hand("PRIORITY", floods::priorities),
    by_hand("silent", silent::spread),
    check("silent, one IP", 0, silent::from_one_address),
    check("not found", 0, kinds::nothing_found),
    by_hand("LookupMany", kinds::lookup_many),
    by_hand("listings", kinds::listings),
    by_hand("reflection", kinds::reflection),
    by_hand("health", kinds::health),
    by_hand("no such method", kinds::unknown_method),
    by_hand("64 KiB", kinds::largest_message),
    by_hand("64 KiB + 1", kinds::message_too_large),
    by_hand("2 GiB", kinds::message_of_2_gib),
    by_hand("large headers", kinds::large_headers),
    check("gzip", 0, kinds::gzip),
    check("trickle", 3, trickle::run),
    by_hand("window 0", stalls::window_zero),
    by_hand("slow listings", stalls::slow_reader),
    by_hand("unended", stalls::unended),
    by_hand("Watch churn", churn::watches),
    by_hand("session churn", churn::sessions),
    check("64 sessions", 0, sessions::crowd),
    check("greedy", 3, sessions::greedy),
    by_hand("hoarder", sessions::hoarder),
    check("descriptors", 3, exhausted::descriptors),
    by_hand("little memory", exhausted::memory),
    check("peer, silent", 0, holder::silent),
    check("peer, resets", 0, holder::rapid_reset),
];
