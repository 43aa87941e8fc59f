//! What refers to an environment.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bailiwick_model::EnvironmentId;
use jiff::Timestamp;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::error::StoreError;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::Scope;

/// Each kind with its word, whether the environment's policy holds for it (1) or not (0), and the rows that refer to the environment `$2`
/// of the organization `$1` at the moment `$3`: their column `id` names them. A new kind is one more line.
macro_rules! references {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $governed:literal, $rows:literal;)+) => {
        /// What something is that refers to an environment.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(into = "&'static str")]
        pub enum ReferenceKind {
            $($(#[$doc])* $name,)+
        }

        impl ReferenceKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// A stable word.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }

        /// The references after the kind `$5` and the id `$6`, at most `$7`, and only the governed ones where `$4` is 1.
        const LIST: &str = concat!(
            "SELECT kind, id FROM (SELECT '' AS kind, 0 AS governed, id FROM environment WHERE 1 = 0",
            $(" UNION ALL SELECT '", $word, "' AS kind, ", $governed, " AS governed, id FROM ", $rows,)+
            ") r WHERE governed >= $4 AND (kind > $5 OR (kind = $5 AND id > $6)) ORDER BY kind, id LIMIT $7"
        );

        /// How many there are of each kind, only the governed ones where `$4` is 1.
        const COUNT: &str = concat!(
            "SELECT kind, COUNT(*) AS many FROM (SELECT '' AS kind, 0 AS governed, id FROM environment WHERE 1 = 0",
            $(" UNION ALL SELECT '", $word, "' AS kind, ", $governed, " AS governed, id FROM ", $rows,)+
            ") r WHERE governed >= $4 GROUP BY kind"
        );
    };
}

references! {
    /// An agent that was placed there, archived or not.
    Agent = "agent", 1, "agent WHERE organization_id = $1 AND environment_id = $2";
    /// A key of its workers that is still taken. Those that are not refer to nothing any more, and go with the environment.
    EnvironmentKey = "environment_key", 0,
        "api_key WHERE organization_id = $1 AND environment_id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)";
    /// The right of a member or a team to deploy to it.
    Grant = "grant", 0, "deploy_grant WHERE organization_id = $1 AND environment_id = $2";
    /// A knowledge connector there.
    KnowledgeConnector = "knowledge_connector", 1, "knowledge_connector WHERE organization_id = $1 AND environment_id = $2";
    /// A limit for it, or that counts there alone.
    Limit = "limit", 0, "spend_limit WHERE organization_id = $1 AND (environment_id = $2 OR entity_id = $2)";
    /// A proxy there.
    LlmProxy = "llm_proxy", 1, "llm_proxy WHERE organization_id = $1 AND environment_id = $2";
    /// An MCP server of the catalog there.
    McpCatalogEntry = "mcp_catalog_entry", 1, "mcp_catalog_entry WHERE organization_id = $1 AND environment_id = $2";
    /// A gateway there.
    McpGateway = "mcp_gateway", 1, "mcp_gateway WHERE organization_id = $1 AND environment_id = $2";
    /// A session there, archived or not. It keeps the policy that held when it was made.
    Session = "session", 0, "session WHERE organization_id = $1 AND environment_id = $2";
}

/// One thing that refers to an environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reference {
    /// What it is.
    pub kind: ReferenceKind,
    /// Which one.
    pub id: String,
}

/// How many there are of each kind; those that there are none of are left out.
pub type ReferenceCounts = BTreeMap<ReferenceKind, i64>;

/// Which references are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceFilter {
    /// All of them.
    All,
    /// Only what the environment's policy holds for.
    Governed,
}

/// Neither a reference nor where a page of references ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no reference")]
pub struct NotAReference(pub String);

impl ReferenceFilter {
    fn least(self) -> i64 {
        match self {
            Self::All => 0,
            Self::Governed => 1,
        }
    }
}

impl From<ReferenceKind> for &'static str {
    fn from(kind: ReferenceKind) -> Self {
        kind.as_str()
    }
}

impl FromStr for ReferenceKind {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        let found = Self::ALL.iter().find(|known| known.as_str() == text);
        found.copied().ok_or_else(|| NotAReference(text.to_owned()))
    }
}

/// `KIND.ID`, which names it in cursors.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind.as_str(), self.id)
    }
}

impl FromStr for Reference {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        let (kind, id) = text
            .split_once('.')
            .ok_or_else(|| NotAReference(text.to_owned()))?;
        Ok(Self {
            kind: kind.parse()?,
            id: id.to_owned(),
        })
    }
}

impl Reference {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            kind: kind(row)?,
            id: row.value("id")?,
        })
    }
}

fn kind(row: &AnyRow) -> Result<ReferenceKind, StoreError> {
    let corrupt = |_| StoreError::Corrupt { column: "kind" };
    row.value::<String>("kind")?.parse().map_err(corrupt)
}

async fn list<'e>(
    executor: impl Executor<'e, Database = Any>,
    (organization, environment): (String, &EnvironmentId),
    at: Timestamp,
    filter: ReferenceFilter,
    page: &PageRequest<Reference>,
) -> Result<Page<Reference, Reference>, StoreError> {
    let (kind, id) = match &page.before {
        Some(last) => (last.kind.as_str(), last.id.as_str()),
        None => ("", ""),
    };
    let rows = sqlx::query(LIST)
        .bind(organization)
        .bind(environment.to_string())
        .bind(at.as_microsecond())
        .bind(filter.least())
        .bind(kind.to_owned())
        .bind(id.to_owned())
        .bind(page.rows())
        .fetch_all(executor)
        .await?;
    let items = rows.iter().map(Reference::read).collect::<Result<_, _>>()?;
    Ok(Page::of(items, page, Reference::clone))
}

async fn count<'e>(
    executor: impl Executor<'e, Database = Any>,
    (organization, environment): (String, &EnvironmentId),
    at: Timestamp,
    filter: ReferenceFilter,
) -> Result<ReferenceCounts, StoreError> {
    let rows = sqlx::query(COUNT)
        .bind(organization)
        .bind(environment.to_string())
        .bind(at.as_microsecond())
        .bind(filter.least())
        .fetch_all(executor)
        .await?;
    let pair = |row: &AnyRow| Ok((kind(row)?, row.value("many")?));
    rows.iter().map(pair).collect()
}

impl Scope<'_> {
    /// What refers to an environment at this moment, by kind and id. `before` of the page is the last one of the page before it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn references(
        &self,
        environment: &EnvironmentId,
        at: Timestamp,
        filter: ReferenceFilter,
        page: &PageRequest<Reference>,
    ) -> Result<Page<Reference, Reference>, StoreError> {
        let whose = (self.organization.to_string(), environment);
        list(self.pool, whose, at, filter, page).await
    }

    /// How much refers to an environment at this moment.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn reference_counts(
        &self,
        environment: &EnvironmentId,
        at: Timestamp,
        filter: ReferenceFilter,
    ) -> Result<ReferenceCounts, StoreError> {
        let whose = (self.organization.to_string(), environment);
        count(self.pool, whose, at, filter).await
    }
}

impl Change {
    /// As [`Scope::references`], as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn references(
        &mut self,
        environment: &EnvironmentId,
        page: &PageRequest<Reference>,
    ) -> Result<Page<Reference, Reference>, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.at());
        let whose = (organization, environment);
        list(self.connection(), whose, at, ReferenceFilter::All, page).await
    }

    /// As [`Scope::reference_counts`], as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn reference_counts(
        &mut self,
        environment: &EnvironmentId,
    ) -> Result<ReferenceCounts, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.at());
        let whose = (organization, environment);
        count(self.connection(), whose, at, ReferenceFilter::All).await
    }
}
