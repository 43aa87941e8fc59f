//! MCP servers: one that is made with the official SDK, and one that lies.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::LOOPBACK;
use super::https::python;
use crate::process::{Child, command};
use crate::{Authority, Sdk, User};

const LYING: &str = concat!(
    include_str!("../../data/tls_server.py"),
    include_str!("../../data/mcp_server.py")
);
const OFFICIAL_PYTHON: &str = include_str!("../../data/mcp_official.py");
const PYTHON_VERSION: &str = "1.30.0";
const OFFICIAL_TYPESCRIPT: &str = include_str!("../../data/mcp_official.mjs");
const TYPESCRIPT_VERSION: &str = "1.32.2";
const CONFORMANCE: &str = include_str!("../../data/mcp_conformance.mjs");
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);

/// An MCP server over TLS, on some port of 127.0.0.1.
#[derive(Debug)]
pub struct McpServer {
    process: Child,
    address: SocketAddr,
}

impl McpServer {
    /// One of the official SDK of Python, at `/mcp`, and by the older transport at `/sse`, with a certificate for `names`. It takes this token
    /// alone, or whoever comes if it is empty. Its tools: `add`, `count`, `picture`, `fail`, `report`, `wait`, `long`, `whoami`, `grow`.
    pub fn official(authority: &Authority, names: &[&str], token: &str) -> Self {
        let command = Sdk::mcp_python(PYTHON_VERSION).command(OFFICIAL_PYTHON);
        Self::started_official(command, authority, names, token)
    }

    /// The same of the official SDK of TypeScript.
    pub fn official_typescript(authority: &Authority, names: &[&str], token: &str) -> Self {
        let command = Sdk::mcp_typescript(TYPESCRIPT_VERSION).command(OFFICIAL_TYPESCRIPT);
        Self::started_official(command, authority, names, token)
    }

    /// The one of the official SDK of TypeScript that the official conformance suite asks for, at every path, without TLS.
    pub fn conformance() -> Self {
        let mut node = Sdk::mcp_typescript(TYPESCRIPT_VERSION).command(CONFORMANCE);
        node.arg(LOOPBACK.to_string());
        Self::started(Child::start_helper(&mut node))
    }

    fn started_official(
        mut command: Command,
        authority: &Authority,
        names: &[&str],
        token: &str,
    ) -> Self {
        let certificate = authority.issue(names);
        command
            .arg(LOOPBACK.to_string())
            .args([certificate.certificate, certificate.key])
            .arg(token);
        Self::started(Child::start_helper(&mut command))
    }

    /// One that is honest at `/honest`, and lies in one way at every other path: see its script.
    pub fn lying(authority: &Authority, names: &[&str]) -> Self {
        let certificate = authority.issue(names);
        let mut python = command(python(), User::current());
        python
            .args(["-c", LYING, &LOOPBACK.to_string()])
            .args([certificate.certificate, certificate.key]);
        Self::started(Child::start_helper(&mut python))
    }

    fn started(process: Child) -> Self {
        let port = process.wait_for("the server's port", |line| {
            serde_json::from_str::<Value>(line).ok()?["port"].as_u64()
        });
        let address = SocketAddr::new(LOOPBACK, u16::try_from(port).expect("a port"));
        Self { process, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests that have reached it.
    pub fn requests(&self) -> Vec<Value> {
        self.said("request")
    }

    /// Everything that it said of a kind.
    pub fn said(&self, kind: &str) -> Vec<Value> {
        let lines = self.process.printed();
        let objects = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        objects
            .filter_map(|mut object| object.get_mut(kind).map(Value::take))
            .collect()
    }

    /// Waits until it has said so many things of a kind. Others may go on meanwhile.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub async fn says(&self, kind: &str, count: usize) {
        let says = async {
            while self.said(kind).len() < count {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let said = tokio::time::timeout(PATIENCE, says).await;
        said.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain: {kind}"));
    }
}
