//! Kept connections of HTTP/1.1 without TLS.
//!
//! Each is driven by whoever waits for its answer, and not by a task of its own: a request to a server nearby costs no more than its bytes, where
//! handing it to a task and back costs as much again. While nobody uses it, nobody looks at it; whether it still stands is seen when it is taken.

use std::collections::HashMap;
use std::error::Error;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body as HttpBody, Bytes, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep, timeout_at};

use crate::pool::{Connector, PoolLimits};
use crate::stream::Stream;
use crate::{Body, HttpUrl, Message, OutboundError, Waited};

/// The connections that nobody uses, by the host that they are to, and how more are made.
pub(crate) struct Plain<B: HttpBody + 'static> {
    connector: Connector,
    idle: Arc<Idle<B>>,
}

struct Idle<B: HttpBody + 'static> {
    limits: PoolLimits,
    lines: Mutex<Lines<B>>,
}

/// By host; the one that was used last is the last. A connection goes from hand to hand and back as the box that it is.
type Lines<B> = HashMap<HeaderValue, Vec<Box<Line<B>>>>;

/// A connection.
struct Line<B: HttpBody + 'static> {
    host: HeaderValue,
    sender: SendRequest<B>,
    connection: Connection<TokioIo<Stream>, B>,
    /// There is nothing left to drive.
    is_over: bool,
    unused_since: Instant,
    idle: Weak<Idle<B>>,
}

/// A connection whose answer is being read.
pub(crate) trait Drive: Send {
    /// Does what there is to do.
    fn drive(&mut self, context: &mut Context<'_>);

    /// The answer was read to its end: the connection is kept, if it can be.
    fn give_back(self: Box<Self>, context: &mut Context<'_>);
}

impl<B> Plain<B>
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    pub(crate) fn new(connector: Connector) -> Self {
        let idle = Arc::new(Idle {
            limits: connector.limits,
            lines: Mutex::default(),
        });
        Self { connector, idle }
    }

    /// What makes its connections.
    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// As [`Pool::ask`](crate::Pool::ask).
    pub(crate) async fn ask(
        &self,
        url: &HttpUrl,
        message: Message<B>,
        time: Duration,
    ) -> Result<(Response<Body>, Instant), OutboundError> {
        let host = url.host_header();
        let mut request = message.into_request(url.target(), Some(host.clone()));
        loop {
            let kept = self.kept(&host).await;
            let is_new = kept.is_none();
            let mut line = match kept {
                Some(line) => line,
                None => self.connect(url, &host).await?,
            };
            let deadline = Instant::now() + time;
            let answer = timeout_at(deadline, line.send(request)).await;
            let mut error = match answer.map_err(|_| OutboundError::Timeout(Waited::Answer))? {
                Ok(answer) => return Ok((answer.map(|body| Body::of_line(body, line)), deadline)),
                Err(error) => error,
            };
            match error.take_message() {
                // The server closed it meanwhile: nothing was sent.
                Some(unsent) if !is_new => request = unsent,
                Some(_) | None => return Err(OutboundError::http(error.into_error())),
            }
        }
    }

    /// One that still stands.
    async fn kept(&self, host: &HeaderValue) -> Option<Box<Line<B>>> {
        loop {
            let mut line = self.idle.take(host)?;
            poll_fn(|context| {
                line.drive(context);
                Poll::Ready(())
            })
            .await;
            if !line.is_over && line.sender.is_ready() {
                return Some(line);
            }
        }
    }

    async fn connect(
        &self,
        url: &HttpUrl,
        host: &HeaderValue,
    ) -> Result<Box<Line<B>>, OutboundError> {
        let stream = self.connector.connect(url).await?;
        let limits = &self.idle.limits;
        let mut builder = Builder::new();
        builder
            .max_buf_size(limits.head_bytes)
            .max_headers(limits.headers);
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(OutboundError::http)?;
        Ok(Box::new(Line {
            host: host.clone(),
            sender,
            connection,
            is_over: false,
            unused_since: Instant::now(),
            idle: Arc::downgrade(&self.idle),
        }))
    }
}

impl<B: HttpBody + 'static> Clone for Plain<B> {
    fn clone(&self) -> Self {
        Self {
            connector: self.connector.clone(),
            idle: Arc::clone(&self.idle),
        }
    }
}

impl<B> Line<B>
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    async fn send(
        &mut self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, TrySendError<Request<B>>> {
        let answering = self.sender.try_send_request(request);
        let mut answering = std::pin::pin!(answering);
        let (connection, is_over) = (&mut self.connection, &mut self.is_over);
        poll_fn(|context| {
            if !*is_over {
                *is_over = Pin::new(&mut *connection).poll(context).is_ready();
            }
            answering.as_mut().poll(context)
        })
        .await
    }
}

impl<B> Drive for Line<B>
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    fn drive(&mut self, context: &mut Context<'_>) {
        if !self.is_over {
            // What went wrong is told by the answer's body.
            self.is_over = Pin::new(&mut self.connection).poll(context).is_ready();
        }
    }

    fn give_back(mut self: Box<Self>, context: &mut Context<'_>) {
        self.drive(context);
        if !self.is_over
            && self.sender.is_ready()
            && let Some(idle) = self.idle.upgrade()
        {
            self.unused_since = Instant::now();
            idle.keep(self);
        }
    }
}

impl<B> Idle<B>
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    fn lines(&self) -> MutexGuard<'_, Lines<B>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, host: &HeaderValue) -> Option<Box<Line<B>>> {
        let line = self.lines().get_mut(host)?.pop()?;
        // Those before it are older still, and go when the time has come for them.
        (line.unused_since.elapsed() < self.limits.idle_time).then_some(line)
    }

    fn keep(self: &Arc<Self>, line: Box<Line<B>>) {
        let mut lines = self.lines();
        let is_first = lines.is_empty();
        match lines.get_mut(&line.host) {
            Some(kept) if kept.len() < self.limits.idle_connections => kept.push(line),
            Some(_) => {}
            None => {
                lines.insert(line.host.clone(), vec![line]);
            }
        }
        drop(lines);
        if is_first {
            tokio::spawn(sweep(Arc::downgrade(self), self.limits.idle_time));
        }
    }

    /// Closes those that nobody has used for long; whether any are left.
    fn sweep(&self) -> bool {
        let mut lines = self.lines();
        let mut old = Vec::new();
        lines.retain(|_, kept| {
            let fresh =
                kept.partition_point(|line| line.unused_since.elapsed() >= self.limits.idle_time);
            let young = kept.split_off(fresh);
            old.push(mem::replace(kept, young));
            !kept.is_empty()
        });
        let is_left = !lines.is_empty();
        // Closing takes longer than a lock is to be held.
        drop(lines);
        is_left
    }
}

/// Closes what is not used, until nothing is left of it.
async fn sweep<B>(idle: Weak<Idle<B>>, every: Duration)
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    loop {
        sleep(every).await;
        let Some(idle) = idle.upgrade() else { return };
        if !idle.sweep() {
            return;
        }
    }
}
