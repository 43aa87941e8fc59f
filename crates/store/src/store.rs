//! The connection pools, and the way to an organization's things.

use std::borrow::Cow;
use std::time::Duration;

use bailiwick_model::OrganizationId;
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyPool, AssertSqlSafe, SqlSafeStr};

use crate::dialect::{DatabaseUrl, Dialect};
use crate::error::StoreError;

/// How long a query may wait for a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Readers of SQLite, and readers and writers of PostgreSQL, at the same time.
const CONNECTIONS: u32 = 16;

/// In the order in which they run. One that has been released is never changed: what a version before this one still reads or writes goes in
/// a later release (expand, then contract), so that two versions can run side by side.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "organizations",
        include_str!("../migrations/0001_organizations.sql"),
    ),
    (2, "agents", include_str!("../migrations/0002_agents.sql")),
    (3, "vaults", include_str!("../migrations/0003_vaults.sql")),
    (4, "files", include_str!("../migrations/0004_files.sql")),
    (
        5,
        "sessions",
        include_str!("../migrations/0005_sessions.sql"),
    ),
    (6, "members", include_str!("../migrations/0006_members.sql")),
];

/// A database whose tables are of this version.
#[derive(Debug, Clone)]
pub struct Store {
    read: AnyPool,
    write: AnyPool,
    dialect: Dialect,
}

/// The things of one organization, to read.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    pub(crate) pool: &'a AnyPool,
    pub(crate) organization: &'a OrganizationId,
}

impl Store {
    /// Connects, and brings the tables to this version. Of several processes that do so at once on PostgreSQL one works and the others wait.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] and [`StoreError::Migration`].
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let dialect = url.dialect();
        let pool = |connections| {
            let options = AnyPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(PATIENCE)
                .test_before_acquire(dialect == Dialect::Postgres)
                .after_connect(move |connection, _| {
                    Box::pin(async move {
                        for statement in dialect.on_connect() {
                            sqlx::query(*statement).execute(&mut *connection).await?;
                        }
                        Ok(())
                    })
                });
            let text = url.as_text();
            async move { options.connect(&text).await }
        };
        let store = match dialect {
            // It has one writer; a queue here is fairer than its lock.
            Dialect::Sqlite => {
                let write = pool(1).await?;
                migrate(&write, dialect).await?;
                Self {
                    read: pool(CONNECTIONS).await?,
                    write,
                    dialect,
                }
            }
            Dialect::Postgres => {
                let both = pool(CONNECTIONS).await?;
                migrate(&both, dialect).await?;
                Self {
                    read: both.clone(),
                    write: both,
                    dialect,
                }
            }
        };
        Ok(store)
    }

    /// The things of one organization.
    pub fn scope<'a>(&'a self, organization: &'a OrganizationId) -> Scope<'a> {
        Scope {
            pool: &self.read,
            organization,
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub async fn check(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.read).await?;
        Ok(())
    }

    /// Ends all connections once they are not in use.
    pub async fn close(&self) {
        self.write.close().await;
        self.read.close().await;
    }

    pub(crate) fn reader(&self) -> &AnyPool {
        &self.read
    }

    pub(crate) async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::Any>, StoreError> {
        Ok(self.write.begin_with(self.dialect.begin()).await?)
    }
}

/// The last of them.
pub(crate) fn newest_version() -> i64 {
    MIGRATIONS
        .iter()
        .map(|(version, ..)| *version)
        .max()
        .unwrap_or(0)
}

async fn migrate(pool: &AnyPool, dialect: Dialect) -> Result<(), StoreError> {
    let migrations = MIGRATIONS.iter().map(|&(version, name, sql)| {
        // The words in braces come from this crate.
        let sql = AssertSqlSafe(dialect.translate(sql)).into_sql_str();
        Migration::new(
            version,
            Cow::Borrowed(name),
            MigrationType::Simple,
            sql,
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
        .run(pool)
        .await?;
    Ok(())
}
