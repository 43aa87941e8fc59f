//! The connections of clients: bounded in number, and in the time that they may take.
//!
//! A client that has sent no whole request is idle, whatever else it sends. When all connections are in use, the one that has been idle for
//! longest makes room; so whoever opens thousands of them only pushes out their own.

mod activity;
mod patient;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use bailiwick_model::limits;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::front::Front;
use crate::metrics::Metrics;
use activity::{Activity, Busy, Kept};
use patient::Patient;

/// How long nothing is accepted after the kernel could not, most likely since all files of the process are open: where a connection is being
/// ended for it, and where none can be.
const BREATH: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));
/// How often the log says so.
const COMPLAINT: Duration = Duration::from_secs(10);

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// See [`limits::HTTP_CONNECTIONS`].
    pub connections: usize,
    /// See [`limits::HTTP_HEAD_TIMEOUT`].
    pub head: Duration,
    /// See [`limits::HTTP_WRITE_TIMEOUT`].
    pub write: Duration,
    /// See [`limits::HTTP_PING`].
    pub ping: Duration,
    /// See [`limits::SHUTDOWN_GRACE`].
    pub grace: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: limits::HTTP_CONNECTIONS,
            head: limits::HTTP_HEAD_TIMEOUT,
            write: limits::HTTP_WRITE_TIMEOUT,
            ping: limits::HTTP_PING,
            grace: limits::SHUTDOWN_GRACE,
        }
    }
}

/// All that are open.
pub(crate) struct Connections {
    limits: ConnectionLimits,
    builder: auto::Builder<TokioExecutor>,
    front: Arc<Front>,
    metrics: Arc<Metrics>,
    graceful: GracefulShutdown,
    tasks: JoinSet<()>,
    open: HashMap<Id, Open>,
    complained: Option<Instant>,
}

/// One of them.
struct Open {
    activity: Arc<Activity>,
    task: AbortHandle,
}

impl Connections {
    pub(crate) fn new(front: Front, metrics: Arc<Metrics>, limits: ConnectionLimits) -> Self {
        Self {
            limits,
            builder: builder(&limits),
            front: Arc::new(front),
            metrics,
            graceful: GracefulShutdown::new(),
            tasks: JoinSet::new(),
            open: HashMap::new(),
            complained: None,
        }
    }

    /// Serves until `end`, then lets requests in flight finish, for as long as the limits say.
    pub(crate) async fn serve(mut self, listener: TcpListener, end: impl Future<Output = ()>) {
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.accept(stream, peer),
                    Err(error) => self.cannot_accept(&error).await,
                },
                Some(ended) = self.tasks.join_next_with_id() => self.forget(&ended),
                () = &mut end => break,
            }
        }
        // Nobody waits in vain for an answer that will not come.
        drop(listener);
        if tokio::time::timeout(self.limits.grace, self.graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("requests were cut off: they took too long after the end was asked for");
        }
        // What is left ends with its tasks.
    }

    fn accept(&mut self, stream: TcpStream, peer: SocketAddr) {
        if self.open.len() >= self.limits.connections && !self.end_an_idle_one() {
            self.metrics.connections_refused.inc();
            return;
        }
        // Answers are written whole: waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let activity = Arc::new(Activity::new());
        let (front, shared) = (Arc::clone(&self.front), Arc::clone(&activity));
        let service = service_fn(move |request| answer(&front, &shared, peer, request));
        let io = TokioIo::new(Patient::new(stream, self.limits.head, self.limits.write));
        let connection = self.builder.serve_connection(io, service).into_owned();
        let connection = self.graceful.watch(connection);
        // Before it can ask how many there are.
        self.metrics.connections.set(self.open.len() as i64 + 1);
        let task = self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
        });
        self.open.insert(task.id(), Open { activity, task });
    }

    /// Whether there was one.
    fn end_an_idle_one(&mut self) -> bool {
        let idle = self
            .open
            .iter()
            .filter_map(|(id, one)| Some((one.activity.idle_since()?, *id)));
        let Some((_, id)) = idle.min() else {
            return false;
        };
        if let Some(one) = self.open.remove(&id) {
            one.task.abort();
        }
        self.metrics.connections_pushed_out.inc();
        true
    }

    fn forget(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.open.remove(&id);
        self.metrics.connections.set(self.open.len() as i64);
    }

    async fn cannot_accept(&mut self, error: &io::Error) {
        // It came and went.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted
        ) {
            return;
        }
        if self
            .complained
            .is_none_or(|last| last.elapsed() >= COMPLAINT)
        {
            tracing::error!(%error, "no connection can be accepted");
            self.complained = Some(Instant::now());
        }
        let breath = if self.end_an_idle_one() {
            BREATH.0
        } else {
            BREATH.1
        };
        tokio::time::sleep(breath).await;
    }
}

fn builder(limits: &ConnectionLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // A head has at most 100 fields: hyper's own limit, which costs an allocation for each request where it is set.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits::HTTP_REQUEST_HEAD_BYTES);
    let head = u32::try_from(limits::HTTP_REQUEST_HEAD_BYTES).unwrap_or(u32::MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(head)
        .max_concurrent_streams(limits::HTTP_STREAMS)
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.ping);
    builder
}

/// Answers one request; its connection is busy until the whole answer was written.
fn answer(
    front: &Arc<Front>,
    activity: &Arc<Activity>,
    peer: SocketAddr,
    request: hyper::Request<Incoming>,
) -> impl Future<Output = Result<hyper::Response<Kept>, Infallible>> + use<> {
    let busy = Busy::begin(activity);
    let front = Arc::clone(front);
    async move {
        let response = front.answer(peer.ip(), request.map(Body::new)).await;
        Ok(response.map(|body| Kept::new(body, busy)))
    }
}
