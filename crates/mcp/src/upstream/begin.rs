//! Beginning with a server: a session of the newest revision that both know, or none where the server has none any more.

use std::sync::Arc;

use bailiwick_model::limits::{MCP_ID_BYTES, MCP_LIST_TIME};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::answer::failed;
use super::line::Line;
use super::piped::{Greeted, PipedEra, PipedServer};
use super::{Failure, HeldAccess, Question, Upstream};
use crate::client::{
    McpError, SESSION, UNREAD, VERSION, WITH_SESSIONS, WITHOUT_SESSIONS, client_info,
};
use crate::heard::RpcError;
use crate::news::Change;
use crate::raw::read;
use crate::view::{LogLevel, Talk};

/// What a server may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    Tools,
    Resources,
    Prompts,
    Completions,
    Log,
    /// To say when a resource has changed.
    Subscriptions,
}

/// What was agreed with a server.
pub(super) struct Agreed {
    headers: HeaderMap,
    era: Era,
    /// What the server says that it may do; nothing if it says nothing of it.
    offers: Option<Vec<Offer>>,
}

enum Era {
    /// With the id of the session if the server keeps one.
    Sessions(Option<HeaderValue>),
    /// In the older transport.
    Line(Line),
    /// Over pipes.
    Pipes(Arc<PipedServer>, PipedEra),
    Requests,
}

impl Agreed {
    pub(super) fn has_sessions(&self) -> bool {
        match self.era {
            Era::Sessions(_) | Era::Line(_) | Era::Pipes(_, PipedEra::Session) => true,
            Era::Requests | Era::Pipes(_, PipedEra::Requests) => false,
        }
    }

    pub(super) fn line(&self) -> Option<&Line> {
        match &self.era {
            Era::Line(line) => Some(line),
            Era::Sessions(_) | Era::Pipes(..) | Era::Requests => None,
        }
    }

    pub(super) fn pipes(&self) -> Option<&Arc<PipedServer>> {
        match &self.era {
            Era::Pipes(server, _) => Some(server),
            Era::Sessions(_) | Era::Line(_) | Era::Requests => None,
        }
    }

    /// Whether it may be used under this access. What keeps no connection is looked at by each request.
    fn holds(&self, access: &HeldAccess) -> bool {
        match (self.pipes(), access.pipes()) {
            (Some(known), Some(now)) => Arc::ptr_eq(known, now) && !known.is_over(),
            (Some(_), None) | (None, Some(_)) => false,
            (None, None) => self.line().is_none_or(|line| line.holds(access)),
        }
    }

    pub(super) fn session(&self) -> Option<&HeaderValue> {
        match &self.era {
            Era::Sessions(session) => session.as_ref(),
            Era::Line(_) | Era::Pipes(..) | Era::Requests => None,
        }
    }

    /// What goes along with each request.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) fn offers(&self, offer: Offer) -> bool {
        match &self.offers {
            Some(offers) => offers.contains(&offer),
            // Who says nothing of it may do everything but that.
            None => offer != Offer::Subscriptions,
        }
    }

    /// The fields that a request without a session has in its `_meta`.
    pub(super) fn write_meta(&self, meta: &mut Vec<u8>, level: Option<LogLevel>) {
        if self.has_sessions() {
            return;
        }
        if !meta.is_empty() {
            meta.push(b',');
        }
        let mut own = without_session();
        if let Some(level) = level {
            own["io.modelcontextprotocol/logLevel"] = level.name().into();
        }
        let own = own.to_string();
        // Without its braces.
        meta.extend_from_slice(&own.as_bytes()[1..own.len() - 1]);
    }

    /// With a server over pipes.
    pub(super) fn piped(
        server: Arc<PipedServer>,
        (era, version): (PipedEra, &'static str),
    ) -> Self {
        Self::new(Era::Pipes(server, era), version, None)
    }

    fn new(era: Era, version: &'static str, offers: Option<Vec<Offer>>) -> Self {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(VERSION, HeaderValue::from_static(version));
        if let Era::Sessions(Some(session)) = &era {
            headers.insert(SESSION, session.clone());
        }
        Self {
            headers,
            era,
            offers,
        }
    }
}

fn without_session() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": WITHOUT_SESSIONS,
        "io.modelcontextprotocol/clientInfo": client_info(),
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

impl Upstream {
    /// What was agreed, once it is. Whoever else wants to begin waits meanwhile.
    pub(super) async fn agreed(
        self: &Arc<Self>,
        access: &HeldAccess,
    ) -> Result<Arc<Agreed>, Failure> {
        let known = || {
            let known = self.agreed.borrow().clone();
            known.filter(|agreed| agreed.holds(access))
        };
        if let Some(agreed) = known() {
            return Ok(agreed);
        }
        let beginning = async {
            let _one = self.beginning.lock().await;
            if let Some(agreed) = known() {
                return Ok(agreed);
            }
            // It is done once, and is no part of what every request is.
            let agreed = Arc::new(Box::pin(self.begin(access)).await?);
            self.agreed.send_replace(Some(Arc::clone(&agreed)));
            self.tell_level(access, &agreed).await;
            Ok(agreed)
        };
        let begun = timeout(MCP_LIST_TIME, beginning).await;
        begun.unwrap_or(Err(McpError::Timeout.into()))
    }

    /// The next request begins anew.
    pub(super) fn forget(&self, gone: &Arc<Agreed>) {
        self.agreed.send_if_modified(|known| {
            let is_it = known.as_ref().is_some_and(|known| Arc::ptr_eq(known, gone));
            if is_it {
                *known = None;
            }
            is_it
        });
    }

    async fn begin(&self, access: &HeldAccess) -> Result<Agreed, Failure> {
        if let Some(server) = access.pipes() {
            let Greeted {
                era,
                version,
                offers,
            } = server.greeted().await?;
            let era = Era::Pipes(Arc::clone(server), *era);
            return Ok(Agreed::new(era, version, offers.clone()));
        }
        let refused = match self.initialize(access, None).await {
            Err(refused) => refused,
            begun => return begun,
        };
        // As the specification has it: who does not take the message there may have a stream instead.
        if matches!(refused, Failure::Failed(McpError::Status(400..=499)))
            && let Some(line) = Line::open(self, access).await?
        {
            return self.initialize(access, Some(line)).await;
        }
        if is_another_revision(&refused) {
            return self.discover(access).await.map_err(|_| refused);
        }
        Err(refused)
    }

    async fn initialize(&self, access: &HeldAccess, line: Option<Line>) -> Result<Agreed, Failure> {
        let id = self.fresh_id();
        let body = initialize(id);
        let (result, era) = match line {
            Some(line) => {
                let silent = (&Talk::silent(), &|_: Change| {});
                let asking = line.request((self, access), (id, body), (silent.0, silent.1));
                (asking.await?, Era::Line(line))
            }
            None => self.initialize_here(access, (id, body)).await?,
        };
        let (version, offers) = initialized(&result)?;
        let agreed = Agreed::new(era, version, offers);
        // What is answered to it says nothing; the next request does.
        self.tell(access, &agreed, INITIALIZED.to_vec()).await;
        Ok(agreed)
    }

    /// Begins over Streamable HTTP.
    async fn initialize_here(
        &self,
        access: &HeldAccess,
        (id, message): (u64, Vec<u8>),
    ) -> Result<(Bytes, Era), Failure> {
        let answer = self
            .send(access, Method::POST, HeaderMap::new(), message)
            .await?;
        let session = answer.headers().get(SESSION).cloned();
        if session.as_ref().is_some_and(|id| id.len() > MCP_ID_BYTES) {
            return Err(McpError::Malformed("the id of its session is too long").into());
        }
        let era = Era::Sessions(session);
        let unsaid = Agreed::new(era, WITH_SESSIONS[0], None);
        let silent = (&Talk::silent(), &|_: Change| {});
        let result = self.answer((access, &unsaid), answer, false, id, (silent.0, silent.1));
        Ok((result.await?, unsaid.era))
    }

    async fn discover(&self, access: &HeldAccess) -> Result<Agreed, Failure> {
        let unsaid = Agreed::new(Era::Requests, WITHOUT_SESSIONS, None);
        let question = Question {
            method: "server/discover",
            fields: b"",
            name: None,
        };
        let id = self.fresh_id();
        let message = question.message(id, &unsaid, &Talk::silent());
        let mut headers = unsaid.headers().clone();
        question.mirror(&mut headers);
        let answer = self.send(access, Method::POST, headers, message).await?;
        if answer.status() != 200 {
            return Err(failed(access, answer, false).await);
        }
        let silent = (&Talk::silent(), &|_: Change| {});
        let result = self.answer((access, &unsaid), answer, false, id, (silent.0, silent.1));
        let offers = discovered(&result.await?)?;
        Ok(Agreed::new(Era::Requests, WITHOUT_SESSIONS, offers))
    }
}

/// What is told once it is known what the server said to `initialize`.
pub(super) const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// The message that begins a session.
pub(super) fn initialize(id: u64) -> Vec<u8> {
    let message = json!({"jsonrpc": "2.0", "id": id, "method": "initialize", "params": {
        "protocolVersion": WITH_SESSIONS[0],
        "capabilities": {},
        "clientInfo": client_info(),
    }});
    message.to_string().into_bytes()
}

/// The revision of a session that was begun, and what the server can.
pub(super) fn initialized(result: &Bytes) -> Result<(&'static str, Option<Vec<Offer>>), McpError> {
    let result: Value = read(result).ok_or(UNREAD)?;
    let version = result["protocolVersion"].as_str();
    let version = WITH_SESSIONS.iter().find(|known| Some(**known) == version);
    let version = version.ok_or(McpError::Malformed(
        "it speaks no revision that is known here",
    ))?;
    Ok((version, offered(&result)))
}

/// What a server without sessions can.
pub(super) fn discovered(result: &Bytes) -> Result<Option<Vec<Offer>>, McpError> {
    let result: Value = read(result).ok_or(UNREAD)?;
    Ok(offered(&result))
}

/// What of all that a server says about itself is kept.
fn offered(result: &Value) -> Option<Vec<Offer>> {
    let said = result["capabilities"].as_object()?;
    let has = |name: &str| said.get(name).is_some_and(Value::is_object);
    let all = [
        (Offer::Tools, has("tools")),
        (Offer::Resources, has("resources")),
        (Offer::Prompts, has("prompts")),
        (Offer::Completions, has("completions")),
        (Offer::Log, has("logging")),
        (
            Offer::Subscriptions,
            said.get("resources")
                .is_some_and(|it| it["subscribe"] == true),
        ),
    ];
    let offers = all.into_iter().filter(|(_, is_offered)| *is_offered);
    Some(offers.map(|(offer, _)| offer).collect())
}

/// Whether an answer says that the server does not know what it was asked.
fn is_another_revision(failure: &Failure) -> bool {
    match failure {
        Failure::Refused(_) => true,
        Failure::Failed(error) => matches!(error, McpError::Status(400 | 404 | 405)),
    }
}

impl Failure {
    /// As an error that is told.
    pub(crate) fn error(self) -> McpError {
        match self {
            Self::Refused(raw) => {
                let error = read(&raw);
                let error = RpcError::of(error.as_ref());
                error.map_or(McpError::Malformed("its error is none"), McpError::Rpc)
            }
            Self::Failed(error) => error,
        }
    }
}

/// A name as a header carries it (2026-07-28, Streamable HTTP, "Value Encoding").
pub(super) fn header_value(name: &str) -> Option<HeaderValue> {
    let is_plain = name.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && name.trim() == name
        && !name.starts_with("=?base64?");
    if is_plain {
        return HeaderValue::from_str(name).ok();
    }
    HeaderValue::from_str(&format!("=?base64?{}?=", STANDARD.encode(name))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_session_says_what_it_is() {
        let agreed = Agreed::new(Era::Requests, WITHOUT_SESSIONS, None);
        for level in [None, Some(LogLevel::Error)] {
            let mut meta = br#""progressToken":7"#.to_vec();
            agreed.write_meta(&mut meta, level);
            let meta = format!("{{{}}}", String::from_utf8(meta).unwrap());
            let meta: Value = serde_json::from_str(&meta).unwrap();
            let mut expect = without_session();
            expect["progressToken"] = 7.into();
            if let Some(level) = level {
                expect["io.modelcontextprotocol/logLevel"] = level.name().into();
            }
            assert_eq!(meta, expect);
        }
    }

    #[test]
    fn a_name_that_no_header_carries_is_encoded() {
        let check = |name: &str, expect: &str| {
            assert_eq!(header_value(name).unwrap(), expect);
        };
        check("add", "add");
        check("ä", "=?base64?w6Q=?=");
        check(" a", "=?base64?IGE=?=");
        check("=?base64?x?=", "=?base64?PT9iYXNlNjQ/eD89?=");
    }
}
