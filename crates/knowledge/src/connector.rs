//! The port that every source of documents has.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bailiwick_model::limits::KNOWLEDGE_DOCUMENTS;
use jiff::Timestamp;
use tokio::sync::mpsc;
use url::Url;

use crate::extract::{Extracted, Material};
use crate::room::{Place, RoomOfSync};
use crate::{BoxFuture, Cursor, DocumentError, DocumentKey, ReadError, Revision, Skip, SyncError};

/// A source of documents, for one sync.
pub trait Connector: Send + Sync {
    /// Tells of every document that there is, in any order, and says how far that went. What is known already is there to be made use of.
    ///
    /// # Errors
    ///
    /// See [`SyncError`]. What was told before holds; nothing counts as gone.
    fn list<'a>(
        &'a self,
        known: &'a Known,
        finder: &'a Finder,
    ) -> BoxFuture<'a, Result<Listing, SyncError>>;

    /// Reads a document that was told of and may have changed. It is asked for several at once.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    fn read<'a>(
        &'a self,
        key: &'a DocumentKey,
        known: Option<&'a Revision>,
    ) -> BoxFuture<'a, Result<Reading, ReadError>>;

    /// Looks whether a document that was known, and that a listing of everything does not have, is gone. Where a whole listing is believed it is.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    fn check<'a>(&'a self, _key: &'a DocumentKey) -> BoxFuture<'a, Result<Presence, ReadError>> {
        Box::pin(async { Ok(Presence::Gone) })
    }
}

/// What is known from the syncs before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The documents that are kept, with the revision that each has.
    pub documents: BTreeMap<DocumentKey, Revision>,
    /// What the connector asked to be reminded of.
    pub cursor: Option<Cursor>,
}

/// How far a listing went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// What follows for documents that it does not have.
    pub extent: Extent,
    /// What to be reminded of next time, if every document could be read.
    pub cursor: Option<Cursor>,
}

/// What follows for documents that a listing does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// It has everything: they are gone.
    Everything,
    /// It has what has changed: they are as they were.
    Changes,
    /// It is cut off at a bound: nobody knows.
    Cut,
}

/// A document that there is.
#[derive(Debug)]
pub struct Found {
    /// What it is called.
    pub key: DocumentKey,
    /// What is known of it from the listing.
    pub now: Now,
}

/// What a listing says of a document.
#[derive(Debug)]
pub enum Now {
    /// It has this revision; it is read if that is not the known one.
    Has(Revision),
    /// Only reading it tells.
    Unclear,
    /// It was read on the way.
    Read(Result<Reading, DocumentError>),
}

impl Now {
    /// What it brings along.
    fn bytes(&self) -> usize {
        match self {
            Self::Read(Ok(Reading::Changed(raw))) => match &raw.body {
                Body::Material(material) => material.bytes.len(),
                Body::Text(extracted) => extracted.text.len(),
            },
            Self::Read(Ok(Reading::Unchanged | Reading::Gone | Reading::Skipped(_)) | Err(_))
            | Self::Has(_)
            | Self::Unclear => 0,
        }
    }
}

/// What became of reading a document.
#[derive(Debug)]
pub enum Reading {
    /// It is there, and not as it was known.
    Changed(Box<Raw>),
    /// It is as it was known.
    Unchanged,
    /// It is not there.
    Gone,
    /// It is there, and is left out.
    Skipped(Skip),
}

/// A document as its source has it.
#[derive(Debug)]
pub struct Raw {
    /// What its source calls it, if it is not for its own text to say.
    pub title: Option<String>,
    /// Where people find it.
    pub link: Option<Url>,
    /// By what its next change is seen.
    pub revision: Revision,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
    /// What it says.
    pub body: Body,
}

/// What a document says.
#[derive(Debug)]
pub enum Body {
    /// Bytes that a text is still to be made of.
    Material(Material),
    /// A text.
    Text(Extracted),
}

/// Whether a document that was known is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is, and the listing only missed it.
    There,
    /// It is not.
    Gone,
}

/// Who is told of documents that there are.
#[derive(Debug)]
pub struct Finder {
    found: mpsc::Sender<(Found, Option<Place>)>,
    room: RoomOfSync,
    count: AtomicUsize,
    total: AtomicU64,
}

/// The total is not known.
const UNKNOWN: u64 = u64::MAX;

impl Finder {
    pub(crate) fn new(found: mpsc::Sender<(Found, Option<Place>)>, room: RoomOfSync) -> Self {
        Self {
            found,
            room,
            count: AtomicUsize::new(0),
            total: AtomicU64::new(UNKNOWN),
        }
    }

    /// Tells of a document; waits while many are still to be read, and while those that were read on the way have many bytes.
    ///
    /// # Errors
    ///
    /// There are more than are taken, or nobody takes them any more.
    pub async fn found(&self, found: Found) -> Result<(), SyncError> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= KNOWLEDGE_DOCUMENTS {
            return Err(SyncError::TooManyDocuments);
        }
        let place = match found.now.bytes() {
            0 => None,
            bytes => Some(self.room.wait(bytes).await),
        };
        let sent = self.found.send((found, place)).await;
        sent.map_err(|_| SyncError::Cancelled)
    }

    /// Says how many there are in all, as soon as that is known.
    pub fn total(&self, documents: u64) {
        self.total.store(documents, Ordering::Relaxed);
    }

    pub(crate) fn known_total(&self) -> Option<u64> {
        let total = self.total.load(Ordering::Relaxed);
        (total != UNKNOWN).then_some(total)
    }
}
