//! The HTTP faces, on SQLite and on PostgreSQL.

mod accounts;
mod agent_placement;
mod agents;
mod audit_log;
mod authentication;
mod bad_input;
mod connections;
mod credentials;
mod description;
mod environment_contents;
mod environments;
mod files;
mod flows;
mod form;
mod gateway_streams;
mod handing_on;
mod identity_providers;
mod impact;
mod keys;
mod llm;
mod mcp_catalog;
mod members;
mod metrics;
mod model_upstreams;
mod oauth;
#[path = "../shared/outbound.rs"]
mod outbound;
mod permissions;
mod policies;
mod references;
mod retention;
mod revisions;
mod roles;
mod secrets;
mod session_engine;
mod session_events;
mod session_lists;
mod session_references;
mod session_resources;
mod session_streams;
mod session_turns;
mod session_workers;
mod sessions;
mod skills;
mod tightening;
mod validation;
mod vaults;
mod work;
mod work_keys;
mod work_lists;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bailiwick_control::{Bootstrap, Control, SealingKeys};
use bailiwick_outbound::Outbound;
use bailiwick_server::{ConnectionLimits, Service};
use bailiwick_store::{DatabaseUrl, Store};
use bailiwick_testkit::Postgres;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

/// A server that just started for the first time.
struct Server {
    client: Client,
    address: SocketAddr,
    key: String,
    control: Arc<Control>,
    store: Store,
    url: DatabaseUrl,
    _directory: TempDir,
    _database: Option<Postgres>,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    /// As it came.
    raw: String,
    /// Read as JSON; null if it is none.
    body: Value,
}

impl Server {
    async fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        Self::on(url, directory, None).await
    }

    async fn postgres() -> Self {
        let database = Postgres::start();
        let url = format!("postgres://postgres@{}/postgres", database.address());
        let directory = tempfile::tempdir().expect("a directory");
        Self::on(url.parse().expect("a URL"), directory, Some(database)).await
    }

    /// On SQLite, with other limits than the usual ones, until `end`.
    async fn limited(
        limits: ConnectionLimits,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        Self::until(url, directory, None, limits, end, |control| control).await
    }

    async fn on(url: DatabaseUrl, directory: TempDir, database: Option<Postgres>) -> Self {
        Self::set_up(url, directory, database, |control| control).await
    }

    /// A server with this way to servers that credentials name.
    async fn with_outbound(on_postgres: bool, outbound: Outbound) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let set = |control: Control| control.with_outbound(outbound);
        if on_postgres {
            let database = Postgres::start();
            let url = format!("postgres://postgres@{}/postgres", database.address());
            return Self::set_up(url.parse().expect("a URL"), directory, Some(database), set).await;
        }
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        Self::set_up(url, directory, None, set).await
    }

    async fn set_up(
        url: DatabaseUrl,
        directory: TempDir,
        database: Option<Postgres>,
        set: impl FnOnce(Control) -> Control,
    ) -> Self {
        let (limits, end) = (ConnectionLimits::default(), std::future::pending());
        Self::until(url, directory, database, limits, end, set).await
    }

    async fn until(
        url: DatabaseUrl,
        directory: TempDir,
        database: Option<Postgres>,
        limits: ConnectionLimits,
        end: impl Future<Output = ()> + Send + 'static,
        set: impl FnOnce(Control) -> Control,
    ) -> Self {
        let store = Store::open(&url).await.expect("a store");
        let control = Arc::new(set(Control::new(store.clone(), sealing_keys(&[1]))));
        let first = control
            .bootstrap(Bootstrap::default())
            .await
            .expect("a first start");
        let service = Service::listen((Ipv4Addr::LOCALHOST, 0).into(), Arc::clone(&control))
            .await
            .expect("a port");
        let address = service.address().expect("an address");
        tokio::spawn(service.with_limits(limits).run(end));
        Self {
            client: Client::new(),
            address,
            key: first.expect("the first").key,
            control,
            store,
            url,
            _directory: directory,
            _database: database,
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.send_as(&self.key, method, path, body).await
    }

    async fn send_as(&self, key: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path).header("x-api-key", key);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        answer(request).await
    }

    /// The key of another organization's administrator.
    async fn other_organization(&self) -> String {
        let control = Control::new(self.store.clone(), sealing_keys(&[1]));
        let made = control
            .create_organization("Other", Bootstrap::default())
            .await
            .expect("another organization");
        made.key
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }
}

impl Answer {
    /// The value, if the request succeeded.
    fn ok(self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        self.body
    }

    /// A text of the value.
    fn text(&self, field: &str) -> &str {
        self.body[field]
            .as_str()
            .unwrap_or_else(|| panic!("no {field} in {self:?}"))
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// Keys by their numbers, the current one first.
fn sealing_keys(numbers: &[u8]) -> SealingKeys {
    let lines: Vec<_> = numbers
        .iter()
        .map(|number| format!("{number:02x}").repeat(32))
        .collect();
    lines.join("\n").parse().expect("keys")
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.expect("a body");
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer {
        status,
        headers,
        raw: String::from_utf8_lossy(&bytes).into_owned(),
        body,
    }
}

/// The key of the workers of a self-hosted environment.
async fn worker_key(server: &Server) -> String {
    worker(server).await.1
}

/// A self-hosted environment's id, and the key of its workers.
async fn worker(server: &Server) -> (String, String) {
    let config = serde_json::json!({"name": "workers", "config": {"type": "self_hosted"}});
    let made = server.post("/v1/environments", config).await;
    let environment = made.text("id").to_owned();
    let path = format!("/api/environments/{environment}/keys");
    let key = server
        .post(&path, serde_json::json!({"name": "worker"}))
        .await;
    (environment, key.text("key").to_owned())
}

/// Each fact, once for each database.
macro_rules! on_both {
    ($($fact:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $fact() {
                super::$fact(crate::Server::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $fact() {
                super::$fact(crate::Server::postgres().await).await;
            })+
        }
    };
}
pub(crate) use on_both;
