//! What a change leaves as it was.

use bailiwick_wire::expected_version;
use serde_json::{Value, json};

use crate::{after, map, one, refused, update};

#[test]
fn what_is_absent_stays_and_null_clears_what_can_be_cleared() {
    let before = json!({
        "description": "d", "system": "s",
        "tools": [{"type": "agent_toolset_20260401"}],
        "skills": [{"type": "custom", "skill_id": "s"}],
        "execution_identity": {"type": "aws_role", "role_arn": "r"},
    });
    let same = after(before.clone(), json!({}));
    assert_eq!(
        (&same["description"], &same["system"]),
        (&json!("d"), &json!("s"))
    );
    for (cleared, empty) in [(json!(null), json!(null)), (json!(""), json!(null))] {
        for field in ["description", "system"] {
            let changed = after(before.clone(), json!({field: cleared}));
            assert_eq!(changed[field], empty, "{field}");
        }
    }
    for cleared in [json!(null), json!([])] {
        for field in ["tools", "skills"] {
            let changed = after(before.clone(), json!({field: cleared}));
            assert_eq!(changed[field], json!([]), "{field}");
        }
    }
    let changed = after(before.clone(), json!({"execution_identity": null}));
    assert_eq!(changed["execution_identity"]["type"], "service_account");
    for field in ["name", "model"] {
        assert_eq!(
            refused(update(before.clone(), json!({field: null}))),
            one(field, "missing_field")
        );
    }
    assert_eq!(
        refused(update(before, json!({"name": ""}))),
        one("name", "too_short")
    );
}

#[test]
fn a_model_is_replaced_but_for_the_effort_of_the_same_one() {
    let before =
        json!({"model": {"id": "m", "effort": "low", "speed": "fast", "inference_geo": "us"}});
    let model = |change: Value| after(before.clone(), json!({"model": change}))["model"].clone();
    let kept =
        json!({"id": "m", "effort": {"type": "low"}, "speed": "standard", "inference_geo": null});
    assert_eq!(model(json!("m")), kept);
    assert_eq!(model(json!({"id": "m"})), kept);
    let reset =
        json!({"id": "n", "effort": {"type": "high"}, "speed": "standard", "inference_geo": null});
    assert_eq!(model(json!({"id": "n"})), reset);
    assert_eq!(
        model(json!({"id": "m", "effort": null}))["effort"]["type"],
        "high"
    );
    assert_eq!(
        model(json!({"id": "n", "effort": "max"}))["effort"]["type"],
        "max"
    );
}

#[test]
fn metadata_is_a_patch_and_its_bounds_are_those_of_the_whole() {
    let before = json!({"metadata": {"a": "1", "b": "2"}});
    let metadata = |change: Value| {
        let body = update(before.clone(), json!({"metadata": change})).unwrap();
        json!(body.metadata)
    };
    assert_eq!(
        metadata(json!({"a": null, "c": "", "nothing": null})),
        json!({"b": "2", "c": ""})
    );
    assert_eq!(metadata(json!(null)), json!({"a": "1", "b": "2"}));
    let many: serde_json::Map<_, _> = (0..15).map(|n| (format!("k{n}"), json!(""))).collect();
    assert_eq!(
        refused(update(before.clone(), json!({"metadata": many}))),
        one("metadata", "invalid_metadata")
    );
    assert_eq!(
        refused(update(before, json!({"metadata": []}))),
        one("metadata", "wrong_type")
    );
}

#[test]
fn servers_and_toolsets_fit_together_after_the_change() {
    let before = json!({
        "tools": [{"type": "mcp_toolset", "mcp_server_name": "git"}],
        "mcp_servers": [{"type": "url", "name": "git", "url": "https://git.example.com"}],
    });
    assert_eq!(
        refused(update(before.clone(), json!({"tools": []}))),
        one("mcp_servers[0].name", "unused_mcp_server")
    );
    assert_eq!(
        refused(update(before.clone(), json!({"mcp_servers": null}))),
        one("tools[0].mcp_server_name", "unknown_mcp_server")
    );
    assert!(update(before, json!({"tools": [], "mcp_servers": []})).is_ok());
}

#[test]
fn the_version_of_a_change_is_a_number_from_one_on() {
    let version = |value: Value| expected_version(&map(json!({"version": value})));
    assert_eq!(version(json!(3)), Ok(Some(3)));
    assert_eq!(version(json!(null)), Ok(None));
    assert_eq!(expected_version(&map(json!({}))), Ok(None));
    for wrong in [
        json!(0),
        json!(-1),
        json!("1"),
        json!(1.5),
        json!(3_000_000_000_u64),
    ] {
        let problems = version(wrong).unwrap_err();
        assert_eq!(
            (problems[0].field.as_str(), problems[0].code),
            ("version", "wrong_type")
        );
    }
}
