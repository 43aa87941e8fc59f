//! The events of a session as they happen, over as many connections as it takes.

use std::collections::VecDeque;
use std::time::Duration;

use bailiwick_llm::{SseEvent, SseParser};
use bailiwick_model::limits::SESSION_EVENT_BYTES;
use reqwest::Response;
use serde_json::Value;

use super::{Client, ClientError};

/// A server sends a ping every 15 seconds; one that is silent for so long is not there any more.
const SILENCE: Duration = Duration::from_secs(60);
/// The pauses between attempts to connect again. After the last one it is given up.
const PAUSES_MS: [u64; 8] = [100, 500, 1000, 2000, 4000, 8000, 15000, 30000];

/// One event.
pub(crate) struct Event {
    /// As it came, in one line.
    pub(crate) json: String,
    pub(crate) value: Value,
}

/// A session that is followed. Giving up [`Follow::next`] loses nothing.
pub(crate) struct Follow<'c> {
    client: &'c Client,
    session: String,
    /// Whether parts of messages come, too.
    with_parts: bool,
    /// The last event that came, after which the next connection goes on.
    last: Option<String>,
    open: Option<Open>,
    failures: usize,
    has_ended: bool,
}

struct Open {
    response: Response,
    parser: SseParser,
    whole: VecDeque<SseEvent>,
}

impl Event {
    pub(crate) fn of(value: Value) -> Self {
        let json = value.to_string();
        Self { json, value }
    }

    pub(crate) fn kind(&self) -> &str {
        self.value["type"].as_str().unwrap_or_default()
    }
}

impl Client {
    /// The events of a session after this one, or from now on.
    pub(crate) fn follow(
        &self,
        session: &str,
        after: Option<String>,
        with_parts: bool,
    ) -> Follow<'_> {
        Follow {
            client: self,
            session: session.to_owned(),
            with_parts,
            last: after,
            open: None,
            failures: 0,
            has_ended: false,
        }
    }
}

impl Follow<'_> {
    /// The next event; none after the last one of a session that is over.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        while !self.has_ended {
            let failed = match self.step().await {
                Ok(Some(event)) => {
                    self.failures = 0;
                    self.note(&event);
                    return Ok(Some(event));
                }
                Ok(None) => None,
                Err(error) if error.is_bad_input() => return Err(error.into()),
                Err(error) => Some(error),
            };
            self.open = None;
            let Some(pause) = PAUSES_MS.get(self.failures) else {
                return Err(failed
                    .unwrap_or_else(|| self.client.not_understood())
                    .into());
            };
            self.failures += 1;
            tokio::time::sleep(Duration::from_millis(*pause)).await;
        }
        Ok(None)
    }

    fn note(&mut self, event: &Event) {
        self.has_ended = matches!(
            event.kind(),
            "session.status_terminated" | "session.deleted"
        );
        // Parts have none, and are not kept.
        if let Some(id) = event.value["id"].as_str() {
            self.last = Some(id.to_owned());
        }
    }

    /// The next event of this connection, or of a new one; none if it has ended.
    async fn step(&mut self) -> Result<Option<Event>, ClientError> {
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let open = self.connect().await?;
                self.open.insert(open)
            }
        };
        loop {
            while let Some(event) = open.whole.pop_front() {
                match event.name.as_str() {
                    "ping" => {}
                    // Why is seen by the next connection.
                    "error" => return Ok(None),
                    _ => return self.event(&event.data).map(Some),
                }
            }
            // A connection that is silent has broken, whatever it looks like from here.
            let Ok(chunk) = tokio::time::timeout(SILENCE, open.response.chunk()).await else {
                return Ok(None);
            };
            let chunk = chunk.map_err(|source| self.client.unreachable(source))?;
            let Some(chunk) = chunk else { return Ok(None) };
            let fed = open.parser.feed(&chunk, &mut open.whole);
            fed.map_err(|_| self.client.not_understood())?;
        }
    }

    async fn connect(&self) -> Result<Open, ClientError> {
        let path = ["v1", "sessions", &self.session, "events", "stream"];
        let parts: &[(&str, &str)] = if self.with_parts {
            &[("event_deltas[]", "agent.message")]
        } else {
            &[]
        };
        let mut request = self.client.http.get(self.client.url_with(&path, parts)?);
        if let Some(last) = &self.last {
            request = request.header("last-event-id", last);
        }
        // It has no end of its own.
        let request = request.timeout(Duration::MAX);
        Ok(Open {
            response: self.client.response(request).await?,
            parser: SseParser::with_limit(SESSION_EVENT_BYTES),
            whole: VecDeque::new(),
        })
    }

    fn event(&self, data: &str) -> Result<Event, ClientError> {
        let value = serde_json::from_str(data);
        Ok(Event {
            value: value.map_err(|_| self.client.not_understood())?,
            json: data.to_owned(),
        })
    }
}
