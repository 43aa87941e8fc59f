//! That what passes is what was sent.

use std::time::{Duration, Instant};

use bailiwick_llm::proxy::SettledAs;
use bailiwick_testkit::{ModelPiece, ModelServer, ModelStep, Pace};
use serde_json::{Value, json};

use super::{CHAT, MESSAGES, ask, chat_body, front, messages_body, openai_route, usage};
use crate::front::Front;
use crate::{KEY, serve};

fn server() -> ModelServer {
    serve([ModelStep::reply([
        ModelPiece::Thinking("A thought.".to_owned()),
        ModelPiece::Text("“Naïve” \u{1f980} text.".to_owned()),
        ModelPiece::tool("weather", json!({"city": "Bern"})),
    ])
    .always()])
}

/// Asks the upstream itself and the proxy: the same bytes, and what it took is what was settled.
async fn same(direct: &str, through: &str, body: &str) {
    let (one, other) = (server(), server());
    let key = format!("x-api-key: {KEY}\r\nanthropic-version: 2023-06-01\r\n");
    let expected = ask(one.address(), "POST", direct, &key, body).await;
    let front = front(&other).await;
    let version = "x-api-key: virtual\r\nanthropic-version: 2023-06-01\r\n";
    let answer = ask(front.address, "POST", through, version, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.text(), expected.text());
    for name in ["content-type", "request-id", "content-length"] {
        assert_eq!(answer.header(name), expected.header(name), "{name}");
    }
    let [settlement] = front.settled(1)[..] else {
        unreachable!()
    };
    if through.ends_with("count_tokens") {
        assert_eq!(settlement.kind, SettledAs::Nothing);
    } else {
        assert_eq!(settlement.kind, SettledAs::Told);
        assert_eq!(settlement.usage, usage(other.usage()));
        assert!(settlement.usage.input_tokens > 0);
    }
    assert_eq!(settlement.status, Some(200));
}

#[tokio::test]
async fn answers_pass_byte_for_byte_and_are_settled_as_the_provider_tells() {
    let cached = r#","system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral","ttl":"1h"}}]"#;
    let streamed = format!(r#","stream":true{cached}"#);
    for body in [
        messages_body(""),
        messages_body(r#","stream":true"#),
        messages_body(cached),
        messages_body(&streamed),
    ] {
        same("/v1/messages", MESSAGES, &body).await;
    }
    for body in [
        chat_body(""),
        chat_body(r#","stream":true,"stream_options":{"include_usage":true}"#),
    ] {
        same("/v1/chat/completions", CHAT, &body).await;
    }
    let responses =
        |stream| format!(r#"{{"model":"gpt-test-1","input":"Hello.","stream":{stream}}}"#);
    for body in [responses(false), responses(true)] {
        same("/v1/responses", "/openai/v1/responses", &body).await;
    }
    let texts = r#"{"model":"gpt-test-1","input":["one","two"]}"#;
    same("/v1/embeddings", "/openai/v1/embeddings", texts).await;
    let counted = messages_body("");
    let path = "/anthropic/v1/messages/count_tokens";
    same("/v1/messages/count_tokens", path, &counted).await;
}

#[tokio::test]
async fn models_are_listed_with_the_query_that_the_api_has() {
    let server = server();
    let front = front(&server).await;
    for path in [
        "/anthropic/v1/models?limit=5&api_key=virtual",
        "/openai/v1/models",
    ] {
        let answer = ask(front.address, "GET", path, "", "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains("\"data\""));
    }
}

#[tokio::test]
async fn usage_that_only_the_proxy_asked_for_is_counted_and_does_not_pass() {
    let (one, other) = (server(), server());
    let key = format!("x-api-key: {KEY}\r\n");
    let told = chat_body(r#","stream":true,"stream_options":{"include_usage":true}"#);
    let expected = ask(one.address(), "POST", "/v1/chat/completions", &key, &told).await;
    let expected = expected.text();
    let usage_alone = |event: &&str| !event.contains(r#""choices":[]"#);
    let expected: String = expected
        .split_inclusive("\n\n")
        .filter(usage_alone)
        .collect();
    let front = Front::start(vec![openai_route(&other)]).await;
    let body = chat_body(r#","stream":true"#);
    let answer = ask(front.address, "POST", CHAT, "", &body).await;
    assert_eq!(answer.text(), expected);
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    let settlement = front.settled(1)[0];
    assert_eq!(
        (settlement.kind, settlement.usage),
        (SettledAs::Told, usage(other.usage()))
    );
}

#[tokio::test]
async fn a_request_passes_as_it_is_but_for_the_model_s_name() {
    let server = serve([ModelStep::text("a").always()]);
    let mut route = super::anthropic_route(&server);
    route.model = Some("claude-there-2".into());
    let front = Front::start(vec![route]).await;
    let body = r#"{ "max_tokens" : 7, "model" :"claude-h\u0065re", "messages":[{"role":"user","content":"\u00e9"}] , "x": 1.0e0 }"#;
    let answer = ask(front.address, "POST", MESSAGES, "", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let asked = &server.requests()[0];
    let expected = body.replace(r#""claude-h\u0065re""#, r#""claude-there-2""#);
    assert_eq!(asked.headers["content-length"], expected.len().to_string());
    assert_eq!(
        asked.body,
        serde_json::from_str::<Value>(&expected).unwrap()
    );
}

#[tokio::test]
async fn the_first_event_of_a_stream_does_not_wait_for_the_second() {
    let pace = Pace {
        event_ms: 3000,
        ..Pace::default()
    };
    let server = serve([ModelStep::text("a").at(pace).always()]);
    let front = front(&server).await;
    let body = messages_body(r#","stream":true"#);
    let length = body.len();
    let request = format!("POST {MESSAGES} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}");
    let began = Instant::now();
    let reading = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        let mut stream = super::connect(front.address);
        stream.write_all(request.as_bytes()).unwrap();
        let mut seen = Vec::new();
        let mut some = [0; 4096];
        while !String::from_utf8_lossy(&seen).contains("message_start") {
            let length = stream.read(&mut some).unwrap();
            assert!(length > 0);
            seen.extend_from_slice(&some[..length]);
        }
    });
    reading.await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(2500));
}
