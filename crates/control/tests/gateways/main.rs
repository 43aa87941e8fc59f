//! Who is served what by MCP gateways, on SQLite and on PostgreSQL.

#![recursion_limit = "256"]

mod attacks;
mod catalog;
mod hosted;
mod matrix;
mod sequences;
mod tokens;

use std::future::Future;
use std::sync::Arc;

use bailiwick_control::{
    AssignedServer, Bootstrap, Caller, Control, ControlError, Credentials, McpEntryView,
    McpGatewayAccess, McpGatewayConfig, McpGatewayView, McpGateways, McpServerConfig,
    NewEnvironmentRequest, NewMcpEntryRequest, NewMcpGatewayRequest, SealingKeys,
};
use bailiwick_mcp::{Span, Talk, View as _, ViewError, ViewRequest};
use bailiwick_model::EnvironmentId;
use bailiwick_outbound::Outbound;
use bailiwick_store::{DatabaseUrl, Store};
use bailiwick_testkit::{Asked, Authority, Postgres, Said, StandIn, dialer_with};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A database with one organization, its administrator, and MCP servers that say which environment they are of.
pub(crate) struct Place {
    pub(crate) control: Arc<Control>,
    pub(crate) gateways: Arc<McpGateways>,
    pub(crate) caller: Caller,
    store: Store,
    outbound: Outbound,
    servers: Vec<StandIn>,
    _directory: TempDir,
    _database: Option<Postgres>,
}

/// The environments of a test: each has a server of its own.
pub(crate) const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "prod"];

/// What an MCP server answers that has one thing of each kind, each of which tells whose it is.
pub(crate) fn answer(whose: &str, asked: &Asked) -> Said {
    match asked.method.as_str() {
        "POST" => {}
        "DELETE" => return Said::status(200),
        _ => return Said::status(405),
    }
    let message: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    let Some(id) = message.get("id") else {
        return Said::status(202);
    };
    let thing = json!({"name": "ask", "description": whose, "inputSchema": {"type": "object"}});
    let uri = format!("test://{whose}/1");
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
            "serverInfo": {"name": whose, "version": "1"},
        }),
        "tools/list" => {
            json!({"tools": [thing, {"name": "other", "inputSchema": {"type": "object"}}]})
        }
        "tools/call" => json!({"content": [{"type": "text", "text": format!("this is {whose}")}]}),
        "resources/list" => json!({"resources": [{"uri": uri, "name": whose}]}),
        "resources/templates/list" => json!({"resourceTemplates": []}),
        "resources/read" => {
            json!({"contents": [{"uri": message["params"]["uri"], "text": format!("this is {whose}")}]})
        }
        "prompts/list" => json!({"prompts": [{"name": "greet"}]}),
        "prompts/get" => {
            json!({"messages": [{"role": "user", "content": {"type": "text", "text": format!("this is {whose}")}}]})
        }
        _ => {
            let error =
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no"}});
            return Said::page("application/json", error.to_string());
        }
    };
    let answer = json!({"jsonrpc": "2.0", "id": id, "result": result});
    Said::page("application/json", answer.to_string())
}

impl Place {
    pub(crate) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        Self::on(url, (directory, None), (&Authority::new(), &[])).await
    }

    /// With the address of one more host, which has a certificate of this authority.
    pub(crate) async fn beside(authority: &Authority, pin: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        Self::on(url, (directory, None), (authority, &[pin])).await
    }

    pub(crate) async fn postgres() -> Self {
        let database = Postgres::start();
        let url = format!("postgres://postgres@{}/postgres", database.address());
        let directory = tempfile::tempdir().unwrap();
        let url = url.parse().unwrap();
        Self::on(url, (directory, Some(database)), (&Authority::new(), &[])).await
    }

    async fn on(
        url: DatabaseUrl,
        (directory, database): (TempDir, Option<Postgres>),
        (authority, more): (&Authority, &[&str]),
    ) -> Self {
        let servers = ENVIRONMENTS.map(|whose| StandIn::start(move |asked| answer(whose, asked)));
        let pins: Vec<_> = ENVIRONMENTS
            .iter()
            .zip(&servers)
            .map(|(whose, server)| format!("{whose}.example.com={}", server.address()))
            .collect();
        let pins = pins.iter().map(String::as_str);
        let pins: Vec<_> = pins.chain(more.iter().copied()).collect();
        let outbound = Outbound::new(dialer_with(&pins), authority.trusted());
        let store = Store::open(&url).await.unwrap();
        let control = Arc::new(server(&store, &outbound));
        let first = control.bootstrap(Bootstrap::default()).await.unwrap();
        let key = first.unwrap().key;
        let caller = authenticated(&control, &key).await.unwrap();
        Self {
            gateways: Arc::new(McpGateways::new(Arc::clone(&control))),
            control,
            caller,
            store,
            outbound,
            servers: servers.into(),
            _directory: directory,
            _database: database,
        }
    }

    /// Another server on the same database.
    pub(crate) fn other(&self) -> Arc<McpGateways> {
        let control = Arc::new(server(&self.store, &self.outbound));
        Arc::new(McpGateways::new(control))
    }

    pub(crate) fn url(&self, at: usize) -> String {
        let (whose, port) = (ENVIRONMENTS[at], self.servers[at].address().port());
        format!("http://{whose}.example.com:{port}/mcp")
    }

    /// How often the server of an environment was asked.
    pub(crate) fn asked(&self, at: usize) -> usize {
        self.servers[at].asked().len()
    }

    pub(crate) async fn environment(&self, name: &str, networking: Value) -> EnvironmentId {
        let body = json!({"name": name, "config": {"type": "cloud", "networking": networking}});
        let request = NewEnvironmentRequest {
            body: body.as_object().unwrap().clone(),
            ..NewEnvironmentRequest::default()
        };
        let made = self.control.create_environment(&self.caller, request).await;
        made.unwrap().environment.id
    }

    pub(crate) async fn open_environment(&self, name: &str) -> EnvironmentId {
        self.environment(name, json!({"type": "unrestricted"}))
            .await
    }

    pub(crate) async fn enter(
        &self,
        name: &str,
        environment: &EnvironmentId,
        url: String,
    ) -> Result<McpEntryView, ControlError> {
        let request = NewMcpEntryRequest {
            name: name.to_owned(),
            environment: environment.clone(),
            server: McpServerConfig::Remote { url },
            vault: None,
        };
        self.control.create_mcp_entry(&self.caller, request).await
    }

    pub(crate) async fn gateway(
        &self,
        name: &str,
        environment: &EnvironmentId,
        entries: Option<&[&McpEntryView]>,
    ) -> Result<McpGatewayView, ControlError> {
        let access = match entries {
            Some(_) => McpGatewayAccess::Explicit,
            None => McpGatewayAccess::AllTools,
        };
        let entries = entries
            .unwrap_or_default()
            .iter()
            .map(|entry| assigned(entry));
        let request = NewMcpGatewayRequest {
            name: name.to_owned(),
            environment: environment.clone(),
            config: McpGatewayConfig {
                access,
                ..McpGatewayConfig::default()
            },
            entries: entries.collect(),
        };
        self.control.create_mcp_gateway(&self.caller, request).await
    }

    pub(crate) async fn ask(
        &self,
        gateway: &McpGatewayView,
        request: ViewRequest,
    ) -> Result<Value, String> {
        ask(&self.gateways, &self.caller, gateway, request).await
    }
}

fn server(store: &Store, outbound: &Outbound) -> Control {
    let keys: SealingKeys = "01".repeat(32).parse().unwrap();
    Control::new(store.clone(), keys).with_outbound(outbound.clone())
}

pub(crate) async fn authenticated(control: &Control, key: &str) -> Result<Caller, ControlError> {
    let credentials = Credentials { key, address: None };
    control.authenticate(credentials).await
}

pub(crate) fn assigned(entry: &McpEntryView) -> AssignedServer {
    AssignedServer {
        entry_id: entry.entry.id.clone(),
        tools: None,
    }
}

/// What a caller is answered, or why not, in words.
pub(crate) async fn ask(
    gateways: &Arc<McpGateways>,
    caller: &Caller,
    gateway: &McpGatewayView,
    request: ViewRequest,
) -> Result<Value, String> {
    let id = gateway.gateway.id.to_string();
    let open = gateways.open(caller, &id).await;
    let open = open.map_err(|error| error.to_string())?;
    let view = open.view(Span::Request);
    answered(view.ask(request, &Talk::silent()).await)
}

pub(crate) fn answered(answered: Result<bailiwick_mcp::Bytes, ViewError>) -> Result<Value, String> {
    match answered {
        Ok(result) => Ok(serde_json::from_slice(&result).unwrap()),
        Err(ViewError::Refused(raw)) => Err(String::from_utf8_lossy(&raw).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

pub(crate) fn call(tool: &str) -> ViewRequest {
    call_with(tool, &json!({}))
}

pub(crate) fn call_with(tool: &str, arguments: &Value) -> ViewRequest {
    ViewRequest::Call {
        tool: tool.to_owned(),
        arguments: Some(arguments.to_string().into()),
    }
}

pub(crate) fn tools() -> ViewRequest {
    ViewRequest::Tools { cursor: None }
}

/// The names in a list of tools, without those of the control plane.
pub(crate) fn names(listed: &Value) -> Vec<&str> {
    let all = listed["tools"].as_array().unwrap().iter();
    let names = all.map(|tool| tool["name"].as_str().unwrap());
    names
        .filter(|name| !name.starts_with("bailiwick__"))
        .collect()
}

pub(crate) async fn on_both<F: Future<Output = ()>>(check: impl Fn(Place) -> F) {
    check(Place::sqlite().await).await;
    check(Place::postgres().await).await;
}
