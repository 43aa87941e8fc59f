//! Servers of the catalog that run here, and the browser, by way of gateways; on a runtime in memory.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_control::{
    CommandTransport, ControlError, HostedCommand, HostedCondition, HostedEntries, HostedServers,
    McpEntryChange, McpEntryView, McpGatewayChange, McpGatewayConfig, McpGatewayNaming,
    McpGateways, McpServerConfig, NewMcpEntryRequest, NewMcpGatewayRequest, SecretVariable,
};
use bailiwick_mcp::{Span, Talk, View as _};
use bailiwick_model::EnvironmentId;
use bailiwick_policy::InForce;
use bailiwick_runtime::Runtime;
use bailiwick_runtime::fake::{Fake, FakeBuilder, Invocation};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_util::sync::CancellationToken;

use super::{Place, answered, ask, assigned, call, names, on_both, tools};

const PATIENCE: Duration = Duration::from_secs(30);

/// A place whose gateways have what runs here.
struct World {
    place: Place,
    fake: Arc<Fake<InForce>>,
    gateways: Arc<McpGateways>,
    stop: CancellationToken,
    looking: tokio::task::JoinHandle<()>,
}

/// An MCP server with one tool, which says what its variable is.
async fn serve(mut program: Invocation) -> u8 {
    let _ = program.stderr.write_all(b"ready\n").await;
    let mut lines = BufReader::new(program.stdin).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let asked: Value = serde_json::from_str(&line).unwrap();
        let Some(id) = asked.get("id") else { continue };
        let result = match asked["method"].as_str().unwrap_or_default() {
            "initialize" => json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}),
            "tools/list" => json!({"tools": [{"name": "say", "inputSchema": {"type": "object"}}]}),
            _ => json!({"content": [{"type": "text", "text": "said"}]}),
        };
        let answer = format!(
            "{}\n",
            json!({"jsonrpc": "2.0", "id": id, "result": result})
        );
        if program.stdout.write_all(answer.as_bytes()).await.is_err() {
            break;
        }
    }
    0
}

impl World {
    fn on(place: Place) -> Self {
        let fake = FakeBuilder::with_other_policies()
            .program(["mcp"], serve)
            .program(["broken"], |mut it: Invocation| async move {
                let _ = it.stderr.write_all(b"cannot find my files\n").await;
                3
            });
        let fake = Arc::new(fake.build());
        let runtime: Arc<dyn Runtime<Policy = InForce>> = Arc::clone(&fake) as _;
        let control = &place.control;
        let servers = HostedServers::new(Arc::clone(control), runtime)
            .with_entries(Arc::clone(control) as Arc<dyn HostedEntries>);
        let gateways = McpGateways::new(Arc::clone(control)).with_hosted_servers(servers.clone());
        let stop = CancellationToken::new();
        Self {
            looking: tokio::spawn(servers.run(stop.clone())),
            gateways: Arc::new(gateways),
            place,
            fake,
            stop,
        }
    }

    async fn enter(
        &self,
        (name, program): (&str, &str),
        environment: &EnvironmentId,
        secrets: Vec<SecretVariable>,
    ) -> McpEntryView {
        let command = HostedCommand {
            command: program.to_owned(),
            args: Vec::new(),
            variables: Default::default(),
            secrets,
            packages: Default::default(),
            transport: CommandTransport::Stdio,
        };
        let request = NewMcpEntryRequest {
            name: name.to_owned(),
            environment: environment.clone(),
            server: McpServerConfig::SelfHosted(command),
            vault: None,
        };
        let place = &self.place;
        let made = place.control.create_mcp_entry(&place.caller, request).await;
        made.unwrap()
    }

    async fn running(&self) -> usize {
        self.fake.list().await.unwrap().len()
    }

    async fn until_running(&self, count: usize) {
        let waiting = async {
            while self.running().await != count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("there are not {count} in time"));
    }

    async fn end(self) {
        self.stop.cancel();
        self.looking.await.unwrap();
        assert_eq!(self.fake.list().await.unwrap().len(), 0);
    }
}

#[tokio::test]
async fn a_server_that_runs_here_is_used_by_its_environments_gateways_alone_and_ends_with_its_entry()
 {
    on_both(|place| async move {
        let world = World::on(place);
        let place = &world.place;
        let (dev, prod) = (
            place.open_environment("dev").await,
            place.open_environment("prod").await,
        );
        let entry = world.enter(("tools", "mcp"), &dev, Vec::new()).await;
        let own = place.gateway("own", &dev, Some(&[&entry])).await.unwrap();
        let other = place.gateway("other", &prod, None).await.unwrap();
        let (gateways, caller) = (&world.gateways, &place.caller);
        let refused = ask(gateways, caller, &other, call("tools__say")).await;
        assert!(refused.unwrap_err().contains("unknown tool"));
        assert_eq!(world.running().await, 0, "who may not starts nothing");
        let said = ask(gateways, caller, &own, call("tools__say")).await;
        assert!(said.unwrap().to_string().contains("said"), "the control");
        let listed = ask(gateways, caller, &own, tools()).await.unwrap();
        assert!(names(&listed).contains(&"tools__say"), "{listed}");
        let id = &entry.entry.id;
        let state = gateways.mcp_entry_state(caller, id).await.unwrap();
        assert_eq!(state.condition, HostedCondition::Running);
        assert!(state.log.contains(&"ready".to_owned()), "{:?}", state.log);
        // Moved, it runs no more where it was, and is not there for whoever is.
        let change = McpEntryChange {
            environment: Some(prod.clone()),
            on_conflict: bailiwick_control::OnConflict::Detach,
            ..McpEntryChange::default()
        };
        let moved = place.control.update_mcp_entry(caller, id, change).await;
        moved.unwrap();
        world.until_running(0).await;
        let refused = ask(gateways, caller, &own, call("tools__say")).await;
        assert!(refused.is_err(), "{refused:?}");
        let said = ask(gateways, caller, &other, call("tools__say")).await;
        assert!(said.is_ok(), "{said:?}");
        assert_eq!(world.running().await, 1);
        place.control.delete_mcp_entry(caller, id).await.unwrap();
        world.until_running(0).await;
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_start_that_fails_is_told_to_the_client_with_the_last_of_the_log() {
    let world = World::on(Place::sqlite().await);
    let place = &world.place;
    let dev = place.open_environment("dev").await;
    let entry = world.enter(("broken", "broken"), &dev, Vec::new()).await;
    let own = place.gateway("own", &dev, None).await.unwrap();
    let (gateways, caller) = (&world.gateways, &place.caller);
    let failed = ask(gateways, caller, &own, call("broken__any")).await;
    let failed = failed.unwrap_err();
    for words in ["broken", "exit code 3", "cannot find my files"] {
        assert!(failed.contains(words), "{failed}");
    }
    let id = &entry.entry.id;
    let state = gateways.mcp_entry_state(caller, id).await.unwrap();
    assert_eq!(state.condition, HostedCondition::Failed);
    let failed = gateways.mcp_entry_tools(caller, id).await.unwrap_err();
    assert!(failed.to_string().contains("failed"), "{failed}");
    let remote = place.enter("remote", &dev, place.url(0)).await.unwrap();
    let refused = gateways.mcp_entry_state(caller, &remote.entry.id).await;
    assert!(matches!(refused, Err(ControlError::Invalid(_))));
    world.end().await;
}

#[tokio::test]
async fn a_server_without_its_credential_is_not_started_and_with_it_has_a_placeholder() {
    let world = World::on(Place::sqlite().await);
    let place = &world.place;
    let (gateways, control, caller) = (&world.gateways, &place.control, &place.caller);
    let dev = place.open_environment("dev").await;
    let vault = json!({"display_name": "secrets"});
    let vault = control
        .create_vault(caller, vault.as_object().unwrap())
        .await
        .unwrap()
        .id;
    let secret = SecretVariable {
        variable: "API_TOKEN".to_owned(),
        vault_id: vault.clone(),
    };
    world.enter(("tools", "mcp"), &dev, vec![secret]).await;
    let own = place.gateway("own", &dev, None).await.unwrap();
    let refused = ask(gateways, caller, &own, call("tools__say")).await;
    let refused = refused.unwrap_err();
    assert!(refused.contains("API_TOKEN"), "{refused}");
    assert_eq!(world.running().await, 0);
    let auth = json!({"auth": {
        "type": "environment_variable",
        "secret_name": "API_TOKEN",
        "secret_value": "canary-2b7e",
        "networking": {"type": "limited", "allowed_hosts": ["api.example.com"]},
    }});
    let made = control.create_credential(caller, &vault, auth.as_object().unwrap());
    let credential = made.await.unwrap().id;
    // What was looked up is forgotten within a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let said = ask(gateways, caller, &own, call("tools__say")).await;
    assert!(said.is_ok(), "the control: {said:?}");
    // It ends with its secret.
    let archived = control.archive_credential(caller, &vault, &credential);
    archived.await.unwrap();
    world.until_running(0).await;
    world.end().await;
}

#[tokio::test]
async fn the_browser_is_listed_by_gateways_that_join_names_and_is_started_by_no_list() {
    let world = World::on(Place::sqlite().await);
    let place = &world.place;
    let (gateways, control, caller) = (&world.gateways, &place.control, &place.caller);
    let dev = place.open_environment("dev").await;
    let entry = place.enter("dev", &dev, place.url(0)).await.unwrap();
    let all = place.gateway("all", &dev, None).await.unwrap();
    let listed = ask(gateways, caller, &all, tools()).await.unwrap();
    let listed = names(&listed);
    assert!(
        listed.contains(&"playwright__browser_navigate"),
        "{listed:?}"
    );
    assert_eq!(world.running().await, 0);
    // A gateway that names its servers has it, too: it is exempt from matching.
    let one = place.gateway("one", &dev, Some(&[&entry])).await.unwrap();
    let listed = ask(gateways, caller, &one, tools()).await.unwrap();
    assert!(names(&listed).contains(&"playwright__browser_navigate"));
    // Nothing builds images here, which is told.
    let refused = ask(gateways, caller, &one, call("playwright__browser_close")).await;
    let refused = refused.unwrap_err();
    assert!(
        refused.contains("playwright") && refused.contains("image"),
        "{refused}"
    );
    let config = McpGatewayConfig {
        naming: McpGatewayNaming::Own,
        ..McpGatewayConfig::default()
    };
    let request = NewMcpGatewayRequest {
        name: "plain".to_owned(),
        environment: dev.clone(),
        config,
        entries: vec![assigned(&entry)],
    };
    let plain = control.create_mcp_gateway(caller, request).await.unwrap();
    let listed = ask(gateways, caller, &plain, tools()).await.unwrap();
    assert_eq!(names(&listed), ["ask", "other"]);
    world.end().await;
}

/// A call under way is cut when its server leaves the gateway, and a session that is kept goes on with what is there.
#[tokio::test]
async fn a_session_that_was_begun_before_uses_a_server_no_more_that_was_let_go() {
    let world = World::on(Place::sqlite().await);
    let place = &world.place;
    let (gateways, control, caller) = (&world.gateways, &place.control, &place.caller);
    let dev = place.open_environment("dev").await;
    let entry = world.enter(("tools", "mcp"), &dev, Vec::new()).await;
    let own = place.gateway("own", &dev, Some(&[&entry])).await.unwrap();
    let open = gateways.open(caller, &own.gateway.id.to_string()).await;
    let session = open.unwrap().view(Span::Session);
    let said = answered(session.ask(call("tools__say"), &Talk::silent()).await);
    assert!(said.is_ok(), "the control: {said:?}");
    let change = McpGatewayChange {
        entries: Some(Vec::new()),
        ..McpGatewayChange::default()
    };
    let changed = control.update_mcp_gateway(caller, &own.gateway.id, change);
    changed.await.unwrap();
    let refused = answered(session.ask(call("tools__say"), &Talk::silent()).await);
    assert!(refused.unwrap_err().contains("unknown tool"));
    assert_eq!(world.running().await, 1, "it is there for other gateways");
    world.end().await;
}
