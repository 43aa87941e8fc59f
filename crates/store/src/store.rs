//! The connection pools, and the way to an organization's things.

use std::borrow::Cow;

use bailiwick_model::OrganizationId;
use rustix::process::{Resource, getrlimit};
use sqlx::any::AnyQueryResult;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, AssertSqlSafe, Execute, SqlSafeStr};

use crate::dialect::{DatabaseUrl, Dialect};
use crate::error::StoreError;
use crate::private_file::keep_private;
use crate::readers::Readers;
use crate::together::Company;
use crate::transaction::Transaction;
use crate::writers::Writers;

/// That read, at the same time.
const READERS: u32 = 16;
/// For so many files that the process may open there is one of them: a connection to SQLite has two open, and clients want theirs.
const FILES_OF_A_READER: u64 = 8;

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
    (
        7,
        "governance",
        include_str!("../migrations/0007_governance.sql"),
    ),
    (8, "events", include_str!("../migrations/0008_events.sql")),
    (9, "engine", include_str!("../migrations/0009_engine.sql")),
    (
        10,
        "revisions",
        include_str!("../migrations/0010_revisions.sql"),
    ),
    (
        11,
        "accounts",
        include_str!("../migrations/0011_accounts.sql"),
    ),
    (
        12,
        "model_upstreams",
        include_str!("../migrations/0012_model_upstreams.sql"),
    ),
    (
        13,
        "session sandboxes",
        include_str!("../migrations/0013_session_sandboxes.sql"),
    ),
    (14, "flows", include_str!("../migrations/0014_flows.sql")),
    (
        15,
        "flow ids",
        include_str!("../migrations/0015_flow_ids.sql"),
    ),
    (
        16,
        "body injection",
        include_str!("../migrations/0016_body_injection.sql"),
    ),
    (
        17,
        "environment bases",
        include_str!("../migrations/0017_environment_bases.sql"),
    ),
    (18, "spend", include_str!("../migrations/0018_spend.sql")),
    (
        19,
        "mcp gateways",
        include_str!("../migrations/0019_mcp_gateways.sql"),
    ),
    (
        20,
        "knowledge",
        include_str!("../migrations/0020_knowledge.sql"),
    ),
    (21, "oauth", include_str!("../migrations/0021_oauth.sql")),
    (
        22,
        "limit alerts",
        include_str!("../migrations/0022_limit_alerts.sql"),
    ),
];

/// A database whose tables are of this version.
#[derive(Debug, Clone)]
pub struct Store {
    read: Readers,
    write: Writers,
    dialect: Dialect,
    url: DatabaseUrl,
}

/// The things of one organization, to read.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    pub(crate) pool: &'a Readers,
    pub(crate) dialect: Dialect,
    pub(crate) organization: &'a OrganizationId,
}

/// How many connections may read.
fn readers(dialect: Dialect) -> u32 {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    match dialect {
        Dialect::Postgres => READERS,
        Dialect::Sqlite => u32::try_from(files / FILES_OF_A_READER)
            .map_or(READERS, |readers| readers.clamp(1, READERS)),
    }
}

impl Store {
    /// Connects, and brings the tables to this version. Of several processes that do so at once on PostgreSQL one works and the others wait.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Migration`] and [`StoreError::OpenFile`].
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        if let DatabaseUrl::Sqlite(path) = url {
            keep_private(path)?;
        }
        let dialect = url.dialect();
        let write = Writers::open(url).await?;
        migrate(write.pool(), dialect, MIGRATIONS).await?;
        let options = url.as_text().parse()?;
        Ok(Self {
            read: Readers::new(options, dialect, readers(dialect)),
            write,
            dialect,
            url: url.clone(),
        })
    }

    /// The things of one organization.
    pub fn scope<'a>(&'a self, organization: &'a OrganizationId) -> Scope<'a> {
        Scope {
            pool: &self.read,
            dialect: self.dialect,
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

    pub(crate) fn reader(&self) -> &Readers {
        &self.read
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// For a connection that hears notices.
    pub(crate) fn postgres_url(&self) -> Option<&str> {
        match &self.url {
            DatabaseUrl::Sqlite(_) => None,
            DatabaseUrl::Postgres(url) => Some(url),
        }
    }

    pub(crate) async fn begin(&self) -> Result<Transaction, StoreError> {
        self.write.begin(Company::Alone).await
    }

    /// Begins a transaction that goes to the disk with others: of what it sees of theirs, those who read see nothing yet.
    pub(crate) async fn begin_shared(&self) -> Result<Transaction, StoreError> {
        self.write.begin(Company::Shared).await
    }

    /// Executes one statement by itself.
    pub(crate) async fn execute<'q, E>(&self, statement: E) -> Result<AnyQueryResult, StoreError>
    where
        E: 'q + Execute<'q, Any>,
    {
        self.write.execute(statement).await
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

async fn migrate(
    pool: &AnyPool,
    dialect: Dialect,
    migrations: &[(i64, &'static str, &'static str)],
) -> Result<(), StoreError> {
    let migrations = migrations.iter().map(|&(version, name, sql)| {
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
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // A later version may have added something: beside it, and after it was taken back, this one still runs.
    migrator.set_ignore_missing(true);
    migrator.run(pool).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::*;

    #[tokio::test]
    async fn every_connection_of_sqlite_waits_for_the_disk_and_only_one_writes() {
        let directory = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        let store = Store::open(&url).await.unwrap();
        for (pragma, value) in [("PRAGMA synchronous", 2_i64), ("PRAGMA foreign_keys", 1)] {
            let read = sqlx::query(pragma).fetch_one(&store.read).await;
            let written = sqlx::query(pragma).fetch_one(store.write.pool()).await;
            for row in [read, written] {
                assert_eq!(row.unwrap().get::<i64, _>(0), value, "{pragma}");
            }
        }
        let mode = sqlx::query("PRAGMA journal_mode").fetch_one(&store.read);
        assert_eq!(mode.await.unwrap().get::<String, _>(0), "wal");
        let statement = "DELETE FROM audit_entry";
        let refused = sqlx::query(statement).execute(&store.read).await;
        assert!(refused.unwrap_err().to_string().contains("readonly"));
        sqlx::query(statement)
            .execute(store.write.pool())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn an_account_of_a_version_before_is_its_organizations_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        sqlx::any::install_default_drivers();
        let pool = Writers::open(&url).await.unwrap().pool().clone();
        let before: Vec<_> = MIGRATIONS
            .iter()
            .copied()
            .filter(|one| one.0 < 11)
            .collect();
        migrate(&pool, Dialect::Sqlite, &before).await.unwrap();
        let [organization, role, ann, gone] = ["org_", "role_", "user_", "user_"]
            .into_iter()
            .zip(["a", "a", "a", "b"])
            .map(|(prefix, end)| format!("{prefix}{}{end}", "1".repeat(21)))
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        for statement in [
            format!(
                "INSERT INTO organization VALUES ('{organization}', 'O', 'o', NULL, '{{}}', 0, x'00', 1, 0, 0, NULL, NULL, NULL, 0, NULL)"
            ),
            format!(
                "INSERT INTO role VALUES ('{role}', '{organization}', 'r', 'r', 0, '[]', 1, 0)"
            ),
            format!(
                "INSERT INTO user_account VALUES ('{ann}', 'Ann@x.y', 'ann@x.y', 'Ann', 'hash', 0, NULL)"
            ),
            format!(
                "INSERT INTO user_account VALUES ('{gone}', 'gone@x.y', 'gone@x.y', 'Gone', 'hash', 0, NULL)"
            ),
            format!("INSERT INTO member VALUES ('{organization}', '{ann}', '{role}', 0)"),
        ] {
            let done = sqlx::query(AssertSqlSafe(statement)).execute(&pool).await;
            done.unwrap();
        }
        pool.close().await;
        let store = Store::open(&url).await.unwrap();
        let found = store.sign_in("ANN@x.y", None).await.unwrap().unwrap();
        assert_eq!(found.user.to_string(), ann);
        assert_eq!(found.organization.to_string(), organization);
        assert_eq!(found.password_hash.as_deref(), Some("hash"));
        assert!(store.sign_in("gone@x.y", None).await.unwrap().is_none());
    }
}
