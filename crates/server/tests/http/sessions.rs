//! Sessions.

use bailiwick_model::Permission;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Answer, Server, on_both};

on_both!(
    a_session_shows_what_it_binds_together,
    what_is_different_in_a_session_is_not_in_its_agent,
    whom_an_agent_delegates_to_is_shown_in_full,
    bodies_that_are_no_session_are_refused_with_their_fields,
    the_longest_that_there_may_be_is_taken,
    what_is_absent_in_a_change_stays,
    tools_change_while_nobody_is_at_work,
    a_budget_is_changed_and_never_added,
    an_archived_session_has_ended,
);

pub(crate) fn code(answer: &Answer) -> &str {
    answer.body["error"]["details"]["error_code"]
        .as_str()
        .unwrap_or_default()
}

pub(crate) async fn id_of(server: &Server, path: &str, body: Value) -> String {
    server.post(path, body).await.text("id").to_owned()
}

pub(crate) async fn environment(server: &Server, name: &str, kind: &str) -> String {
    let body = json!({"name": name, "config": {"type": kind}});
    id_of(server, "/v1/environments", body).await
}

pub(crate) async fn agent(server: &Server) -> String {
    id_of(server, "/v1/agents", json!({"name": "Coder", "model": "m"})).await
}

/// An agent and a body for a session of it in an environment of the cloud.
pub(crate) async fn body(server: &Server) -> Value {
    let environment = environment(server, "dev", "cloud").await;
    json!({"agent": agent(server).await, "environment_id": environment})
}

pub(crate) fn with(mut body: Value, more: Value) -> Value {
    let Value::Object(more) = more else {
        panic!("no object: {more}")
    };
    for (key, value) in more {
        body[key] = value;
    }
    body
}

pub(crate) async fn create(server: &Server, body: Value) -> Answer {
    server.post("/v1/sessions", body).await
}

/// Makes a session what it would be if something ran it.
pub(crate) async fn set_status(server: &Server, id: &str, status: &str) {
    let url = match &server.url {
        bailiwick_store::DatabaseUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
        bailiwick_store::DatabaseUrl::Postgres(url) => url.clone(),
    };
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&url).await.unwrap();
    for statement in [
        "UPDATE session SET status = $2 WHERE id = $1",
        "UPDATE session_thread SET status = $2 WHERE session_id = $1",
    ] {
        let done = sqlx::query(statement)
            .bind(id.to_owned())
            .bind(status.to_owned())
            .execute(&pool)
            .await;
        assert_eq!(done.unwrap().rows_affected(), 1);
    }
}

async fn a_session_shows_what_it_binds_together(server: Server) {
    let body = body(&server).await;
    let vault = id_of(&server, "/v1/vaults", json!({"display_name": "v"})).await;
    let more = json!({"title": "Fix it", "metadata": {"team": "a"}, "vault_ids": [vault], "initial_events": [],
        "budget": {"type": "limit", "max_list_cost": {"amount": "2500", "currency": "USD"}}});
    let made = create(&server, with(body.clone(), more)).await.ok();
    let agent = json!({"id": body["agent"], "type": "agent", "version": 1, "name": "Coder", "description": null, "system": null,
        "model": {"id": "m", "effort": {"type": "high"}, "speed": "standard", "inference_geo": null}, "tools": [], "mcp_servers": [],
        "skills": [], "multiagent": null, "execution_identity": {"type": "service_account"}});
    let expected = json!({
        "id": made["id"], "type": "session", "status": "idle", "title": "Fix it", "metadata": {"team": "a"},
        "environment_id": body["environment_id"], "environment_revision": 1, "agent": agent, "resources": [], "vault_ids": [vault],
        "deployment_id": null, "budget": {"type": "limit", "max_list_cost": {"amount": "2500", "currency": "USD"}},
        "outcome_evaluations": [], "stats": {"active_seconds": 0.0, "duration_seconds": made["stats"]["duration_seconds"]},
        "usage": {"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "list_cost": null, "active_seconds": 0.0, "server_tool_use": null},
        "created_at": made["created_at"], "updated_at": made["updated_at"], "archived_at": null,
    });
    assert_eq!(made, expected);
    let id = made["id"].as_str().unwrap();
    let mut read = server.get(&format!("/v1/sessions/{id}")).await.ok();
    assert!(read["stats"]["duration_seconds"].as_f64().unwrap() > 0.0);
    read["stats"] = made["stats"].clone();
    assert_eq!(read, made);
    // Some clients write the prefix out.
    let other = id.replace("sesn_", "session_");
    let read = server.get(&format!("/v1/sessions/{other}?beta=true")).await;
    assert_eq!(read.text("id"), id);
    let bare = create(&server, body).await.ok();
    assert_eq!(
        (&bare["title"], &bare["budget"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (&bare["metadata"], &bare["vault_ids"]),
        (&json!({}), &json!([]))
    );
}

async fn what_is_different_in_a_session_is_not_in_its_agent(server: Server) {
    let environment = environment(&server, "dev", "cloud").await;
    let whole = json!({"name": "A", "model": {"id": "m", "effort": "max"}, "system": "s", "skills": [{"type": "custom", "skill_id": "x"}],
        "mcp_servers": [{"type": "url", "name": "git", "url": "https://git.example.com/mcp"}],
        "tools": [{"type": "agent_toolset_20260401"}, {"type": "mcp_toolset", "mcp_server_name": "git"}]});
    let agent = server.post("/v1/agents", whole).await.ok();
    let id = agent["id"].as_str().unwrap();
    server
        .post(&format!("/v1/agents/{id}"), json!({"system": "second"}))
        .await
        .ok();
    let of = |more: Value| {
        let reference = with(json!({"type": "agent_with_overrides", "id": id}), more);
        json!({"agent": reference, "environment_id": environment})
    };
    let plain =
        json!({"agent": {"type": "agent", "id": id, "version": 1}, "environment_id": environment});
    let made = create(&server, plain).await.ok();
    assert_eq!(
        (&made["agent"]["version"], &made["agent"]["system"]),
        (&json!(1), &json!("s"))
    );
    let more =
        json!({"system": null, "model": "other", "tools": [], "mcp_servers": null, "skills": []});
    let made = create(&server, of(more)).await.ok()["agent"].clone();
    assert_eq!(
        (&made["version"], &made["system"]),
        (&json!(2), &Value::Null)
    );
    assert_eq!(made["model"]["id"], "other");
    assert_eq!(made["model"]["effort"]["type"], "high");
    assert_eq!((&made["tools"], &made["skills"]), (&json!([]), &json!([])));
    let same = server.get(&format!("/v1/agents/{id}")).await.ok();
    assert_eq!(
        (&same["version"], &same["tools"]),
        (&json!(2), &agent["tools"])
    );
    for (more, wrong) in [
        (json!({"model": null}), "agent_model_required"),
        (json!({"tools": [], "mcp_servers": []}), "skills_need_tools"),
        (json!({"name": "B"}), "unknown_field"),
    ] {
        let refused = create(&server, of(more)).await;
        assert_eq!(
            (refused.status, code(&refused)),
            (StatusCode::BAD_REQUEST, wrong)
        );
    }
    let unmatched = create(&server, of(json!({"mcp_servers": []}))).await;
    assert_eq!(unmatched.status, StatusCode::BAD_REQUEST);
    assert!(
        unmatched.body["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("agent.tools[1]"),
        "{unmatched:?}"
    );
}

async fn whom_an_agent_delegates_to_is_shown_in_full(server: Server) {
    let environment = environment(&server, "dev", "cloud").await;
    let coder = agent(&server).await;
    let team = json!({"name": "Chief", "model": "m", "multiagent": {"type": "coordinator",
        "agents": [coder, {"type": "self"}, {"type": "advisor", "model": "wise"}]}});
    let chief = id_of(&server, "/v1/agents", team).await;
    let reference = json!({"type": "agent_with_overrides", "id": chief, "system": "lead"});
    let session = create(
        &server,
        json!({"agent": reference, "environment_id": environment}),
    )
    .await
    .ok();
    let members = session["agent"]["multiagent"]["agents"].as_array().unwrap();
    assert_eq!(
        (&members[0]["name"], &members[0]["tools"]),
        (&json!("Coder"), &json!([]))
    );
    assert_eq!(members[0].get("multiagent"), None);
    assert_eq!(
        (&members[1]["id"], &members[1]["system"]),
        (&json!(chief), &json!("lead"))
    );
    assert_eq!(members[2], json!({"type": "advisor", "model": "wise"}));
    let members = json!({"name": "C", "model": "m", "multiagent": {"type": "multiagent_20261001",
        "subagents": {"type": "enabled", "predefined_agents": [coder]}}});
    let agent = id_of(&server, "/v1/agents", members).await;
    let session = create(
        &server,
        json!({"agent": agent, "environment_id": environment}),
    )
    .await
    .ok();
    let multiagent = &session["agent"]["multiagent"];
    assert_eq!(
        multiagent["subagents"]["predefined_agents"][0]["name"],
        "Coder"
    );
    assert_eq!(multiagent["advisor"], json!({"type": "disabled"}));
    assert_eq!(multiagent["workflows"]["predefined_agents"], json!([]));
}

async fn bodies_that_are_no_session_are_refused_with_their_fields(server: Server) {
    let body = body(&server).await;
    let amount = |amount: &str| json!({"budget": {"type": "limit", "max_list_cost": {"amount": amount, "currency": "USD"}}});
    let vaults = |count: usize| json!({"vault_ids": (0..count).map(|n| format!("vlt_{n}")).collect::<Vec<_>>()});
    for (more, field, wrong) in [
        (json!({"agent": null}), "agent", "missing_field"),
        (json!({"agent": 1}), "agent", "wrong_type"),
        (
            json!({"agent": {"type": "robot", "id": "x"}}),
            "agent.type",
            "unknown_value",
        ),
        (
            json!({"agent": {"type": "agent", "id": "x", "system": "y"}}),
            "agent.system",
            "unknown_field",
        ),
        (json!({"environment_id": ""}), "environment_id", "too_short"),
        (json!({"title": "x".repeat(501)}), "title", "too_long"),
        (
            json!({"metadata": {"bailiwick.x": "y"}}),
            "metadata.bailiwick.x",
            "reserved_metadata",
        ),
        (
            json!({"metadata": {"x": "y".repeat(513)}}),
            "metadata.x",
            "too_long",
        ),
        (json!({"colour": "red"}), "colour", "unknown_field"),
        (
            json!({"initial_events": [{"type": "user.message", "content": []}]}),
            "initial_events[0].content",
            "too_short",
        ),
        (amount("0"), "budget.max_list_cost.amount", "invalid_amount"),
        (
            amount("1.5"),
            "budget.max_list_cost.amount",
            "invalid_amount",
        ),
        (
            amount("-5"),
            "budget.max_list_cost.amount",
            "invalid_amount",
        ),
        (
            amount("1234567890123"),
            "budget.max_list_cost.amount",
            "too_long",
        ),
        (vaults(51), "vault_ids", "too_much"),
        (
            json!({"vault_ids": ["a", "a"]}),
            "vault_ids[1]",
            "duplicate",
        ),
    ] {
        let refused = create(&server, with(body.clone(), more.clone())).await;
        assert_eq!(
            (refused.status, code(&refused)),
            (StatusCode::BAD_REQUEST, wrong),
            "{more}"
        );
        let told = refused.body["error"]["message"].as_str().unwrap();
        assert!(told.starts_with(&format!("{field}: ")), "{told}");
    }
}

async fn the_longest_that_there_may_be_is_taken(server: Server) {
    let body = body(&server).await;
    let most = with(
        json!({"title": "é".repeat(500)}),
        json!({"metadata": {"x": "y".repeat(512)}}),
    );
    create(&server, with(body.clone(), most)).await.ok();
    let budget = json!({"budget": {"type": "limit", "max_list_cost": {"amount": "123456789012", "currency": "USD"}}});
    create(&server, with(body.clone(), budget)).await.ok();
    let vaults: Vec<_> = (0..50).map(|n| format!("vlt_{n}")).collect();
    let unknown = create(&server, with(body, json!({"vault_ids": vaults}))).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

/// A key of somebody with these permissions alone.
pub(crate) async fn key_with(server: &Server, name: &str, permissions: &[Permission]) -> String {
    let words: Vec<_> = permissions.iter().map(|one| one.as_str()).collect();
    let role = json!({"name": name, "permissions": words});
    let role = id_of(server, "/api/roles", role).await;
    let account = json!({"name": name, "role_id": role});
    let account = id_of(server, "/api/service-accounts", account).await;
    let path = format!("/api/service-accounts/{account}/keys");
    let key = server.post(&path, json!({"name": "k"})).await;
    key.text("key").to_owned()
}

async fn what_is_absent_in_a_change_stays(server: Server) {
    let more = json!({"title": "t", "metadata": {"a": "1", "b": "2"}});
    let made = create(&server, with(body(&server).await, more)).await;
    let path = format!("/v1/sessions/{}", made.text("id"));
    let shown = |answer: &Answer| {
        (
            answer.body["title"].clone(),
            answer.body["metadata"].clone(),
        )
    };
    let same = server.post(&path, json!({})).await;
    assert_eq!(shown(&same), shown(&made));
    assert_eq!(same.body["updated_at"], made.body["updated_at"]);
    let changed = server
        .post(&path, json!({"metadata": {"a": null, "c": "3"}}))
        .await;
    assert_eq!(shown(&changed), (json!("t"), json!({"b": "2", "c": "3"})));
    assert_ne!(changed.body["updated_at"], made.body["updated_at"]);
    let cleared = server
        .post(&path, json!({"title": null, "metadata": null}))
        .await;
    assert_eq!(shown(&cleared), (Value::Null, json!({"b": "2", "c": "3"})));
    for (change, wrong) in [
        (json!({"title": ""}), "too_short"),
        (json!({"title": "x".repeat(501)}), "too_long"),
        (json!({"vault_ids": []}), "vaults_create_only"),
        (json!({"environment_id": "env_x"}), "unknown_field"),
        (json!({"agent": {"system": "x"}}), "unknown_field"),
    ] {
        let refused = server.post(&path, change.clone()).await;
        assert_eq!(
            (refused.status, code(&refused)),
            (StatusCode::BAD_REQUEST, wrong),
            "{change}"
        );
    }
}

async fn tools_change_while_nobody_is_at_work(server: Server) {
    let made = create(&server, body(&server).await).await;
    let id = made.text("id");
    let path = format!("/v1/sessions/{id}");
    let tools = json!({"agent": {"tools": [{"type": "agent_toolset_20260401"}]}});
    let changed = server.post(&path, tools.clone()).await.ok();
    assert_eq!(
        changed["agent"]["tools"][0]["default_config"]["enabled"],
        true
    );
    assert_eq!(changed["agent"]["name"], "Coder");
    let unmatched =
        json!({"agent": {"tools": [{"type": "mcp_toolset", "mcp_server_name": "none"}]}});
    let refused = server.post(&path, unmatched).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    for status in ["running", "rescheduling"] {
        set_status(&server, id, status).await;
        assert_eq!(server.get(&path).await.text("status"), status);
        for (path, body) in [
            (path.clone(), tools.clone()),
            (format!("{path}/archive"), json!({})),
        ] {
            let refused = server.post(&path, body).await;
            assert_eq!(
                (refused.status, code(&refused)),
                (StatusCode::CONFLICT, "session_running")
            );
        }
        let refused = server.send(Method::DELETE, &path, None).await;
        assert_eq!(code(&refused), "session_running");
        server.post(&path, json!({"title": status})).await.ok();
    }
    set_status(&server, id, "idle").await;
    let cleared = server
        .post(&path, json!({"agent": {"tools": []}}))
        .await
        .ok();
    assert_eq!(cleared["agent"]["tools"], json!([]));
}

async fn a_budget_is_changed_and_never_added(server: Server) {
    let budget = |cents: &str| json!({"budget": {"type": "limit", "max_list_cost": {"amount": cents, "currency": "USD"}}});
    let body = body(&server).await;
    let made = create(&server, with(body.clone(), budget("100"))).await;
    let path = format!("/v1/sessions/{}", made.text("id"));
    let raised = server.post(&path, budget("200")).await.ok();
    assert_eq!(raised["budget"]["max_list_cost"]["amount"], "200");
    let kept = server.post(&path, json!({"title": "x"})).await.ok();
    assert_eq!(kept["budget"], raised["budget"]);
    let removed = server.post(&path, json!({"budget": null})).await.ok();
    assert_eq!(removed["budget"], Value::Null);
    let refused = server.post(&path, budget("300")).await;
    assert_eq!(
        (refused.status, code(&refused)),
        (StatusCode::BAD_REQUEST, "budget_create_only")
    );
}

async fn an_archived_session_has_ended(server: Server) {
    let made = create(&server, body(&server).await).await;
    let path = format!("/v1/sessions/{}", made.text("id"));
    let archived = server
        .post(&format!("{path}/archive"), json!({}))
        .await
        .ok();
    assert_eq!(archived["status"], "terminated");
    assert_eq!(archived["archived_at"], archived["updated_at"]);
    // How long it was there does not grow any more.
    assert_eq!(server.get(&path).await.ok(), archived);
    assert_eq!(
        server
            .post(&format!("{path}/archive"), json!({}))
            .await
            .ok(),
        archived
    );
    let refused = server.post(&path, json!({"title": "x"})).await;
    assert_eq!(
        (refused.status, code(&refused)),
        (StatusCode::BAD_REQUEST, "session_archived")
    );
    let deleted = server.send(Method::DELETE, &path, None).await.ok();
    assert_eq!(
        deleted,
        json!({"id": archived["id"], "type": "session_deleted"})
    );
    assert_eq!(server.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        server.send(Method::DELETE, &path, None).await.status,
        StatusCode::NOT_FOUND
    );
}
