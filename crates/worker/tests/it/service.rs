//! A service that the test plays: a queue, a session and its events, and any answer at all where the test has one.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

pub(crate) const ENVIRONMENT: &str = "env_1";
pub(crate) const KEY: &str = "bwe_key";

/// What the test says to a request, if it says anything.
type Answers = Box<dyn Fn(&Asked) -> Option<(u16, String)> + Send + Sync>;

/// A request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) key: String,
}

pub(crate) struct FakeService {
    pub(crate) url: String,
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<Queue>,
    news: Notify,
    answers: Mutex<Option<Answers>>,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Value>,
    events: BTreeMap<String, Vec<Value>>,
    /// What each session is, if not the usual.
    sessions: BTreeMap<String, Value>,
    /// Archives of skills.
    skills: BTreeMap<String, Vec<u8>>,
    asked: Vec<Asked>,
    beats: u64,
}

impl FakeService {
    pub(crate) async fn start() -> Self {
        let inner = Arc::new(Inner {
            state: Mutex::default(),
            news: Notify::new(),
            answers: Mutex::new(None),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inner }
    }

    /// Answers otherwise from here on, where `answers` has an answer.
    pub(crate) fn lies(
        &self,
        answers: impl Fn(&Asked) -> Option<(u16, String)> + Send + Sync + 'static,
    ) {
        *self.inner.answers.lock().unwrap() = Some(Box::new(answers));
    }

    pub(crate) fn is_honest_again(&self) {
        *self.inner.answers.lock().unwrap() = None;
    }

    fn state(&self) -> MutexGuard<'_, Queue> {
        self.inner.state.lock().unwrap()
    }

    /// Puts an item for a session into the queue.
    pub(crate) fn queue(&self, session: &str) {
        self.queue_as(item(session));
    }

    pub(crate) fn queue_as(&self, item: Value) {
        self.state().items.push_back(item);
    }

    /// What a session is, besides its events.
    pub(crate) fn session_is(&self, id: &str, session: Value) {
        self.state().sessions.insert(id.to_owned(), session);
    }

    /// What the archive of a skill is.
    pub(crate) fn has_skill(&self, id: &str, archive: Vec<u8>) {
        self.state().skills.insert(id.to_owned(), archive);
    }

    /// Lets something happen in a session.
    pub(crate) fn happens(&self, session: &str, event: Value) {
        let mut state = self.state();
        state
            .events
            .entry(session.to_owned())
            .or_default()
            .push(event);
        drop(state);
        self.inner.news.notify_waiters();
    }

    /// The results that came for a call: text, and whether it is an error.
    pub(crate) fn results(&self, session: &str, call: &str) -> Vec<(String, bool)> {
        let state = self.state();
        let events = state.events.get(session).into_iter().flatten();
        let results = events
            .filter(|event| event["tool_use_id"] == call && event["type"] == "user.tool_result");
        results
            .map(|event| {
                let blocks = event["content"].as_array().unwrap();
                let texts = blocks.iter().filter_map(|block| block["text"].as_str());
                let is_error = event["is_error"].as_bool().unwrap();
                (texts.collect::<Vec<_>>().join("\n"), is_error)
            })
            .collect()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// How often a path that ends like this was asked.
    pub(crate) fn count(&self, end: &str) -> usize {
        let asked = self.asked();
        asked
            .iter()
            .filter(|asked| asked.path.ends_with(end))
            .count()
    }
}

/// An item of the usual environment.
pub(crate) fn item(session: &str) -> Value {
    let secret = json!({"sessions_token": format!("token-of-{session}")}).to_string();
    json!({
        "id": format!("work_{session}"),
        "type": "work",
        "environment_id": ENVIRONMENT,
        "state": "queued",
        "data": {"type": "session", "id": session},
        "metadata": {},
        "secret": URL_SAFE_NO_PAD.encode(secret),
    })
}

/// A call of a tool that may be run at once.
pub(crate) fn call(id: &str, tool: &str, input: Value) -> Value {
    let mut event = json!({"type": "agent.tool_use", "id": id, "name": tool});
    event["input"] = input;
    event["evaluated_permission"] = "allow".into();
    event
}

pub(crate) fn asks(id: &str, tool: &str, input: Value) -> Value {
    let mut event = call(id, tool, input);
    event["evaluated_permission"] = "ask".into();
    event
}

pub(crate) fn rests(id: &str) -> Value {
    json!({"type": "session.status_idle", "id": id, "stop_reason": {"type": "end_turn"}})
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let key = headers
        .get("authorization")
        .map(|key| key.to_str().unwrap());
    let asked = Asked {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        key: key
            .unwrap_or_default()
            .trim_start_matches("Bearer ")
            .to_owned(),
    };
    inner.state.lock().unwrap().asked.push(asked.clone());
    let lie = inner
        .answers
        .lock()
        .unwrap()
        .as_ref()
        .and_then(|answers| answers(&asked));
    if let Some((status, text)) = lie {
        let status = StatusCode::from_u16(status).unwrap();
        return (status, [("location", "/elsewhere")], text).into_response();
    }
    honest(&inner, &asked, &method, &body)
}

/// What an honest service says.
fn honest(inner: &Arc<Inner>, asked: &Asked, method: &Method, body: &Bytes) -> Response {
    let parts: Vec<_> = asked.path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["v1", "environments", _, "work", "poll"] => {
            let item = inner.state.lock().unwrap().items.pop_front();
            axum::Json(item.unwrap_or_default()).into_response()
        }
        ["v1", "environments", _, "work", _, "heartbeat"] => {
            let mut state = inner.state.lock().unwrap();
            state.beats += 1;
            let last = format!("beat-{}", state.beats);
            axum::Json(json!({"type": "work_heartbeat", "last_heartbeat": last, "lease_extended": true, "state": "active", "ttl_seconds": 2}))
                .into_response()
        }
        ["v1", "environments", _, "work", ..] => axum::Json(json!({})).into_response(),
        ["v1", "sessions", id] => {
            let known = inner.state.lock().unwrap().sessions.get(*id).cloned();
            let usual = json!({"id": id, "environment_id": ENVIRONMENT, "status": "running"});
            axum::Json(known.unwrap_or(usual)).into_response()
        }
        ["v1", "sessions", id, "events"] if *method == Method::POST => {
            let body: Value = serde_json::from_slice(body).unwrap();
            let events = body["events"].as_array().unwrap();
            let mut state = inner.state.lock().unwrap();
            state
                .events
                .entry((*id).to_owned())
                .or_default()
                .extend(events.iter().cloned());
            drop(state);
            inner.news.notify_waiters();
            axum::Json(json!({"data": []})).into_response()
        }
        ["v1", "sessions", id, "events"] => {
            let state = inner.state.lock().unwrap();
            let events = state.events.get(*id).cloned().unwrap_or_default();
            axum::Json(json!({"data": events, "next_page": null})).into_response()
        }
        ["v1", "skills", id, "versions", version] => {
            let id = format!("skillver_{id}_{version}");
            axum::Json(json!({"id": id, "type": "skill_version"})).into_response()
        }
        ["v1", "skills", id, "versions", _, "content"] => {
            let archive = inner.state.lock().unwrap().skills.get(*id).cloned();
            archive.map_or_else(
                || StatusCode::NOT_FOUND.into_response(),
                IntoResponse::into_response,
            )
        }
        ["v1", "sessions", id, "events", "stream"] => streamed(Arc::clone(inner), (*id).to_owned()),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// What happens from here on.
fn streamed(inner: Arc<Inner>, session: String) -> Response {
    let count = |inner: &Inner| {
        let state = inner.state.lock().unwrap();
        state.events.get(&session).map_or(0, Vec::len)
    };
    let seen = count(&inner);
    let frames = stream::unfold(
        (inner, session, seen),
        |(inner, session, seen)| async move {
            loop {
                let news = inner.news.notified();
                let next = {
                    let state = inner.state.lock().unwrap();
                    state
                        .events
                        .get(&session)
                        .and_then(|events| events.get(seen).cloned())
                };
                if let Some(event) = next {
                    let kind = event["type"].as_str().unwrap();
                    let frame = format!("event: {kind}\ndata: {event}\n\n");
                    let next = (Arc::clone(&inner), session, seen + 1);
                    return Some((Ok::<_, std::convert::Infallible>(frame), next));
                }
                let _ = tokio::time::timeout(std::time::Duration::from_millis(50), news).await;
            }
        },
    );
    (
        [("content-type", "text/event-stream")],
        Body::from_stream(frames),
    )
        .into_response()
}
