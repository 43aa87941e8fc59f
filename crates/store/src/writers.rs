//! Connections that write.

use sqlx::any::{AnyPoolOptions, AnyQueryResult};
use sqlx::{Any, AnyPool, Execute, Executor as _};
use tracing::Instrument as _;

use crate::checkpoints::Checkpoints;
use crate::dialect::{DatabaseUrl, Dialect};
use crate::error::StoreError;
use crate::patience::{PATIENCE, patiently, traced};
use crate::together::{Company, Together};
use crate::transaction::Transaction;

/// Of PostgreSQL, at the same time.
const WRITERS: u32 = 16;

/// They wait for each other where they must: SQLite has one writer.
#[derive(Debug, Clone)]
pub(crate) enum Writers {
    Sqlite(Together),
    Postgres(AnyPool),
}

impl Writers {
    pub(crate) async fn open(url: &DatabaseUrl) -> sqlx::Result<Self> {
        Ok(match url.dialect() {
            Dialect::Sqlite => {
                let pool = pool(url, 1).await?;
                let checkpoints = Checkpoints::begin(url.as_text().parse()?);
                Self::Sqlite(Together::new(pool, checkpoints))
            }
            Dialect::Postgres => Self::Postgres(pool(url, WRITERS).await?),
        })
    }

    /// The connections themselves, while nobody writes.
    pub(crate) fn pool(&self) -> &AnyPool {
        match self {
            Self::Sqlite(together) => together.pool(),
            Self::Postgres(pool) => pool,
        }
    }

    pub(crate) async fn begin(&self, company: Company) -> Result<Transaction, StoreError> {
        let begun = async {
            Ok(match self {
                Self::Sqlite(together) => Transaction::Part(together.begin(company).await?),
                Self::Postgres(pool) => Transaction::Whole(pool.begin().await?),
            })
        };
        let span = traced(self.dialect().name(), "begin");
        Ok(patiently(begun).instrument(span).await?)
    }

    /// Executes one statement by itself.
    pub(crate) async fn execute<'q, E>(&self, statement: E) -> Result<AnyQueryResult, StoreError>
    where
        E: 'q + Execute<'q, Any>,
    {
        match self {
            Self::Sqlite(_) => {
                let mut transaction = self.begin(Company::Shared).await?;
                let done = transaction.connection().execute(statement).await?;
                transaction.commit().await?;
                Ok(done)
            }
            Self::Postgres(pool) => Ok(patiently(pool.execute(statement)).await?),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(together) => together.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }

    fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }
}

async fn pool(url: &DatabaseUrl, most: u32) -> sqlx::Result<AnyPool> {
    let dialect = url.dialect();
    let options = AnyPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(dialect == Dialect::Postgres)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                for statement in dialect
                    .on_connect()
                    .iter()
                    .chain(dialect.on_connect_to_write())
                {
                    sqlx::query(*statement).execute(&mut *connection).await?;
                }
                Ok(())
            })
        });
    options.connect(&url.as_text()).await
}
