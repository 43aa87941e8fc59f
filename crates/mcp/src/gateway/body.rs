//! Bodies of answers.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use hyper::body::{Body, Bytes, Frame, SizeHint};

/// The body of an answer of a gateway: whole, or events as they come.
pub struct GatewayBody(Kind);

enum Kind {
    Whole(Bytes),
    Events(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl GatewayBody {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole(bytes))
    }

    pub(super) fn events(events: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(Kind::Events(Box::pin(events)))
    }
}

impl fmt::Debug for GatewayBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayBody").finish_non_exhaustive()
    }
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.0 {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(std::mem::take(bytes))),
            Kind::Events(events) => events.as_mut().poll_next(context),
        };
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Events(_) => SizeHint::default(),
        }
    }
}

/// A message as an event. JSON of one message may have line ends between its parts, which are those of the event's lines.
pub(super) fn event(message: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(message.len() + 24);
    out.extend_from_slice(b"event: message\ndata: ");
    for byte in message {
        match byte {
            // White space to JSON, and never inside its texts.
            b'\r' => out.push(b' '),
            b'\n' => out.extend_from_slice(b"\ndata: "),
            _ => out.push(*byte),
        }
    }
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// Something that says nothing, so that nobody on the way takes the stream for dead.
pub(super) fn keep_alive() -> Bytes {
    Bytes::from_static(b": \n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_message_however_it_was_laid_out() {
        let expect = b"event: message\ndata: {\ndata: \"a\":\ndata:  1}\n\n";
        assert_eq!(&event(b"{\n\"a\":\n\r1}")[..], expect);
    }
}
