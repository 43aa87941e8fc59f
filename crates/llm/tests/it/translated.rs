//! Streams of OpenAI-compatible servers that are not quite like OpenAI's.

use bailiwick_llm::{
    Block, Decoder, Event, Fold, Malformed, Message, OutputCap, Protocol, SseEvent, StopReason,
    UpstreamError, Usage,
};

fn fold(chunks: &[&str]) -> Result<Message, UpstreamError> {
    let mut decoder = Decoder::new(Protocol::Completions(OutputCap::MaxTokens), None);
    let mut fold = Fold::new();
    let mut push = |events: Vec<Event>| events.iter().try_for_each(|event| fold.push(event));
    for data in chunks {
        let event = SseEvent {
            name: "message".to_owned(),
            data: (*data).to_owned(),
        };
        push(decoder.decode(&event)?)?;
    }
    push(decoder.finish()?)?;
    Ok(fold.finish()?)
}

fn chunk(delta: &str, reason: &str) -> String {
    format!(
        r#"{{"id":"chatcmpl-1","model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]}}"#
    )
}

#[test]
fn usage_comes_behind_the_end_and_cached_input_is_counted_once() {
    let usage = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":64}}}"#;
    let message = fold(&[
        &chunk(r#"{"content":"a"}"#, "null"),
        &chunk("{}", r#""stop""#),
        usage,
        "[DONE]",
    ])
    .unwrap();
    assert_eq!(
        message.usage,
        Some(Usage {
            input_tokens: 36,
            output_tokens: 7,
            cache_read_tokens: 64,
            ..Usage::default()
        })
    );
    assert_eq!(message.content, [Block::text("a")]);
    assert_eq!(message.stopped.reason, StopReason::EndTurn);
}

#[test]
fn an_upstream_that_tells_no_usage_is_not_taken_to_be_free() {
    let message = fold(&[
        &chunk(r#"{"content":"a"}"#, "null"),
        &chunk("{}", r#""length""#),
        "[DONE]",
    ])
    .unwrap();
    assert_eq!(message.usage, None);
    assert_eq!(message.stopped.reason, StopReason::MaxTokens);
}

#[test]
fn pieces_of_two_calls_may_mix_and_a_missing_id_is_made_up() {
    let message = fold(&[
        &chunk(r#"{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}"#, "null"),
        &chunk(r#"{"tool_calls":[{"index":1,"function":{"name":"g","arguments":"{\"y\""}}]}"#, "null"),
        &chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":1}"}},{"index":1,"function":{"arguments":":2}"}}]}"#, "null"),
        // As some servers end.
        &chunk("{}", r#""stop""#),
    ])
    .unwrap();
    let calls: Vec<_> = message
        .calls()
        .map(|call| (call.id.as_str(), call.name.as_str(), call.input.get()))
        .collect();
    assert_eq!(
        calls,
        [
            ("a", "f", r#"{"x":1}"#),
            ("call_chatcmpl1_1", "g", r#"{"y":2}"#)
        ]
    );
    assert_eq!(message.stopped.reason, StopReason::ToolUse);
}

#[test]
fn thinking_comes_under_both_names_and_a_refusal_is_one() {
    for field in ["reasoning", "reasoning_content"] {
        let message = fold(&[
            &chunk(&format!(r#"{{"{field}":"hm"}}"#), "null"),
            &chunk(r#"{"content":"a"}"#, r#""stop""#),
        ])
        .unwrap();
        assert!(
            matches!(&message.content[..], [Block::Thinking(thinking), Block::Text(_)] if thinking.thinking == "hm")
        );
    }
    let message = fold(&[
        &chunk(r#"{"refusal":"No."}"#, "null"),
        &chunk("{}", r#""stop""#),
    ])
    .unwrap();
    assert_eq!(
        (message.content, message.stopped.reason),
        (vec![Block::text("No.")], StopReason::Refusal)
    );
}

#[test]
fn an_end_without_a_reason_is_a_cut_and_an_error_is_one() {
    assert!(matches!(
        fold(&[&chunk(r#"{"content":"a"}"#, "null")]),
        Err(UpstreamError::Cut)
    ));
    assert!(matches!(fold(&[]), Err(UpstreamError::Cut)));
    assert!(matches!(
        fold(&["[DONE]"]),
        Err(UpstreamError::Malformed(_))
    ));
    let error = fold(&[r#"{"error":{"message":"a","type":"overloaded_error"}}"#]);
    assert!(matches!(error, Err(UpstreamError::Overloaded { .. })));
}

#[test]
fn an_input_that_the_model_wrote_wrong_leaves_the_rest_of_the_answer() {
    let message = fold(&[
        &chunk(r#"{"content":"a","tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{'a': 1}"}}]}"#, "null"),
        &chunk(r#"{"tool_calls":[{"index":1,"id":"y","function":{"name":"g","arguments":"{}"}}]}"#, r#""tool_calls""#),
    ])
    .unwrap();
    let calls: Vec<_> = message.calls().map(|call| call.id.as_str()).collect();
    assert_eq!((calls, message.content.len()), (vec!["y"], 2));
    assert_eq!(message.broken_calls[0].input, "{'a': 1}");
}

#[test]
fn citations_and_the_inputs_of_the_upstreams_own_tools_go_back_with_their_blocks() {
    let events = [
        ("message_start", r#"{"message":{"id":"m","model":"c"}}"#),
        (
            "content_block_start",
            r#"{"index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}"#,
        ),
        (
            "content_block_delta",
            r#"{"index":0,"delta":{"type":"input_json_delta","partial_json":"{\"query\":\"a\"}"}}"#,
        ),
        ("content_block_stop", r#"{"index":0}"#),
        (
            "content_block_start",
            r#"{"index":1,"content_block":{"type":"text","text":"","citations":[]}}"#,
        ),
        (
            "content_block_delta",
            r#"{"index":1,"delta":{"type":"text_delta","text":"b"}}"#,
        ),
        (
            "content_block_delta",
            r#"{"index":1,"delta":{"type":"citations_delta","citation":{"n":1}}}"#,
        ),
        (
            "content_block_delta",
            r#"{"index":1,"delta":{"type":"citations_delta","citation":{"n":2}}}"#,
        ),
        ("content_block_stop", r#"{"index":1}"#),
        (
            "message_delta",
            r#"{"delta":{"stop_reason":"end_turn","stop_sequence":null}}"#,
        ),
        ("message_stop", "{}"),
    ];
    let (mut decoder, mut fold) = (Decoder::new(Protocol::Messages, None), Fold::new());
    for (name, data) in events {
        let event = SseEvent {
            name: name.to_owned(),
            data: data.to_owned(),
        };
        let events = decoder.decode(&event).unwrap();
        events
            .iter()
            .try_for_each(|event| fold.push(event))
            .unwrap();
    }
    let written = serde_json::to_value(fold.finish().unwrap().content).unwrap();
    assert_eq!(
        written,
        serde_json::json!([
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "a"}},
            {"type": "text", "text": "b", "citations": [{"n": 1}, {"n": 2}]},
        ])
    );
}

#[test]
fn no_answer_has_blocks_without_end() {
    let mut decoder = Decoder::new(Protocol::Completions(OutputCap::MaxTokens), None);
    let refused = (0..10_000).find_map(|index| {
        let call =
            format!(r#"{{"tool_calls":[{{"index":{index},"id":"a","function":{{"name":"f"}}}}]}}"#);
        let event = SseEvent {
            name: "message".to_owned(),
            data: chunk(&call, "null"),
        };
        decoder.decode(&event).err()
    });
    assert!(matches!(
        refused,
        Some(UpstreamError::Malformed(Malformed::TooLarge))
    ));
}
