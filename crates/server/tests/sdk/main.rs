//! The official SDKs, of the current version and of an older one, and what an OpenAPI document makes of itself, against a running server.

mod document;
mod engine;
#[path = "../shared/outbound.rs"]
mod outbound;

use std::net::Ipv4Addr;
use std::sync::Arc;

use bailiwick_control::{Bootstrap, Control, SealingKeys};
use bailiwick_server::Service;
use bailiwick_store::{DatabaseUrl, Store};
use bailiwick_testkit::{Authority, HttpsServer, Postgres, Sdk};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The current version, and the last before the wire's second version.
const PYTHON: [&str; 2] = ["2.12.0", "0.125.0"];
const NODE: [&str; 2] = ["1.12.0", "0.137.0"];

/// A server that just started for the first time, beside the test.
struct Server {
    url: String,
    key: String,
    runtime: Runtime,
    _directory: TempDir,
    _database: Option<Postgres>,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        Self::on(&url, directory, None, |control| control)
    }

    /// Beside an authorization server and an MCP server, and the URL of these.
    fn with_oauth() -> (Self, HttpsServer, String) {
        let (authority, name) = (Authority::new(), "mcp.example.com");
        let oauth = HttpsServer::oauth(&authority, &[name]);
        let outbound = outbound::outbound(&authority, &format!("{name}={}", oauth.address()));
        let directory = tempfile::tempdir().expect("a directory");
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        let set = |control: Control| control.with_outbound(outbound);
        let oauth_url = format!("https://{name}:{}", oauth.address().port());
        (Self::on(&url, directory, None, set), oauth, oauth_url)
    }

    fn on_postgres() -> Self {
        let (directory, database) = (tempfile::tempdir().expect("a directory"), Postgres::start());
        let url = format!("postgres://postgres@{}/postgres", database.address());
        Self::on(
            &url.parse().expect("a URL"),
            directory,
            Some(database),
            |control| control,
        )
    }

    fn on(
        url: &DatabaseUrl,
        directory: TempDir,
        database: Option<Postgres>,
        set: impl FnOnce(Control) -> Control,
    ) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let (address, key) = runtime.block_on(async {
            let store = Store::open(url).await.expect("a store");
            let control = Arc::new(set(Control::new(store, SealingKeys::generate().0)));
            let first = control
                .bootstrap(Bootstrap::default())
                .await
                .expect("a first start");
            tokio::spawn(engine::run(Arc::clone(&control)));
            let service = Service::listen((Ipv4Addr::LOCALHOST, 0).into(), control)
                .await
                .expect("a port");
            let address = service.address().expect("an address");
            tokio::spawn(service.run(std::future::pending()));
            (address, first.expect("the first").key)
        });
        Self {
            url: format!("http://{address}"),
            key,
            runtime,
            _directory: directory,
            _database: database,
        }
    }

    fn drive(&self, sdk: &Sdk, script: &str) {
        let printed = sdk.run(script, &[&self.url, &self.key]);
        assert!(printed.starts_with("done"), "{printed}");
    }
}

#[test]
fn python_makes_changes_lists_and_deletes_environments() {
    for version in PYTHON {
        Server::start().drive(&Sdk::python(version), include_str!("data/environments.py"));
    }
}

#[test]
fn node_makes_the_environment_of_the_documentation() {
    for version in NODE {
        Server::start().drive(&Sdk::node(version), include_str!("data/environments.mjs"));
    }
}

#[test]
fn python_makes_changes_and_archives_agents() {
    for version in PYTHON {
        Server::start().drive(&Sdk::python(version), include_str!("data/agents.py"));
    }
}

#[test]
fn python_uploads_files_and_packs_skills() {
    for version in PYTHON {
        Server::start().drive(&Sdk::python(version), include_str!("data/files.py"));
    }
}

#[test]
fn python_keeps_credentials_in_vaults() {
    for version in PYTHON {
        Server::start().drive(&Sdk::python(version), include_str!("data/vaults.py"));
    }
}

#[test]
fn python_validates_credentials_against_their_servers() {
    for version in PYTHON {
        let (server, _oauth, url) = Server::with_oauth();
        let script = include_str!("data/validation.py");
        let printed = Sdk::python(version).run(script, &[&server.url, &server.key, &url]);
        assert!(printed.starts_with("done"), "{printed}");
    }
}

#[test]
fn node_validates_credentials_against_their_servers() {
    for version in NODE {
        let (server, _oauth, url) = Server::with_oauth();
        let script = include_str!("data/validation.mjs");
        let printed = Sdk::node(version).run(script, &[&server.url, &server.key, &url]);
        assert!(printed.starts_with("done"), "{printed}");
    }
}

#[test]
fn python_makes_sessions_and_gives_them_resources() {
    for version in PYTHON {
        Server::start().drive(&Sdk::python(version), include_str!("data/sessions.py"));
    }
}

#[test]
fn python_sends_and_streams_events() {
    for version in PYTHON {
        Server::start().drive(&Sdk::python(version), include_str!("data/events.py"));
    }
    Server::on_postgres().drive(&Sdk::python(PYTHON[0]), include_str!("data/events.py"));
}

#[test]
fn node_sends_and_streams_events() {
    for version in NODE {
        Server::start().drive(&Sdk::node(version), include_str!("data/events.mjs"));
    }
}

#[test]
fn python_works_through_a_queue_and_its_worker_serves_it() {
    for version in PYTHON {
        Server::start().drive(&Sdk::python(version), include_str!("data/work.py"));
    }
}

#[test]
fn node_makes_sessions_and_its_worker_serves_them() {
    for version in NODE {
        Server::start().drive(&Sdk::node(version), include_str!("data/sessions.mjs"));
    }
}

#[test]
fn the_script_of_the_guide_runs_as_it_stands() {
    let guide = include_str!("../../../../docs/getting-started.md");
    let (_, rest) = guide.split_once("```python\n").expect("a script");
    let (script, _) = rest.split_once("```").expect("its end");
    let (server, sdk) = (Server::start(), Sdk::python(PYTHON[0]));
    let mut python = sdk.command(script);
    python
        .env("ANTHROPIC_BASE_URL", &server.url)
        .env("ANTHROPIC_API_KEY", &server.key);
    let output = python.output().expect("it starts");
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.stdout, b"Default cloud\n", "{complained}");
}
