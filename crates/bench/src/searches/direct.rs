//! Searches by the databases' own means, as their manuals have them: one table, one index, whose environment is a column.

use std::path::Path;

use anyhow::Result;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};

use super::RESULTS;
use crate::corpus::{ENVIRONMENTS, documents};

/// As many connections as Bailiwick has.
const CONNECTIONS: u32 = 16;

/// FTS5 of SQLite (its section 4.4.2, "External Content Tables").
pub(super) struct Fts5(SqlitePool);

/// tsvector of PostgreSQL (its chapter 12).
pub(super) struct Tsvector(PgPool);

const INSERT: &str =
    "INSERT INTO bench_chunk (id, environment, title, headings, body) VALUES ($1, $2, $3, $4, $5)";

macro_rules! fill {
    ($pool:expr, $chunks:expr) => {{
        let mut transaction = $pool.begin().await?;
        let mut number = 0_i64;
        for (index, environment) in ENVIRONMENTS.iter().enumerate() {
            for document in documents(index, $chunks / ENVIRONMENTS.len()) {
                for (headings, body) in document.chunks {
                    number += 1;
                    let query = sqlx::query(INSERT).bind(number).bind(*environment);
                    let query = query.bind(&document.title).bind(headings).bind(body);
                    query.execute(&mut *transaction).await?;
                }
            }
        }
        transaction.commit().await?;
    }};
}

impl Fts5 {
    /// Fills a database in a new file.
    pub(super) async fn filled(file: &str, chunks: usize) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(Path::new(file))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .test_before_acquire(false);
        let pool = pool.connect_with(options).await?;
        for statement in [
            "CREATE TABLE bench_chunk (id INTEGER PRIMARY KEY, environment TEXT NOT NULL, title TEXT NOT NULL, headings TEXT NOT NULL, body TEXT NOT NULL)",
            "CREATE VIRTUAL TABLE bench_index USING fts5(title, headings, body, content='bench_chunk', content_rowid='id', tokenize='porter unicode61 remove_diacritics 2')",
        ] {
            sqlx::query(statement).execute(&pool).await?;
        }
        fill!(pool, chunks);
        for statement in [
            "INSERT INTO bench_index (bench_index) VALUES ('rebuild')",
            "INSERT INTO bench_index (bench_index) VALUES ('optimize')",
        ] {
            sqlx::query(statement).execute(&pool).await?;
        }
        Ok(Self(pool))
    }

    pub(super) async fn search(&self, question: &str) -> Result<usize> {
        let words = question.split(' ').map(|word| format!("\"{word}\""));
        let words: Vec<_> = words.collect();
        let rows = sqlx::query(
            "SELECT c.title, c.headings, snippet(bench_index, 2, '[', ']', '…', 40) AS snippet, bm25(bench_index, 8.0, 4.0, 1.0) AS score \
             FROM bench_index JOIN bench_chunk c ON c.id = bench_index.rowid WHERE bench_index MATCH $1 AND c.environment = $2 ORDER BY score LIMIT $3",
        )
        .bind(words.join(" OR "))
        .bind(ENVIRONMENTS[0])
        .bind(i64::from(RESULTS))
        .fetch_all(&self.0)
        .await?;
        Ok(rows.len())
    }
}

impl Tsvector {
    /// Fills a table of a database that has none of its name.
    pub(super) async fn filled(url: &str, chunks: usize) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .test_before_acquire(false);
        let pool = pool.connect(url).await?;
        sqlx::query(
            "CREATE TABLE bench_chunk (id BIGINT PRIMARY KEY, environment TEXT NOT NULL, title TEXT NOT NULL, headings TEXT NOT NULL, body TEXT NOT NULL, \
             words TSVECTOR GENERATED ALWAYS AS (setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', headings), 'B') || \
             to_tsvector('english', body)) STORED)",
        )
        .execute(&pool)
        .await?;
        fill!(pool, chunks);
        for statement in [
            "CREATE INDEX ON bench_chunk USING GIN (words)",
            "CREATE INDEX ON bench_chunk (environment)",
            "VACUUM ANALYZE",
        ] {
            sqlx::query(statement).execute(&pool).await?;
        }
        Ok(Self(pool))
    }

    pub(super) async fn search(&self, question: &str) -> Result<usize> {
        let words: Vec<_> = question.split(' ').collect();
        let rows = sqlx::query(
            "WITH h AS (SELECT id, ts_rank_cd(words, query) AS score FROM bench_chunk, websearch_to_tsquery('english', $1) AS query \
             WHERE words @@ query AND environment = $2 ORDER BY score DESC LIMIT $3) \
             SELECT c.title, c.headings, ts_headline('english', c.body, websearch_to_tsquery('english', $1), 'MaxWords=40, MinWords=20') AS snippet, h.score \
             FROM h JOIN bench_chunk c ON c.id = h.id ORDER BY h.score DESC",
        )
        .bind(words.join(" OR "))
        .bind(ENVIRONMENTS[0])
        .bind(i64::from(RESULTS))
        .fetch_all(&self.0)
        .await?;
        Ok(rows.len())
    }
}
