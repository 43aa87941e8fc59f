//! The same facts on SQLite and on PostgreSQL.

mod agents;
mod audit;
mod changes;
mod environments;
mod files;
mod flows;
mod keys;
mod knowledge;
mod notices;
mod session_events;
mod sessions;
mod vaults;
mod versions;
mod work;

use bailiwick_model::{EnvironmentId, OrganizationId, ResourceId};
use bailiwick_store::{
    AuditEvent, DatabaseUrl, EnvironmentValues, NewEnvironment, NewOrganization, Store,
};
use bailiwick_testkit::Postgres;
use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;

/// A database with one organization.
struct Place {
    store: Store,
    organization: OrganizationId,
    url: DatabaseUrl,
    _directory: TempDir,
    _server: Option<Postgres>,
}

impl Place {
    async fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        Self::at(url, directory, None).await
    }

    async fn postgres() -> Self {
        let server = Postgres::start();
        let url = format!("postgres://postgres@{}/postgres", server.address());
        let directory = tempfile::tempdir().expect("a directory");
        Self::at(url.parse().expect("a URL"), directory, Some(server)).await
    }

    async fn at(url: DatabaseUrl, directory: TempDir, server: Option<Postgres>) -> Self {
        let store = Store::open(&url).await.expect("a store");
        let organization = organization(&store, "Example").await;
        Self {
            store,
            organization,
            url,
            _directory: directory,
            _server: server,
        }
    }

    async fn environment(&self, name: &str) -> bailiwick_store::Environment {
        let mut change = self.change().await;
        let made = change.insert_environment(new(name)).await.expect("made");
        change
            .commit(&event("environment.create"))
            .await
            .expect("committed");
        made
    }

    /// What somebody does who can write to the database; how many rows it touches.
    async fn execute(&self, sql: &str) -> u64 {
        let url = match &self.url {
            DatabaseUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
            DatabaseUrl::Postgres(url) => url.clone(),
        };
        let pool = sqlx::AnyPool::connect(&url).await.expect("connections");
        let done = sqlx::query(AssertSqlSafe(sql.to_owned()))
            .execute(&pool)
            .await
            .expect("it is done");
        pool.close().await;
        done.rows_affected()
    }

    async fn change(&self) -> bailiwick_store::Change {
        self.store
            .change(&self.organization, now())
            .await
            .expect("a change")
    }
}

/// A moment that the database keeps as it is.
fn now() -> Timestamp {
    Timestamp::from_microsecond(Timestamp::now().as_microsecond()).expect("a moment of today")
}

async fn organization(store: &Store, name: &str) -> OrganizationId {
    let id: OrganizationId = fresh();
    let mut change = store.change(&id, Timestamp::now()).await.expect("a change");
    change
        .insert_organization(&NewOrganization { name, floor: "{}" })
        .await
        .expect("an organization");
    change
        .commit(&event("organization.create"))
        .await
        .expect("committed");
    id
}

fn new(name: &str) -> NewEnvironment {
    NewEnvironment {
        id: fresh::<EnvironmentId>(),
        is_default: false,
        values: values(name),
    }
}

fn values(name: &str) -> EnvironmentValues {
    EnvironmentValues {
        name: name.to_owned(),
        description: None,
        restricted: false,
        namespace: None,
        config: r#"{"type":"cloud"}"#.to_owned(),
        metadata: "{}".to_owned(),
    }
}

fn event(action: &str) -> AuditEvent<'_> {
    AuditEvent {
        actor_kind: "system",
        actor_id: "test",
        address: None,
        action,
        resource_kind: "environment",
        resource_id: "env",
        before: None,
        after: Some("{}".to_owned()),
    }
}

fn fresh<I: ResourceId>() -> I {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut random = [0; 10];
    random[2..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    I::made(1_795_000_000_000, random)
}

/// Each fact, once for each database.
macro_rules! on_both {
    ($($fact:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $fact() {
                super::$fact(crate::Place::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $fact() {
                super::$fact(crate::Place::postgres().await).await;
            })+
        }
    };
}
pub(crate) use on_both;
