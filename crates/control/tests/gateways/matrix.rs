//! Environments by ways of access by ways of asking: only the caller's environment ever answers.

use std::collections::BTreeMap;

use bailiwick_control::{
    ConflictKind, ControlError, KnowledgeConfig, KnowledgeSource, McpGatewayView,
    NewKnowledgeConnectorRequest, OnConflict, Placement,
};
use bailiwick_mcp::{Span, Talk, View as _, ViewRequest};
use bailiwick_model::{AgentId, EnvironmentId, KnowledgeDocumentId, ResourceId as _};
use bailiwick_store::{Kept, NewKnowledgeChunk, NewKnowledgeDocument};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{ENVIRONMENTS, Place, answered, ask, call, call_with, on_both, tools};

/// What every way of asking comes to, for each environment that is asked by way of a gateway of `dev`, `staging` and `prod`, of either access.
const EXPECTED: &str = "\
way                       dev  staging  prod
call by known name        own  -        -
control plane             own  -        -
control plane's catalog   own  -        -
delegation                own  -        -
knowledge search          own  -        -
list                      own  -        -
prompt                    own  -        -
qualified resource read   own  -        -
resource read             own  -        -
resources                 own  -        -
search_tools              own  -        -
";

/// One way of asking, and what of another environment it could give away.
fn ways(whose: &str, environment: &str) -> Vec<(&'static str, ViewRequest)> {
    let uri = format!("test://{whose}/1");
    let arguments = json!({"environment_id": environment});
    vec![
        ("list", tools()),
        ("call by known name", call(&format!("{whose}__ask"))),
        ("resources", ViewRequest::Resources { cursor: None }),
        ("resource read", ViewRequest::Read { uri: uri.clone() }),
        (
            "qualified resource read",
            ViewRequest::Read {
                uri: format!("mcp-server:{whose}:{uri}"),
            },
        ),
        (
            "prompt",
            ViewRequest::Prompt {
                name: format!("{whose}__greet"),
                arguments: None,
            },
        ),
        (
            "control plane",
            call_with("bailiwick__environment_get", &arguments),
        ),
        ("control plane's catalog", call("bailiwick__catalog_list")),
        (
            "search_tools",
            call_with("bailiwick__search_tools", &json!({"query": whose})),
        ),
        (
            "knowledge search",
            call_with(
                "bailiwick__search_knowledge",
                &json!({"query": "everybody"}),
            ),
        ),
    ]
}

/// What says that something of an environment was told.
fn tells(said: &Result<Value, String>, whose: &str, environment: &str) -> bool {
    let Ok(said) = said else { return false };
    if said["isError"] == true {
        return false;
    }
    let text = said.to_string();
    [
        format!("this is {whose}"),
        format!("\"{whose}\""),
        format!("{whose}.example.com"),
        format!("{whose}__ask"),
        environment.to_owned(),
    ]
    .iter()
    .any(|sign| text.contains(sign))
}

/// An environment with a server, two gateways, a document and an agent.
struct World {
    whose: &'static str,
    environment: EnvironmentId,
    gateways: [McpGatewayView; 2],
    agent: AgentId,
}

impl World {
    async fn new(place: &Place, at: usize) -> Self {
        let whose = ENVIRONMENTS[at];
        let environment = place.open_environment(whose).await;
        let entry = place.enter(whose, &environment, place.url(at)).await;
        let entry = entry.unwrap();
        let (one, all) = (format!("{whose}-one"), format!("{whose}-all"));
        let explicit = place.gateway(&one, &environment, Some(&[&entry])).await;
        let all = place.gateway(&all, &environment, None).await;
        place.knows(&environment, whose).await;
        Self {
            agent: place.agent(&environment, whose).await,
            environment,
            gateways: [explicit.unwrap(), all.unwrap()],
            whose,
        }
    }
}

impl Place {
    /// An environment knows one document, which says whose it is.
    async fn knows(&self, environment: &EnvironmentId, whose: &str) {
        let source = KnowledgeSource::Web {
            url: format!("https://{whose}.example.com/"),
            gather: Default::default(),
            sitemap: None,
            depth: None,
            max_pages: None,
        };
        let request = NewKnowledgeConnectorRequest {
            name: whose.to_owned(),
            environment: environment.clone(),
            config: KnowledgeConfig {
                source,
                credential: None,
                schedule: None,
                apply_set: None,
            },
        };
        let made = self
            .control
            .create_knowledge_connector(&self.caller, request)
            .await;
        let connector = made.unwrap().connector.id;
        let (organization, now) = (self.caller.organization(), Timestamp::now());
        let until = (now, now + SignedDuration::from_secs(60));
        let run = self
            .store
            .claim_knowledge(organization, &connector, "test", until)
            .await;
        let body = format!("this is {whose}, for everybody");
        let document = NewKnowledgeDocument {
            id: KnowledgeDocumentId::made(0, [u8::try_from(whose.len()).unwrap(); 10]),
            key: whose.to_owned(),
            revision: "1".to_owned(),
            title: "For everybody".to_owned(),
            link: None,
            kind: "text",
            bytes: i64::try_from(body.len()).unwrap(),
            updated_at: None,
            chunks: vec![NewKnowledgeChunk {
                headings: String::new(),
                body,
            }],
        };
        let run = run.unwrap().unwrap();
        let kept = self.store.keep_knowledge_document(&run, now, &document);
        assert_eq!(kept.await.unwrap(), Kept::Kept);
    }

    async fn made_agent(&self, body: Value) -> Result<AgentId, ControlError> {
        let body = body.as_object().unwrap().clone();
        let made = self.control.create_agent(&self.caller, &body).await;
        made.map(|agent| agent.id)
    }

    /// An agent that is placed in an environment.
    async fn agent(&self, environment: &EnvironmentId, whose: &str) -> AgentId {
        let made = self.made_agent(json!({"name": whose, "model": "m"})).await;
        let agent = made.unwrap();
        let placement = Placement {
            environment: Some(Some(environment.clone())),
            revision: None,
            on_conflict: OnConflict::Refuse,
        };
        let placed = self
            .control
            .place_agent(&self.caller, &agent, placement)
            .await;
        placed.unwrap();
        agent
    }

    /// Whether an agent that works in one environment may delegate to that of another one.
    async fn delegates(&self, from: &World, to: &World) -> bool {
        let members = json!({"type": "coordinator", "agents": [to.agent]});
        let chief = json!({"name": "chief", "model": "m", "multiagent": members});
        let chief = self.made_agent(chief).await.unwrap();
        let body = json!({"agent": chief, "environment_id": from.environment});
        let body = body.as_object().unwrap();
        let begun = match self.control.create_session(&self.caller, body).await {
            Ok(_) => true,
            Err(ControlError::AcrossEnvironments { conflicts, .. }) => {
                assert_eq!(conflicts[0].kind, ConflictKind::Agent);
                assert_eq!(conflicts[0].id, to.agent.to_string());
                false
            }
            Err(error) => panic!("{error:?}"),
        };
        // Nor does one that is placed there.
        let placement = Placement {
            environment: Some(Some(from.environment.clone())),
            revision: None,
            on_conflict: OnConflict::Refuse,
        };
        let placed = self.control.place_agent(&self.caller, &chief, placement);
        assert_eq!(placed.await.is_ok(), begun);
        begun
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_callers_environment_ever_answers() {
    on_both(|place| async move {
        let mut worlds = Vec::new();
        for at in 0..ENVIRONMENTS.len() {
            worlds.push(World::new(&place, at).await);
        }
        for own in &worlds {
            for gateway in &own.gateways {
                let table = table(&place, (own, gateway), &worlds).await;
                let expected = expected(own.whose);
                let name = &gateway.gateway.values.name;
                assert_eq!(table, expected, "{name}:\n{table}");
            }
        }
    })
    .await;
}

/// [`EXPECTED`], for the environment that asks.
fn expected(whose: &str) -> String {
    let columns = ENVIRONMENTS.map(|one| if one == whose { "own" } else { "-" });
    let mut lines = EXPECTED.lines();
    let head = lines.next().unwrap();
    let row = |line: &str| {
        let [dev, staging, prod] = columns;
        let way = line[..26].to_owned();
        format!("{way}{dev:<5}{staging:<9}{prod}")
    };
    let rows = lines.map(row);
    let all: Vec<_> = std::iter::once(head.to_owned()).chain(rows).collect();
    all.join("\n") + "\n"
}

/// What came of asking for each environment by way of one gateway: anew, and in a session that was begun before, with what that has kept.
async fn table(
    place: &Place,
    (own, gateway): (&World, &McpGatewayView),
    worlds: &[World],
) -> String {
    let id = gateway.gateway.id.to_string();
    let open = place.gateways.open(&place.caller, &id).await.unwrap();
    let session = open.view(Span::Session);
    answered(session.ask(tools(), &Talk::silent()).await).unwrap();
    let mut rows: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    for other in worlds {
        let environment = other.environment.to_string();
        for (way, request) in ways(other.whose, &environment) {
            let anew = place.ask(gateway, request.clone()).await;
            let kept = answered(session.ask(request, &Talk::silent()).await);
            let [anew, kept] = [anew, kept].map(|it| (tells(&it, other.whose, &environment), it));
            assert_eq!(anew.0, kept.0, "{way}: {:?} and {:?}", anew.1, kept.1);
            rows.entry(way).or_default().push(anew.0);
        }
        let delegates = place.delegates(own, other).await;
        rows.entry("delegation").or_default().push(delegates);
    }
    let mut table = format!("{:26}dev  staging  prod\n", "way");
    for (way, told) in rows {
        let [dev, staging, prod] = [0, 1, 2].map(|at| if told[at] { "own" } else { "-" });
        table += &format!("{way:<26}{dev:<5}{staging:<9}{prod}\n");
    }
    table
}

#[tokio::test]
async fn a_virtual_key_opens_its_gateway_and_nothing_else() {
    let place = Place::sqlite().await;
    let (dev, prod) = (
        place.open_environment("dev").await,
        place.open_environment("prod").await,
    );
    place.enter("dev", &dev, place.url(0)).await.unwrap();
    let own = place.gateway("dev", &dev, None).await.unwrap();
    let other = place.gateway("prod", &prod, None).await.unwrap();
    let request = bailiwick_control::NewKeyRequest {
        name: "ci".to_owned(),
        expires_at: None,
    };
    let (control, id) = (&place.control, &own.gateway.id);
    let made = control.create_gateway_key(&place.caller, id, request).await;
    let made = made.unwrap();
    assert!(made.key.starts_with("bwg_"));
    let key = super::authenticated(control, &made.key).await.unwrap();
    let said = ask(&place.gateways, &key, &own, call("dev__ask")).await;
    assert!(said.unwrap().to_string().contains("this is dev"));
    // It may do nothing in the control plane, and does not see what it may not do.
    let listed = ask(&place.gateways, &key, &own, tools()).await.unwrap();
    let all = listed["tools"].as_array().unwrap().iter();
    let names: Vec<_> = all.filter_map(|tool| tool["name"].as_str()).collect();
    let shown: Vec<_> = names
        .iter()
        .filter(|it| it.starts_with("bailiwick__"))
        .collect();
    assert_eq!(shown, [&"bailiwick__search_tools"], "{listed}");
    let refused = ask(&place.gateways, &key, &own, call("bailiwick__session_list")).await;
    assert!(refused.unwrap_err().contains("unknown tool"));
    let refused = ask(&place.gateways, &key, &other, tools()).await;
    assert!(refused.unwrap_err().contains("there is no MCP gateway"));
    let refused = control.mcp_gateway(&key, id).await;
    assert!(refused.is_err());
    control
        .revoke_gateway_key(&place.caller, id, &made.id)
        .await
        .unwrap();
    assert!(super::authenticated(control, &made.key).await.is_err());
}

#[tokio::test]
async fn a_gateway_that_names_tools_gives_those_alone() {
    let place = Place::sqlite().await;
    let dev = place.open_environment("dev").await;
    let entry = place.enter("dev", &dev, place.url(0)).await.unwrap();
    let gateway = place.gateway("dev", &dev, Some(&[&entry])).await.unwrap();
    let listed = place.ask(&gateway, tools()).await.unwrap();
    assert_eq!(super::names(&listed), ["dev__ask", "dev__other"]);
    let mut one = super::assigned(&entry);
    one.tools = Some(["other".to_owned()].into());
    let change = bailiwick_control::McpGatewayChange {
        entries: Some(vec![one]),
        ..Default::default()
    };
    let id = &gateway.gateway.id;
    let changed = place.control.update_mcp_gateway(&place.caller, id, change);
    changed.await.unwrap();
    let listed = place.ask(&gateway, tools()).await.unwrap();
    assert_eq!(super::names(&listed), ["dev__other"]);
    let before = place.asked(0);
    assert!(place.ask(&gateway, call("dev__ask")).await.is_err());
    let uri = "test://dev/1".to_owned();
    assert!(
        place
            .ask(&gateway, ViewRequest::Read { uri })
            .await
            .is_err()
    );
    let name = "dev__greet".to_owned();
    let prompt = ViewRequest::Prompt {
        name,
        arguments: None,
    };
    assert!(place.ask(&gateway, prompt).await.is_err());
    let called = place.servers[0].asked();
    let called = called[before..].iter();
    let reads = called.filter(|asked| {
        let text = String::from_utf8_lossy(&asked.body);
        text.contains("tools/call")
            || text.contains("resources/read")
            || text.contains("prompts/get")
    });
    assert_eq!(
        reads.count(),
        0,
        "the server is not asked for what is hidden"
    );
    assert!(place.ask(&gateway, call("dev__other")).await.is_ok());
}
