//! Members, what they may do, and how they sign in.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Answer, Server, answer, on_both};

on_both!(
    a_member_signs_in_and_changes_something_only_with_the_token,
    a_browser_opens_a_gateway_as_a_key_of_its_member_does,
    a_wrong_password_and_nobody_look_the_same,
    nobody_hands_on_what_they_do_not_have,
    who_may_less_does_not_take_over_who_may_more,
    nobody_takes_a_grant_with_the_password_of_somebody_who_has_one,
    no_sign_in_outlives_the_password_that_it_began_with,
    a_poll_needs_the_token_of_a_browser_and_hands_it_nothing,
    the_last_administrator_stays,
    a_member_who_was_removed_can_do_nothing,
    a_role_that_somebody_has_stays,
    of_two_changes_of_one_role_one_wins,
    a_service_account_acts_with_its_role_until_it_is_deleted,
    a_team_has_members_of_its_organization_alone,
);

const PASSWORD: &str = "four words nobody puts";

async fn role(server: &Server, name: &str) -> String {
    let roles = server.get("/api/roles").await.ok();
    let found = roles["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|role| role["name"] == name);
    found.unwrap()["id"].as_str().unwrap().to_owned()
}

async fn member(server: &Server, email: &str, role_name: &str) -> Value {
    let role = role(server, role_name).await;
    let body = json!({"email": email, "name": email, "role_id": role, "password": PASSWORD});
    server.post("/api/members", body).await.ok()
}

async fn sign_in(server: &Server, email: &str, password: &str) -> Answer {
    let request = server.request(Method::POST, "/api/sign-in");
    answer(request.json(&json!({"email": email, "password": password}))).await
}

/// The cookie and the token of a browser that signed in.
async fn browser(server: &Server, email: &str) -> (String, String) {
    let signed_in = sign_in(server, email, PASSWORD).await;
    let set = signed_in.header("set-cookie").to_owned();
    for attribute in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(attribute), "{set}");
    }
    let cookie = set.split(';').next().unwrap().to_owned();
    (cookie, signed_in.text("csrf_token").to_owned())
}

async fn a_member_signs_in_and_changes_something_only_with_the_token(server: Server) {
    member(&server, "Ann@example.com", "admin").await;
    let (cookie, token) = browser(&server, "ann@EXAMPLE.com").await;
    let with = |method, token: Option<&str>| {
        let request = server
            .request(method, "/api/environments")
            .header("cookie", &cookie);
        let request = match token {
            Some(token) => request.header("x-csrf-token", token),
            None => request,
        };
        answer(request.json(&json!({"name": "dev"})))
    };
    let read = server
        .request(Method::GET, "/api/environments")
        .header("cookie", &cookie);
    assert_eq!(answer(read).await.status, StatusCode::OK);
    assert_eq!(
        with(Method::POST, None).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        with(Method::POST, Some("bwc_wrong")).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        with(Method::POST, Some(&token)).await.status,
        StatusCode::CREATED
    );
    let out = server
        .request(Method::POST, "/api/sign-out")
        .header("cookie", &cookie)
        .header("x-csrf-token", &token);
    assert_eq!(answer(out).await.status, StatusCode::NO_CONTENT);
    assert_eq!(
        with(Method::POST, Some(&token)).await.status,
        StatusCode::UNAUTHORIZED
    );
}

async fn a_browser_opens_a_gateway_as_a_key_of_its_member_does(server: Server) {
    let environment = server
        .post("/api/environments", json!({"name": "dev"}))
        .await;
    let body =
        json!({"name": "door", "environment_id": environment.text("id"), "access": "all_tools"});
    server.post("/api/mcp-gateways", body).await.ok();
    member(&server, "ann@example.com", "member").await;
    let (cookie, token) = browser(&server, "ann@example.com").await;
    let begin = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "page", "version": "1"}}});
    let comes = |cookie: &str, token: Option<&str>| {
        let request = server
            .request(Method::POST, "/mcp/door")
            .header("cookie", cookie)
            .header("accept", "application/json, text/event-stream");
        let request = match token {
            Some(token) => request.header("x-csrf-token", token),
            None => request,
        };
        let request = request.json(&begin);
        async move { request.send().await.unwrap().status() }
    };
    assert_eq!(comes(&cookie, Some(&token)).await, StatusCode::OK);
    // A page of somebody else has the browser send the cookie, and not the token.
    for wrong in [None, Some("bwc_wrong")] {
        assert_eq!(comes(&cookie, wrong).await, StatusCode::UNAUTHORIZED);
    }
    let nobody = "__Host-bailiwick=bws_nonsense";
    assert_eq!(comes(nobody, Some(&token)).await, StatusCode::UNAUTHORIZED);
    let out = server
        .request(Method::POST, "/api/sign-out")
        .header("cookie", &cookie)
        .header("x-csrf-token", &token);
    assert_eq!(answer(out).await.status, StatusCode::NO_CONTENT);
    assert_eq!(comes(&cookie, Some(&token)).await, StatusCode::UNAUTHORIZED);
}

async fn a_wrong_password_and_nobody_look_the_same(server: Server) {
    member(&server, "ann@example.com", "member").await;
    let wrong = sign_in(&server, "ann@example.com", "not this one, at all").await;
    let nobody = sign_in(&server, "bob@example.com", PASSWORD).await;
    assert_eq!(
        (wrong.status, nobody.status),
        (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED)
    );
    assert_eq!(wrong.body["detail"], nobody.body["detail"]);
    assert!(
        sign_in(&server, "ann@example.com", PASSWORD)
            .await
            .status
            .is_success()
    );
    // A password is never shown, nor its hash.
    let listed = server.get("/api/members").await.ok().to_string();
    assert!(!listed.contains("argon2") && listed.contains("ann@example.com"));
}

/// A key of a member with this role.
async fn key_of(server: &Server, email: &str, role: &str) -> String {
    member(server, email, role).await;
    let (cookie, token) = browser(server, email).await;
    let request = server
        .request(Method::POST, "/api/keys")
        .header("cookie", cookie)
        .header("x-csrf-token", token);
    let made = answer(request.json(&json!({"name": "laptop"}))).await;
    made.text("key").to_owned()
}

async fn nobody_hands_on_what_they_do_not_have(server: Server) {
    let members = [
        "member:read",
        "member:admin",
        "role:admin",
        "key:write",
        "environment:read",
    ];
    let made = server
        .post(
            "/api/roles",
            json!({"name": "people", "permissions": members}),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    let people = made.text("id").to_owned();
    let key = key_of(&server, "ann@example.com", "people").await;
    let admin = role(&server, "admin").await;
    let with = |method, path: String, body| {
        let (server, key) = (&server, &key);
        async move { server.send_as(key, method, &path, Some(body)).await.status }
    };
    let forbidden = StatusCode::FORBIDDEN;
    let more = json!({"name": "all", "permissions": ["environment:admin"]});
    assert_eq!(
        with(Method::POST, "/api/roles".into(), more).await,
        forbidden
    );
    let wider = json!({"name": "people", "permissions": ["member:read", "vault:write"]});
    assert_eq!(
        with(Method::PUT, format!("/api/roles/{people}"), wider).await,
        forbidden
    );
    let body = json!({"email": "b@example.com", "name": "B", "role_id": admin});
    assert_eq!(
        with(Method::POST, "/api/members".into(), body).await,
        forbidden
    );
    let body = json!({"name": "robot", "role_id": admin});
    assert_eq!(
        with(Method::POST, "/api/service-accounts".into(), body).await,
        forbidden
    );
    // The control: what they have they hand on.
    let less = json!({"name": "readers", "permissions": ["member:read"]});
    assert_eq!(
        with(Method::POST, "/api/roles".into(), less).await,
        StatusCode::CREATED
    );
}

async fn who_may_less_does_not_take_over_who_may_more(server: Server) {
    let people =
        json!({"name": "people", "permissions": ["member:read", "member:admin", "key:write"]});
    let made = server.post("/api/roles", people).await;
    let key = key_of(&server, "ann@example.com", "people").await;
    let admin = role(&server, "admin").await;
    let list = server.get("/api/members").await.ok();
    let members = list["data"].as_array().unwrap();
    let boss = members
        .iter()
        .find(|member| member["role_id"] == admin.as_str())
        .unwrap();
    let path = format!("/api/members/{}", boss["user_id"].as_str().unwrap());
    let password = format!("{path}/password");
    for (method, path, body) in [
        (Method::PATCH, &path, json!({"role_id": made.text("id")})),
        (Method::PUT, &password, json!({"password": PASSWORD})),
        (Method::DELETE, &path, Value::Null),
    ] {
        let answered = server.send_as(&key, method.clone(), path, Some(body)).await;
        assert_eq!(answered.status, StatusCode::FORBIDDEN, "{method} {path}");
    }
}

async fn nobody_takes_a_grant_with_the_password_of_somebody_who_has_one(server: Server) {
    let permissions = ["member:read", "member:admin", "key:write"];
    let people = json!({"name": "people", "permissions": permissions});
    server.post("/api/roles", people).await.ok();
    let few = json!({"name": "few", "permissions": ["member:read"]});
    server.post("/api/roles", few).await.ok();
    let key = key_of(&server, "ann@example.com", "people").await;
    let granted = member(&server, "bob@example.com", "few").await;
    let plain = member(&server, "cleo@example.com", "few").await;
    let made = server.post("/v1/environments", json!({"name": "prod"}));
    let grants = format!("/api/environments/{}/grants", made.await.text("id"));
    let grant = json!({"user_id": granted["user_id"]});
    server.post(&grants, grant).await.ok();
    let take = |member: Value| {
        let path = format!(
            "/api/members/{}/password",
            member["user_id"].as_str().unwrap()
        );
        let (server, key) = (&server, &key);
        async move {
            let body = Some(json!({"password": "five other words of somebody"}));
            server.send_as(key, Method::PUT, &path, body).await.status
        }
    };
    assert_eq!(take(granted).await, StatusCode::FORBIDDEN);
    assert_eq!(take(plain).await, StatusCode::NO_CONTENT);
}

async fn no_sign_in_outlives_the_password_that_it_began_with(server: Server) {
    let ann = member(&server, "ann@example.com", "member").await;
    let path = format!("/api/members/{}/password", ann["user_id"].as_str().unwrap());
    let who = |signed_in: Answer| {
        let cookie = signed_in.header("set-cookie").to_owned();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        answer(
            server
                .request(Method::GET, "/api/whoami")
                .header("cookie", cookie),
        )
    };
    let new = "five other words of somebody";
    let mut in_flight = 0;
    for (from, to) in [(PASSWORD, new), (new, PASSWORD), (PASSWORD, new)] {
        // Looking at a password takes its time: some of these begin before it changes and are answered after.
        let signing_in = (0..6).map(|_| sign_in(&server, "ann@example.com", from));
        let changing = server.send(Method::PUT, &path, Some(json!({"password": to})));
        let (answers, changed) =
            futures_util::future::join(futures_util::future::join_all(signing_in), changing).await;
        assert_eq!(changed.status, StatusCode::NO_CONTENT);
        for signed_in in answers {
            if signed_in.status.is_success() {
                in_flight += 1;
                assert_eq!(who(signed_in).await.status, StatusCode::UNAUTHORIZED);
            }
        }
        let control = sign_in(&server, "ann@example.com", to).await;
        assert_eq!(who(control).await.status, StatusCode::OK);
    }
    assert!(in_flight > 0, "no sign-in came before the change");
}

/// It is a GET, and hands out work, which hangs on the key that asked for it.
async fn a_poll_needs_the_token_of_a_browser_and_hands_it_nothing(server: Server) {
    member(&server, "ann@example.com", "admin").await;
    let (cookie, token) = browser(&server, "ann@example.com").await;
    let config = json!({"name": "w", "config": {"type": "self_hosted"}});
    let made = server.post("/v1/environments", config).await;
    let path = format!("/v1/environments/{}/work/poll", made.text("id"));
    let poll = || server.request(Method::GET, &path).header("cookie", &cookie);
    let without = answer(poll()).await;
    assert_eq!(without.status, StatusCode::UNAUTHORIZED);
    let with = answer(poll().header("x-csrf-token", &token)).await;
    assert_eq!(with.status, StatusCode::FORBIDDEN);
    let words = with.body["error"]["message"].as_str().unwrap();
    assert!(words.contains("a key of the environment"), "{words}");
    assert_eq!(
        server.get(&path).await.status,
        StatusCode::OK,
        "the control"
    );
}

async fn the_last_administrator_stays(server: Server) {
    let list = server.get("/api/members").await.ok();
    let first = list["data"][0]["user_id"].as_str().unwrap().to_owned();
    let member_role = role(&server, "member").await;
    let path = format!("/api/members/{first}");
    let demote = || server.send(Method::PATCH, &path, Some(json!({"role_id": member_role})));
    assert_eq!(demote().await.status, StatusCode::CONFLICT);
    assert_eq!(
        server.send(Method::DELETE, &path, None).await.status,
        StatusCode::CONFLICT
    );
    member(&server, "second@example.com", "admin").await;
    assert_eq!(demote().await.status, StatusCode::OK);
}

async fn a_member_who_was_removed_can_do_nothing(server: Server) {
    let key = key_of(&server, "ann@example.com", "editor").await;
    let (cookie, _) = browser(&server, "ann@example.com").await;
    let by_key = || server.send_as(&key, Method::GET, "/v1/environments", None);
    let by_cookie = || {
        answer(
            server
                .request(Method::GET, "/v1/environments")
                .header("cookie", &cookie),
        )
    };
    assert_eq!(
        (by_key().await.status, by_cookie().await.status),
        (StatusCode::OK, StatusCode::OK)
    );
    let list = server.get("/api/members").await.ok();
    let ann = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["email"] == "ann@example.com")
        .unwrap();
    let path = format!("/api/members/{}", ann["user_id"].as_str().unwrap());
    assert_eq!(
        server.send(Method::DELETE, &path, None).await.status,
        StatusCode::NO_CONTENT
    );
    let refused = StatusCode::UNAUTHORIZED;
    assert_eq!(
        (by_key().await.status, by_cookie().await.status),
        (refused, refused)
    );
    assert_eq!(
        sign_in(&server, "ann@example.com", PASSWORD).await.status,
        refused
    );
}

async fn of_two_changes_of_one_role_one_wins(server: Server) {
    let body = json!({"name": "readers", "permissions": ["environment:read"]});
    let made = server.post("/api/roles", body).await;
    let path = format!("/api/roles/{}", made.text("id"));
    assert_eq!(made.header("etag"), "\"1\"");
    let at = async |version: &str, name: &str| {
        let request = server.request(Method::PUT, &path);
        let request = request.header("x-api-key", &server.key);
        let request = request.header("if-match", version);
        let body = json!({"name": name, "permissions": ["environment:read", "member:read"]});
        answer(request.json(&body)).await
    };
    let first = at("\"1\"", "readers").await;
    assert_eq!(
        (first.status, first.header("etag")),
        (StatusCode::OK, "\"2\"")
    );
    let second = at("\"1\"", "others").await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    assert_eq!(second.text("code"), "stale");
    assert_eq!(at("nonsense", "x").await.status, StatusCode::BAD_REQUEST);
    role(&server, "readers").await;
    // Whoever names no version means what is there.
    let renamed = json!({"name": "others", "permissions": ["environment:read"]});
    let third = server.send(Method::PUT, &path, Some(renamed)).await;
    assert_eq!(third.ok()["version"], 3);
}

async fn a_role_that_somebody_has_stays(server: Server) {
    let made = server
        .post(
            "/api/roles",
            json!({"name": "readers", "permissions": ["environment:read"]}),
        )
        .await;
    let path = format!("/api/roles/{}", made.text("id"));
    let ann = member(&server, "ann@example.com", "readers").await;
    assert_eq!(
        server.send(Method::DELETE, &path, None).await.status,
        StatusCode::CONFLICT
    );
    let user = format!("/api/members/{}", ann["user_id"].as_str().unwrap());
    server.send(Method::DELETE, &user, None).await;
    assert_eq!(
        server.send(Method::DELETE, &path, None).await.status,
        StatusCode::NO_CONTENT
    );
    let admin = format!("/api/roles/{}", role(&server, "admin").await);
    assert_eq!(
        server.send(Method::DELETE, &admin, None).await.status,
        StatusCode::CONFLICT
    );
    let unknown = server
        .post(
            "/api/roles",
            json!({"name": "x", "permissions": ["environment:*"]}),
        )
        .await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
}

async fn a_service_account_acts_with_its_role_until_it_is_deleted(server: Server) {
    let editor = role(&server, "editor").await;
    let made = server
        .post(
            "/api/service-accounts",
            json!({"name": "ci", "role_id": editor}),
        )
        .await;
    let path = format!("/api/service-accounts/{}", made.text("id"));
    let key = server
        .post(&format!("{path}/keys"), json!({"name": "ci"}))
        .await;
    let me = server
        .send_as(key.text("key"), Method::GET, "/api/whoami", None)
        .await
        .ok();
    assert_eq!(
        me["actor"],
        json!({"kind": "service_account", "id": made.text("id")})
    );
    let refused = server
        .send_as(
            key.text("key"),
            Method::POST,
            "/v1/environments",
            Some(json!({"name": "x"})),
        )
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(
        server.send(Method::DELETE, &path, None).await.status,
        StatusCode::NO_CONTENT
    );
    let gone = server
        .send_as(key.text("key"), Method::GET, "/api/whoami", None)
        .await;
    assert_eq!(gone.status, StatusCode::UNAUTHORIZED);
}

async fn a_team_has_members_of_its_organization_alone(server: Server) {
    let ann = member(&server, "ann@example.com", "member").await;
    let team = server.post("/api/teams", json!({"name": "payments"})).await;
    let members = format!("/api/teams/{}/members", team.text("id"));
    let add = |user: String| {
        let (server, path) = (&server, format!("{members}/{user}"));
        async move { server.send(Method::PUT, &path, None).await.status }
    };
    let user = ann["user_id"].as_str().unwrap().to_owned();
    assert_eq!(add(user.clone()).await, StatusCode::NO_CONTENT);
    assert_eq!(add(user.clone()).await, StatusCode::NO_CONTENT);
    assert_eq!(
        add("user_1ChGqExyZXj8gBdypLbMAf".into()).await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(server.get(&members).await.ok()["data"], json!([user]));
    let made = server
        .post("/v1/environments", json!({"name": "prod"}))
        .await;
    let grants = format!("/api/environments/{}/grants", made.text("id"));
    for grantee in [
        json!({"user_id": user}),
        json!({"team_id": team.text("id")}),
    ] {
        assert_eq!(
            server.post(&grants, grantee).await.status,
            StatusCode::CREATED
        );
    }
    for wrong in [
        json!({"user_id": "user_1ChGqExyZXj8gBdypLbMAf"}),
        json!({"team_id": "team_1ChGqExyZXj8gBdypLbMAf"}),
    ] {
        assert_eq!(
            server.post(&grants, wrong).await.status,
            StatusCode::NOT_FOUND
        );
    }
    assert_eq!(
        server.post(&grants, json!({})).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        server.get(&grants).await.ok()["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}
