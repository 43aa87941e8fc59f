//! Where agents are placed.

use bailiwick_model::{Permission, PredefinedRole};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Answer, Server, on_both};

on_both!(
    a_place_is_given_and_taken_without_a_version,
    the_deploy_right_is_asked_where_the_environment_changes_and_only_there,
    an_environment_is_not_deleted_while_an_agent_is_in_it,
    an_archived_agent_or_environment_takes_part_no_more,
    who_works_together_stays_together,
    who_is_detached_works_with_nobody_across_the_border,
    what_is_detached_is_in_the_audit_log_and_a_refused_move_detaches_nothing,
    of_two_who_move_the_same_agent_one_does,
    an_environment_is_deleted_or_has_an_agent_and_never_both,
    of_many_changes_at_once_each_is_done_or_refused,
    what_is_no_place_is_refused,
    who_may_not_write_places_nothing,
);

async fn environment(server: &Server, name: &str, restricted: bool) -> Value {
    let body = json!({"name": name, "restricted": restricted});
    server.post("/api/environments", body).await.ok()["id"].clone()
}

async fn agent(server: &Server, more: Value) -> String {
    let mut body = json!({"name": "a", "model": "m"});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    let made = server.post("/v1/agents", body).await;
    made.text("id").to_owned()
}

async fn place_as(server: &Server, key: &str, id: &str, environment: &Value) -> Answer {
    let body = json!({"environment_id": environment});
    server
        .send_as(key, Method::PATCH, &format!("/api/agents/{id}"), Some(body))
        .await
}

async fn place(server: &Server, id: &str, environment: &Value) -> Answer {
    place_as(server, &server.key, id, environment).await
}

async fn a_place_is_given_and_taken_without_a_version(server: Server) {
    let dev = environment(&server, "dev", false).await;
    let id = agent(&server, json!({})).await;
    let path = format!("/api/agents/{id}");
    let before = server.get(&path).await;
    assert_eq!(
        (before.header("etag"), &before.body["environment_id"]),
        ("\"1\"", &Value::Null)
    );
    let wire = server.get(&format!("/v1/agents/{id}")).await.ok();
    let placed = place(&server, &id, &dev).await;
    assert_eq!(
        (placed.header("etag"), &placed.body["environment_id"]),
        ("\"2\"", &dev)
    );
    // Nothing of it is the wire's.
    assert_eq!(server.get(&format!("/v1/agents/{id}")).await.ok(), wire);
    // The same again, and nothing at all.
    for body in [json!({"environment_id": dev}), json!({})] {
        let same = server.send(Method::PATCH, &path, Some(body)).await;
        assert_eq!(same.header("etag"), "\"2\"");
    }
    agent(&server, json!({"name": "unplaced"})).await;
    let there = format!("/api/agents?environment_id={}", dev.as_str().unwrap());
    let list = server.get(&there).await.ok();
    assert_eq!(
        (list["data"].as_array().unwrap().len(), &list["data"][0]),
        (1, &placed.body)
    );
    let all = server.get("/api/agents").await.ok();
    assert_eq!(all["data"].as_array().unwrap().len(), 2);
    let taken = place(&server, &id, &Value::Null).await.ok();
    assert_eq!(taken["environment_id"], Value::Null);
}

async fn the_deploy_right_is_asked_where_the_environment_changes_and_only_there(server: Server) {
    let dev = environment(&server, "dev", false).await;
    let prod = environment(&server, "prod", true).await;
    let id = agent(&server, json!({})).await;
    let editor = server.key_of(PredefinedRole::Editor).await;
    let deployer = {
        let more = [Permission::EnvironmentDeployToRestricted];
        let all = PredefinedRole::Editor.permissions().iter().chain(more);
        server.key_with(all.collect()).await
    };
    let refused = place_as(&server, &editor, &id, &prod).await;
    assert_eq!(
        (refused.status, refused.text("code")),
        (StatusCode::FORBIDDEN, "forbidden")
    );
    assert!(
        refused
            .text("detail")
            .contains("environment:deploy-to-restricted")
    );
    place_as(&server, &editor, &id, &dev).await.ok();
    place_as(&server, &deployer, &id, &prod).await.ok();
    // It is there already: neither naming it again nor a new name needs the right, and leaving does not either.
    place_as(&server, &editor, &id, &prod).await.ok();
    let renamed = server
        .send_as(
            &editor,
            Method::POST,
            &format!("/v1/agents/{id}"),
            Some(json!({"name": "b"})),
        )
        .await;
    assert_eq!(renamed.ok()["version"], 2);
    place_as(&server, &editor, &id, &dev).await.ok();
    let back = place_as(&server, &editor, &id, &prod).await;
    assert_eq!(back.status, StatusCode::FORBIDDEN);
}

async fn an_environment_is_not_deleted_while_an_agent_is_in_it(server: Server) {
    let dev = environment(&server, "dev", false).await;
    let id = agent(&server, json!({})).await;
    place(&server, &id, &dev).await.ok();
    let path = format!("/api/environments/{}", dev.as_str().unwrap());
    let refused = server.send(Method::DELETE, &path, None).await;
    assert_eq!(
        (refused.status, refused.text("code")),
        (StatusCode::CONFLICT, "referred")
    );
    place(&server, &id, &Value::Null).await.ok();
    let deleted = server.send(Method::DELETE, &path, None).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
}

async fn an_archived_agent_or_environment_takes_part_no_more(server: Server) {
    let dev = environment(&server, "dev", false).await;
    let old = environment(&server, "old", false).await;
    let archive = format!("/api/environments/{}/archive", old.as_str().unwrap());
    server.send(Method::POST, &archive, None).await.ok();
    let id = agent(&server, json!({})).await;
    let refused = place(&server, &id, &old).await;
    assert_eq!(
        (refused.status, refused.text("code")),
        (StatusCode::BAD_REQUEST, "environment_archived")
    );
    place(&server, &id, &dev).await.ok();
    server
        .post(&format!("/v1/agents/{id}/archive"), json!({}))
        .await
        .ok();
    let next = environment(&server, "next", false).await;
    let refused = place(&server, &id, &next).await;
    assert_eq!(
        (refused.status, refused.text("code")),
        (StatusCode::BAD_REQUEST, "archived")
    );
    // Else its environment could never be deleted.
    place(&server, &id, &Value::Null).await.ok();
}

async fn who_works_together_stays_together(server: Server) {
    let dev = environment(&server, "dev", false).await;
    let prod = environment(&server, "prod", false).await;
    let worker = agent(&server, json!({})).await;
    let roster = json!({"multiagent": {"type": "coordinator", "agents": [worker]}});
    let chief = agent(&server, roster.clone()).await;
    place(&server, &worker, &dev).await.ok();
    let refused = place(&server, &chief, &prod).await;
    assert_eq!(
        (refused.status, refused.text("code")),
        (StatusCode::CONFLICT, "across_environments")
    );
    assert_eq!(
        refused.body["conflicts"],
        json!([{"kind": "delegate", "id": worker}])
    );
    place(&server, &chief, &dev).await.ok();
    let refused = place(&server, &worker, &prod).await;
    assert_eq!(
        refused.body["conflicts"],
        json!([{"kind": "delegator", "id": chief}])
    );
    // Nor can it be written from the other side.
    let other = agent(&server, json!({})).await;
    place(&server, &other, &prod).await.ok();
    let path = format!("/v1/agents/{other}");
    let refused = server.post(&path, roster).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.header("x-should-retry"), "false");
    assert_eq!(server.get(&path).await.ok()["version"], 1);
    // One that nobody placed works with both.
    place(&server, &worker, &Value::Null).await.ok();
    place(&server, &chief, &prod).await.ok();
}

async fn detach(server: &Server, id: &str, environment: &Value) -> Answer {
    let path = format!("/api/agents/{id}?on_conflict=detach");
    let body = json!({"environment_id": environment});
    server.send(Method::PATCH, &path, Some(body)).await
}

async fn who_is_detached_works_with_nobody_across_the_border(server: Server) {
    let dev = environment(&server, "dev", false).await;
    let prod = environment(&server, "prod", false).await;
    let (first, second) = (
        agent(&server, json!({})).await,
        agent(&server, json!({})).await,
    );
    let roster = json!({"multiagent": {"type": "coordinator", "agents": [first, second]}});
    let chief = agent(&server, roster).await;
    for id in [&first, &second, &chief] {
        place(&server, id, &dev).await.ok();
    }
    // One of two who are delegated to goes: the other stays on the list.
    assert_eq!(
        place(&server, &first, &prod).await.status,
        StatusCode::CONFLICT
    );
    let moved = detach(&server, &first, &prod).await.ok();
    assert_eq!(
        (&moved["environment_id"], &moved["version"]),
        (&prod, &json!(1))
    );
    let wire = server.get(&format!("/v1/agents/{chief}")).await.ok();
    assert_eq!(wire["version"], 2);
    let agents = wire["multiagent"]["agents"].as_array().unwrap();
    assert_eq!((agents.len(), &agents[0]["id"]), (1, &json!(second)));
    // Who delegates goes, and has nobody left.
    let moved = detach(&server, &chief, &prod).await.ok();
    assert_eq!(
        (&moved["version"], &moved["multiagent"]),
        (&json!(3), &Value::Null)
    );
    let stayed = server.get(&format!("/v1/agents/{second}")).await.ok();
    assert_eq!(stayed["version"], 1);
}

async fn what_is_detached_is_in_the_audit_log_and_a_refused_move_detaches_nothing(server: Server) {
    let dev = environment(&server, "dev", false).await;
    let prod = environment(&server, "prod", true).await;
    let worker = agent(&server, json!({})).await;
    let roster = json!({"multiagent": {"type": "coordinator", "agents": [worker]}});
    let chief = agent(&server, roster).await;
    place(&server, &worker, &dev).await.ok();
    place(&server, &chief, &dev).await.ok();
    let editor = server.key_of(PredefinedRole::Editor).await;
    let path = format!("/api/agents/{worker}?on_conflict=detach");
    let body = json!({"environment_id": prod});
    let refused = server
        .send_as(&editor, Method::PATCH, &path, Some(body))
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let wire = format!("/v1/agents/{chief}");
    assert_eq!(server.get(&wire).await.ok()["version"], 1);
    detach(&server, &worker, &prod).await.ok();
    assert_eq!(server.get(&wire).await.ok()["version"], 2);
    let organization = server.store.first_organization().await.unwrap().unwrap();
    let scope = server.store.scope(&organization);
    let entries = scope.audit_entries(0, 1000).await.unwrap();
    let last: Vec<_> = entries.iter().rev().take(2).collect();
    assert_eq!(
        last.iter()
            .map(|entry| (entry.action.as_str(), entry.resource_id.as_str()))
            .collect::<Vec<_>>(),
        [
            ("agent.place", worker.as_str()),
            ("agent.detach", chief.as_str())
        ]
    );
    assert!(scope.verify_audit_log().await.unwrap().is_ok());
    for bad in ["on_conflict=maybe", "on_conflict=", "colour=red"] {
        let path = format!("/api/agents/{worker}?{bad}");
        let refused = server.send(Method::PATCH, &path, Some(json!({}))).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

async fn of_two_who_move_the_same_agent_one_does(server: Server) {
    let (dev, prod) = (
        environment(&server, "dev", false).await,
        environment(&server, "prod", false).await,
    );
    let id = agent(&server, json!({})).await;
    let path = format!("/api/agents/{id}");
    let to = |environment: &Value| {
        let request = server
            .request(Method::PATCH, &path)
            .header("x-api-key", &server.key)
            .header("if-match", "\"1\"");
        crate::answer(request.json(&json!({"environment_id": environment})))
    };
    let (first, second) = tokio::join!(to(&dev), to(&prod));
    let mut statuses = [first.status, second.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::CONFLICT]);
}

async fn an_environment_is_deleted_or_has_an_agent_and_never_both(server: Server) {
    for round in 0..10 {
        let there = environment(&server, &format!("e{round}"), false).await;
        let id = agent(&server, json!({})).await;
        let path = format!("/api/environments/{}", there.as_str().unwrap());
        let (placed, deleted) = tokio::join!(
            place(&server, &id, &there),
            server.send(Method::DELETE, &path, None)
        );
        let statuses = (placed.status, deleted.status);
        assert!(
            [
                (StatusCode::OK, StatusCode::CONFLICT),
                (StatusCode::NOT_FOUND, StatusCode::NO_CONTENT)
            ]
            .contains(&statuses),
            "{statuses:?}"
        );
    }
}

async fn of_many_changes_at_once_each_is_done_or_refused(server: Server) {
    let dev = environment(&server, "dev", false).await;
    let id = agent(&server, json!({})).await;
    let wire = format!("/v1/agents/{id}");
    let one = async |number: usize| -> StatusCode {
        let answer = match number % 3 {
            0 => {
                server
                    .post(&wire, json!({"name": format!("n{number}")}))
                    .await
            }
            1 => place(&server, &id, &dev).await,
            _ => place(&server, &id, &Value::Null).await,
        };
        answer.status
    };
    for round in 0..5 {
        let at = |offset: usize| one(round * 6 + offset);
        let (a, b, c, d, e, f) = tokio::join!(at(0), at(1), at(2), at(3), at(4), at(5));
        for status in [a, b, c, d, e, f] {
            let expected = [StatusCode::OK, StatusCode::CONFLICT];
            assert!(expected.contains(&status), "{status}");
        }
    }
    let newest = server.get(&wire).await.ok();
    let versions = server.get(&format!("{wire}/versions")).await.ok();
    assert_eq!(versions["data"][0], newest);
}

async fn what_is_no_place_is_refused(server: Server) {
    let id = agent(&server, json!({})).await;
    for nowhere in ["env_1ChGqExyZXj8gBdypLbMAf", "env_x", ""] {
        let refused = place(&server, &id, &json!(nowhere)).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{nowhere}");
    }
    // Another organization's environment does not exist.
    let other = server.other_organization().await;
    let body = json!({"name": "theirs"});
    let theirs = server
        .send_as(&other, Method::POST, "/api/environments", Some(body))
        .await
        .ok();
    let refused = place(&server, &id, &theirs["id"]).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    let path = format!("/api/agents/{id}");
    for body in [json!({"environment_id": 7}), json!({"name": "b"})] {
        let refused = server.send(Method::PATCH, &path, Some(body)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }
    for bad in ["limit=0", "limit=101", "colour=red", "environment_id=x"] {
        let refused = server.get(&format!("/api/agents?{bad}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

async fn who_may_not_write_places_nothing(server: Server) {
    let dev = environment(&server, "dev", false).await;
    let id = agent(&server, json!({})).await;
    let member = server.key_of(PredefinedRole::Member).await;
    let refused = place_as(&server, &member, &id, &dev).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    for path in ["/api/agents".to_owned(), format!("/api/agents/{id}")] {
        let read = server.send_as(&member, Method::GET, &path, None).await;
        assert_eq!(read.status, StatusCode::OK, "{path}");
        let nobody = server.send_as("bwk_x", Method::GET, &path, None).await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let nobody = place_as(&server, "bwk_x", &id, &dev).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
}
