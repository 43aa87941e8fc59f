//! MCP by way of a gateway of a server: the official client, and those who may not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use bailiwick_testkit::{Authority, Bailiwick, McpServer, Sdk};
use serde_json::{Value, json};

use crate::{PATIENCE, Up, machine};

const TOKEN: &str = "canary-91d2f0aa";

/// A server with one gateway, behind which is a server of the official SDK that wants a token of a vault.
struct Place {
    machine: Bailiwick,
    up: Up,
    _server: McpServer,
}

/// What was answered: the head and the body.
struct Answer(String);

impl Answer {
    fn status(&self) -> u16 {
        self.0.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines().take_while(|line| !line.is_empty());
        lines.find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Place {
    fn new() -> Self {
        let authority = Authority::new();
        let server = McpServer::official(&authority, &["mcp.test"], TOKEN);
        let pin = format!("mcp.test={}", server.address());
        let certificate = authority.certificate().display().to_string();
        let trust = [("SSL_CERT_FILE", certificate.as_str())];
        let machine = machine();
        let up = Up::start_with(&machine, &["--resolve", &pin], &trust);
        let url = format!("https://mcp.test:{}/mcp", server.address().port());
        machine.write("dev.yaml", "name: dev\nconfig: {type: cloud, networking: {type: limited, allowed_hosts: [mcp.test]}}\n");
        up.does(&machine, &["environment", "create", "-f", "dev.yaml"]);
        let vault = up.json(&machine, &["vault", "create", "--name", "v"]);
        let vault = vault["id"].as_str().unwrap().to_owned();
        machine.write("token", TOKEN);
        up.does(
            &machine,
            &[
                "vault",
                "credential",
                "create",
                &vault,
                "--mcp-server",
                &url,
                "--secret-file",
                "token",
            ],
        );
        up.does(
            &machine,
            &[
                "mcp-catalog",
                "create",
                "docs",
                "--environment",
                "dev",
                "--url",
                &url,
                "--vault",
                &vault,
            ],
        );
        up.does(
            &machine,
            &[
                "mcp-gateway",
                "create",
                "door",
                "--environment",
                "dev",
                "--all-tools",
                "--title",
                "Door",
                "--instructions",
                "Use it.",
            ],
        );
        Self {
            machine,
            up,
            _server: server,
        }
    }

    fn key(&self, gateway: &str) -> String {
        let made = ["mcp-gateway", "key", "create", gateway, "--name", "ci"];
        let made = self.up.json(&self.machine, &made);
        made["key"].as_str().unwrap().to_owned()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a client that says what no SDK would"
    )]
    fn asks(&self, path: &str, headers: &str, body: &Value) -> Answer {
        let address = self.up.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\n{headers}accept: application/json, text/event-stream\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        Answer(text.replace("\r\n", "\n"))
    }
}

fn begin() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}})
}

/// The official client lists and calls, by a virtual key and as a member; the token of the vault is shown to nobody.
#[test]
fn system_the_official_client_uses_an_mcp_server_by_way_of_a_gateway() {
    let place = Place::new();
    let script = include_str!("mcp_client.py");
    let url = format!("{}/mcp/door", place.up.url);
    let said = Sdk::mcp_python("1.30.0").run(script, &[&url, &place.up.key]);
    assert!(!said.contains(TOKEN));
    let said: Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!(said["title"], "Door");
    assert_eq!(said["instructions"], "Use it.");
    assert_eq!(said["added"], "5");
    let tools = said["tools"].as_array().unwrap();
    for name in ["docs__add", "docs__whoami", "bailiwick__explain"] {
        assert!(tools.iter().any(|tool| tool == name), "{name}: {said}");
    }
    let environments = said["environments"]["environments"].as_array().unwrap();
    assert_eq!(environments.len(), 1);
    assert_eq!(environments[0]["name"], "dev");
    let listed = place
        .up
        .json(&place.machine, &["mcp-catalog", "tools", "docs"]);
    assert!(listed.to_string().contains("whoami"));
    let flows = place.up.json(&place.machine, &["flow", "list"]);
    assert!(!flows.to_string().contains(TOKEN));
    place.up.stop();
}

/// The official clients sign in at the server itself, call a tool, and open nothing any more once that is taken back.
#[test]
fn system_the_official_clients_sign_in_at_a_gateway_and_call_a_tool() {
    let place = Place::new();
    let (machine, up) = (&place.machine, &place.up);
    machine.write("password", "four words nobody puts\n");
    let member = [
        "member",
        "add",
        "ann@example.com",
        "--name",
        "Ann",
        "--role",
        "member",
    ];
    let member = [&member[..], &["--password-file", "password"]].concat();
    up.does(machine, &member);
    let url = format!("{}/mcp/door", up.url);
    let arguments = [&url, "ann@example.com", "four words nobody puts"];
    let python = Sdk::mcp_python("1.30.0").run(include_str!("mcp_sign_in.py"), &arguments);
    let typescript = Sdk::mcp_typescript("1.32.2");
    let typescript = typescript.run(include_str!("mcp_sign_in.mjs"), &arguments);
    let mut tokens = Vec::new();
    for said in [&python, &typescript] {
        let said: Value = serde_json::from_str(said.trim()).unwrap();
        assert_eq!(said["added"], "5");
        assert_ne!(said["asked"], false);
        let tools = said["tools"].as_array().unwrap();
        assert!(tools.iter().any(|tool| tool == "docs__add"), "{said}");
        let token = said["token"].as_str().unwrap().to_owned();
        tokens.push(format!("authorization: Bearer {token}\r\n"));
    }
    let grants = up.json(machine, &["oauth-grant", "list", "--everyone"]);
    let grants = grants.as_array().unwrap();
    assert_eq!(grants.len(), 2, "{grants:?}");
    for token in &tokens {
        assert_eq!(place.asks("/mcp/door", token, &begin()).status(), 200);
        assert_eq!(
            place.asks("/api/mcp-gateways", token, &json!({})).status(),
            401
        );
    }
    for grant in grants {
        up.does(
            machine,
            &["oauth-grant", "revoke", grant["id"].as_str().unwrap()],
        );
    }
    for token in &tokens {
        assert_eq!(place.asks("/mcp/door", token, &begin()).status(), 401);
    }
    place.up.stop();
}

#[test]
fn system_who_may_not_use_a_gateway_is_told_how_to_come_by_a_token() {
    let place = Place::new();
    place.up.does(
        &place.machine,
        &[
            "mcp-gateway",
            "create",
            "other",
            "--environment",
            "dev",
            "--all-tools",
        ],
    );
    let (own, other) = (place.key("door"), place.key("other"));
    let shown = |key: &str| format!("authorization: Bearer {key}\r\n");
    let taken = place.asks("/mcp/door", &shown(&own), &begin());
    assert_eq!(taken.status(), 200, "{}", taken.0);
    assert!(taken.header("mcp-session-id").is_some());
    let taken = place.asks("/mcp/door", &format!("x-api-key: {own}\r\n"), &begin());
    assert_eq!(taken.status(), 200, "{}", taken.0);
    for headers in [String::new(), shown("bwg_nonsense")] {
        let refused = place.asks("/mcp/door", &headers, &begin());
        assert_eq!(refused.status(), 401, "{}", refused.0);
        let challenge = refused.header("www-authenticate").unwrap();
        let expect = format!(
            "Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp/door\"",
            place.up.url
        );
        assert_eq!(challenge, expect);
    }
    assert_eq!(
        place.asks("/mcp/door", &shown(&other), &begin()).status(),
        404
    );
    assert_eq!(
        place
            .asks("/mcp/none", &shown(&place.up.key), &begin())
            .status(),
        404
    );
    // A key of a gateway opens nothing else.
    let body = json!({"name": "more", "environment_id": "env_1111111111111111111111"});
    let elsewhere = place.asks("/api/mcp-gateways", &shown(&own), &body);
    assert_eq!(elsewhere.status(), 403, "{}", elsewhere.0);
    place.up.stop();
}
