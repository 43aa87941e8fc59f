//! MCP gateways: calls of a tool that answers at once, beside what else stands between clients and servers.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::turns::{Contestant, Rates, line_up, take_rates};
use super::wire::{PATIENCE, ask, made};
use crate::http_load::is_whole;
use crate::os;
use crate::peers::Stage;
use crate::peers::control_plane::{Place, Server};
use crate::peers::proxies::Proxy;
use crate::peers::tool_proxies::{fastmcp, mcp_proxy, mcp_proxy_node};
use crate::protocol::{HttpLoad, HttpRequest, Timed};
use crate::report::{BAILIWICK, Report};
use crate::tools::WORD;
use crate::worker::Worker;

/// At once, in one session.
const CONNECTIONS: [usize; 2] = [1, 32];
const REVISION: &str = "2025-06-18";

/// Somebody who passes calls on, or answers them, and a session with it.
struct Passer {
    client: Worker,
    address: SocketAddr,
    path: String,
    key: String,
    /// What it calls the tool.
    tool: &'static str,
    headers: Vec<(String, String)>,
    _proxy: Option<Proxy>,
    _server: Option<Server>,
}

impl Passer {
    fn new(stage: &Stage, address: SocketAddr, path: &str, tool: &'static str) -> Result<Self> {
        Self {
            client: Worker::start("the client", stage.role("http-load"))?,
            address,
            path: path.to_owned(),
            key: String::new(),
            tool,
            headers: vec![header("accept", "application/json, text/event-stream")],
            _proxy: None,
            _server: None,
        }
        .begun()
    }

    fn through(stage: &Stage, proxy: Proxy, path: &str, tool: &'static str) -> Result<Self> {
        let this = Self::new(stage, proxy.address, path, tool)?;
        Ok(Self {
            _proxy: Some(proxy),
            ..this
        })
    }

    /// Bailiwick's server: a gateway of the Default environment to all of its servers, and a virtual key of it.
    fn bailiwick(stage: &Stage, place: &Place, tools: SocketAddr) -> Result<Self> {
        let pin = format!("tools.test={tools}");
        let server = Server::with_options(stage, place, &["--resolve", &pin])?;
        let address = server.address;
        let environments = ask(address, "GET", "/api/environments", "")?;
        let environment = &environments["data"][0]["id"];
        let url = format!("http://tools.test:{}/mcp", tools.port());
        let entry = json!({"name": "tools", "environment_id": environment, "url": url});
        made(address, "/api/mcp-catalog", &entry)?;
        let gateway =
            json!({"name": "bench", "environment_id": environment, "access": "all_tools"});
        let gateway = made(address, "/api/mcp-gateways", &gateway)?;
        let keys = format!("/api/mcp-gateways/{gateway}/keys");
        let key = ask(
            address,
            "POST",
            &keys,
            &json!({"name": "bench"}).to_string(),
        )?;
        let key = key["key"].as_str().context("no key")?;
        let this = Self {
            client: Worker::start("the client", stage.role("http-load"))?,
            address,
            path: format!("/mcp/{gateway}"),
            key: key.to_owned(),
            tool: "tools__echo",
            headers: vec![header("accept", "application/json, text/event-stream")],
            _proxy: None,
            _server: Some(server),
        };
        this.begun()
    }

    /// The same with a session, in which the tool has answered once.
    fn begun(mut self) -> Result<Self> {
        let begin = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": REVISION, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}});
        let begun = self.post(&begin)?;
        let session = begun.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("mcp-session-id")
                .then(|| value.trim().to_owned())
        });
        self.headers.push(header("mcp-protocol-version", REVISION));
        if let Some(session) = session {
            self.headers.push(header("mcp-session-id", &session));
        }
        self.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        let said = self.post(&self.call())?;
        ensure!(said.contains(WORD), "the tool did not answer: {said}");
        Ok(self)
    }

    fn call(&self) -> Value {
        json!({"jsonrpc": "2.0", "id": "{n}", "method": "tools/call", "params": {"name": self.tool, "arguments": {"text": "a"}}})
    }

    /// One message on a connection of its own: what came back, head and body.
    fn post(&self, message: &Value) -> Result<String> {
        let (address, path, body) = (self.address, &self.path, message.to_string());
        let mut stream = os::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            self.key,
            body.len()
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
        // Not all who are told that a connection is to end with its answer end it.
        let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
        while !is_whole(&answer)? {
            let length = stream.read(&mut piece)?;
            ensure!(length > 0, "no whole answer");
            answer.extend_from_slice(&piece[..length]);
        }
        Ok(String::from_utf8(answer)?)
    }

    /// Calls a second, and their latencies.
    fn measure(&mut self, connections: usize, millis: u64) -> Result<Vec<f64>> {
        self.client.measure(&HttpLoad {
            address: self.address,
            key: self.key.clone(),
            headers: self.headers.clone(),
            connections,
            millis,
            timed: Timed::Whole,
            requests: vec![HttpRequest {
                method: "POST".to_owned(),
                path: self.path.clone(),
                body: self.call().to_string(),
            }],
        })
    }
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    let mut serving = Worker::start("the tools", stage.role("tools"))?;
    let tools: SocketAddr = serving.hear()?;
    let place = Place::sqlite(stage, "mcp-gateway")?;
    let all = vec![
        ("direct", Passer::new(stage, tools, "/mcp", "echo")),
        (
            "mcp-proxy (Rust)",
            mcp_proxy(stage, tools)
                .and_then(|proxy| Passer::through(stage, proxy, "/", "tools__echo")),
        ),
        (
            "mcp-proxy (npm)",
            mcp_proxy_node(stage).and_then(|proxy| Passer::through(stage, proxy, "/mcp", "echo")),
        ),
        (
            "fastmcp",
            fastmcp(tools).and_then(|proxy| Passer::through(stage, proxy, "/mcp", "echo")),
        ),
        (BAILIWICK, Passer::bailiwick(stage, &place, tools)),
    ];
    let mut passers = line_up("mcp-gateway", all, report);
    for connections in CONNECTIONS {
        compare(stage, &mut passers, connections, report);
    }
    Ok(())
}

fn compare(
    stage: &Stage,
    passers: &mut [Contestant<Passer>],
    connections: usize,
    report: &mut Report,
) {
    let name = format!("call of a tool, {connections} connections");
    let aims = match connections {
        1 => [None, Some("under 120"), None],
        _ => [Some("over 9 000"), None, None],
    };
    let rates = Rates {
        group: "mcp-gateway",
        name: &name,
        aims,
    };
    let (rounds, millis) = (stage.pick(7, 1), stage.pick(1000, 300));
    take_rates(rates, passers, rounds, report, |passer, _| {
        passer.measure(connections, millis)
    });
}
