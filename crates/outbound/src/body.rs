//! The body of an answer.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use tokio::task::AbortHandle;

use crate::flow::Recording;
use crate::plain::Drive;

/// The body of an answer, as it comes. A connection that is its own ends with it; one that is kept is used again if this was read to its end.
pub struct Body {
    incoming: Incoming,
    /// The connection, if it is driven by whoever reads this. The lock is never waited for.
    line: Option<Mutex<Box<dyn Drive>>>,
    _connection: Option<Connection>,
    _recording: Option<Recording>,
}

/// Why a body is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer has more than {most_bytes} bytes, or broke off")]
pub struct NotWhole {
    /// How many it may have.
    pub most_bytes: usize,
}

/// Ends a connection with its value.
#[derive(Debug)]
pub(crate) struct Connection(AbortHandle);

impl Connection {
    /// Lets it work until then.
    pub(crate) fn begin<T: Send + 'static>(
        connection: impl Future<Output = T> + Send + 'static,
    ) -> Self {
        Self(tokio::spawn(connection).abort_handle())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Body {
    pub(crate) fn of_one(
        incoming: Incoming,
        connection: Connection,
        recording: Option<Recording>,
    ) -> Self {
        Self {
            incoming,
            line: None,
            _connection: Some(connection),
            _recording: recording,
        }
    }

    pub(crate) fn of_pool(incoming: Incoming) -> Self {
        Self {
            incoming,
            line: None,
            _connection: None,
            _recording: None,
        }
    }

    pub(crate) fn of_line(incoming: Incoming, line: Box<dyn Drive>) -> Self {
        Self {
            line: Some(Mutex::new(line)),
            ..Self::of_pool(incoming)
        }
    }

    /// All of it, if it has at most so many bytes. For how long it is waited for is the caller's to say.
    ///
    /// # Errors
    ///
    /// See [`NotWhole`].
    pub async fn whole(self, most_bytes: usize) -> Result<Bytes, NotWhole> {
        let body = Limited::new(self, most_bytes).collect().await;
        let body = body.map_err(|_| NotWhole { most_bytes })?;
        Ok(body.to_bytes())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Body");
        shown
            .field("incoming", &self.incoming)
            .finish_non_exhaustive()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let Some(line) = &mut this.line else {
            return Pin::new(&mut this.incoming).poll_frame(context);
        };
        let line = line.get_mut().unwrap_or_else(PoisonError::into_inner);
        line.drive(context);
        let mut frame = Pin::new(&mut this.incoming).poll_frame(context);
        if frame.is_pending() {
            // The connection reads on once it knows that somebody waits.
            line.drive(context);
            frame = Pin::new(&mut this.incoming).poll_frame(context);
        }
        let is_over = match &frame {
            Poll::Ready(Some(Ok(_))) => this.incoming.is_end_stream(),
            Poll::Ready(None) => true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if is_over && let Some(line) = this.line.take() {
            let line = line.into_inner().unwrap_or_else(PoisonError::into_inner);
            line.give_back(context);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
