//! Statements that do not wait for ever, for a database that neither answers nor goes away.

use std::future::Future;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::{Any, AnyConnection, Either, Execute, Executor, SqlStr};

use crate::error::StoreError;

/// How long a query may wait for a connection, and how long for its answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What a statement answers with.
type Step = Either<AnyQueryResult, AnyRow>;

/// Gives up after [`PATIENCE`].
pub(crate) async fn patiently<T>(answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let answered = tokio::time::timeout(PATIENCE, answer).await;
    answered.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// All that a statement answers with, taken at once.
pub(crate) fn steps<'e>(
    answer: impl Future<Output = sqlx::Result<Vec<Step>>> + Send + 'e,
) -> BoxStream<'e, sqlx::Result<Step>> {
    let steps = answer.map_ok(|steps| stream::iter(steps.into_iter().map(Ok)));
    steps.try_flatten_stream().boxed()
}

/// A connection whose statements are waited for patiently.
#[derive(Debug)]
pub(crate) struct Patient<'c>(pub(crate) &'c mut AnyConnection);

impl<'c> Executor<'c> for Patient<'c> {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        steps(patiently(self.0.fetch_many(query).try_collect()))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        patiently(self.0.fetch_optional(query)).boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
    where
        'c: 'e,
    {
        patiently(self.0.prepare_with(sql, parameters)).boxed()
    }
}

/// Statements that become visible together, or not at all: dropping it undoes them.
#[derive(Debug)]
pub(crate) struct Transaction(pub(crate) sqlx::Transaction<'static, Any>);

impl Transaction {
    /// Takes the next statement.
    pub(crate) fn connection(&mut self) -> Patient<'_> {
        Patient(&mut self.0)
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        Ok(patiently(self.0.commit()).await?)
    }
}
