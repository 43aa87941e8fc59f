//! Requests of one use of a server, and what it says until they are answered.

use bailiwick_model::limits::{
    MCP_ANSWER_BYTES, MCP_ASIDE_TIME, MCP_ASIDES, MCP_ERROR_BYTES, MCP_RESUMPTIONS,
};
use bailiwick_outbound::{Body, OutboundError};
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};
use url::Url;
use zeroize::Zeroizing;

use super::{Access, McpClient, McpError, SESSION};
use crate::events::{Event, EventStream};
use crate::heard::{Heard, RpcError};
use crate::outbound::{Opened, Redirects, Request, open};
use crate::raw::read;
use crate::secrets::Secrets;

/// Of what is not read.
pub(crate) const UNREAD: McpError =
    McpError::Malformed("what it sent is not JSON, is nested too deeply, or has too many values");
pub(crate) const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
pub(super) const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

/// A server, what it is asked with, and until when.
pub(super) struct Talk<'a> {
    pub(super) client: &'a McpClient,
    pub(super) access: Access<'a>,
    authorization: Option<HeaderValue>,
    pub(super) secrets: Secrets,
    deadline: Instant,
}

pub(super) type Headers = [(HeaderName, HeaderValue)];

/// What came of listening.
enum Listened {
    Answer(Map<String, Value>),
    /// The stream ended before there was one.
    Ended,
}

/// What may still come until an answer is there.
pub(super) struct Room {
    pub(super) bytes: usize,
    pub(super) asides: u32,
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
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), McpError> {
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
        let server = &self.client.server;
        let opened = self.send(Method::POST, server, Some(message), Vec::new());
        let opened = opened.await?;
        let session = opened.answer.headers().get(SESSION).cloned();
        let result = self.answer(opened, id, &[]).await?;
        Ok((result, session))
    }

    /// A request, and its result.
    pub(super) async fn request(
        &self,
        id: u64,
        message: &Value,
        headers: &Headers,
    ) -> Result<Map<String, Value>, McpError> {
        let server = &self.client.server;
        let opened = self.send(Method::POST, server, Some(message), headers.to_vec());
        self.answer(opened.await?, id, headers).await
    }

    /// Something that is not answered. Whether it arrives does not matter.
    pub(super) async fn tell(&self, to: &Url, message: &Value, headers: &Headers) {
        let aside = Self {
            client: self.client,
            access: self.access,
            authorization: self.authorization.clone(),
            secrets: Secrets::default(),
            deadline: Instant::now() + MCP_ASIDE_TIME,
        };
        let _ = aside
            .send(Method::POST, to, Some(message), headers.to_vec())
            .await;
    }

    /// Sends a request, and returns once it begins to be answered.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        message: Option<&Value>,
        mut headers: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Opened, McpError> {
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
            url: url.clone(),
            headers,
            body: message
                .map(|message| Bytes::from(message.to_string()))
                .unwrap_or_default(),
            redirects: Redirects::WithinOrigin,
        };
        let way = (&self.client.outbound, self.access.policy);
        let opening = open(way, request, self.deadline);
        match opening.await {
            Ok(opened) => Ok(opened),
            Err(OutboundError::Timeout(_)) => Err(McpError::Timeout),
            Err(error) => Err(error.into()),
        }
    }

    /// The result in an answer: in its body, or in the stream of events that it begins.
    async fn answer(
        &self,
        opened: Opened,
        id: u64,
        headers: &Headers,
    ) -> Result<Map<String, Value>, McpError> {
        let opened = self.accepted(opened, headers).await?;
        match media_type(&opened).as_str() {
            "application/json" => self.body(opened, id).await,
            "text/event-stream" => self.events(opened, id, headers).await,
            _ => Err(McpError::Malformed("it sent neither JSON nor events")),
        }
    }

    /// An answer that is none of HTTP's errors.
    async fn accepted(&self, opened: Opened, headers: &Headers) -> Result<Opened, McpError> {
        let has_session = headers.iter().any(|(name, _)| *name == SESSION);
        match opened.answer.status().as_u16() {
            200 => Ok(opened),
            _ => Err(self.failed(opened, has_session).await),
        }
    }

    /// What went wrong with something that was sent in a session, or without one.
    pub(super) async fn failed(&self, opened: Opened, has_session: bool) -> McpError {
        match opened.answer.status().as_u16() {
            401 => McpError::Unauthorized,
            403 => McpError::Forbidden,
            404 if has_session => McpError::SessionGone,
            status @ 300..=399 => McpError::Redirect(status),
            status => self.refusal(opened, status).await,
        }
    }

    /// What an error of HTTP says, if it says it in the words of JSON-RPC.
    async fn refusal(&self, opened: Opened, status: u16) -> McpError {
        let mut room = Room {
            bytes: MCP_ERROR_BYTES,
            ..Room::default()
        };
        // The status says most of it, so a body that is too long or does not end is as good as none.
        let body = timeout_at(self.deadline, whole(opened.answer.into_body(), &mut room)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        let mut body: Value = read(&body).unwrap_or_default();
        self.secrets.redact_json(&mut body);
        RpcError::of(body.get("error")).map_or(McpError::Status(status), McpError::Rpc)
    }

    async fn body(&self, mut opened: Opened, id: u64) -> Result<Map<String, Value>, McpError> {
        let body = whole(opened.answer.body_mut(), &mut Room::default()).await?;
        match self.heard(&body)? {
            Heard::Answer { id: of, answer } if of == id => Ok(answer?),
            Heard::Answer { .. } | Heard::Asked { .. } | Heard::Told(_) | Heard::Else => {
                Err(McpError::Malformed("its answer is to something else"))
            }
        }
    }

    /// What comes in a stream until there is the answer. Where it breaks off, it is asked for again, if the server has given its events ids.
    async fn events(
        &self,
        mut opened: Opened,
        id: u64,
        headers: &Headers,
    ) -> Result<Map<String, Value>, McpError> {
        let (mut stream, mut room) = (EventStream::default(), Room::default());
        let mut resumptions = MCP_RESUMPTIONS;
        loop {
            let listened = self.listen(opened, &mut stream, &mut room, id, headers);
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
            let resumed = self.send(Method::GET, &self.client.server, None, headers);
            let resumed = resumed.await;
            opened = resumed.map_err(|_| McpError::Cut)?;
            if opened.answer.status() != 200 || media_type(&opened) != "text/event-stream" {
                return Err(McpError::Cut);
            }
        }
    }

    async fn listen(
        &self,
        mut opened: Opened,
        stream: &mut EventStream,
        room: &mut Room,
        id: u64,
        headers: &Headers,
    ) -> Result<Listened, McpError> {
        while let Some(Ok(frame)) = opened.answer.body_mut().frame().await {
            let Some(data) = frame.data_ref() else {
                continue;
            };
            room.take(data.len())?;
            for event in stream.push(data) {
                if event.is_empty() {
                    continue;
                }
                match self.heard(&event.data)? {
                    Heard::Answer { id: of, answer } if of == id => {
                        return Ok(Listened::Answer(answer?));
                    }
                    Heard::Answer { .. } | Heard::Else => {}
                    Heard::Told(method) => self.client.told(&method),
                    Heard::Asked { id, method } => {
                        self.reply(room, &self.client.server, (&id, &method), headers)
                            .await;
                    }
                }
            }
        }
        Ok(Listened::Ended)
    }

    /// Answers what a server asks itself, as long as there is room for it.
    pub(super) async fn reply(
        &self,
        room: &mut Room,
        to: &Url,
        (id, method): (&Value, &str),
        headers: &Headers,
    ) {
        if let Some(left) = room.asides.checked_sub(1) {
            room.asides = left;
            self.tell(to, &reply(id, method), headers).await;
        }
    }

    pub(super) fn heard(&self, message: &[u8]) -> Result<Heard, McpError> {
        heard(message, &self.secrets)
    }
}

/// A message without what must not be shown.
pub(super) fn heard(message: &[u8], secrets: &Secrets) -> Result<Heard, McpError> {
    let mut message: Value = read(message).ok_or(UNREAD)?;
    secrets.redact_json(&mut message);
    Ok(Heard::of(message))
}

impl Event {
    /// Whether it says nothing: servers begin streams with an event that has an id alone.
    pub(crate) fn is_empty(&self) -> bool {
        self.data.iter().all(u8::is_ascii_whitespace)
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

pub(super) fn media_type(opened: &Opened) -> String {
    let value = opened.answer.headers().get(CONTENT_TYPE);
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
