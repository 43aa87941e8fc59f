//! Both directions of one relayed connection, in one future.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bailiwick_model::limits;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::lane::{
    COPY_BYTES, Ends, Lane, LaneError, Observe, Unseen, poll_read, send_some, with_copy_buffer,
};
use super::pipes::Pipes;
use crate::inspect::http::{Response, ResponseWatch};
use crate::inspect::{ClientGuard, Violation};

/// Bytes that were delivered, to be read from another thread.
#[derive(Debug, Default)]
pub(crate) struct Bytes {
    /// From the sandbox to the destination.
    pub(crate) out: AtomicU64,
    /// From the destination to the sandbox.
    pub(crate) back: AtomicU64,
}

impl Bytes {
    fn total(&self) -> u64 {
        self.out
            .load(Ordering::Relaxed)
            .wrapping_add(self.back.load(Ordering::Relaxed))
    }
}

/// How a transfer ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Both sides closed.
    Closed,
    /// One side broke off.
    Broken,
    /// Nobody said anything for too long.
    Idle,
    /// The client asked for something that its destination is not; nothing of it was forwarded.
    Violated(Violation),
}

/// A connection between a client and a server.
pub(crate) struct Transfer<'a> {
    client: TcpStream,
    server: TcpStream,
    bytes: &'a Bytes,
    pipes: &'a Pipes,
    guard: Option<Box<ClientGuard>>,
    tried: bool,
    up: Lane,
    down: Lane,
    up_broken: bool,
    answer: Option<Answer>,
    /// `bytes.back` when the last HTTP request went on.
    answered_before: u64,
    requests: u64,
    grace: Option<Pin<Box<Sleep>>>,
    no_server_name: bool,
}

/// The server's answer to a request for a WebSocket.
struct Answer {
    watch: ResponseWatch,
    response: Response,
}

impl Observe for Answer {
    fn observe(&mut self, bytes: &[u8]) {
        if self.response == Response::Undecided {
            self.response = if bytes.is_empty() {
                Response::NotSwitched
            } else {
                self.watch.feed(bytes)
            };
        }
    }
}

impl<'a> Transfer<'a> {
    /// `guard` is absent where the destination is an address: then there is no name to agree with.
    pub(crate) fn new(
        client: TcpStream,
        server: TcpStream,
        guard: Option<ClientGuard>,
        bytes: &'a Bytes,
        pipes: &'a Pipes,
    ) -> Self {
        Self {
            client,
            server,
            bytes,
            pipes,
            guard: guard.map(Box::new),
            tried: false,
            up: Lane::default(),
            down: Lane::default(),
            up_broken: false,
            answer: None,
            answered_before: 0,
            requests: 0,
            grace: None,
            no_server_name: false,
        }
    }

    /// True when the client's TLS named no server.
    pub(crate) fn no_server_name(&self) -> bool {
        self.no_server_name
    }

    /// True when a refusal in words would be read as the answer to the client's last request.
    pub(crate) fn may_answer(&self) -> bool {
        self.requests == 0 || self.bytes.back.load(Ordering::Relaxed) > self.answered_before
    }

    /// Gives the pipes back, and the streams to be closed.
    pub(crate) fn into_streams(mut self) -> (TcpStream, TcpStream) {
        self.up.release(self.pipes);
        self.down.release(self.pipes);
        (self.client, self.server)
    }

    /// Moves bytes until the end.
    pub(crate) async fn run(&mut self, idle_timeout: Duration) -> End {
        let mut seen = u64::MAX;
        // Two quiet halves make a timeout. Re-arming a timer at every byte would cost more than moving it.
        let mut quiet = false;
        let mut timer = pin!(sleep(idle_timeout / 2));
        poll_fn(|cx| {
            if let Poll::Ready(end) = self.poll_both(cx) {
                return Poll::Ready(end);
            }
            while timer.as_mut().poll(cx).is_ready() {
                let total = self.bytes.total();
                if quiet && total == seen {
                    return Poll::Ready(End::Idle);
                }
                quiet = total == seen;
                seen = total;
                let half_closed = self.up.is_closed() || self.down.is_closed();
                let timeout = if half_closed {
                    idle_timeout.min(limits::HALF_CLOSE_TIMEOUT)
                } else {
                    idle_timeout
                };
                timer
                    .as_mut()
                    .reset(tokio::time::Instant::now() + timeout / 2);
            }
            Poll::Pending
        })
        .await
    }

    fn poll_both(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            match self.poll_up(cx) {
                Poll::Ready(Err(UpError::Violation(violation))) => {
                    return Poll::Ready(End::Violated(violation));
                }
                Poll::Ready(Err(UpError::Lane(LaneError::Read))) => {
                    return Poll::Ready(End::Broken);
                }
                // What the server sent before it stopped listening still goes to the client.
                Poll::Ready(Err(UpError::Lane(LaneError::Write))) => self.up_broken = true,
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            let down = self.poll_down(cx);
            match down {
                Poll::Ready(Err(_)) => return Poll::Ready(End::Broken),
                Poll::Ready(Ok(())) if self.up_broken => return Poll::Ready(End::Broken),
                Poll::Ready(Ok(())) if self.up.is_closed() => return Poll::Ready(End::Closed),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            match self.take_answer() {
                None => return Poll::Pending,
                Some(Ok(())) => {} // what the client sent meanwhile may go on now
                Some(Err(violation)) => return Poll::Ready(End::Violated(violation)),
            }
        }
    }

    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpError>> {
        if self.up_broken {
            return Poll::Pending;
        }
        if self.guard.is_some() {
            ready!(self.poll_guarded(cx))?;
        }
        let mut ends = Ends {
            from: &mut self.client,
            to: &mut self.server,
        };
        let moved = self.up.poll_move(
            cx,
            &mut ends,
            self.pipes,
            &self.bytes.out,
            &mut Unseen,
            true,
        );
        moved.map_err(UpError::Lane)
    }

    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LaneError>> {
        let mut ends = Ends {
            from: &mut self.server,
            to: &mut self.client,
        };
        let count = &self.bytes.back;
        match &mut self.answer {
            Some(answer) => self
                .down
                .poll_move(cx, &mut ends, self.pipes, count, answer, false),
            None => self
                .down
                .poll_move(cx, &mut ends, self.pipes, count, &mut Unseen, true),
        }
    }

    /// Client bytes under guard. Ready when the lane may take over.
    fn poll_guarded(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpError>> {
        for _ in 0..16 {
            ready!(self.poll_forward(cx)).map_err(|_| UpError::Lane(LaneError::Write))?;
            let Some(guard) = &mut self.guard else {
                return Poll::Ready(Ok(()));
            };
            if guard.is_opaque() {
                self.no_server_name |= guard.no_server_name();
                self.guard = None;
                self.grace = None;
                self.up.mark_tried();
                return Poll::Ready(Ok(()));
            }
            if guard.held() > limits::HTTP_HEAD_BYTES + COPY_BYTES {
                return Poll::Pending; // only while an answer is awaited; every parser stops earlier
            }
            match self.poll_take(cx)? {
                Poll::Ready(()) => {}
                Poll::Pending => ready!(self.poll_grace(cx)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what the guard let through.
    fn poll_forward(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let Some(guard) = &mut self.guard else {
            return Poll::Ready(Ok(()));
        };
        while !guard.ready().is_empty() {
            let mut sent = send_some(&self.server, guard.ready())?;
            if sent == 0 {
                sent = ready!(Pin::new(&mut self.server).poll_write(cx, guard.ready()))?;
            }
            guard.forwarded(sent);
            self.bytes.out.fetch_add(sent as u64, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once from the client into the guard.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, UpError> {
        let Some(guard) = &mut self.guard else {
            return Ok(Poll::Ready(()));
        };
        let client = &mut self.client;
        let tried = &mut self.tried;
        let taken = with_copy_buffer(|buffer| match poll_read(cx, client, buffer, tried) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Err(_)) => Err(UpError::Lane(LaneError::Read)),
            Poll::Ready(Ok(0)) => guard
                .finish()
                .map(|()| Poll::Ready(0))
                .map_err(UpError::Violation),
            Poll::Ready(Ok(length)) => guard
                .take(&buffer[..length])
                .map(|()| Poll::Ready(length))
                .map_err(UpError::Violation),
        })?;
        let Poll::Ready(length) = taken else {
            return Ok(Poll::Pending);
        };
        if let Some(requests) = guard
            .requests()
            .filter(|requests| *requests > self.requests)
        {
            self.requests = requests;
            self.answered_before = self.bytes.back.load(Ordering::Relaxed);
        }
        if guard.awaits_switch() && self.answer.is_none() {
            self.answer = Some(Answer {
                watch: ResponseWatch::default(),
                response: Response::Undecided,
            });
        }
        if length == 0 {
            guard.abandon();
            self.up.end();
        }
        Ok(Poll::Ready(()))
    }

    /// Waits a little, then lets text without a line end through.
    fn poll_grace(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(guard) = self.guard.as_mut().filter(|guard| guard.holds_text()) else {
            return Poll::Pending;
        };
        let grace = self
            .grace
            .get_or_insert_with(|| Box::pin(sleep(limits::UNDECIDED_GRACE)));
        ready!(grace.as_mut().poll(cx));
        self.grace = None;
        guard.release_harmless();
        Poll::Ready(())
    }

    /// Tells the guard how the server answered, once that is known.
    fn take_answer(&mut self) -> Option<Result<(), Violation>> {
        let response = self.answer.as_ref()?.response;
        let switched = match response {
            Response::Undecided => return None,
            Response::Switched => true,
            Response::NotSwitched => false,
        };
        self.answer = None;
        self.guard.as_mut().map(|guard| guard.answered(switched))
    }
}

/// Why nothing more goes to the server.
enum UpError {
    Lane(LaneError),
    Violation(Violation),
}
