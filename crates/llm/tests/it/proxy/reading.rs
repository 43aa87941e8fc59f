//! What is read of requests, and which are none.

use bailiwick_llm::proxy::{AskedTool, Asks, Endpoint, NotARequest, read};
use bailiwick_llm::{ModelPrice, Usage};
use bailiwick_model::limits::{LLM_CHOICES, LLM_REQUEST_BYTES, LLM_TOKENS_OF_REQUEST};
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};

fn check(endpoint: Endpoint, body: &str, check: impl FnOnce(Result<Asks<'_>, NotARequest>)) {
    check(read(endpoint, &Bytes::copy_from_slice(body.as_bytes())));
}

fn refused(endpoint: Endpoint, body: &str) -> NotARequest {
    let body = Bytes::copy_from_slice(body.as_bytes());
    match read(endpoint, &body) {
        Ok(asks) => panic!("{body:?} was read as {asks:?}"),
        Err(error) => error,
    }
}

#[test]
fn what_a_request_asks_for_is_found_wherever_it_stands() {
    let body = r#"{"messages":[{"role":"user","content":"a"}],"stream":true, "max_tokens": 50 ,"model" : "cl\u0061ude"}"#;
    check(Endpoint::Messages, body, |asks| {
        let asks = asks.unwrap();
        assert_eq!(asks.model_name(), "claude");
        assert_eq!(&body[asks.model.unwrap().at], r#""cl\u0061ude""#);
        assert!(asks.stream && !asks.is_open);
        assert_eq!(asks.output_cap, Some(50));
    });
    let body = r#"{"model":"m","max_tokens":5,"max_completion_tokens":7,"n":3}"#;
    check(Endpoint::ChatCompletions, body, |asks| {
        let asks = asks.unwrap();
        assert_eq!((asks.output_cap, asks.choices), (Some(7), 3));
        assert_eq!(asks.worst(None).output_tokens, 21);
    });
    let body = r#"{"model":"m","max_output_tokens":9,"input":"a","background":true}"#;
    check(Endpoint::Responses, body, |asks| {
        let asks = asks.unwrap();
        assert_eq!(asks.output_cap, Some(9));
        assert!(asks.background);
    });
    check(Endpoint::OpenAiModels, "", |asks| {
        assert_eq!(asks.unwrap().worst(None), Usage::default());
    });
}

#[test]
fn a_field_that_two_parsers_would_read_differently_is_refused() {
    let twice = |field| NotARequest::Twice { field };
    let spelling = |field| NotARequest::Spelling { field };
    for (body, error) in [
        (r#"{"model":"a","model":"b"}"#, twice("model")),
        (r#"{"model":"a","mod\u0065l":"b"}"#, twice("model")),
        (r#"{"model":"a","Model":"b"}"#, spelling("model")),
        (r#"{"model":"a","\u004dODEL":"b"}"#, spelling("model")),
        (r#"{"model":"a","n":1,"N":9}"#, spelling("n")),
        (
            r#"{"model":"a","max_to\u212aens":9}"#,
            spelling("max_tokens"),
        ),
        (
            r#"{"model":"a","max_tokens":1,"max_tokens":9}"#,
            twice("max_tokens"),
        ),
        (
            r#"{"model":"a","stream":true,"stream_options":{"include_usage":true,"include_usage":false}}"#,
            twice("include_usage"),
        ),
        (
            r#"{"model":"a","tools":[{"type":"function","function":{"name":"a","name":"b"}}]}"#,
            twice("name"),
        ),
        (
            r#"{"model":"a","messages":[{"content":[{"type":"text","type":"image"}]}]}"#,
            twice("type"),
        ),
    ] {
        assert_eq!(refused(Endpoint::ChatCompletions, body), error, "{body}");
    }
}

#[test]
fn what_is_no_request_is_refused_with_the_reason() {
    let chat = |body: &str| refused(Endpoint::ChatCompletions, body);
    assert!(matches!(chat(""), NotARequest::Json { line: 1, .. }));
    for body in [
        "{",
        "{}{}",
        r#"{"model":"a"} x"#,
        r#"{"model":"a",}"#,
        r#"{'model':'a'}"#,
        r#"{"model":"a","x":NaN}"#,
        r#"{"model":"a","x":"\ud800"}"#,
        "\u{feff}{\"model\":\"a\"}",
        "[\"model\"]",
        "\"model\"",
    ] {
        assert!(
            matches!(chat(body), NotARequest::Json { .. }),
            "{body}: {:?}",
            chat(body)
        );
    }
    assert_eq!(chat("{}"), NotARequest::NoModel);
    assert_eq!(chat(r#"{"model":""}"#), NotARequest::ModelName);
    let long = format!(r#"{{"model":"{}"}}"#, "a".repeat(257));
    assert_eq!(chat(&long), NotARequest::ModelName);
    for (field, value) in [
        ("max_tokens", "-1"),
        ("max_tokens", "1e400"),
        ("max_tokens", "1.5"),
        ("max_tokens", "\"5\""),
        ("max_tokens", "99999999999999999999999999"),
        ("max_completion_tokens", "[5]"),
        ("n", "-3"),
        ("n", "true"),
        ("stream", "1"),
        ("stream", "\"true\""),
        ("model", "null"),
        ("model", "[\"a\"]"),
    ] {
        let rest = if field == "model" {
            ""
        } else {
            r#","model":"a""#
        };
        let body = format!(r#"{{"{field}":{value}{rest}}}"#);
        let error = chat(&body);
        assert!(
            matches!(&error, NotARequest::Value { field: found, .. } if *found == field)
                || matches!(error, NotARequest::Json { .. }),
            "{body}: {error:?}"
        );
    }
    // What no model gives would only stop who counts it.
    for (field, most) in [
        ("max_completion_tokens", LLM_TOKENS_OF_REQUEST),
        ("n", LLM_CHOICES),
    ] {
        let body = |number: u64| format!(r#"{{"{field}":{number},"model":"a"}}"#);
        let error = chat(&body(most + 1));
        assert_eq!(error, NotARequest::TooMuch { field, most });
        assert_eq!(chat(&body(u64::MAX)), error);
        check(Endpoint::ChatCompletions, &body(most), |read| {
            assert!(read.is_ok(), "{field}");
        });
    }
    assert_eq!(refused(Endpoint::OpenAiModels, "{}"), NotARequest::HasBody);
    let large = " ".repeat(LLM_REQUEST_BYTES + 1);
    assert!(matches!(chat(&large), NotARequest::TooLarge { .. }));
}

#[test]
fn what_is_deep_is_refused_before_it_is_a_danger() {
    for deep in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        for field in ["messages", "tools", "x", "metadata"] {
            let body = format!(r#"{{"model":"a","{field}":{deep}"#);
            assert!(matches!(
                refused(Endpoint::ChatCompletions, &body),
                NotARequest::Json { .. }
            ));
        }
    }
}

#[test]
fn tools_are_told_by_who_runs_them() {
    let body = r#"{"model":"a","tools":[
        {"name":"look_up","input_schema":{"properties":{"name":{"type":"string"},"file_id":{}}}},
        {"type":"bash_20250124","name":"bash"},
        {"type":"web_search_20250305","name":"web_search"},
        {"type":"what_is_new","name":"x"}],
        "mcp_servers":[{"type":"url","url":"https://mcp.test/sse","name":"wiki"}]}"#;
    check(Endpoint::Messages, body, |asks| {
        let asks = asks.unwrap();
        assert_eq!(
            asks.tools,
            [
                AskedTool::Client("look_up".into()),
                AskedTool::Client("bash".into()),
                AskedTool::Provider("web_search_20250305".into()),
                AskedTool::Provider("what_is_new".into()),
                AskedTool::McpServer {
                    name: "wiki".into(),
                    url: Some("https://mcp.test/sse".into())
                },
            ]
        );
        assert!(asks.has_provider_tools() && !asks.is_open);
    });
    let body = r#"{"model":"a","tools":[{"type":"function","function":{"name":"f","parameters":{}}},{"type":"function","name":"g"},
        {"type":"mcp","server_label":"wiki","server_url":"https://mcp.test"}],"functions":[{"name":"h"}]}"#;
    check(Endpoint::Responses, body, |asks| {
        let names: Vec<_> = asks.unwrap().tools;
        assert_eq!(names.len(), 4);
        assert_eq!(names[0], AskedTool::Client("f".into()));
        assert_eq!(names[1], AskedTool::Client("g".into()));
        assert!(matches!(names[2], AskedTool::McpServer { .. }));
        assert_eq!(names[3], AskedTool::Client("h".into()));
    });
}

#[test]
fn content_whose_tokens_its_bytes_do_not_bound_is_open() {
    let is_open = |part: &str| {
        let body = Bytes::from(format!(
            r#"{{"model":"a","messages":[{{"role":"user","content":[{part}]}}]}}"#
        ));
        let asks = read(Endpoint::Messages, &body).unwrap();
        (asks.is_open, asks.pictures)
    };
    for open in [
        r#"{"type":"image","source":{"type":"url","url":"https://a.test/b.png"}}"#,
        r#"{"type":"image","source":{"type":"file","file_id":"file_1"}}"#,
        r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AA"}}"#,
        r#"{"source":{"data":"AA","media_type":"application/pdf","type":"base64"},"type":"document"}"#,
        r#"{"type":"container_upload","file_id":"file_1"}"#,
        r#"{"type":"image_url","image_url":{"url":"https://a.test/b.png"}}"#,
        r#"{"type":"input_image","image_url":"https://a.test/b.png"}"#,
        r#"{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}"#,
        r#"{"type":"file","file":{"file_data":"AA"}}"#,
        r#"{"type":"item_reference","id":"a"}"#,
        r#"{"type":"what_is_new"}"#,
        r#"{"type":7}"#,
        r#"{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"type":"url","url":"https://a.test"}}]}"#,
    ] {
        assert!(is_open(open).0, "{open}");
    }
    for bounded in [
        r#"{"type":"text","text":"https://a.test"}"#,
        r#"{"type":"tool_use","id":"t","name":"n","input":{"url":"https://a.test","type":"file","file_id":"a"}}"#,
        r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a"}}"#,
        r#"{"type":"text","text":"a","cache_control":{"type":"ephemeral"},"citations":[{"type":"x","url":"https://a.test"}]}"#,
    ] {
        assert_eq!(is_open(bounded), (false, 0), "{bounded}");
    }
    for picture in [
        r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}}"#,
        r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}"#,
        r#"{"type":"input_image","image_url":"data:image/png;base64,AA"}"#,
    ] {
        assert_eq!(is_open(picture), (false, 1), "{picture}");
    }
    for more in [
        r#""previous_response_id":"resp_1""#,
        r#""conversation":"conv_1""#,
        r#""prompt":{"id":"pmpt_1"}"#,
        r#""container":"c""#,
    ] {
        let body = format!(r#"{{"model":"a","input":"a",{more}}}"#);
        check(Endpoint::Responses, &body, |asks| {
            assert!(asks.unwrap().is_open, "{more}");
        });
    }
}

#[test]
fn what_is_dearer_than_the_table_knows_is_told() {
    let surcharge = |more: &str| {
        let body = Bytes::from(format!(r#"{{"model":"a",{more}}}"#));
        read(Endpoint::ChatCompletions, &body).unwrap().surcharge
    };
    assert_eq!(
        surcharge(r#""service_tier":"priority""#),
        Some("service_tier")
    );
    assert_eq!(surcharge(r#""service_tier":"auto""#), None);
    assert_eq!(surcharge(r#""service_tier":null"#), None);
    assert_eq!(surcharge(r#""speed":"fast""#), Some("speed"));
    assert_eq!(
        surcharge(r#""modalities":["text","audio"]"#),
        Some("modalities")
    );
    assert_eq!(surcharge(r#""modalities":[ "text" ]"#), None);
    assert_eq!(
        surcharge(r#""tools":[{"type":"web_search_20250305","name":"web_search"}]"#),
        Some("tools")
    );
    assert_eq!(
        surcharge(r#""tools":[{"type":"what_is_new"}]"#),
        Some("tools")
    );
    let free = r#""tools":[{"type":"web_fetch_20250910"},{"type":"tool_search_tool_bm25_20251119"},{"type":"bash_20250124"},{"name":"a"}]"#;
    assert_eq!(surcharge(free), None);
    assert_eq!(
        surcharge(r#""web_search_options":{}"#),
        Some("web_search_options")
    );
    let sound = r#""messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA"}}]}]"#;
    assert_eq!(surcharge(sound), Some("input_audio"));
    assert_eq!(surcharge(r#""plugins":[{"id":"web"}]"#), Some("plugins"));
}

#[test]
fn a_pass_of_the_model_that_no_usage_tells_of_is_dearer_than_the_table_knows() {
    let surcharge = |value: &str| {
        let body = Bytes::from(format!(r#"{{"model":"a","context_management":{value}}}"#));
        read(Endpoint::Messages, &body).unwrap().surcharge
    };
    for clears in [
        "null",
        "{}",
        r#"{"edits":[]}"#,
        r#"{"edits":[{"type":"clear_tool_uses_20250919","keep":3},{"type":"clear_thinking_20251015"}]}"#,
    ] {
        assert_eq!(surcharge(clears), None, "{clears}");
    }
    for more in [
        r#"{"edits":[{"type":"compact_20260112"}]}"#,
        r#"{"edits":[{"type":"comp\u0061ct_20260112"}]}"#,
        r#"{"edits":[{"type":"clear_thinking_20251015"},{"type":"what_is_new"}]}"#,
        r#"[{"type":"compaction","compact_threshold":1000}]"#,
        r#"{"edits":7}"#,
        "7",
    ] {
        assert_eq!(surcharge(more), Some("context_management"), "{more}");
    }
}

#[test]
fn a_request_that_names_other_models_than_its_own_is_refused() {
    for field in ["models", "fallbacks"] {
        let body = format!(r#"{{"model":"a","{field}":["b"]}}"#);
        let error = refused(Endpoint::ChatCompletions, &body);
        assert_eq!(error, NotARequest::OtherModels { field });
        let body = format!(r#"{{"model":"a","{field}":null}}"#);
        check(Endpoint::ChatCompletions, &body, |asks| {
            assert_eq!(asks.unwrap().surcharge, None);
        });
    }
}

#[test]
fn the_worst_case_is_bounded_by_bytes_cap_and_context() {
    let price: ModelPrice = serde_json::from_str(
        r#"{"input":"1","output":"2","context_tokens":200000,"output_tokens":8000}"#,
    )
    .unwrap();
    let worst = |body: &str| {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let worst = read(Endpoint::Messages, &body).unwrap().worst(Some(&price));
        (worst.input_tokens, worst.output_tokens, body.len() as u64)
    };
    let (input, output, bytes) = worst(r#"{"model":"a","max_tokens":100,"messages":[]}"#);
    assert!(input >= bytes && input < bytes + 5000);
    assert_eq!(output, 100);
    assert_eq!(worst(r#"{"model":"a","max_tokens":99999999}"#).1, 8000);
    assert_eq!(worst(r#"{"model":"a"}"#).1, 8000);
    let (input, ..) = worst(r#"{"model":"a","container":"c"}"#);
    assert_eq!(input, 200_000);
    let (input, ..) = worst(r#"{"model":"a","tools":[{"type":"web_search_20250305"}]}"#);
    assert_eq!(input, 2_000_000);
    let body = Bytes::from_static(br#"{"model":"a","container":"c"}"#);
    let mut asks = read(Endpoint::Messages, &body).unwrap();
    let betas = HeaderValue::from_static("files-api-2025-04-14, context-1m-2025-08-07");
    asks.heed(&HeaderMap::from_iter([(
        HeaderName::from_static("anthropic-beta"),
        betas,
    )]));
    assert_eq!(asks.worst(Some(&price)).input_tokens, 1_000_000);
}
