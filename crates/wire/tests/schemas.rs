//! What a schema says of a body, the code that judges such bodies does: its example is taken, and whatever it forbids is refused.

use std::collections::BTreeMap;

use bailiwick_model::{AgentId, ResourceId as _};
use bailiwick_wire::{
    AgentBody, CredentialBody, EnvironmentBody, FieldProblem, FileMount, Own, Schema, SessionAgent,
    SessionBody, SessionText, StoredAgent, StoredEnvironment, VaultBody, added_resource,
    policy_from_json, rotated_token, work_metadata, work_update_schema,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

type Judged = Result<(), Vec<FieldProblem>>;

/// A schema, and those that it refers to.
struct Known {
    root: Value,
    named: BTreeMap<&'static str, Value>,
}

/// The example with one thing changed, and whether it may be taken then.
struct Variant {
    what: String,
    body: Value,
    taken: bool,
}

impl Known {
    fn of(schema: Schema) -> Self {
        let (root, named) = schema.into_parts();
        Self { root, named }
    }

    fn resolved<'s>(&'s self, schema: &'s Value) -> &'s Value {
        match schema["$ref"].as_str() {
            Some(reference) => &self.named[reference.rsplit('/').next().unwrap()],
            None => schema,
        }
    }

    /// The form that the value has.
    fn form<'s>(&'s self, schema: &'s Value, value: &Value) -> &'s Value {
        let schema = self.resolved(schema);
        match schema["anyOf"].as_array() {
            Some(forms) => {
                let forms = forms.iter().map(|form| self.form(form, value));
                let mut fitting = forms.filter(|form| self.fits(form, value));
                fitting
                    .next()
                    .unwrap_or_else(|| panic!("no form of {value}"))
            }
            None => schema,
        }
    }

    /// Whether it is of this form, roughly.
    fn fits(&self, schema: &Value, value: &Value) -> bool {
        if let Some(map) = value.as_object() {
            let known = |key: &String| schema["properties"].get(key).is_some();
            let word = |key: &str| {
                let words = self.resolved(&schema["properties"][key]);
                words["const"].is_null() || words["const"] == map[key]
            };
            return allows(schema, "object")
                && map.keys().all(known)
                && map.keys().all(|key| word(key));
        }
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) | Value::Object(_) => "array",
        };
        allows(schema, kind)
    }

    /// Whether null is one of its forms.
    fn takes_null(&self, schema: &Value) -> bool {
        let schema = self.resolved(schema);
        match schema["anyOf"].as_array() {
            Some(forms) => forms.iter().any(|form| self.takes_null(form)),
            None => allows(schema, "null") || schema.as_object().is_some_and(Map::is_empty),
        }
    }

    fn variants(&self, example: &Value) -> Vec<Variant> {
        let mut variants = Vec::new();
        self.visit(&self.root, example, &mut |what, value, taken| {
            variants.push(Variant {
                what,
                body: value,
                taken,
            });
        });
        variants
    }

    /// Calls `add` with what was changed below `value`, and `value` with it.
    fn visit(&self, schema: &Value, value: &Value, add: &mut dyn FnMut(String, Value, bool)) {
        let schema = self.form(schema, value);
        match value {
            Value::Object(map) => self.visit_map(schema, map, add),
            Value::Array(items) => {
                if let Some(most) = schema["maxItems"].as_u64() {
                    let many = vec![items[0].clone(); usize::try_from(most).unwrap() + 1];
                    add("too many entries".to_owned(), json!(many), false);
                }
                for (index, item) in items.iter().enumerate() {
                    self.visit(&schema["items"], item, &mut |what, value, taken| {
                        let mut items = items.clone();
                        items[index] = value;
                        add(format!("[{index}] {what}"), json!(items), taken);
                    });
                }
            }
            Value::String(_) => {
                add("no text".to_owned(), json!(7), false);
                if !schema["const"].is_null() || !schema["enum"].is_null() {
                    add("another word".to_owned(), json!("no-such-word"), false);
                } else if let Some(most) = schema["maxLength"].as_u64() {
                    let long = "x".repeat(usize::try_from(most).unwrap() + 1);
                    add("too long".to_owned(), json!(long), false);
                }
            }
            Value::Bool(_) => add("no boolean".to_owned(), json!("true"), false),
            Value::Null | Value::Number(_) => {}
        }
    }

    fn visit_map(
        &self,
        schema: &Value,
        map: &Map<String, Value>,
        add: &mut dyn FnMut(String, Value, bool),
    ) {
        let mut changed = |what: String, key: &str, value: Option<Value>, taken| {
            let mut map = map.clone();
            match value {
                Some(value) => drop(map.insert(key.to_owned(), value)),
                None => drop(map.remove(key)),
            }
            add(what, Value::Object(map), taken);
        };
        if schema["additionalProperties"] == false {
            changed(
                "an unknown field".to_owned(),
                "no_such_field",
                Some(json!(1)),
                false,
            );
        }
        for key in schema["required"].as_array().into_iter().flatten() {
            let key = key.as_str().unwrap();
            changed(format!("without {key}"), key, None, false);
        }
        for (key, field) in schema["properties"].as_object().into_iter().flatten() {
            if !map.contains_key(key) {
                let taken = self.takes_null(field);
                changed(format!("{key} is null"), key, Some(Value::Null), taken);
            }
        }
        for (key, value) in map {
            let field = schema["properties"]
                .get(key)
                .unwrap_or(&schema["additionalProperties"]);
            if field.is_object() {
                self.visit(field, value, &mut |what, value, taken| {
                    changed(format!("{key}: {what}"), key, Some(value), taken);
                });
            }
        }
    }
}

fn allows(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::String(one) => one == kind,
        Value::Array(several) => several.iter().any(|one| one == kind),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
    }
}

/// The example of a schema.
fn example(schema: Schema) -> (Known, Value) {
    let known = Known::of(schema);
    let example = known.resolved(&known.root)["examples"][0].clone();
    assert!(example.is_object(), "there is no example");
    (known, example)
}

fn check(schema: Schema, fewest: usize, judge: impl Fn(&Map<String, Value>) -> Judged) {
    let (known, example) = example(schema);
    judge(example.as_object().unwrap()).expect("the example is taken");
    let variants = known.variants(&example);
    assert!(variants.len() >= fewest, "{} variants", variants.len());
    for Variant { what, body, taken } in variants {
        assert_judged(&what, judge(body.as_object().unwrap()), taken);
    }
}

/// What several fields have to do with each other no schema says.
const TOGETHER: [&str; 3] = [
    "unknown_mcp_server",
    "unused_mcp_server",
    "packages_need_managers",
];

fn assert_judged(what: &str, judged: Judged, taken: bool) {
    match judged {
        Ok(()) => assert!(taken, "{what} was taken"),
        Err(problems) => {
            let together = problems.iter().all(|one| TOGETHER.contains(&one.code));
            assert!(!taken || together, "{what}: {problems:?}");
        }
    }
}

fn map(schema: Schema) -> Map<String, Value> {
    let (_, example) = example(schema);
    example.as_object().unwrap().clone()
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

#[test]
fn bodies_of_environments_are_what_their_schemas_say() {
    let made = EnvironmentBody::create(&map(EnvironmentBody::create_schema())).unwrap();
    check(EnvironmentBody::create_schema(), 50, |body| {
        EnvironmentBody::create(body).map(drop)
    });
    check(EnvironmentBody::update_schema(), 20, |body| {
        let config = made.config_json().as_object().unwrap().clone();
        let stored = StoredEnvironment {
            name: made.name.to_string(),
            description: None,
            config,
            metadata: Map::new(),
        };
        EnvironmentBody::update(stored, body).map(drop)
    });
    let known = Known::of(EnvironmentBody::new_networking_schema());
    let example =
        json!({"type": "limited", "allowed_hosts": ["example.com"], "host_ports": [8080]});
    policy_from_json(&example).expect("the example is taken");
    for Variant { what, body, taken } in known.variants(&example) {
        assert_judged(&what, policy_from_json(&body).map(drop), taken);
    }
}

#[test]
fn bodies_of_agents_are_what_their_schemas_say() {
    let id = AgentId::made(0, [0; 10]);
    let own = Own {
        id: &id,
        version: 1,
    };
    let made = AgentBody::create(&map(AgentBody::create_schema())).unwrap();
    check(AgentBody::create_schema(), 50, |body| {
        AgentBody::create(body).map(drop)
    });
    check(AgentBody::update_schema(), 10, |body| {
        bailiwick_wire::expected_version(body)?;
        let stored = StoredAgent {
            name: made.name.clone(),
            config: made.config.to_json(own).as_object().unwrap().clone(),
            metadata: Map::new(),
        };
        AgentBody::update(stored, body, own).map(drop)
    });
}

#[test]
fn bodies_of_vaults_are_what_their_schemas_say() {
    let made = VaultBody::create(&map(VaultBody::create_schema())).unwrap();
    check(VaultBody::create_schema(), 5, |body| {
        VaultBody::create(body).map(drop)
    });
    check(VaultBody::update_schema(), 3, |body| {
        made.update(body).map(drop)
    });
}

#[test]
fn bodies_of_credentials_are_what_their_schemas_say() {
    let made = CredentialBody::create(&map(CredentialBody::create_schema()), now()).unwrap();
    check(CredentialBody::create_schema(), 8, |body| {
        CredentialBody::create(body, now()).map(drop)
    });
    check(CredentialBody::update_schema(), 4, |body| {
        CredentialBody::update(&made.values, body, now()).map(drop)
    });
    let others = [
        json!({"type": "environment_variable", "secret_name": "TOKEN", "secret_value": "x", "networking": {"type": "limited", "allowed_hosts": ["example.com"]}}),
        json!({"type": "mcp_oauth", "mcp_server_url": "https://mcp.example.com", "access_token": "x", "refresh": {
            "client_id": "c", "refresh_token": "r", "token_endpoint": "https://example.com/token",
            "token_endpoint_auth": {"type": "client_secret_basic", "client_secret": "s"}}}),
    ];
    for auth in others {
        let (known, _) = example(CredentialBody::create_schema());
        let body = json!({"auth": auth});
        let judge = |body: &Value| CredentialBody::create(body.as_object().unwrap(), now());
        judge(&body).expect("it is taken");
        for Variant { what, body, taken } in known.variants(&body) {
            assert_judged(&what, judge(&body).map(drop), taken);
        }
    }
}

/// An agent that has nothing.
fn plain_agent() -> StoredAgent {
    let id = AgentId::made(0, [0; 10]);
    let own = Own {
        id: &id,
        version: 1,
    };
    let body = json!({"name": "a", "model": "claude-opus-5"});
    let made = AgentBody::create(body.as_object().unwrap()).unwrap();
    StoredAgent {
        name: made.name.clone(),
        config: made.config.to_json(own).as_object().unwrap().clone(),
        metadata: Map::new(),
    }
}

/// A session is judged with the agent that it is of.
fn made_session(body: &Map<String, Value>) -> Result<SessionBody, Vec<FieldProblem>> {
    let made = SessionBody::create(body)?;
    made.agent.overrides.apply(plain_agent())?;
    Ok(made)
}

#[test]
fn bodies_of_sessions_are_what_their_schemas_say() {
    let made = made_session(&map(SessionBody::create_schema())).unwrap();
    check(SessionBody::create_schema(), 60, |body| {
        made_session(body).map(drop)
    });
    let config = made.agent.overrides.apply(plain_agent()).unwrap().config;
    let shown = SessionAgent::of(&made.agent.id, 1, "a", &config);
    let shown = shown.with_delegates(&config, &|_, _| None);
    let shown = shown.as_object().unwrap();
    check(SessionText::update_schema(), 6, |body| {
        let patch = made.values.update(body)?;
        match patch.agent {
            Some(overrides) => SessionAgent::changed(shown.clone(), &overrides).map(drop),
            None => Ok(()),
        }
    });
    let others = [
        json!({"type": "memory_store", "memory_store_id": "m", "access": "read_only", "instructions": "x"}),
        json!({"type": "github_repository", "url": "https://github.com/example/a", "checkout": {"type": "commit", "sha": "0123abc"}}),
    ];
    for resource in others {
        let (known, _) = example(SessionBody::create_schema());
        let body = json!({"agent": {"type": "agent", "id": "a"}, "environment_id": "e", "resources": [resource]});
        let judge = |body: &Value| made_session(body.as_object().unwrap()).map(drop);
        judge(&body).expect("it is taken");
        for Variant { what, body, taken } in known.variants(&body) {
            assert_judged(&what, judge(&body), taken);
        }
    }
}

#[test]
fn bodies_of_session_resources_are_what_their_schemas_say() {
    check(FileMount::add_schema(), 6, |body| {
        added_resource(body).map(drop)
    });
    check(FileMount::rotate_schema(), 4, |body| {
        rotated_token(body).map(drop)
    });
}

#[test]
fn bodies_of_work_items_are_what_their_schemas_say() {
    let stored = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
    check(work_update_schema(), 3, |body| {
        work_metadata(&stored, body).map(drop)
    });
}
