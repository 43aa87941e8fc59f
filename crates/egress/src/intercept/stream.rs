//! A connection below TLS: what it delivers is counted, and it can be made to end with a reset.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection.
#[derive(Debug)]
pub(crate) struct CountedStream {
    stream: Option<TcpStream>,
    written: Arc<AtomicU64>,
    reset: Arc<AtomicBool>,
}

impl CountedStream {
    /// Counts what is delivered in `written`; ends with a reset if `reset` is set when it is dropped.
    pub(crate) fn new(stream: TcpStream, written: Arc<AtomicU64>, reset: Arc<AtomicBool>) -> Self {
        Self {
            stream: Some(stream),
            written,
            reset,
        }
    }

    /// The connection itself, for last words in plain text.
    pub(super) fn into_stream(mut self) -> Option<TcpStream> {
        self.stream.take()
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Pin::new(stream))
    }

    fn counted(&self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        if let Ok(written) = written {
            self.written.fetch_add(written as u64, Ordering::Relaxed);
        }
        Poll::Ready(written)
    }
}

impl Drop for CountedStream {
    fn drop(&mut self) {
        if let Some(stream) = self
            .stream
            .take()
            .filter(|_| self.reset.load(Ordering::Relaxed))
        {
            // It fails only on something that is no socket.
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream()?.poll_write(cx, bytes));
        self.counted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream()?.poll_write_vectored(cx, pieces));
        self.counted(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}
