//! Requests of one use of a server, and what it says until they are answered.

use std::sync::atomic::Ordering;

use bailiwick_model::limits::{
    MCP_ANSWER_BYTES, MCP_ASIDE_TIME, MCP_ASIDES, MCP_ERROR_BYTES, MCP_RESUMPTIONS,
};
use bailiwick_outbound::{Body, OutboundError};
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Response};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{Access, McpClient, McpError, SESSION};
use crate::events::EventStream;
use crate::heard::{Heard, RpcError};
use crate::outbound::{Redirects, Request, open};
use crate::secrets::Secrets;

const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

/// A server, what it is asked with, and until when.
pub(super) struct Talk<'a> {
    client: &'a McpClient,
    access: Access<'a>,
    authorization: Option<HeaderValue>,
    secrets: Secrets,
    deadline: Instant,
}

type Headers = [(HeaderName, HeaderValue)];

/// What came of listening.
enum Listened {
    Answer(Map<String, Value>),
    /// The stream ended before there was one.
    Ended,
}

/// What may still come until an answer is there.
struct Room {
    bytes: usize,
    asides: u32,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            bytes: MCP_ANSWER_BYTES,
            asides: MCP_ASIDES,
        }
    }
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), McpError> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(McpError::TooLong)?;
        Ok(())
    }
}

impl<'a> Talk<'a> {
    pub(super) fn new(
        client: &'a McpClient,
        access: Access<'a>,
        deadline: Instant,
    ) -> Result<Self, McpError> {
        let mut secrets = Secrets::default();
        let authorization = match access.token {
            Some(token) => {
                secrets.add(token);
                let value = Zeroizing::new(format!("Bearer {token}"));
                let mut value = HeaderValue::from_str(&value).map_err(|_| McpError::Token)?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        Ok(Self {
            client,
            access,
            authorization,
            secrets,
            deadline,
        })
    }

    /// The request that a session begins with: its result, and the id of the session.
    pub(super) async fn begin(
        &self,
        id: u64,
        message: &Value,
    ) -> Result<(Map<String, Value>, Option<HeaderValue>), McpError> {
        let answer = self.send(Method::POST, Some(message), Vec::new()).await?;
        let session = answer.headers().get(SESSION).cloned();
        let result = self.answer(answer, id, &[]).await?;
        Ok((result, session))
    }

    /// A request, and its result.
    pub(super) async fn request(
        &self,
        id: u64,
        message: &Value,
        headers: &Headers,
    ) -> Result<Map<String, Value>, McpError> {
        let answer = self
            .send(Method::POST, Some(message), headers.to_vec())
            .await?;
        self.answer(answer, id, headers).await
    }

    /// Something that is not answered. Whether it arrives does not matter.
    pub(super) async fn tell(&self, message: &Value, headers: Vec<(HeaderName, HeaderValue)>) {
        let aside = Self {
            client: self.client,
            access: self.access,
            authorization: self.authorization.clone(),
            secrets: Secrets::default(),
            deadline: Instant::now() + MCP_ASIDE_TIME,
        };
        let _ = aside.send(Method::POST, Some(message), headers).await;
    }

    /// Sends a request, and returns once it begins to be answered.
    pub(super) async fn send(
        &self,
        method: Method,
        message: Option<&Value>,
        mut headers: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Response<Body>, McpError> {
        let accept = match method {
            Method::GET => "text/event-stream",
            _ => "application/json, text/event-stream",
        };
        headers.push((ACCEPT, HeaderValue::from_static(accept)));
        headers.extend(
            self.authorization
                .clone()
                .map(|value| (AUTHORIZATION, value)),
        );
        if message.is_some() {
            headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        let request = Request {
            method,
            url: self.client.server.clone(),
            headers,
            body: message
                .map(|message| Bytes::from(message.to_string()))
                .unwrap_or_default(),
            redirects: Redirects::WithinOrigin,
        };
        let way = (&self.client.outbound, self.access.policy);
        let opening = open(way, request, self.deadline);
        match opening.await {
            Ok(answer) => Ok(answer),
            Err(OutboundError::Timeout(_)) => Err(McpError::Timeout),
            Err(error) => Err(error.into()),
        }
    }

    /// The result in an answer: in its body, or in the stream of events that it begins.
    async fn answer(
        &self,
        answer: Response<Body>,
        id: u64,
        headers: &Headers,
    ) -> Result<Map<String, Value>, McpError> {
        let answer = self.accepted(answer, headers).await?;
        match media_type(&answer).as_str() {
            "application/json" => self.body(answer, id).await,
            "text/event-stream" => self.events(answer, id, headers).await,
            _ => Err(McpError::Malformed("it sent neither JSON nor events")),
        }
    }

    /// An answer that is none of HTTP's errors.
    async fn accepted(
        &self,
        answer: Response<Body>,
        headers: &Headers,
    ) -> Result<Response<Body>, McpError> {
        let has_session = headers.iter().any(|(name, _)| *name == SESSION);
        match answer.status().as_u16() {
            200 => Ok(answer),
            401 => Err(McpError::Unauthorized),
            403 => Err(McpError::Forbidden),
            404 if has_session => Err(McpError::SessionGone),
            status @ 300..=399 => Err(McpError::Redirect(status)),
            status => Err(self.refusal(answer, status).await),
        }
    }

    /// What an error of HTTP says, if it says it in the words of JSON-RPC.
    async fn refusal(&self, answer: Response<Body>, status: u16) -> McpError {
        let mut room = Room {
            bytes: MCP_ERROR_BYTES,
            ..Room::default()
        };
        let body = whole(answer.into_body(), &mut room)
            .await
            .unwrap_or_default();
        let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
        self.secrets.redact_json(&mut body);
        RpcError::of(body.get("error")).map_or(McpError::Status(status), McpError::Rpc)
    }

    async fn body(
        &self,
        mut answer: Response<Body>,
        id: u64,
    ) -> Result<Map<String, Value>, McpError> {
        let body = whole(answer.body_mut(), &mut Room::default()).await?;
        match self.heard(&body, id)? {
            Heard::Answer(answer) => Ok(answer?),
            Heard::Asked { .. } | Heard::Told(_) | Heard::Else => {
                Err(McpError::Malformed("its answer is to something else"))
            }
        }
    }

    /// What comes in a stream until there is the answer. Where it breaks off, it is asked for again, if the server has given its events ids.
    async fn events(
        &self,
        mut answer: Response<Body>,
        id: u64,
        headers: &Headers,
    ) -> Result<Map<String, Value>, McpError> {
        let (mut stream, mut room) = (EventStream::default(), Room::default());
        let mut resumptions = MCP_RESUMPTIONS;
        loop {
            let listened = self.listen(answer, &mut stream, &mut room, id, headers);
            if let Listened::Answer(answer) = listened.await? {
                return Ok(answer);
            }
            stream.break_off();
            let last = stream
                .last_id()
                .and_then(|last| HeaderValue::from_str(last).ok());
            let last = last.ok_or(McpError::Cut)?;
            resumptions = resumptions.checked_sub(1).ok_or(McpError::Cut)?;
            tokio::time::sleep(stream.wait()).await;
            let mut headers = headers.to_vec();
            headers.push((LAST_EVENT, last));
            // What was asked may well have been done, so no answer to this makes anybody ask again.
            let resumed = self.send(Method::GET, None, headers).await;
            answer = resumed.map_err(|_| McpError::Cut)?;
            if answer.status() != 200 || media_type(&answer) != "text/event-stream" {
                return Err(McpError::Cut);
            }
        }
    }

    async fn listen(
        &self,
        mut answer: Response<Body>,
        stream: &mut EventStream,
        room: &mut Room,
        id: u64,
        headers: &Headers,
    ) -> Result<Listened, McpError> {
        while let Some(Ok(frame)) = answer.body_mut().frame().await {
            let Some(data) = frame.data_ref() else {
                continue;
            };
            room.take(data.len())?;
            for event in stream.push(data) {
                // Servers begin streams with an event that has an id alone.
                if event.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                match self.heard(&event, id)? {
                    Heard::Answer(answer) => return Ok(Listened::Answer(answer?)),
                    Heard::Told(method) if method == TOOLS_CHANGED => {
                        self.client.has_changed.store(true, Ordering::Relaxed);
                    }
                    Heard::Asked { id, method } if room.asides > 0 => {
                        room.asides -= 1;
                        self.tell(&reply(&id, &method), headers.to_vec()).await;
                    }
                    Heard::Asked { .. } | Heard::Told(_) | Heard::Else => {}
                }
            }
        }
        Ok(Listened::Ended)
    }

    fn heard(&self, message: &[u8], id: u64) -> Result<Heard, McpError> {
        let mut message: Value = serde_json::from_slice(message)
            .map_err(|_| McpError::Malformed("what it sent is no JSON, or too deep"))?;
        self.secrets.redact_json(&mut message);
        Ok(Heard::of(message, id))
    }
}

/// What a server is answered that asks something itself. Nothing was promised to it but that somebody is there.
fn reply(id: &Value, method: &str) -> Value {
    if method == "ping" {
        json!({"jsonrpc": "2.0", "id": id, "result": {}})
    } else {
        let error = json!({"code": -32601, "message": "this client has no such method"});
        json!({"jsonrpc": "2.0", "id": id, "error": error})
    }
}

fn media_type(answer: &Response<Body>) -> String {
    let value = answer.headers().get(CONTENT_TYPE);
    let value = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// A body that comes to its end within its room.
async fn whole(
    mut body: impl std::borrow::BorrowMut<Body>,
    room: &mut Room,
) -> Result<Vec<u8>, McpError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.borrow_mut().frame().await {
        let frame = frame.map_err(|_| McpError::Cut)?;
        if let Some(data) = frame.data_ref() {
            room.take(data.len())?;
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes)
}
