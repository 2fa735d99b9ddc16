//! The registry's own bounds, each with its reason; those that peers must know too are in [`p2p_ci::limits`].

use std::time::Duration;

/// Distinct documents in the whole index: five times the series in all its formats, so that honest swarms with a few
/// odd copies never meet it, while the index stays below 100 MB.
pub const MAX_DOCUMENTS: usize = 200_000;

/// Distinct documents that one source may bring in: the whole series in all its formats and some to spare, while no
/// single machine can fill the index.
pub const MAX_DOCUMENTS_PER_SOURCE: usize = 50_000;

/// Threads that serve connections, however many processors there are: one answers tens of thousands of lookups a second,
/// and all of them ask the same index, which one at a time may change.
pub const MAX_SERVING_THREADS: usize = 16;

/// Documents that a session may announce at once: a whole library ([`p2p_ci::limits::MAX_SESSION_DOCUMENTS`]).
pub const ANNOUNCE_BURST: u32 = 40_000;
const _: () = assert!(ANNOUNCE_BURST as usize == p2p_ci::limits::MAX_SESSION_DOCUMENTS);

/// Documents that a session may announce each second once its burst is used up: more than anybody copies into a
/// folder, and too few for one session to keep the index busy.
pub const ANNOUNCE_PER_SECOND: u32 = 500;

/// Lists of documents that peers can name by their fingerprint: each peer of a large class may have one of its own, and
/// finding the least useful one of them takes microseconds.
pub const KNOWN_LISTS: usize = 256;

/// Documents in all such lists together: three whole libraries of [`p2p_ci::limits::MAX_SESSION_DOCUMENTS`], or a dozen of
/// texts. Documents that nobody holds any more are kept for them, which is 48 MB at worst.
pub const KNOWN_LIST_DOCUMENTS: usize = 120_000;

/// Documents that the sessions of one source may have without announcing them, at once: a class behind one router
/// ([`SESSIONS_PER_ADDRESS`]) that comes back with the whole series.
pub const ADOPT_BURST: u32 = 600_000;

/// Such documents each second once the burst is used up: to name a list costs a peer nothing, while those who watch are
/// told of each, and the first and the last to hold a list cost others a millisecond. Whoever comes back more often
/// announces.
pub const ADOPT_PER_SECOND: u32 = 40_000;

/// Documents that a session may have compared at once to a fingerprint: a whole library.
pub const COMPARE_BURST: u32 = 40_000;

/// Documents that a session may have compared each second once its burst is used up: a whole library, changed each time,
/// with every heartbeat ([`p2p_ci::limits::HEARTBEAT_INTERVAL`]). That is half a millisecond of one core.
pub const COMPARE_PER_SECOND: u32 = 4_000;

/// Sessions of one source address: a class behind one router, or the peers of one machine. An operator can change it.
pub const SESSIONS_PER_ADDRESS: usize = 64;

/// Connections of one source address: a session and a few lookups for each of its peers. An operator can change it.
pub const CONNECTIONS_PER_ADDRESS: usize = 256;

/// Watchers: each costs a queue and a share of every change. An operator can change it.
pub const WATCHERS: usize = 64;

/// Watchers from one source address, if it is not this machine: one that mirrors and a few people who look on.
pub const WATCHERS_PER_SOURCE: usize = 8;

/// File descriptors that are not for connections: probes ([`FIRST_PROBES`], [`REPEATED_PROBES`]), the listener, the
/// runtime's own, and room to accept and turn away a connection too many.
pub const RESERVED_DESCRIPTORS: usize = 512;

/// Memory that is set aside for a connection: one with a session takes some 45 KiB, of which h2's buffers are 24, and those
/// that ask for more than they read have bounds of their own.
pub const CONNECTION_BYTES: u64 = 64 * 1024;

/// Answers of a session that wait for its peer to read them. A page of the index is up to 256 KiB, so four of them
/// bound what a peer that does not read can cost to 1 MiB.
pub const OUTBOX_DEPTH: usize = 4;

/// How long a peer may leave its answers unread before its session ends: a network that stalls that long has been
/// declared dead by HTTP/2 pings (10 s, then 5 s) if it carries nothing at all.
pub const OUTBOX_PATIENCE: Duration = Duration::from_secs(20);

/// How long a session waits to tell its peer a last word. Whoever reads at all does so at once.
pub const LAST_WORD_PATIENCE: Duration = Duration::from_millis(500);

/// Events that wait for a watcher: what a thousand peers cause when they leave at once.
pub const WATCH_QUEUE: usize = 1024;

/// How long a watcher that lost events may take to read on and get its reset; then it makes room for others.
pub const WATCH_PATIENCE: Duration = Duration::from_secs(60);

/// Peers in one page of a snapshot or a list of peers: the index is locked for one page at a time.
pub const PEERS_PER_PAGE: usize = 256;

/// Documents of one number in an answer, whatever peers announce: a handful of formats with a version or two. What does
/// not fit a message with all its holders is cut there.
pub const LOOKUP_DOCUMENTS: usize = 256;

/// Documents that a lookup of many visits between two pauses in which others get their turn; one with many holders counts
/// for several.
pub const VISITS_PER_TURN: usize = 64;

/// How long connecting back to a peer may take: three round trips on the slowest network that is of use.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// The shortest time between two attempts to connect to one address, so that nobody can use the registry to flood it.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// The time between two attempts to reach a peer that could not be reached.
pub const PROBE_AGAIN: Duration = Duration::from_secs(30);

/// First attempts that run at once: after a restart, ten thousand peers that answer in 10 ms are reached in a second.
pub const FIRST_PROBES: usize = 128;

/// Repeated attempts that run at once. They have places of their own, so that peers that cannot be reached never
/// delay the first attempt to reach others.
pub const REPEATED_PROBES: usize = 64;

/// How often the log tells how soon changes took effect, if there were any: each line is about recent ones, and a busy
/// registry writes a thousand lines about sessions meanwhile.
pub const EFFECTS_INTERVAL: Duration = Duration::from_secs(10);

/// How long the registry takes to end, whatever its clients do.
pub const DRAIN: Duration = Duration::from_secs(8);

/// When clients may try again after the registry went away: a restart takes about that long.
pub const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The least span over which peers spread their return when a registry restarts.
pub const RECONNECT_SPREAD_BASE: Duration = Duration::from_millis(100);

/// What each registered session adds to that span: a thousand returns a second are served without a queue.
pub const RECONNECT_SPREAD_PER_SESSION: Duration = Duration::from_millis(1);

/// The longest such span: all that peers heed.
pub const RECONNECT_SPREAD_MAX: Duration = p2p_ci::limits::MAX_RECONNECT_SPREAD;

/// After so long without a new peer, nobody counts as still on the way back to a registry that was started again: twice
/// the span over which peers spread their return ([`RECONNECT_SPREAD_MAX`]).
pub const CONVERGED_WHEN_QUIET: Duration = RECONNECT_SPREAD_MAX.saturating_mul(2);

/// After so long, whoever still comes: twice the longest pause of a peer between two attempts (30 s).
pub const CONVERGED_AT_LATEST: Duration = Duration::from_secs(60);

/// How long the health check command waits for its answer.
pub const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(10);
