//! Attacks on the authorization server. Each test has what would have been let through beside what is not.

use bailiwick_testkit::{Authority, HttpsServer};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{CALLBACK, VERIFIER, World, encoded, parameter, shown_by};
use crate::outbound::outbound;
use crate::{Answer, Server, answer, on_both};

on_both!(
    a_code_is_exchanged_once_and_a_second_time_ends_what_came_of_it,
    a_code_is_its_programs_and_its_verifiers_alone,
    nobody_is_sent_where_no_program_registered,
    no_program_registers_where_nobody_is_sent,
    a_request_without_pkce_or_without_a_gateway_is_not_answered_with_a_code,
    an_answer_that_another_page_sends_is_none,
    an_answer_is_to_what_was_shown_and_to_nothing_else,
    no_page_is_framed_or_runs_a_script,
    nothing_that_a_program_says_ends_a_header_or_a_tag,
    registrations_are_bounded_and_store_nothing,
    a_parameter_that_comes_twice_is_refused,
    nobody_is_signed_in_by_another_page,
);

async fn a_code_is_exchanged_once_and_a_second_time_ends_what_came_of_it(server: Server) {
    let world = World::of(server).await;
    let code = world.code(&[]).await;
    let tokens = world.exchanged(&code).await;
    let access = tokens.text("access_token");
    assert_eq!(world.opens("door", access).await.status, StatusCode::OK);
    let again = world.exchanged(&code).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert_eq!(again.text("error"), "invalid_grant");
    let ended = world.opens("door", access).await;
    assert_eq!(ended.status, StatusCode::UNAUTHORIZED);
    let ended = world.refreshed(tokens.text("refresh_token")).await;
    assert_eq!(ended.text("error"), "invalid_grant");
}

async fn a_code_is_its_programs_and_its_verifiers_alone(server: Server) {
    let world = World::of(server).await;
    let other = world.registered(&[CALLBACK]).await;
    let other = other.text("client_id");
    let code = world.code(&[]).await;
    let (own, door, elsewhere) = (
        world.client_id.as_str(),
        world.resource("door"),
        world.resource("other"),
    );
    let wrong = "x".repeat(43);
    for (client, verifier, redirect_uri, resource, expected) in [
        (other, VERIFIER, CALLBACK, &door, "invalid_grant"),
        (own, wrong.as_str(), CALLBACK, &door, "invalid_grant"),
        (own, "", CALLBACK, &door, "invalid_grant"),
        (
            own,
            VERIFIER,
            "http://127.0.0.1:49153/callback",
            &door,
            "invalid_grant",
        ),
        (own, VERIFIER, CALLBACK, &elsewhere, "invalid_target"),
    ] {
        let refused = world
            .token(&[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("client_id", client),
                ("code_verifier", verifier),
                ("redirect_uri", redirect_uri),
                ("resource", resource),
            ])
            .await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(refused.text("error"), expected);
    }
    let tokens = world.exchanged(&code).await;
    assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
    // So is a refresh token, and it is for the same gateway.
    for (client, resource, expected) in [
        (other, &door, "invalid_grant"),
        (own, &elsewhere, "invalid_target"),
    ] {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", tokens.text("refresh_token")),
            ("client_id", client),
            ("resource", resource.as_str()),
        ];
        assert_eq!(world.token(&form).await.text("error"), expected);
    }
    let refreshed = world.refreshed(tokens.text("refresh_token")).await;
    assert_eq!(refreshed.status, StatusCode::OK);
}

async fn nobody_is_sent_where_no_program_registered(server: Server) {
    let mut world = World::of(server).await;
    let made = world
        .registered(&["https://app.example.com/cb", "http://127.0.0.1/cb"])
        .await;
    world.client_id = made.text("client_id").to_owned();
    for good in ["https://app.example.com/cb", "http://127.0.0.1:4000/cb"] {
        let sent = world
            .answered("allow", &[("redirect_uri", Some(good))])
            .await;
        assert!(sent.header("location").starts_with(good), "{sent:?}");
    }
    for bad in [
        "https://app.example.com/cb/",
        "https://app.example.com:444/cb",
        "https://app.example.com/cb?x=1",
        "https://app.example.com/cb#x",
        "https://app.example.com@evil.example/cb",
        "https://evil.example/cb",
        "http://app.example.com/cb",
        "http://127.0.0.1:4000/other",
        "http://127.0.0.1:4000@evil.example/cb",
        "http://localhost/cb",
        "javascript:alert(1)",
    ] {
        for changed in [
            world.question(&[("redirect_uri", Some(bad))]).await,
            world
                .answered("allow", &[("redirect_uri", Some(bad))])
                .await,
        ] {
            assert_eq!(changed.status, StatusCode::BAD_REQUEST, "{bad}");
            assert_eq!(changed.header("location"), "");
            assert!(
                !changed.raw.contains("href=\"http"),
                "{bad}: {}",
                changed.raw
            );
        }
    }
}

async fn no_program_registers_where_nobody_is_sent(server: Server) {
    let mut world = World::of(server).await;
    for bad in [
        "https://user@app.example.com/cb",
        "https://app.example.com/cb#x",
        "http://app.example.com/cb",
        "javascript:alert(1)",
        "data:text/html,x",
        "ourscheme:/cb",
    ] {
        let refused = world.registered(&[bad]).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(refused.text("error"), "invalid_redirect_uri");
    }
    let unknown = world
        .question(&[("client_id", Some("bwoc_nonsense"))])
        .await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    assert_eq!(unknown.header("location"), "");
    // What a person's own programs open is shown as that.
    let editor = "cursor://anysphere.cursor-mcp/oauth/callback";
    world.client_id = world
        .registered(&[editor])
        .await
        .text("client_id")
        .to_owned();
    let question = world.question(&[("redirect_uri", Some(editor))]).await;
    assert!(question.raw.contains("cursor:"), "{}", question.raw);
    assert!(
        question
            .header("content-security-policy")
            .contains("form-action 'self' cursor:;")
    );
}

async fn a_request_without_pkce_or_without_a_gateway_is_not_answered_with_a_code(server: Server) {
    let world = World::of(server).await;
    let foreign = "https://evil.example/mcp/door";
    let none = world.resource("none");
    for (name, value, expected) in [
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", Some("short"), "invalid_request"),
        ("code_challenge_method", None, "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("response_type", Some("token"), "unsupported_response_type"),
        ("resource", None, "invalid_target"),
        ("resource", Some(foreign), "invalid_target"),
        ("resource", Some(none.as_str()), "invalid_target"),
    ] {
        for refused in [
            world.question(&[(name, value)]).await,
            world.answered("allow", &[(name, value)]).await,
        ] {
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{name} {value:?}");
            assert_eq!(refused.header("location"), "", "{name}");
            assert!(
                refused.raw.contains(&format!("error={expected}")),
                "{name}: {}",
                refused.raw
            );
            assert!(!refused.raw.contains("code="), "{name}");
        }
    }
    // One leaves out nothing by showing the verifier of a challenge that was never there.
    assert_eq!(world.tokens().await.status, StatusCode::OK);
}

async fn an_answer_that_another_page_sends_is_none(server: Server) {
    let world = World::of(server).await;
    let shown = world.shown(&[]).await;
    let sent = |origin: Option<String>, csrf: String, cookies: String| {
        let mut form = world.asked(&[]);
        form.push(("shown".to_owned(), shown.clone()));
        form.push(("csrf".to_owned(), csrf));
        form.push(("decision".to_owned(), "allow".to_owned()));
        let request = world
            .browser
            .post(format!("{}/oauth/authorize", world.issuer));
        let request = match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        };
        answer(super::form(request.header("cookie", cookies), &form))
    };
    let own = || Some(world.issuer.clone());
    let (csrf, cookies) = (world.csrf.clone(), world.cookies.clone());
    let evil = Some("https://evil.example".to_owned());
    for refused in [
        sent(evil, csrf.clone(), cookies.clone()).await,
        sent(None, csrf.clone(), cookies.clone()).await,
        sent(Some("null".to_owned()), csrf.clone(), cookies.clone()).await,
        sent(own(), "bwc_guessed".to_owned(), cookies.clone()).await,
        sent(own(), String::new(), cookies.clone()).await,
        sent(own(), csrf.clone(), String::new()).await,
    ] {
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
        assert_eq!(refused.header("location"), "");
    }
    let taken = sent(own(), csrf, cookies).await;
    assert!(parameter(taken.header("location"), "code").is_some());
}

/// The name of the gateway has become another one's since the person was asked.
async fn an_answer_is_to_what_was_shown_and_to_nothing_else(server: Server) {
    let world = World::of(server).await;
    let shown = world.shown(&[]).await;
    assert!(shown.ends_with(CALLBACK), "{shown}");
    let elsewhere = shown.replace(CALLBACK, "https://evil.example/cb");
    let gateway = shown.split(' ').next().unwrap();
    let door = world
        .server
        .get(&format!("/api/mcp-gateways/{gateway}"))
        .await
        .ok();
    let path = format!("/api/mcp-gateways/{gateway}");
    let renamed = world
        .server
        .send(Method::PATCH, &path, Some(json!({"name": "before"})));
    assert!(renamed.await.status.is_success());
    let other =
        json!({"name": "door", "environment_id": door["environment_id"], "access": "all_tools"});
    world.server.post("/api/mcp-gateways", other).await.ok();
    for shown in [&shown, &elsewhere, ""] {
        let refused = world.answered_to(shown, "allow", &[]).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert_eq!(refused.header("location"), "");
    }
    let taken = world.answered("allow", &[]).await;
    assert!(parameter(taken.header("location"), "code").is_some());
}

/// A program that leaves its redirect URI to a document about it, which says something else when the person answers.
#[tokio::test]
async fn a_document_that_changes_after_the_question_has_nobody_sent_elsewhere() {
    const NAME: &str = "program.example.com";
    let authority = Authority::new();
    let documents = HttpsServer::oauth(&authority, &[NAME]);
    let port = documents.address().port();
    let outbound = outbound(&authority, &format!("{NAME}={}", documents.address()));
    let world = World::of(Server::with_outbound(false, outbound).await).await;
    for (times, is_sent) in [(1, false), (2, true)] {
        let id = format!("https://{NAME}:{port}/client/{times}");
        let asked = [("client_id", Some(id.as_str())), ("redirect_uri", None)];
        let page = world.question(&asked).await;
        assert!(page.raw.contains("honest.example"), "{page:?}");
        let shown = shown_by(&page);
        let sent = world.answered_to(&shown, "allow", &asked).await;
        let to = sent.header("location");
        if is_sent {
            assert!(to.starts_with("https://honest.example/cb?"), "{sent:?}");
            assert!(parameter(to, "code").is_some());
        } else {
            assert_eq!(sent.status, StatusCode::BAD_REQUEST, "{sent:?}");
            assert_eq!(to, "");
        }
    }
}

/// What every page must say of itself.
fn guarded(page: &Answer) {
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(policy.contains("base-uri 'none'"), "{policy}");
    assert!(
        !policy.contains("script-src") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.header("x-frame-options"), "DENY");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(!page.raw.contains("<script"), "{}", page.raw);
}

async fn no_page_is_framed_or_runs_a_script(server: Server) {
    let mut world = World::of(server).await;
    guarded(&world.question(&[]).await);
    guarded(&world.question(&[("client_id", Some("nobody"))]).await);
    guarded(&world.question(&[("code_challenge", None)]).await);
    let back = format!("{}/oauth/callback?state=x", world.issuer);
    guarded(&answer(world.browser.get(back)).await);
    world.cookies = String::new();
    let sign_in = world.question(&[]).await;
    assert!(sign_in.raw.contains("name=\"password\""));
    guarded(&sign_in);
}

async fn nothing_that_a_program_says_ends_a_header_or_a_tag(server: Server) {
    let mut world = World::of(server).await;
    let name = "<script>alert(1)</script>\" onload=\"x\u{202e}";
    let body = serde_json::json!({"client_name": name, "redirect_uris": [CALLBACK]});
    let url = format!("{}/oauth/register", world.issuer);
    let made = answer(world.browser.post(url).json(&body)).await;
    world.client_id = made.text("client_id").to_owned();
    let state = "\r\nset-cookie: evil=1\r\n\r\n<script>";
    let question = world.question(&[("state", Some(state))]).await;
    assert_eq!(question.status, StatusCode::OK);
    guarded(&question);
    assert!(question.raw.contains("&lt;script&gt;"));
    assert!(!question.raw.contains('\u{202e}'));
    let sent = world.answered("allow", &[("state", Some(state))]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{sent:?}");
    assert!(sent.headers.get("set-cookie").is_none());
    assert_eq!(parameter(sent.header("location"), "state").unwrap(), state);
    let long = "s".repeat(2000);
    let refused = world.question(&[("state", Some(&long))]).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

async fn registrations_are_bounded_and_store_nothing(server: Server) {
    let world = World::of(server).await;
    let mut limited = None;
    for _ in 0..100 {
        let made = world.registered(&[CALLBACK]).await;
        if made.status != StatusCode::CREATED {
            limited = Some(made);
            break;
        }
    }
    let limited = limited.expect("a limit");
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
    assert_ne!(limited.header("retry-after"), "");
    // Whoever is known goes on.
    assert_eq!(world.tokens().await.status, StatusCode::OK);
    let url = format!("{}/oauth/register", world.issuer);
    let large = answer(world.browser.post(url).body("x".repeat(1 << 20))).await;
    assert!(large.status.is_client_error(), "{large:?}");
}

async fn a_parameter_that_comes_twice_is_refused(server: Server) {
    let world = World::of(server).await;
    let code = world.code(&[]).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("client_id", world.client_id.as_str()),
        ("code_verifier", VERIFIER),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(world.token(&form).await.text("error"), "invalid_request");
    let query = encoded(&world.asked(&[]));
    let evil = "redirect_uri=https%3A%2F%2Fevil.example%2F";
    let url = format!("{}/oauth/authorize?{query}&{evil}", world.issuer);
    let request = world.browser.get(url);
    let refused = answer(request.header("cookie", &world.cookies)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(world.exchanged(&code).await.status, StatusCode::OK);
}

async fn nobody_is_signed_in_by_another_page(server: Server) {
    let world = World::of(server).await;
    let form = [
        ("email", super::EMAIL),
        ("password", super::PASSWORD),
        ("return_to", "/oauth/authorize?x"),
    ];
    let url = format!("{}/oauth/sign-in", world.issuer);
    let request = world
        .browser
        .post(&url)
        .header("origin", "https://evil.example");
    let refused = answer(super::form(request, &form)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.headers.get("set-cookie").is_none());
    for return_to in [
        "https://evil.example/",
        "//evil.example",
        "/api/environments",
        "/oauth/authorize.evil?",
    ] {
        let form = [
            ("email", super::EMAIL),
            ("password", super::PASSWORD),
            ("return_to", return_to),
        ];
        let refused = answer(world.form("/oauth/sign-in", &form)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{return_to}");
        assert!(refused.headers.get("set-cookie").is_none());
    }
    // A script of a page beside this server sends JSON without saying so, and its answer's cookies would be kept.
    let body = json!({"email": super::EMAIL, "password": super::PASSWORD}).to_string();
    for (name, value, is_let) in [
        ("sec-fetch-site", "same-site", false),
        ("sec-fetch-site", "cross-site", false),
        ("origin", "https://evil.example", false),
        ("sec-fetch-site", "same-origin", true),
        ("origin", world.issuer.as_str(), true),
    ] {
        let request = world.server.request(Method::POST, "/api/sign-in");
        let sent = answer(request.header(name, value).body(body.clone())).await;
        let has_cookies = sent.headers.contains_key("set-cookie");
        assert_eq!(has_cookies, is_let, "{name} {value}: {sent:?}");
    }
    // A form can have a body that is JSON, if the password has a sign in it that is one of forms.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let body = json!({"email": super::EMAIL, "password": super::PASSWORD}).to_string();
        let form = world.server.request(Method::POST, "/api/sign-in");
        let form = form.header("content-type", kind).body(body);
        let refused = answer(form).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{kind}");
        assert_eq!(refused.header("set-cookie"), "");
    }
}
