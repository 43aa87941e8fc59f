//! What operators count.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{Server, on_both};

on_both!(
    requests_are_counted_by_face_method_route_and_status,
    what_clients_make_up_makes_no_new_numbers,
    nothing_names_who_asked_or_for_what,
);

async fn requests_are_counted_by_face_method_route_and_status(server: Server) {
    let made = server.post("/v1/environments", json!({"name": "a"})).await;
    let path = format!("/v1/environments/{}", made.text("id"));
    for _ in 0..3 {
        server.get(&path).await.ok();
    }
    server.get("/api/environments/env_none").await;
    server.send_as("bwk_wrong", Method::GET, &path, None).await;
    let answer = server.get("/metrics").await;
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    for line in [
        r#"bailiwick_http_requests_total{face="v1",method="POST",route="/v1/environments",status="2xx"} 1"#,
        r#"bailiwick_http_requests_total{face="v1",method="GET",route="/v1/environments/{id}",status="2xx"} 3"#,
        r#"bailiwick_http_requests_total{face="v1",method="GET",route="/v1/environments/{id}",status="4xx"} 1"#,
        r#"bailiwick_http_requests_total{face="api",method="GET",route="/api/environments/{id}",status="4xx"} 1"#,
        r#"bailiwick_http_request_duration_seconds_count{face="v1",method="GET",route="/v1/environments/{id}"} 4"#,
        "bailiwick_authentication_failures_total 1",
        "# EOF",
    ] {
        assert!(
            answer.raw.lines().any(|there| there == line),
            "no {line} in\n{}",
            answer.raw
        );
    }
    assert!(answer.raw.contains(r#"bailiwick_build_info{version=""#));
}

async fn what_clients_make_up_makes_no_new_numbers(server: Server) {
    for number in 0..20 {
        server.get(&format!("/v1/nothing{number}")).await;
        server.get(&format!("/nothing{number}")).await;
        let method = Method::from_bytes(format!("BREW{number}").as_bytes()).unwrap();
        server.send(method, "/v1/environments", None).await;
    }
    let text = server.get("/metrics").await.raw;
    let counted =
        |labels: &str| text.contains(&format!("bailiwick_http_requests_total{{{labels}}} 20"));
    assert!(
        counted(r#"face="v1",method="GET",route="none",status="4xx""#),
        "{text}"
    );
    assert!(
        counted(r#"face="operator",method="GET",route="none",status="4xx""#),
        "{text}"
    );
    assert!(
        counted(r#"face="v1",method="other",route="/v1/environments",status="4xx""#),
        "{text}"
    );
}

async fn nothing_names_who_asked_or_for_what(server: Server) {
    let made = server
        .post("/v1/environments", json!({"name": "very-secret-project"}))
        .await;
    let id = made.text("id").to_owned();
    server.get(&format!("/v1/environments/{id}")).await.ok();
    let organization = server.get("/api/organization").await.ok();
    let unauthenticated = server.request(Method::GET, "/metrics");
    let answer = crate::answer(unauthenticated).await;
    assert_eq!(answer.status, StatusCode::OK);
    let secrets = [
        &server.key[..],
        "very-secret-project",
        &id,
        organization["id"].as_str().unwrap(),
    ];
    for secret in secrets {
        assert!(!answer.raw.contains(secret), "{secret} in\n{}", answer.raw);
    }
}
