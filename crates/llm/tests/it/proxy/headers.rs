//! Which headers pass.

use bailiwick_testkit::ModelStep;

use super::{CHAT, MESSAGES, ask, chat_body, exchange, front, messages_body, raw, route_to};
use crate::front::Front;
use crate::{KEY, serve};

#[tokio::test]
async fn nothing_of_the_client_reaches_the_upstream_but_what_the_api_has() {
    let server = serve([ModelStep::text("a").always()]);
    let front = front(&server).await;
    let virtual_keys = "Authorization: Bearer virtual-1\r\nX-Api-Key: virtual-2\r\nApi-Key: virtual-3\r\nX-Goog-Api-Key: virtual-4\r\n\
        Cookie: session=virtual-5\r\nProxy-Authorization: Basic virtual-6\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n\
        Openai-Organization: org-virtual\r\nConnection: keep-alive, x-virtual\r\nX-Virtual: virtual-7\r\nExpect: 100-continue\r\n\
        User-Agent: sdk/1.0\r\nAnthropic-Version: 2023-06-01\r\nAnthropic-Beta: one,two\r\nAccept-Encoding: gzip\r\n";
    ask(
        front.address,
        "POST",
        MESSAGES,
        virtual_keys,
        &messages_body(""),
    )
    .await;
    ask(front.address, "POST", CHAT, virtual_keys, &chat_body("")).await;
    let requests = server.requests();
    let of = |number: usize| {
        let headers = requests[number].headers.iter();
        let headers = headers.filter(|(name, _)| *name != "host" && *name != "content-length");
        headers
            .map(|(name, value)| format!("{name}: {value}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of(0),
        [
            "accept-encoding: identity",
            "anthropic-beta: one,two",
            "anthropic-version: 2023-06-01",
            "content-type: application/json",
            "user-agent: sdk/1.0",
            &format!("x-api-key: {KEY}"),
        ]
    );
    assert_eq!(
        of(1),
        [
            "accept-encoding: identity",
            "anthropic-beta: one,two",
            "anthropic-version: 2023-06-01",
            &format!("authorization: Bearer {KEY}"),
            "content-type: application/json",
            "user-agent: sdk/1.0",
        ]
    );
    assert_eq!(requests[0].headers["host"], server.address().to_string());
}

#[tokio::test]
async fn the_upstream_s_key_does_not_pass_whatever_the_upstream_says() {
    let said = format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}"}}}}"#);
    let length = said.len();
    let answer = format!(
        "HTTP/1.1 401 No\r\nContent-Type: application/json\r\nX-Request-Id: {KEY}\r\nOpenai-Echo: Bearer {KEY}\r\nSet-Cookie: k={KEY}\r\n\
        Content-Length: {length}\r\n\r\n{said}"
    );
    let front = Front::start(vec![route_to(raw(vec![answer.into_bytes()]))]).await;
    let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("provided: [key]"));
    assert!(!answer.head.contains(KEY), "{}", answer.head);
}

#[tokio::test]
async fn interim_answers_trailers_and_cookies_do_not_pass() {
    let body = r#"{"usage":{"input_tokens":1,"output_tokens":2}}"#;
    let answer = format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: a=b\r\nTrailer: x-cost\r\nTransfer-Encoding: chunked\r\n\r\n\
        {:x}\r\n{body}\r\n0\r\nx-cost: 5\r\n\r\n",
        body.len()
    );
    let front = Front::start(vec![route_to(raw(vec![answer.into_bytes()]))]).await;
    let answer = ask(front.address, "POST", MESSAGES, "", &messages_body("")).await;
    assert_eq!((answer.status, answer.text()), (200, body.to_owned()));
    for name in ["set-cookie", "trailer", "x-cost", "link"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(front.settled(1)[0].usage.output_tokens, 2);
}

#[tokio::test]
async fn a_request_that_is_two_to_somebody_is_none_to_the_upstream() {
    let server = serve([ModelStep::text("a").always()]);
    let front = front(&server).await;
    let inner = messages_body("");
    let smuggled = format!(
        "POST {MESSAGES} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
        {:x}\r\n{inner}\r\n0\r\n\r\nGET /anthropic/v1/models HTTP/1.1\r\nHost: a\r\n\r\n",
        inner.len(),
        inner.len()
    );
    exchange(front.address, smuggled.into_bytes()).await;
    let requests = server.requests();
    assert!(requests.len() <= 1, "{requests:?}");
    for request in requests {
        assert!(!request.headers.contains_key("transfer-encoding"));
        assert_eq!(request.path, "/v1/messages");
    }
}
