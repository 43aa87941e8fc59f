//! The stream of a session's events.

use std::collections::VecDeque;

use bailiwick_llm::{SseEvent, SseParser};
use bailiwick_model::limits::{SESSION_EVENT_BYTES, WORKER_STREAM_SILENCE};
use reqwest::Response;

use crate::error::ServiceError;
use crate::event::Seen;

/// An open stream. Giving up [`Events::next`] loses nothing.
pub(crate) struct Events {
    response: Response,
    parser: SseParser,
    whole: VecDeque<SseEvent>,
}

impl Events {
    pub(crate) fn new(response: Response) -> Self {
        Self {
            response,
            parser: SseParser::with_limit(SESSION_EVENT_BYTES),
            whole: VecDeque::new(),
        }
    }

    /// The next event; none at the end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Seen>, ServiceError> {
        loop {
            if let Some(event) = self.whole.pop_front() {
                return seen(&event).map(Some);
            }
            let chunk = tokio::time::timeout(WORKER_STREAM_SILENCE, self.response.chunk());
            let chunk = chunk
                .await
                .map_err(|_| ServiceError::Silent(WORKER_STREAM_SILENCE))?;
            let Some(chunk) = chunk.map_err(ServiceError::Unreachable)? else {
                return Ok(None);
            };
            self.parser
                .feed(&chunk, &mut self.whole)
                .map_err(|_| ServiceError::NotUnderstood("a stream of events"))?;
        }
    }
}

fn seen(event: &SseEvent) -> Result<Seen, ServiceError> {
    match event.name.as_str() {
        "ping" => Ok(Seen::Neutral),
        // Why is seen by whoever opens the next one.
        "error" => Err(ServiceError::Later {
            status: 200,
            message: "the stream was ended".to_owned(),
        }),
        _ => Seen::read(&event.data).ok_or(ServiceError::NotUnderstood("an event")),
    }
}
