//! Whole answers.

use bailiwick_llm::{Block, Delta, Event, Message, Request, StopReason, Turn, Usage};
use bailiwick_testkit::{ModelAnswer, ModelPiece, ModelReply, ModelServer, ModelStep, Pace};
use futures_util::{StreamExt, pin_mut};
use serde_json::json;

use crate::{KEY, client, openai, request, serve, upstream};

fn pieces() -> [ModelPiece; 4] {
    [
        ModelPiece::Thinking("Which file? The one that was named.".to_owned()),
        ModelPiece::Text("I look at it: “naïve” – \u{1f980}.".to_owned()),
        ModelPiece::tool(
            "read",
            json!({"path": "/a \"b\".txt", "lines": [1, 2.5, null]}),
        ),
        ModelPiece::tool("now", json!({})),
    ]
}

async fn whole(server: &ModelServer, request: &Request) -> Message {
    let events = client().stream(&upstream(server), request).await.unwrap();
    events.whole().await.unwrap()
}

/// Kinds and texts, without ids.
fn said(message: &Message) -> Vec<String> {
    let said = |block: &Block| match block {
        Block::Text(text) => format!("text {}", text.text),
        Block::Thinking(thinking) => format!("thinking {}", thinking.thinking),
        Block::ToolUse(call) => format!("{} {}", call.name, call.input.get()),
        Block::RedactedThinking(_)
        | Block::ToolResult(_)
        | Block::Image(_)
        | Block::Document(_)
        | Block::Other(_) => {
            panic!("not scripted: {block:?}")
        }
    };
    message.content.iter().map(said).collect()
}

const SAID: [&str; 4] = [
    "thinking Which file? The one that was named.",
    "text I look at it: “naïve” – \u{1f980}.",
    r#"read {"lines":[1,2.5,null],"path":"/a \"b\".txt"}"#,
    "now {}",
];

#[tokio::test]
async fn a_stream_is_folded_into_the_whole_message() {
    let server = serve([ModelStep::reply(pieces()).at(Pace {
        ping_every: 2,
        ..Pace::default()
    })]);
    let message = whole(&server, &request()).await;
    assert_eq!(said(&message), SAID);
    assert_eq!(message.stopped.reason, StopReason::ToolUse);
    assert_eq!(message.model, "claude-test-1");
    let Block::Thinking(thinking) = &message.content[0] else {
        panic!()
    };
    assert!(!thinking.signature.is_empty());
    let counted = server.usage();
    let usage = message.usage.unwrap();
    assert_eq!(
        (usage.input_tokens, usage.output_tokens),
        (counted.input_tokens, counted.output_tokens)
    );
    assert!(usage.input_tokens > 0 && usage.output_tokens > 0);
}

#[tokio::test]
async fn both_apis_give_the_same_message() {
    let steps = || [ModelStep::reply(pieces())];
    let (server, other) = (serve(steps()), serve(steps()));
    let message = whole(&server, &request()).await;
    let events = client().stream(&openai(&other), &request()).await.unwrap();
    let translated = events.whole().await.unwrap();
    assert_eq!(said(&translated), said(&message));
    assert_eq!(translated.stopped, message.stopped);
    let output = |message: &Message| message.usage.unwrap().output_tokens;
    assert_eq!(output(&translated), output(&message));
    assert_eq!(other.requests()[0].path, "/v1/chat/completions");
}

#[tokio::test]
async fn events_come_in_their_order_as_they_are_sent() {
    let server = serve([ModelStep::text("twelve chars and more")]);
    let events = client()
        .stream(&upstream(&server), &request())
        .await
        .unwrap();
    let events = events.into_stream();
    pin_mut!(events);
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        seen.push(match event.unwrap() {
            Event::Start(_) => "start".to_owned(),
            Event::BlockStart { index, .. } => format!("begin {index}"),
            Event::Delta {
                index,
                delta: Delta::Text(text),
            } => format!("{index} {text:?}"),
            Event::Delta { .. } => panic!("only text was scripted"),
            Event::BlockStop { index } => format!("end {index}"),
            Event::Stopping { stopped, .. } => stopped.unwrap().reason.as_str().to_owned(),
            Event::Ping => "ping".to_owned(),
            Event::End => "end".to_owned(),
        });
    }
    assert_eq!(
        seen,
        [
            "start",
            "begin 0",
            "ping",
            "0 \"twelve chars\"",
            "0 \" and more\"",
            "end 0",
            "end_turn",
            "end"
        ]
    );
}

#[tokio::test]
async fn a_request_arrives_as_it_was_made_with_key_version_and_agent() {
    let server = serve([ModelStep::text("a")]);
    let mut request = request();
    request.betas = vec!["context-management-2025-06-27"];
    request.rest.insert("thinking", json!({"type": "adaptive"}));
    whole(&server, &request).await;
    let [seen] = &server.requests()[..] else {
        panic!("one request")
    };
    let header = |name: &str| seen.headers.get(name).map(String::as_str);
    assert_eq!(header("x-api-key"), Some(KEY));
    assert_eq!(header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(
        header("anthropic-beta"),
        Some("context-management-2025-06-27")
    );
    assert_eq!(
        header("user-agent"),
        Some(concat!("bailiwick/", env!("CARGO_PKG_VERSION")))
    );
    let said = json!({"role": "user", "content": [{"type": "text", "text": "Say something."}]});
    assert_eq!(
        seen.body,
        json!({"model": "claude-test-1", "max_tokens": 1000, "stream": true, "messages": [said], "thinking": {"type": "adaptive"}})
    );
}

#[tokio::test]
async fn a_conversation_goes_on_with_what_came_and_the_cache_has_its_beginning() {
    let server = serve([ModelStep::reply(pieces()), ModelStep::text("done")]);
    let mut first = request();
    let system: Vec<Block> = serde_json::from_value(json!([{"type": "text", "text": "be brief ".repeat(50), "cache_control": {"type": "ephemeral", "ttl": "1h"}}])).unwrap();
    first.system = system;
    let message = whole(&server, &first).await;
    let written = message.usage.unwrap();
    assert!(
        written.cache_write_1h_tokens > 50 && written.cache_read_tokens == 0,
        "{written:?}"
    );
    let results = message
        .calls()
        .map(|call| json!({"type": "tool_result", "tool_use_id": call.id, "content": "ok"}));
    let results = json!({"role": "user", "content": results.collect::<Vec<_>>()});
    let mut second = first.clone();
    second.messages.push(message.turn());
    let results: Turn = serde_json::from_value(results).unwrap();
    second.messages.push(results);
    let read = whole(&server, &second).await.usage.unwrap();
    assert_eq!(
        read,
        Usage {
            cache_read_tokens: written.cache_write_1h_tokens,
            ..read
        }
    );
    assert_eq!(read.cache_write_1h_tokens, 0);
}

/// Cut off, or such as no reader has a value for: whoever ran it would run something else.
#[tokio::test]
async fn a_call_whose_input_cannot_be_read_is_none_and_is_told() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    let unreadable = [
        "{\"a\":",
        r#"{"a":"\ud83d"}"#,
        r#"{"\udc00":1}"#,
        r#"{"a":1e999}"#,
        &deep,
    ];
    for input in unreadable {
        let message = whole(&serve([calling_with(input)]), &request()).await;
        assert_eq!(message.content, [], "{input}");
        assert_eq!(message.stopped.reason, StopReason::MaxTokens);
        let [broken] = &message.broken_calls[..] else {
            panic!("one call: {message:?}")
        };
        assert_eq!(
            (broken.name.as_str(), broken.input.as_str()),
            ("write", input)
        );
        assert_eq!(
            message.usage.unwrap(),
            Usage {
                input_tokens: 1,
                output_tokens: 9,
                ..Usage::default()
            }
        );
    }
    let readable = r#"{"a":"\ud83d\ude00"}"#;
    let message = whole(&serve([calling_with(readable)]), &request()).await;
    assert_eq!(message.calls().next().unwrap().input.get(), readable);
}

/// An answer that calls a tool with this text as its input.
fn calling_with(input: &str) -> ModelStep {
    let part = json!({"index": 0, "delta": {"type": "input_json_delta", "partial_json": input}});
    let text = format!(
        "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"m\",\"model\":\"c\",\"usage\":{{\"input_tokens\":1}}}}}}\n\n\
        event: content_block_start\ndata: {{\"index\":0,\"content_block\":{{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"write\",\"input\":{{}}}}}}\n\n\
        event: content_block_delta\ndata: {part}\n\n\
        event: content_block_stop\ndata: {{\"index\":0}}\n\n\
        event: message_delta\ndata: {{\"delta\":{{\"stop_reason\":\"max_tokens\"}},\"usage\":{{\"output_tokens\":9}}}}\n\n\
        event: message_stop\ndata: {{}}\n\n"
    );
    ModelStep::text("x").with_fault(bailiwick_testkit::ModelFault::GarbageAfter(0, text))
}

#[tokio::test]
async fn a_refusal_and_blocks_of_the_upstreams_own_tools_come_through() {
    let search = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "a"}});
    let reply = ModelReply {
        pieces: vec![ModelPiece::Block(search.clone())],
        stop_reason: Some("refusal".to_owned()),
        output_tokens: Some(7),
        ..ModelReply::default()
    };
    let server = serve([ModelStep::answer(ModelAnswer::Reply(reply))]);
    let message = whole(&server, &request()).await;
    assert_eq!(
        serde_json::to_value(&message.content).unwrap(),
        json!([search])
    );
    assert_eq!(message.stopped.reason, StopReason::Refusal);
    assert_eq!(message.usage.unwrap().output_tokens, 7);
}
