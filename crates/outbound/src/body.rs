//! The body of an answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use tokio::task::AbortHandle;

use crate::flow::Recording;

/// The body of an answer, as it comes. A connection that is its own ends with it; one that is kept is used again if this was read to its end.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
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
            _connection: Some(connection),
            _recording: recording,
        }
    }

    pub(crate) fn of_pool(incoming: Incoming) -> Self {
        Self {
            incoming,
            _connection: None,
            _recording: None,
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

impl HttpBody for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.incoming).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
