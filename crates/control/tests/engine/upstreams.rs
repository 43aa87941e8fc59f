//! Upstreams of an organization's own: who is asked for which model, by which name, with which key.

use bailiwick_control::{
    KeyHeader, NewEnvironmentRequest, NewUpstreamRequest, PoliciesChange, ServedModel, TokensField,
    UpstreamChange, UpstreamConfig, UpstreamProtocol,
};
use bailiwick_model::{ModelUpstreamId, SecretText};
use bailiwick_testkit::{ModelScript, ModelServer, ModelStep};
use serde_json::{Value, json};

use super::{Place, Running, message, object, of_kind, stop_reason, text};

const KEY: &str = "sk-CANARY-51";

fn serving(steps: impl IntoIterator<Item = ModelStep>) -> ModelServer {
    ModelServer::start(ModelScript::of(steps))
}

/// Every model, at `NAME.test`.
fn config(name: &str, server: &ModelServer) -> UpstreamConfig {
    UpstreamConfig {
        protocol: UpstreamProtocol::Anthropic,
        base_url: format!("http://{name}.test:{}", server.address().port()),
        models: vec![model("*", None)],
        key_header: None,
        max_tokens_field: TokensField::default(),
        allow_plain_http: true,
        timeout_seconds: None,
    }
}

fn model(model: &str, own: Option<&str>) -> ServedModel {
    ServedModel {
        model: model.to_owned(),
        upstream_model: own.map(str::to_owned),
    }
}

impl Place {
    async fn upstream(&self, name: &str, priority: i64, config: UpstreamConfig) -> ModelUpstreamId {
        let request = NewUpstreamRequest {
            name: name.to_owned(),
            priority: Some(priority),
            config,
            api_key: Some(SecretText::new(KEY.to_owned())),
        };
        let made = self.control.create_model_upstream(&self.caller, request);
        made.await.unwrap().upstream.id
    }

    async fn change_upstream(&self, id: &ModelUpstreamId, change: UpstreamChange) {
        let changed = self.control.update_model_upstream(&self.caller, id, change);
        changed.await.unwrap();
    }

    /// An engine that finds these names on loopback.
    fn start_knowing(&self, names: &[(&str, &ModelServer)]) -> Running {
        let pins = names
            .iter()
            .map(|(name, server)| format!("{name}.test={}", server.address()));
        let pins: Vec<_> = pins.collect();
        self.start_with(self.models(&pins), None)
    }
}

/// One header of each request.
fn header(server: &ModelServer, name: &str) -> Vec<Option<String>> {
    let requests = server.requests().into_iter();
    requests
        .map(|request| request.headers.get(name).cloned())
        .collect()
}

#[tokio::test]
async fn an_organizations_own_is_asked_and_the_servers_is_not() {
    let place = Place::new([ModelStep::text("I am the server's.").always()]).await;
    let own = serving([ModelStep::text("I am its own.")]);
    let engine = place.start_knowing(&[("own", &own)]);
    place.upstream("own", 1, config("own", &own)).await;
    let session = place.session("Who are you?").await;
    let events = place.rested(&session).await;
    assert_eq!(text(of_kind(&events, "agent.message")[0]), "I am its own.");
    assert_eq!(header(&own, "x-api-key"), [Some(KEY.to_owned())]);
    assert_eq!(own.asked()[0]["model"], "claude-sonnet-4-5");
    assert_eq!(place.model.asked().len(), 0);
    assert!(!json!(events).to_string().contains("CANARY"));
    engine.stop().await;
}

#[tokio::test]
async fn one_that_speaks_chat_completions_is_asked_by_its_name_for_the_model() {
    let place = Place::new([]).await;
    let own = serving([
        ModelStep::tool("bash", json!({"command": "ls"})),
        ModelStep::text("Done."),
    ]);
    let engine = place.start_knowing(&[("own", &own)]);
    let config = UpstreamConfig {
        protocol: UpstreamProtocol::Openai,
        base_url: format!("http://own.test:{}/v1", own.address().port()),
        models: vec![model("claude-sonnet-*", Some("gpt-5-mini"))],
        max_tokens_field: TokensField::MaxCompletionTokens,
        ..config("own", &own)
    };
    place.upstream("own", 1, config).await;
    let session = place.session("Look.").await;
    let events = place.rested(&session).await;
    assert_eq!(text(of_kind(&events, "agent.tool_result")[0]), "bash: ls");
    assert_eq!(text(of_kind(&events, "agent.message")[0]), "Done.");
    let bearer = Some(format!("Bearer {KEY}"));
    assert_eq!(header(&own, "authorization"), [bearer.clone(), bearer]);
    assert_eq!(header(&own, "x-api-key"), [None, None]);
    for asked in own.asked() {
        assert_eq!(asked["model"], "gpt-5-mini");
        assert!(asked["max_completion_tokens"].is_u64());
    }
    engine.stop().await;
}

#[tokio::test]
async fn a_model_that_nobody_answers_for_is_told_and_asked_again_after_it_is() {
    let place = Place::new([]).await;
    let own = serving([ModelStep::text("Here I am.")]);
    let models = bailiwick_control::Models::new(
        None,
        Some(super::outbound(&[format!("own.test={}", own.address())])),
    );
    let engine = place.start_with(models, None);
    let others = UpstreamConfig {
        models: vec![model("gpt-*", None)],
        ..config("own", &own)
    };
    let id = place.upstream("own", 1, others).await;
    let session = place.session("Hello?").await;
    let events = place.rested(&session).await;
    let error = &of_kind(&events, "session.error")[0]["error"];
    assert_eq!(error["type"], "model_request_failed_error");
    assert_eq!(error["retry_status"]["type"], "terminal");
    let words = error["message"].as_str().unwrap();
    assert!(
        words.starts_with("model_not_found") && words.contains("claude-sonnet-4-5"),
        "{words}"
    );
    assert_eq!(*stop_reason(&events), json!({"type": "retries_exhausted"}));
    // The request had begun, and ended with nobody asked.
    let ends = of_kind(&events, "span.model_request_end");
    assert_eq!(of_kind(&events, "span.model_request_start").len(), 1);
    assert!(ends.len() == 1 && ends[0]["is_error"] == true, "{ends:?}");
    assert_eq!(own.asked().len(), 0);
    let change = UpstreamChange {
        models: Some(vec![model("claude-*", None)]),
        ..UpstreamChange::default()
    };
    place.change_upstream(&id, change).await;
    place.send(&session, json!([message("And now?")])).await;
    let events = place.rested(&session).await;
    assert_eq!(text(of_kind(&events, "agent.message")[0]), "Here I am.");
    engine.stop().await;
}

#[tokio::test]
async fn another_key_and_another_header_reach_the_next_request() {
    let place = Place::new([]).await;
    let own = serving([
        ModelStep::text("One."),
        ModelStep::text("Two."),
        ModelStep::text("Three."),
    ]);
    let engine = place.start_knowing(&[("own", &own)]);
    let id = place.upstream("own", 1, config("own", &own)).await;
    let session = place.session("One?").await;
    place.rested(&session).await;
    let rotated = UpstreamChange {
        api_key: Some(Some(SecretText::new("sk-rotated".to_owned()))),
        ..UpstreamChange::default()
    };
    place.change_upstream(&id, rotated).await;
    place.send(&session, json!([message("Two?")])).await;
    place.rested(&session).await;
    let bearer = UpstreamChange {
        key_header: Some(Some(KeyHeader::Authorization)),
        ..UpstreamChange::default()
    };
    place.change_upstream(&id, bearer).await;
    place.send(&session, json!([message("Three?")])).await;
    place.rested(&session).await;
    let keys = [Some(KEY.to_owned()), Some("sk-rotated".to_owned()), None];
    assert_eq!(header(&own, "x-api-key"), keys);
    let bearers = [None, None, Some("Bearer sk-rotated".to_owned())];
    assert_eq!(header(&own, "authorization"), bearers);
    engine.stop().await;
}

#[tokio::test]
async fn what_fails_for_a_moment_is_asked_of_the_next_at_once() {
    let place = Place::new([]).await;
    let first = serving([ModelStep::failure(529).always()]);
    let second = serving([ModelStep::text("Second.")]);
    let engine = place.start_knowing(&[("first", &first), ("second", &second)]);
    place.upstream("second", 2, config("second", &second)).await;
    place.upstream("first", 1, config("first", &first)).await;
    let session = place.session("Hello?").await;
    let events = place.rested(&session).await;
    assert_eq!(text(of_kind(&events, "agent.message")[0]), "Second.");
    let error = &of_kind(&events, "session.error")[0]["error"];
    assert_eq!(error["type"], "model_overloaded_error");
    assert_eq!(error["retry_status"]["type"], "retrying");
    assert_eq!((first.asked().len(), second.asked().len()), (1, 1));
    engine.stop().await;
}

#[tokio::test]
async fn what_is_refused_for_good_is_asked_of_nobody_else() {
    let place = Place::new([ModelStep::text("The server's.").always()]).await;
    let first = serving([ModelStep::failure(401)]);
    let second = serving([ModelStep::text("Second.").always()]);
    let engine = place.start_knowing(&[("first", &first), ("second", &second)]);
    place.upstream("first", 1, config("first", &first)).await;
    place.upstream("second", 2, config("second", &second)).await;
    let session = place.session("Hello?").await;
    let events = place.rested(&session).await;
    let error = &of_kind(&events, "session.error")[0]["error"];
    assert_eq!(error["retry_status"]["type"], "terminal");
    assert!(!error.to_string().contains("CANARY"));
    assert_eq!((second.asked().len(), place.model.asked().len()), (0, 0));
    engine.stop().await;
}

#[tokio::test]
async fn a_floor_closes_an_upstream_whose_connection_is_open() {
    let place = Place::new([ModelStep::text("The server's.").always()]).await;
    let own = serving([ModelStep::text("One."), ModelStep::text("Never.")]);
    let engine = place.start_knowing(&[("own", &own)]);
    place.upstream("own", 1, config("own", &own)).await;
    let session = place.session("One?").await;
    place.rested(&session).await;
    assert_eq!(own.asked().len(), 1, "the control");
    let floor = PoliciesChange {
        denied_hosts: Some(vec!["own.test".to_owned()]),
        ..PoliciesChange::default()
    };
    place
        .control
        .change_policies(&place.caller, floor)
        .await
        .unwrap();
    place.send(&session, json!([message("Two?")])).await;
    let events = place.rested(&session).await;
    let error = &of_kind(&events, "session.error")[0]["error"];
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("organization_floor"),
        "{error}"
    );
    assert_eq!((own.asked().len(), place.model.asked().len()), (1, 0));
    engine.stop().await;
}

#[tokio::test]
async fn a_name_of_this_machine_is_no_upstream_unless_the_operator_pins_it() {
    let place = Place::new([]).await;
    let own = serving([ModelStep::text("Never.").always()]);
    let engine = place.start_knowing(&[]);
    let here = UpstreamConfig {
        base_url: format!("http://localhost:{}", own.address().port()),
        ..config("own", &own)
    };
    let request = NewUpstreamRequest {
        name: "here".to_owned(),
        priority: None,
        config: here,
        api_key: None,
    };
    let refused = place.control.create_model_upstream(&place.caller, request);
    assert!(refused.await.unwrap_err().to_string().contains("floor"));
    assert_eq!(own.asked().len(), 0);
    engine.stop().await;
}

/// What was told of the failure in a session of an environment with this networking.
async fn failure_in(place: &Place, networking: Value) -> String {
    let body = json!({"name": networking.to_string().chars().take(40).collect::<String>(), "config": {"type": "cloud", "networking": networking}});
    let request = NewEnvironmentRequest {
        body: object(body),
        ..NewEnvironmentRequest::default()
    };
    let made = place.control.create_environment(&place.caller, request);
    let made = made.await.unwrap().environment.id;
    let parts = json!({"environment_id": made});
    let session = place.session_with("Hello?", parts).await;
    let events = place.rested(&session).await;
    let errors = of_kind(&events, "session.error");
    let message = errors.first().map(|event| &event["error"]["message"]);
    message
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn an_organizations_own_is_asked_where_the_environment_of_the_session_allows_it() {
    let place = Place::new([]).await;
    let own = serving([ModelStep::text("Here I am.").always()]);
    let engine = place.start_knowing(&[("own", &own)]);
    place.upstream("own", 1, config("own", &own)).await;
    let closed = json!({"type": "limited", "allowed_hosts": ["api.example.com"]});
    let told = failure_in(&place, closed).await;
    assert!(told.contains("no_rule"), "{told}");
    assert_eq!(own.asked().len(), 0);
    let open = json!({"type": "limited", "allowed_hosts": ["own.test"]});
    assert_eq!(failure_in(&place, open).await, "");
    assert_eq!(own.asked().len(), 1);
    engine.stop().await;
}

#[tokio::test]
async fn the_servers_own_needs_no_rule_and_is_not_asked_where_the_environment_denies_it() {
    let place = Place::new([ModelStep::text("The server's.").always()]).await;
    let engine = place.start();
    let closed = json!({"type": "limited", "allowed_hosts": ["api.example.com"]});
    assert_eq!(failure_in(&place, closed).await, "");
    assert_eq!(place.model.asked().len(), 1);
    let denied = json!({"type": "unrestricted", "denied_cidrs": ["127.0.0.0/8"]});
    let told = failure_in(&place, denied).await;
    assert!(told.contains("denied_rule"), "{told}");
    assert_eq!(place.model.asked().len(), 1);
    engine.stop().await;
}
