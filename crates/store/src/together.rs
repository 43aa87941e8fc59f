//! Transactions of SQLite that go to the disk together.
//!
//! SQLite has one writer, and each commit of it waits for the disk. So those that come meanwhile are made parts of one transaction: they take
//! their turns at the connection, one after another, each in a savepoint (<https://www.sqlite.org/lang_savepoint.html>). Whose part is done
//! goes behind those that already wait, and commits for all when nobody before them has. A part is acknowledged after the commit that it is
//! in: it is on the disk then, with all that came before it and that it may have seen.
//!
//! A part that fails is undone without the others. If the transaction itself fails, all its parts have.
//!
//! Who writes sees parts that nobody who reads does. So what other transactions must have been read by the time it decides begins alone: after
//! a commit of what was there.

use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Executor as _};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, watch};
use tokio::task::JoinHandle;

use crate::checkpoints::Checkpoints;

/// With the lock that a write needs, so that nothing fails halfway for want of it.
const BEGIN: &str = "BEGIN IMMEDIATE; SAVEPOINT part";
const PART: &str = "SAVEPOINT part";
const KEEP: &str = "RELEASE part";
const UNDO: &str = "ROLLBACK TO part; RELEASE part";
/// Of the transaction, with a part that is not kept yet.
const COMMIT: &str = "COMMIT";

/// Whether a transaction may have other parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    /// What it sees, everybody sees who reads.
    Alone,
    /// What it sees of its others will be there when it is.
    Shared,
}

/// One connection, for one at a time.
#[derive(Debug, Clone)]
pub(crate) struct Together {
    pool: AnyPool,
    turns: Turns,
    checkpoints: Arc<Checkpoints>,
}

/// Given to those that wait in the order in which they came.
type Turns = Arc<Mutex<Writer>>;
type Held = OwnedMutexGuard<Writer>;

#[derive(Debug, Default)]
struct Writer {
    /// Kept from one transaction to the next.
    connection: Option<PoolConnection<Any>>,
    /// The transaction that has begun.
    batch: Option<Batch>,
    /// Told of each commit.
    committed: Arc<Notify>,
}

#[derive(Debug)]
struct Batch {
    /// Whether a part of it is kept; whoever made one waits for its end, and brings it about.
    has_parts: bool,
    /// Whether a part is being made.
    is_open: bool,
    end: watch::Sender<Option<End>>,
}

type End = Result<(), Arc<sqlx::Error>>;

/// A part that is being made; dropping it undoes it.
#[derive(Debug)]
pub(crate) struct Part {
    turns: Turns,
    company: Company,
    /// There until it ends; there is a batch in it.
    held: Option<Held>,
}

impl Together {
    /// The pool has one connection.
    pub(crate) fn new(pool: AnyPool, checkpoints: Checkpoints) -> Self {
        let writer = Writer {
            committed: checkpoints.committed(),
            ..Writer::default()
        };
        Self {
            pool,
            turns: Arc::new(Mutex::new(writer)),
            checkpoints: Arc::new(checkpoints),
        }
    }

    /// The connection itself, before the first transaction.
    pub(crate) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Begins a part, once it is its turn.
    pub(crate) async fn begin(&self, company: Company) -> sqlx::Result<Part> {
        let mut held = Arc::clone(&self.turns).lock_owned().await;
        let (pool, turns) = (self.pool.clone(), Arc::clone(&self.turns));
        // If nobody waits for it any more, it is undone as a whole.
        joined(tokio::spawn(async move {
            held.begin(&pool, company).await?;
            let held = Some(held);
            Ok(Part {
                turns,
                company,
                held,
            })
        }))
        .await
    }

    /// Ends the connection once nobody has it.
    pub(crate) async fn close(&self) {
        self.turns.lock().await.connection = None;
        self.checkpoints.close().await;
        self.pool.close().await;
    }
}

impl Part {
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        let held = self.held.as_mut().expect(NOT_ENDED);
        held.connection.as_mut().expect(NOT_ENDED)
    }

    /// Returns once it is on the disk. It goes there also if nobody waits for that.
    pub(crate) async fn commit(mut self) -> sqlx::Result<()> {
        let held = self.held.take().expect(NOT_ENDED);
        let kept = keep(Arc::clone(&self.turns), held, self.company);
        joined(tokio::spawn(kept)).await
    }

    /// Undoes it, and returns once all that it may have seen is on the disk.
    pub(crate) async fn undo(mut self) -> sqlx::Result<()> {
        let mut held = self.held.take().expect(NOT_ENDED);
        let turns = Arc::clone(&self.turns);
        joined(tokio::spawn(async move {
            held.undo().await?;
            end(turns, held).await
        }))
        .await
    }
}

const NOT_ENDED: &str = "it has not ended";

impl Drop for Part {
    fn drop(&mut self) {
        let (Some(mut held), Ok(runtime)) = (self.held.take(), Handle::try_current()) else {
            // Whoever is next undoes it.
            return;
        };
        runtime.spawn(async move {
            let is_empty = held.batch.as_ref().is_some_and(|batch| !batch.has_parts);
            // What fails ends the batch, and those who wait for that are told.
            if held.undo().await.is_ok() && is_empty {
                let _ = held.commit().await;
            }
        });
    }
}

async fn keep(turns: Turns, mut held: Held, company: Company) -> sqlx::Result<()> {
    if company == Company::Alone {
        return held.commit().await;
    }
    held.run(KEEP).await?;
    if let Some(batch) = &mut held.batch {
        (batch.is_open, batch.has_parts) = (false, true);
    }
    end(turns, held).await
}

/// Waits for the end of a batch behind those that wait for their turns; then that is for nobody else to bring about.
async fn end(turns: Turns, held: Held) -> sqlx::Result<()> {
    let mut end = held.batch.as_ref().expect(NOT_ENDED).end.subscribe();
    drop(held);
    let mut held = tokio::select! {
        biased;
        _ = end.changed() => return told(&end.borrow()),
        held = turns.lock_owned() => held,
    };
    // Also if it was lost without an end.
    if end.has_changed().is_err() || end.borrow().is_some() {
        return told(&end.borrow());
    }
    held.settle().await?;
    held.commit().await
}

impl Writer {
    async fn begin(&mut self, pool: &AnyPool, company: Company) -> sqlx::Result<()> {
        self.settle().await?;
        if company == Company::Alone {
            // If it fails, those whose parts are in it are told.
            let _ = self.commit().await;
        }
        let sql = match &mut self.batch {
            Some(batch) => {
                batch.is_open = true;
                PART
            }
            None => {
                if self.connection.is_none() {
                    self.connection = Some(pool.acquire().await?);
                }
                self.batch = Some(Batch {
                    has_parts: false,
                    is_open: true,
                    end: watch::Sender::new(None),
                });
                BEGIN
            }
        };
        self.run(sql).await
    }

    /// Undoes what somebody was making who is gone.
    async fn settle(&mut self) -> sqlx::Result<()> {
        match &self.batch {
            Some(Batch { is_open: true, .. }) => self.undo().await,
            Some(_) | None => Ok(()),
        }
    }

    async fn undo(&mut self) -> sqlx::Result<()> {
        self.run(UNDO).await?;
        if let Some(batch) = &mut self.batch {
            batch.is_open = false;
        }
        Ok(())
    }

    /// Commits what has begun, if something has.
    async fn commit(&mut self) -> sqlx::Result<()> {
        if self.batch.is_none() {
            return Ok(());
        }
        self.run(COMMIT).await?;
        if let Some(batch) = self.batch.take() {
            batch.end.send_replace(Some(Ok(())));
        }
        self.committed.notify_one();
        Ok(())
    }

    /// Runs a statement of the batch's own. If it fails, the batch has, and its connection is not used again.
    async fn run(&mut self, sql: &'static str) -> sqlx::Result<()> {
        let connection: &mut AnyConnection = self.connection.as_mut().expect(NOT_ENDED);
        let Err(error) = connection.execute(sqlx::raw_sql(sql)).await else {
            return Ok(());
        };
        let error = Arc::new(error);
        if let Some(batch) = self.batch.take() {
            batch.end.send_replace(Some(Err(Arc::clone(&error))));
        }
        if let Some(connection) = self.connection.take() {
            // What was not committed goes with it.
            let _ = connection.close().await;
        }
        Err(shared(error))
    }
}

/// How a batch ended, for one of its parts.
fn told(end: &Option<End>) -> sqlx::Result<()> {
    match end {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(shared(Arc::clone(error))),
        // It was lost without an end.
        None => Err(sqlx::Error::WorkerCrashed),
    }
}

/// One failure of several.
fn shared(error: Arc<sqlx::Error>) -> sqlx::Error {
    Arc::try_unwrap(error).unwrap_or_else(|error| sqlx::Error::Io(std::io::Error::other(error)))
}

async fn joined<T>(task: JoinHandle<sqlx::Result<T>>) -> sqlx::Result<T> {
    match task.await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is ending.
        Err(_) => Err(sqlx::Error::PoolClosed),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::Row as _;

    use super::*;
    use crate::dialect::DatabaseUrl;
    use crate::error::StoreError;
    use crate::store::Store;
    use crate::transaction::Transaction;

    async fn store(directory: &tempfile::TempDir) -> Store {
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        Store::open(&url).await.unwrap()
    }

    async fn insert(transaction: &mut Transaction, name: &str) -> sqlx::Result<()> {
        let statement =
            sqlx::query("INSERT INTO lease (name, holder, expires_at) VALUES ($1, '', 0)");
        let statement = statement.bind(name.to_owned());
        statement.execute(transaction.connection()).await.map(drop)
    }

    async fn names(store: &Store) -> Vec<String> {
        let rows = sqlx::query("SELECT name FROM lease ORDER BY name");
        let rows = rows.fetch_all(store.reader()).await.unwrap();
        rows.iter().map(|row| row.get("name")).collect()
    }

    /// Waits until somebody else waits for their turn.
    async fn breath() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    /// A part that is kept and waits for its end, and the next, which is being made.
    async fn kept_and_begun(store: &Store) -> (JoinHandle<Result<(), StoreError>>, Transaction) {
        let mut first = store.begin_shared().await.unwrap();
        insert(&mut first, "first").await.unwrap();
        let other = store.clone();
        let second = tokio::spawn(async move { other.begin_shared().await.unwrap() });
        breath().await;
        let first = tokio::spawn(first.commit());
        (first, second.await.unwrap())
    }

    #[tokio::test]
    async fn what_is_kept_is_acknowledged_when_those_who_waited_are_done() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory).await;
        let (first, mut second) = kept_and_begun(&store).await;
        breath().await;
        assert!(!first.is_finished());
        assert_eq!(names(&store).await, Vec::<String>::new());
        insert(&mut second, "first").await.unwrap_err();
        insert(&mut second, "second").await.unwrap();
        second.commit().await.unwrap();
        first.await.unwrap().unwrap();
        assert_eq!(names(&store).await, ["first", "second"]);
    }

    #[tokio::test]
    async fn what_is_undone_takes_nothing_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory).await;
        let (first, mut second) = kept_and_begun(&store).await;
        insert(&mut second, "second").await.unwrap();
        drop(second);
        first.await.unwrap().unwrap();
        assert_eq!(names(&store).await, ["first"]);
        // Nothing is left open: another process gets the lock at once.
        drop(store.begin_shared().await.unwrap());
        breath().await;
        let url = format!("sqlite:{}", directory.path().join("bailiwick.db").display());
        let other = <AnyConnection as sqlx::Connection>::connect(&url).await;
        let mut other = other.unwrap();
        other.execute("PRAGMA busy_timeout = 0").await.unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();
    }

    #[tokio::test]
    async fn who_begins_alone_finds_all_before_it_where_others_read() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory).await;
        let mut first = store.begin_shared().await.unwrap();
        insert(&mut first, "first").await.unwrap();
        let other = store.clone();
        let alone = tokio::spawn(async move {
            let alone = other.begin().await.unwrap();
            (alone, names(&other).await)
        });
        breath().await;
        let first = tokio::spawn(first.commit());
        let (mut alone, found) = alone.await.unwrap();
        assert_eq!(found, ["first"]);
        first.await.unwrap().unwrap();
        insert(&mut alone, "alone").await.unwrap();
        let other = store.clone();
        let next = tokio::spawn(async move { other.begin_shared().await.map(drop) });
        breath().await;
        // Nobody's part is in it.
        alone.commit().await.unwrap();
        assert_eq!(names(&store).await, ["alone", "first"]);
        next.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_transaction_that_fails_has_failed_for_all_and_the_next_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory).await;
        let (first, mut second) = kept_and_begun(&store).await;
        insert(&mut second, "second").await.unwrap();
        // As SQLite itself does where the disk is full (https://www.sqlite.org/lang_transaction.html, section 2.3).
        let rolled_back = sqlx::query("ROLLBACK").execute(second.connection());
        rolled_back.await.unwrap();
        second.commit().await.unwrap_err();
        first.await.unwrap().unwrap_err();
        assert_eq!(names(&store).await, Vec::<String>::new());
        let mut third = store.begin_shared().await.unwrap();
        insert(&mut third, "third").await.unwrap();
        third.commit().await.unwrap();
        assert_eq!(names(&store).await, ["third"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_there_in_the_end_is_what_was_acknowledged() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory).await;
        let writers = (0..300).map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let name = format!("{number:03}");
                let mut transaction = if number % 5 == 0 {
                    store.begin().await.unwrap()
                } else {
                    store.begin_shared().await.unwrap()
                };
                insert(&mut transaction, &name).await.unwrap();
                if number % 3 == 0 {
                    return None;
                }
                let patience = Duration::from_micros(if number % 7 == 0 { 1 } else { u64::MAX });
                let committed = tokio::time::timeout(patience, transaction.commit()).await;
                committed.ok().map(|committed| {
                    committed.unwrap();
                    name
                })
            })
        });
        let writers: Vec<_> = writers.collect();
        let mut acknowledged = Vec::new();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        assert!(acknowledged.len() > 100);
        // Those that nobody waited for are there too.
        store.begin().await.unwrap().commit().await.unwrap();
        let mut expected: Vec<_> = (0..300)
            .filter(|number| number % 3 != 0)
            .map(|number| format!("{number:03}"))
            .collect();
        expected.sort();
        let found = names(&store).await;
        assert_eq!(found, expected);
        assert!(acknowledged.iter().all(|name| found.contains(name)));
    }
}
