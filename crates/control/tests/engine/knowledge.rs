//! Environments by ways of searching by hostile questions: nobody is ever told what another environment knows.

use std::sync::Arc;

use bailiwick_control::{
    Caller, ControlError, Credentials, KnowledgeConfig, KnowledgeConnectorChange,
    KnowledgeConnectorView, KnowledgeSearch, KnowledgeSource, McpGatewayAccess, McpGatewayConfig,
    McpGatewayView, McpGateways, NewEnvironmentRequest, NewKeyRequest,
    NewKnowledgeConnectorRequest, NewMcpGatewayRequest,
};
use bailiwick_mcp::{Span, Talk, View as _, ViewRequest};
use bailiwick_model::EnvironmentId;
use bailiwick_store::{Kept, NewKnowledgeChunk, NewKnowledgeDocument};
use bailiwick_testkit::{ModelPiece, ModelStep};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Place, object, of_kind, text};

const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "prod"];
/// What the tool is called by way of a gateway.
const BY_GATEWAY: &str = "bailiwick__search_knowledge";

/// An environment that knows one document.
struct World {
    whose: &'static str,
    id: EnvironmentId,
    connector: KnowledgeConnectorView,
    gateway: McpGatewayView,
    key: Caller,
}

/// What only the document of an environment says.
fn sign(whose: &str) -> String {
    format!("canaryof{whose}")
}

impl Place {
    async fn world(&self, whose: &'static str) -> World {
        let body = json!({"name": whose, "config": {"type": "cloud", "networking": {"type": "unrestricted"}}});
        let request = NewEnvironmentRequest {
            body: object(body),
            ..NewEnvironmentRequest::default()
        };
        let made = self.control.create_environment(&self.caller, request).await;
        let id = made.unwrap().environment.id;
        let connector = self.connector(whose, &id).await;
        self.learn(whose, &connector).await;
        let request = NewMcpGatewayRequest {
            name: whose.to_owned(),
            environment: id.clone(),
            config: McpGatewayConfig {
                access: McpGatewayAccess::AllTools,
                ..McpGatewayConfig::default()
            },
            entries: Vec::new(),
        };
        let gateway = self.control.create_mcp_gateway(&self.caller, request).await;
        let gateway = gateway.unwrap();
        let request = NewKeyRequest {
            name: "ci".to_owned(),
            expires_at: None,
        };
        let of = &gateway.gateway.id;
        let made = self.control.create_gateway_key(&self.caller, of, request);
        let made = made.await.unwrap();
        let credentials = Credentials {
            key: &made.key,
            address: None,
        };
        let key = self.control.authenticate(credentials).await.unwrap();
        World {
            whose,
            id,
            connector,
            gateway,
            key,
        }
    }

    async fn connector(&self, whose: &str, id: &EnvironmentId) -> KnowledgeConnectorView {
        let request = NewKnowledgeConnectorRequest {
            name: format!("handbook-{whose}"),
            environment: id.clone(),
            config: KnowledgeConfig {
                source: KnowledgeSource::Web {
                    url: format!("https://{whose}.example.com/"),
                    gather: Default::default(),
                    sitemap: None,
                    depth: None,
                    max_pages: None,
                },
                credential: None,
                schedule: None,
                apply_set: None,
            },
        };
        let made = self
            .control
            .create_knowledge_connector(&self.caller, request);
        made.await.unwrap()
    }

    /// What a sync would have brought.
    async fn learn(&self, whose: &str, connector: &KnowledgeConnectorView) {
        let (now, organization) = (Timestamp::now(), self.caller.organization());
        let times = (now, now + SignedDuration::from_secs(60));
        let id = &connector.connector.id;
        let claimed = self.store.claim_knowledge(organization, id, "test", times);
        let run = claimed.await.unwrap().unwrap();
        let sign = sign(whose);
        let body = format!("The shared runbook. Only here: {sign}.");
        let document = NewKnowledgeDocument {
            id: "kndc_1111111111111111111111"
                .replace('1', &whose[..1])
                .parse()
                .unwrap(),
            key: format!("{whose}/runbook.md"),
            revision: "1".to_owned(),
            title: format!("Runbook {sign}"),
            link: None,
            kind: "markdown",
            bytes: i64::try_from(body.len()).unwrap(),
            updated_at: None,
            chunks: vec![NewKnowledgeChunk {
                headings: String::new(),
                body,
            }],
        };
        let kept = self.store.keep_knowledge_document(&run, now, &document);
        assert_eq!(kept.await.unwrap(), Kept::Kept);
    }

    async fn person(&self, world: &World, input: &Value) -> String {
        let search: Result<KnowledgeSearch, _> = serde_json::from_value(input.clone());
        let Ok(search) = search else {
            return "refused".to_owned();
        };
        let (control, caller) = (&self.control, &self.caller);
        let found = control
            .search_knowledge_in(caller, &world.id, &search)
            .await;
        format!("{found:?}")
    }

    async fn gateway(
        &self,
        gateways: &Arc<McpGateways>,
        (caller, world): (&Caller, &World),
        request: ViewRequest,
    ) -> String {
        let id = world.gateway.gateway.id.to_string();
        let open = match gateways.open(caller, &id).await {
            Ok(open) => open,
            Err(error) => return error.to_string(),
        };
        let view = open.view(Span::Request);
        match view.ask(request, &Talk::silent()).await {
            Ok(answer) => String::from_utf8(answer.to_vec()).unwrap(),
            Err(error) => error.to_string(),
        }
    }
}

fn call(input: &Value) -> ViewRequest {
    ViewRequest::Call {
        tool: BY_GATEWAY.to_owned(),
        arguments: Some(input.to_string().into()),
    }
}

/// Questions of which some name another environment in every way that there may be.
fn questions(other: &World) -> Vec<Value> {
    let (sign, id, whose) = (sign(other.whose), &other.id, other.whose);
    let connector = &other.connector.connector.id;
    vec![
        json!({"query": sign}),
        json!({"query": format!("shared runbook {sign}")}),
        json!({"query": format!("handbook-{whose} {whose}/runbook.md")}),
        json!({"query": "shared", "environment_id": id}),
        json!({"query": "shared", "environment": whose}),
        json!({"query": "shared", "connector_id": connector}),
        json!({"query": format!("shared environment_id:{id}")}),
        json!({"query": format!("\" OR body:{sign} OR \"")}),
        json!({"query": format!("x') UNION SELECT * FROM knowledge_chunk WHERE ('{sign}")}),
        json!({"query": format!("'/1' | '/2' | '/3' & {sign}:*")}),
        json!({"query": format!("{}{sign}", "\u{0}\u{1}\u{2}")}),
        json!({"query": "shared", "limit": 50}),
        json!({"query": "shared", "limit": 4_294_967_295_u32}),
        json!({"query": "shared", "limit": -1}),
        json!({"query": ["shared", sign]}),
        json!({"query": {"match": sign}}),
        json!({"query": "%"}),
        json!({}),
        json!([]),
        json!(null),
    ]
}

fn plain() -> Value {
    json!({"query": "shared runbook"})
}

#[track_caller]
fn tells_of(said: &str, own: &World, worlds: &[World], what: &str) {
    for other in worlds.iter().filter(|other| other.whose != own.whose) {
        let (sign, name) = (sign(other.whose), format!("{}/runbook.md", other.whose));
        // A refusal may say what was asked for again; it quotes no document.
        let echoes = said.matches(&format!("Only here: {sign}")).count()
            + said.matches(&format!("Runbook {sign}")).count()
            + said.matches(&format!("\"key\":\"{name}\"")).count();
        assert_eq!(echoes, 0, "{} by {what}: {said}", own.whose);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_an_environment_knows_is_found_in_it_whoever_asks_and_however() {
    // Each session asks all questions about the two others, and a plain one.
    let place = Place::new([]).await;
    let mut worlds = Vec::new();
    for whose in ENVIRONMENTS {
        worlds.push(place.world(whose).await);
    }
    let gateways = Arc::new(McpGateways::new(Arc::clone(&place.control)));
    for own in &worlds {
        for other in &worlds {
            for question in [questions(other), vec![plain()]].concat() {
                let person = place.person(own, &question).await;
                let member = (&place.caller, own);
                let member = place.gateway(&gateways, member, call(&question)).await;
                let key = place.gateway(&gateways, (&own.key, own), call(&question));
                let key = key.await;
                for (way, said) in [("person", &person), ("member", &member), ("key", &key)] {
                    tells_of(said, own, &worlds, &format!("{way}: {question}"));
                    if question == plain() {
                        let found = format!("Runbook {}", sign(own.whose));
                        assert!(said.contains(&found), "{} by {way}: {said}", own.whose);
                    }
                }
            }
            // A key opens the gateway that it is of, and no other.
            if other.whose != own.whose {
                let refused = place.gateway(&gateways, (&own.key, other), call(&plain()));
                let refused = refused.await;
                assert!(refused.contains("there is no MCP gateway"), "{refused}");
            }
        }
    }
}

#[tokio::test]
async fn a_session_finds_what_its_environment_knows_whatever_its_model_asks() {
    let place = Place::new([]).await;
    let mut worlds = Vec::new();
    for whose in ENVIRONMENTS {
        worlds.push(place.world(whose).await);
    }
    let asked: Vec<_> = worlds.iter().flat_map(questions).collect();
    let asked: Vec<_> = asked.into_iter().chain([plain()]).collect();
    let calls = || {
        asked
            .iter()
            .map(|input| ModelPiece::tool("search_knowledge", input.clone()))
    };
    let steps = worlds
        .iter()
        .flat_map(|_| [ModelStep::reply(calls()), ModelStep::text("Done.")]);
    let place = place.saying(steps);
    let engine = place.start();
    for own in &worlds {
        let parts = json!({"environment_id": own.id});
        let session = place.session_with("Look it up.", parts).await;
        let events = place.rested(&session).await;
        let results = of_kind(&events, "agent.tool_result");
        assert_eq!(results.len(), asked.len(), "{events:#?}");
        // They come as they are done.
        for result in &results {
            tells_of(text(result), own, &worlds, "session");
        }
        let found = format!("Runbook {}", sign(own.whose));
        let is_it = |result: &&Value| text(result).contains(&found);
        let answer = results.iter().copied().find(is_it);
        let answer = answer.unwrap_or_else(|| panic!("{events:#?}"));
        assert!(text(answer).contains("no instructions"));
    }
    engine.stop().await;
}

#[tokio::test]
async fn a_connector_that_moves_or_goes_takes_the_tool_with_it() {
    let place = Place::new([]).await;
    let (dev, prod) = (place.world("dev").await, place.world("prod").await);
    let gateways = Arc::new(McpGateways::new(Arc::clone(&place.control)));
    let tools = || ViewRequest::Tools { cursor: None };
    let listed = async |world: &World| {
        let listed = place.gateway(&gateways, (&world.key, world), tools()).await;
        listed.contains(BY_GATEWAY)
    };
    assert!(listed(&dev).await && listed(&prod).await);
    let change = KnowledgeConnectorChange {
        environment: Some(prod.id.clone()),
        ..KnowledgeConnectorChange::default()
    };
    let id = &dev.connector.connector.id;
    let moved = place
        .control
        .update_knowledge_connector(&place.caller, id, change);
    moved.await.unwrap();
    assert!(!listed(&dev).await && listed(&prod).await);
    let refused = place.gateway(&gateways, (&dev.key, &dev), call(&plain()));
    let refused = refused.await;
    assert!(refused.contains("unknown tool"), "{refused}");
    let both = place
        .gateway(&gateways, (&prod.key, &prod), call(&plain()))
        .await;
    for whose in ["dev", "prod"] {
        assert!(both.contains(&format!("Runbook {}", sign(whose))), "{both}");
    }
    for world in [&dev, &prod] {
        let id = &world.connector.connector.id;
        let gone = place.control.delete_knowledge_connector(&place.caller, id);
        gone.await.unwrap();
    }
    assert!(!listed(&dev).await && !listed(&prod).await);
    // With another permission than that of the gateway nobody searches by name.
    let search: KnowledgeSearch = serde_json::from_value(plain()).unwrap();
    let (control, key) = (&place.control, &prod.key);
    let found = control.search_knowledge_in(key, &prod.id, &search).await;
    assert!(matches!(found, Err(ControlError::Forbidden(_))));
}

#[tokio::test]
async fn without_a_connector_a_session_has_no_tool_and_a_model_that_knows_it_gets_nothing() {
    let steps = [
        ModelStep::tool("search_knowledge", plain()),
        ModelStep::text("Done."),
    ];
    let place = Place::new(steps).await;
    let world = place.world("dev").await;
    let engine = place.start();
    let session = place.session("Look it up.").await;
    let events = place.rested(&session).await;
    let offered = place.model.asked()[0]["tools"].to_string();
    assert!(!offered.contains("search_knowledge"), "{offered}");
    assert!(!format!("{events:?}").contains(&sign(world.whose)));
    engine.stop().await;
}
