//! Agents on the wire.

use bailiwick_model::PredefinedRole;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Answer, Server, on_both};

on_both!(
    an_agent_is_made_read_and_listed_with_every_key,
    every_change_is_a_version_and_a_change_of_nothing_is_none,
    a_stale_version_is_a_conflict_also_where_nothing_changes,
    of_two_who_change_the_same_version_one_does,
    an_archived_agent_is_read_and_not_changed_and_none_is_deleted,
    pages_follow_each_other_to_the_end,
    agents_are_listed_by_when_they_were_made,
    delegates_are_pinned_when_they_are_named,
    wrong_delegates_are_refused_with_their_fields,
    a_body_is_refused_with_its_fields_and_nothing_is_made,
    lengths_are_counted_in_characters,
    who_may_not_write_reads_and_who_is_nobody_does_neither,
    another_organizations_agents_do_not_exist,
    every_change_is_in_the_audit_log,
);

fn minimal(name: &str) -> Value {
    json!({"name": name, "model": "claude-opus-5"})
}

async fn made(server: &Server, body: Value) -> Value {
    server.post("/v1/agents", body).await.ok()
}

fn path(agent: &Value) -> String {
    format!("/v1/agents/{}", agent["id"].as_str().unwrap())
}

fn names(list: &Value) -> Vec<&str> {
    let data = list["data"].as_array().unwrap();
    data.iter().map(|a| a["name"].as_str().unwrap()).collect()
}

fn code(answer: &Answer) -> &str {
    answer.body["error"]["details"]["error_code"]
        .as_str()
        .unwrap()
}

async fn an_agent_is_made_read_and_listed_with_every_key(server: Server) {
    let body = json!({
        "name": "Coder", "model": {"id": "claude-opus-5", "effort": "max"}, "system": "Write code.\n",
        "tools": [{"type": "agent_toolset_20260401", "configs": [{"name": "bash", "permission_policy": {"type": "always_ask"}}]}],
        "metadata": {"team": "a"},
    });
    let made = made(&server, body).await;
    let mut keys: Vec<_> = made.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "archived_at",
            "created_at",
            "description",
            "execution_identity",
            "id",
            "mcp_servers",
            "metadata",
            "model",
            "multiagent",
            "name",
            "skills",
            "system",
            "tools",
            "type",
            "updated_at",
            "version"
        ]
    );
    assert_eq!(
        (&made["type"], &made["version"], &made["execution_identity"]),
        (
            &json!("agent"),
            &json!(1),
            &json!({"type": "service_account"})
        )
    );
    assert_eq!(
        made["model"],
        json!({"id": "claude-opus-5", "effort": {"type": "max"}, "speed": "standard", "inference_geo": null})
    );
    assert!(made["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(server.get(&path(&made)).await.ok(), made);
    let list = server.get("/v1/agents?beta=true").await.ok();
    assert_eq!(list, json!({"data": [made], "next_page": null}));
    let versions = server.get(&format!("{}/versions", path(&made))).await.ok();
    assert_eq!(versions, json!({"data": [made], "next_page": null}));
}

async fn every_change_is_a_version_and_a_change_of_nothing_is_none(server: Server) {
    let first = made(&server, minimal("a")).await;
    let path = path(&first);
    for nothing in [
        json!({}),
        json!({"name": "a", "model": "claude-opus-5", "tools": [], "description": "", "metadata": {"x": null}, "version": 1}),
    ] {
        assert_eq!(server.post(&path, nothing).await.ok(), first);
    }
    let second = server
        .post(&path, json!({"system": "s", "version": 1}))
        .await
        .ok();
    assert_eq!(
        (&second["version"], &second["system"]),
        (&json!(2), &json!("s"))
    );
    assert_eq!(second["created_at"], first["created_at"]);
    assert_ne!(second["updated_at"], first["updated_at"]);
    // What was a version stays one.
    let old = server.get(&format!("{path}?version=1")).await.ok();
    assert_eq!(old, first);
    assert_eq!(server.get(&format!("{path}?version=2")).await.ok(), second);
    let none = server.get(&format!("{path}?version=3")).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    for bad in ["0", "-1", "x", "99999999999"] {
        let refused = server.get(&format!("{path}?version={bad}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

async fn a_stale_version_is_a_conflict_also_where_nothing_changes(server: Server) {
    let agent = made(&server, minimal("a")).await;
    let path = path(&agent);
    server.post(&path, json!({"name": "b"})).await.ok();
    for change in [
        json!({"version": 1}),
        json!({"version": 1, "name": "b"}),
        json!({"version": 3, "name": "c"}),
    ] {
        let stale = server.post(&path, change).await;
        assert_eq!(stale.status, StatusCode::CONFLICT);
        assert_eq!(
            (code(&stale), stale.header("x-should-retry")),
            ("stale", "false")
        );
    }
    let zero = server.post(&path, json!({"version": 0})).await;
    assert_eq!(zero.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.get(&path).await.ok()["version"], 2);
}

async fn of_two_who_change_the_same_version_one_does(server: Server) {
    let agent = made(&server, minimal("a")).await;
    let path = path(&agent);
    let change = |name: &'static str| server.post(&path, json!({"name": name, "version": 1}));
    let (first, second) = tokio::join!(change("b"), change("c"));
    let mut statuses = [first.status, second.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::CONFLICT]);
}

async fn an_archived_agent_is_read_and_not_changed_and_none_is_deleted(server: Server) {
    let agent = made(&server, minimal("a")).await;
    let path = path(&agent);
    let archived = server
        .send(Method::POST, &format!("{path}/archive"), None)
        .await
        .ok();
    assert!(archived["archived_at"].is_string());
    assert_eq!(archived["version"], 1);
    let again = server.post(&format!("{path}/archive"), json!({})).await;
    assert_eq!(again.ok(), archived);
    for change in [json!({"name": "b"}), json!({}), json!({"version": 7})] {
        let refused = server.post(&path, change).await;
        assert_eq!(
            (refused.status, code(&refused)),
            (StatusCode::BAD_REQUEST, "archived")
        );
    }
    assert_eq!(server.get(&path).await.ok(), archived);
    assert_eq!(
        names(&server.get("/v1/agents").await.ok()),
        Vec::<&str>::new()
    );
    let all = server.get("/v1/agents?include_archived=true").await.ok();
    assert_eq!(names(&all), ["a"]);
    let deleted = server.send(Method::DELETE, &path, None).await;
    assert_eq!(deleted.status, StatusCode::METHOD_NOT_ALLOWED);
}

async fn pages_follow_each_other_to_the_end(server: Server) {
    for number in 0..5 {
        made(&server, minimal(&format!("a{number}"))).await;
    }
    let (mut seen, mut query) = (Vec::new(), "/v1/agents?limit=2".to_owned());
    loop {
        let page = server.get(&query).await.ok();
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next_page"].as_str() else {
            break;
        };
        query = format!("/v1/agents?limit=2&page={next}");
    }
    assert_eq!(seen, ["a4", "a3", "a2", "a1", "a0"]);
    let agent = made(&server, minimal("v1")).await;
    let path = path(&agent);
    for number in 2..=4 {
        let name = json!({"name": format!("v{number}")});
        server.post(&path, name).await.ok();
    }
    let (mut seen, mut query) = (Vec::new(), format!("{path}/versions?limit=3"));
    loop {
        let page = server.get(&query).await.ok();
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next_page"].as_str() else {
            break;
        };
        query = format!("{path}/versions?limit=3&page={next}");
    }
    assert_eq!(seen, ["v4", "v3", "v2", "v1"]);
    let most = server.get("/v1/agents?limit=100").await;
    assert_eq!(most.status, StatusCode::OK);
    for bad in ["limit=0", "limit=101", "limit=x", "page=page_x", "page=1"] {
        for list in ["/v1/agents".to_owned(), format!("{path}/versions")] {
            let refused = server.get(&format!("{list}?{bad}")).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{list} {bad}");
        }
    }
}

async fn agents_are_listed_by_when_they_were_made(server: Server) {
    let first = made(&server, minimal("first")).await;
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let second = made(&server, minimal("second")).await;
    // SDKs write an offset.
    let offset = |agent: &Value| {
        let at = agent["created_at"].as_str().unwrap();
        at.replace('Z', "%2B00:00")
    };
    for (query, expected) in [
        (
            format!("created_at%5Bgte%5D={}", offset(&second)),
            vec!["second"],
        ),
        (format!("created_at[lte]={}", offset(&first)), vec!["first"]),
        (
            format!("created_at[gte]={}", first["created_at"].as_str().unwrap()),
            vec!["second", "first"],
        ),
    ] {
        let list = server.get(&format!("/v1/agents?{query}")).await.ok();
        assert_eq!(names(&list), expected, "{query}");
    }
    let refused = server.get("/v1/agents?created_at[gte]=yesterday").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

async fn delegates_are_pinned_when_they_are_named(server: Server) {
    let worker = made(&server, minimal("worker")).await;
    let id = &worker["id"];
    let mut body = minimal("chief");
    body["multiagent"] = json!({"type": "coordinator", "agents": [id, {"type": "self"}]});
    let chief = made(&server, body.clone()).await;
    let roster = |worker: i64, own: i64| json!([{"type": "agent", "id": id, "version": worker}, {"type": "agent", "id": chief["id"], "version": own}]);
    assert_eq!(chief["multiagent"]["agents"], roster(1, 1));
    server
        .post(&path(&worker), json!({"name": "better worker"}))
        .await
        .ok();
    // What is not named stays at its version.
    let renamed = server
        .post(&path(&chief), json!({"name": "boss"}))
        .await
        .ok();
    assert_eq!(renamed["multiagent"]["agents"], roster(1, 2));
    let same = json!({"multiagent": renamed["multiagent"]});
    assert_eq!(server.post(&path(&chief), same).await.ok(), renamed);
    let anew = json!({"multiagent": body["multiagent"]});
    let moved = server.post(&path(&chief), anew.clone()).await.ok();
    assert_eq!(moved["multiagent"]["agents"], roster(2, 3));
    assert_eq!(server.post(&path(&chief), anew).await.ok(), moved);
}

async fn wrong_delegates_are_refused_with_their_fields(server: Server) {
    let worker = made(&server, minimal("worker")).await;
    let archived = made(&server, minimal("archived")).await;
    server
        .post(&format!("{}/archive", path(&archived)), json!({}))
        .await
        .ok();
    let mut chief = minimal("chief");
    chief["multiagent"] = json!({"type": "coordinator", "agents": [worker["id"]]});
    let chief = made(&server, chief).await;
    for (entry, expected) in [
        (json!("agent_1ChGqExyZXj8gBdypLbMAf"), "unknown_agent"),
        (
            json!({"type": "agent", "id": worker["id"], "version": 2}),
            "unknown_agent",
        ),
        (archived["id"].clone(), "archived_agent"),
        (chief["id"].clone(), "nested_delegation"),
    ] {
        let mut body = minimal("other");
        body["multiagent"] = json!({"type": "coordinator", "agents": [entry]});
        let refused = server.post("/v1/agents", body).await;
        assert_eq!(
            (refused.status, code(&refused)),
            (StatusCode::BAD_REQUEST, expected)
        );
        let message = refused.body["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("multiagent.agents[0]: "), "{message}");
    }
}

async fn a_body_is_refused_with_its_fields_and_nothing_is_made(server: Server) {
    for (body, field, expected) in [
        (json!({"model": "m"}), "name", "missing_field"),
        (
            json!({"name": "a", "model": "m", "colour": 1}),
            "colour",
            "unknown_field",
        ),
        (
            json!({"name": "a", "model": "m", "tools": [{"type": "custom"}, {"type": "moon"}]}),
            "tools[0].name",
            "invalid",
        ),
        (
            json!({"name": "a", "model": "m", "mcp_servers": [{"type": "url", "name": "s", "url": "https://a.example"}]}),
            "mcp_servers[0].name",
            "unused_mcp_server",
        ),
        (
            json!({"name": "a\u{0}", "model": "m"}),
            "name",
            "nul_character",
        ),
    ] {
        let refused = server.post("/v1/agents", body).await;
        assert_eq!(
            (refused.status, code(&refused)),
            (StatusCode::BAD_REQUEST, expected)
        );
        let message = refused.body["error"]["message"].as_str().unwrap();
        assert!(message.contains(&format!("{field}: ")), "{message}");
    }
    assert_eq!(server.get("/v1/agents").await.ok()["data"], json!([]));
    // Texts that a database may not take as they are.
    let odd = json!({"name": "a", "model": "m", "system": "\u{1}\u{ffff}'; --", "metadata": {"k": "\u{7f}"}});
    let agent = made(&server, odd.clone()).await;
    let read = server.get(&path(&agent)).await.ok();
    assert_eq!(
        (&read["system"], &read["metadata"]),
        (&odd["system"], &odd["metadata"])
    );
}

async fn lengths_are_counted_in_characters(server: Server) {
    for (field, most) in [("name", 256), ("description", 2048), ("system", 100_000)] {
        for (chars, expected) in [(most, StatusCode::OK), (most + 1, StatusCode::BAD_REQUEST)] {
            let mut body = minimal("a");
            body[field] = json!("ä".repeat(chars));
            let answer = server.post("/v1/agents", body).await;
            assert_eq!(answer.status, expected, "{field} {chars}");
        }
    }
}

async fn who_may_not_write_reads_and_who_is_nobody_does_neither(server: Server) {
    let agent = made(&server, minimal("a")).await;
    let path = path(&agent);
    let member = server.key_of(PredefinedRole::Member).await;
    for (method, path, reads) in [
        (Method::GET, "/v1/agents".to_owned(), true),
        (Method::GET, path.clone(), true),
        (Method::GET, format!("{path}/versions"), true),
        (Method::POST, "/v1/agents".to_owned(), false),
        (Method::POST, path.clone(), false),
        (Method::POST, format!("{path}/archive"), false),
    ] {
        let body = (method == Method::POST).then(|| minimal("b"));
        let nobody = server
            .send_as("bwk_nobody", method.clone(), &path, body.clone())
            .await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        let answer = server.send_as(&member, method.clone(), &path, body).await;
        let expected = if reads {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(answer.status, expected, "{method} {path}");
    }
    let editor = server.key_of(PredefinedRole::Editor).await;
    let renamed = server
        .send_as(&editor, Method::POST, &path, Some(json!({"name": "b"})))
        .await;
    assert_eq!(renamed.ok()["version"], 2);
}

async fn another_organizations_agents_do_not_exist(server: Server) {
    let agent = made(&server, minimal("a")).await;
    let theirs = agent["id"].as_str().unwrap();
    let other = server.other_organization().await;
    for id in [theirs, "agent_1ChGqExyZXj8gBdypLbMAf", "agent_x", "..%2fx"] {
        for (method, path) in [
            (Method::GET, format!("/v1/agents/{id}")),
            (Method::GET, format!("/v1/agents/{id}?version=1")),
            (Method::GET, format!("/v1/agents/{id}/versions")),
            (Method::POST, format!("/v1/agents/{id}")),
            (Method::POST, format!("/v1/agents/{id}/archive")),
            (Method::GET, format!("/api/agents/{id}")),
            (Method::PATCH, format!("/api/agents/{id}")),
        ] {
            let answer = server.send_as(&other, method.clone(), &path, None).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
    let list = server
        .send_as(&other, Method::GET, "/v1/agents", None)
        .await;
    assert_eq!(list.ok()["data"], json!([]));
    let mut chief = minimal("chief");
    chief["multiagent"] = json!({"type": "coordinator", "agents": [theirs]});
    let refused = server
        .send_as(&other, Method::POST, "/v1/agents", Some(chief))
        .await;
    assert_eq!(code(&refused), "unknown_agent");
}

async fn every_change_is_in_the_audit_log(server: Server) {
    let agent = made(&server, minimal("a")).await;
    let path = path(&agent);
    server.post(&path, json!({"name": "b"})).await.ok();
    server.post(&path, json!({"name": "b"})).await.ok();
    server
        .post(&format!("{path}/archive"), json!({}))
        .await
        .ok();
    let organization = server.store.first_organization().await.unwrap().unwrap();
    let scope = server.store.scope(&organization);
    let entries = scope.audit_entries(0, 100).await.unwrap();
    let of_agents: Vec<_> = entries
        .iter()
        .filter(|entry| entry.resource_kind == "agent")
        .collect();
    let actions: Vec<_> = of_agents.iter().map(|e| e.action.as_str()).collect();
    assert_eq!(actions, ["agent.create", "agent.update", "agent.archive"]);
    let before: Value = serde_json::from_str(of_agents[1].before.as_ref().unwrap()).unwrap();
    let after: Value = serde_json::from_str(of_agents[1].after.as_ref().unwrap()).unwrap();
    assert_eq!(
        (&before["name"], &after["name"]),
        (&json!("a"), &json!("b"))
    );
}
