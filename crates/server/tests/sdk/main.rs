//! The official SDKs, of the current version and of an older one, against a running server.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bailiwick_control::{Bootstrap, Control, SealingKeys};
use bailiwick_server::Service;
use bailiwick_store::{DatabaseUrl, Store};
use bailiwick_testkit::Sdk;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The current version, and the last before the wire's second version.
const PYTHON: [&str; 2] = ["2.12.0", "0.125.0"];
const NODE: [&str; 2] = ["1.12.0", "0.137.0"];

/// A server that just started for the first time, beside the test.
struct Server {
    url: String,
    key: String,
    _runtime: Runtime,
    _directory: TempDir,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let database = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        let runtime = Runtime::new().expect("a runtime");
        let (address, key) = runtime.block_on(async {
            let control = Arc::new(Control::new(
                Store::open(&database).await.expect("a store"),
                SealingKeys::generate().0,
            ));
            let first = control
                .bootstrap(Bootstrap::default())
                .await
                .expect("a first start");
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
            _runtime: runtime,
            _directory: directory,
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
fn python_makes_sessions_and_gives_them_resources() {
    for version in PYTHON {
        Server::start().drive(&Sdk::python(version), include_str!("data/sessions.py"));
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
