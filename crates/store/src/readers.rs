//! Connections that read, each for one statement at a time.
//!
//! The library's own pool asks a connection whether it is there each time before it is used, and each time after: that takes longer than a
//! row does. Here one is asked if nobody has used it for a while, and if what used it did not come to its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::any::{AnyConnectOptions, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::{
    Any, AnyConnection, ConnectOptions as _, Connection as _, Either, Execute, Executor, SqlStr,
};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use crate::dialect::Dialect;
use crate::patience::{patiently, steps, traced};

/// After so long without use a connection is asked whether it is still there.
const STALE: Duration = Duration::from_secs(1);
/// Between attempts to connect to a database that is starting; doubled each time, up to the second.
const ATTEMPTS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// So many connections at most.
#[derive(Debug, Clone)]
pub(crate) struct Readers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: AnyConnectOptions,
    dialect: Dialect,
    most: u32,
    permits: Arc<Semaphore>,
    /// The one that was used last is the last: the fewest are kept warm.
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: AnyConnection,
    since: Instant,
}

/// One that is in use.
#[derive(Debug)]
struct Lease {
    shared: Arc<Shared>,
    connection: Option<AnyConnection>,
    permit: Option<OwnedSemaphorePermit>,
    /// Whether the statement came to its end.
    finished: bool,
}

impl Readers {
    /// None is connected yet.
    pub(crate) fn new(options: AnyConnectOptions, dialect: Dialect, most: u32) -> Self {
        Self(Arc::new(Shared {
            options,
            dialect,
            most,
            permits: Arc::new(Semaphore::new(most as usize)),
            idle: Mutex::default(),
        }))
    }

    /// Ends all connections once they are not in use.
    pub(crate) async fn close(&self) {
        let all = self.0.permits.acquire_many(self.0.most).await;
        self.0.permits.close();
        drop(all);
        let idle = std::mem::take(&mut *self.0.idle());
        for Idle { connection, .. } in idle {
            // It is not needed any more, however it ends.
            let _ = connection.close().await;
        }
    }

    async fn lease(&self) -> sqlx::Result<Lease> {
        let permit = Arc::clone(&self.0.permits).acquire_owned().await;
        let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
        Ok(Lease {
            connection: Some(self.0.connection().await?),
            shared: Arc::clone(&self.0),
            permit: Some(permit),
            finished: false,
        })
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<Idle> {
        self.idle().pop()
    }

    fn give_back(&self, connection: AnyConnection) {
        let since = Instant::now();
        self.idle().push(Idle { connection, since });
    }

    async fn connection(&self) -> sqlx::Result<AnyConnection> {
        while let Some(mut idle) = self.take_idle() {
            if idle.since.elapsed() < STALE || idle.connection.ping().await.is_ok() {
                return Ok(idle.connection);
            }
        }
        let (mut pause, most) = ATTEMPTS;
        loop {
            match self.connect().await {
                Err(error) if is_starting(&error) => tokio::time::sleep(pause).await,
                done => return done,
            }
            pause = most.min(pause * 2);
        }
    }

    async fn connect(&self) -> sqlx::Result<AnyConnection> {
        let mut connection = self.options.connect().await?;
        let statements = self.dialect.on_connect().iter();
        for statement in statements.chain(self.dialect.on_connect_to_read()) {
            sqlx::query(*statement).execute(&mut connection).await?;
        }
        Ok(connection)
    }
}

/// Whether it may be there soon: nobody listens, or somebody says so (`cannot_connect_now`).
fn is_starting(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Io(error) = error {
        return error.kind() == std::io::ErrorKind::ConnectionRefused;
    }
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "57P03")
}

impl Lease {
    fn connection(&mut self) -> &mut AnyConnection {
        self.connection.as_mut().expect("it is there until the end")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if self.finished {
            return self.shared.give_back(connection);
        }
        // Failed, or nobody waits for it any more: what is still on its way has to arrive first.
        let (shared, permit) = (Arc::clone(&self.shared), self.permit.take());
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                if patiently(connection.ping()).await.is_ok() {
                    shared.give_back(connection);
                }
                drop(permit);
            });
        }
    }
}

impl<'c> Executor<'c> for &'c Readers {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let span = traced(self.0.dialect.name(), "read");
        let reading = async move {
            let mut lease = self.lease().await?;
            let all = lease.connection().fetch_many(query).try_collect().await?;
            lease.finished = true;
            Ok(all)
        };
        steps(patiently(reading).instrument(span))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let span = traced(self.0.dialect.name(), "read");
        let reading = async move {
            let mut lease = self.lease().await?;
            let row = lease.connection().fetch_optional(query).await?;
            lease.finished = true;
            Ok(row)
        };
        patiently(reading).instrument(span).boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
    where
        'c: 'e,
    {
        patiently(async move {
            let mut lease = self.lease().await?;
            let statement = lease.connection().prepare_with(sql, parameters).await?;
            lease.finished = true;
            Ok(statement)
        })
        .boxed()
    }
}
