//! The body of an answer on its way to the client.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bailiwick_model::limits::LLM_READ_ON;
use bailiwick_outbound::Body;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::meter::Meter;
use super::settlement::{SettledAs, Settling};
use crate::{Client, Phase, Usage};

/// A body that passes as it comes, or one of the proxy's own. Dropping it ends the request at the upstream within a moment, and settles it.
pub struct ProxyBody(Kind);

enum Kind {
    Own(Option<Bytes>),
    Passing(Box<Passing>),
}

/// Why an answer is not whole; the client sees its connection break, as it would with the upstream itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokenOff {
    /// The upstream's answer ended before it was whole.
    #[error("the model upstream's answer was cut off")]
    Cut,
    /// The upstream took too long.
    #[error("the model upstream took too long {0}")]
    Timeout(Phase),
}

struct Passing {
    body: Body,
    meter: Meter,
    settling: Settling,
    ready: VecDeque<Bytes>,
    clock: Clock,
    /// Turns of those who read on when their clients have gone.
    reading_on: Arc<Semaphore>,
    is_over: bool,
}

/// How long an upstream may take. There is a timer only where something is waited for.
struct Clock {
    next: Instant,
    end: Instant,
    between_chunks: Duration,
    has_begun: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl ProxyBody {
    /// Of these bytes.
    pub fn own(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(Kind::Own((!bytes.is_empty()).then_some(bytes)))
    }

    /// What an upstream answers, from its head on, whose first bytes are awaited until `first`.
    pub(super) fn passing(
        body: Body,
        meter: Meter,
        settling: Settling,
        first: Instant,
        client: &Client,
    ) -> Self {
        let timeouts = client.timeouts();
        let clock = Clock {
            next: first,
            end: Instant::now() + timeouts.whole,
            between_chunks: timeouts.between_chunks,
            has_begun: false,
            timer: None,
        };
        Self(Kind::Passing(Box::new(Passing {
            body,
            meter,
            settling,
            ready: VecDeque::new(),
            clock,
            reading_on: Arc::clone(client.reading_on()),
            is_over: false,
        })))
    }
}

impl fmt::Debug for ProxyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyBody").finish_non_exhaustive()
    }
}

impl HttpBody for ProxyBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.get_mut().0 {
            Kind::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Passing(passing) => passing.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Own(bytes) => bytes.is_none(),
            Kind::Passing(passing) => passing.is_over && passing.ready.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Own(bytes) => {
                let bytes = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(bytes).unwrap_or(u64::MAX))
            }
            Kind::Passing(passing) if passing.meter.passes_all() && !passing.is_over => {
                passing.body.size_hint()
            }
            Kind::Passing(_) => SizeHint::default(),
        }
    }
}

impl Passing {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            match ready!(self.more(context)) {
                Ok(()) => {}
                Err(error) => {
                    self.over();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    /// Waits for what comes next, and reads it.
    fn more(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BrokenOff>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            return self.clock.poll(context).map(Err);
        };
        let frame = match frame {
            None => {
                self.ready.extend(self.meter.end());
                self.over();
                return Poll::Ready(Ok(()));
            }
            Some(Err(_)) => return Poll::Ready(Err(BrokenOff::Cut)),
            Some(Ok(frame)) => frame,
        };
        // Trailers do not pass.
        if let Ok(bytes) = frame.into_data() {
            self.meter.take(bytes, &mut self.ready);
        }
        if let Err(error) = self.clock.restart() {
            return Poll::Ready(Err(error));
        }
        if self.body.is_end_stream() {
            self.ready.extend(self.meter.end());
            self.over();
        }
        Poll::Ready(Ok(()))
    }

    fn over(&mut self) {
        let (kind, usage) = self.meter.settled();
        self.ended(kind, usage);
    }

    fn ended(&mut self, kind: SettledAs, usage: Usage) {
        self.is_over = true;
        self.settling.is(kind, usage);
        self.settling.tell();
    }
}

impl Drop for ProxyBody {
    fn drop(&mut self) {
        if let Kind::Passing(passing) = std::mem::replace(&mut self.0, Kind::Own(None)) {
            passing.left();
        }
    }
}

impl Passing {
    /// Its client has gone. What an answer took is told at its end, so it is read on for a moment: else whoever leaves just before that would pay for
    /// what they saw alone, and not for what the model thought. Where nobody can read on, the worst case is what to count: else whoever leaves very
    /// often would see to that.
    fn left(mut self: Box<Self>) {
        if self.is_over || !self.meter.may_tell() {
            return;
        }
        let turn = Arc::clone(&self.reading_on).try_acquire_owned();
        let (Ok(runtime), Ok(turn)) = (Handle::try_current(), turn) else {
            self.ended(SettledAs::Unknown, Usage::default());
            return;
        };
        runtime.spawn(async move {
            let reading = poll_fn(|context| self.read_on(context));
            // What has not been told by then is settled as it was streamed.
            let _ = timeout(LLM_READ_ON, reading).await;
            drop(turn);
        });
    }

    fn read_on(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.is_over {
            if ready!(self.more(context)).is_err() {
                self.over();
            }
            self.ready.clear();
        }
        Poll::Ready(())
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if !self.is_over {
            self.over();
        }
    }
}

impl Clock {
    /// Something came.
    fn restart(&mut self) -> Result<(), BrokenOff> {
        let now = Instant::now();
        if now >= self.end {
            return Err(BrokenOff::Timeout(Phase::Whole));
        }
        self.has_begun = true;
        self.next = now + self.between_chunks;
        Ok(())
    }

    /// Nothing has come.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<BrokenOff> {
        let until = self.next.min(self.end);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        ready!(timer.as_mut().poll(context));
        Poll::Ready(BrokenOff::Timeout(if until == self.end {
            Phase::Whole
        } else if self.has_begun {
            Phase::NextChunk
        } else {
            Phase::FirstByte
        }))
    }
}
