//! A stream whose patience with the other side ends.
//!
//! hyper times the head of a request, but neither the first bytes, by which HTTP/1 and HTTP/2 are told apart, nor how long an answer waits
//! to be taken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// What every connection of HTTP/2 begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client's stream.
#[derive(Debug)]
pub(super) struct Patient {
    stream: TcpStream,
    /// Until it is known which HTTP the client speaks.
    beginning: Option<Beginning>,
    write_timeout: Duration,
    /// While the client takes nothing.
    writing: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
struct Beginning {
    /// Bytes so far, all of them as in [`PREFACE`].
    seen: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Patient {
    pub(super) fn new(stream: TcpStream, first_bytes: Duration, write_timeout: Duration) -> Self {
        let deadline = Box::pin(sleep(first_bytes));
        Self {
            stream,
            beginning: Some(Beginning { seen: 0, deadline }),
            write_timeout,
            writing: None,
        }
    }

    fn has_read(&mut self, bytes: &[u8]) {
        let Some(beginning) = &mut self.beginning else {
            return;
        };
        let rest = &PREFACE[beginning.seen..];
        beginning.seen += bytes.len();
        if bytes.len() >= rest.len() || !rest.starts_with(bytes) {
            self.beginning = None;
        }
    }

    fn waited<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let patience = self.write_timeout;
        let deadline = self
            .writing
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        deadline
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        match (&read, &mut self.beginning) {
            (Poll::Ready(_), _) => self.has_read(&buffer.filled()[before..]),
            (Poll::Pending, None) => {}
            (Poll::Pending, Some(beginning)) => {
                if beginning.deadline.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        read
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.waited(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.waited(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.waited(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
