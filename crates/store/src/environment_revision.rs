//! Revisions of environments: what one was after each change, when, and by whom.

use bailiwick_model::EnvironmentId;
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::audit::AuditEvent;
use crate::environment::{Environment, EnvironmentValues};
use crate::error::StoreError;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::Scope;
use crate::transaction::Transaction;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT r.number, r.name, r.description, r.restricted, r.namespace, r.config, r.metadata, r.archived, r.actor_kind, r.actor_id, \
             r.created_at FROM environment_revision r JOIN environment e ON e.id = r.environment_id \
             WHERE e.organization_id = $1 AND r.environment_id = $2 ",
            $rest
        )
    };
}

/// An environment at one of its revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentRevision {
    /// From 1.
    pub number: i64,
    /// As the wire writes it, with the extensions.
    pub config: String,
    /// The rest; not known of one that was made before this was kept.
    pub rest: Option<RevisionRest>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What of a revision is not its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRest {
    /// What people called it.
    pub name: String,
    /// What it was for.
    pub description: Option<String>,
    /// Whether it took a right of its own to assign resources to it.
    pub restricted: bool,
    /// Its Kubernetes namespace.
    pub namespace: Option<String>,
    /// Free pairs, as a JSON object.
    pub metadata: String,
    /// Whether it was archived.
    pub archived: bool,
    /// Who made it, as in [`AuditEvent`].
    pub actor_kind: String,
    /// Which one.
    pub actor_id: String,
}

impl EnvironmentRevision {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let name = row.value::<Option<String>>("name")?;
        let rest = |name| {
            Ok::<_, StoreError>(RevisionRest {
                name,
                description: row.value("description")?,
                restricted: row.flag("restricted")?,
                namespace: row.value("namespace")?,
                metadata: row.value("metadata")?,
                archived: row.flag("archived")?,
                actor_kind: row.value("actor_kind")?,
                actor_id: row.value("actor_id")?,
            })
        };
        Ok(Self {
            number: row.value("number")?,
            config: row.value("config")?,
            rest: name.map(rest).transpose()?,
            created_at: row.time("created_at")?,
        })
    }
}

impl Scope<'_> {
    /// Revisions of an environment, the newest first, and the one before the last of them. Pages are bounded by numbers.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn environment_revisions(
        &self,
        id: &EnvironmentId,
        page: &PageRequest<i64>,
    ) -> Result<(Page<EnvironmentRevision, i64>, Option<EnvironmentRevision>), StoreError> {
        let rows = sqlx::query(select!("AND r.number < $3 ORDER BY r.number DESC LIMIT $4"))
            .bind(self.organization.to_string())
            .bind(id.to_string())
            .bind(page.before.unwrap_or(i64::MAX))
            .bind(page.rows())
            .fetch_all(self.pool)
            .await?;
        let read = rows.iter().map(EnvironmentRevision::read);
        let items = read.collect::<Result<Vec<_>, _>>()?;
        let before = items.get(page.limit as usize).cloned();
        let page = Page::of(items, page, |revision: &EnvironmentRevision| {
            revision.number
        });
        Ok((page, before))
    }
}

/// Keeps what an environment became by a change that is entered as this event.
pub(crate) async fn insert(
    transaction: &mut Transaction,
    environment: &Environment,
    at: i64,
    event: &AuditEvent<'_>,
) -> Result<(), StoreError> {
    let EnvironmentValues {
        name,
        description,
        restricted,
        namespace,
        config,
        metadata,
    } = environment.values.clone();
    sqlx::query(
        "INSERT INTO environment_revision (environment_id, number, config, created_at, name, description, restricted, namespace, metadata, \
         archived, actor_kind, actor_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(environment.id.to_string())
    .bind(environment.version)
    .bind(config)
    .bind(at)
    .bind(name)
    .bind(description)
    .bind(i64::from(restricted))
    .bind(namespace)
    .bind(metadata)
    .bind(i64::from(environment.archived_at.is_some()))
    .bind(event.actor_kind.to_owned())
    .bind(event.actor_id.to_owned())
    .execute(transaction.connection())
    .await?;
    Ok(())
}
