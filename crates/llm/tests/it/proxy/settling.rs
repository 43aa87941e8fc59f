//! What is settled when an answer is not whole.

use std::io::{Read, Write};
use std::time::Duration;

use bailiwick_llm::Timeouts;
use bailiwick_llm::proxy::{SettledAs, Settlement};
use bailiwick_model::limits::LLM_READING_ON;
use bailiwick_testkit::{ModelFault, ModelServer, ModelStep, Pace};

use super::{
    CHAT, MESSAGES, anthropic_route, ask, chat_body, connect, front, messages_body, raw, route_to,
    target_with, usage,
};
use crate::front::Front;
use crate::{TIMEOUTS, serve, upstream_at};

const TEXT: &str = "A text that takes some events, and some more of them.";

fn cut(after: usize) -> ModelServer {
    let step = ModelStep::text(TEXT).with_fault(ModelFault::CutAfter(after));
    serve([step.always()])
}

async fn settled(server: &ModelServer, path: &str, body: &str) -> Settlement {
    let front = front(server).await;
    ask(front.address, "POST", path, "", body).await;
    front.settled(1)[0]
}

#[tokio::test]
async fn an_answer_that_is_cut_off_settles_to_what_was_streamed() {
    let body = messages_body(r#","stream":true"#);
    for after in 1..8 {
        let server = cut(after);
        let settlement = settled(&server, MESSAGES, &body).await;
        let told = usage(server.usage());
        assert_eq!(settlement.kind, SettledAs::Streamed, "after {after}");
        assert_eq!(settlement.usage.input_tokens, told.input_tokens);
        assert!(
            settlement.usage.output_tokens >= told.output_tokens,
            "{settlement:?} {told:?}"
        );
    }
    let body = chat_body(r#","stream":true"#);
    let server = cut(4);
    let settlement = settled(&server, CHAT, &body).await;
    assert_eq!(settlement.kind, SettledAs::Streamed);
    assert!(settlement.usage.input_tokens >= usage(server.usage()).input_tokens);
    assert!(settlement.usage.output_tokens > 5, "{settlement:?}");
}

#[tokio::test]
async fn what_is_cut_off_before_anything_was_said_is_not_known() {
    let body = messages_body(r#","stream":true"#);
    let settlement = settled(&cut(0), MESSAGES, &body).await;
    assert_eq!(settlement.kind, SettledAs::Unknown);
    // Of pictures nobody knows the tokens but the provider.
    let picture = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a.test/b.png"}}]}]}"#;
    let settlement = settled(&cut(4), CHAT, picture).await;
    assert_eq!(settlement.kind, SettledAs::Unknown);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_request_at_the_upstream_and_settles_it() {
    let pace = Pace {
        event_ms: 20,
        ..Pace::default()
    };
    let server = serve([ModelStep::text(TEXT.repeat(500)).at(pace)]);
    let front = front(&server).await;
    let body = messages_body(r#","stream":true"#);
    let length = body.len();
    let request =
        format!("POST {MESSAGES} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
    let address = front.address;
    tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        stream.write_all(request.as_bytes()).unwrap();
        let mut seen = 0;
        while seen < 2000 {
            seen += stream.read(&mut [0; 1024]).unwrap();
        }
    })
    .await
    .unwrap();
    let waiting = front.clone();
    let settled = tokio::task::spawn_blocking(move || waiting.settled(1));
    let settlement = settled.await.unwrap()[0];
    assert_eq!(settlement.kind, SettledAs::Streamed);
    assert!(settlement.usage.output_tokens > 0 && settlement.usage.input_tokens > 0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.streaming(), 0);
    assert!(!server.requests()[0].finished);
    front.settled(1);
}

#[tokio::test]
async fn who_leaves_just_before_the_end_pays_for_all_of_it() {
    let pace = Pace {
        event_ms: 100,
        ..Pace::default()
    };
    let server = serve([ModelStep::text("Short.").at(pace)]);
    let front = front(&server).await;
    let body = messages_body(r#","stream":true"#);
    let length = body.len();
    let request =
        format!("POST {MESSAGES} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
    let address = front.address;
    let seen = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        stream.write_all(request.as_bytes()).unwrap();
        let (mut seen, mut buffer) = (String::new(), [0; 1024]);
        while !seen.contains("content_block_stop") {
            let length = stream.read(&mut buffer).unwrap();
            seen += &String::from_utf8_lossy(&buffer[..length]);
        }
        seen
    });
    let seen = seen.await.unwrap();
    assert!(!seen.contains("message_delta"), "{seen}");
    let settled = tokio::task::spawn_blocking(move || front.settled(1));
    let settlement = settled.await.unwrap()[0];
    assert_eq!(settlement.kind, SettledAs::Told);
    assert_eq!(settlement.usage, usage(server.usage()));
}

/// Many at once leave long streams: those that nobody can read on are settled as the worst case, so leaving often makes nothing cheaper.
#[tokio::test]
async fn streams_that_are_left_and_that_nobody_can_read_on_leave_the_worst_case() {
    const MORE: usize = 6;
    let all = LLM_READING_ON + MORE;
    let pace = Pace {
        event_ms: 20,
        ..Pace::default()
    };
    let server = serve(vec![ModelStep::text(TEXT.repeat(500)).at(pace); all]);
    let front = front(&server).await;
    let body = messages_body(r#","stream":true"#);
    let length = body.len();
    let request =
        format!("POST {MESSAGES} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
    let address = front.address;
    let settled = tokio::task::spawn_blocking(move || {
        let mut streams: Vec<_> = (0..all).map(|_| connect(address)).collect();
        for stream in &mut streams {
            stream.write_all(request.as_bytes()).unwrap();
        }
        for stream in &mut streams {
            let mut seen = 0;
            while seen < 2000 {
                seen += stream.read(&mut [0; 1024]).unwrap();
            }
        }
        drop(streams);
        front.settled(all)
    });
    let settled = settled.await.unwrap();
    let of = |kind| settled.iter().filter(|told| told.kind == kind).count();
    assert_eq!(of(SettledAs::Unknown), MORE, "{settled:?}");
    assert_eq!(of(SettledAs::Streamed), LLM_READING_ON);
}

#[tokio::test]
async fn a_client_that_goes_before_the_answer_leaves_the_worst_case() {
    let pace = Pace {
        head_ms: 60_000,
        ..Pace::default()
    };
    let server = serve([ModelStep::text(TEXT).at(pace)]);
    let front = front(&server).await;
    let body = messages_body("");
    let length = body.len();
    let request =
        format!("POST {MESSAGES} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
    let address = front.address;
    let mut stream = tokio::task::spawn_blocking(move || connect(address))
        .await
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    while server.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(stream);
    let settled = tokio::task::spawn_blocking(move || front.settled(1));
    assert_eq!(settled.await.unwrap()[0].kind, SettledAs::Unknown);
}

#[tokio::test]
async fn an_upstream_that_says_nothing_or_never_ends_is_given_up() {
    let short = Timeouts {
        first_byte: Duration::from_millis(300),
        between_chunks: Duration::from_millis(300),
        whole: Duration::from_secs(1),
        ..TIMEOUTS
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let front = Front::start(vec![target_with(&upstream_at(&silent), short)]).await;
    let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
    assert_eq!(answer.status, 504);
    assert!(answer.text().contains("timeout_error"), "{}", answer.text());
    assert_eq!(front.settled(1)[0].kind, SettledAs::Unknown);

    let mut pieces = vec![b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n".to_vec()];
    pieces.resize(5000, b"event: ping\ndata: {}\n\n".to_vec());
    let endless = upstream_at(&format!("http://{}", raw(pieces)));
    let front = Front::start(vec![target_with(&endless, short)]).await;
    let began = std::time::Instant::now();
    let body = messages_body(r#","stream":true"#);
    let answer = ask(front.address, "POST", MESSAGES, "", &body).await;
    assert!(answer.text().contains("ping"));
    assert!(began.elapsed() < Duration::from_secs(8));
    assert_eq!(front.settled(1)[0].kind, SettledAs::Unknown);
}

#[tokio::test]
async fn an_answer_without_usage_or_of_another_encoding_leaves_the_worst_case() {
    for head in [
        "Content-Type: application/json\r\nContent-Length: 2",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{{}}");
        let front = Front::start(vec![route_to(raw(vec![answer.into_bytes()]))]).await;
        let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
        assert_eq!((answer.status, answer.text()), (200, "{}".to_owned()));
        assert_eq!(front.settled(1)[0].kind, SettledAs::Unknown);
    }
}

#[tokio::test]
async fn an_error_of_the_upstream_costs_nothing() {
    for status in [400, 401, 404, 413] {
        let server = serve([ModelStep::failure(status).always()]);
        let front = Front::start(vec![anthropic_route(&server)]).await;
        let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
        assert_eq!(answer.status, status);
        let settlement = front.settled(1)[0];
        assert_eq!(settlement.kind, SettledAs::Nothing);
        assert_eq!(settlement.status, Some(status));
        assert_eq!(server.requests().len(), 1);
    }
}
