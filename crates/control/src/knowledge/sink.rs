//! What a sync tells, on its way into the database.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bailiwick_knowledge::{
    BoxFuture, Document, DocumentKey, Event, Kind, Sink, SinkError, Skip, chunks,
};
use bailiwick_model::limits::KNOWLEDGE_ERROR_CHARS;
use bailiwick_store::{
    Kept, KnowledgeRun, NewKnowledgeChunk, NewKnowledgeDocument, Store, StoreError,
};
use serde::{Deserialize, Serialize};

use crate::{clock, fresh};

/// From one word about progress to the next.
const PACE: Duration = Duration::from_millis(500);

/// How many documents became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncCounts {
    /// Documents of which something is known.
    pub seen: u64,
    /// Documents that there are, if that is known.
    pub total: Option<u64>,
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

impl SyncCounts {
    pub(super) fn stored(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text).map_err(|_| StoreError::Corrupt {
            column: "sync_counts",
        })
    }

    pub(super) fn to_json(self) -> String {
        serde_json::to_string(&self).expect("numbers")
    }
}

/// Takes what one sync tells.
pub(super) struct Keeping<'a> {
    store: &'a Store,
    run: &'a KnowledgeRun,
    /// Documents that could not be read the last time.
    failed: HashSet<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counts: SyncCounts,
    told: Option<Instant>,
}

impl<'a> Keeping<'a> {
    pub(super) fn new(store: &'a Store, run: &'a KnowledgeRun, failed: HashSet<String>) -> Self {
        Self {
            store,
            run,
            failed,
            state: Mutex::default(),
        }
    }

    /// What has become of documents until now.
    pub(super) fn counts(&self) -> SyncCounts {
        self.state().counts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, which: fn(&mut SyncCounts) -> &mut u64) {
        let counts = &mut self.state().counts;
        *which(counts) += 1;
        counts.seen += 1;
    }

    async fn keep(&self, event: Event) -> Result<(), SinkError> {
        let (store, run, now) = (self.store, self.run, clock::now());
        let kept = match event {
            Event::Changed(document) => {
                self.count(|counts| &mut counts.changed);
                let kept = new_document(*document);
                store.keep_knowledge_document(run, now, &kept).await
            }
            Event::Unchanged(key) => {
                self.count(|counts| &mut counts.unchanged);
                if !self.failed.contains(key.as_str()) {
                    return Ok(());
                }
                store
                    .forgive_knowledge_document(run, now, key.as_str())
                    .await
            }
            Event::Gone(key) => {
                self.count(|counts| &mut counts.gone);
                store.drop_knowledge_document(run, now, key.as_str()).await
            }
            Event::Skipped(key, why @ Skip::Elsewhere(_)) => {
                self.count(|counts| &mut counts.skipped);
                // Whoever looks for it finds out where it leads.
                self.fail(&key, &why).await
            }
            Event::Skipped(key, _) => {
                self.count(|counts| &mut counts.skipped);
                if !self.failed.contains(key.as_str()) {
                    return Ok(());
                }
                store.drop_knowledge_document(run, now, key.as_str()).await
            }
            Event::Failed(key, error) => {
                self.count(|counts| &mut counts.failed);
                self.fail(&key, &error).await
            }
            Event::Progress { total, .. } => {
                return self.progress(total).await;
            }
        };
        match kept {
            Ok(Kept::Kept) => Ok(()),
            Ok(Kept::Lost) => Err(SinkError("the sync is this server's no more".to_owned())),
            Ok(Kept::Full) => Err(SinkError(
                "the organization has as many documents, or as much text of them, as it may: delete a connector, or read less".to_owned(),
            )),
            Err(error) => Err(SinkError(error.to_string())),
        }
    }

    async fn fail(
        &self,
        key: &DocumentKey,
        error: &(impl Display + Sync),
    ) -> Result<Kept, StoreError> {
        let now = clock::now();
        let title = key.as_str().rsplit('/').find(|part| !part.is_empty());
        let id = fresh::id(now);
        let document = (&id, key.as_str(), title.unwrap_or(key.as_str()));
        let error = shortened(error);
        let failing = self
            .store
            .fail_knowledge_document(self.run, now, document, &error);
        failing.await
    }

    async fn progress(&self, total: Option<u64>) -> Result<(), SinkError> {
        let counts = {
            let mut state = self.state();
            state.counts.total = total.or(state.counts.total);
            if state.told.is_some_and(|told| told.elapsed() < PACE) {
                return Ok(());
            }
            state.told = Some(Instant::now());
            state.counts
        };
        let counts = counts.to_json();
        let noted = self.store.note_knowledge_progress(self.run, &counts);
        // It is told again; what matters is kept by itself.
        let _ = noted.await;
        Ok(())
    }
}

impl Sink for Keeping<'_> {
    fn take(&self, event: Event) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(self.keep(event))
    }
}

/// An error as it is kept.
pub(super) fn shortened(error: &impl Display) -> String {
    let text = error.to_string();
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(KNOWLEDGE_ERROR_CHARS).collect()
}

fn new_document(document: Document) -> NewKnowledgeDocument {
    let pieces = chunks(document.kind, &document.text).into_iter();
    let pieces = pieces.map(|piece| NewKnowledgeChunk {
        headings: piece.headings.join("\n"),
        body: document.text[piece.range].to_owned(),
    });
    let chunks: Vec<_> = pieces.collect();
    NewKnowledgeDocument {
        id: fresh::id(clock::now()),
        bytes: bytes(&document.title, &chunks),
        chunks,
        key: document.key.into(),
        revision: document.revision.into(),
        title: document.title,
        link: document.link.map(String::from),
        kind: word(document.kind),
        updated_at: document.updated_at,
    }
}

/// What is kept of a document: each piece has its text, its headings, and the title.
fn bytes(title: &str, chunks: &[NewKnowledgeChunk]) -> i64 {
    let bytes = |chunk: &NewKnowledgeChunk| title.len() + chunk.headings.len() + chunk.body.len();
    let bytes: usize = chunks.iter().map(bytes).sum();
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Markdown => "markdown",
        Kind::Html => "html",
        Kind::Text => "text",
        Kind::Code => "code",
        Kind::Pdf => "pdf",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_and_headings_count_as_often_as_they_are_kept() {
        let text = "# Heading\none\n# Other\ntwo\n";
        let document = Document {
            key: "a".parse().unwrap(),
            title: "Title".to_owned(),
            link: None,
            kind: Kind::Markdown,
            media_type: "text/markdown".to_owned(),
            text: text.to_owned(),
            revision: "1".parse().unwrap(),
            updated_at: None,
        };
        let kept = new_document(document);
        assert_eq!(kept.chunks.len(), 2);
        let more = 2 * "Title".len() + "Heading".len() + "Other".len();
        assert_eq!(kept.bytes, i64::try_from(text.len() + more).unwrap());
    }
}
