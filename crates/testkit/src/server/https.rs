//! HTTPS, served by a real TLS library in a process of its own.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde_json::Value;

use super::LOOPBACK;
use crate::process::{Child, command};
use crate::{Authority, User};

const SCRIPT: &str = concat!(
    include_str!("../../data/tls_server.py"),
    include_str!("../../data/https_server.py")
);

const OAUTH_SCRIPT: &str = concat!(
    include_str!("../../data/tls_server.py"),
    include_str!("../../data/oauth_server.py")
);

/// Answers every request with a JSON object: `method`, `path`, `host`, `headers`, `body`, `sni`.
#[derive(Debug)]
pub struct HttpsServer {
    process: Child,
    address: SocketAddr,
}

impl HttpsServer {
    /// On 127.0.0.1, with a certificate for `names`.
    pub fn start(authority: &Authority, names: &[&str]) -> Self {
        Self::start_at(authority, names, LOOPBACK)
    }

    /// On any address of this machine.
    pub fn start_at(authority: &Authority, names: &[&str], address: IpAddr) -> Self {
        Self::run(SCRIPT, authority, names, address)
    }

    /// An authorization server (`/token`) and an MCP server (`/mcp`) instead, with what misbehaves below both: see its script.
    pub fn oauth(authority: &Authority, names: &[&str]) -> Self {
        Self::run(OAUTH_SCRIPT, authority, names, LOOPBACK)
    }

    fn run(script: &str, authority: &Authority, names: &[&str], address: IpAddr) -> Self {
        let certificate = authority.issue(names);
        let mut python = command(python(), User::current());
        python
            .args(["-c", script, &address.to_string()])
            .args([certificate.certificate, certificate.key]);
        let process = Child::start_helper(&mut python);
        let port = process.wait_for("the server's port", |line| {
            serde_json::from_str::<Value>(line).ok()?["port"].as_u64()
        });
        Self {
            process,
            address: SocketAddr::new(address, u16::try_from(port).expect("a port")),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections have reached it, with or without TLS.
    pub fn connections(&self) -> usize {
        self.said("connection").len()
    }

    /// The requests that have reached it, as it answered them.
    pub fn requests(&self) -> Vec<Value> {
        self.said("request")
    }

    fn said(&self, kind: &str) -> Vec<Value> {
        let lines = self.process.printed();
        let objects = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        objects
            .filter_map(|mut object| object.get_mut(kind).map(Value::take))
            .collect()
    }
}

/// Debian's, not one that a version manager puts in front of it: its shim takes longer than the server.
pub(crate) fn python() -> &'static Path {
    let debian = Path::new("/usr/bin/python3");
    if debian.exists() {
        debian
    } else {
        Path::new("python3")
    }
}
