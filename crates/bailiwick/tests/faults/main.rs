//! `bailiwick up` while its process, or its database, is killed under load, and several of them on one database.
//!
//! What a client was told is kept outside of everything that is killed, and compared with what is there afterwards.

mod consistency;
mod events;
mod killed;
mod ledger;
mod postgres;
mod replicas;

use std::time::Duration;

use bailiwick_testkit::{Bailiwick, Child, User};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

/// The administrator's key.
const KEY: &str = "faults-0123456789-0123456789-0123456789";
/// What secrets would be sealed with.
const SECRET_KEY: &str = "0101010101010101010101010101010101010101010101010101010101010101";
/// The longest that a request may wait for an answer, whatever is broken.
const BOUND: Duration = Duration::from_secs(15);

/// A machine on which nothing was started yet.
fn machine() -> Bailiwick {
    Bailiwick::new(env!("CARGO_BIN_EXE_bailiwick"), User::current())
}

/// A server that runs.
struct Up {
    process: Child,
    face: Face,
}

/// What clients see of a server.
#[derive(Clone)]
struct Face {
    url: String,
    key: String,
    client: Client,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    should_retry: String,
    body: Value,
}

impl Up {
    /// On a database.
    fn start(machine: &Bailiwick, database_url: &str) -> Self {
        let mut command = machine.command(["up", "--listen", "127.0.0.1:0"]);
        command
            .args(["--log-level", "off", "--database-url", database_url])
            .env("BAILIWICK_BOOTSTRAP_KEY", KEY)
            .env("BAILIWICK_SECRET_KEY", SECRET_KEY);
        let process = Child::start(&mut command);
        let url = process.wait_for("where it listens", |line| {
            line.strip_prefix("listening on ").map(str::to_owned)
        });
        let client = Client::builder().timeout(BOUND).no_proxy().build();
        Self {
            process,
            face: Face {
                url,
                key: KEY.to_owned(),
                client: client.expect("a client"),
            },
        }
    }
}

impl Face {
    /// The same server, asked with another key.
    fn with_key(&self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self.clone()
        }
    }

    /// Sends a request; an error if there was no answer within [`BOUND`], or none at all.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Answer> {
        self.ask_at(method, path, None, body).await
    }

    /// As [`Self::ask`], for one version of a thing.
    async fn ask_at(
        &self,
        method: Method,
        path: &str,
        version: Option<i64>,
        body: Option<Value>,
    ) -> reqwest::Result<Answer> {
        let url = format!("{}{path}", self.url);
        let mut request = self.client.request(method, url);
        request = request.header("x-api-key", &self.key);
        if let Some(version) = version {
            request = request.header("if-match", format!("\"{version}\""));
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let retry = response.headers().get("x-should-retry");
        let should_retry = retry.and_then(|value| value.to_str().ok());
        Ok(Answer {
            status: response.status(),
            should_retry: should_retry.unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&response.bytes().await?).unwrap_or_default(),
        })
    }

    async fn get(&self, path: &str) -> reqwest::Result<Answer> {
        self.ask(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> reqwest::Result<Answer> {
        self.ask(Method::POST, path, Some(body)).await
    }
}

impl Answer {
    /// A text of the value.
    #[track_caller]
    fn text(&self, field: &str) -> &str {
        self.body[field]
            .as_str()
            .unwrap_or_else(|| panic!("no {field} in {self:?}"))
    }
}
