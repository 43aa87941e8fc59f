//! The least that answers with rows of a database: axum, sqlx's own driver of it, and the keys in memory.
//!
//! Who asks is looked up, a row is read by its id, and written as JSON: nothing is counted, logged or decided.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::protocol::Answering;
use crate::worker;

/// As many connections as Bailiwick has.
const CONNECTIONS: u32 = 16;
/// As many rows as Bailiwick is asked for.
const ROWS: i64 = 1000;
/// Whose rows they are.
const ORGANIZATION: &str = "org_1111111111111111111111";
/// What an environment of Bailiwick has.
const CONFIG: &str = r#"{"type":"cloud","networking":{"type":"unrestricted"},"packages":{"type":"packages","apt":[],"cargo":[],"gem":[],"go":[],"npm":[],"pip":[]}}"#;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Makes a database here.
    #[arg(long, value_name = "FILE", required_unless_present = "postgres")]
    sqlite: Option<PathBuf>,
    /// Makes a table here.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// The one key that there is.
    #[arg(long)]
    key: String,
}

/// One of the two.
#[derive(Debug, Clone)]
enum Database {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

#[derive(Debug)]
struct Service {
    database: Database,
    /// Whose each key is.
    keys: HashMap<String, String>,
}

type Row = (
    String,
    String,
    Option<String>,
    String,
    String,
    i64,
    i64,
    Option<i64>,
);

#[derive(Debug, Serialize)]
struct Answer {
    id: String,
    r#type: &'static str,
    name: String,
    description: Option<String>,
    config: Box<RawValue>,
    metadata: Box<RawValue>,
    created_at: i64,
    updated_at: i64,
    archived_at: Option<i64>,
}

/// Serves until standard input ends; the first line on standard output says where.
pub(crate) fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let answering = runtime.block_on(start(args))?;
    worker::say(&answering)?;
    worker::wait_for_end()
}

async fn start(args: &Args) -> Result<Answering> {
    let database = match (&args.sqlite, &args.postgres) {
        (Some(file), _) => Database::sqlite(file).await?,
        (None, url) => Database::postgres(url.as_deref().unwrap_or_default()).await?,
    };
    database.fill().await?;
    let service = Arc::new(Service {
        database,
        keys: HashMap::from([(args.key.clone(), ORGANIZATION.to_owned())]),
    });
    let constant = service
        .database
        .row(ORGANIZATION, &id(1))
        .await?
        .map(answer)
        .transpose()?;
    let constant = serde_json::to_string(&constant)?;
    let routes = Router::new()
        .route("/rows/{id}", get(read))
        .with_state(service)
        .route(
            "/constant",
            get(|Extension(text): Extension<Arc<str>>| async move { text.to_string() }),
        )
        .layer(Extension::<Arc<str>>(constant.into()));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(Answering {
        address,
        paths: (1..=ROWS)
            .map(|number| format!("/rows/{}", id(number)))
            .collect(),
    })
}

async fn read(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Answer>, StatusCode> {
    let key = headers
        .get("x-api-key")
        .and_then(|value| value.to_str().ok());
    let organization = key.and_then(|key| service.keys.get(key));
    let organization = organization.ok_or(StatusCode::UNAUTHORIZED)?;
    let row = service.database.row(organization, &id).await;
    let row = row.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let answer = answer(row.ok_or(StatusCode::NOT_FOUND)?);
    answer
        .map(Json)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

fn answer(row: Row) -> serde_json::Result<Answer> {
    let (id, name, description, config, metadata, created_at, updated_at, archived_at) = row;
    Ok(Answer {
        id,
        r#type: "environment",
        name,
        description,
        config: RawValue::from_string(config)?,
        metadata: RawValue::from_string(metadata)?,
        created_at,
        updated_at,
        archived_at,
    })
}

fn id(number: i64) -> String {
    format!("env_{number:022}")
}

impl Database {
    async fn sqlite(file: &std::path::Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .test_before_acquire(false);
        Ok(Self::Sqlite(pool.connect_with(options).await?))
    }

    async fn postgres(url: &str) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .test_before_acquire(false);
        Ok(Self::Postgres(pool.connect(url).await?))
    }

    async fn fill(&self) -> Result<()> {
        const TABLE: &str = "CREATE TABLE IF NOT EXISTS bench_row (id TEXT PRIMARY KEY, organization_id TEXT NOT NULL, name TEXT NOT NULL, description TEXT, \
             config TEXT NOT NULL, metadata TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, archived_at BIGINT)";
        const INSERT: &str = "INSERT INTO bench_row (id, organization_id, name, config, metadata, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, '{}', $5, $5) ON CONFLICT DO NOTHING";
        macro_rules! fill {
            ($pool:expr) => {{
                let mut transaction = $pool.begin().await?;
                sqlx::query(TABLE).execute(&mut *transaction).await?;
                for number in 1..=ROWS {
                    let query = sqlx::query(INSERT).bind(id(number)).bind(ORGANIZATION);
                    let query = query.bind(format!("bench-{number}")).bind(CONFIG);
                    query.bind(number).execute(&mut *transaction).await?;
                }
                transaction.commit().await?;
            }};
        }
        match self {
            Self::Sqlite(pool) => fill!(pool),
            Self::Postgres(pool) => fill!(pool),
        }
        Ok(())
    }

    async fn row(&self, organization: &str, id: &str) -> sqlx::Result<Option<Row>> {
        const SELECT: &str = "SELECT id, name, description, config, metadata, created_at, updated_at, archived_at FROM bench_row \
             WHERE organization_id = $1 AND id = $2";
        match self {
            Self::Sqlite(pool) => {
                let query = sqlx::query_as(SELECT).bind(organization).bind(id);
                query.fetch_optional(pool).await
            }
            Self::Postgres(pool) => {
                let query = sqlx::query_as(SELECT).bind(organization).bind(id);
                query.fetch_optional(pool).await
            }
        }
    }
}
