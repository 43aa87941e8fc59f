//! Bodies on their way through: frame by frame, never as a whole.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::HeaderMap;
use hyper::body::Incoming;

use super::credentials::{Credentials, Redacting};
use super::rewrite::Rewriter;
use super::rules::{self, Rules};

/// A body.
pub(super) enum Relayed {
    /// As it comes.
    Unchanged(Incoming),
    /// Placeholders replaced by secrets. Its length is not known before its end.
    Projected(Stream, Arc<Credentials>, Arc<Rules>),
    /// Secrets replaced by asterisks. Its length does not change.
    Redacted(Stream, Redacting),
    /// A small one that was replaced in one piece, or words of this relay's own.
    Whole(Full<Bytes>),
}

/// A body whose bytes are looked at.
pub(super) struct Stream {
    inner: Incoming,
    rewriter: Rewriter,
    trailers: Option<HeaderMap>,
    over: bool,
}

impl Stream {
    pub(super) fn new(inner: Incoming, rewriter: Rewriter) -> Self {
        Self {
            inner,
            rewriter,
            trailers: None,
            over: false,
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        loop {
            if self.over {
                let trailers = self.trailers.take();
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            let rest = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rewriter.push(data),
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        self.over = true;
                        self.rewriter.finish()
                    }
                },
                None => {
                    self.over = true;
                    self.rewriter.finish()
                }
            };
            if !rest.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(rest))));
            }
        }
    }

    fn is_over(&self) -> bool {
        let nothing_left = !self.rewriter.holds() && self.trailers.is_none();
        nothing_left && (self.over || self.inner.is_end_stream())
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Unchanged(body) => Pin::new(body).poll_frame(cx),
            Self::Whole(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::Projected(stream, credentials, seen) => {
                // A rotated secret is the one that is sent, and a removed credential puts nothing in any more.
                let now = credentials.now();
                if !Arc::ptr_eq(&now, seen) {
                    stream.rewriter.change(Arc::clone(&now.in_bodies));
                    *seen = now;
                }
                stream.poll_frame(cx)
            }
            Self::Redacted(stream, redacting) => {
                redacting.renew(&mut stream.rewriter);
                let frame = ready!(stream.poll_frame(cx));
                Poll::Ready(frame.map(|frame| {
                    let mut frame = frame?;
                    if let Some(trailers) = frame.trailers_mut() {
                        rules::redact(redacting.texts(), trailers);
                    }
                    Ok(frame)
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Unchanged(body) => body.is_end_stream(),
            Self::Whole(body) => body.is_end_stream(),
            Self::Projected(stream, ..) | Self::Redacted(stream, _) => stream.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Unchanged(body) => body.size_hint(),
            Self::Whole(body) => body.size_hint(),
            Self::Projected(..) => SizeHint::default(),
            // Asked once, before the first byte.
            Self::Redacted(stream, _) => stream.inner.size_hint(),
        }
    }
}
