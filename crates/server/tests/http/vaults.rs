//! Vaults.

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_model::{ApiKeyId, Permission, ResourceId as _, RoleId, UserId};
use bailiwick_store::{AuditEvent, KeyOwner, NewApiKey, NewMember, NewRole};
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Server, on_both};

on_both!(
    a_vault_is_made_read_changed_archived_and_deleted,
    every_field_has_its_limits,
    pages_follow_each_other_to_the_end,
    archiving_a_vault_archives_what_is_in_it,
    deleting_a_vault_deletes_what_is_in_it,
    what_does_not_exist_and_what_is_another_organizations_look_the_same,
    nobody_without_a_key_or_a_permission_comes_near,
    who_may_read_vaults_changes_nothing,
);

/// Every operation on a vault and what is in it, in an order in which all of them succeed.
pub(crate) fn operations(vault: &str, credential: &str) -> Vec<(Method, String, Option<Value>)> {
    let one = format!("/v1/vaults/{vault}");
    let inner = format!("{one}/credentials/{credential}");
    let auth =
        json!({"type": "static_bearer", "mcp_server_url": "https://x.example.com", "token": "t"});
    let in_order = [
        (Method::GET, one.clone(), None),
        (
            Method::POST,
            one.clone(),
            Some(json!({"display_name": "theirs"})),
        ),
        (Method::GET, format!("{one}/credentials"), None),
        (
            Method::POST,
            format!("{one}/credentials"),
            Some(json!({"auth": auth})),
        ),
        (Method::GET, inner.clone(), None),
        (
            Method::POST,
            inner.clone(),
            Some(json!({"display_name": "theirs"})),
        ),
        (Method::POST, format!("{inner}/archive"), None),
        (Method::DELETE, inner, None),
        (Method::POST, format!("{one}/archive"), None),
        (Method::DELETE, one, None),
    ];
    in_order.into()
}

pub(crate) async fn vault(server: &Server, name: &str) -> String {
    let made = server
        .post("/v1/vaults", json!({"display_name": name}))
        .await;
    made.text("id").to_owned()
}

pub(crate) async fn bearer(server: &Server, vault: &str, host: &str) -> crate::Answer {
    let auth = json!({"type": "static_bearer", "mcp_server_url": format!("https://{host}/mcp"), "token": "the-token"});
    let path = format!("/v1/vaults/{vault}/credentials");
    server.post(&path, json!({"auth": auth})).await
}

async fn a_vault_is_made_read_changed_archived_and_deleted(server: Server) {
    let body = json!({"display_name": "Ünser Tresor", "metadata": {"team": "a", "empty": ""}});
    let made = server.post("/v1/vaults?beta=true", body).await.ok();
    assert_eq!(
        made,
        json!({"id": made["id"], "type": "vault", "display_name": "Ünser Tresor", "metadata": {"team": "a", "empty": ""},
            "created_at": made["created_at"], "updated_at": made["created_at"], "archived_at": null})
    );
    let path = format!("/v1/vaults/{}", made["id"].as_str().unwrap());
    assert_eq!(server.get(&path).await.ok(), made);
    // What is absent or null stays, and changing nothing is no change.
    for nothing in [
        json!({}),
        json!({"display_name": null, "metadata": null}),
        json!({"metadata": {"team": "a", "gone": null}}),
    ] {
        assert_eq!(server.post(&path, nothing).await.ok(), made);
    }
    let change = json!({"display_name": "Tresor", "metadata": {"team": null, "new": "1"}});
    let changed = server.post(&path, change).await.ok();
    assert_eq!(
        (&changed["display_name"], &changed["metadata"]),
        (&json!("Tresor"), &json!({"empty": "", "new": "1"}))
    );
    let archived = server
        .send(Method::POST, &format!("{path}/archive"), None)
        .await
        .ok();
    assert!(archived["archived_at"].is_string());
    let again = server
        .send(Method::POST, &format!("{path}/archive"), None)
        .await
        .ok();
    assert_eq!(again, archived);
    let refused = server.post(&path, json!({"display_name": "x"})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        refused.body["error"]["details"]["error_code"],
        "vault_archived"
    );
    assert_eq!(server.get("/v1/vaults").await.ok()["data"], json!([]));
    let all = server.get("/v1/vaults?include_archived=true").await.ok();
    assert_eq!(all, json!({"data": [archived], "next_page": null}));
    let deleted = server.send(Method::DELETE, &path, None).await.ok();
    assert_eq!(deleted, json!({"id": made["id"], "type": "vault_deleted"}));
    assert_eq!(server.get(&path).await.status, StatusCode::NOT_FOUND);
    let scope = server.store.first_organization().await.unwrap().unwrap();
    let log = server
        .store
        .scope(&scope)
        .audit_entries(0, 100)
        .await
        .unwrap();
    let actions: Vec<_> = log.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(
        actions[1..],
        [
            "vault.create",
            "vault.update",
            "vault.archive",
            "vault.delete"
        ]
    );
}

async fn every_field_has_its_limits(server: Server) {
    let pairs = |count: usize| -> Value {
        (0..count)
            .map(|n| (format!("k{n}"), json!("v")))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    for (body, taken) in [
        (json!({"display_name": "x".repeat(255)}), true),
        (json!({"display_name": "ü".repeat(255)}), true),
        (json!({"display_name": "x".repeat(256)}), false),
        (json!({"display_name": ""}), false),
        (json!({"display_name": null}), false),
        (json!({}), false),
        (json!({"display_name": 7}), false),
        (json!({"display_name": "x", "metadata": pairs(16)}), true),
        (json!({"display_name": "x", "metadata": pairs(17)}), false),
        (
            json!({"display_name": "x", "metadata": {"k".repeat(64): "v".repeat(512)}}),
            true,
        ),
        (
            json!({"display_name": "x", "metadata": {"k".repeat(65): "v"}}),
            false,
        ),
        (
            json!({"display_name": "x", "metadata": {"k": "v".repeat(513)}}),
            false,
        ),
        (json!({"display_name": "x", "metadata": {"k": 1}}), false),
        (
            json!({"display_name": "x", "metadata": {"bailiwick.k": "v"}}),
            false,
        ),
        (json!({"display_name": "x", "metadata": []}), false),
        (json!({"display_name": "x", "name": "y"}), false),
        (json!({"display_name": "x", "id": "vlt_1"}), false),
    ] {
        let answer = server.post("/v1/vaults", body.clone()).await;
        let status = if taken {
            StatusCode::OK
        } else {
            StatusCode::BAD_REQUEST
        };
        assert_eq!(answer.status, status, "{body}: {answer:?}");
    }
    let path = format!("/v1/vaults/{}", vault(&server, "v").await);
    for body in [
        json!({"display_name": ""}),
        json!({"display_name": "x".repeat(256)}),
        json!({"colour": 1}),
        json!({"metadata": pairs(17)}),
        json!({"metadata": "x"}),
    ] {
        let answer = server.post(&path, body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
    }
}

async fn pages_follow_each_other_to_the_end(server: Server) {
    let mut made = Vec::new();
    for number in 0..7 {
        made.push(vault(&server, &format!("v{number}")).await);
    }
    made.reverse();
    let (mut seen, mut page) = (Vec::new(), String::new());
    loop {
        let list = server.get(&format!("/v1/vaults?limit=3{page}")).await.ok();
        let data = list["data"].as_array().unwrap();
        seen.extend(
            data.iter()
                .map(|one| one["id"].as_str().unwrap().to_owned()),
        );
        match list["next_page"].as_str() {
            Some(next) => page = format!("&page={next}"),
            None => break,
        }
    }
    assert_eq!(seen, made);
    for bad in [
        "limit=0",
        "limit=101",
        "page=x",
        "page=page_env_1",
        "include_archived=2",
    ] {
        let refused = server.get(&format!("/v1/vaults?{bad}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    assert_eq!(
        server.get("/v1/vaults?limit=100").await.status,
        StatusCode::OK
    );
}

async fn archiving_a_vault_archives_what_is_in_it(server: Server) {
    let id = vault(&server, "v").await;
    let one = bearer(&server, &id, "a.example.com").await.ok();
    bearer(&server, &id, "b.example.com").await.ok();
    let path = format!("/v1/vaults/{id}");
    server
        .send(Method::POST, &format!("{path}/archive"), None)
        .await
        .ok();
    let list = server.get(&format!("{path}/credentials")).await.ok();
    assert_eq!(list["data"], json!([]));
    let list = server
        .get(&format!("{path}/credentials?include_archived=true"))
        .await
        .ok();
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
    let read = server
        .get(&format!(
            "{path}/credentials/{}",
            one["id"].as_str().unwrap()
        ))
        .await
        .ok();
    assert!(read["archived_at"].is_string());
    let refused = bearer(&server, &id, "c.example.com").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        refused.body["error"]["details"]["error_code"],
        "vault_archived"
    );
}

async fn deleting_a_vault_deletes_what_is_in_it(server: Server) {
    let id = vault(&server, "v").await;
    let one = bearer(&server, &id, "a.example.com").await.ok();
    let path = format!(
        "/v1/vaults/{id}/credentials/{}",
        one["id"].as_str().unwrap()
    );
    assert_eq!(server.get(&path).await.status, StatusCode::OK);
    server
        .send(Method::DELETE, &format!("/v1/vaults/{id}"), None)
        .await
        .ok();
    assert_eq!(server.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.store.sealing_keys_in_use().await.unwrap(), [""; 0]);
}

async fn what_does_not_exist_and_what_is_another_organizations_look_the_same(server: Server) {
    let id = vault(&server, "v").await;
    let credential = bearer(&server, &id, "a.example.com")
        .await
        .text("id")
        .to_owned();
    let other = server.other_organization().await;
    let nobodys = ("vlt_1ChGqExyZXj8gBdypLbMAf", "vcrd_1ChGqExyZXj8gBdypLbMAf");
    for (vault, credential) in [
        (id.as_str(), credential.as_str()),
        nobodys,
        ("vlt_x", "vcrd_x"),
        ("..%2f..", "%00"),
    ] {
        for (method, path, body) in operations(vault, credential) {
            let answer = server.send_as(&other, method.clone(), &path, body).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
    // Nor is a credential in another vault of the same organization.
    let second = vault(&server, "w").await;
    let wrong = format!("/v1/vaults/{second}/credentials/{credential}");
    for (method, path) in [
        (Method::GET, wrong.clone()),
        (Method::POST, wrong.clone()),
        (Method::POST, format!("{wrong}/archive")),
        (Method::DELETE, wrong.clone()),
    ] {
        let answer = server.send(method.clone(), &path, None).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
    }
    // The control: its own organization does all of it.
    for (method, path, body) in operations(&id, &credential) {
        let answer = server.send(method.clone(), &path, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
    }
}

async fn nobody_without_a_key_or_a_permission_comes_near(server: Server) {
    let id = vault(&server, "v").await;
    let credential = bearer(&server, &id, "a.example.com")
        .await
        .text("id")
        .to_owned();
    let body = json!({"name": "w", "config": {"type": "self_hosted"}});
    let environment = server.post("/v1/environments", body).await;
    let keys = format!("/api/environments/{}/keys", environment.text("id"));
    let worker = server.post(&keys, json!({"name": "worker"})).await;
    let mut all = operations(&id, &credential);
    all.push((Method::GET, "/v1/vaults".to_owned(), None));
    all.push((
        Method::POST,
        "/v1/vaults".to_owned(),
        Some(json!({"display_name": "x"})),
    ));
    for (method, path, body) in all {
        let nobody = crate::answer(server.request(method.clone(), &path)).await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        let forbidden = server
            .send_as(worker.text("key"), method.clone(), &path, body)
            .await;
        assert_eq!(forbidden.status, StatusCode::FORBIDDEN, "{method} {path}");
        assert_eq!(forbidden.body["error"]["type"], "permission_error");
    }
}

/// The key of somebody who may read vaults and nothing else.
async fn reader(server: &Server) -> String {
    let organization = server.store.first_organization().await.unwrap().unwrap();
    let now = Timestamp::now();
    let (role, user) = (RoleId::made(1, [1; 10]), UserId::made(1, [2; 10]));
    let mut change = server.store.change(&organization, now).await.unwrap();
    let new = NewRole {
        id: role.clone(),
        name: "reader",
        predefined: false,
        permissions: [Permission::VaultRead].into_iter().collect(),
    };
    change.insert_role(&new).await.unwrap();
    let member = NewMember {
        password_hash: None,
        user: user.clone(),
        email: "reader@example.com",
        name: "Reader",
        role: &role,
    };
    change.insert_member(&member).await.unwrap();
    let key = "bwk_of_the_reader";
    let new = NewApiKey {
        id: ApiKeyId::made(1, [3; 10]),
        owner: KeyOwner::User(user),
        name: "reader",
        shown: "bwk_of",
        hash: digest(&SHA256, key.as_bytes()).as_ref().try_into().unwrap(),
        expires_at: None,
    };
    change.insert_api_key(new).await.unwrap();
    let event = AuditEvent {
        actor_kind: "system",
        actor_id: "test",
        address: None,
        action: "key.create",
        resource_kind: "key",
        resource_id: "x",
        before: None,
        after: None,
    };
    change.commit(&event).await.unwrap();
    key.to_owned()
}

async fn who_may_read_vaults_changes_nothing(server: Server) {
    let id = vault(&server, "v").await;
    let made = bearer(&server, &id, "a.example.com").await.ok();
    let credential = made["id"].as_str().unwrap();
    let reader = reader(&server).await;
    for (method, path, body) in operations(&id, credential) {
        let answer = server.send_as(&reader, method.clone(), &path, body).await;
        let status = if method == Method::GET {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(answer.status, status, "{method} {path}");
    }
    let create = json!({"display_name": "x"});
    let refused = server.send_as(&reader, Method::POST, "/v1/vaults", Some(create));
    assert_eq!(refused.await.status, StatusCode::FORBIDDEN);
    let path = format!("/v1/vaults/{id}/credentials/{credential}");
    assert_eq!(server.get(&path).await.ok(), made);
}
