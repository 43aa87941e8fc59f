//! Limits of workers of self-hosted environments.

use std::time::Duration;

/// Characters of an id of another service's wire API (documented there).
pub const WIRE_ID_CHARS: usize = 128;
/// Bytes of one answer of the service that a worker serves: a page of events, with room.
pub const WORKER_ANSWER_BYTES: usize = 64 << 20;
/// Bytes of one event of a session, as whoever follows it reads them: of the largest request, in JSON, with room.
pub const SESSION_EVENT_BYTES: usize = 40 << 20;
/// Pages of a session's events that a worker reads.
pub const WORKER_HISTORY_PAGES: usize = 1000;
/// Calls and interrupts of one session that a worker remembers.
pub const WORKER_SESSION_CALLS: usize = 100_000;
/// Bytes of the inputs of the calls of one session that are still to be run.
pub const WORKER_SESSION_CALL_BYTES: usize = 64 << 20;
/// Bytes of what a worker has written down of one session.
pub const WORKER_RECORD_BYTES: u64 = 32 << 20;
/// How long a worker waits for an answer of its service.
pub const WORKER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long fetching all skills of a session's agent may take.
pub const WORKER_SKILLS_TIME: Duration = Duration::from_secs(120);
/// How often one is asked for that could not be had for now.
pub const WORKER_SKILL_ATTEMPTS: u32 = 3;
/// How long a stream of events may be silent before a worker opens another one; services send pings.
pub const WORKER_STREAM_SILENCE: Duration = Duration::from_secs(120);
/// How often a worker sends heartbeats at most, and at least; in between it is twice for a lease.
pub const WORKER_BEAT_LEAST: Duration = Duration::from_secs(1);
/// See [`WORKER_BEAT_LEAST`].
pub const WORKER_BEAT_MOST: Duration = Duration::from_secs(30);
/// How long a worker waits before it asks a service again that answers polls at once.
pub const WORKER_POLL_PAUSE: Duration = Duration::from_secs(1);
/// The longest wait of a worker before it tries again what has failed once.
pub const WORKER_RETRY_LEAST: Duration = Duration::from_secs(1);
/// The longest wait of a worker before it tries again what has failed many times.
pub const WORKER_RETRY_MOST: Duration = Duration::from_secs(30);
/// How long a worker keeps the files of a session that does not go on.
pub const WORKER_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Bytes of the files that a worker keeps of all sessions: those of the one that rests for the longest go first.
pub const WORKER_KEPT_BYTES: u64 = 64 << 30;
/// Sessions of which a worker has something written down; beyond that it forgets the one that rests for the longest.
pub const WORKER_RECORDS: usize = 10_000;
/// How often a worker looks for what it has kept for too long.
pub const WORKER_SWEEP: Duration = Duration::from_secs(60 * 60);
/// How long a worker that ends has to say what became of a call.
pub const WORKER_LAST_WORD: Duration = Duration::from_secs(10);
/// Workers of one environment that are counted.
pub const WORK_POLLERS: i64 = 10_000;
/// Bytes of what a worker calls itself.
pub const WORKER_ID_BYTES: usize = 256;
