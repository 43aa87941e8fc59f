//! Bringing what is in SQLite's log into its file (<https://www.sqlite.org/wal.html#ckpt>), beside those who write.
//!
//! By itself SQLite does that at the end of the commit that made the log long, and whoever made it waits for two more writes of the disk. Here a
//! connection of its own does it while others go on. Where it falls behind, a commit does it still: the log stays bounded.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _, Executor as _};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Of whoever commits: pages of the log after which a commit does it.
pub(crate) const BY_A_COMMIT: &str = "PRAGMA wal_autocheckpoint = 8000";
/// What is in the file is on the disk before the log begins anew.
const SYNCED: &str = "PRAGMA synchronous = FULL";
/// Waits for nobody, and nobody for it.
const BESIDE: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// From the first commit that is not in the file: what is changed often is brought there once.
const PAUSE: Duration = Duration::from_millis(250);

/// Goes on until it is closed, or dropped.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    committed: Arc<Notify>,
    running: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Checkpoints {
    /// Of the database of these options.
    pub(crate) fn begin(options: AnyConnectOptions) -> Self {
        let committed = Arc::new(Notify::new());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(options, Arc::clone(&committed), stopped));
        Self {
            committed,
            running: Mutex::new(Some((stop, task))),
        }
    }

    /// Told of each commit.
    pub(crate) fn committed(&self) -> Arc<Notify> {
        Arc::clone(&self.committed)
    }

    /// Ends the connection.
    pub(crate) async fn close(&self) {
        let running = self.running.lock();
        let running = running.unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, task)) = running {
            drop(stop);
            // It does not panic; if it did, it has ended.
            let _ = task.await;
        }
    }
}

async fn run(
    options: AnyConnectOptions,
    committed: Arc<Notify>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connection = None;
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            () = async { committed.notified().await; sleep(PAUSE).await } => {}
        }
        if let Err(error) = checkpoint(&options, &mut connection).await {
            tracing::warn!(%error, "the database's log cannot be brought into its file now");
            connection = None;
        }
    }
    if let Some(connection) = connection {
        // It is not needed any more, however it ends.
        let _ = connection.close().await;
    }
}

async fn checkpoint(
    options: &AnyConnectOptions,
    connection: &mut Option<AnyConnection>,
) -> sqlx::Result<()> {
    let connection = match connection {
        Some(connection) => connection,
        None => {
            let mut new = options.connect().await?;
            new.execute(SYNCED).await?;
            connection.insert(new)
        }
    };
    connection.execute(BESIDE).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use crate::dialect::DatabaseUrl;
    use crate::store::Store;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);
    const BYTES: u64 = 1 << 20;

    async fn write(store: &Store, name: &str) {
        let statement =
            sqlx::query("INSERT INTO lease (name, holder, expires_at) VALUES ($1, $2, 0)");
        let statement = statement
            .bind(name.to_owned())
            .bind("x".repeat(BYTES as usize));
        store.execute(statement).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_committed_comes_into_the_file_by_itself_and_nobody_waits_for_that() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bailiwick.db");
        let store = Store::open(&DatabaseUrl::Sqlite(path.clone()))
            .await
            .unwrap();
        let length = || std::fs::metadata(&path).unwrap().len();
        write(&store, "one").await;
        assert!(length() < BYTES, "it is in the log alone");
        let begun = Instant::now();
        while length() < BYTES {
            assert!(begun.elapsed() < PATIENCE);
            sleep(Duration::from_millis(10)).await;
        }
        // Also while somebody is in the middle of a change.
        let held = store.begin_shared().await.unwrap();
        sleep(2 * PAUSE).await;
        held.commit().await.unwrap();
        write(&store, "two").await;
        store.close().await;
        assert!(length() > 2 * BYTES);
        assert!(!path.with_extension("db-wal").exists(), "all are closed");
    }
}
