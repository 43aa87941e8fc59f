//! Bodies of a gateway that end with the server, or when whoever reads them may not any more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use bailiwick_mcp::GatewayBody;
use http_body::{Frame, SizeHint};
use tokio_util::sync::CancellationToken;

/// A body that ends when the server does, and when `gone` does. One that is whole is not cut: there is nothing to wait for.
pub(super) struct Ending {
    body: GatewayBody,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Ending {
    pub(super) fn new(
        body: GatewayBody,
        closing: CancellationToken,
        gone: Option<impl Future<Output = ()> + Send + 'static>,
    ) -> Self {
        let closing = closing.cancelled_owned();
        let end: Pin<Box<dyn Future<Output = ()> + Send>> = match gone {
            None => Box::pin(closing),
            Some(gone) => Box::pin(async move {
                tokio::select! {
                    () = closing => {}
                    () = gone => {}
                }
            }),
        };
        Self { body, end }
    }
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = <GatewayBody as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        // What is there goes out first.
        let next = Pin::new(&mut self.body).poll_frame(context);
        if next.is_pending() && self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
