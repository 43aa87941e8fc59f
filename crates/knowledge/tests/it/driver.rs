//! What the driver does with whatever a connector says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bailiwick_knowledge::{
    Body, BoxFuture, Connector, Cursor, DocumentError, DocumentKey, Event, Extent, Extracted,
    Finder, Found, Kind, Known, Listing, Now, OnThread, Raw, ReadError, Reading, Revision, Room,
    Sink, SinkError, SyncError, sync,
};
use tokio_util::sync::CancellationToken;

use crate::world::{Kept, numbers};

/// Documents `0` to `count`, which are read by this.
struct Made {
    count: usize,
    read: fn(&str) -> Result<Reading, ReadError>,
    end: fn() -> Result<Listing, SyncError>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

fn text(words: &str) -> Result<Reading, ReadError> {
    Ok(Reading::Changed(Box::new(Raw {
        title: None,
        link: None,
        revision: "1".parse().unwrap(),
        updated_at: None,
        body: Body::Text(Extracted {
            kind: Kind::Text,
            title: None,
            text: words.to_owned(),
        }),
    })))
}

fn everything() -> Result<Listing, SyncError> {
    Ok(Listing {
        extent: Extent::Everything,
        cursor: Some("next".parse().unwrap()),
    })
}

impl Made {
    fn new(count: usize) -> Self {
        Self {
            count,
            read: text,
            end: everything,
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        }
    }
}

impl Connector for Made {
    fn list<'a>(
        &'a self,
        _known: &'a Known,
        finder: &'a Finder,
    ) -> BoxFuture<'a, Result<Listing, SyncError>> {
        Box::pin(async move {
            finder.total(u64::try_from(self.count).unwrap());
            for number in 0..self.count {
                let key = number.to_string().parse().unwrap();
                let now = Now::Has("1".parse().unwrap());
                finder.found(Found { key, now }).await?;
            }
            (self.end)()
        })
    }

    fn read<'a>(
        &'a self,
        key: &'a DocumentKey,
        _known: Option<&'a Revision>,
    ) -> BoxFuture<'a, Result<Reading, ReadError>> {
        Box::pin(async move {
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            (self.read)(key.as_str())
        })
    }
}

#[tokio::test]
async fn documents_are_read_a_few_at_once_and_progress_is_told() {
    let made = Made::new(50);
    let mut kept = Kept::default();
    assert_eq!(kept.synced(&made).await, [50, 0, 0, 0, 0]);
    let most = made.most_at_once.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most}");
    assert_eq!(kept.progress, Some((50, Some(50))));
    let cursor = kept.known.cursor.as_ref().map(Cursor::as_str);
    assert_eq!(cursor, Some("next"));
    assert_eq!(kept.synced(&Made::new(48)).await, [0, 48, 2, 0, 0]);
}

#[tokio::test]
async fn a_listing_that_fails_or_is_cut_deletes_nothing() {
    let mut kept = Kept::default();
    kept.synced(&Made::new(10)).await;
    let fails = Made {
        end: || Err(SyncError::NotFound("it".to_owned())),
        ..Made::new(3)
    };
    let outcome = kept.sync(&fails).await;
    assert!(outcome.listing.is_err());
    assert_eq!(numbers(outcome.counts), [0, 3, 0, 0, 0]);
    let is_cut = Made {
        end: || {
            Ok(Listing {
                extent: Extent::Cut,
                cursor: None,
            })
        },
        ..Made::new(3)
    };
    let outcome = kept.sync(&is_cut).await;
    assert_eq!(outcome.listing.unwrap(), Extent::Cut);
    assert_eq!(kept.keys().len(), 10);
}

#[tokio::test]
async fn what_may_succeed_later_keeps_the_cursor_where_it_was() {
    let mut kept = Kept::default();
    let transient = Made {
        read: |key| match key {
            "1" => Err(DocumentError::Timeout.into()),
            _ => text(key),
        },
        ..Made::new(3)
    };
    assert_eq!(kept.synced(&transient).await, [2, 0, 0, 0, 1]);
    assert_eq!(kept.known.cursor, None);
    let for_good = Made {
        read: |_| Err(DocumentError::TooLarge(1).into()),
        ..Made::new(3)
    };
    assert_eq!(kept.synced(&for_good).await, [0, 2, 0, 0, 1]);
    assert!(kept.known.cursor.is_some());
}

#[tokio::test]
async fn an_error_that_is_about_everything_ends_the_sync() {
    let made = Made {
        read: |_| {
            Err(SyncError::Unauthorized {
                host: "a.test".to_owned(),
            }
            .into())
        },
        ..Made::new(100)
    };
    let outcome = Kept::default().sync(&made).await;
    let error = outcome.listing.unwrap_err().to_string();
    assert_eq!(error, "a.test does not take the credential (status 401)");
}

struct Full;

impl Sink for Full {
    fn take(&self, _event: Event) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async { Err(SinkError("the disk is full".to_owned())) })
    }
}

#[tokio::test]
async fn a_sink_that_takes_nothing_more_ends_the_sync() {
    let (known, pdf) = (Known::default(), Arc::new(OnThread::default()));
    let outcome = sync(
        &Made::new(100),
        &known,
        &Full,
        (pdf, &Room::default()),
        &CancellationToken::new(),
    )
    .await;
    let error = outcome.listing.unwrap_err().to_string();
    assert_eq!(error, "what is known cannot be kept: the disk is full");
}

/// Waits for ever.
struct Stuck;

impl Connector for Stuck {
    fn list<'a>(
        &'a self,
        _known: &'a Known,
        _finder: &'a Finder,
    ) -> BoxFuture<'a, Result<Listing, SyncError>> {
        Box::pin(std::future::pending())
    }

    fn read<'a>(
        &'a self,
        _key: &'a DocumentKey,
        _known: Option<&'a Revision>,
    ) -> BoxFuture<'a, Result<Reading, ReadError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_sync_ends_when_it_is_cancelled_or_takes_too_long() {
    let (known, pdf) = (Known::default(), Arc::new(OnThread::default()));
    let cancel = CancellationToken::new();
    let room = Room::default();
    let waiting = sync(&Stuck, &known, &Full, (pdf.clone(), &room), &cancel);
    let cancelling = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(waiting, cancelling);
    assert!(matches!(outcome.listing, Err(SyncError::Cancelled)));
    let outcome = sync(
        &Stuck,
        &known,
        &Full,
        (pdf, &room),
        &CancellationToken::new(),
    )
    .await;
    assert!(matches!(outcome.listing, Err(SyncError::Timeout)));
}
