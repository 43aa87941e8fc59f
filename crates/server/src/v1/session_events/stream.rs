//! Server-sent events (the WHATWG's HTML standard, section 9.2): one frame for each event, named as its type.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bailiwick_control::{Caller, Control, ControlError, Seen, Watch, WatchRequest};
use bailiwick_model::limits::STREAM_PING;
use bailiwick_model::{SessionEventType, SessionId, SessionThreadId};
use futures_util::stream;
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::event_json;
use super::query::{kinds, wrong};
use crate::authenticated::caller;
use crate::failure::Failure;
use crate::v1::edge;

const LAST_SEEN: &str = "last-event-id";
const PING: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";

/// One open stream.
struct Open {
    control: Arc<Control>,
    /// With what the client has shown who it is.
    parts: Parts,
    session: SessionId,
    thread: Option<SessionThreadId>,
    watch: Watch,
    pings: Interval,
    has_ended: bool,
}

/// Begins a stream. Whatever media types the client names, it gets this one: SDKs name another.
pub(super) async fn open(
    control: Arc<Control>,
    caller: &Caller,
    session: SessionId,
    thread: Option<SessionThreadId>,
    parameters: &[(String, String)],
    parts: Parts,
) -> Result<Response, Failure> {
    let own = thread.clone();
    // The list of the primary thread is that of its session.
    let thread = thread.filter(|thread| *thread != SessionThreadId::primary_of(&session));
    if let Some(own) = own {
        control.session_thread(caller, &session, &own).await?;
    }
    let request = WatchRequest {
        thread: thread.clone(),
        after: last_seen(&parts.headers)?,
        previews: previews(parameters)?,
    };
    let watch = control.watch_session(caller, &session, request).await?;
    let mut pings = interval_at(tokio::time::Instant::now() + STREAM_PING, STREAM_PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let open = Open {
        control,
        parts,
        session,
        thread,
        watch,
        pings,
        has_ended: false,
    };
    let frames = stream::unfold(open, |mut open| async move {
        let frame = open.frame().await?;
        Some((Ok::<_, std::convert::Infallible>(frame), open))
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, Body::from_stream(frames)).into_response())
}

fn last_seen(headers: &HeaderMap) -> Result<Option<bailiwick_model::SessionEventId>, Failure> {
    let Some(id) = headers.get(LAST_SEEN).filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let id = id.to_str().ok().and_then(|id| id.parse().ok());
    let wrong = || wrong("Last-Event-ID", "is not the id of an event");
    Ok(Some(id.ok_or_else(wrong)?))
}

fn previews(parameters: &[(String, String)]) -> Result<Vec<SessionEventType>, Failure> {
    use SessionEventType as T;
    let named = parameters.iter().filter_map(|(name, value)| {
        let is_it = matches!(name.as_str(), "event_deltas" | "event_deltas[]");
        is_it.then_some(value.as_str())
    });
    let named: Vec<_> = named.collect();
    kinds(&named, "event_deltas", |kind| {
        matches!(kind, T::AgentMessage | T::AgentThinking)
    })
}

fn frame(kind: &str, id: Option<&str>, data: &str) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {kind}\n{id}data: {data}\n\n").into()
}

impl Open {
    /// The next frame; none at the end.
    async fn frame(&mut self) -> Option<Bytes> {
        if self.has_ended {
            return None;
        }
        tokio::select! {
            biased;
            // First, since a client that is always a little behind is always shown something, and its key may be revoked.
            _ = self.pings.tick() => self.pinged().await,
            seen = self.watch.next() => match seen {
                Ok(Some(seen)) => Some(self.shown(&seen)),
                Ok(None) => None,
                Err(error) => Some(self.failed(&error)),
            },
        }
    }

    fn shown(&mut self, seen: &Seen) -> Bytes {
        match seen {
            Seen::Event(event) => {
                let json = event_json(event, self.thread.as_ref());
                frame(event.kind.as_str(), Some(&event.id.to_string()), &json)
            }
            Seen::Preview(kind, value) => frame(kind, None, &value.to_string()),
            Seen::Deleted(id, at) => {
                let kind = SessionEventType::SessionDeleted.as_str();
                let value = json!({"id": id, "type": kind, "processed_at": at});
                frame(kind, None, &value.to_string())
            }
        }
    }

    /// Whoever may not see the session any more sees no more of it.
    async fn pinged(&mut self) -> Option<Bytes> {
        match self.may_still_watch().await {
            Ok(()) => Some(Bytes::from_static(PING.as_bytes())),
            Err(error) => Some(self.failed(&error)),
        }
    }

    /// Keys are revoked, and roles change.
    async fn may_still_watch(&self) -> Result<(), ControlError> {
        let caller = caller(&self.parts, &self.control, false).await?;
        self.control.may_watch(&caller, &self.session).await
    }

    fn failed(&mut self, error: &ControlError) -> Bytes {
        self.has_ended = true;
        frame("error", None, &edge::streamed_error(error).to_string())
    }
}
