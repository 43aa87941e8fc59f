//! A server's news: what it says without being asked, on a stream of its own (a GET of Streamable HTTP).
//!
//! It is read for a short time at once, under the access of that moment: whoever reads looks in between whether the stream may be open still.
//! One that broke off is asked for again where it was, if the server has given its events ids; else something may have been missed, and the
//! server counts as changed.

use std::sync::Arc;

use bailiwick_model::limits::{
    MCP_ASIDES, MCP_LISTEN_FAILURES, MCP_RESUMPTION_WAIT, MCP_RESUMPTION_WAIT_MOST, OUTBOUND_TIME,
};
use bailiwick_outbound::OutboundError;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::begun::Begun;
use super::kept::Kept;
use super::talk::{Headers, LAST_EVENT, Room, Talk, media_type};
use super::{Access, McpClient, McpError};
use crate::events::EventStream;
use crate::heard::Heard;
use crate::outbound::Opened;

/// What came of listening for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// There may be more.
    GoesOn,
    /// The server has no such stream, or its session is over.
    IsOver,
}

/// The news of one session with a server.
pub(super) struct Ear {
    begun: Arc<Begun>,
    stream: EventStream,
    open: Option<Open>,
    was_open: bool,
    failures: u32,
    /// When to ask for the stream again.
    again: Instant,
}

/// A stream that is open.
struct Open {
    opened: Opened,
    kept: Kept,
    room: Room,
}

impl Ear {
    pub(super) fn of(begun: Arc<Begun>) -> Self {
        Self {
            begun,
            stream: EventStream::default(),
            open: None,
            was_open: false,
            failures: 0,
            again: Instant::now(),
        }
    }

    pub(super) fn is_of(&self, begun: &Arc<Begun>) -> bool {
        Arc::ptr_eq(&self.begun, begun)
    }

    pub(super) fn close(&mut self) {
        self.open = None;
        self.stream.break_off();
    }

    /// Listens until `end`.
    pub(super) async fn listen(
        &mut self,
        client: &McpClient,
        access: Access<'_>,
        end: Instant,
    ) -> Result<Listening, McpError> {
        let headers = self.begun.headers("", None);
        if let Some(open) = &mut self.open {
            open.room.asides = MCP_ASIDES;
        }
        loop {
            let holds = |open: &Open| open.kept.holds(&client.outbound, access);
            if !self.open.as_ref().is_some_and(holds) {
                self.close();
            }
            let Some(open) = &mut self.open else {
                if self.again > end {
                    sleep_until(end).await;
                    return Ok(Listening::GoesOn);
                }
                sleep_until(self.again).await;
                let talk = Talk::new(client, access, Instant::now() + OUTBOUND_TIME)?;
                match self.ask(&talk, &headers).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(Listening::IsOver),
                    Err(error) if is_passing(&error) => {
                        if self.has_failed() {
                            client.has_other_tools();
                            return Ok(Listening::IsOver);
                        }
                    }
                    Err(error) => return Err(error),
                }
                continue;
            };
            let next = async {
                loop {
                    let frame = open.opened.answer.body_mut().frame().await?.ok()?;
                    if let Ok(data) = frame.into_data() {
                        return Some(data);
                    }
                }
            };
            let goes_on = match timeout_at(end, next).await {
                Err(_) => return Ok(Listening::GoesOn),
                Ok(Some(data)) => {
                    let talk = Talk::new(client, access, end)?;
                    let heard = timeout_at(end, self.hear(&talk, &headers, &data)).await;
                    if heard.is_err() {
                        // Part of it is not heard, and will not be said again.
                        client.has_other_tools();
                    }
                    matches!(heard, Ok(Ok(())))
                }
                Ok(None) => false,
            };
            if !goes_on && self.has_failed() {
                client.has_other_tools();
                return Ok(Listening::IsOver);
            }
        }
    }

    /// Asks for the stream; whether there is one.
    async fn ask(&mut self, talk: &Talk<'_>, headers: &Headers) -> Result<bool, McpError> {
        let mut headers = headers.to_vec();
        let last = self.stream.last_id();
        let last = last.and_then(|last| HeaderValue::from_str(last).ok());
        let may_have_missed = self.was_open && last.is_none();
        headers.extend(last.map(|last| (LAST_EVENT, last)));
        let server = &talk.client.server;
        let opened = talk.send(Method::GET, server, None, headers).await?;
        if opened.answer.status() != 200 {
            // From a server that has had such a stream, 404 is about its session; others do not know the method.
            let is_of_session = self.was_open && self.begun.has_session_id();
            let error = talk.failed(opened, is_of_session).await;
            let has_none = matches!(
                error,
                McpError::Status(400 | 404 | 405 | 406 | 501) | McpError::Rpc(_)
            );
            return if has_none { Ok(false) } else { Err(error) };
        }
        if media_type(&opened) != "text/event-stream" {
            return Ok(false);
        }
        if may_have_missed {
            talk.client.has_other_tools();
        }
        self.was_open = true;
        self.open = Some(Open {
            kept: Kept::new(opened.reached.clone(), talk.access),
            opened,
            room: Room::default(),
        });
        Ok(true)
    }

    async fn hear(
        &mut self,
        talk: &Talk<'_>,
        headers: &Headers,
        data: &Bytes,
    ) -> Result<(), McpError> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        open.room.take(data.len())?;
        for event in self.stream.push(data) {
            if event.is_empty() {
                continue;
            }
            let heard = talk.heard(&event.data)?;
            self.failures = 0;
            match heard {
                Heard::Told(method) => talk.client.told(&method),
                Heard::Asked { id, method } => {
                    let to = &talk.client.server;
                    talk.reply(&mut open.room, to, (&id, &method), headers)
                        .await;
                }
                Heard::Answer { .. } | Heard::Else => {}
            }
        }
        Ok(())
    }

    /// Closes the stream, to ask for it again a little later; whether it is to be left.
    fn has_failed(&mut self) -> bool {
        self.close();
        let wait = self.stream.wait().max(MCP_RESUMPTION_WAIT);
        let wait = wait.saturating_mul(1 << self.failures.min(16));
        self.again = Instant::now() + wait.min(MCP_RESUMPTION_WAIT_MOST);
        self.failures += 1;
        self.failures > MCP_LISTEN_FAILURES
    }
}

/// Whether the same may go well a little later.
fn is_passing(error: &McpError) -> bool {
    match error {
        McpError::Outbound(error) => {
            error.denial().is_none() && !matches!(error, OutboundError::Url(_))
        }
        // 409: it has not noticed yet that the stream before is closed.
        McpError::Status(status) => matches!(status, 408 | 409 | 425 | 429 | 500..=599),
        McpError::Timeout
        | McpError::Cut
        | McpError::Ended
        | McpError::NotRunning(_)
        | McpError::TooLong
        | McpError::Malformed(_) => true,
        McpError::NotAsked(_)
        | McpError::Token
        | McpError::Unauthorized
        | McpError::Forbidden
        | McpError::Redirect(_)
        | McpError::Rpc(_)
        | McpError::Endpoint
        | McpError::Cancelled
        | McpError::SessionGone => false,
    }
}
