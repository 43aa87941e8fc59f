//! What holds for any body.

use bailiwick_wire::{AgentBody, Own, StoredAgent};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{ID, id, map};

/// Words that mean something somewhere, and some that do not.
const KEYS: &[&str] = &[
    "name",
    "model",
    "id",
    "effort",
    "type",
    "tools",
    "configs",
    "default_config",
    "enabled",
    "permission_policy",
    "mcp_servers",
    "mcp_server_name",
    "url",
    "url_sources",
    "user_input",
    "client_tool_results",
    "user_location",
    "allowed_domains",
    "input_schema",
    "properties",
    "description",
    "multiagent",
    "agents",
    "advisor",
    "subagents",
    "predefined_agents",
    "inline_agents",
    "skills",
    "skill_id",
    "version",
    "metadata",
    "execution_identity",
    "x",
];
const WORDS: &[&str] = &[
    "agent_toolset_20260401",
    "mcp_toolset",
    "custom",
    "bash",
    "web_fetch",
    "web_search",
    "coordinator",
    "multiagent_20261001",
    "enabled",
    "disabled",
    "agent",
    "self",
    "advisor",
    "only",
    "all",
    "none",
    "object",
    "url",
    "https://a.example",
    "a.example",
    "high",
    "always_ask",
    "approximate",
    "aws_role",
    ID,
    "",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => proptest::sample::select(WORDS).prop_map(|word| json!(word)),
        1 => any::<String>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => object(inner).prop_map(Value::Object),
        ]
    })
}

fn object(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let pairs = (proptest::sample::select(KEYS), values);
    proptest::collection::vec(pairs, 0..6).prop_map(|pairs| {
        let pair = |(key, value): (&str, Value)| (key.to_owned(), value);
        pairs.into_iter().map(pair).collect()
    })
}

proptest! {
    #[test]
    fn any_body_is_taken_or_refused_with_a_reason(body in object(value())) {
        if let Err(problems) = AgentBody::create(&body) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn what_a_change_leaves_reads_as_itself(change in object(value())) {
        let id = id();
        let own = Own { id: &id, version: 1 };
        let stored = |body: &AgentBody| StoredAgent {
            name: body.name.clone(),
            config: map(body.config.to_json(own)),
            metadata: map(json!(body.metadata)),
        };
        let made = AgentBody::create(&map(json!({"name": "a", "model": "m", "tools": [{"type": "agent_toolset_20260401"}]}))).unwrap();
        match AgentBody::update(stored(&made), &change, own) {
            Ok(changed) => {
                let again = AgentBody::update(stored(&changed), &Map::new(), own).unwrap();
                prop_assert_eq!(again.config.to_json(own), changed.config.to_json(own));
            }
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }
}
