//! Statements that do not wait for ever, for a database that neither answers nor goes away.

use std::future::Future;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::{Any, AnyConnection, Either, Execute, Executor, SqlStr};
use tracing::{Instrument as _, Span};

/// How long a query may wait for a connection, and how long for its answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What a statement answers with.
type Step = Either<AnyQueryResult, AnyRow>;

/// The target of spans that are sent to a receiver of telemetry; without one they are never made.
const TELEMETRY: &str = "telemetry";

/// A statement in the trace of what it is made for. Its text is not in it.
pub(crate) fn traced(database: &'static str, name: &'static str) -> Span {
    tracing::info_span!(
        target: TELEMETRY,
        "statement",
        otel.name = name,
        otel.kind = "client",
        db.system.name = database,
    )
}

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
        let span = traced(name_of(self.0), "change");
        steps(patiently(self.0.fetch_many(query).try_collect()).instrument(span))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let span = traced(name_of(self.0), "change");
        patiently(self.0.fetch_optional(query))
            .instrument(span)
            .boxed()
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

/// By OpenTelemetry's conventions.
pub(crate) fn name_of(connection: &AnyConnection) -> &'static str {
    match connection.backend_name() {
        "SQLite" => "sqlite",
        _ => "postgresql",
    }
}
