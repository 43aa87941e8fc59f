//! One direction of a relayed connection.
//!
//! A message is copied through a buffer of the thread: two system calls and no pipe. A direction that fills that buffer
//! carries bulk, and goes through a pipe in the kernel from then on (splice(2)), until it pauses.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::pipes::{Pipe, Pipes};

/// A copied message is at most this long.
pub(crate) const COPY_BYTES: usize = 32 * 1024;
/// How often a direction may move bytes before the others of the process get their turn.
const MOVES_PER_TURN: usize = 16;

thread_local! {
    /// Never held across an await: what one turn reads it also writes or keeps elsewhere.
    static COPY: RefCell<Box<[u8]>> = RefCell::new(vec![0; COPY_BYTES].into_boxed_slice());
}

/// The two ends of a direction.
pub(crate) struct Ends<'a> {
    pub(crate) from: &'a mut TcpStream,
    pub(crate) to: &'a mut TcpStream,
}

/// Which side of a direction failed.
#[derive(Debug)]
pub(crate) enum LaneError {
    /// The side that bytes come from.
    Read,
    /// The side that bytes go to.
    Write,
}

/// What a reader of copied bytes says about them.
pub(crate) trait Observe {
    /// Looks at bytes before they are forwarded.
    fn observe(&mut self, bytes: &[u8]);
}

/// Nothing looks.
pub(crate) struct Unseen;

impl Observe for Unseen {
    fn observe(&mut self, _bytes: &[u8]) {}
}

/// The state of one direction.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// Bytes that were read and could not be written at once.
    pending: Vec<u8>,
    written: usize,
    pipe: Option<Pipe>,
    piped: usize,
    bulk: bool,
    /// The first read was tried without waiting for epoll: what a client sends with its connection is already there.
    tried: bool,
    ended: bool,
    closed: bool,
}

impl Lane {
    /// True when the end of the stream was passed on.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Continues after bytes that went around the lane: the first read was already tried.
    pub(crate) fn mark_tried(&mut self) {
        self.tried = true;
    }

    /// Passes on an end of stream that was seen outside the lane.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Moves what there is. Ready when the stream has ended and its end was passed on; `count` is what was written.
    pub(crate) fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
        pipes: &Pipes,
        count: &AtomicU64,
        observer: &mut impl Observe,
        may_splice: bool,
    ) -> Poll<Result<(), LaneError>> {
        if self.closed {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..MOVES_PER_TURN {
            ready!(self.poll_flush(cx, ends.to, pipes, count)).map_err(|_| LaneError::Write)?;
            if self.ended {
                return Poll::Ready(self.close(ends.to).map_err(|_| LaneError::Write));
            }
            if may_splice && self.has_pipe(pipes) {
                ready!(self.poll_fill_pipe(cx, ends.from, pipes)).map_err(|_| LaneError::Read)?;
            } else {
                self.release(pipes);
                ready!(self.poll_copy(cx, ends, count, observer))?;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what was read earlier.
    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut TcpStream,
        pipes: &Pipes,
        count: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        while self.written < self.pending.len() {
            let sent = ready!(Pin::new(&mut *to).poll_write(cx, &self.pending[self.written..]))?;
            self.written += sent;
            count.fetch_add(sent as u64, Ordering::Relaxed);
        }
        if !self.pending.is_empty() {
            self.pending = Vec::new();
            self.written = 0;
        }
        while self.piped > 0 {
            let Some(pipe) = &self.pipe else { break };
            ready!(to.poll_write_ready(cx))?;
            match to.try_io(Interest::WRITABLE, || {
                splice_some(&pipe.read, &*to, self.piped)
            }) {
                Ok(moved) => {
                    self.piped -= moved;
                    count.fetch_add(moved as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.release(pipes);
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn has_pipe(&mut self, pipes: &Pipes) -> bool {
        if self.bulk && self.pipe.is_none() {
            self.pipe = pipes.take();
        }
        self.bulk && self.pipe.is_some()
    }

    /// Fills the empty pipe from the socket.
    fn poll_fill_pipe(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        pipes: &Pipes,
    ) -> Poll<io::Result<()>> {
        loop {
            let Some(pipe) = &self.pipe else {
                return Poll::Ready(Ok(()));
            };
            match from.poll_read_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => {
                    self.release(pipes);
                    return Poll::Pending;
                }
            }
            match from.try_io(Interest::READABLE, || {
                splice_some(&*from, &pipe.write, pipe.size)
            }) {
                Ok(0) => {
                    self.ended = true;
                    return Poll::Ready(Ok(()));
                }
                Ok(moved) => {
                    self.piped = moved;
                    self.bulk = moved >= COPY_BYTES / 2;
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Copies one message through the thread's buffer.
    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
        count: &AtomicU64,
        observer: &mut impl Observe,
    ) -> Poll<Result<(), LaneError>> {
        with_copy_buffer(|buffer| {
            let length = ready!(poll_read(cx, ends.from, buffer, &mut self.tried))
                .map_err(|_| LaneError::Read)?;
            let bytes = &buffer[..length];
            self.ended = bytes.is_empty();
            self.bulk = length == COPY_BYTES;
            observer.observe(bytes);
            let sent = send_some(ends.to, bytes).map_err(|_| LaneError::Write)?;
            count.fetch_add(sent as u64, Ordering::Relaxed);
            self.pending.extend_from_slice(&bytes[sent..]);
            Poll::Ready(Ok(()))
        })
    }

    fn close(&mut self, to: &TcpStream) -> io::Result<()> {
        self.closed = true;
        match rustix::net::shutdown(to, Shutdown::Write) {
            // The other side is gone already; the other direction will say so.
            Ok(()) | Err(Errno::NOTCONN) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives the pipe back.
    pub(crate) fn release(&mut self, pipes: &Pipes) {
        match self.pipe.take() {
            Some(pipe) if self.piped == 0 => pipes.put(pipe),
            Some(_closed) => pipes.discarded(),
            None => {}
        }
        self.piped = 0;
    }
}

/// Lends the thread's buffer.
pub(crate) fn with_copy_buffer<T>(use_it: impl FnOnce(&mut [u8]) -> T) -> T {
    COPY.with_borrow_mut(|buffer| use_it(buffer))
}

/// Reads once into `buffer`. The very first time it does not wait for epoll to say that there is something.
pub(crate) fn poll_read(
    cx: &mut Context<'_>,
    from: &mut TcpStream,
    buffer: &mut [u8],
    tried: &mut bool,
) -> Poll<io::Result<usize>> {
    if !std::mem::replace(tried, true) {
        match rustix::net::recv(&*from, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((length, _)) => return Poll::Ready(Ok(length)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Poll::Ready(Err(errno.into())),
        }
    }
    let mut read = ReadBuf::new(buffer);
    ready!(Pin::new(from).poll_read(cx, &mut read))?;
    Poll::Ready(Ok(read.filled().len()))
}

/// Sends without asking first whether there is room, which there nearly always is; 0 when there is none.
pub(crate) fn send_some(to: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        return Ok(0);
    }
    match rustix::net::send(to, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Ok(sent) => Ok(sent),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(errno) => Err(errno.into()),
    }
}

fn splice_some(
    from: impl std::os::fd::AsFd,
    to: impl std::os::fd::AsFd,
    length: usize,
) -> io::Result<usize> {
    Ok(splice(
        from,
        None,
        to,
        None,
        length,
        SpliceFlags::NONBLOCK | SpliceFlags::MOVE,
    )?)
}
