//! Rows by the million, put into a server's database behind its back.

use anyhow::{Context, Result};
use sqlx::{AnyConnection, Connection as _, Row as _};

/// Rows of one statement, whose journal must not fill the disk.
const BATCH: i64 = 250_000;
/// What an environment of the wire has; half of them have a policy of their own.
const CONFIG: &str = r#"{"type":"cloud","networking":{"type":"limited","allowed_hosts":["api.example.com"],"allow_mcp_servers":false,"allow_package_managers":true},"packages":{"type":"packages","apt":[],"cargo":[],"gem":[],"go":[],"npm":[],"pip":["numpy==2.3.0"]}}"#;
const INHERITING: &str = r#"{"type":"cloud","packages":{"type":"packages","apt":[],"cargo":[],"gem":[],"go":[],"npm":[],"pip":["numpy==2.3.0"]}}"#;
/// What the audit log keeps of a change.
const EVIDENCE: &str = r#"{"name":"bench","description":null,"restricted":false,"namespace":null,"config":{"type":"cloud"},"metadata":{},"version":1,"archived":false}"#;

/// What the two databases say differently: numbers from $1 to $2, and one of them with 22 digits.
struct Statements {
    environments: &'static str,
    revisions: &'static str,
    entries: &'static str,
    /// So that the first queries are planned as all others.
    afterwards: &'static [&'static str],
}

macro_rules! statements {
    (numbers: $with:literal, $from:literal, id: $id:literal, hash: $hash:literal, afterwards: $afterwards:expr) => {
        Statements {
            environments: concat!(
                "INSERT INTO environment (id, organization_id, name, name_key, is_default, restricted, config, metadata, version, created_at, updated_at) ",
                $with, " SELECT 'env_' || ", $id, ", $3, 'bench-' || i, 'bench-' || i, 0, 0, CASE WHEN i % 2 = 0 THEN $4 ELSE $5 END, '{}', 1, i, i ", $from
            ),
            revisions: concat!(
                "INSERT INTO environment_revision (environment_id, number, config, created_at) ",
                $with, " SELECT 'env_' || ", $id, ", 1, CASE WHEN i % 2 = 0 THEN $3 ELSE $4 END, i ", $from
            ),
            entries: concat!(
                "INSERT INTO audit_entry (organization_id, sequence, at, actor_kind, actor_id, address, action, resource_kind, resource_id, before_change, after_change, hash) ",
                $with, " SELECT $3, i, i, 'user', 'user_1111111111111111111111', '192.0.2.1', 'environment.update', 'environment', 'env_' || ", $id, ", $4, $4, ", $hash, " ", $from
            ),
            afterwards: $afterwards,
        }
    };
}

const SQLITE: Statements = statements! {
    numbers: "WITH RECURSIVE n (i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)", "FROM n",
    id: "replace(printf('%022d', i), '0', 'A')",
    hash: "randomblob(32)",
    afterwards: &["PRAGMA wal_checkpoint(TRUNCATE)"]
};
const POSTGRES: Statements = statements! {
    numbers: "", "FROM generate_series($1::bigint, $2::bigint) AS n (i)",
    id: "replace(lpad(i::text, 22, '0'), '0', 'A')",
    hash: "sha256(i::text::bytea)",
    afterwards: &["VACUUM ANALYZE", "CHECKPOINT"]
};

/// The id of the environment with this number: its digits are of an id, and sort nearly as it.
pub(crate) fn environment_id(number: i64) -> String {
    format!("env_{number:022}").replace('0', "A")
}

/// Adds so many environments, numbered from 1, and so many entries of the audit log, whose hashes fit nothing.
pub(crate) async fn fill(url: &str, environments: i64, entries: i64) -> Result<()> {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url).await?;
    let is_sqlite = url.starts_with("sqlite:");
    let statements = if is_sqlite { SQLITE } else { POSTGRES };
    if is_sqlite {
        for pragma in ["PRAGMA busy_timeout = 60000", "PRAGMA synchronous = OFF"] {
            sqlx::query(pragma).execute(&mut connection).await?;
        }
    }
    let organization = sqlx::query("SELECT id, audit_sequence FROM organization")
        .fetch_optional(&mut connection)
        .await?
        .context("the server has made no organization")?;
    let (id, sequence): (String, i64) = (organization.try_get(0)?, organization.try_get(1)?);
    for (first, last) in batches(1, environments) {
        sqlx::query(statements.environments)
            .bind(first)
            .bind(last)
            .bind(id.clone())
            .bind(CONFIG)
            .bind(INHERITING)
            .execute(&mut connection)
            .await?;
        sqlx::query(statements.revisions)
            .bind(first)
            .bind(last)
            .bind(CONFIG)
            .bind(INHERITING)
            .execute(&mut connection)
            .await?;
    }
    for (first, last) in batches(sequence + 1, sequence + entries) {
        sqlx::query(statements.entries)
            .bind(first)
            .bind(last)
            .bind(id.clone())
            .bind(EVIDENCE)
            .execute(&mut connection)
            .await?;
    }
    sqlx::query("UPDATE organization SET audit_sequence = $1 WHERE id = $2")
        .bind(sequence + entries)
        .bind(id)
        .execute(&mut connection)
        .await?;
    for statement in statements.afterwards {
        sqlx::query(*statement).execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

fn batches(first: i64, last: i64) -> impl Iterator<Item = (i64, i64)> {
    let starts = (first..=last).step_by(usize::try_from(BATCH).unwrap_or(1));
    starts.map(move |start| (start, last.min(start + BATCH - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_everything_once() {
        let all: Vec<_> = batches(5, 5 + BATCH).collect();
        assert_eq!(all, [(5, 4 + BATCH), (5 + BATCH, 5 + BATCH)]);
        assert_eq!(batches(1, 0).count(), 0);
    }

    #[test]
    fn ids_are_ids() {
        use bailiwick_model::EnvironmentId;
        for number in [1, 10, 1_000_000] {
            environment_id(number).parse::<EnvironmentId>().unwrap();
        }
    }
}
