//! Tools and MCP servers.

use serde_json::{Value, json};

use crate::{config, create, one, refused};

fn toolset(more: &Value) -> Value {
    let mut set = json!({"type": "agent_toolset_20260401"});
    for (key, value) in more.as_object().unwrap() {
        set[key] = value.clone();
    }
    json!({"tools": [set]})
}

fn custom(name: &str, schema: &Value) -> Value {
    json!({"type": "custom", "name": name, "description": "d", "input_schema": schema})
}

fn server(name: &str, url: &str) -> Value {
    json!({"type": "url", "name": name, "url": url})
}

fn of_server(name: &str) -> Value {
    json!({"type": "mcp_toolset", "mcp_server_name": name})
}

#[test]
fn what_a_toolset_leaves_out_is_resolved() {
    let allow = json!({"type": "always_allow"});
    let ask = json!({"type": "always_ask"});
    assert_eq!(
        config(toolset(&json!({})))["tools"],
        json!([{"type": "agent_toolset_20260401", "configs": [], "default_config": {"enabled": true, "permission_policy": allow}}])
    );
    let made = config(toolset(&json!({
        "default_config": {"enabled": false, "permission_policy": ask},
        "configs": [{"name": "bash", "enabled": true}, {"name": "grep", "type": "grep", "permission_policy": allow}],
    })));
    assert_eq!(
        made["tools"][0]["configs"],
        json!([
            {"name": "bash", "type": "bash", "enabled": true, "permission_policy": ask},
            {"name": "grep", "type": "grep", "enabled": false, "permission_policy": allow},
        ])
    );
    let made = config(json!({
        "tools": [{"type": "mcp_toolset", "mcp_server_name": "git", "configs": [{"name": "push", "enabled": false}]}],
        "mcp_servers": [server("git", "https://git.example.com/mcp")],
    }));
    assert_eq!(
        made["tools"][0],
        json!({"type": "mcp_toolset", "mcp_server_name": "git",
            "configs": [{"name": "push", "enabled": false, "permission_policy": ask}],
            "default_config": {"enabled": true, "permission_policy": ask}})
    );
}

#[test]
fn tools_of_the_web_show_everything_they_are_held_to() {
    let made = config(toolset(&json!({"configs": [
        {"name": "web_fetch", "blocked_domains": ["Ads.example.com"], "max_content_tokens": 5,
            "url_sources": {"user_input": "all", "client_tool_results": {"type": "none"}, "server_tool_results": {"type": "only", "tools": [{"type": "tool_reference", "name": "web_search"}]}}},
        {"name": "web_search", "allowed_domains": ["docs.example.com/api"], "user_location": {"type": "approximate", "city": "Ulm", "timezone": "Europe/Berlin"}},
    ]})));
    let configs = &made["tools"][0]["configs"];
    assert_eq!(
        configs[0],
        json!({"name": "web_fetch", "type": "web_fetch", "enabled": true, "permission_policy": {"type": "always_allow"},
            "allowed_domains": null, "blocked_domains": ["ads.example.com"], "max_content_tokens": 5,
            "url_sources": {"user_input": {"type": "all"}, "client_tool_results": {"type": "none"}, "server_tool_results": {"type": "only", "tools": [{"type": "tool_reference", "name": "web_search"}]}}})
    );
    assert_eq!(
        configs[1]["user_location"],
        json!({"type": "approximate", "city": "Ulm", "country": null, "region": null, "timezone": "Europe/Berlin"})
    );
}

/// One configuration of the built-in tools is refused for one of its fields.
fn check(config: &Value, field: &str, code: &'static str) {
    let problems = refused(create(toolset(&json!({"configs": [config]}))));
    let path = format!("tools[0].configs[0].{field}");
    assert!(problems.contains(&(path, code)), "{config}: {problems:?}");
}

#[test]
fn what_no_tool_has_is_refused_with_its_path() {
    let never = json!({"type": "never"});
    for (config, field, code) in [
        (json!({"name": "rm"}), "name", "unknown_value"),
        (
            json!({"name": "bash", "type": "read"}),
            "type",
            "unknown_value",
        ),
        (
            json!({"name": "bash", "allowed_domains": ["a.example"]}),
            "allowed_domains",
            "unknown_field",
        ),
        (
            json!({"name": "web_search", "url_sources": {}}),
            "url_sources",
            "unknown_field",
        ),
        (
            json!({"name": "bash", "permission_policy": never}),
            "permission_policy.type",
            "unknown_value",
        ),
        (
            json!({"name": "bash", "enabled": "yes"}),
            "enabled",
            "wrong_type",
        ),
    ] {
        check(&config, field, code);
    }
    let twice = json!({"configs": [{"name": "bash"}, {"name": "bash"}]});
    assert_eq!(
        refused(create(toolset(&twice))),
        one("tools[0].configs[1].name", "duplicate")
    );
}

#[test]
fn what_is_neither_a_tool_nor_a_toolset_is_refused() {
    let set = json!({"type": "agent_toolset_20260401"});
    for (tools, field, code) in [
        (json!([{"name": "x"}]), "tools[0].type", "missing_field"),
        (json!(["bash"]), "tools[0]", "wrong_type"),
        (
            json!([{"type": "bash_20250124"}]),
            "tools[0].type",
            "unknown_value",
        ),
        (json!([set, set]), "tools[1]", "duplicate"),
    ] {
        assert_eq!(refused(create(json!({"tools": tools}))), one(field, code));
    }
}

#[test]
fn a_domain_is_a_plain_host_name() {
    for domain in [
        "https://a.example",
        "a.example/x",
        "a.example:80",
        "*.example",
        "bücher.example",
        "127.0.0.1",
        "",
    ] {
        let config = json!({"name": "web_fetch", "allowed_domains": [domain]});
        let code = if domain.is_empty() {
            "too_short"
        } else {
            "invalid_domain"
        };
        check(&config, "allowed_domains[0]", code);
    }
    // A search takes a path, and no more than that.
    for domain in ["a.example:80/x", "a.example/x?y", "/x", "a.example/ä"] {
        let config = json!({"name": "web_search", "blocked_domains": [domain]});
        check(&config, "blocked_domains[0]", "invalid_domain");
    }
    let both = json!({"name": "web_fetch", "allowed_domains": ["a.example"], "blocked_domains": ["b.example"]});
    check(&both, "blocked_domains", "exclusive_fields");
}

#[test]
fn what_the_tools_of_the_web_are_held_to_makes_sense() {
    let none = json!({"user_input": "none", "client_tool_results": "none", "server_tool_results": {"type": "none"}});
    let only = json!({"user_input": {"type": "only", "tools": []}});
    let country = json!({"type": "approximate", "country": "de"});
    for (config, field, code) in [
        (
            json!({"name": "web_fetch", "max_content_tokens": 0}),
            "max_content_tokens",
            "wrong_type",
        ),
        (
            json!({"name": "web_fetch", "url_sources": none}),
            "url_sources",
            "nothing_left",
        ),
        (
            json!({"name": "web_fetch", "url_sources": only}),
            "url_sources.user_input.type",
            "unknown_value",
        ),
        (
            json!({"name": "web_search", "user_location": country}),
            "user_location.country",
            "unknown_value",
        ),
        (
            json!({"name": "web_search", "user_location": {"type": "exact"}}),
            "user_location.type",
            "unknown_value",
        ),
    ] {
        check(&config, field, code);
    }
}

#[test]
fn sources_of_urls_name_tools_that_there_are() {
    let with = |results: &str, names: Value| {
        let tools: Vec<_> = names
            .as_array()
            .unwrap()
            .iter()
            .map(|name| json!({"type": "tool_reference", "name": name}))
            .collect();
        let sources = json!({results: {"type": "except", "tools": tools}});
        create(json!({"tools": [
            {"type": "agent_toolset_20260401", "configs": [{"name": "web_fetch", "url_sources": sources}]},
            custom("t", &json!({})),
        ]}))
    };
    assert!(with("client_tool_results", json!(["t"])).is_ok());
    assert!(with("server_tool_results", json!(["web_fetch"])).is_ok());
    let at = |rest: &str| format!("tools[0].configs[0].url_sources.{rest}");
    for (results, names, rest, code) in [
        (
            "client_tool_results",
            json!(["t", "u"]),
            "client_tool_results.tools[1].name",
            "unknown_tool",
        ),
        (
            "server_tool_results",
            json!(["t"]),
            "server_tool_results.tools[0].name",
            "unknown_value",
        ),
        (
            "client_tool_results",
            json!(["t", "t"]),
            "client_tool_results.tools[1]",
            "duplicate",
        ),
        (
            "client_tool_results",
            json!([]),
            "client_tool_results.tools",
            "too_short",
        ),
    ] {
        assert_eq!(refused(with(results, names)), one(&at(rest), code));
    }
}

#[test]
fn lists_of_domains_have_a_bound() {
    let of = |count: usize| {
        let domains: Vec<_> = (0..count).map(|n| format!("d{n}.example.com")).collect();
        create(toolset(
            &json!({"configs": [{"name": "web_fetch", "allowed_domains": domains}]}),
        ))
    };
    assert!(of(64).is_ok());
    let path = "tools[0].configs[0].allowed_domains";
    assert_eq!(refused(of(65)), one(path, "too_much"));
    assert_eq!(refused(of(0)), one(path, "too_short"));
}

#[test]
fn a_custom_tool_is_one_that_every_provider_takes() {
    let long = "n".repeat(129);
    for (name, code) in [
        ("", "too_short"),
        (long.as_str(), "too_long"),
        ("a b", "invalid_name"),
        ("é", "invalid_name"),
        ("bash", "invalid_name"),
        ("mcp__git__push", "invalid_name"),
    ] {
        let tools = json!({"tools": [custom(name, &json!({"type": "object"}))]});
        assert_eq!(refused(create(tools)), one("tools[0].name", code), "{name}");
    }
    let deep =
        json!({"type": "object", "properties": {"a": {"type": "array", "items": [{"$ref": "#"}]}}});
    for (schema, field) in [
        (json!({"type": "string"}), "type"),
        (json!({"type": "object", "anyOf": []}), "anyOf"),
        (deep, "$ref"),
        (json!({"type": "object", "properties": []}), "properties"),
        (
            json!({"type": "object", "properties": {"a b": {}}}),
            "properties",
        ),
        (json!({"type": "object", "required": [1]}), "required"),
    ] {
        let tools = json!({"tools": [custom("t", &schema.clone())]});
        let path = format!("tools[0].input_schema.{field}");
        assert_eq!(
            refused(create(tools)),
            one(&path, "invalid_schema"),
            "{schema}"
        );
    }
    let schema = json!({"properties": {"a.b-c_1": {"anyOf": [{"type": "string"}]}}, "required": null, "additionalProperties": false});
    let made = config(json!({"tools": [custom(&"n".repeat(128), &schema)]}));
    assert_eq!(
        made["tools"][0]["input_schema"],
        json!({"type": "object", "properties": {"a.b-c_1": {"anyOf": [{"type": "string"}]}}, "additionalProperties": false})
    );
    let empty = json!({"type": "custom", "name": "t", "description": "", "input_schema": {}});
    assert_eq!(
        refused(create(json!({"tools": [empty]}))),
        one("tools[0].description", "too_short")
    );
}

#[test]
fn tools_have_a_bound_over_all_toolsets() {
    let of = |count: usize| {
        let mut tools: Vec<_> = (0..count)
            .map(|n| custom(&format!("t{n}"), &json!({})))
            .collect();
        tools.push(json!({"type": "agent_toolset_20260401", "configs": [{"name": "bash"}, {"name": "read"}]}));
        create(json!({"tools": tools}))
    };
    assert!(of(254).is_ok());
    assert_eq!(refused(of(255)), one("tools", "too_much"));
    let twice = json!({"tools": [custom("t", &json!({})), custom("t", &json!({}))]});
    assert_eq!(refused(create(twice)), one("tools[1]", "duplicate"));
}

#[test]
fn every_server_has_a_toolset_and_every_toolset_a_server() {
    let git = server("git", "https://git.example.com/mcp");
    let with =
        |tools: Value, servers: Value| create(json!({"tools": tools, "mcp_servers": servers}));
    assert!(with(json!([of_server("git")]), json!([git])).is_ok());
    assert_eq!(
        refused(with(json!([]), json!([git]))),
        one("mcp_servers[0].name", "unused_mcp_server")
    );
    assert_eq!(
        refused(with(json!([of_server("git")]), json!([]))),
        one("tools[0].mcp_server_name", "unknown_mcp_server")
    );
    assert_eq!(
        refused(with(
            json!([of_server("git"), of_server("git")]),
            json!([git])
        )),
        one("tools[1]", "duplicate")
    );
    assert_eq!(
        refused(with(json!([of_server("git")]), json!([git, git]))),
        one("mcp_servers[1].name", "duplicate")
    );
}

#[test]
fn servers_have_bounds_and_urls_without_secrets() {
    let many = |count: usize| {
        let (servers, tools): (Vec<_>, Vec<_>) = (0..count)
            .map(|n| format!("s{n}"))
            .map(|name| (server(&name, "https://a.example"), of_server(&name)))
            .unzip();
        create(json!({"tools": tools, "mcp_servers": servers}))
    };
    assert!(many(20).is_ok());
    assert_eq!(refused(many(21)), one("mcp_servers", "too_much"));
    let with =
        |url: &str| create(json!({"tools": [of_server("s")], "mcp_servers": [server("s", url)]}));
    assert!(with("http://mcp.internal:8080/mcp?x=1").is_ok());
    for url in [
        "mcp.example.com",
        "ftp://a.example",
        "https://user:secret@a.example",
        "https://token@a.example",
        "https://",
    ] {
        assert_eq!(
            refused(with(url)),
            one("mcp_servers[0].url", "invalid_url"),
            "{url}"
        );
    }
    let long = format!("https://a.example/{}", "x".repeat(2048));
    assert!(with(&long[..2048]).is_ok());
    assert_eq!(
        refused(with(&long[..2049])),
        one("mcp_servers[0].url", "too_long")
    );
}
