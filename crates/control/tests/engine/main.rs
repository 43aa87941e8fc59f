//! Sessions at work, on SQLite, with a scripted model behind real HTTP. What runs tools is scripted too: sandboxes have their own tests.

#![recursion_limit = "256"]

mod errors;
mod knowledge;
#[cfg(feature = "system-tests")]
mod mcp;
#[cfg(feature = "system-tests")]
mod mcp_attacks;
#[cfg(feature = "system-tests")]
mod mcp_credentials;
#[cfg(feature = "system-tests")]
mod mcp_news;
mod mishaps;
mod pages;
mod takeover;
mod turns;
mod upstreams;
mod workplace;

use std::sync::Arc;
use std::time::Duration;

use bailiwick_control::{Bootstrap, Caller, Control, Credentials, Engine, Models, SealingKeys};
use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_fetch::Web;
use bailiwick_llm::{Authentication, BaseUrl, Client, Protocol, Timeouts, Upstream};
use bailiwick_model::{SessionId, SessionStatus};
use bailiwick_outbound::{Outbound, Way};
use bailiwick_policy::HostFacts;
use bailiwick_store::{DatabaseUrl, Order, SessionEventFilter, SessionEventPage, Store};
use bailiwick_testkit::{ModelScript, ModelServer, ModelStep};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use workplace::Workplace;

/// What no test comes near unless something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// An organization with an agent, and a model for it.
struct Place {
    store: Store,
    control: Arc<Control>,
    caller: Caller,
    model: ModelServer,
    workplace: Arc<Workplace>,
    agent: String,
    environment: String,
    _directory: TempDir,
}

/// An engine that runs until it is stopped.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// As if its process were killed.
    fn kill(self) {
        self.task.abort();
    }
}

impl Place {
    async fn new(steps: impl IntoIterator<Item = ModelStep>) -> Self {
        Self::with_agent(
            steps,
            json!({"tools": [{"type": "agent_toolset_20260401"}]}),
        )
        .await
    }

    async fn with_agent(steps: impl IntoIterator<Item = ModelStep>, parts: Value) -> Self {
        Self::with(steps, parts, |control| control).await
    }

    async fn with(
        steps: impl IntoIterator<Item = ModelStep>,
        parts: Value,
        set: impl FnOnce(Control) -> Control,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        let store = Store::open(&url).await.unwrap();
        let control = Control::new(
            store.clone(),
            "01".repeat(32).parse::<SealingKeys>().unwrap(),
        );
        let control = set(control);
        let first = control.bootstrap(Bootstrap::default()).await.unwrap();
        let credentials = Credentials {
            key: &first.unwrap().key,
            address: None,
        };
        let caller = control.authenticate(credentials).await.unwrap();
        let mut agent =
            json!({"name": "worker", "model": "claude-sonnet-4-5", "system": "Be brief."});
        agent.as_object_mut().unwrap().extend(object(parts));
        let agent = control.create_agent(&caller, &object(agent)).await.unwrap();
        let environments = control.environments(&caller, &page(), false).await.unwrap();
        Self {
            agent: agent.id.to_string(),
            environment: environments.items[0].environment.id.to_string(),
            control: Arc::new(control),
            caller,
            store,
            model: ModelServer::start(ModelScript::of(steps)),
            workplace: Arc::default(),
            _directory: directory,
        }
    }

    /// The same with another model.
    fn saying(self, steps: impl IntoIterator<Item = ModelStep>) -> Self {
        Self {
            model: ModelServer::start(ModelScript::of(steps)),
            ..self
        }
    }

    /// Until the model is asked, and its answer is on its way.
    async fn model_answers(&self) {
        while self.model.streaming() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Another server on the same database.
    fn start(&self) -> Running {
        self.start_with(self.models(&[]), None)
    }

    /// The server's own upstream, and the way to those of organizations, with these names on loopback.
    fn models(&self, pins: &[String]) -> Models {
        let client = Client::new(&outbound(&[]), Way::Operator, Timeouts::default());
        let upstream = Upstream {
            base: BaseUrl::accepting_plain_http(&self.model.url()).unwrap(),
            protocol: Protocol::Messages,
            authentication: Authentication::ApiKey("sk-test".parse().unwrap()),
        };
        Models::new(Some((client, upstream)), Some(outbound(pins)))
    }

    fn start_with(&self, models: Models, web: Option<Web>) -> Running {
        let workplaces = Arc::clone(&self.workplace) as Arc<dyn bailiwick_control::Workplaces>;
        let engine = Engine::new(Arc::clone(&self.control), models, workplaces, web);
        let stop = CancellationToken::new();
        let task = tokio::spawn(engine.run(stop.clone()));
        Running { stop, task }
    }

    async fn session(&self, text: &str) -> SessionId {
        self.session_with(text, json!({})).await
    }

    async fn session_with(&self, text: &str, parts: Value) -> SessionId {
        let mut body = json!({
            "agent": self.agent,
            "environment_id": self.environment,
            "initial_events": [message(text)],
        });
        body.as_object_mut().unwrap().extend(object(parts));
        let made = self
            .control
            .create_session(&self.caller, &object(body))
            .await;
        made.unwrap().session.id
    }

    async fn send(&self, session: &SessionId, events: Value) {
        let body = object(json!({"events": events}));
        let sent = self.control.send_events(&self.caller, session, &body).await;
        sent.unwrap();
    }

    /// Waits until the session rests, and returns all that happened in it.
    async fn rested(&self, session: &SessionId) -> Vec<Value> {
        let rests = async {
            loop {
                let view = self.control.session(&self.caller, session).await.unwrap();
                if view.session.status == SessionStatus::Idle {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, rests).await.is_err() {
            panic!("it does not rest: {:#?}", self.events(session).await);
        }
        let events = self.events(session).await;
        requests_have_ended(&events);
        events
    }

    /// Waits until so many events of a kind have happened.
    async fn happened(&self, session: &SessionId, kind: &str, count: usize) -> Vec<Value> {
        let happens = async {
            loop {
                let events = self.events(session).await;
                if of_kind(&events, kind).len() >= count {
                    return events;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, happens).await;
        waited.unwrap_or_else(|_| panic!("no {count} events {kind}"))
    }

    async fn events(&self, session: &SessionId) -> Vec<Value> {
        let scope = self.store.scope(self.caller.organization());
        let page = SessionEventPage {
            order: Order::OldestFirst,
            after: None,
            limit: 1000,
        };
        let filter = SessionEventFilter::of_session();
        let events = scope.session_events(session, page, &filter).await.unwrap();
        let shown = events.into_iter().map(|event| {
            let mut body: Value = serde_json::from_str(&event.body).unwrap();
            body["id"] = json!(event.id);
            body["type"] = json!(event.kind.as_str());
            body
        });
        shown.collect()
    }
}

/// With these names on loopback.
fn dialer(pins: &[String]) -> Arc<Dialer> {
    let (_, host) = watch::channel(Arc::new(HostFacts::unknown()));
    let pins = pins.iter().map(|pin| pin.parse().unwrap());
    Arc::new(Dialer::new(DialOptions {
        pins: pins.collect(),
        ..DialOptions::new(host)
    }))
}

/// The way to these names on loopback.
fn outbound(pins: &[String]) -> Outbound {
    Outbound::trusting_this_machine(dialer(pins)).unwrap()
}

fn page<I>() -> bailiwick_store::PageRequest<I> {
    bailiwick_store::PageRequest {
        before: None,
        limit: 10,
    }
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else {
        panic!("{value} is no object");
    };
    map
}

/// Each that began has ended once.
fn requests_have_ended(events: &[Value]) {
    let of = |kind, id: &str| -> Vec<String> {
        let found = of_kind(events, kind).into_iter();
        let mut ids: Vec<_> = found
            .map(|event| event[id].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    };
    let begun = of("span.model_request_start", "id");
    let ended = of("span.model_request_end", "model_request_start_id");
    assert_eq!(begun, ended, "{events:#?}");
}

fn message(text: &str) -> Value {
    json!({"type": "user.message", "content": [{"type": "text", "text": text}]})
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event["type"] == kind)
        .collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

/// Why the session rests.
fn stop_reason(events: &[Value]) -> &Value {
    let idle = of_kind(events, "session.status_idle");
    &idle.last().expect("it rests")["stop_reason"]
}

/// The text of an event's content.
fn text(event: &Value) -> &str {
    event["content"][0]["text"].as_str().unwrap_or_default()
}
