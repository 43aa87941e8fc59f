//! Tools of MCP servers: one of the official SDK, and one that does as its path says.

use std::time::Duration;

use bailiwick_control::{NewEnvironmentRequest, PoliciesChange};
use bailiwick_model::{CredentialId, SessionId, VaultId};
use bailiwick_outbound::Outbound;
use bailiwick_store::FlowFilter;
use bailiwick_testkit::{Authority, McpServer, ModelPiece, ModelStep, dialer_to};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{PATIENCE, Place, kinds, message, object, of_kind, stop_reason, text};

/// What is pinned to the servers.
pub(crate) const NAME: &str = "mcp.example.com";

/// A place with an MCP server, which its agent calls `docs`.
pub(crate) struct World<S> {
    pub(crate) place: Place,
    pub(crate) server: S,
    pub(crate) url: String,
}

/// Calls of a tool of `docs`, and then a last word.
pub(crate) fn calls<'a>(tools: impl IntoIterator<Item = (&'a str, Value)>) -> Vec<ModelStep> {
    let call = |(tool, input): (&str, Value)| ModelStep::tool(format!("mcp__docs__{tool}"), input);
    let mut steps: Vec<_> = tools.into_iter().map(call).collect();
    steps.push(ModelStep::text("Done."));
    steps
}

impl World<McpServer> {
    pub(crate) async fn official(token: &str, steps: Vec<ModelStep>, policy: &str) -> Self {
        Self::official_at("mcp", token, steps, policy).await
    }

    pub(crate) async fn official_at(
        path: &str,
        token: &str,
        steps: Vec<ModelStep>,
        policy: &str,
    ) -> Self {
        let authority = Authority::new();
        let server = McpServer::official(&authority, &[NAME], token);
        let port = server.address().port();
        Self::with(&authority, server, port, path, steps, policy).await
    }

    pub(crate) async fn lying(path: &str, steps: Vec<ModelStep>) -> Self {
        let authority = Authority::new();
        let server = McpServer::lying(&authority, &[NAME]);
        let port = server.address().port();
        Self::with(&authority, server, port, path, steps, "always_allow").await
    }
}

impl<S> World<S> {
    /// A session that has this vault, and what happens in it until it rests.
    pub(crate) async fn goes_with(&self, vault: &VaultId) -> (SessionId, Vec<Value>) {
        let more = json!({"vault_ids": [vault]});
        let session = self.place.session_with("Go.", more).await;
        let events = self.place.rested(&session).await;
        (session, events)
    }

    pub(crate) async fn with(
        authority: &Authority,
        server: S,
        port: u16,
        path: &str,
        steps: Vec<ModelStep>,
        policy: &str,
    ) -> Self {
        let outbound = Outbound::new(
            dialer_to(&format!("{NAME}=127.0.0.1:{port}")),
            authority.trusted(),
        );
        let url = format!("https://{NAME}:{port}/{path}");
        let agent = json!({
            "mcp_servers": [{"type": "url", "name": "docs", "url": url}],
            "tools": [
                {"type": "agent_toolset_20260401"},
                {"type": "mcp_toolset", "mcp_server_name": "docs", "default_config": {"permission_policy": {"type": policy}}},
            ],
        });
        let place = Place::with(steps, agent, |control| control.with_outbound(outbound)).await;
        Self { place, server, url }
    }

    /// A vault with this credential for the server.
    pub(crate) async fn vault(&self, auth: Value) -> (VaultId, CredentialId) {
        let (control, caller) = (&self.place.control, &self.place.caller);
        let body = object(json!({"display_name": "v"}));
        let vault = control.create_vault(caller, &body).await.unwrap().id;
        let mut auth = auth;
        // Written another way, and the same.
        let url = self.url.replace("https://mcp", "HTTPS://MCP");
        auth["mcp_server_url"] = json!(format!("{url}/"));
        let body = object(json!({"auth": auth}));
        let made = control.create_credential(caller, &vault, &body).await;
        (vault, made.unwrap().id)
    }

    pub(crate) async fn environment(&self, networking: Value) -> String {
        let body =
            json!({"name": "limited", "config": {"type": "cloud", "networking": networking}});
        let request = NewEnvironmentRequest {
            body: object(body),
            restricted: false,
            namespace: None,
        };
        let (control, caller) = (&self.place.control, &self.place.caller);
        let made = control.create_environment(caller, request).await.unwrap();
        made.environment.id.to_string()
    }

    /// The texts of what the calls came to.
    pub(crate) fn results(events: &[Value]) -> Vec<&str> {
        of_kind(events, "agent.mcp_tool_result")
            .into_iter()
            .map(text)
            .collect()
    }

    async fn confirm(&self, session: &SessionId, call: &Value, result: &str) {
        let event =
            json!({"type": "user.tool_confirmation", "tool_use_id": call["id"], "result": result});
        self.place.send(session, json!([event])).await;
    }
}

impl<S> World<S> {
    /// The verdicts and reasons of the flows of its sessions, once there are so many.
    async fn flows(&self, count: usize) -> Vec<(Value, Value)> {
        let (control, caller) = (&self.place.control, &self.place.caller);
        let arrived = async {
            loop {
                let filter = FlowFilter::default();
                let flows = control.flows(caller, 0, 100, &filter).await.unwrap();
                if flows.len() >= count {
                    return flows;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        let flows = timeout(PATIENCE, arrived).await.unwrap();
        let told = flows.into_iter().map(|flow| {
            let mut flow = serde_json::to_value(flow).unwrap();
            assert_eq!(flow["destination"]["host"]["name"], NAME);
            (flow["verdict"].take(), flow["reason"].take())
        });
        told.collect()
    }
}

/// The tools that a model was offered in a request.
pub(crate) fn offered(request: &Value) -> Vec<&str> {
    let tools = request["tools"].as_array().unwrap().iter();
    let names = tools.filter_map(|tool| tool["name"].as_str());
    names.filter(|name| name.starts_with("mcp__")).collect()
}

#[tokio::test]
async fn what_is_asked_of_a_server_and_what_is_denied_is_kept_as_flows() {
    let world = World::lying("honest", calls([("do", json!({}))])).await;
    let engine = world.place.start();
    let session = world.place.session("Go.").await;
    world.place.rested(&session).await;
    // To begin with it, to say so, the list, the call, and what it says that there is no news.
    let allowed = world.flows(4).await;
    assert!(
        allowed.iter().all(|(verdict, _)| verdict == "allow"),
        "{allowed:?}"
    );
    let floor = PoliciesChange {
        denied_hosts: Some(vec![NAME.to_owned()]),
        ..PoliciesChange::default()
    };
    let (control, caller) = (&world.place.control, &world.place.caller);
    control.change_policies(caller, floor).await.unwrap();
    world.place.model.append(calls([("do", json!({}))]));
    world.place.send(&session, json!([message("Again.")])).await;
    world
        .place
        .happened(&session, "session.status_idle", 2)
        .await;
    let denied = (json!("deny"), json!("organization_floor"));
    // What the client still had to say before may be told in between.
    let mut all = allowed;
    while !all.contains(&denied) {
        all = world.flows(all.len() + 1).await;
    }
    engine.stop().await;
}

#[tokio::test]
async fn an_agent_uses_the_tools_of_a_server_of_the_official_sdk() {
    let steps = calls([
        ("add", json!({"a": 2, "b": 3})),
        ("count", json!({})),
        ("count", json!({})),
        ("fail", json!({})),
        ("picture", json!({})),
    ]);
    let world = World::official("", steps, "always_allow").await;
    let engine = world.place.start();
    let session = world.place.session("Go.").await;
    let events = world.place.rested(&session).await;
    let call = of_kind(&events, "agent.mcp_tool_use")[0];
    assert_eq!(
        (&call["mcp_server_name"], &call["name"]),
        (&json!("docs"), &json!("add"))
    );
    assert_eq!(call["evaluated_permission"], "allow");
    assert_eq!(call["evaluation"], json!({"type": "always_allow"}));
    let result = of_kind(&events, "agent.mcp_tool_result")[0];
    assert_eq!(result["mcp_tool_use_id"], call["id"]);
    let results = World::<McpServer>::results(&events);
    assert_eq!(results[..3], ["5", "call 1", "call 2"]);
    let failed = of_kind(&events, "agent.mcp_tool_result")[3];
    assert_eq!(failed["is_error"], true);
    let picture = &of_kind(&events, "agent.mcp_tool_result")[4]["content"][0];
    assert_eq!(picture["source"]["media_type"], "image/png");
    let asked = world.place.model.asked();
    assert!(offered(&asked[0]).contains(&"mcp__docs__add"));
    let last = asked[1]["messages"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(last["content"][0]["content"][0]["text"], "5");
    assert!(of_kind(&events, "session.error").is_empty());
    engine.stop().await;
}

#[tokio::test]
async fn a_call_waits_for_a_person_if_nobody_said_otherwise() {
    let both = ModelStep::reply((0..2).map(|_| ModelPiece::tool("mcp__docs__count", json!({}))));
    let world = World::official("", vec![both, ModelStep::text("Done.")], "always_ask").await;
    let engine = world.place.start();
    let session = world.place.session("Go.").await;
    let events = world.place.rested(&session).await;
    let calls = of_kind(&events, "agent.mcp_tool_use");
    let ids: Vec<_> = calls.iter().map(|call| call["id"].clone()).collect();
    assert_eq!(calls[0]["evaluated_permission"], "ask");
    let waits = stop_reason(&events);
    assert_eq!(waits["type"], "requires_action");
    let awaited = waits["event_ids"].as_array().unwrap();
    assert!(awaited.len() == 2 && ids.iter().all(|id| awaited.contains(id)));
    world.confirm(&session, calls[0], "deny").await;
    world.confirm(&session, calls[1], "allow").await;
    let events = world.place.rested(&session).await;
    assert_eq!(*stop_reason(&events), json!({"type": "end_turn"}));
    let mut results = World::<McpServer>::results(&events);
    results.sort_unstable();
    assert_eq!(results, ["call 1", "the user does not allow this call"]);
    engine.stop().await;
}

#[tokio::test]
async fn calls_run_side_by_side_and_an_interrupt_reaches_their_server() {
    let both = ModelStep::reply((0..2).map(|_| ModelPiece::tool("mcp__docs__wait", json!({}))));
    let world = World::official("", vec![both, ModelStep::text("never")], "always_allow").await;
    let engine = world.place.start();
    let session = world.place.session("Go.").await;
    world.server.says("waiting", 2).await;
    world
        .place
        .send(&session, json!([{"type": "user.interrupt"}]))
        .await;
    let events = world.place.rested(&session).await;
    let results = World::<McpServer>::results(&events);
    assert_eq!(results.len(), 2);
    assert!(results[0].contains("may have happened"), "{results:?}");
    world.server.says("cancelled", 2).await;
    assert_eq!(world.place.model.asked().len(), 1);
    engine.stop().await;
}

#[tokio::test]
async fn what_a_dead_server_called_is_told_and_not_called_again() {
    let steps = calls([("wait", json!({})), ("count", json!({}))]);
    let world = World::official("", steps, "always_allow").await;
    let first = world.place.start();
    let session = world.place.session("Go.").await;
    world.server.says("waiting", 1).await;
    first.kill();
    world.place.control.end_runs_of_others().await.unwrap();
    let second = world.place.start();
    let events = world.place.rested(&session).await;
    assert_eq!(world.server.said("waiting").len(), 1);
    let results = World::<McpServer>::results(&events);
    assert!(results[0].contains("was not run again"), "{results:?}");
    assert_eq!(results[1], "call 1");
    second.stop().await;
}

#[tokio::test]
async fn tools_are_listed_once_by_each_server_that_has_the_session() {
    let call = || calls([("do", json!({}))]);
    let steps = call().into_iter().chain(call()).chain(call());
    let world = World::lying("honest", steps.collect()).await;
    let lists = || {
        let requests = world.server.requests().into_iter();
        let lists = requests.filter(|request| request["method"] == "tools/list");
        lists.count()
    };
    let first = world.place.start();
    let session = world.place.session("Go.").await;
    world.place.rested(&session).await;
    world.place.send(&session, json!([message("Again.")])).await;
    let idle = "session.status_idle";
    world.place.happened(&session, idle, 2).await;
    assert_eq!(lists(), 1);
    first.stop().await;
    // Nobody has heard meanwhile whether there are others.
    let second = world.place.start();
    world.place.send(&session, json!([message("Again.")])).await;
    world.place.happened(&session, idle, 3).await;
    assert_eq!(lists(), 2);
    let asked = world.place.model.asked();
    assert_eq!(asked[0]["tools"], asked.last().unwrap()["tools"]);
    second.stop().await;
}

#[tokio::test]
async fn an_agent_has_the_tools_that_its_configuration_enables() {
    let world = World::official(
        "",
        calls([("count", json!({})), ("add", json!({"a": 1, "b": 1}))]),
        "always_allow",
    )
    .await;
    let (control, caller) = (&world.place.control, &world.place.caller);
    let tools = json!([{"type": "mcp_toolset", "mcp_server_name": "docs", "default_config": {"enabled": false},
        "configs": [{"name": "add", "enabled": true, "permission_policy": {"type": "always_allow"}}]}]);
    let id = world.place.agent.parse().unwrap();
    let body = object(json!({"tools": tools}));
    control.update_agent(caller, &id, &body).await.unwrap();
    let engine = world.place.start();
    let session = world.place.session("Go.").await;
    let events = world.place.rested(&session).await;
    assert_eq!(offered(&world.place.model.asked()[0]), ["mcp__docs__add"]);
    let denied = of_kind(&events, "agent.tool_result")[0];
    assert_eq!(text(denied), "the agent does not have this tool");
    assert_eq!(World::<McpServer>::results(&events), ["2"]);
    engine.stop().await;
}

#[tokio::test]
async fn a_long_output_goes_to_a_file_in_the_sandbox() {
    let world = World::official(
        "",
        calls([("long", json!({"characters": 100_001}))]),
        "always_allow",
    )
    .await;
    let engine = world.place.start();
    let session = world.place.session("Go.").await;
    let events = world.place.rested(&session).await;
    let (tool, input) = world.place.workplace.calls().pop().unwrap();
    assert_eq!(tool, "write");
    assert_eq!(input["content"].as_str().unwrap().len(), 100_001);
    let path = input["file_path"].as_str().unwrap();
    let results = World::<McpServer>::results(&events);
    assert!(results[0].ends_with(&format!(
        "of 100001 characters; the whole output is in {path}]"
    )));
    assert!(results[0].len() < 11_000);
    engine.stop().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_told_of_and_tried_again_in_the_next_turn() {
    let world = World::lying(
        "private",
        vec![ModelStep::text("Without."), ModelStep::text("With.")],
    )
    .await;
    let engine = world.place.start();
    let session = world.place.session("Go.").await;
    let events = world.place.rested(&session).await;
    let error = &of_kind(&events, "session.error")[0]["error"];
    assert_eq!(error["type"], "mcp_authentication_failed_error");
    assert_eq!(
        error["message"],
        "the MCP server \"docs\" cannot be used: it wants a credential, and no vault of the session has one for its URL"
    );
    let asked = world.place.model.asked();
    assert!(offered(&asked[0]).is_empty());
    assert!(
        asked[0]["system"]
            .to_string()
            .contains("cannot be used now")
    );
    let kinds = kinds(&events);
    let at = |kind| kinds.iter().position(|known| *known == kind).unwrap();
    assert!(at("session.error") < at("span.model_request_start"));
    world.place.send(&session, json!([message("Again.")])).await;
    let events = world
        .place
        .happened(&session, "session.status_idle", 2)
        .await;
    assert_eq!(of_kind(&events, "session.error").len(), 2);
    engine.stop().await;
}

#[tokio::test]
async fn the_environment_decides_which_servers_are_reached() {
    let steps = vec![
        ModelStep::text("Without."),
        ModelStep::text("With."),
        ModelStep::text("Without again."),
    ];
    let world = World::lying("honest", steps).await;
    let engine = world.place.start();
    let networking = |allow| json!({"type": "limited", "allow_mcp_servers": allow});
    let closed = world.environment(networking(false)).await;
    let session = world
        .place
        .session_with("Go.", json!({"environment_id": closed}))
        .await;
    let events = world.place.rested(&session).await;
    let error = &of_kind(&events, "session.error")[0]["error"];
    assert_eq!(error["type"], "mcp_connection_failed_error");
    let words = error["message"].as_str().unwrap();
    assert!(
        words.contains("denied: ") && !words.contains('\n'),
        "{words}"
    );
    assert!(world.server.requests().is_empty());
    let (control, caller) = (&world.place.control, &world.place.caller);
    let body = object(
        json!({"name": "open", "config": {"type": "cloud", "networking": networking(true)}}),
    );
    let request = NewEnvironmentRequest {
        body,
        restricted: false,
        namespace: None,
    };
    let open = control.create_environment(caller, request).await.unwrap();
    let parts = json!({"environment_id": open.environment.id});
    let session = world.place.session_with("Go.", parts.clone()).await;
    world.place.rested(&session).await;
    assert_eq!(
        offered(&world.place.model.asked()[1]),
        ["mcp__docs__do", "mcp__docs__other"]
    );
    // The organization's floor holds, whatever the environment allows.
    let floor = PoliciesChange {
        allow_body_injection: None,
        default_networking: None,
        denied_hosts: Some(vec!["*.example.com".to_owned()]),
        denied_cidrs: None,
        version: None,
    };
    control.change_policies(caller, floor).await.unwrap();
    let before = world.server.requests().len();
    let session = world.place.session_with("Go.", parts).await;
    let events = world.place.rested(&session).await;
    assert_eq!(of_kind(&events, "session.error").len(), 1);
    assert_eq!(world.server.requests().len(), before);
    engine.stop().await;
}
