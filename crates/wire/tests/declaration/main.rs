//! Files that declare environments and agents.

use bailiwick_model::limits::{DECLARATION_DEPTH, SHORT_ENVIRONMENT_NAME_CHARS};
use bailiwick_wire::{
    AgentBody, Declaration, Declared, DeclaredAgent, DeclaredEnvironment, DefaultKind,
    EnvironmentConfig, EnvironmentFileErrors, LimitSubject, Position, parse_declarations,
    parse_environment, parse_object,
};
use serde_json::{Value, json};

fn parse(text: &str) -> Result<Vec<Declaration>, EnvironmentFileErrors> {
    parse_declarations("all.yaml", text, DefaultKind::Environment).map(|read| read.list)
}

/// `LINE:COLUMN code` of each problem.
#[track_caller]
fn refused(text: &str) -> Vec<String> {
    let Err(errors) = parse(text) else {
        panic!("taken: {text}")
    };
    let shown = |(at, problem): (Position, &bailiwick_wire::Problem)| {
        format!("{}:{} {}", at.line, at.column, problem.cause().code())
    };
    errors.problems().map(shown).collect()
}

#[track_caller]
fn environment(text: &str) -> DeclaredEnvironment {
    match parse(text).unwrap().remove(0).declared {
        Declared::Environment(environment) => *environment,
        other @ (Declared::Agent(_)
        | Declared::LlmProxy(_)
        | Declared::Limit(_)
        | Declared::KnowledgeConnector(_)) => {
            panic!("{other:?}")
        }
    }
}

#[track_caller]
fn agent(text: &str) -> DeclaredAgent {
    match parse(text).unwrap().remove(0).declared {
        Declared::Agent(agent) => *agent,
        other @ (Declared::Environment(_)
        | Declared::LlmProxy(_)
        | Declared::Limit(_)
        | Declared::KnowledgeConnector(_)) => {
            panic!("{other:?}")
        }
    }
}

#[test]
fn a_file_for_run_is_the_declaration_of_an_environment() {
    for name in ["payments-dev", "first-run", "node-test"] {
        let path = format!("{}/../../examples/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let file = parse_environment("file", &text).unwrap();
        let declared = environment(&text);
        assert_eq!(declared.body.name, file.name);
        assert_eq!(declared.body.metadata, file.metadata);
        let EnvironmentConfig::Cloud(config) = declared.body.config else {
            panic!("of the cloud")
        };
        assert_eq!(
            (config.policy, config.packages, config.project),
            (file.policy, file.packages, file.project)
        );
        assert_eq!((declared.restricted, declared.namespace), (None, None));
    }
}

#[test]
fn documents_are_parted_and_have_their_places() {
    let text = "# all\n---\nname: a\n---\n\n---\nkind: Agent\nname: b\nmodel: m\n---\n{\"kind\": \"Environment\", \"name\": \"c\"}\n";
    let all = parse(text).unwrap();
    let shown = |one: &Declaration| {
        let kind = match &one.declared {
            Declared::Environment(_) => "environment",
            Declared::Agent(_) => "agent",
            Declared::LlmProxy(_) => "LLM proxy",
            Declared::Limit(_) => "limit",
            Declared::KnowledgeConnector(_) => "knowledge connector",
        };
        format!("{kind} {}:{}", one.position.line, one.position.column)
    };
    let shown: Vec<_> = all.iter().map(shown).collect();
    assert_eq!(shown, ["environment 3:7", "agent 8:7", "environment 11:33"]);
}

#[test]
fn what_only_the_administration_has_may_be_said_and_may_be_left_out() {
    let said = environment("kind: Environment\nname: a\nrestricted: true\nnamespace: pay\n");
    assert_eq!(
        (said.restricted, said.namespace),
        (Some(true), Some(Some("pay".to_owned())))
    );
    assert_eq!(
        environment("name: a\nnamespace: null\n").namespace,
        Some(None)
    );
    assert_eq!(
        refused("name: a\nrestricted: yes\nnamespace: -pay\n"),
        ["2:13 wrong_type", "3:12 invalid_namespace"]
    );
    let long = "x".repeat(SHORT_ENVIRONMENT_NAME_CHARS + 1);
    assert_eq!(refused(&format!("name: {long}\n")), ["1:7 invalid_name"]);
    environment(&format!("name: {}\n", &long[1..]));
}

#[test]
fn a_self_hosted_environment_has_its_type_and_nothing_else() {
    let farm = environment("name: farm\nconfig: {type: self_hosted}\n");
    assert_eq!(farm.body.config, EnvironmentConfig::SelfHosted);
    assert_eq!(
        refused("name: farm\nconfig:\n  type: self_hosted\n  packages: {pip: [x]}\n"),
        ["4:3 unknown_field"]
    );
}

#[test]
fn an_agent_has_the_shape_of_the_wire_and_a_place() {
    let text = "kind: Agent\nname: reviewer\nmodel: claude-sonnet-4-5\nsystem: |\n  Read.\n  Judge.\ntools:\n- {type: agent_toolset_20260401}\nenvironment: payments\n";
    let reviewer = agent(text);
    assert_eq!(reviewer.body.name, "reviewer");
    assert_eq!(
        reviewer.body.config.system.as_deref(),
        Some("Read.\nJudge.\n")
    );
    let place = reviewer.environment.flatten().map(String::from);
    assert_eq!(place.as_deref(), Some("payments"));
    let request = Value::Object(reviewer.body.to_request());
    assert_eq!(request["model"]["id"], "claude-sonnet-4-5");
    // The request says the same.
    let Value::Object(request) = request else {
        panic!("a body")
    };
    assert_eq!(AgentBody::create(&request), Ok(reviewer.body));
    assert_eq!(agent("kind: Agent\nname: a\nmodel: m\n").environment, None);
    assert_eq!(
        agent("kind: Agent\nname: a\nmodel: m\nenvironment:\n").environment,
        Some(None)
    );
}

#[test]
fn what_is_wrong_with_an_agent_has_its_place() {
    let text = "kind: Agent\nname: reviewer\ntools:\n- type: agent_toolset_20260401\n  configs:\n  - {name: bash, enabled: 1}\n- {type: custom, name: x, description: d, input_schema: {type: object}, colour: red}\ncolour: red\nenvironment: [a]\nmetadata: {bailiwick.x: y}\n";
    assert_eq!(
        refused(text),
        [
            "1:1 missing_field",
            "6:27 wrong_type",
            "7:73 unknown_field",
            "8:1 unknown_field",
            "9:14 wrong_type",
            "10:25 reserved_metadata",
        ]
    );
}

#[test]
fn every_document_is_read_although_one_is_wrong() {
    assert_eq!(
        refused(
            "name: a\ncolour: red\n---\nkind: Agnet\nname: b\n---\nkind: Agent\nname: c\n---\n7\n"
        ),
        [
            "2:1 unknown_field",
            "4:7 unknown_value",
            "7:1 missing_field",
            "10:1 wrong_type"
        ]
    );
    assert_eq!(refused("kind: 7\nname: a\n"), ["1:7 wrong_type"]);
}

#[test]
fn what_a_file_of_an_environment_does_not_use_no_declaration_uses() {
    assert_eq!(refused("name: &a x\n"), ["1:7 yaml_feature"]);
    assert_eq!(
        refused("kind: Agent\nname: a\nmodel: m\nsystem: *x\n"),
        ["4:9 yaml_feature"]
    );
    assert_eq!(refused("name: a\nname: b\n"), ["2:1 duplicate"]);
    assert_eq!(refused(""), ["1:1 empty"]);
    assert_eq!(refused("---\n---\n# nothing\n"), ["1:1 empty"]);
    assert_eq!(refused("name: [\n").len(), 1);
}

#[test]
fn schemas_may_be_nested_deeper_than_environments_to_a_bound() {
    let nested = |depth: usize| {
        let schema = format!("{}1{}", "{\"a\": ".repeat(depth), "}".repeat(depth));
        format!(
            "kind: Agent\nname: a\nmodel: m\ntools: [{{type: custom, name: t, description: d, input_schema: {{type: object, default: {schema}}}}}]\n"
        )
    };
    // The document, `tools`, the tool and its schema are four.
    let most = DECLARATION_DEPTH - 4;
    assert!(parse(&nested(most)).is_ok());
    assert_eq!(
        refused(&nested(most + 1))
            .last()
            .unwrap()
            .split(' ')
            .next_back(),
        Some("too_much")
    );
}

#[test]
fn numbers_are_those_of_json() {
    let read = parse_object(
        "x",
        "{a: 1, b: -2.5, c: 0x10, d: 1e3, e: 18446744073709551615, f: 0o17, g: .5}",
    )
    .unwrap();
    let expect = json!({"a": 1, "b": -2.5, "c": 16, "d": 1000.0, "e": 18_446_744_073_709_551_615_u64, "f": 15, "g": 0.5});
    assert_eq!(Value::Object(read), expect);
    let errors = parse_object("x", "a: .inf\nb: -.nan\n").unwrap_err();
    assert_eq!(errors.problems().count(), 2);
    assert!(parse_object("x", "a: 1\n---\nb: 2\n").is_err());
    assert!(parse_object("x", "[1]").is_err());
}

#[test]
fn limits_and_proxies_name_what_they_refer_to() {
    let text = "kind: LlmProxy\nname: door\nenvironment: payments\nmodels: [claude-*]\n---\n\
                kind: Limit\nname: a day\nfor: {team: pay}\nin: payments\nmax_cost_usd: 0.5\nwindow: 24h\nthresholds: [80]\n";
    let mut all = parse(text).unwrap().into_iter().map(|one| one.declared);
    let Some(Declared::LlmProxy(proxy)) = all.next() else {
        panic!("no proxy")
    };
    assert_eq!(
        (proxy.name.as_str(), proxy.environment.as_str()),
        ("door", "payments")
    );
    assert_eq!(proxy.models, ["claude-*"]);
    let Some(Declared::Limit(limit)) = all.next() else {
        panic!("no limit")
    };
    assert_eq!(limit.subject, LimitSubject::One("team", "pay".to_owned()));
    assert_eq!(limit.place.unwrap().as_str(), "payments");
    let rest = json!({"max_cost_usd": "0.5", "window": "24h", "enforcement": "hard", "models": [], "thresholds": [80]});
    assert_eq!(Value::Object(limit.rest), rest);
}

#[test]
fn a_knowledge_connector_says_where_it_reads() {
    let text = "kind: KnowledgeConnector\nname: handbook\nenvironment: payments\nsource:\n  type: web\n  url: https://handbook.example.com/\nschedule: {every_minutes: 60}\n";
    let Some(Declared::KnowledgeConnector(connector)) =
        parse(text).unwrap().pop().map(|one| one.declared)
    else {
        panic!("no connector")
    };
    assert_eq!(
        (connector.name.as_str(), connector.environment.as_str()),
        ("handbook", "payments")
    );
    let source = json!({"type": "web", "url": "https://handbook.example.com/"});
    assert_eq!(Value::Object(connector.source), source);
    let schedule = json!({"every_minutes": 60});
    assert_eq!(connector.schedule.map(Value::Object), Some(schedule));
    assert_eq!(connector.credential, None);
    for (wrong, code) in [
        ("source: https://handbook.example.com/", "invalid_object"),
        (
            "source: {url: https://handbook.example.com/}",
            "invalid_source",
        ),
        ("credential: token\nsource: {type: web}", "invalid_object"),
        ("sources: {}\nsource: {type: web}", "unknown_field"),
    ] {
        let text = format!("kind: KnowledgeConnector\nname: a\nenvironment: b\n{wrong}\n");
        assert!(
            refused(&text).iter().any(|one| one.ends_with(code)),
            "{wrong}: {:?}",
            refused(&text)
        );
    }
}

#[test]
fn a_limit_that_is_none_is_refused_at_what_is_wrong() {
    for (wrong, code) in [
        (
            "for: {planet: earth}\nmax_tokens: 1\nwindow: day",
            "invalid_subject",
        ),
        (
            "for: {team: a, user: b}\nmax_tokens: 1\nwindow: day",
            "invalid_subject",
        ),
        (
            "for: organization\nmax_tokens: -1\nwindow: day",
            "one_amount",
        ),
        (
            "for: organization\nmax_tokens: 1\nmax_cost_usd: 1\nwindow: day",
            "one_amount",
        ),
        (
            "for: organization\nmax_cost_usd: 1.5e3x\nwindow: day",
            "one_amount",
        ),
        ("for: organization\nwindow: day", "one_amount"),
        (
            "for: organization\nmax_tokens: 1\nwindow: year",
            "invalid_window",
        ),
        (
            "for: organization\nmax_tokens: 1\nwindow: day\nenforcement: no",
            "invalid_enforcement",
        ),
        (
            "for: organization\nmax_tokens: 1\nwindow: day\nthresholds: [80, 80]",
            "invalid_threshold",
        ),
        (
            "for: organization\nmax_tokens: 1\nwindow: day\nmodels: [1]",
            "invalid_model",
        ),
        (
            "for: organization\nmax_tokens: 1\nwindow: day\nmuch: 1",
            "unknown_field",
        ),
    ] {
        let told = refused(&format!("kind: Limit\nname: a\n{wrong}\n"));
        assert!(
            told.len() == 1 && told[0].ends_with(code),
            "{wrong}: {told:?}"
        );
    }
}
