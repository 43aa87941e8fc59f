//! Limits of what limits of spending cost themselves.

use std::time::Duration;

/// Limits of one organization.
pub const SPEND_LIMITS: usize = 1000;
/// Models that a limit names.
pub const SPEND_LIMIT_MODELS: usize = 50;
/// Characters of a pattern of models.
pub const MODEL_PATTERN_CHARS: usize = 200;
/// The largest amount of money of a limit, in billionths of a dollar: a billion dollars.
pub const SPEND_LIMIT_NANOS: i64 = 1_000_000_000_000_000_000;
/// The largest number of tokens of a limit.
pub const SPEND_LIMIT_TOKENS: i64 = 1_000_000_000_000_000;
/// Parts of a rolling window.
pub const ROLLING_BUCKETS: i64 = 360;
/// For how long a server may spend what it has leased without saying so again.
pub const SPEND_LEASE: Duration = Duration::from_secs(30);
/// How often it says so.
pub const SPEND_LEASE_PROLONGED: Duration = Duration::from_secs(8);
/// How long after its end what was leased counts as spent by whoever does not come back.
pub const SPEND_LEASE_GRACE: Duration = Duration::from_secs(60);
/// How long a lease that nobody uses is kept.
pub const SPEND_LEASE_IDLE: Duration = Duration::from_secs(10);
/// Of what is left of a limit, a server leases one part of so many at most.
pub const SPEND_LEASE_PARTS: i64 = 4;
/// A lease is for so many requests like the one that needs it, where that much is left.
pub const SPEND_LEASE_REQUESTS: i64 = 4096;
/// How long it is known that no more is left, without asking again.
pub const SPEND_REFUSED: Duration = Duration::from_millis(250);
/// How long the limits of an organization are known without asking whether they are others.
pub const SPEND_RULES_KNOWN: Duration = Duration::from_secs(1);
/// How long what was settled waits to be written with what comes after it.
pub const SPEND_SETTLING: Duration = Duration::from_millis(200);
/// Settled requests that are written together.
pub const SPEND_SETTLED_TOGETHER: usize = 1024;
/// Settled requests of one organization that wait to be written; beyond that nothing more is asked.
pub const SPEND_SETTLED_WAITING: usize = 100_000;
/// Bytes of a part of the journal, after which another one begins.
pub const SPEND_JOURNAL_BYTES: u64 = 32 << 20;
/// Bytes of a line of the journal.
pub const SPEND_JOURNAL_LINE_BYTES: usize = 64 << 10;
/// Tokens of output that a request may take that names no bound, of a model that has none.
pub const OUTPUT_TOKENS: u64 = 128_000;
/// Characters of a reason why a name is no time zone.
pub const TIME_ZONE_CHARS: usize = 64;
/// LLM proxies of one organization.
pub const LLM_PROXIES: usize = 1000;
/// Models that a proxy names.
pub const LLM_PROXY_MODELS: usize = 200;
/// Rows of a report of usage.
pub const USAGE_ROWS: u32 = 1000;
/// Thresholds of one limit.
pub const LIMIT_THRESHOLDS: usize = 10;
/// The highest threshold, in percent of the limit: one that only tells may be passed by far.
pub const LIMIT_THRESHOLD_PERCENT: u16 = 1000;
/// How long it is kept that a threshold was passed.
pub const LIMIT_ALERTS_KEPT: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// Characters of the name of a limit, or of a proxy.
pub const LIMIT_NAME_CHARS: usize = 50;
/// Characters of the name of the set of `bailiwick apply` that something belongs to.
pub const APPLY_SET_CHARS: usize = 256;
