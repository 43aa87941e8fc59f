//! Upstreams that send what no provider would.

use bailiwick_llm::proxy::SettledAs;
use bailiwick_model::limits::LLM_HELD_BYTES;

use super::{CHAT, MESSAGES, ask, chat_body, messages_body, raw, target_with};
use crate::front::Front;
use crate::{TIMEOUTS, connections, upstream_at};

fn openai_at(address: std::net::SocketAddr) -> bailiwick_llm::proxy::Route {
    let upstream = bailiwick_llm::Upstream {
        protocol: bailiwick_llm::Protocol::Completions(bailiwick_llm::OutputCap::MaxTokens),
        ..upstream_at(&format!("http://{address}"))
    };
    target_with(&upstream, TIMEOUTS)
}

#[tokio::test]
async fn a_line_without_an_end_passes_and_takes_no_memory() {
    const PIECES: usize = 256;
    let mut pieces =
        vec![b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {\"a\":\"".to_vec()];
    pieces.resize(PIECES + 1, vec![b'a'; 1 << 20]);
    let address = raw(pieces);
    let front = Front::start(vec![openai_at(address)]).await;
    let before = connections::resident_kib();
    let body = chat_body(r#","stream":true"#);
    let length = body.len();
    let request = format!("POST {CHAT} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}");
    let at = front.address;
    let (read, most) = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        let mut stream = super::connect(at);
        stream.write_all(request.as_bytes()).unwrap();
        let (mut read, mut most, mut some) = (0, 0, vec![0; 1 << 20]);
        loop {
            let length = stream.read(&mut some).unwrap();
            if length == 0 {
                return (read, most);
            }
            read += length;
            most = most.max(connections::resident_kib());
        }
    })
    .await
    .unwrap();
    assert!(read > PIECES << 20, "{read}");
    // The upstream is in this process too, and has one piece.
    assert!(most < before + 64 * 1024, "{before} KiB, then {most} KiB");
    assert_eq!(front.settled(1)[0].kind, SettledAs::Unknown);
}

#[tokio::test]
async fn an_event_that_might_be_the_proxy_s_is_held_no_longer_than_it_may_be() {
    let long = format!("data: {{\"a\":\"{}\"}}\n\n", "b".repeat(2 * LLM_HELD_BYTES));
    let end = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6,\"total_tokens\":11}}\n\ndata: [DONE]\n\n";
    let pieces = vec![
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n".to_vec(),
        long[..LLM_HELD_BYTES].into(),
        long[LLM_HELD_BYTES..].into(),
        end[..40].into(),
        end[40..].into(),
    ];
    let front = Front::start(vec![openai_at(raw(pieces))]).await;
    let answer = ask(
        front.address,
        "POST",
        CHAT,
        "",
        &chat_body(r#","stream":true"#),
    )
    .await;
    assert_eq!(answer.text(), format!("{long}data: [DONE]\n\n"));
    let settlement = front.settled(1)[0];
    assert_eq!(settlement.kind, SettledAs::Told);
    assert_eq!(settlement.usage.output_tokens, 6);
}

#[tokio::test]
async fn usage_without_sense_is_no_panic() {
    for usage in [
        r#"{"usage":{"input_tokens":99999999999999999999999,"output_tokens":18446744073709551615}}"#,
        r#"{"usage":{"input_tokens":-1,"output_tokens":1e400}}"#,
        r#"{"usage":[[[[{"input_tokens":1}]]]]}"#,
        r#"{"usage":"#,
        "}}}}]]]]",
        &"[".repeat(100_000),
    ] {
        let length = usage.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{usage}"
        );
        let route = super::route_to(raw(vec![answer.into_bytes()]));
        let front = Front::start(vec![route]).await;
        let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
        assert_eq!(answer.text(), usage);
        front.settled(1);
    }
}
