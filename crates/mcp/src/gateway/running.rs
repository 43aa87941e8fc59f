//! A request that runs: its result in one piece, or, from the first notice on, as a stream of events.
//!
//! Nothing runs beside the answer: whoever reads it makes the work go on. A client that does not read keeps its server waiting, and no more
//! than a few notices; one that is gone takes the work with it.

use std::pin::Pin;
use std::sync::Arc;

use bailiwick_model::limits::{MCP_GATEWAY_NOTICE_BYTES, MCP_GATEWAY_NOTICES};
use futures_util::stream::unfold;
use hyper::body::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::body::{GatewayBody, event};
use super::outgoing::{self, Keeping};
use super::refusal::{Refusal, view_error};
use super::revision::Era;
use crate::view::{LogLevel, Notice, Progress, Talk, View, ViewError, ViewRequest};

/// What a request comes with.
pub(super) struct Terms {
    pub(super) id: Bytes,
    pub(super) era: Era,
    pub(super) token: Option<Bytes>,
    pub(super) level: Option<LogLevel>,
    pub(super) meta: Option<Bytes>,
}

/// A request that runs.
pub(super) struct Running<G> {
    work: Option<Work>,
    notices: mpsc::Receiver<Notice>,
    terms: Terms,
    keeping: Keeping,
    cancellation: CancellationToken,
    /// The answer, while notices that came before it are still to be sent.
    answer: Option<Bytes>,
    /// Its place among those of its session.
    _place: G,
}

type Work = Pin<Box<dyn Future<Output = Result<Bytes, ViewError>> + Send>>;

/// What comes next.
enum Step {
    Notice(Bytes),
    Answer(Bytes),
}

/// What became of a request first.
pub(super) enum First {
    /// The answer, whole.
    Answer(Bytes),
    /// A stream of events that ends with it.
    Events(GatewayBody),
}

impl<G: Send + 'static> Running<G> {
    pub(super) fn new<V: View>(
        (view, request): (Arc<V>, ViewRequest),
        terms: Terms,
        cancellation: CancellationToken,
        place: G,
    ) -> Self {
        let (sender, notices) = mpsc::channel(MCP_GATEWAY_NOTICES);
        let progress = match terms.token {
            Some(_) => Progress::Wanted,
            None => Progress::Unwanted,
        };
        let talk = Talk::new(
            sender,
            (progress, terms.level),
            terms.meta.clone(),
            cancellation.clone(),
        );
        let keeping = Keeping::of(&request);
        Self {
            work: Some(Box::pin(async move { view.ask(request, &talk).await })),
            notices,
            terms,
            keeping,
            cancellation,
            answer: None,
            _place: place,
        }
    }

    /// Runs until there is something to send.
    pub(super) async fn first(mut self) -> First {
        match self.step().await {
            Step::Answer(answer) => First::Answer(answer),
            Step::Notice(notice) => First::Events(GatewayBody::events(unfold(
                (Some(self), Some(notice)),
                async |(running, first)| {
                    let mut running = running?;
                    if let Some(notice) = first {
                        return Some((event(&notice), (Some(running), None)));
                    }
                    match running.step().await {
                        Step::Notice(notice) => Some((event(&notice), (Some(running), None))),
                        Step::Answer(answer) => Some((event(&answer), (None, None))),
                    }
                },
            ))),
        }
    }

    /// Runs to the end, whatever is told meanwhile.
    pub(super) async fn last(mut self) -> Bytes {
        loop {
            match self.step().await {
                Step::Answer(answer) => return answer,
                Step::Notice(_) => {}
            }
        }
    }

    /// Runs to the end, and hands over each message as an event, once there is room for it.
    pub(super) async fn pour(mut self, events: &mpsc::Sender<Bytes>) {
        loop {
            let (message, is_last) = match self.step().await {
                Step::Notice(notice) => (notice, false),
                Step::Answer(answer) => (answer, true),
            };
            if events.send(event(&message)).await.is_err() || is_last {
                return;
            }
        }
    }

    async fn step(&mut self) -> Step {
        loop {
            let Some(work) = &mut self.work else {
                // What was told before the answer goes before it.
                while let Ok(notice) = self.notices.try_recv() {
                    if let Some(notice) = self.notice(&notice) {
                        return Step::Notice(notice);
                    }
                }
                return Step::Answer(self.answer.take().unwrap_or_default());
            };
            tokio::select! {
                biased;
                () = self.cancellation.cancelled() => {
                    self.work = None;
                    self.answer = Some(self.error(&Refusal::Cancelled.error()));
                }
                Some(notice) = self.notices.recv() => {
                    if let Some(notice) = self.notice(&notice) {
                        return Step::Notice(notice);
                    }
                }
                done = work => {
                    self.work = None;
                    self.answer = Some(self.answer(done));
                }
            }
        }
    }

    fn answer(&self, done: Result<Bytes, ViewError>) -> Bytes {
        match done {
            Ok(result) => outgoing::result(&self.terms.id, &result, self.terms.era, self.keeping),
            Err(error) => self.error(&view_error(&error, self.terms.era)),
        }
    }

    fn error(&self, error: &[u8]) -> Bytes {
        outgoing::error(Some(&self.terms.id), error)
    }

    fn notice(&self, notice: &Notice) -> Option<Bytes> {
        let notice = outgoing::notice(notice, self.terms.token.as_ref())?;
        (notice.len() <= MCP_GATEWAY_NOTICE_BYTES).then_some(notice)
    }
}

impl<G> Drop for Running<G> {
    /// Where each request is for itself, a client that hangs up wants it to be stopped (2026-07-28, Streamable HTTP, "Cancellation"); in a
    /// session that says nothing (2025-11-25, Transports, "Sending Messages to the Server", 6).
    fn drop(&mut self) {
        if self.work.is_some() && self.terms.era == Era::Requests {
            self.cancellation.cancel();
        }
    }
}
