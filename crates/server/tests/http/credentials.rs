//! Credentials of vaults.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::vaults::{bearer, vault};
use crate::{Answer, Server, on_both};

on_both!(
    a_credential_of_each_type_is_shown_without_its_secrets,
    what_is_absent_in_a_change_stays,
    what_cannot_be_changed_is_refused_with_its_field,
    one_active_credential_of_a_vault_is_for_one_thing,
    of_many_for_one_thing_one_wins,
    a_vault_has_twenty_active_credentials_at_most,
    an_archived_credential_is_read_and_not_changed,
    pages_follow_each_other_to_the_end,
);

fn code(answer: &Answer) -> &str {
    answer.body["error"]["details"]["error_code"]
        .as_str()
        .unwrap_or_default()
}

fn oauth() -> Value {
    json!({"type": "mcp_oauth", "mcp_server_url": "https://Mcp.Example.com/mcp/", "access_token": "access-secret",
        "expires_at": "2099-01-01T00:00:00+02:00", "refresh": {"client_id": "me", "refresh_token": "refresh-secret",
        "token_endpoint": "https://id.example.com/token", "scope": "a b",
        "token_endpoint_auth": {"type": "client_secret_basic", "client_secret": "client-secret"}}})
}

fn variable(name: &str) -> Value {
    json!({"type": "environment_variable", "secret_name": name, "secret_value": "value-secret",
        "networking": {"type": "limited", "allowed_hosts": ["API.example.com", "*.cdn.example.com", "192.0.2.1"]}})
}

async fn make(server: &Server, vault: &str, auth: Value) -> Answer {
    server
        .post(
            &format!("/v1/vaults/{vault}/credentials"),
            json!({"auth": auth}),
        )
        .await
}

fn path(credential: &Value) -> String {
    let text = |field: &str| credential[field].as_str().unwrap().to_owned();
    format!("/v1/vaults/{}/credentials/{}", text("vault_id"), text("id"))
}

async fn a_credential_of_each_type_is_shown_without_its_secrets(server: Server) {
    let id = vault(&server, "v").await;
    let mut made = Vec::new();
    for (auth, shown) in [
        (
            oauth(),
            json!({"type": "mcp_oauth", "mcp_server_url": "https://Mcp.Example.com/mcp/", "expires_at": "2098-12-31T22:00:00Z",
                "refresh": {"client_id": "me", "token_endpoint": "https://id.example.com/token",
                "token_endpoint_auth": {"type": "client_secret_basic"}, "resource": null, "scope": "a b"}}),
        ),
        (
            json!({"type": "static_bearer", "mcp_server_url": "https://b.example.com", "token": "bearer-secret"}),
            json!({"type": "static_bearer", "mcp_server_url": "https://b.example.com"}),
        ),
        (
            variable("API_KEY"),
            json!({"type": "environment_variable", "secret_name": "API_KEY", "injection_location": {"header": true, "body": true},
                "networking": {"type": "limited", "allowed_hosts": ["api.example.com", "*.cdn.example.com", "192.0.2.1"]}}),
        ),
    ] {
        let body = json!({"auth": auth, "display_name": "d", "metadata": {"a": "b"}});
        let answer = server
            .post(&format!("/v1/vaults/{id}/credentials"), body)
            .await
            .ok();
        assert_eq!(
            answer,
            json!({"id": answer["id"], "type": "vault_credential", "vault_id": id, "display_name": "d", "auth": shown,
                "metadata": {"a": "b"}, "created_at": answer["created_at"], "updated_at": answer["created_at"], "archived_at": null})
        );
        assert_eq!(server.get(&path(&answer)).await.ok(), answer);
        made.insert(0, answer);
    }
    let list = server
        .get(&format!("/v1/vaults/{id}/credentials"))
        .await
        .ok();
    assert_eq!(list, json!({"data": made, "next_page": null}));
    for credential in made {
        let deleted = server
            .send(Method::DELETE, &path(&credential), None)
            .await
            .ok();
        assert_eq!(
            deleted,
            json!({"id": credential["id"], "type": "vault_credential_deleted"})
        );
        assert_eq!(
            server.get(&path(&credential)).await.status,
            StatusCode::NOT_FOUND
        );
    }
}

async fn what_is_absent_in_a_change_stays(server: Server) {
    let id = vault(&server, "v").await;
    let made = make(&server, &id, oauth()).await.ok();
    for nothing in [
        json!({}),
        json!({"auth": null, "metadata": null}),
        json!({"auth": {"type": "mcp_oauth", "access_token": null, "refresh": null}}),
        json!({"auth": {"type": "mcp_oauth", "refresh": {"scope": null, "refresh_token": null}}}),
    ] {
        assert_eq!(server.post(&path(&made), nothing).await.ok(), made);
    }
    let change = json!({"display_name": "n", "auth": {"type": "mcp_oauth", "access_token": "new", "refresh": {"scope": ""}}});
    let changed = server.post(&path(&made), change).await.ok();
    let auth = &changed["auth"];
    assert_eq!(
        (
            &changed["display_name"],
            &auth["expires_at"],
            &auth["refresh"]["scope"],
            &auth["refresh"]["client_id"]
        ),
        (
            &json!("n"),
            &made["auth"]["expires_at"],
            &Value::Null,
            &json!("me")
        )
    );
    let change = json!({"display_name": null, "auth": {"type": "mcp_oauth", "expires_at": null}});
    let changed = server.post(&path(&made), change).await.ok();
    assert_eq!(
        (&changed["display_name"], &changed["auth"]["expires_at"]),
        (&Value::Null, &Value::Null)
    );

    let made = make(&server, &id, variable("A")).await.ok();
    let change =
        json!({"auth": {"type": "environment_variable", "injection_location": {"body": false}}});
    let changed = server.post(&path(&made), change).await.ok();
    assert_eq!(
        changed["auth"]["injection_location"],
        json!({"header": true, "body": false})
    );
    assert_eq!(changed["auth"]["networking"], made["auth"]["networking"]);
    let change = json!({"auth": {"type": "environment_variable", "injection_location": {"header_names": ["X-Key"]}}});
    let changed = server.post(&path(&made), change).await.ok();
    assert_eq!(
        changed["auth"]["injection_location"],
        json!({"header": true, "body": false, "header_names": ["x-key"]})
    );
    let change =
        json!({"auth": {"type": "environment_variable", "networking": {"type": "unrestricted"}}});
    let changed = server.post(&path(&made), change).await.ok();
    assert_eq!(
        changed["auth"]["networking"],
        json!({"type": "unrestricted"})
    );
}

async fn what_cannot_be_changed_is_refused_with_its_field(server: Server) {
    let id = vault(&server, "v").await;
    let made = make(&server, &id, oauth()).await.ok();
    for (auth, field, expected) in [
        (
            json!({"type": "static_bearer", "token": "x"}),
            "auth.type",
            "invalid_auth_type_change",
        ),
        (
            json!({"type": "mcp_oauth", "mcp_server_url": "https://evil.example.com"}),
            "auth.mcp_server_url",
            "immutable_field",
        ),
        (
            json!({"type": "mcp_oauth", "refresh": {"client_id": "x"}}),
            "auth.refresh.client_id",
            "immutable_field",
        ),
        (
            json!({"type": "mcp_oauth", "refresh": {"token_endpoint": "https://evil.example.com"}}),
            "auth.refresh.token_endpoint",
            "immutable_field",
        ),
        (
            json!({"type": "mcp_oauth", "expires_at": "2020-01-01T00:00:00Z"}),
            "auth.expires_at",
            "in_the_past",
        ),
        (json!({"access_token": "x"}), "auth.type", "missing_field"),
    ] {
        let answer = server.post(&path(&made), json!({"auth": auth})).await;
        assert_eq!(
            (answer.status, code(&answer)),
            (StatusCode::BAD_REQUEST, expected),
            "{auth}"
        );
        assert!(
            answer.body["error"]["message"]
                .as_str()
                .unwrap()
                .starts_with(field),
            "{answer:?}"
        );
    }
    let variable = make(&server, &id, variable("A")).await.ok();
    for (auth, expected) in [
        (
            json!({"type": "environment_variable", "secret_name": "B"}),
            "immutable_field",
        ),
        (
            json!({"type": "environment_variable", "injection_location": null}),
            "no_injection_location",
        ),
        (
            json!({"type": "environment_variable", "injection_location": {"header": false, "body": false}}),
            "no_injection_location",
        ),
    ] {
        let answer = server.post(&path(&variable), json!({"auth": auth})).await;
        assert_eq!(
            (answer.status, code(&answer)),
            (StatusCode::BAD_REQUEST, expected),
            "{auth}"
        );
    }
    assert_eq!(server.get(&path(&made)).await.ok(), made);
}

async fn one_active_credential_of_a_vault_is_for_one_thing(server: Server) {
    let id = vault(&server, "v").await;
    let first = make(&server, &id, oauth()).await.ok();
    // The same server, written and authenticated in another way.
    for url in [
        "https://mcp.example.com/mcp",
        "HTTPS://MCP.EXAMPLE.COM:443/mcp/",
    ] {
        let auth = json!({"type": "static_bearer", "mcp_server_url": url, "token": "x"});
        let second = make(&server, &id, auth).await;
        assert_eq!(
            (second.status, code(&second)),
            (StatusCode::CONFLICT, "credential_exists")
        );
        assert_eq!(second.header("x-should-retry"), "false");
    }
    // Others are others.
    for host in [
        "mcp.example.com/mcp2",
        "mcp.example.com:8443/mcp",
        "x.mcp.example.com/mcp",
    ] {
        let auth = json!({"type": "static_bearer", "mcp_server_url": format!("https://{host}"), "token": "x"});
        make(&server, &id, auth).await.ok();
    }
    make(&server, &id, variable("A")).await.ok();
    make(&server, &id, variable("a")).await.ok();
    assert_eq!(
        make(&server, &id, variable("A")).await.status,
        StatusCode::CONFLICT
    );
    // Another vault has its own, and archiving frees.
    let other = vault(&server, "w").await;
    make(&server, &other, oauth()).await.ok();
    server
        .send(Method::POST, &format!("{}/archive", path(&first)), None)
        .await
        .ok();
    make(&server, &id, oauth()).await.ok();
}

async fn of_many_for_one_thing_one_wins(server: Server) {
    let id = vault(&server, "v").await;
    let one = || bearer(&server, &id, "wanted.example.com");
    let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
    let mut statuses = [a.status, b.status, c.status, d.status];
    statuses.sort();
    assert_eq!(statuses[0], StatusCode::OK);
    assert_eq!(statuses[1..], [StatusCode::CONFLICT; 3]);
}

async fn a_vault_has_twenty_active_credentials_at_most(server: Server) {
    let id = vault(&server, "v").await;
    let mut made = Vec::new();
    for number in 0..19 {
        made.push(
            bearer(&server, &id, &format!("h{number}.example.com"))
                .await
                .ok(),
        );
    }
    // Of several that try at once one takes the last place.
    let one = |host: &'static str| bearer(&server, &id, host);
    let (a, b, c) = tokio::join!(
        one("x.example.com"),
        one("y.example.com"),
        one("z.example.com")
    );
    let mut statuses = [a.status, b.status, c.status];
    statuses.sort();
    assert_eq!(
        statuses,
        [
            StatusCode::OK,
            StatusCode::BAD_REQUEST,
            StatusCode::BAD_REQUEST
        ]
    );
    let refused = bearer(&server, &id, "more.example.com").await;
    assert_eq!(code(&refused), "full");
    // An archived one makes room.
    server
        .send(Method::POST, &format!("{}/archive", path(&made[0])), None)
        .await
        .ok();
    bearer(&server, &id, "more.example.com").await.ok();
}

async fn an_archived_credential_is_read_and_not_changed(server: Server) {
    let id = vault(&server, "v").await;
    let made = make(&server, &id, oauth()).await.ok();
    let archive = format!("{}/archive", path(&made));
    let archived = server.send(Method::POST, &archive, None).await.ok();
    assert!(archived["archived_at"].is_string());
    assert_eq!(archived["auth"], made["auth"]);
    assert_eq!(
        server.send(Method::POST, &archive, None).await.ok(),
        archived
    );
    let refused = server
        .post(&path(&made), json!({"display_name": "x"}))
        .await;
    assert_eq!(
        (refused.status, code(&refused)),
        (StatusCode::BAD_REQUEST, "credential_archived")
    );
    assert_eq!(server.get(&path(&made)).await.ok(), archived);
    let shown = server
        .get(&format!("/v1/vaults/{id}/credentials"))
        .await
        .ok();
    assert_eq!(shown["data"], json!([]));
    let shown = server
        .get(&format!(
            "/v1/vaults/{id}/credentials?include_archived=true"
        ))
        .await
        .ok();
    assert_eq!(shown["data"], json!([archived]));
    server.send(Method::DELETE, &path(&made), None).await.ok();
}

async fn pages_follow_each_other_to_the_end(server: Server) {
    let id = vault(&server, "v").await;
    let mut made = Vec::new();
    for number in 0..7 {
        made.push(
            bearer(&server, &id, &format!("h{number}.example.com"))
                .await
                .ok()["id"]
                .clone(),
        );
    }
    bearer(&server, &vault(&server, "w").await, "elsewhere.example.com")
        .await
        .ok();
    made.reverse();
    let (mut seen, mut page) = (Vec::new(), String::new());
    loop {
        let list = server
            .get(&format!("/v1/vaults/{id}/credentials?limit=3{page}"))
            .await
            .ok();
        seen.extend(
            list["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["id"].clone()),
        );
        match list["next_page"].as_str() {
            Some(next) => page = format!("&page={next}"),
            None => break,
        }
    }
    assert_eq!(seen, made);
    for bad in ["limit=0", "limit=101", "page=page_vlt_1"] {
        let refused = server
            .get(&format!("/v1/vaults/{id}/credentials?{bad}"))
            .await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}
