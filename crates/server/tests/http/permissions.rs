//! Every operation of the administration and of the wire, by who asks: nobody, and each predefined role.
//!
//! The table is in `snapshots`. A route that is new belongs here.

use std::fmt::Write as _;

use bailiwick_model::{
    ApiKeyId, EnvironmentId, GrantId, ResourceId, RoleId, ServiceAccountId, SessionId,
    SessionResourceId, TeamId, UserId, WorkId,
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

/// Method, path and a body that is right; ids are of nothing.
const OPERATIONS: &str = r#"
GET /api/organization
PATCH /api/organization {"version": 99}
GET /api/keys
POST /api/keys {"name": ""}
DELETE /api/keys/KEY
GET /api/roles
POST /api/roles {"name": "", "permissions": []}
PUT /api/roles/ROLE {"name": "x", "permissions": []}
DELETE /api/roles/ROLE
GET /api/members
POST /api/members {"email": "", "name": "", "role_id": "ROLE"}
GET /api/members/USER
PATCH /api/members/USER {"role_id": "ROLE"}
PUT /api/members/USER/password {"password": "x"}
DELETE /api/members/USER
GET /api/service-accounts
POST /api/service-accounts {"name": "", "role_id": "ROLE"}
DELETE /api/service-accounts/ACCOUNT
POST /api/service-accounts/ACCOUNT/keys {"name": "x"}
GET /api/teams
POST /api/teams {"name": ""}
DELETE /api/teams/TEAM
GET /api/teams/TEAM/members
PUT /api/teams/TEAM/members/USER
DELETE /api/teams/TEAM/members/USER
GET /api/environments/ENVIRONMENT/grants
POST /api/environments/ENVIRONMENT/grants {"user_id": "USER"}
DELETE /api/environments/ENVIRONMENT/grants/GRANT
GET /api/environments/ENVIRONMENT/policy
GET /api/environments/ENVIRONMENT/explain?destination=example.com
POST /api/environments/ENVIRONMENT/keys {"name": "x"}
GET /api/whoami
GET /api/environments
POST /api/environments {"name": ""}
GET /api/environments/ENVIRONMENT
PATCH /api/environments/ENVIRONMENT {}
POST /api/environments/ENVIRONMENT/archive
DELETE /api/environments/ENVIRONMENT
GET /v1/environments
POST /v1/environments {"name": ""}
GET /v1/environments/ENVIRONMENT
POST /v1/environments/ENVIRONMENT {}
POST /v1/environments/ENVIRONMENT/archive
DELETE /v1/environments/ENVIRONMENT
GET /v1/sessions
POST /v1/sessions {"agent": "x", "environment_id": "x"}
GET /v1/sessions/SESSION
POST /v1/sessions/SESSION {}
POST /v1/sessions/SESSION/archive
DELETE /v1/sessions/SESSION
GET /v1/sessions/SESSION/resources
POST /v1/sessions/SESSION/resources {"type": "file", "file_id": "x"}
GET /v1/sessions/SESSION/resources/THING
POST /v1/sessions/SESSION/resources/THING {"authorization_token": "x"}
DELETE /v1/sessions/SESSION/resources/THING
GET /v1/environments/ENVIRONMENT/work
GET /v1/environments/ENVIRONMENT/work/poll
GET /v1/environments/ENVIRONMENT/work/stats
GET /v1/environments/ENVIRONMENT/work/ITEM
POST /v1/environments/ENVIRONMENT/work/ITEM {"metadata": {}}
POST /v1/environments/ENVIRONMENT/work/ITEM/ack
POST /v1/environments/ENVIRONMENT/work/ITEM/heartbeat
POST /v1/environments/ENVIRONMENT/work/ITEM/stop
"#;

fn with_ids(text: &str) -> String {
    fn id<I: ResourceId>() -> String {
        I::made(0, [0; 10]).to_string()
    }
    text.replace("ENVIRONMENT", &id::<EnvironmentId>())
        .replace("KEY", &id::<ApiKeyId>())
        .replace("ROLE", &id::<RoleId>())
        .replace("USER", &id::<UserId>())
        .replace("ACCOUNT", &id::<ServiceAccountId>())
        .replace("TEAM", &id::<TeamId>())
        .replace("GRANT", &id::<GrantId>())
        .replace("SESSION", &id::<SessionId>())
        .replace("THING", &id::<SessionResourceId>())
        .replace("ITEM", &id::<WorkId>())
}

/// One key of each predefined role.
async fn keys(server: &Server) -> Vec<String> {
    let roles = server.get("/api/roles").await.ok();
    let mut keys = Vec::new();
    for name in ["admin", "editor", "member"] {
        let roles = roles["data"].as_array().unwrap();
        let role = roles.iter().find(|role| role["name"] == name).unwrap();
        let account = json!({"name": name, "role_id": role["id"]});
        let made = server.post("/api/service-accounts", account).await;
        let path = format!("/api/service-accounts/{}/keys", made.text("id"));
        let key = server.post(&path, json!({"name": "k"})).await;
        keys.push(key.text("key").to_owned());
    }
    keys
}

#[tokio::test]
async fn who_may_do_what() {
    let server = Server::sqlite().await;
    let keys = keys(&server).await;
    let mut table = format!("{:<72} nobody  admin   editor  member\n", "operation");
    for line in OPERATIONS.trim().lines() {
        let mut words = line.splitn(3, ' ');
        let mut word_of = || words.next().unwrap_or_default();
        let (method, path, body) = (word_of(), with_ids(word_of()), with_ids(word_of()));
        let method: Method = method.parse().unwrap();
        let body: Option<Value> = (!body.is_empty()).then(|| serde_json::from_str(&body).unwrap());
        let shown = line.split(" {").next().unwrap_or(line);
        let nobody = server.request(method.clone(), &path);
        let nobody = match &body {
            Some(body) => nobody.json(body),
            None => nobody,
        };
        let refused = answer(nobody).await.status.as_u16();
        let _ = write!(table, "{shown:<72} {:<7}", word(refused));
        for key in &keys {
            let answered = server
                .send_as(key, method.clone(), &path, body.clone())
                .await;
            assert!(!answered.status.is_server_error(), "{line}: {answered:?}");
            let _ = write!(table, " {:<7}", word(answered.status.as_u16()));
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}
