//! No mistake of a client is a failure of the server.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{Server, on_both};

on_both!(
    what_is_no_json_object_is_refused,
    a_body_that_is_too_large_or_too_deep_is_refused,
    fields_that_there_are_not_are_refused_with_their_names,
    head_is_answered_without_content_whatever_becomes_of_it,
    other_paths_and_methods_have_answers_too,
    no_body_is_an_empty_one,
    a_text_with_nul_is_refused_wherever_it_stands,
);

async fn raw(server: &Server, body: &'static str) -> crate::Answer {
    let request = server
        .request(Method::POST, "/v1/environments")
        .header("x-api-key", &server.key);
    crate::answer(request.body(body)).await
}

async fn what_is_no_json_object_is_refused(server: Server) {
    for body in [
        "{",
        "[]",
        "1",
        "\"x\"",
        "null",
        "{\"name\":\"a\"}x",
        "\u{feff}{}",
        "name: a",
    ] {
        let answer = raw(&server, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.body["error"]["type"], "invalid_request_error");
    }
}

async fn a_body_that_is_too_large_or_too_deep_is_refused(server: Server) {
    let large = json!({"name": "x", "description": "y".repeat(5 << 20)});
    let answer = server.post("/v1/environments", large).await;
    assert_eq!(
        (answer.status, &answer.body["error"]["type"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("request_too_large"))
    );
    let deep = format!(
        "{{\"name\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    // Two bytes each, and a value of 32.
    let many = format!("{{\"name\":[{}0]}}", "0,".repeat(1_500_000));
    for (body, problem) in [(deep, "recursion limit"), (many, "more than")] {
        let request = server
            .request(Method::POST, "/v1/environments")
            .header("x-api-key", &server.key)
            .body(body);
        let answer = crate::answer(request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.body.to_string().contains(problem), "{}", answer.body);
    }
}

async fn fields_that_there_are_not_are_refused_with_their_names(server: Server) {
    let body = json!({"name": 7, "colour": "red", "config": {"type": "cloud", "networking": {"type": "open"}}});
    let answer = server.post("/api/environments", body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let mut fields: Vec<_> = answer.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["field"].as_str().unwrap())
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["colour", "config.networking.type", "name"]);
    let key = server
        .post("/api/keys", json!({"name": "k", "colour": 1}))
        .await;
    assert_eq!(key.status, StatusCode::BAD_REQUEST);
}

async fn other_paths_and_methods_have_answers_too(server: Server) {
    for (method, path, status) in [
        (Method::GET, "/v1/nothing", StatusCode::NOT_FOUND),
        (Method::GET, "/v1/memory_stores", StatusCode::NOT_FOUND),
        (Method::GET, "/api/nothing", StatusCode::NOT_FOUND),
        (
            Method::PUT,
            "/v1/environments",
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (Method::DELETE, "/api/keys", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = server.send(method.clone(), path, None).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.body.is_object() && !answer.header("request-id").is_empty());
        if status == StatusCode::METHOD_NOT_ALLOWED {
            assert_eq!(answer.header("allow"), "GET,HEAD,POST");
        }
    }
}

/// Over HTTP/2 a body after HEAD is an error of the protocol.
async fn head_is_answered_without_content_whatever_becomes_of_it(server: Server) {
    for client in [
        reqwest::Client::builder().http1_only(),
        reqwest::Client::builder().http2_prior_knowledge(),
    ] {
        let client = client.build().unwrap();
        for (path, status) in [
            ("/v1/environments", StatusCode::OK),
            ("/v1/nothing", StatusCode::NOT_FOUND),
            ("/api/sign-in", StatusCode::METHOD_NOT_ALLOWED),
            ("/healthz", StatusCode::OK),
        ] {
            let url = format!("http://{}{path}", server.address);
            let request = client.head(url).header("x-api-key", &server.key);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
            let length = answer.headers()["content-length"].to_str().unwrap();
            assert!(length.parse::<u64>().unwrap() > 0, "{path}");
            assert!(!answer.headers()["request-id"].is_empty());
            assert_eq!(answer.bytes().await.unwrap(), "");
        }
    }
}

async fn no_body_is_an_empty_one(server: Server) {
    let request = server
        .request(Method::POST, "/v1/environments")
        .header("x-api-key", &server.key)
        .header("content-type", "application/json")
        .header("content-length", "0");
    let answer = crate::answer(request).await;
    assert_eq!(
        answer.body["error"]["details"]["error_code"],
        "missing_field"
    );
}

async fn a_text_with_nul_is_refused_wherever_it_stands(server: Server) {
    for body in [
        json!({"name": "a\0"}),
        json!({"name": "a", "description": "\0"}),
        json!({"name": "a", "metadata": {"k\0": "v"}}),
        json!({"name": "a", "config": {"type": "cloud", "packages": {"pip": ["x\0"]}}}),
    ] {
        let answer = server.post("/v1/environments", body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
    }
    let key = server.post("/api/keys", json!({"name": "\0"})).await;
    assert_eq!(key.text("code"), "nul_character");
    // The control: the six characters that stand for it in JSON are a text like any other.
    let body = json!({"name": "a", "description": "\\u0000"});
    server.post("/v1/environments", body).await.ok();
}
