//! What a server says to a request: in a body, or in the stream of events that it begins.

use std::borrow::Cow;

use bailiwick_model::limits::{
    MCP_ANSWER_BYTES, MCP_ERROR_BYTES, MCP_GATEWAY_ID_BYTES, MCP_GATEWAY_URI_CHARS, MCP_RESUMPTIONS,
};
use bailiwick_outbound::Body;
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response};
use serde_json::value::RawValue;
use tokio::time::sleep;

use super::begin::Agreed;
use super::{Asides, Failure, HeldAccess, Upstream};
use crate::client::{LAST_EVENT, McpError};
use crate::events::EventStream;
use crate::news::Change;
use crate::raw::{Fields, is_shallow, part, there};
use crate::secrets::Secrets;
use crate::view::{Notice, Talk};

/// A message of a server.
#[derive(serde::Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "there")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// What a message of a server is.
pub(super) enum Said {
    /// The answer to the request of this id: its result or its error, raw.
    Answer {
        id: u64,
        answer: Result<Bytes, Bytes>,
    },
    /// It asks something, under an id that is not too long to be answered.
    Asks { id: Box<RawValue>, asked: Asked },
    /// It tells something, with parameters.
    Tells { method: String, params: Bytes },
    /// Nothing that concerns anybody.
    Else,
}

/// What a server asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Whether somebody is there.
    Ping,
    /// What is not promised to any server.
    Other,
}

impl Said {
    /// Reads a message, once it is without the secrets that went with the request.
    pub(super) fn of(access: &HeldAccess, message: Bytes) -> Result<Self, McpError> {
        Self::without(access.secrets(), message)
    }

    /// The same, without these secrets.
    pub(super) fn without(secrets: &Secrets, message: Bytes) -> Result<Self, McpError> {
        const NO_JSON: McpError =
            McpError::Malformed("what it sent is not JSON, or is nested too deeply");
        if !is_shallow(&message) {
            return Err(NO_JSON);
        }
        let message = secrets.redact_raw(message).ok_or(NO_JSON)?;
        let read: Envelope<'_> = serde_json::from_slice(&message).map_err(|_| NO_JSON)?;
        Ok(match (read.id, read.method) {
            (Some(id), Some(_)) if id.get().len() > MCP_GATEWAY_ID_BYTES => Self::Else,
            (Some(id), Some(method)) => Self::Asks {
                id: id.to_owned(),
                asked: match &*method {
                    "ping" => Asked::Ping,
                    _ => Asked::Other,
                },
            },
            (None, Some(method)) => Self::Tells {
                method: method.into_owned(),
                params: read
                    .params
                    .map_or_else(Bytes::new, |params| part(&message, params)),
            },
            (Some(id), None) => match (number(id), read.result, read.error) {
                (Some(id), Some(result), _) if result.get().starts_with('{') => Self::Answer {
                    id,
                    answer: Ok(part(&message, result)),
                },
                (Some(id), _, Some(error)) if is_error(error) => Self::Answer {
                    id,
                    answer: Err(part(&message, error)),
                },
                _ => Self::Else,
            },
            (None, None) => Self::Else,
        })
    }
}

/// Some servers write numbers as texts.
fn number(id: &RawValue) -> Option<u64> {
    id.get().trim_matches('"').parse().ok()
}

/// Whether it has what an error has to have (JSON-RPC 2.0, section 5.1), so that it can be passed on.
fn is_error(error: &RawValue) -> bool {
    let fields = Fields::of(error.get().as_bytes());
    fields.is_some_and(|error| {
        let code = error.get("code").map(|code| code.get().parse::<i64>());
        error.text("message").is_some() && matches!(code, Some(Ok(_)))
    })
}

/// What a server tells that concerns a view.
pub(super) fn change(method: &str, params: &[u8]) -> Option<Change> {
    match method {
        "notifications/tools/list_changed" => Some(Change::Tools),
        "notifications/prompts/list_changed" => Some(Change::Prompts),
        "notifications/resources/list_changed" => Some(Change::Resources),
        "notifications/resources/updated" => {
            let uri = Fields::of(params)?.text("uri")?;
            let fits = uri.len() <= MCP_GATEWAY_URI_CHARS;
            fits.then(|| Change::Updated(uri.into_owned()))
        }
        _ => None,
    }
}

impl Upstream {
    /// The result in an answer.
    pub(super) async fn answer(
        &self,
        (access, agreed): (&HeldAccess, &Agreed),
        answer: Response<Body>,
        has_session: bool,
        id: u64,
        (talk, told): (&Talk, &(dyn Fn(Change) + Send + Sync)),
    ) -> Result<Bytes, Failure> {
        if answer.status() != 200 {
            return Err(failed(access, answer, has_session).await);
        }
        match media_type(&answer) {
            Media::Json => {
                let body = answer.into_body().whole(MCP_ANSWER_BYTES).await;
                let body = body.map_err(|_| McpError::TooLong)?;
                match Said::of(access, body)? {
                    Said::Answer { id: of, answer } if of == id => answer.map_err(Failure::Refused),
                    Said::Answer { .. } | Said::Asks { .. } | Said::Tells { .. } | Said::Else => {
                        Err(McpError::Malformed("its answer is to something else").into())
                    }
                }
            }
            Media::Events => {
                let events = answer.into_body();
                self.events((access, agreed), events, id, (talk, told))
                    .await
            }
            Media::Other => Err(McpError::Malformed("it sent neither JSON nor events").into()),
        }
    }

    /// What comes in a stream until there is the answer. Where it breaks off, it is asked for again, if the server has given its events ids.
    async fn events(
        &self,
        (access, agreed): (&HeldAccess, &Agreed),
        mut body: Body,
        id: u64,
        (talk, told): (&Talk, &(dyn Fn(Change) + Send + Sync)),
    ) -> Result<Bytes, Failure> {
        let mut hearing = Hearing::default();
        for _ in 0..=MCP_RESUMPTIONS {
            let heard = self.hear((access, agreed), &mut body, &mut hearing, id, (talk, told));
            if let Some(answer) = heard.await? {
                return answer.map_err(Failure::Refused);
            }
            hearing.stream.break_off();
            let last = hearing.stream.last_id();
            let last = last.and_then(|last| HeaderValue::from_str(last).ok());
            let last = last.ok_or(McpError::Cut)?;
            sleep(hearing.stream.wait()).await;
            let mut headers = agreed.headers().clone();
            headers.insert(LAST_EVENT, last);
            // What was asked may well have been done, so no answer to this makes anybody ask again.
            let resumed = self.send(access, Method::GET, headers, Vec::new()).await;
            let resumed = resumed.map_err(|_| McpError::Cut)?;
            if resumed.status() != 200 || media_type(&resumed) != Media::Events {
                break;
            }
            body = resumed.into_body();
        }
        Err(McpError::Cut.into())
    }

    /// The answer, or nothing where the stream ended before.
    async fn hear(
        &self,
        (access, agreed): (&HeldAccess, &Agreed),
        body: &mut Body,
        hearing: &mut Hearing,
        id: u64,
        (talk, told): (&Talk, &(dyn Fn(Change) + Send + Sync)),
    ) -> Result<Option<Result<Bytes, Bytes>>, McpError> {
        while let Some(Ok(frame)) = body.frame().await {
            let Some(data) = frame.data_ref() else {
                continue;
            };
            let left = hearing.room.checked_sub(data.len());
            hearing.room = left.ok_or(McpError::TooLong)?;
            for event in hearing.stream.push(data) {
                if event.is_empty() {
                    continue;
                }
                match Said::of(access, event.data.into())? {
                    Said::Answer { id: of, answer } if of == id => return Ok(Some(answer)),
                    Said::Answer { .. } | Said::Else => {}
                    Said::Asks { id, asked } => {
                        if let Some(answer) = hearing.asides.answer(&id, asked) {
                            self.tell(access, agreed, answer).await;
                        }
                    }
                    Said::Tells { method, params } => {
                        if let Some(change) = change(&method, &params) {
                            told(change);
                        } else if let Some(notice) = Notice::of(&method, &params) {
                            talk.tell(notice).await;
                        }
                    }
                }
            }
        }
        Ok(None)
    }
}

/// The stream of one answer, over however many connections it comes.
struct Hearing {
    stream: EventStream,
    asides: Asides,
    room: usize,
}

impl Default for Hearing {
    fn default() -> Self {
        Self {
            stream: EventStream::default(),
            asides: Asides::default(),
            room: MCP_ANSWER_BYTES,
        }
    }
}

/// What went wrong with something that was sent in a session, or without one.
pub(super) async fn failed(
    access: &HeldAccess,
    answer: Response<Body>,
    has_session: bool,
) -> Failure {
    let error = match answer.status().as_u16() {
        401 => McpError::Unauthorized,
        403 => McpError::Forbidden,
        404 if has_session => McpError::SessionGone,
        status @ 300..=399 => McpError::Redirect(status),
        status => {
            // The status says most of it, so a body that is too long or does not end is as good as none.
            let body = answer.into_body().whole(MCP_ERROR_BYTES).await;
            return match said_error(access, body.unwrap_or_default()) {
                Some(error) => Failure::Refused(error),
                None => McpError::Status(status).into(),
            };
        }
    };
    error.into()
}

/// The error of JSON-RPC that a body is, whatever request it says it is about.
fn said_error(access: &HeldAccess, body: Bytes) -> Option<Bytes> {
    let body = is_shallow(&body).then(|| access.secrets().redact_raw(body))??;
    let read: Envelope<'_> = serde_json::from_slice(&body).ok()?;
    let error = read.error.filter(|error| is_error(error))?;
    Some(part(&body, error))
}

/// Of which kind an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    Events,
    Other,
}

pub(super) fn media_type(answer: &Response<Body>) -> Media {
    let value = answer.headers().get(CONTENT_TYPE);
    let value = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Media::Json
    } else if essence.eq_ignore_ascii_case("text/event-stream") {
        Media::Events
    } else {
        Media::Other
    }
}
