//! Answers that are errors.

use bailiwick_llm::{Authentication, Block, Turn, Upstream, UpstreamError};
use bailiwick_testkit::{ModelAnswer, ModelFailure, ModelScript, ModelServer, ModelStep};

use crate::{KEY, client, openai, request, serve, upstream};

fn name(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Overloaded { .. } => "overloaded",
        UpstreamError::RateLimited { .. } => "rate limited",
        UpstreamError::Server { .. } => "server",
        UpstreamError::Refused { .. } => "refused",
        UpstreamError::ContextTooLong { .. } => "too long",
        UpstreamError::NotFound { .. } => "not found",
        UpstreamError::Authentication { .. } => "authentication",
        UpstreamError::Billing { .. } => "billing",
        UpstreamError::Dial(_) => "dial",
        UpstreamError::Tls(_) => "tls",
        UpstreamError::Http(_) => "http",
        UpstreamError::Cut => "cut",
        UpstreamError::Malformed(_) => "malformed",
        UpstreamError::Timeout(_) => "timeout",
        UpstreamError::Status { .. } => "status",
        UpstreamError::Untranslatable(_) => "untranslatable",
        UpstreamError::RequestTooLarge { .. } => "request too large",
    }
}

#[tokio::test]
async fn every_status_has_its_cause_in_both_apis() {
    for (status, cause, transient) in [
        (400, "refused", false),
        (401, "authentication", false),
        (402, "billing", false),
        (403, "authentication", false),
        (404, "not found", false),
        (408, "server", true),
        (413, "refused", false),
        (422, "refused", false),
        (429, "rate limited", true),
        (500, "server", true),
        (502, "server", true),
        (504, "server", true),
        (529, "overloaded", true),
    ] {
        let server = serve([ModelStep::failure(status), ModelStep::failure(status)]);
        for upstream in [upstream(&server), openai(&server)] {
            let error = client().stream(&upstream, &request()).await.unwrap_err();
            assert_eq!(
                (name(&error), error.is_transient()),
                (cause, transient),
                "{status}: {error}"
            );
            let told = error.told().unwrap();
            assert!(
                !told.message.is_empty() && told.request_id.as_deref().unwrap().starts_with("req_"),
                "{told:?}"
            );
            assert!(!error.to_string().contains(&told.message), "{error}");
        }
    }
}

#[tokio::test]
async fn a_limited_rate_says_how_long_to_wait() {
    let failure = ModelFailure {
        retry_after: Some("3".to_owned()),
        ..ModelFailure::of(429)
    };
    let server = serve([ModelStep::answer(ModelAnswer::Failure(failure))]);
    let error = client()
        .stream(&upstream(&server), &request())
        .await
        .unwrap_err();
    assert_eq!(error.retry_after().unwrap().as_secs(), 3);
}

#[tokio::test]
async fn a_wrong_key_is_told_without_the_key() {
    let server = serve([]);
    let wrong = Authentication::ApiKey("sk-wrong-key-9876".parse().unwrap());
    let upstream = Upstream {
        authentication: wrong,
        ..upstream(&server)
    };
    let error = client().stream(&upstream, &request()).await.unwrap_err();
    assert_eq!(name(&error), "authentication");
    for shown in [
        format!("{error:?}"),
        format!("{upstream:?}"),
        error.to_string(),
    ] {
        assert!(
            !shown.contains("sk-wrong") && !shown.contains(KEY),
            "{shown}"
        );
    }
    let none = Upstream {
        authentication: Authentication::None,
        ..upstream
    };
    assert_eq!(
        name(&client().stream(&none, &request()).await.unwrap_err()),
        "authentication"
    );
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_told_apart() {
    let server = ModelServer::start(ModelScript {
        context_tokens: Some(100),
        ..ModelScript::of([ModelStep::text("a").always()])
    });
    let mut long = request();
    for upstream in [upstream(&server), openai(&server)] {
        assert!(
            client().stream(&upstream, &long).await.is_ok(),
            "it is not too long yet"
        );
    }
    long.messages = vec![Turn::user("long ".repeat(200))];
    for upstream in [upstream(&server), openai(&server)] {
        let error = client().stream(&upstream, &long).await.unwrap_err();
        assert_eq!(name(&error), "too long");
    }
}

#[tokio::test]
async fn what_the_real_api_refuses_is_refused() {
    let server = serve([ModelStep::text("a").always()]);
    let result = |id: &str| {
        serde_json::from_str::<Block>(&format!(
            r#"{{"type":"tool_result","tool_use_id":"{id}","content":"a"}}"#
        ))
        .unwrap()
    };
    let call: Turn = serde_json::from_str(
        r#"{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"a","input":{}}]}"#,
    )
    .unwrap();
    let answer = Turn {
        content: vec![result("t1")],
        ..Turn::user("")
    };
    let ask = async |messages: Vec<Turn>| {
        let mut request = request();
        request.messages = messages;
        client().stream(&upstream(&server), &request).await.err()
    };
    assert!(
        ask(vec![Turn::user("a"), call.clone(), answer.clone()])
            .await
            .is_none()
    );
    for wrong in [
        vec![],
        vec![Turn::user("")],
        vec![call.clone()],
        vec![Turn::user("a"), call.clone(), Turn::user("no result")],
        vec![Turn::user("a"), answer],
        vec![Turn::user("a"), call],
    ] {
        let error = ask(wrong.clone()).await;
        assert!(
            matches!(error, Some(UpstreamError::Refused { status: 400, .. })),
            "{wrong:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_request_that_nobody_takes_is_not_sent() {
    let server = serve([]);
    let mut large = request();
    large.messages = vec![Turn::user(
        "a".repeat(bailiwick_model::limits::LLM_REQUEST_BYTES),
    )];
    let error = client()
        .stream(&upstream(&server), &large)
        .await
        .unwrap_err();
    assert_eq!(name(&error), "request too large");
    assert_eq!(server.connections(), 0);
}
