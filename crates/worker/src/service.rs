//! The service whose queue a worker serves: one function for each route that it asks, every answer bounded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::limits::{
    AGENT_SKILLS, WORK_BLOCK_MS, WORKER_ANSWER_BYTES, WORKER_HISTORY_PAGES, WORKER_TIMEOUT,
};
use bailiwick_tools::ToolResult;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use url::Url;

use crate::error::ServiceError;
use crate::id::WireId;
use crate::stream::Events;

/// Versions of the wire API (the official SDKs send them on every request).
const VERSION: &str = "2023-06-01";
const BETA: &str = "managed-agents-2026-04-01";
/// What a first heartbeat expects.
const NO_HEARTBEAT: &str = "NO_HEARTBEAT";
/// Characters of what a service says that go into a log.
const MESSAGE_CHARS: usize = 300;

/// A key of an environment, or the token of an item. It does not print.
#[derive(Clone)]
pub struct Key(HeaderValue);

/// A text that no header can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is not a key")]
pub struct NotAKey;

impl Key {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// It is empty, or has characters that no key has.
    pub fn read(text: &str) -> Result<Self, NotAKey> {
        if text.is_empty() {
            return Err(NotAKey);
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| NotAKey)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// A service, as the holder of one key sees it.
#[derive(Clone)]
pub struct Service {
    http: reqwest::Client,
    base: Arc<Url>,
    key: Key,
}

/// An item that was handed out.
#[derive(Debug, Deserialize)]
pub(crate) struct Work {
    pub(crate) id: WireId,
    pub(crate) environment_id: WireId,
    data: Data,
    secret: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Data {
    r#type: String,
    id: String,
}

impl Work {
    /// The session that it is about, if it is about one.
    pub(crate) fn session(&self) -> Option<WireId> {
        (self.data.r#type == "session").then(|| self.data.id.parse().ok())?
    }

    /// The key that serves it, if it came with one.
    pub(crate) fn key(&self) -> Option<Key> {
        #[derive(Deserialize)]
        struct Secret {
            sessions_token: String,
        }
        let secret = self.secret.as_deref()?.trim_end_matches('=');
        let secret = URL_SAFE_NO_PAD.decode(secret).ok()?;
        let secret: Secret = serde_json::from_slice(&secret).ok()?;
        Key::read(&secret.sessions_token).ok()
    }
}

/// What became of a heartbeat.
#[derive(Debug, Deserialize)]
pub(crate) struct Beat {
    /// To be sent with the next one, to the letter.
    pub(crate) last_heartbeat: String,
    lease_extended: bool,
    state: String,
    ttl_seconds: i64,
}

impl Beat {
    /// Whether the item is still to be served.
    pub(crate) fn goes_on(&self) -> bool {
        self.lease_extended && !matches!(self.state.as_str(), "stopping" | "stopped")
    }

    /// How long the lease lasts.
    pub(crate) fn lease(&self) -> Option<Duration> {
        let seconds = u64::try_from(self.ttl_seconds).ok()?;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }
}

/// A session, as far as it matters.
#[derive(Debug, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: WireId,
    pub(crate) environment_id: WireId,
    status: String,
    #[serde(default)]
    agent: Agent,
}

#[derive(Debug, Default, Deserialize)]
struct Agent {
    #[serde(default)]
    skills: Vec<SkillOfAgent>,
}

/// A skill that an agent has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct SkillOfAgent {
    pub(crate) skill_id: WireId,
    /// None for the latest.
    version: Option<WireId>,
}

/// A version of a skill, as far as it matters.
#[derive(Debug, Deserialize)]
struct SkillVersion {
    id: WireId,
}

impl Session {
    pub(crate) fn has_ended(&self) -> bool {
        self.status == "terminated"
    }

    /// The skills of its agent; an agent of the wire API has no more than some.
    pub(crate) fn into_skills(self) -> Result<Vec<SkillOfAgent>, ServiceError> {
        if self.agent.skills.len() > AGENT_SKILLS {
            return Err(ServiceError::TooLarge("the skills of an agent"));
        }
        Ok(self.agent.skills)
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    next_page: Option<String>,
}

impl Service {
    /// The service at `base`, through `http`, which must follow no redirections: nobody else gets the key.
    pub fn new(http: reqwest::Client, base: Url, key: Key) -> Self {
        let base = Arc::new(base);
        Self { http, base, key }
    }

    /// The same for the holder of another key.
    pub(crate) fn with_key(&self, key: Key) -> Self {
        Self {
            key,
            ..self.clone()
        }
    }

    /// The next item of a queue, if there is one, or comes in time.
    pub(crate) async fn poll(
        &self,
        environment: &WireId,
        name: &str,
    ) -> Result<Option<Work>, ServiceError> {
        let mut url = self.url(&["v1", "environments", environment.as_str(), "work", "poll"])?;
        url.query_pairs_mut()
            .append_pair("block_ms", &WORK_BLOCK_MS.to_string());
        let request = self.request(Method::GET, url);
        let request = request.header("anthropic-worker-id", name);
        let text = self.text(request).await?;
        // Some services have nothing where others have `null`.
        if text.trim().is_empty() {
            return Ok(None);
        }
        read(&text, "a poll")
    }

    /// Says that an item has arrived.
    pub(crate) async fn acknowledge(&self, work: &Work) -> Result<(), ServiceError> {
        let url = self.of_item(work, "ack")?;
        self.text(self.request(Method::POST, url)).await.map(drop)
    }

    /// Keeps an item, `last` being what the heartbeat before was told.
    pub(crate) async fn heartbeat(
        &self,
        work: &Work,
        last: Option<&str>,
        lease: Option<Duration>,
    ) -> Result<Beat, ServiceError> {
        let mut url = self.of_item(work, "heartbeat")?;
        let expected = last.unwrap_or(NO_HEARTBEAT);
        url.query_pairs_mut()
            .append_pair("expected_last_heartbeat", expected);
        if let Some(lease) = lease {
            let seconds = lease.as_secs().max(1).to_string();
            url.query_pairs_mut()
                .append_pair("desired_ttl_seconds", &seconds);
        }
        let text = self.text(self.request(Method::POST, url)).await?;
        read(&text, "a heartbeat")
    }

    /// Ends an item. One that has ended already is no error.
    pub(crate) async fn stop(&self, work: &Work) -> Result<(), ServiceError> {
        let url = self.of_item(work, "stop")?;
        let request = self
            .request(Method::POST, url)
            .json(&json!({"force": true}));
        match self.text(request).await {
            Ok(_) | Err(ServiceError::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A session.
    pub(crate) async fn session(&self, id: &WireId) -> Result<Session, ServiceError> {
        let url = self.url(&["v1", "sessions", id.as_str()])?;
        read(
            &self.text(self.request(Method::GET, url)).await?,
            "a session",
        )
    }

    /// The archive of a skill.
    pub(crate) async fn skill(&self, skill: &SkillOfAgent) -> Result<Vec<u8>, ServiceError> {
        let versions = ["v1", "skills", skill.skill_id.as_str(), "versions"];
        let version = skill.version.as_ref().map_or("latest", WireId::as_str);
        let url = self.url(&[&versions[..], &[version]].concat())?;
        let found = self.text(self.request(Method::GET, url)).await?;
        let found: SkillVersion = read(&found, "a version of a skill")?;
        let url = self.url(&[&versions[..], &[found.id.as_str(), "content"]].concat())?;
        bytes(self.begin(self.request(Method::GET, url)).await?).await
    }

    /// Hands every event of a session to `take`, in order.
    pub(crate) async fn history(
        &self,
        session: &WireId,
        mut take: impl FnMut(&str) -> Result<(), ServiceError>,
    ) -> Result<(), ServiceError> {
        let mut page: Option<String> = None;
        for _ in 0..WORKER_HISTORY_PAGES {
            let mut url = self.url(&["v1", "sessions", session.as_str(), "events"])?;
            url.query_pairs_mut().append_pair("limit", "1000");
            if let Some(page) = &page {
                url.query_pairs_mut().append_pair("page", page);
            }
            let text = self.text(self.request(Method::GET, url)).await?;
            let found: Page<'_> = read(&text, "a list of events")?;
            for event in &found.data {
                take(event.get())?;
            }
            match found.next_page.filter(|next| !next.is_empty()) {
                None => return Ok(()),
                next if next == page => {
                    return Err(ServiceError::NotUnderstood("a list that does not go on"));
                }
                next => page = next,
            }
        }
        Err(ServiceError::TooLarge("the list of a session's events"))
    }

    /// The events of a session from now on.
    pub(crate) async fn events(&self, session: &WireId) -> Result<Events, ServiceError> {
        let url = self.url(&["v1", "sessions", session.as_str(), "events", "stream"])?;
        // It has no end of its own; what is silent is given up where it is read.
        let request = self.request(Method::GET, url).timeout(Duration::MAX);
        Ok(Events::new(self.begin(request).await?))
    }

    /// Sends what a call came to.
    pub(crate) async fn answer(
        &self,
        session: &WireId,
        call: &WireId,
        result: &ToolResult,
    ) -> Result<(), ServiceError> {
        let url = self.url(&["v1", "sessions", session.as_str(), "events"])?;
        let event = json!({
            "type": "user.tool_result",
            "tool_use_id": call,
            "content": result.content,
            "is_error": result.is_error,
        });
        let request = self.request(Method::POST, url);
        let request = request.json(&json!({"events": [event]}));
        self.text(request).await.map(drop)
    }

    fn of_item(&self, work: &Work, verb: &str) -> Result<Url, ServiceError> {
        let (environment, item) = (work.environment_id.as_str(), work.id.as_str());
        self.url(&["v1", "environments", environment, "work", item, verb])
    }

    fn url(&self, path: &[&str]) -> Result<Url, ServiceError> {
        let mut url = Url::clone(&self.base);
        url.path_segments_mut()
            .map_err(|()| ServiceError::NotUnderstood("its address"))?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http
            .request(method, url)
            .timeout(WORKER_TIMEOUT)
            .header("authorization", self.key.0.clone())
            .header("anthropic-version", VERSION)
            .header("anthropic-beta", BETA)
    }

    /// A whole answer that says yes.
    async fn text(&self, request: RequestBuilder) -> Result<String, ServiceError> {
        bounded(self.begin(request).await?).await
    }

    async fn begin(&self, request: RequestBuilder) -> Result<Response, ServiceError> {
        let answer = request.send().await.map_err(ServiceError::Unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        // What it says besides is for the log alone.
        let text = bounded(answer).await.unwrap_or_default();
        Err(refusal(status, &text))
    }
}

async fn bounded(answer: Response) -> Result<String, ServiceError> {
    let bytes = bytes(answer).await?;
    String::from_utf8(bytes).map_err(|_| ServiceError::NotUnderstood("it is not UTF-8"))
}

async fn bytes(mut answer: Response) -> Result<Vec<u8>, ServiceError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(ServiceError::Unreachable)? {
        if bytes.len() + chunk.len() > WORKER_ANSWER_BYTES {
            return Err(ServiceError::TooLarge("one answer"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn read<'a, T: Deserialize<'a>>(text: &'a str, what: &'static str) -> Result<T, ServiceError> {
    serde_json::from_str(text).map_err(|_| ServiceError::NotUnderstood(what))
}

fn refusal(status: StatusCode, text: &str) -> ServiceError {
    let said: Option<Value> = serde_json::from_str(text).ok();
    let said = said
        .as_ref()
        .and_then(|said| said.pointer("/error/message"));
    let said = said
        .and_then(Value::as_str)
        .unwrap_or("it does not say why");
    let safe = said.chars().map(|c| if c.is_control() { ' ' } else { c });
    let message: String = safe.take(MESSAGE_CHARS).collect();
    match status {
        StatusCode::PRECONDITION_FAILED => ServiceError::LeaseLost,
        StatusCode::CONFLICT => ServiceError::Conflict(message),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            let status = status.as_u16();
            ServiceError::Later { status, message }
        }
        status if status.is_client_error() || status.is_redirection() => {
            let status = status.as_u16();
            ServiceError::Refused { status, message }
        }
        status => {
            let status = status.as_u16();
            ServiceError::Later { status, message }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_print() {
        let key = Key::read("bwe_secret").unwrap();
        assert_eq!(format!("{key:?}"), "Key(…)");
        for bad in ["", "a\nb", "a\0"] {
            assert!(Key::read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_item_of_something_else_is_no_session() {
        let work = |data: &str| {
            let json = format!(
                r#"{{"id":"work_1","environment_id":"env_1","data":{data},"secret":null}}"#
            );
            serde_json::from_str::<Work>(&json).unwrap()
        };
        let session = work(r#"{"type":"session","id":"sesn_1"}"#).session();
        assert_eq!(session, Some("sesn_1".parse().unwrap()));
        assert_eq!(work(r#"{"type":"healthcheck","id":"x"}"#).session(), None);
        assert_eq!(
            work(r#"{"type":"session","id":"../../etc"}"#).session(),
            None
        );
    }

    #[test]
    fn a_refusal_says_whether_to_ask_again_and_has_no_control_characters() {
        let body = r#"{"error":{"message":"no\u001b[2J"}}"#;
        let told = |status: u16| refusal(StatusCode::from_u16(status).unwrap(), body);
        for (status, transient) in [
            (401, false),
            (404, false),
            (302, false),
            (429, true),
            (500, true),
            (529, true),
        ] {
            assert_eq!(told(status).is_transient(), transient, "{status}");
        }
        assert!(matches!(told(412), ServiceError::LeaseLost));
        assert_eq!(
            told(400).to_string(),
            "the service refused: no [2J (status 400)"
        );
    }
}
