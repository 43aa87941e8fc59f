//! One sync: what is listed is read where it has changed, and told.

use std::collections::HashSet;
use std::sync::Arc;

use bailiwick_model::limits::{
    KNOWLEDGE_DOCUMENT_TIME, KNOWLEDGE_FOUND, KNOWLEDGE_PROGRESS, KNOWLEDGE_READERS,
    KNOWLEDGE_SYNC_TIME, KNOWLEDGE_TITLE_CHARS,
};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::connector::{Body, Connector, Extent, Finder, Found, Known, Listing, Now};
use crate::connector::{Presence, Raw, Reading};
use crate::extract::pdf::ReadPdf;
use crate::extract::{ExtractError, extract, is_unseen};
use crate::room::Room;
use crate::{BoxFuture, Cursor, Document, DocumentError, DocumentKey, ReadError, Skip, SyncError};

/// Who takes what a sync tells.
pub trait Sink: Send + Sync {
    /// Takes it, and returns when the next may come. A document that was taken is not lost when the sync fails later.
    ///
    /// # Errors
    ///
    /// It cannot be taken; the sync ends.
    fn take(&self, event: Event) -> BoxFuture<'_, Result<(), SinkError>>;
}

/// Why a sink takes nothing more, in words for the log.
#[derive(Debug, thiserror::Error)]
#[error("what is known cannot be kept: {0}")]
pub struct SinkError(pub String);

/// What a sync tells.
#[derive(Debug)]
pub enum Event {
    /// The document is new, or not as it was.
    Changed(Box<Document>),
    /// The document is as it was.
    Unchanged(DocumentKey),
    /// The document was known, and is not there any more or is left out now.
    Gone(DocumentKey),
    /// The document is there and is left out; it was not known.
    Skipped(DocumentKey, Skip),
    /// The document cannot be read. If it was known, what was known of it stays.
    Failed(DocumentKey, DocumentError),
    /// How far the sync is.
    Progress {
        /// Documents of which something was told.
        seen: u64,
        /// Documents that there are, if that is known yet.
        total: Option<u64>,
    },
}

/// What came of a sync.
#[derive(Debug)]
pub struct Outcome {
    /// How many documents became what.
    pub counts: Counts,
    /// How far the listing went, or why the sync ended before its end.
    pub listing: Result<Extent, SyncError>,
    /// What to know the next time. It is the old one unless everything went well: what failed is then tried again.
    pub cursor: Option<Cursor>,
}

/// How many documents became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// New, or not as they were.
    pub changed: u64,
    /// As they were.
    pub unchanged: u64,
    /// Not there any more.
    pub gone: u64,
    /// Left out.
    pub skipped: u64,
    /// Not read.
    pub failed: u64,
}

/// Brings what is known of a source up to date, within the room that all syncs of the process share. Ends when everything was told, when something
/// fails that everything depends on, when it is cancelled (whatever is being read is given up), or after [`KNOWLEDGE_SYNC_TIME`].
pub async fn sync(
    connector: &dyn Connector,
    known: &Known,
    sink: &dyn Sink,
    (pdf, room): (Arc<dyn ReadPdf>, &Room),
    cancel: &CancellationToken,
) -> Outcome {
    let mut run = Run {
        connector,
        known,
        sink,
        pdf,
        room,
        seen: HashSet::new(),
        counts: Counts::default(),
        may_succeed_later: false,
    };
    let listing = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(SyncError::Cancelled),
        over = timeout(KNOWLEDGE_SYNC_TIME, run.all()) => over.unwrap_or(Err(SyncError::Timeout)),
    };
    let (listing, cursor) = match listing {
        Ok(listing) if !run.may_succeed_later => (Ok(listing.extent), listing.cursor),
        Ok(listing) => (Ok(listing.extent), known.cursor.clone()),
        Err(error) => (Err(error), known.cursor.clone()),
    };
    Outcome {
        counts: run.counts,
        listing,
        cursor,
    }
}

struct Run<'a> {
    connector: &'a dyn Connector,
    known: &'a Known,
    sink: &'a dyn Sink,
    pdf: Arc<dyn ReadPdf>,
    room: &'a Room,
    seen: HashSet<DocumentKey>,
    counts: Counts,
    /// Something failed that may go well without having changed.
    may_succeed_later: bool,
}

/// What became of a document.
type Became = (DocumentKey, Result<Told, ReadError>);

enum Told {
    Changed(Box<Document>),
    Unchanged,
    Gone,
    Skipped(Skip),
}

impl Run<'_> {
    async fn all(&mut self) -> Result<Listing, SyncError> {
        let (sender, mut found) = mpsc::channel(KNOWLEDGE_FOUND);
        let finder = Finder::new(sender, self.room.of_sync());
        let (connector, known) = (self.connector, self.known);
        let listing = {
            let mut listing = Box::pin(connector.list(known, &finder));
            let mut listed = None;
            let mut reading = FuturesUnordered::new();
            loop {
                tokio::select! {
                    result = &mut listing, if listed.is_none() => listed = Some(result),
                    Some((found, place)) = found.recv(), if reading.len() < KNOWLEDGE_READERS => {
                        // Twice the same is once.
                        if self.seen.insert(found.key.clone()) {
                            let became = become_of(connector, known, Arc::clone(&self.pdf), found);
                            reading.push(async { (became.await, place) });
                        }
                    }
                    Some(((key, became), place)) = reading.next() => {
                        self.tell(key, became, finder.known_total()).await?;
                        drop(place);
                    }
                    else => break,
                }
                // The finder lives on, so what is found never ends by itself.
                if listed.is_some() && reading.is_empty() && found.is_empty() {
                    break;
                }
            }
            listed.unwrap_or(Err(SyncError::Cancelled))?
        };
        if listing.extent == Extent::Everything {
            self.absent().await?;
        }
        self.progress(finder.known_total()).await?;
        Ok(listing)
    }

    /// What was known and is not in a listing of everything.
    async fn absent(&mut self) -> Result<(), SyncError> {
        let known = self.known.documents.keys();
        let absent: Vec<_> = known.filter(|key| !self.seen.contains(*key)).collect();
        let connector = self.connector;
        let mut absent = absent.into_iter();
        let mut checks = FuturesUnordered::new();
        loop {
            let free = KNOWLEDGE_READERS.saturating_sub(checks.len());
            for key in absent.by_ref().take(free) {
                checks.push(present(connector, key));
            }
            let Some((key, became)) = checks.next().await else {
                break;
            };
            self.tell(key, became, None).await?;
        }
        Ok(())
    }

    async fn tell(
        &mut self,
        key: DocumentKey,
        became: Result<Told, ReadError>,
        total: Option<u64>,
    ) -> Result<(), SyncError> {
        let was_known = self.known.documents.contains_key(&key);
        let counts = &mut self.counts;
        let (count, event) = match became {
            Ok(Told::Changed(document)) => (&mut counts.changed, Event::Changed(document)),
            Ok(Told::Unchanged) => (&mut counts.unchanged, Event::Unchanged(key)),
            Ok(Told::Gone | Told::Skipped(_)) if was_known => (&mut counts.gone, Event::Gone(key)),
            Ok(Told::Skipped(why)) => (&mut counts.skipped, Event::Skipped(key, why)),
            // It was there a moment ago, and nobody knew of it.
            Ok(Told::Gone) => return Ok(()),
            Err(ReadError::Document(error)) => {
                self.may_succeed_later |= error.is_transient();
                (&mut counts.failed, Event::Failed(key, error))
            }
            Err(ReadError::Sync(error)) => return Err(error),
        };
        *count += 1;
        self.sink.take(event).await?;
        if self.counts.seen().is_multiple_of(KNOWLEDGE_PROGRESS) {
            self.progress(total).await?;
        }
        Ok(())
    }

    async fn progress(&self, total: Option<u64>) -> Result<(), SyncError> {
        let seen = self.counts.seen();
        self.sink.take(Event::Progress { seen, total }).await?;
        Ok(())
    }
}

impl Counts {
    fn seen(&self) -> u64 {
        self.changed + self.unchanged + self.gone + self.skipped + self.failed
    }
}

/// What became of a document that a listing of everything does not have.
async fn present(connector: &dyn Connector, key: &DocumentKey) -> Became {
    let check = timeout(KNOWLEDGE_DOCUMENT_TIME, connector.check(key)).await;
    let presence = check.unwrap_or(Err(DocumentError::Timeout.into()));
    let told = presence.map(|presence| match presence {
        Presence::There => Told::Unchanged,
        Presence::Gone => Told::Gone,
    });
    (key.clone(), told)
}

async fn become_of(
    connector: &dyn Connector,
    known: &Known,
    pdf: Arc<dyn ReadPdf>,
    found: Found,
) -> Became {
    let revision = known.documents.get(&found.key);
    let becoming = async {
        let reading = match found.now {
            Now::Has(now) if Some(&now) == revision => Ok(Reading::Unchanged),
            Now::Has(_) | Now::Unclear => connector.read(&found.key, revision).await,
            Now::Read(reading) => reading.map_err(ReadError::from),
        };
        match reading? {
            Reading::Changed(raw) => document(&found.key, *raw, &*pdf).await,
            Reading::Unchanged => Ok(Told::Unchanged),
            Reading::Gone => Ok(Told::Gone),
            Reading::Skipped(why) => Ok(Told::Skipped(why)),
        }
    };
    let became = timeout(KNOWLEDGE_DOCUMENT_TIME, becoming).await;
    let became = became.unwrap_or(Err(DocumentError::Timeout.into()));
    (found.key, became)
}

async fn document(key: &DocumentKey, raw: Raw, pdf: &dyn ReadPdf) -> Result<Told, ReadError> {
    let (media_type, extracted) = match raw.body {
        Body::Material(material) => {
            let media_type = material.media_type.clone();
            match extract(material, pdf).await {
                Ok(extracted) => (media_type, extracted),
                Err(ExtractError::Binary) => return Ok(Told::Skipped(Skip::Binary)),
                Err(error) => return Err(DocumentError::from(error).into()),
            }
        }
        Body::Text(extracted) => (None, extracted),
    };
    if extracted.text.trim().is_empty() {
        return Ok(Told::Skipped(Skip::Empty));
    }
    let title = raw.title.or(extracted.title);
    let title = title.as_deref().map(one_line);
    let title = title.filter(|title| !title.is_empty());
    Ok(Told::Changed(Box::new(Document {
        key: key.clone(),
        title: title.unwrap_or_else(|| one_line(key.last_part())),
        link: raw.link,
        kind: extracted.kind,
        media_type: media_type.unwrap_or_else(|| extracted.kind.media_type().to_owned()),
        text: extracted.text,
        revision: raw.revision,
        updated_at: raw.updated_at,
    })))
}

/// At most [`KNOWLEDGE_TITLE_CHARS`] characters, none of which moves what is around it.
fn one_line(title: &str) -> String {
    let words = title.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let words = words.join(" ");
    let seen = words.chars().filter(|c| !is_unseen(*c));
    seen.take(KNOWLEDGE_TITLE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line_that_is_seen_as_what_it_is() {
        assert_eq!(one_line(" a\r\n\tb\u{7}c "), "a b c");
        assert_eq!(one_line("a\u{202e}b\u{e0041}\u{200b}"), "ab");
        let long = "é".repeat(KNOWLEDGE_TITLE_CHARS * 2);
        assert_eq!(one_line(&long).chars().count(), KNOWLEDGE_TITLE_CHARS);
    }
}
