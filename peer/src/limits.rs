//! The bounds of a peer, each with its reason.

use std::time::Duration;

/// Uploads at a time when the user names no number. Each of a stream of many documents has three batches of up to 768 KiB in
/// memory, and 5 MB more where it compresses: 230 MB at worst for all of them.
pub const MAX_UPLOADS: usize = 32;

/// Connections from one address at a time; a busy downloader opens one or two.
pub const MAX_CONNECTIONS_PER_SOURCE: usize = 256;

/// Connections in all: twice the peers of a large lecture hall, far below the usual limit of 1024 descriptors that
/// files and inotify share with it.
pub const MAX_CONNECTIONS: usize = 512;

/// How long uploads may go on after the peer was told to end.
pub const DRAIN_GRACE: Duration = Duration::from_secs(30);

/// How long a mirror may take to end that was told to: what holders were asked for comes in a moment, from those that send
/// at all; what does not is fetched the next time.
pub const MIRROR_GRACE: Duration = Duration::from_secs(5);

/// Batches that wait between the disk and the network, for each upload, beside the one that is being sent and the one
/// that is being read. Of a single document, a batch is a chunk.
pub const UPLOAD_QUEUE_BATCHES: usize = 1;

/// Uploads to one source at a time, if it is not this machine: a few downloads side by side, and never all slots.
pub const MAX_UPLOADS_PER_SOURCE: usize = 8;

/// Bytes a second that each of the uploads must have that a cap allows at a time: a source that has as many of them as it
/// may shares that among them, and even then none is slower than what downloads wait for.
pub const SLOT_BYTES_PER_SECOND: u64 = MAX_UPLOADS_PER_SOURCE as u64 * SLOWEST_BYTES_PER_SECOND;

/// For how long a capped peer may send at full speed after a pause: timers are late by a few milliseconds, on a busy
/// machine by some tens, and what they miss is to be made up for. No second sees more than a twentieth above the cap.
pub const UPLOAD_BURST: Duration = Duration::from_millis(50);

/// How long a stream of downloads may go without a request; its slot is wanted by others.
pub const IDLE_DOWNLOADS: Duration = Duration::from_secs(30);

/// The pause after the first failed attempt to reach the registry.
pub const BACKOFF_BASE: Duration = Duration::from_millis(500);

/// The longest pause between two attempts to reach the registry.
pub const BACKOFF_CAP: Duration = Duration::from_secs(30);

/// The shortest pause before a registry is asked again that was short of room, whatever it says.
pub const SHORTEST_RETRY: Duration = Duration::from_secs(1);

/// How often documents are announced again that the registry refused: rarely, since it costs a message each, and the
/// reason is seldom gone (room in a full index is).
pub const RECONSIDER_INTERVAL: Duration = Duration::from_secs(300);

/// How often a format is announced from the beginning because the registry has something else than it was told: at once
/// when that is found, and rarely again, since a registry that still disagrees then has a defect.
pub const AFRESH_INTERVAL: Duration = Duration::from_secs(300);

/// How long a registration must last to count as stable: a peer that loses it then comes back without a further pause.
pub const STABLE_AFTER: Duration = Duration::from_secs(30);

/// How often a library that goes on changing is announced: a mirror stores a thousand documents a second, and each look
/// at what is new costs a look at all. Peers that mirror at the same time wait no longer for each other's documents.
pub const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(200);

/// The longest pause after a session that was lost soon after it was opened; half of it at least.
pub const FLAP_PAUSE: Duration = Duration::from_secs(1);

/// How long the registry may take to answer a request of a session.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a first registration is tried again while its name or address still belongs to somebody: a session whose
/// host vanished is gone from the registry after 15 s.
pub const TAKEN_PATIENCE: Duration = Duration::from_secs(20);

/// What a peer waits that was superseded by another one with its own secret, so that two copies do not fight.
pub const SUPERSEDED_PAUSE: Duration = Duration::from_secs(60);

/// How often a peer looks whether the local address by which it reaches the registry has changed.
pub const ADDRESS_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Documents of a mirror between network and disk, in bytes: of all holders together, beside the receive windows of their
/// connections ([`MIRROR_HOLDERS`] times [`MAX_WINDOW_BYTES`]).
pub const WINDOW_BUDGET_BYTES: usize = 64 * 1024 * 1024;

/// The largest receive window of one connection: enough for 16 chunks under way.
pub const MAX_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Holders from which a mirror downloads at a time.
pub const MIRROR_HOLDERS: usize = 16;

/// Known peers that are asked at a time for what the registry cannot be asked for: enough that most of what they agree on
/// is what was published, and few enough for any machine.
pub const ASKED_AT_ONCE: usize = 16;

/// Known peers that are asked in all for one document.
pub const ASKED_IN_ALL: usize = 64;

/// How long a known peer may take to say what it holds; some of them are gone.
pub const ASK_PATIENCE: Duration = Duration::from_secs(3);

/// Documents that are fetched at a time for readers of the site.
pub const MAX_FETCHES: usize = 64;

/// Readers' connections at a time: a class with browsers that open six each.
pub const GATEWAY_CONNECTIONS: usize = 1024;

/// Readers' connections from one address at a time. A download manager opens 16; a proxy before the site runs on this machine,
/// whose own connections are not counted so.
pub const GATEWAY_CONNECTIONS_PER_SOURCE: usize = 64;

/// Bytes of a request's head: the longest path that means something has 64, and browsers add a kilobyte or two.
pub const GATEWAY_HEAD_BYTES: usize = 16 * 1024;

/// Fields of a request's head: browsers send about 20.
pub const GATEWAY_HEADERS: usize = 64;

/// How long the head of a request may take, and how long a connection may be without one.
pub const GATEWAY_HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// How long a reader may take no byte of an answer.
pub const GATEWAY_STALL: Duration = Duration::from_secs(30);

/// How long requests of readers may still take when a peer ends: nearly all are answered within a second.
pub const SITE_GRACE: Duration = Duration::from_secs(5);

/// Peers that are asked at a time what they know about RFCs: what they know differs little.
pub const FACTS_ASKED_AT_ONCE: usize = 3;

/// Peers that are asked in all what they know about an RFC.
pub const FACTS_ASKED_IN_ALL: usize = 12;

/// RFCs whose holders are asked first what they know: each costs a lookup, and those who hold the most are asked anyway.
pub const FACTS_LOOKUPS: usize = 8;

/// How long commands wait for what took the place of an RFC that they tell of anyway, counted from their start: most of
/// them take longer themselves, and what comes later is not worth the wait.
pub const HINT_PATIENCE: Duration = Duration::from_secs(1);

/// How long a peer may take to tell that: where one of those that are asked first is silent, others can still be asked.
pub const HINT_ASK_PATIENCE: Duration = Duration::from_millis(500);

/// How often a peer that serves facts asks others what they know: that costs a few hundred bytes where nothing is new.
pub const FACTS_INTERVAL: Duration = Duration::from_secs(60);

/// The same at first, and after something new: peers that have just come are about to learn more.
pub const FACTS_FIRST_PAUSE: Duration = Duration::from_secs(1);

/// How long a reader waits for an index of all RFCs of a site that has just started, until somebody has told it of them.
pub const FIRST_FACTS_PATIENCE: Duration = Duration::from_secs(5);

/// Peers that are asked each time what they know.
pub const FACTS_TEACHERS: usize = 16;

/// How long one of them may take: 12 MB come over a link of 1 MB/s in 12 s.
pub const FACTS_PATIENCE: Duration = Duration::from_secs(30);

/// RFCs that a search shows when nobody says how many: a screen full.
pub const USUAL_RESULTS: u16 = 10;

/// RFCs that a search shows at most: of each, the text is read for the lines that are shown.
pub const MAX_RESULTS: u16 = 200;

/// Searches of readers at a time: each keeps a processor busy for some milliseconds.
pub const MAX_SEARCHES: usize = 8;

/// Sites of other peers that are named to download managers.
pub const GATEWAYS_KNOWN: usize = 16;

/// RFCs that a peer may tell facts of: twice as many as there are.
pub const MAX_FACTS: usize = 20_000;

/// Bytes that a peer may tell facts in: those of the whole series are 12 MB, and a hostile peer is to fill no memory.
pub const MAX_FACTS_BYTES: u64 = 48 * 1024 * 1024;

/// Bytes that a peer may tell facts in which it was asked for by name: those of 64 RFCs with all that followed them are
/// less than 1 MB, and every download asks.
pub const MAX_NAMED_FACTS_BYTES: u64 = 4 * 1024 * 1024;

/// The receive window of a connection over which facts are told: two messages.
pub const FACTS_WINDOW_BYTES: u32 = 256 * 1024;

/// How often a peer that shares learns anew of others, for when the registry is gone.
pub const LEARN_INTERVAL: Duration = Duration::from_secs(60);

/// Over how much time a download must have the least speed ([`SLOWEST_BYTES_PER_SECOND`]): a network that stalls for some
/// seconds, or a capped holder that serves others in between, is borne.
pub const SPEED_SPAN: Duration = Duration::from_secs(20);

/// RFCs that one command line may ask for by `get`; more is what `mirror` is for.
pub const MAX_GET_NUMBERS: usize = 1000;

/// RFCs that those of one command line may lead to where what took their place is got instead: real ones lead to fewer than
/// they are, but for a few.
pub const MAX_FOLLOWED_NUMBERS: usize = 2 * MAX_GET_NUMBERS;

/// RFCs that one subseries may be said to be: the largest real ones have fewer than ten, and a liar is not to have anybody
/// download what was not asked for.
pub const MAX_SUBSERIES_RFCS: usize = 64;

/// How long a holder is asked again whose upload slots are all taken: a slot is free after a few seconds at most, unless
/// a whole class wants the same series.
pub const BUSY_PATIENCE: Duration = Duration::from_secs(60);

/// When a busy holder is to be asked again: what this one names, and what counts where another names nothing. Whoever
/// waits makes half to one and a half times of it, so that not all come back at once.
pub const BUSY_RETRY: Duration = Duration::from_secs(1);

/// A busy holder that names less counts as one that names this.
pub const BUSY_RETRY_SHORTEST: Duration = Duration::from_millis(200);

/// A busy holder that names more counts as one that names this: by then a slot may well be free.
pub const BUSY_RETRY_LONGEST: Duration = Duration::from_secs(5);

/// A download's deadline is this and the time that its bytes take at [`SLOWEST_BYTES_PER_SECOND`].
pub const DOWNLOAD_BASE: Duration = Duration::from_secs(30);

/// The slowest holder that is worth waiting for, in bytes per second.
pub const SLOWEST_BYTES_PER_SECOND: u64 = 4 * 1024;
