//! Environments as requests carry them.

use bailiwick_wire::{EnvironmentBody, EnvironmentConfig, FieldProblem, StoredEnvironment};
use serde_json::{Map, Value, json};

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else {
        panic!("no map: {value}")
    };
    map
}

fn create(body: Value) -> Result<EnvironmentBody, Vec<FieldProblem>> {
    EnvironmentBody::create(&map(body))
}

fn stored(body: Value) -> StoredEnvironment {
    let made = create(body).unwrap();
    StoredEnvironment {
        config: map(made.config_json()),
        name: made.name.to_string(),
        description: made.description,
        metadata: made
            .metadata
            .into_iter()
            .map(|(k, v)| (k, v.into()))
            .collect(),
    }
}

fn update(before: Value, change: Value) -> Result<EnvironmentBody, Vec<FieldProblem>> {
    EnvironmentBody::update(stored(before), &map(change))
}

fn fields(result: Result<EnvironmentBody, Vec<FieldProblem>>) -> Vec<(String, &'static str)> {
    let problems = result.expect_err("refused");
    problems
        .into_iter()
        .map(|problem| (problem.field, problem.code))
        .collect()
}

#[test]
fn a_name_alone_is_an_environment_of_the_cloud_without_a_policy_of_its_own() {
    for body in [
        json!({"name": "dev"}),
        json!({"name": "dev", "config": null, "description": null}),
    ] {
        let made = create(body).unwrap();
        let EnvironmentConfig::Cloud(config) = &made.config else {
            panic!("of the cloud")
        };
        assert_eq!(config.policy, None);
        assert_eq!(
            made.config_json(),
            json!({"type": "cloud", "packages": {"type": "packages", "apt": [], "cargo": [], "gem": [], "go": [], "npm": [], "pip": []}})
        );
    }
}

#[test]
fn problems_name_their_fields() {
    let body = json!({"name": "", "confg": {}, "config": {"type": "cloud", "networking": {
        "type": "limited", "allowed_hosts": ["api.example.com", "https://x.example.com/"], "denied_cidrs": [7]}}});
    assert_eq!(
        fields(create(body)),
        [
            ("config.networking.denied_cidrs[0]".to_owned(), "wrong_type"),
            ("confg".to_owned(), "unknown_field"),
            ("name".to_owned(), "invalid_name"),
            (
                "config.networking.allowed_hosts[1]".to_owned(),
                "invalid_host"
            ),
        ]
    );
    assert_eq!(
        fields(create(json!({}))),
        [("name".to_owned(), "missing_field")]
    );
    let body = json!({"name": "x", "config": {"networking": {"type": "unrestricted"}}});
    assert_eq!(
        fields(create(body)),
        [("config.type".to_owned(), "missing_field")]
    );
    let body = json!({"name": "x", "metadata": {"bailiwick.owner": "me"}});
    assert_eq!(fields(create(body))[0].0, "metadata.bailiwick.owner");
}

#[test]
fn a_body_that_is_nested_without_end_is_refused() {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    assert_eq!(
        fields(create(json!({"name": "x", "config": deep})))[0].1,
        "too_much"
    );
}

#[test]
fn what_is_absent_stays() {
    let before = json!({"name": "dev", "description": "d", "metadata": {"a": "1", "b": "2"}, "config": {"type": "cloud",
        "networking": {"type": "limited", "allowed_hosts": ["a.example.com"], "denied_hosts": ["p.example.com"]}}});
    for nothing in [
        json!({}),
        json!({"name": null, "config": null, "metadata": null}),
        json!({"config": {"type": "cloud", "networking": null}}),
    ] {
        let after = update(before.clone(), nothing).unwrap();
        assert_eq!(after, create(before.clone()).unwrap());
    }
    let after = update(
        before.clone(),
        json!({"metadata": {"a": null, "b": "", "c": "3"}, "description": null}),
    )
    .unwrap();
    assert_eq!(
        after.metadata.into_iter().collect::<Vec<_>>(),
        [("c".to_owned(), "3".to_owned())]
    );
    assert_eq!(after.description, None);
    assert_eq!(
        update(before, json!({"description": ""}))
            .unwrap()
            .description
            .as_deref(),
        Some("")
    );
}

#[test]
fn denials_survive_a_change_of_the_type_of_networking() {
    let before = json!({"name": "dev", "config": {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["a.example.com"],
        "allow_mcp_servers": true, "denied_hosts": ["*.prod.example.com"], "allowed_cidrs": ["10.0.0.0/8"], "denied_cidrs": ["10.9.0.0/16"]}}});
    let after = update(
        before.clone(),
        json!({"config": {"type": "cloud", "networking": {"type": "unrestricted"}}}),
    )
    .unwrap();
    assert_eq!(
        after.config_json()["networking"],
        json!({"type": "unrestricted", "denied_hosts": ["*.prod.example.com"], "allowed_cidrs": ["10.0.0.0/8"], "denied_cidrs": ["10.9.0.0/16"]})
    );
    let after = update(
        before,
        json!({"config": {"networking": {"type": "limited", "allowed_hosts": []}}}),
    )
    .unwrap();
    let networking = &after.config_json()["networking"];
    assert_eq!(
        (
            &networking["allowed_hosts"],
            &networking["allow_mcp_servers"]
        ),
        (&json!([]), &json!(true))
    );
}

#[test]
fn the_merged_whole_is_what_must_be_right() {
    let before = json!({"name": "dev", "config": {"type": "cloud", "packages": {"pip": ["pytest"]}, "networking": {"type": "limited", "allow_package_managers": true}}});
    let refused = update(
        before.clone(),
        json!({"config": {"networking": {"type": "limited", "allow_package_managers": false}}}),
    );
    assert_eq!(fields(refused)[0].0, "config.packages");
    let refused = update(before, json!({"config": {"type": "self_hosted"}}));
    assert_eq!(
        fields(refused),
        [("config.type".to_owned(), "invalid_config_type_change")]
    );
}

#[test]
fn a_self_hosted_environment_has_nothing_but_its_type() {
    let made = create(json!({"name": "w", "config": {"type": "self_hosted"}})).unwrap();
    assert_eq!(made.config_json(), json!({"type": "self_hosted"}));
    let refused = create(json!({"name": "w", "config": {"type": "self_hosted", "packages": {}}}));
    assert_eq!(
        fields(refused),
        [("config.packages".to_owned(), "unknown_field")]
    );
    let after = update(
        json!({"name": "w", "config": {"type": "self_hosted"}}),
        json!({"name": "v"}),
    )
    .unwrap();
    assert_eq!(
        (after.name.as_str(), after.config),
        ("v", EnvironmentConfig::SelfHosted)
    );
}
