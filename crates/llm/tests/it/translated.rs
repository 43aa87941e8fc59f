//! Streams of OpenAI-compatible servers that are not quite like OpenAI's.

use bailiwick_llm::{
    Block, Decoder, Event, Fold, Message, OutputCap, Protocol, SseEvent, StopReason, UpstreamError,
    Usage,
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
