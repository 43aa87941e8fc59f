//! Bounds of what an organization knows: connectors, documents, chunks.

use std::time::Duration;

/// Documents of one connector; a listing of more fails.
pub const KNOWLEDGE_DOCUMENTS: usize = 100_000;
/// Bytes of a document as its source has it, once a content encoding is taken off.
pub const KNOWLEDGE_DOCUMENT_BYTES: usize = 32 << 20;
/// Bytes of a document's text.
pub const KNOWLEDGE_TEXT_BYTES: usize = 8 << 20;
/// Bytes of a document's key.
pub const KNOWLEDGE_KEY_BYTES: usize = 2048;
/// Bytes of a document's revision.
pub const KNOWLEDGE_REVISION_BYTES: usize = 512;
/// Bytes of what a connector remembers from one sync to the next.
pub const KNOWLEDGE_CURSOR_BYTES: usize = 4 << 20;
/// Characters of a document's title; what is longer is cut.
pub const KNOWLEDGE_TITLE_CHARS: usize = 300;
/// Bytes of a document's media type.
pub const KNOWLEDGE_MEDIA_TYPE_BYTES: usize = 255;
/// Characters of a chunk.
pub const KNOWLEDGE_CHUNK_CHARS: usize = 1600;
/// Chunks of one document that begin because a heading does: each has copies of its headings.
pub const KNOWLEDGE_SECTIONS: usize = 20_000;
/// Headings that one chunk is under, and characters of each of them.
pub const KNOWLEDGE_HEADINGS: usize = 6;
/// Characters of a heading in a chunk's path; what is longer is cut.
pub const KNOWLEDGE_HEADING_CHARS: usize = 200;
/// Bytes of the headings of all chunks of a document; what comes behind them has none. They count as the document's, and so does its title, which
/// each chunk has too.
pub const KNOWLEDGE_HEADINGS_BYTES: usize = 4 << 20;
/// Bytes of the headings that one chunk is under; of more the outermost are left out.
pub const KNOWLEDGE_CHUNK_HEADINGS_BYTES: usize = 1200;
/// How long one sync may take.
pub const KNOWLEDGE_SYNC_TIME: Duration = Duration::from_secs(6 * 60 * 60);
/// How long reading one document may take, waiting for a server's limits included.
pub const KNOWLEDGE_DOCUMENT_TIME: Duration = Duration::from_secs(15 * 60);
/// Documents of one sync that are read at once.
pub const KNOWLEDGE_READERS: usize = 4;
/// Documents that are found before they are read.
pub const KNOWLEDGE_FOUND: usize = 64;
/// Bytes of documents that one sync has found and read and that nobody has taken yet, content encodings taken off; besides those of requests that
/// have not ended.
pub const KNOWLEDGE_WAITING_BYTES_OF_SYNC: usize = 64 << 20;
/// Bytes of them of all syncs of a server: more than syncs of one organization can have.
pub const KNOWLEDGE_WAITING_BYTES: usize = 192 << 20;
/// Documents from one word about progress to the next.
pub const KNOWLEDGE_PROGRESS: u64 = 16;
/// How long one request of a connector may take, its answer's body included.
pub const KNOWLEDGE_REQUEST_TIME: Duration = Duration::from_secs(30);
/// Redirections that such a request follows.
pub const KNOWLEDGE_REDIRECTS: u32 = 5;
/// How often such a request is made again when a server is busy or down.
pub const KNOWLEDGE_RETRIES: u32 = 3;
/// How long is waited before that, the first time; twice as long the next.
pub const KNOWLEDGE_RETRY_WAIT: Duration = Duration::from_millis(500);
/// How long is waited at most for a server that says when to come again; for longer a sync ends.
pub const KNOWLEDGE_WAIT_MOST: Duration = Duration::from_secs(5 * 60);
/// Bytes of one answer of an API.
pub const KNOWLEDGE_API_BYTES: usize = 32 << 20;
/// Entries of one page of a list of an API, whatever was asked for.
pub const KNOWLEDGE_API_ENTRIES: usize = 1000;
/// Pages of one list of an API.
pub const KNOWLEDGE_API_PAGES: usize = 2000;
/// Comments of one issue; the first are read.
pub const KNOWLEDGE_COMMENTS: usize = 1000;
/// How old the last whole listing may be where lists of changes do not tell what is gone.
pub const KNOWLEDGE_LISTING_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Spaces of one connector.
pub const KNOWLEDGE_SPACES: usize = 100;
/// Patterns of one connector, for what is taken and for what is left out together.
pub const KNOWLEDGE_GLOBS: usize = 100;
/// Bytes of such a pattern.
pub const KNOWLEDGE_GLOB_BYTES: usize = 1024;
/// Directories inside one another.
pub const KNOWLEDGE_DIRECTORY_DEPTH: usize = 64;
/// Files that are looked at in a directory, taken or not; a listing of more fails.
pub const KNOWLEDGE_FILES: usize = 1_000_000;
/// Pages that one crawl visits.
pub const KNOWLEDGE_CRAWL_PAGES: usize = 5000;
/// Links from the start of a crawl to a page.
pub const KNOWLEDGE_CRAWL_DEPTH: u32 = 16;
/// Links of one page that are looked at.
pub const KNOWLEDGE_PAGE_LINKS: usize = 2000;
/// Requests that are made of one site at once, where it asks for no delay.
pub const KNOWLEDGE_SITE_REQUESTS: usize = 2;
/// Bytes of a site's `robots.txt` that are read (RFC 9309, section 2.5, asks for at least 500 KiB).
pub const KNOWLEDGE_ROBOTS_BYTES: usize = 500 << 10;
/// Rules of a `robots.txt` that count.
pub const KNOWLEDGE_ROBOTS_RULES: usize = 5000;
/// Bytes of one pattern of a `robots.txt`; one that is longer is read as far.
pub const KNOWLEDGE_ROBOTS_PATTERN_BYTES: usize = 2048;
/// The longest pause between two requests that a site's `Crawl-delay` makes.
pub const KNOWLEDGE_CRAWL_DELAY_MOST: Duration = Duration::from_secs(30);
/// Lists of pages of one site.
pub const KNOWLEDGE_SITEMAPS: usize = 200;
/// Bytes of such a list, unpacked (the protocol's own bound).
pub const KNOWLEDGE_SITEMAP_BYTES: usize = 50 << 20;
/// Pages in such a list (the protocol's own bound).
pub const KNOWLEDGE_SITEMAP_PAGES: usize = 50_000;
/// Lists of lists inside one another.
pub const KNOWLEDGE_SITEMAP_DEPTH: u32 = 2;
/// How long reading one PDF document may take.
pub const KNOWLEDGE_PDF_TIME: Duration = Duration::from_secs(60);
/// Pages of a PDF document that are read.
pub const KNOWLEDGE_PDF_PAGES: usize = 5000;
/// Threads of this process that read PDF documents, those that never came back included.
pub const KNOWLEDGE_PDF_THREADS: usize = 2;
/// Bytes of the stack of such a thread.
pub const KNOWLEDGE_PDF_STACK_BYTES: usize = 16 << 20;
