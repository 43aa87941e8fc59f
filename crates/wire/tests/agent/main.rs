//! Agents as requests carry them.

mod changes;
mod multiagent;
mod properties;
mod tools;

use bailiwick_model::AgentId;
use bailiwick_wire::{AgentBody, FieldProblem, Own, StoredAgent};
use serde_json::{Map, Value, json};

const ID: &str = "agent_1ChGqExyZXj8gBdypLbMAf";

fn id() -> AgentId {
    ID.parse().expect("an id")
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else {
        panic!("no map: {value}")
    };
    map
}

/// A body with a name and a model, and what else is said.
fn body(more: Value) -> Map<String, Value> {
    let mut whole = map(json!({"name": "a", "model": "m"}));
    whole.extend(map(more));
    whole
}

fn create(more: Value) -> Result<AgentBody, Vec<FieldProblem>> {
    AgentBody::create(&body(more))
}

/// What is stored of an agent that is made so, at its first version.
fn config(more: Value) -> Value {
    let id = id();
    let own = Own {
        id: &id,
        version: 1,
    };
    create(more).expect("taken").config.to_json(own)
}

fn update(before: Value, change: Value) -> Result<AgentBody, Vec<FieldProblem>> {
    let id = id();
    let own = Own {
        id: &id,
        version: 1,
    };
    let made = create(before).expect("taken");
    let stored = StoredAgent {
        config: map(made.config.to_json(own)),
        name: made.name,
        metadata: map(json!(made.metadata)),
    };
    AgentBody::update(stored, &map(change), own)
}

/// What is stored after a change.
fn after(before: Value, change: Value) -> Value {
    let id = id();
    let own = Own {
        id: &id,
        version: 2,
    };
    update(before, change).expect("taken").config.to_json(own)
}

fn refused(result: Result<AgentBody, Vec<FieldProblem>>) -> Vec<(String, &'static str)> {
    let problems = result.expect_err("refused");
    problems
        .into_iter()
        .map(|problem| (problem.field, problem.code))
        .collect()
}

fn one(field: &str, code: &'static str) -> Vec<(String, &'static str)> {
    vec![(field.to_owned(), code)]
}

#[test]
fn a_name_and_a_model_are_an_agent() {
    assert_eq!(
        config(json!({})),
        json!({
            "description": null,
            "system": null,
            "model": {"id": "m", "effort": {"type": "high"}, "speed": "standard", "inference_geo": null},
            "tools": [],
            "mcp_servers": [],
            "skills": [],
            "multiagent": null,
            "execution_identity": {"type": "service_account"},
        })
    );
    assert_eq!(
        refused(AgentBody::create(&Map::new())),
        [
            ("name".to_owned(), "missing_field"),
            ("model".to_owned(), "missing_field")
        ]
    );
}

#[test]
fn what_is_stored_reads_as_itself() {
    let whole = json!({
        "description": "d", "system": "s", "metadata": {"k": "v"},
        "model": {"id": "m", "effort": "low", "speed": "fast", "inference_geo": "us"},
        "tools": [
            {"type": "agent_toolset_20260401", "configs": [
                {"name": "bash", "enabled": false},
                {"name": "web_fetch", "allowed_domains": ["docs.example.com"], "url_sources": {"user_input": "none"}},
                {"name": "web_search", "user_location": {"type": "approximate", "country": "DE"}},
            ]},
            {"type": "mcp_toolset", "mcp_server_name": "git", "configs": [{"name": "push", "permission_policy": {"type": "auto"}}]},
            {"type": "custom", "name": "t", "description": "d", "input_schema": {"type": "object"}},
        ],
        "mcp_servers": [{"type": "url", "name": "git", "url": "https://git.example.com/mcp"}],
        "skills": [{"type": "custom", "skill_id": "s"}, {"type": "anthropic", "skill_id": "pdf", "version": "3"}],
        "multiagent": {"type": "multiagent_20261001", "subagents": {"type": "enabled", "predefined_agents": [{"type": "self"}]}},
        "execution_identity": {"type": "aws_role", "role_arn": "arn:aws:iam::1:role/r"},
    });
    let stored = config(whole.clone());
    let mut again = map(stored.clone());
    again.extend(map(json!({"name": "a", "metadata": {"k": "v"}})));
    // The roster names the agent at its version, which is the agent itself.
    let after = update(whole, Value::Object(again)).unwrap();
    let id = id();
    let own = Own {
        id: &id,
        version: 1,
    };
    assert_eq!(after.config.to_json(own), stored);
}

#[test]
fn every_length_has_a_bound() {
    for (field, most) in [
        ("name", 256),
        ("description", 2048),
        ("system", 100_000),
        ("model", 256),
    ] {
        let of = |chars: usize| create(json!({field: "ä".repeat(chars)}));
        assert!(of(most).is_ok(), "{field}");
        assert_eq!(refused(of(most + 1)), one(field, "too_long"));
    }
    for field in ["name", "model"] {
        assert_eq!(refused(create(json!({field: ""}))), one(field, "too_short"));
        assert_eq!(
            refused(create(json!({field: "a\u{0}b"}))),
            one(field, "invalid_name")
        );
    }
    let metadata = |pairs: usize, key: usize, value: usize| {
        let pair = |n: usize| (format!("{n:0key$}"), json!("v".repeat(value)));
        let map: Map<_, _> = (0..pairs).map(pair).collect();
        create(json!({"metadata": map}))
    };
    assert!(metadata(16, 64, 512).is_ok());
    assert_eq!(
        refused(metadata(17, 2, 2)),
        one("metadata", "invalid_metadata")
    );
    assert_eq!(refused(metadata(1, 65, 2))[0].1, "invalid_metadata");
    assert_eq!(refused(metadata(1, 2, 513)), one("metadata.00", "too_long"));
}

#[test]
fn fields_and_words_that_there_are_not_are_refused_with_their_paths() {
    for (more, field, code) in [
        (json!({"id": "agent_1"}), "id", "unknown_field"),
        (json!({"version": 1}), "version", "unknown_field"),
        (json!({"name": 7}), "name", "wrong_type"),
        (json!({"model": 7}), "model", "wrong_type"),
        (json!({"model": {}}), "model.id", "missing_field"),
        (
            json!({"model": {"id": "m", "effort": "huge"}}),
            "model.effort",
            "unknown_value",
        ),
        (
            json!({"model": {"id": "m", "effort": {"type": "high", "x": 1}}}),
            "model.effort.x",
            "unknown_field",
        ),
        (
            json!({"model": {"id": "m", "speed": "slow"}}),
            "model.speed",
            "unknown_value",
        ),
        (
            json!({"model": {"id": "m", "inference_geo": "moon"}}),
            "model.inference_geo",
            "unknown_value",
        ),
        (json!({"metadata": {"k": 1}}), "metadata.k", "wrong_type"),
        (
            json!({"metadata": {"bailiwick.x": "1"}}),
            "metadata.bailiwick.x",
            "reserved_metadata",
        ),
        (json!({"tools": {}}), "tools", "wrong_type"),
        (json!({"skills": [1]}), "skills[0]", "wrong_type"),
        (
            json!({"execution_identity": {"type": "aws_role"}}),
            "execution_identity.role_arn",
            "missing_field",
        ),
        (
            json!({"execution_identity": {"type": "service_account", "role_arn": "r"}}),
            "execution_identity.role_arn",
            "unknown_field",
        ),
        (
            json!({"execution_identity": {"type": "root"}}),
            "execution_identity.type",
            "unknown_value",
        ),
    ] {
        assert_eq!(refused(create(more.clone())), one(field, code), "{more}");
    }
}

#[test]
fn of_a_million_mistakes_a_hundred_are_told() {
    let many: Vec<_> = (0..250).map(|_| json!({"type": "moon"})).collect();
    assert_eq!(refused(create(json!({"tools": many}))).len(), 100);
}

#[test]
fn a_skill_without_a_version_is_the_latest_and_none_stands_twice() {
    let of = |skills: Value| config(json!({"skills": skills}))["skills"].clone();
    assert_eq!(
        of(json!([{"type": "custom", "skill_id": "skill_1"}])),
        json!([{"type": "custom", "skill_id": "skill_1", "version": "latest"}])
    );
    let twice = json!([{"type": "custom", "skill_id": "s"}, {"type": "custom", "skill_id": "s", "version": "2"}]);
    assert_eq!(
        refused(create(json!({"skills": twice}))),
        one("skills[1].skill_id", "duplicate")
    );
    let many = |count: usize| {
        let skills: Vec<_> = (0..count)
            .map(|n| json!({"type": "custom", "skill_id": format!("s{n}")}))
            .collect();
        create(json!({"skills": skills}))
    };
    assert!(many(500).is_ok());
    assert_eq!(refused(many(501)), one("skills", "too_much"));
    let long = |chars: usize| {
        create(json!({"skills": [{"type": "custom", "skill_id": "s".repeat(chars)}]}))
    };
    assert!(long(64).is_ok());
    assert_eq!(refused(long(65)), one("skills[0].skill_id", "too_long"));
}
