//! Every operation of the administration and of the wire, by who asks: nobody, and each predefined role.
//!
//! The table is in `snapshots`. A route that is new belongs here.

use std::fmt::Write as _;

use bailiwick_model::{
    ApiKeyId, EnvironmentId, GrantId, ResourceId, RoleId, ServiceAccountId, TeamId, UserId,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Server, answer};

/// What of an operation was let through: anything but 401 and 403, since what it names does not exist.
fn word(status: u16) -> &'static str {
    match status {
        401 => "401",
        403 => "403",
        _ => "yes",
    }
}

fn id<I: ResourceId>() -> String {
    I::made(0, [0; 10]).to_string()
}

/// Method, path and a body that is right.
fn operations() -> Vec<(Method, String, Value)> {
    let (environment, key, user) = (id::<EnvironmentId>(), id::<ApiKeyId>(), id::<UserId>());
    let (role, team, account, grant) = (
        id::<RoleId>(),
        id::<TeamId>(),
        id::<ServiceAccountId>(),
        id::<GrantId>(),
    );
    let none = Value::Null;
    let one = |base: &str, id: &str| format!("{base}/{id}");
    let mut all = vec![
        (Method::GET, "/api/organization".to_owned(), none.clone()),
        (
            Method::PATCH,
            "/api/organization".to_owned(),
            json!({"version": 99}),
        ),
        (Method::GET, "/api/keys".to_owned(), none.clone()),
        (Method::POST, "/api/keys".to_owned(), json!({"name": ""})),
        (Method::DELETE, one("/api/keys", &key), none.clone()),
        (Method::GET, "/api/roles".to_owned(), none.clone()),
        (
            Method::POST,
            "/api/roles".to_owned(),
            json!({"name": "", "permissions": []}),
        ),
        (
            Method::PUT,
            one("/api/roles", &role),
            json!({"name": "x", "permissions": []}),
        ),
        (Method::DELETE, one("/api/roles", &role), none.clone()),
        (Method::GET, "/api/members".to_owned(), none.clone()),
        (
            Method::POST,
            "/api/members".to_owned(),
            json!({"email": "", "name": "", "role_id": role}),
        ),
        (Method::GET, one("/api/members", &user), none.clone()),
        (
            Method::PATCH,
            one("/api/members", &user),
            json!({"role_id": role}),
        ),
        (
            Method::PUT,
            format!("/api/members/{user}/password"),
            json!({"password": "x"}),
        ),
        (Method::DELETE, one("/api/members", &user), none.clone()),
        (
            Method::GET,
            "/api/service-accounts".to_owned(),
            none.clone(),
        ),
        (
            Method::POST,
            "/api/service-accounts".to_owned(),
            json!({"name": "", "role_id": role}),
        ),
        (
            Method::DELETE,
            one("/api/service-accounts", &account),
            none.clone(),
        ),
        (
            Method::POST,
            format!("/api/service-accounts/{account}/keys"),
            json!({"name": "x"}),
        ),
        (Method::GET, "/api/teams".to_owned(), none.clone()),
        (Method::POST, "/api/teams".to_owned(), json!({"name": ""})),
        (Method::DELETE, one("/api/teams", &team), none.clone()),
        (
            Method::GET,
            format!("/api/teams/{team}/members"),
            none.clone(),
        ),
        (
            Method::PUT,
            format!("/api/teams/{team}/members/{user}"),
            none.clone(),
        ),
        (
            Method::DELETE,
            format!("/api/teams/{team}/members/{user}"),
            none.clone(),
        ),
        (
            Method::GET,
            format!("/api/environments/{environment}/grants"),
            none.clone(),
        ),
        (
            Method::POST,
            format!("/api/environments/{environment}/grants"),
            json!({"user_id": user}),
        ),
        (
            Method::DELETE,
            format!("/api/environments/{environment}/grants/{grant}"),
            none.clone(),
        ),
        (
            Method::GET,
            format!("/api/environments/{environment}/policy"),
            none.clone(),
        ),
        (
            Method::GET,
            format!("/api/environments/{environment}/explain?destination=example.com"),
            none.clone(),
        ),
        (
            Method::POST,
            format!("/api/environments/{environment}/keys"),
            json!({"name": "x"}),
        ),
        (Method::GET, "/api/whoami".to_owned(), none.clone()),
    ];
    for face in ["/api", "/v1"] {
        let environments = format!("{face}/environments");
        let change = if face == "/api" {
            Method::PATCH
        } else {
            Method::POST
        };
        all.extend([
            (Method::GET, environments.clone(), none.clone()),
            (Method::POST, environments.clone(), json!({"name": ""})),
            (Method::GET, one(&environments, &environment), none.clone()),
            (change, one(&environments, &environment), json!({})),
            (
                Method::POST,
                format!("{environments}/{environment}/archive"),
                none.clone(),
            ),
            (
                Method::DELETE,
                one(&environments, &environment),
                none.clone(),
            ),
        ]);
    }
    all
}

#[tokio::test]
async fn who_may_do_what() {
    let server = Server::sqlite().await;
    let roles = server.get("/api/roles").await.ok();
    let mut keys = Vec::new();
    for name in ["admin", "editor", "member"] {
        let role = roles["data"]
            .as_array()
            .unwrap()
            .iter()
            .find(|role| role["name"] == name)
            .unwrap();
        let account = json!({"name": name, "role_id": role["id"]});
        let made = server.post("/api/service-accounts", account).await;
        let path = format!("/api/service-accounts/{}/keys", made.text("id"));
        keys.push(
            server
                .post(&path, json!({"name": "k"}))
                .await
                .text("key")
                .to_owned(),
        );
    }
    let mut table = format!(
        "{:<88} {:<7} {:<7} {:<7} {}\n",
        "operation", "nobody", "admin", "editor", "member"
    );
    for (method, path, body) in operations() {
        let shown = path
            .split('/')
            .map(|part| part.split_once('_').map_or(part, |(kind, _)| kind))
            .collect::<Vec<_>>()
            .join("/");
        let nobody = server.request(method.clone(), &path);
        let nobody = answer(if body.is_null() {
            nobody
        } else {
            nobody.json(&body)
        })
        .await;
        let _ = write!(
            table,
            "{:<88} {:<7}",
            format!("{method} {shown}"),
            word(nobody.status.as_u16())
        );
        for key in &keys {
            let body = (!body.is_null()).then(|| body.clone());
            let answered = server.send_as(key, method.clone(), &path, body).await;
            assert!(
                !answered.status.is_server_error(),
                "{method} {path}: {answered:?}"
            );
            let _ = write!(table, " {:<7}", word(answered.status.as_u16()));
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}
