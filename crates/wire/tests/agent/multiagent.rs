//! Whom an agent may delegate to.

use serde_json::{Value, json};

use crate::{ID, after, config, create, one, refused, update};

const OTHER: &str = "agent_1ChGqExyZXj8gBdypLbMAg";

fn coordinator(agents: &Value) -> Value {
    json!({"multiagent": {"type": "coordinator", "agents": agents}})
}

fn members(more: &Value) -> Value {
    let mut all = json!({"type": "multiagent_20261001"});
    for (key, value) in more.as_object().unwrap() {
        all[key] = value.clone();
    }
    json!({"multiagent": all})
}

#[test]
fn a_roster_takes_every_form_of_an_agent_once() {
    let made = config(coordinator(
        &json!([{"type": "agent", "id": OTHER, "version": 3}, {"type": "self"}, {"type": "advisor", "model": "big"}]),
    ));
    assert_eq!(
        made["multiagent"]["agents"],
        json!([{"type": "agent", "id": OTHER, "version": 3}, {"type": "agent", "id": ID, "version": 1}, {"type": "advisor", "model": "big"}])
    );
    for (agents, field, code) in [
        (json!([]), "multiagent.agents", "too_short"),
        (json!(["agent_x"]), "multiagent.agents[0]", "unknown_agent"),
        (
            json!([OTHER, {"type": "agent", "id": OTHER, "version": 2}]),
            "multiagent.agents[1]",
            "duplicate",
        ),
        (
            json!([{"type": "self"}, {"type": "self"}]),
            "multiagent.agents[1]",
            "duplicate",
        ),
        (
            json!([{"type": "agent", "id": OTHER, "version": 0}]),
            "multiagent.agents[0].version",
            "wrong_type",
        ),
        (
            json!([{"type": "team"}]),
            "multiagent.agents[0].type",
            "unknown_value",
        ),
    ] {
        assert_eq!(refused(create(coordinator(&agents))), one(field, code));
    }
    let many = |count: usize| {
        let agents: Vec<_> = (0..count)
            .map(|n| json!({"type": "advisor", "model": format!("m{n}")}))
            .collect();
        create(coordinator(&json!(agents)))
    };
    assert!(many(20).is_ok());
    assert_eq!(refused(many(21)), one("multiagent.agents", "too_much"));
}

#[test]
fn the_agent_itself_is_meant_at_each_version_anew() {
    let before = coordinator(&json!([{"type": "self"}]));
    let own = |version: i64| json!([{"type": "agent", "id": ID, "version": version}]);
    assert_eq!(config(before.clone())["multiagent"]["agents"], own(1));
    // Kept, and written as it was read.
    for change in [
        json!({"name": "b"}),
        coordinator(&own(1)),
        coordinator(&json!([ID])),
    ] {
        let changed = after(before.clone(), change);
        assert_eq!(changed["multiagent"]["agents"], own(2));
    }
    // The same agent in two forms.
    let twice = coordinator(&json!([{"type": "self"}, ID]));
    assert_eq!(
        refused(update(before, twice)),
        one("multiagent.agents[1]", "duplicate")
    );
}

#[test]
fn members_have_their_defaults() {
    let open =
        json!({"type": "enabled", "inline_agents": {"type": "enabled"}, "predefined_agents": []});
    let made = config(members(&json!({"workflows": null})));
    assert_eq!(
        made["multiagent"],
        json!({"type": "multiagent_20261001", "advisor": {"type": "disabled"}, "subagents": open, "workflows": open})
    );
    for (more, field, code) in [
        (
            json!({"advisor": {"type": "enabled"}}),
            "multiagent.advisor.model",
            "missing_field",
        ),
        (
            json!({"advisor": {"type": "disabled", "model": "m"}}),
            "multiagent.advisor.model",
            "unknown_field",
        ),
        (
            json!({"subagents": {}}),
            "multiagent.subagents.type",
            "missing_field",
        ),
        (
            json!({"subagents": {"type": "disabled", "predefined_agents": []}}),
            "multiagent.subagents.predefined_agents",
            "unknown_field",
        ),
        (
            json!({"workflows": {"type": "enabled", "inline_agents": {"type": "disabled"}}}),
            "multiagent.workflows",
            "nobody_left",
        ),
        (
            json!({"subagents": {"type": "enabled", "predefined_agents": [{"type": "advisor", "model": "m"}]}}),
            "multiagent.subagents.predefined_agents[0].type",
            "unknown_value",
        ),
        (json!({"agents": []}), "multiagent.agents", "unknown_field"),
    ] {
        let problems = refused(create(members(&more.clone())));
        assert!(
            problems.contains(&(field.to_owned(), code)),
            "{more}: {problems:?}"
        );
    }
}

#[test]
fn a_change_of_members_is_merged_level_by_level() {
    let before = members(&json!({
        "advisor": {"type": "enabled", "model": "m"},
        "subagents": {"type": "enabled", "inline_agents": {"type": "disabled"}, "predefined_agents": [{"type": "agent", "id": OTHER, "version": 3}]},
        "workflows": {"type": "disabled"},
    }));
    let change = |more: Value| after(before.clone(), members(&more))["multiagent"].clone();
    let whole = config(before.clone())["multiagent"].clone();
    assert_eq!(change(json!({})), whole);
    assert_eq!(
        change(json!({"subagents": {"type": "enabled", "inline_agents": {"type": "enabled"}}}))["subagents"]
            ["predefined_agents"],
        whole["subagents"]["predefined_agents"]
    );
    let open =
        json!({"type": "enabled", "inline_agents": {"type": "enabled"}, "predefined_agents": []});
    assert_eq!(change(json!({"workflows": null}))["workflows"], open);
    assert_eq!(
        change(json!({"workflows": {"type": "enabled"}}))["workflows"],
        open
    );
    assert_eq!(
        change(json!({"advisor": null}))["advisor"]["type"],
        "disabled"
    );
    assert_eq!(
        refused(update(
            before.clone(),
            members(&json!({"advisor": {"type": "enabled"}}))
        )),
        one("multiagent.advisor.model", "missing_field")
    );
    assert_eq!(
        refused(update(
            before.clone(),
            members(&json!({"subagents": {"inline_agents": null}}))
        ))[0],
        ("multiagent.subagents.type".to_owned(), "missing_field")
    );
    // Another type replaces it, and null takes it away.
    let replaced = after(before.clone(), coordinator(&json!([{"type": "self"}])));
    assert_eq!(replaced["multiagent"]["type"], "coordinator");
    assert_eq!(
        after(before, json!({"multiagent": null}))["multiagent"],
        Value::Null
    );
}
