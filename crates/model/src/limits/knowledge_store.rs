//! Bounds of what is kept of documents, of syncs and of searches.

use std::time::Duration;

/// Knowledge connectors of an organization.
pub const KNOWLEDGE_CONNECTORS: usize = 200;
/// Documents that are kept of an organization.
pub const KNOWLEDGE_KEPT_DOCUMENTS: i64 = 1_000_000;
/// Bytes of texts, with titles and headings of their pieces, that are kept of an organization.
pub const KNOWLEDGE_KEPT_BYTES: i64 = 10 << 30;
/// Bytes of what a connector is told, as JSON.
pub const KNOWLEDGE_CONFIG_BYTES: usize = 256 << 10;
/// Bytes of a URL or a path that a connector is told.
pub const KNOWLEDGE_PLACE_BYTES: usize = 2048;
/// Characters of any other text that a connector is told: an owner, a key of a space, an address of mail.
pub const KNOWLEDGE_FIELD_CHARS: usize = 255;
/// Characters that are kept of why a document or a sync failed.
pub const KNOWLEDGE_ERROR_CHARS: usize = 1000;
/// Minutes from one sync to the next, at least.
pub const KNOWLEDGE_EVERY_MINUTES_LEAST: i64 = 5;
/// Minutes from one sync to the next, at most: thirty days.
pub const KNOWLEDGE_EVERY_MINUTES_MOST: i64 = 30 * 24 * 60;
/// Syncs that one server runs at once.
pub const KNOWLEDGE_SYNCS: usize = 4;
/// Of them, those of one organization.
pub const KNOWLEDGE_SYNCS_OF_ORGANIZATION: usize = 2;
/// How often a server looks for connectors that are due.
pub const KNOWLEDGE_DUE_LOOK: Duration = Duration::from_secs(2);
/// How long a sync is a server's without a word of it.
pub const KNOWLEDGE_LEASE: Duration = Duration::from_secs(60);
/// How often a sync looks what holds for it: its policy, its credential, whether it is to end. Its lease is prolonged as often.
pub const KNOWLEDGE_LOOK: Duration = Duration::from_secs(2);
/// How long syncs have to end when their server does.
pub const KNOWLEDGE_GIVING_BACK: Duration = Duration::from_secs(10);
/// Documents of a connector that was deleted which are taken away at once.
pub const KNOWLEDGE_SWEPT_DOCUMENTS: u32 = 100;
/// Characters of what is searched for; what is longer is refused.
pub const KNOWLEDGE_QUERY_CHARS: usize = 1000;
/// Words of it that count; those behind them are left out.
pub const KNOWLEDGE_QUERY_WORDS: usize = 12;
/// Characters of such a word that count.
pub const KNOWLEDGE_QUERY_WORD_CHARS: usize = 64;
/// Results of a search, at most.
pub const KNOWLEDGE_RESULTS: u32 = 50;
/// Results of a search if nothing is said.
pub const KNOWLEDGE_USUAL_RESULTS: u32 = 10;
/// Chunks that are compared for one search where they have all of its words, and for each word where they have some.
pub const KNOWLEDGE_COMPARED: i64 = 1000;
/// Of them, chunks whose words are read to rank them where they have some of the words, on PostgreSQL.
pub const KNOWLEDGE_RANKED: i64 = 200;
/// Words of a snippet.
pub const KNOWLEDGE_SNIPPET_WORDS: usize = 40;
/// Characters of what a search tells a model, at most.
pub const KNOWLEDGE_ANSWER_CHARS: usize = 40_000;
/// Processes that read PDF documents at once.
pub const KNOWLEDGE_PDF_PROCESSES: usize = 2;
/// Of them, those that read for one organization.
pub const KNOWLEDGE_PDF_PROCESSES_OF_ORGANIZATION: usize = 1;
/// Bytes of address space of such a process.
pub const KNOWLEDGE_PDF_MEMORY_BYTES: u64 = 2 << 30;
/// Bytes of what such a process says.
pub const KNOWLEDGE_PDF_ANSWER_BYTES: usize = 64 << 20;
/// Files of a repository that are read of its checkout's listing.
pub const KNOWLEDGE_CHECKOUT_LISTING_BYTES: usize = 64 << 20;
