//! The fields in which two values differ.

use serde_json::{Map, Value};

/// One place in which two values differ: a field, or an entry of a list. What is not there is `None`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Change {
    /// Such as `config.networking.allowed_hosts`.
    pub(super) path: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

/// What differs, in the order of the fields. Lists of texts are compared by their entries.
pub(super) fn difference(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(String::new(), Some(before), Some(after), &mut changes);
    changes
}

fn compare(path: String, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Change>) {
    let (before, after) = (something(before), something(after));
    match (before, after) {
        (None, None) => {}
        (Some(before), Some(after)) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            fields(&path, before, after, changes);
        }
        (None, Some(Value::Object(after))) => fields(&path, &Map::new(), after, changes),
        (Some(Value::Object(before)), None) => fields(&path, before, &Map::new(), changes),
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            lists(path, before, after, changes);
        }
        (None, Some(Value::Array(after))) => lists(path, &[], after, changes),
        (Some(Value::Array(before)), None) => lists(path, before, &[], changes),
        (before, after) => changes.push(Change {
            path,
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

/// Null is nothing.
fn something(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

fn fields(
    path: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    changes: &mut Vec<Change>,
) {
    let further = after.keys().filter(|key| !before.contains_key(*key));
    for key in before.keys().chain(further) {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        compare(path, before.get(key), after.get(key), changes);
    }
}

fn lists(path: String, before: &[Value], after: &[Value], changes: &mut Vec<Change>) {
    let is_plain = |value: &Value| !value.is_object() && !value.is_array();
    if !before.iter().chain(after).all(is_plain) {
        for index in 0..before.len().max(after.len()) {
            let path = format!("{path}[{index}]");
            compare(path, before.get(index), after.get(index), changes);
        }
        return;
    }
    let count = changes.len();
    let removed = before.iter().filter(|entry| !after.contains(entry));
    changes.extend(removed.map(|entry| Change {
        path: path.clone(),
        before: Some(entry.clone()),
        after: None,
    }));
    let added = after.iter().filter(|entry| !before.contains(entry));
    changes.extend(added.map(|entry| Change {
        path: path.clone(),
        before: None,
        after: Some(entry.clone()),
    }));
    if changes.len() == count && before != after {
        // The same entries in another order.
        changes.push(Change {
            path,
            before: Some(before.into()),
            after: Some(after.into()),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: &Value, after: &Value) -> Vec<String> {
        let shown = |value: Option<Value>| value.map_or("-".to_owned(), |value| value.to_string());
        let line = |change: Change| {
            let (before, after) = (shown(change.before), shown(change.after));
            format!("{}: {before} > {after}", change.path)
        };
        difference(before, after).into_iter().map(line).collect()
    }

    #[test]
    fn what_is_the_same_makes_no_difference() {
        let value = json!({"a": {"b": [1, {"c": null}]}, "d": null});
        assert_eq!(told(&value, &value), [""; 0]);
        assert_eq!(
            told(&json!({"a": null, "b": {}}), &json!({"b": {}})),
            [""; 0]
        );
    }

    #[test]
    fn fields_and_entries_are_told_one_by_one() {
        let before = json!({"hosts": ["a", "b"], "mode": "limited", "packages": {"pip": ["x"]}});
        let after =
            json!({"hosts": ["b", "c"], "mode": "unrestricted", "project": {"ref": "main"}});
        assert_eq!(
            told(&before, &after),
            [
                r#"hosts: "a" > -"#,
                r#"hosts: - > "c""#,
                r#"mode: "limited" > "unrestricted""#,
                r#"packages.pip: "x" > -"#,
                r#"project.ref: - > "main""#,
            ]
        );
    }

    #[test]
    fn lists_of_objects_are_compared_in_their_order() {
        let before = json!({"tools": [{"name": "a", "on": true}, {"name": "b"}]});
        let after = json!({"tools": [{"name": "a", "on": false}]});
        assert_eq!(
            told(&before, &after),
            ["tools[0].on: true > false", r#"tools[1].name: "b" > -"#]
        );
        assert_eq!(
            told(&json!({"args": ["a", "b"]}), &json!({"args": ["b", "a"]})),
            [r#"args: ["a","b"] > ["b","a"]"#]
        );
    }

    #[test]
    fn an_entry_that_stands_twice_is_not_lost() {
        assert_eq!(
            told(&json!({"args": ["a", "a"]}), &json!({"args": ["a"]})),
            [r#"args: ["a","a"] > ["a"]"#]
        );
    }
}
