//! What is spent on models: written down while it is, and settled in the database.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bailiwick_control::Control;
use bailiwick_store::DatabaseUrl;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::database::DatabaseArguments;
use crate::host_environment::HostEnvironment;

/// How long writing what is left may take as the server ends. What cannot be written is in the journal, or counts as leased.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// The ledger at work.
pub(super) struct Spending {
    ends: CancellationToken,
    task: JoinHandle<()>,
}

/// Where the journal is: beside the database of SQLite. A server of PostgreSQL need not have a directory of its own; what it has leased is counted
/// as spent then if it does not come back.
pub(super) fn directory(
    arguments: &DatabaseArguments,
    url: &DatabaseUrl,
    host: &HostEnvironment,
) -> anyhow::Result<Option<PathBuf>> {
    let directory = match url {
        DatabaseUrl::Sqlite(path) => {
            let beside = path.parent().unwrap_or(Path::new("."));
            return Ok(Some(beside.join("spend")));
        }
        DatabaseUrl::Postgres(_) => arguments.data_directory(host),
    };
    match directory {
        Ok(directory) => Ok(Some(directory.join("spend"))),
        Err(error) => {
            tracing::warn!(
                %error,
                "what is being spent is not written down: if this server is killed, what it has leased of limits counts as spent"
            );
            Ok(None)
        }
    }
}

impl Spending {
    /// Settles what was left behind, and begins to look after what is spent.
    pub(super) async fn begin(
        control: &Arc<Control>,
        journal: Option<&Path>,
    ) -> anyhow::Result<Self> {
        if let Some(directory) = journal {
            let begun = control.ledger().begin(directory).await;
            begun.with_context(|| format!("cannot use {}", directory.display()))?;
        }
        let ends = CancellationToken::new();
        let (ledger, ended) = (control.ledger().clone(), ends.clone());
        let task = tokio::spawn(async move { ledger.run(ended).await });
        Ok(Self { ends, task })
    }

    /// Writes what is left, and gives back what was leased.
    pub(super) async fn end(self) {
        self.ends.cancel();
        if tokio::time::timeout(LAST_WRITES, self.task).await.is_err() {
            tracing::warn!("not all that was spent could be written; the next start does it");
        }
    }
}
