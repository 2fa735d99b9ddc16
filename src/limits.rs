//! The bounds that registry and peers share, each with its reason.

use std::time::Duration;

/// The version of the protocol that this code speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// The registry's well-known port.
pub const REGISTRY_PORT: u16 = 7734;

/// The lowest port of a peer: an ordinary user's process can listen on it (RFC 6335 section 6: 0 to 1023 are the system ports).
pub const LOWEST_PEER_PORT: u16 = 1024;

/// The largest document: three times the largest RFC there is in any format (4,903,124 bytes, a PDF), so nothing real
/// is refused, while a hostile holder cannot fill a disk with one.
pub const MAX_DOCUMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of a document in one message. 98 % of all RFCs are not longer and travel as one message.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// The largest message of FileTransfer: a chunk, and room for the fields around it.
pub const MAX_TRANSFER_MESSAGE_BYTES: usize = 320 * 1024;

/// The largest request that FileTransfer reads: a number, a digest and an offset take less than 100 bytes.
pub const MAX_TRANSFER_REQUEST_BYTES: usize = 4 * 1024;

/// The largest message that the registry reads: a full announcement ([`MAX_ANNOUNCE_BYTES`]) and room around it.
pub const MAX_REGISTRY_REQUEST_BYTES: usize = 64 * 1024;

/// The largest message that the registry sends: a page of 256 entries with three holders each.
pub const MAX_REGISTRY_MESSAGE_BYTES: usize = 256 * 1024;

/// Documents in one announcement or withdrawal, and entries in one page: the registry's lock is held for one of them.
pub const MAX_BATCH_DOCUMENTS: usize = 256;

/// Encoded bytes in one announcement, below [`MAX_REGISTRY_REQUEST_BYTES`] with room for the fields around it.
pub const MAX_ANNOUNCE_BYTES: usize = 48 * 1024;

/// Documents of one session: the whole series in four formats and its metadata is about 40,000.
pub const MAX_SESSION_DOCUMENTS: usize = 40_000;

/// Numbers in one LookupMany: more than the series has.
pub const MAX_LOOKUP_NUMBERS: usize = 10_000;

/// Bytes in a peer's name: the longest label of a host name (RFC 1035) and one more.
pub const MAX_NAME_BYTES: usize = 64;

/// Bytes in a title: the longest real one has 222 characters.
pub const MAX_TITLE_BYTES: usize = 512;

/// Bytes in a line among the facts about an RFC: the longest real one, an author that is a committee, has 105.
pub const MAX_FACT_LINE_BYTES: usize = 256;

/// Bytes in the abstract of an RFC: the longest real one has 1,931 in the metadata records, and a page has 4,000.
pub const MAX_FACT_PROSE_BYTES: usize = 8 * 1024;

/// Entries in each list among the facts about an RFC: the most authors of a real one are 28, the most keywords 39, and
/// the most RFCs that one updates fewer than 100.
pub const MAX_FACT_ENTRIES: usize = 128;

/// RFCs in one message of an answer about them. Their bytes bound it first, see [`MAX_DESCRIBE_BYTES`].
pub const MAX_DESCRIBED: usize = 256;

/// Bytes at which a message about RFCs is full: a hundred of them. The longest that one RFC can have, which is added
/// before that is noticed, is 120 KB; both are below [`MAX_TRANSFER_MESSAGE_BYTES`].
pub const MAX_DESCRIBE_BYTES: usize = 96 * 1024;

/// Ranges in one question about RFCs, which must fit into [`MAX_TRANSFER_REQUEST_BYTES`].
pub const MAX_DESCRIBE_RANGES: usize = 256;

/// References in one question about RFCs.
pub const MAX_DESCRIBE_REFERENCES: usize = 64;

/// Bytes of the version that names what a peer knows about RFCs.
pub const MAX_FACTS_VERSION_BYTES: usize = 64;

/// RFCs in one answer without a slot of its own: as cheap as an answer to a lookup.
pub const MAX_SMALL_ANSWER: usize = 64;

/// Bytes in an error message, so that it fits a terminal and no reply can be made large by its input.
pub const MAX_ERROR_MESSAGE_BYTES: usize = 300;

/// Requests that one DownloadMany stream may have unanswered.
pub const MAX_OUTSTANDING_DOWNLOADS: usize = 32;

/// Holders that a lookup returns when the asker names no number.
pub const DEFAULT_LOOKUP_HOLDERS: usize = 8;

/// Holders that a listing returns for each document when the asker names no number.
pub const DEFAULT_LIST_HOLDERS: usize = 3;

/// The most holders that any answer returns for a document: more do not make a download faster.
pub const MAX_HOLDERS: usize = 20;

/// Over how much time the peers of a registry that went away spread their return. A peer takes no longer span from its
/// registry: one that lies must not keep it away.
pub const MAX_RECONNECT_SPREAD: Duration = Duration::from_secs(10);

/// How often HTTP/2 pings a connection that is silent. With [`KEEPALIVE_TIMEOUT`], a vanished host is noticed in 15 s.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long a ping may stay unanswered before the connection counts as dead.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may take to be made, on networks from a loopback to a conference Wi-Fi.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a unary request, or the start of a streaming one, may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a stream of answers may stay silent between two messages.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a holder may stay silent amid a download: what another one then sends is to come within 10 s, whoever has the
/// document, and making a connection is part of that.
pub const HOLDER_SILENCE: Duration = Duration::from_secs(9);

/// How long an accepted connection may take to send the first bytes of HTTP/2.
pub const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a session may take to send its `hello`.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a peer sends a heartbeat.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// How long a piece of an answer may wait to be read: the largest one takes 64 s at the slowest rate that is worth
/// waiting for, 4 KiB/s.
pub const UNREAD_ANSWER: Duration = Duration::from_secs(75);

/// Bytes that are held for one source, over all its connections, of answers that it does not read and requests that it does
/// not end: 200 of the largest messages, which is a crowd behind one address, and what a server can bear of several sources.
pub const MAX_HELD_BYTES_PER_SOURCE: usize = 64 * 1024 * 1024;

/// Bytes of one request that is on its way which are of no account, as [`ANSWERS_SENT_AHEAD_BYTES`] of an answer: nearly all
/// requests are shorter.
pub const UNCOUNTED_REQUEST_BYTES: usize = 4 * 1024;

/// Bytes of one answer that may wait in its stream for a reader when the next piece is put behind them: so little that
/// those of all streams that one source may open (32 on each connection) are of no account, and a client that reads is
/// served from the socket's buffer.
pub const ANSWERS_SENT_AHEAD_BYTES: usize = 4 * 1024;

/// The same for documents: what most of them have in all, so that the next one is read while the last is sent.
pub const DOCUMENTS_SENT_AHEAD_BYTES: usize = 64 * 1024;

/// Long answers that one source may have on their way, each with 100 to 200 KiB of the index in hand: a class behind one
/// address that starts at once, and 50 MiB at most.
pub const LONG_ANSWERS_PER_SOURCE: usize = 256;

/// How long a connection may go without a request: longer than any client of this system lets one lie between two.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(300);

/// HTTP/2 streams that one connection may have open: a mirroring peer uses two, a browser-like tool a few more.
pub const MAX_STREAMS_PER_CONNECTION: u32 = 32;

/// Turns of one source, all its connections together, before those of others that are ready get theirs: each is a read, a
/// write, a request, or a piece of a long answer, and the longest of them take some 200 µs.
pub const TURNS_PER_SOURCE: usize = 16;

/// Streams that a connection may make us reset before it is closed; hyper's own default.
pub const MAX_LOCAL_RESETS: usize = 1024;

/// Streams reset by the other side and not yet accepted before the connection is closed (h2's default, CVE-2023-44487).
pub const MAX_PENDING_RESETS: usize = 20;

/// The largest header list: gRPC metadata of these services is a few hundred bytes.
pub const MAX_HEADER_LIST_BYTES: u32 = 8 * 1024;

/// The listen queue, which std fixes at 128: a restarted registry meets all its peers within seconds.
pub const LISTEN_BACKLOG: u32 = 4096;
