//! Where a server keeps what it has.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use bailiwick_store::DatabaseUrl;

use crate::host_environment::HostEnvironment;
use crate::state;

/// Which database.
#[derive(Debug, clap::Args)]
pub(crate) struct DatabaseArguments {
    /// Where data is kept [default: `server` in the state directory].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The database: sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE [default: $BAILIWICK_DATABASE_URL,
    /// else sqlite in the data directory].
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    database_url: Option<DatabaseUrl>,
}

impl DatabaseArguments {
    /// The database; the data directory is made, if it is used.
    pub(crate) fn url(&self, host: &HostEnvironment) -> anyhow::Result<DatabaseUrl> {
        match (&self.database_url, &host.database_url) {
            (Some(url), _) => Ok(url.clone()),
            (None, Some(text)) if self.data.is_none() => text
                .parse()
                .context("BAILIWICK_DATABASE_URL cannot be used"),
            (None, _) => Ok(DatabaseUrl::Sqlite(
                self.data_directory(host)?.join("bailiwick.db"),
            )),
        }
    }

    /// The data directory, made if it is not there. Nobody else may look into it.
    pub(crate) fn data_directory(&self, host: &HostEnvironment) -> anyhow::Result<PathBuf> {
        let directory = match &self.data {
            Some(directory) => directory.clone(),
            None => state::open(host)?.path().join("server"),
        };
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory);
        made.with_context(|| format!("cannot make {}", directory.display()))?;
        private(&directory)?;
        Ok(directory)
    }

    /// The file of the database.
    pub(crate) fn file(&self, host: &HostEnvironment) -> anyhow::Result<PathBuf> {
        match self.url(host)? {
            DatabaseUrl::Sqlite(path) => Ok(path),
            DatabaseUrl::Postgres(_) => anyhow::bail!(
                "this is for the embedded database; PostgreSQL has its own programs for it: pg_dump and pg_restore"
            ),
        }
    }
}

fn private(directory: &Path) -> anyhow::Result<()> {
    let told = || format!("cannot look at {}", directory.display());
    let mode = fs::metadata(directory)
        .with_context(told)?
        .permissions()
        .mode();
    anyhow::ensure!(
        mode & 0o077 == 0,
        "{} can be read by others, and would hold keys and secrets: `chmod 700` it",
        directory.display()
    );
    Ok(())
}
