//! Bodies that make and change sessions.

use std::collections::BTreeSet;

use bailiwick_wire::{SessionBody, added_resource, overlapping, rotated_token, work_metadata};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Words that mean something somewhere, and some that do not.
const KEYS: &[&str] = &[
    "agent",
    "environment_id",
    "id",
    "type",
    "version",
    "model",
    "system",
    "tools",
    "mcp_servers",
    "skills",
    "title",
    "metadata",
    "resources",
    "file_id",
    "mount_path",
    "url",
    "authorization_token",
    "checkout",
    "name",
    "sha",
    "memory_store_id",
    "access",
    "vault_ids",
    "budget",
    "max_list_cost",
    "amount",
    "currency",
    "initial_events",
    "nonsense",
];
const WORDS: &[&str] = &[
    "agent",
    "agent_with_overrides",
    "file",
    "github_repository",
    "memory_store",
    "branch",
    "commit",
    "limit",
    "USD",
    "2500",
    "https://github.com/a/b",
    "/workspace/a",
    "a/../b",
    "main",
    "0123abc",
    "",
];

fn value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(WORDS).prop_map(|word| json!(word));
    let leaf = prop_oneof![
        word,
        any::<i64>().prop_map(|number| json!(number)),
        Just(Value::Null),
        Just(json!(true))
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            object(inner).prop_map(Value::Object),
        ]
    })
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let pair = (prop::sample::select(KEYS), value);
    let pairs = prop::collection::vec(pair, 0..8);
    pairs.prop_map(|pairs| {
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    })
}

proptest! {
    #[test]
    fn any_body_is_taken_or_refused_with_a_reason(body in object(value())) {
        if let Err(problems) = SessionBody::create(&body) {
            prop_assert!(!problems.is_empty());
        }
        if let Err(problems) = added_resource(&body) {
            prop_assert!(!problems.is_empty());
        }
        if let Err(problems) = rotated_token(&body) {
            prop_assert!(!problems.is_empty());
        }
        if let Err(problems) = work_metadata(&Default::default(), &body) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn a_change_of_a_session_is_taken_or_refused_with_a_reason(body in object(value())) {
        let made = json!({"agent": "a", "environment_id": "e", "title": "t", "metadata": {"a": "b"}});
        let Value::Object(made) = made else { unreachable!() };
        let made = SessionBody::create(&made).unwrap().values;
        match made.update(&body) {
            // Done again it changes nothing more.
            Ok(patch) => prop_assert_eq!(patch.values.update(&Map::new()).unwrap().values, patch.values),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }

    #[test]
    fn paths_overlap_where_one_is_in_the_other(paths in prop::collection::vec("/[ab]{1,2}(/[ab-]{1,2}){0,3}", 1..8), path in "/[ab]{1,2}(/[ab-]{1,2}){0,3}") {
        let taken: BTreeSet<String> = paths.into_iter().collect();
        let within = |inner: &str, outer: &str| inner == outer || inner.starts_with(&format!("{outer}/"));
        let expected = taken.iter().any(|one| within(one, &path) || within(&path, one));
        prop_assert_eq!(overlapping(&taken, &path), expected);
    }
}

#[test]
fn a_token_is_not_printed() {
    let body = json!({"agent": "a", "environment_id": "e", "resources": [
        {"type": "github_repository", "url": "https://github.com/a/b", "authorization_token": "ghp_secret"}]});
    let Value::Object(body) = body else {
        unreachable!()
    };
    let shown = format!("{:?}", SessionBody::create(&body).unwrap());
    assert!(!shown.contains("ghp_secret"), "{shown}");
}
