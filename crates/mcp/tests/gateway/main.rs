//! Gateways, as clients of every kind see them: official ones, the official conformance suite, and those that mean harm.

mod attacks;
mod clients;
mod conformance;
mod joining;
mod protocol;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_mcp::{
    Backing, Caller, Connections, Entrance, Gateway, Greeting, HeldAccess, Hosts, Item, Joined,
    McpError, Member, Naming, ServerName, Span, Verdict,
};
use bailiwick_outbound::{Body, Message, Outbound, Way};
use bailiwick_policy::{OrganizationFloor, Policy, SessionGrants, effective};
use bailiwick_testkit::{Authority, McpServer, dialer_with};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// What servers are shown, and nobody else is.
const TOKEN: &str = "sesame-0123456789";
const BOTH: &str = "application/json, text/event-stream";

type Hidden = Arc<Mutex<BTreeSet<String>>>;

/// Access to the servers of a test; what is hidden from whom is the test's to say.
struct Backed {
    connections: Arc<Connections>,
    caller: String,
    hidden: Hidden,
}

impl Backing for Backed {
    async fn access(&self, _: &ServerName) -> Result<HeldAccess, McpError> {
        HeldAccess::new(Arc::clone(&self.connections), Some(TOKEN))
    }

    async fn judge(&self, server: &ServerName, item: Item<'_>) -> Verdict {
        let (Item::Tool(own) | Item::Prompt(own) | Item::Resource(own) | Item::Template(own)) =
            item;
        let thing = format!("{} {server} {own}", self.caller);
        if self.hidden.lock().unwrap().contains(&thing) {
            Verdict::Hidden
        } else {
            Verdict::Served
        }
    }
}

/// A gateway that is served on loopback.
struct World {
    address: SocketAddr,
    gateway: Arc<Gateway<Joined<Backed>>>,
    hidden: Hidden,
    outbound: Outbound,
    servers: Vec<McpServer>,
}

/// A server, by the name that it has in a gateway, and the path at which it is asked.
type Behind = (&'static str, McpServer, &'static str);

impl World {
    /// Of the official SDKs, `py` and `ts`.
    async fn official() -> Self {
        let authority = Authority::new();
        let python = McpServer::official(&authority, &["py.example.com"], "");
        let typescript = McpServer::official_typescript(&authority, &["ts.example.com"], "");
        let behind = vec![("py", python, "mcp"), ("ts", typescript, "mcp")];
        Self::of(&authority, "https", behind, Naming::Joined).await
    }

    /// One that lies, `lie`.
    async fn lying(path: &'static str) -> Self {
        let authority = Authority::new();
        let server = McpServer::lying(&authority, &["lie.example.com"]);
        Self::of(
            &authority,
            "https",
            vec![("lie", server, path)],
            Naming::Joined,
        )
        .await
    }

    /// The one for the official suite, whose tools keep their names.
    async fn conformance() -> Self {
        let behind = vec![("suite", McpServer::conformance(), "mcp")];
        Self::of(&Authority::new(), "http", behind, Naming::Own).await
    }

    async fn of(authority: &Authority, scheme: &str, behind: Vec<Behind>, naming: Naming) -> Self {
        let (mut members, mut pins, mut servers) = (Vec::new(), Vec::new(), Vec::new());
        for (name, server, path) in behind {
            let (host, address) = (format!("{name}.example.com"), server.address());
            let url = format!("{scheme}://{host}:{}/{path}", address.port());
            members.push(Member {
                name: name.parse().unwrap(),
                url: url.parse().unwrap(),
            });
            pins.push(format!("{host}={address}"));
            servers.push(server);
        }
        let pins: Vec<_> = pins.iter().map(String::as_str).collect();
        let outbound = Outbound::new(dialer_with(&pins), authority.trusted());
        Self::serve(outbound, members, naming, servers).await
    }

    async fn serve(
        outbound: Outbound,
        members: Vec<Member>,
        naming: Naming,
        servers: Vec<McpServer>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gateway = Arc::new(Gateway::new(Entrance {
            hosts: Hosts::Only(vec![address.to_string()]),
            origins: vec![format!("http://{address}")],
        }));
        let policy = Policy::compile(
            effective(None, None),
            &OrganizationFloor::empty(),
            &SessionGrants::none(),
        );
        let connections = Arc::new(Connections::new(&outbound, Arc::new(policy)));
        let hidden = Hidden::default();
        let views = Arc::new(Views {
            members,
            naming,
            connections,
            hidden: Arc::clone(&hidden),
            of_requests: Mutex::default(),
        });
        tokio::spawn(listen(listener, Arc::clone(&gateway), views));
        Self {
            address,
            gateway,
            hidden,
            outbound,
            servers,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/mcp/test", self.address)
    }

    /// From now on a caller is not served a thing of a server.
    fn hide(&self, caller: &str, server: &str, own: &str) {
        let thing = format!("{caller} {server} {own}");
        self.hidden.lock().unwrap().insert(thing);
    }

    /// What is sent with these headers besides the usual ones; an empty one is left out.
    async fn send(
        &self,
        method: Method,
        headers: &[(&'static str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.send_to(&self.url(), method, headers, body).await
    }

    async fn send_to(
        &self,
        url: &str,
        method: Method,
        headers: &[(&'static str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut all = HeaderMap::new();
        all.insert(ACCEPT, HeaderValue::from_static(BOTH));
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        all.insert(AUTHORIZATION, HeaderValue::from_static("Bearer ann"));
        for (name, value) in headers {
            let name = HeaderName::from_static(name);
            all.remove(&name);
            if !value.is_empty() {
                all.insert(name, value.parse().unwrap());
            }
        }
        let message = Message {
            method,
            headers: all,
            body: Full::new(body.into()),
        };
        let url = url.parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let asking = self.outbound.ask(Way::Operator, &url, message, deadline);
        let (head, body) = asking.await.unwrap().into_parts();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        }
    }

    async fn post(&self, headers: &[(&'static str, &str)], message: &Value) -> Answer {
        self.send(Method::POST, headers, message.to_string()).await
    }

    /// A session of a caller, in a revision.
    async fn session(&self, caller: &str, revision: &str) -> Talking<'_> {
        let authorization = format!("Bearer {caller}");
        let message = request(
            0,
            "initialize",
            json!({
                "protocolVersion": revision,
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"},
            }),
        );
        let answer = self
            .post(&[("authorization", &authorization)], &message)
            .await;
        assert_eq!(answer.status, 200);
        let id = answer.headers["mcp-session-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let result = answer.json().await;
        Talking {
            world: self,
            authorization,
            id,
            revision: result["result"]["protocolVersion"]
                .as_str()
                .unwrap()
                .to_owned(),
        }
    }

    /// A request of the revision without sessions.
    async fn alone(&self, caller: &str, method: &str, mut params: Value) -> Answer {
        let authorization = format!("Bearer {caller}");
        params["_meta"] = modern(params["_meta"].take());
        let name = params["name"]
            .as_str()
            .or(params["uri"].as_str())
            .unwrap_or_default();
        let headers = [
            ("authorization", &*authorization),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", method),
            ("mcp-name", name),
        ];
        self.post(&headers, &request(1, method, params.clone()))
            .await
    }
}

/// `_meta` of a request of the revision without sessions.
fn modern(meta: Value) -> Value {
    let mut all = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    if let Value::Object(meta) = meta {
        all.as_object_mut().unwrap().extend(meta);
    }
    all
}

fn request(id: u64, method: &str, params: Value) -> Value {
    let mut request = json!({"jsonrpc": "2.0", "id": id, "method": method});
    request["params"] = params;
    request
}

/// A session with a gateway.
struct Talking<'w> {
    world: &'w World,
    authorization: String,
    id: String,
    revision: String,
}

impl Talking<'_> {
    async fn send(&self, method: Method, body: impl Into<Bytes>) -> Answer {
        let headers = [
            ("authorization", &*self.authorization),
            ("mcp-session-id", &self.id),
            ("mcp-protocol-version", &self.revision),
        ];
        self.world.send(method, &headers, body).await
    }

    async fn post(&self, message: &Value) -> Answer {
        self.send(Method::POST, message.to_string()).await
    }

    async fn ask(&self, method: &str, params: Value) -> Value {
        self.post(&request(1, method, params)).await.json().await
    }

    async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments}))
            .await
    }

    async fn names(&self) -> Vec<String> {
        let listed = self.ask("tools/list", json!({})).await;
        names(&listed, "tools")
    }
}

fn names(listed: &Value, kind: &str) -> Vec<String> {
    let all = listed["result"][kind]
        .as_array()
        .unwrap_or_else(|| panic!("{listed}"));
    all.iter()
        .map(|it| it["name"].as_str().unwrap().to_owned())
        .collect()
}

/// What a gateway answered.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Body,
}

impl Answer {
    fn kind(&self) -> &str {
        self.headers
            .get(CONTENT_TYPE)
            .map_or("", |kind| kind.to_str().unwrap())
    }

    /// The message in the body, or the last of its stream.
    async fn json(self) -> Value {
        let is_stream = self.kind() == "text/event-stream";
        let mut all = self.messages().await;
        assert!(is_stream || all.len() == 1, "{all:?}");
        all.pop().unwrap()
    }

    async fn messages(self) -> Vec<Value> {
        let is_stream = self.kind() == "text/event-stream";
        let body = self.body.whole(64 << 20).await.unwrap();
        let text = std::str::from_utf8(&body).unwrap();
        if is_stream {
            return events(text);
        }
        vec![serde_json::from_str(text).unwrap()]
    }

    /// What comes next of a stream, if anything comes.
    async fn next(&mut self) -> Option<Vec<Value>> {
        self.text().await.map(|text| events(&text))
    }

    async fn text(&mut self) -> Option<String> {
        let next = tokio::time::timeout(Duration::from_secs(30), self.body.frame());
        let frame = next.await.expect("something comes in time")?.ok()?;
        Some(std::str::from_utf8(frame.data_ref()?).unwrap().to_owned())
    }
}

fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// Makes the views of a test's callers.
struct Views {
    members: Vec<Member>,
    naming: Naming,
    connections: Arc<Connections>,
    hidden: Hidden,
    of_requests: Mutex<Vec<(String, Arc<Joined<Backed>>)>>,
}

impl Views {
    fn view(&self, caller: &str, span: Span) -> Arc<Joined<Backed>> {
        let make = || {
            let backed = Backed {
                connections: Arc::clone(&self.connections),
                caller: caller.to_owned(),
                hidden: Arc::clone(&self.hidden),
            };
            let greeting = Greeting {
                title: Some("A gateway of tests".to_owned()),
                instructions: Some("Use it.".to_owned()),
            };
            let members = self.members.clone();
            Arc::new(Joined::new(members, self.naming, greeting, backed).unwrap())
        };
        match span {
            Span::Session => make(),
            Span::Request => {
                let mut all = self.of_requests.lock().unwrap();
                if let Some((_, view)) = all.iter().find(|(of, _)| of == caller) {
                    return Arc::clone(view);
                }
                let view = make();
                all.push((caller.to_owned(), Arc::clone(&view)));
                view
            }
        }
    }
}

/// Serves a gateway; a bearer token is who calls.
async fn listen(listener: TcpListener, gateway: Arc<Gateway<Joined<Backed>>>, views: Arc<Views>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (gateway, views) = (Arc::clone(&gateway), Arc::clone(&views));
        let serve = service_fn(move |request: Request<Incoming>| {
            let (gateway, views) = (Arc::clone(&gateway), Arc::clone(&views));
            async move {
                let caller = request.headers().get(AUTHORIZATION);
                let caller = caller.and_then(|value| value.to_str().ok());
                let caller = caller.and_then(|value| value.strip_prefix("Bearer "));
                let caller = caller.unwrap_or("nobody").to_owned();
                let view = |span| views.view(&caller, span);
                let answer = gateway.answer(&Caller::new(&caller), view, request).await;
                Ok::<Response<_>, Infallible>(answer)
            }
        });
        // A client that hangs up is no failure.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
    }
}
