//! The stream of an answer.

use std::collections::VecDeque;
use std::time::Duration;

use bailiwick_model::limits::LLM_DRAIN_TIME;
use bailiwick_outbound::Body;
use futures_util::Stream;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame};
use tokio::time::{Instant, timeout_at};

use crate::{Decoder, Event, Fold, Malformed, Message, Phase, SseParser, Timeouts, UpstreamError};

/// The events of one answer, as they come. Dropping it ends the request: the upstream sees its connection (HTTP/1.1) or its stream (HTTP/2)
/// closed.
#[derive(Debug)]
pub struct Events {
    body: Body,
    parser: SseParser,
    decoder: Decoder,
    ready: VecDeque<Event>,
    state: State,
    deadline: Instant,
    between_chunks: Duration,
    end: Instant,
}

#[derive(Debug)]
enum State {
    /// Nothing of the body has come.
    Waiting,
    Flowing,
    /// Told when what came before has been.
    Failed(UpstreamError),
    /// The answer is whole, but its body may have an end of its own.
    Whole,
    Over,
}

impl Events {
    pub(crate) fn new(
        body: Body,
        decoder: Decoder,
        deadline: Instant,
        timeouts: &Timeouts,
    ) -> Self {
        Self {
            body,
            parser: SseParser::new(),
            decoder,
            ready: VecDeque::new(),
            state: State::Waiting,
            deadline,
            between_chunks: timeouts.between_chunks,
            end: Instant::now() + timeouts.whole,
        }
    }

    /// The next event; nothing after [`Event::End`] or an error. It may be given up and asked again: nothing is lost.
    ///
    /// # Errors
    ///
    /// See [`UpstreamError`]. What came before was right.
    pub async fn next(&mut self) -> Option<Result<Event, UpstreamError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                if event == Event::End {
                    self.state = State::Whole;
                    self.ready.clear();
                }
                return Some(Ok(event));
            }
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return None,
                State::Whole => {
                    self.drain().await;
                    return None;
                }
                State::Failed(error) => return Some(Err(error)),
                state @ (State::Waiting | State::Flowing) => self.state = state,
            }
            let more = timeout_at(self.deadline.min(self.end), self.body.frame()).await;
            let now = Instant::now();
            // What comes without a pause is always there before its time is over.
            let Some(more) = more.ok().filter(|_| now < self.end) else {
                self.state = State::Failed(UpstreamError::Timeout(self.phase(now)));
                continue;
            };
            self.deadline = now + self.between_chunks;
            if let Err(error) = self.take(more) {
                self.state = State::Failed(error);
            }
        }
    }

    /// The rest of the answer, as a whole.
    ///
    /// # Errors
    ///
    /// See [`UpstreamError`].
    pub async fn whole(mut self) -> Result<Message, UpstreamError> {
        let mut fold = Fold::new();
        while let Some(event) = self.next().await {
            fold.push(&event?)?;
        }
        Ok(fold.finish()?)
    }

    /// The same events for what wants a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = Result<Event, UpstreamError>> + Send {
        futures_util::stream::unfold(self, async |mut events| {
            let event = events.next().await?;
            Some((event, events))
        })
    }

    /// What was waited for in vain.
    fn phase(&self, now: Instant) -> Phase {
        match self.state {
            _ if now >= self.end => Phase::Whole,
            State::Waiting => Phase::FirstByte,
            State::Flowing | State::Failed(_) | State::Whole | State::Over => Phase::NextChunk,
        }
    }

    /// Reads the end of the body, without which a connection of HTTP/1.1 cannot be used again. It is there already, as a rule.
    async fn drain(&mut self) {
        let deadline = Instant::now() + LLM_DRAIN_TIME;
        while let Ok(Some(Ok(_))) = timeout_at(deadline, self.body.frame()).await {}
    }

    fn take(
        &mut self,
        more: Option<Result<Frame<Bytes>, hyper::Error>>,
    ) -> Result<(), UpstreamError> {
        let frame = match more {
            None => {
                self.ready.extend(self.decoder.finish()?);
                // An answer that is whole has said so, and `next` stopped there.
                return if self.ready.is_empty() {
                    Err(UpstreamError::Cut)
                } else {
                    Ok(())
                };
            }
            Some(Ok(frame)) => frame,
            // The connection ended, or the stream of HTTP/2 was reset: what is missing is missing, however it went.
            Some(Err(_)) => return Err(UpstreamError::Cut),
        };
        let Ok(bytes) = frame.into_data() else {
            // Trailers.
            return Ok(());
        };
        if !bytes.is_empty() {
            self.state = State::Flowing;
        }
        let mut whole = VecDeque::new();
        let fed = self.parser.feed(&bytes, &mut whole);
        for event in whole {
            self.ready.extend(self.decoder.decode(&event)?);
        }
        fed.map_err(|error| Malformed::from(error).into())
    }
}
