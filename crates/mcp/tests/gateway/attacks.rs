//! Those who mean harm. Each is blocked, and the honest one beside them is not.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{BOTH, World, modern, names, request};

#[tokio::test]
async fn another_callers_session_is_blocked() {
    let world = World::official().await;
    let session = world.session("ann", "2025-11-25").await;
    let ping = request(1, "ping", json!({}));
    for (caller, status) in [("Bearer bob", 404), ("Bearer ann", 200)] {
        let headers = [("authorization", caller), ("mcp-session-id", &session.id)];
        assert_eq!(world.post(&headers, &ping).await.status, status);
    }
    for method in [Method::GET, Method::DELETE] {
        let headers = [
            ("authorization", "Bearer bob"),
            ("mcp-session-id", &session.id),
        ];
        assert_eq!(world.send(method, &headers, "").await.status, 404);
    }
    assert_eq!(session.post(&ping).await.status, 200);
}

#[tokio::test]
async fn a_session_that_nobody_began_is_blocked() {
    let world = World::official().await;
    let session = world.session("ann", "2025-11-25").await;
    // 128 bits, of which each counts.
    assert!(session.id.len() == 32 && session.id.bytes().all(|b| b.is_ascii_hexdigit()));
    let ping = request(1, "ping", json!({}));
    for at in 0..32 {
        let mut guess = session.id.clone().into_bytes();
        guess[at] = if guess[at] == b'0' { b'1' } else { b'0' };
        let guess = String::from_utf8(guess).unwrap();
        assert_eq!(
            world
                .post(&[("mcp-session-id", &guess)], &ping)
                .await
                .status,
            404
        );
    }
    assert_eq!(world.post(&[], &ping).await.status, 400);
}

#[expect(
    clippy::disallowed_methods,
    reason = "no client of HTTP says that it asks for another host"
)]
#[tokio::test]
async fn a_page_of_another_origin_or_under_another_name_is_blocked() {
    let world = World::official().await;
    let own = format!("http://{}", world.address);
    let port = world.address.port();
    let begin = request(0, "initialize", json!({"protocolVersion": "2025-11-25"}));
    for (origin, status) in [
        (&*own, 200),
        ("http://evil.example.com", 403),
        ("null", 403),
        (&*format!("http://127.0.0.1:{}", port.wrapping_add(1)), 403),
        (&*format!("{own}.evil.example.com"), 403),
    ] {
        let answer = world.post(&[("origin", origin)], &begin).await;
        assert_eq!(answer.status, status, "{origin}");
    }
    // The name of a page whose address was changed to this machine's.
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let body = begin.to_string();
    let head = format!(
        "POST /mcp/test HTTP/1.1\r\nhost: evil.example.com\r\naccept: {BOTH}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len(),
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[tokio::test]
async fn what_is_too_long_or_too_deep_is_blocked() {
    let world = World::official().await;
    let session = world.session("ann", "2025-11-25").await;
    let call = |text: &str| {
        request(
            1,
            "tools/call",
            json!({"name": "py__long", "arguments": {"characters": 2, "x": text}}),
        )
    };
    assert_eq!(
        session.post(&call("a")).await.json().await["result"]["content"][0]["text"],
        "xx"
    );
    let long = session.post(&call(&"a".repeat(4 << 20))).await;
    assert_eq!(long.status, 413);
    for deep in ["[".repeat(1 << 20), r#"{"a":"#.repeat(1 << 19)] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"py__long","arguments":{deep}"#
        );
        assert_eq!(session.send(Method::POST, body).await.status, 400);
    }
    assert_eq!(
        session.post(&request(1, "ping", json!({}))).await.status,
        200
    );
}

#[tokio::test]
async fn headers_that_say_something_else_than_the_message_are_blocked() {
    let world = World::official().await;
    let params =
        json!({"name": "py__add", "arguments": {"a": 1, "b": 1}, "_meta": modern(Value::Null)});
    let call = request(1, "tools/call", params);
    let right = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "py__add"),
    ];
    assert_eq!(world.post(&right, &call).await.status, 200);
    for wrong in [
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-protocol-version", ""),
        ("mcp-method", "tools/list"),
        ("mcp-method", ""),
        ("mcp-name", "py__report"),
        ("mcp-name", "=?base64?cHlfX3JlcG9ydA==?="),
        ("mcp-name", ""),
    ] {
        let headers: Vec<_> = right
            .into_iter()
            .filter(|(name, _)| *name != wrong.0)
            .chain([wrong])
            .collect();
        let answer = world.post(&headers, &call).await;
        assert_eq!(answer.status, 400, "{wrong:?}");
        assert_eq!(answer.json().await["error"]["code"], -32020, "{wrong:?}");
    }
    let mut other = call.clone();
    other["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2099-01-01".into();
    let headers = [("mcp-protocol-version", "2099-01-01"), right[1], right[2]];
    let unknown = world.post(&headers, &other).await;
    assert_eq!(unknown.status, 400);
    let error = &unknown.json().await["error"];
    assert_eq!(
        (&error["code"], &error["data"]["requested"]),
        (&json!(-32022), &json!("2099-01-01"))
    );
    // In a session: another revision than was agreed on, and one that there is not.
    let session = world.session("ann", "2025-06-18").await;
    for (version, status) in [
        ("2025-06-18", 200),
        ("2025-11-25", 400),
        ("1999-01-01", 400),
    ] {
        let headers = [
            ("mcp-session-id", &*session.id),
            ("mcp-protocol-version", version),
        ];
        let answer = world.post(&headers, &request(1, "ping", json!({}))).await;
        assert_eq!(answer.status, status, "{version}");
    }
}

#[tokio::test]
async fn what_a_client_must_accept_and_send_is_asked_for() {
    let world = World::official().await;
    let begin = request(0, "initialize", json!({"protocolVersion": "2025-11-25"}));
    for (accept, status) in [
        ("application/json", 406),
        ("text/event-stream", 406),
        ("", 406),
        ("*/*", 200),
        ("text/*;q=0.5, application/json", 200),
    ] {
        let answer = world.post(&[("accept", accept)], &begin).await;
        assert_eq!(answer.status, status, "{accept}");
    }
    for (kind, status) in [
        ("text/plain", 415),
        ("", 415),
        ("Application/JSON; charset=utf-8", 200),
    ] {
        let answer = world.post(&[("content-type", kind)], &begin).await;
        assert_eq!(answer.status, status, "{kind}");
    }
    let put = world.send(Method::PUT, &[], "").await;
    assert_eq!(
        (put.status, &put.headers["allow"]),
        (405, &"POST, GET, DELETE".parse().unwrap())
    );
}

#[tokio::test]
async fn a_second_request_of_a_running_ones_id_is_blocked() {
    let world = World::official().await;
    let session = world.session("ann", "2025-11-25").await;
    let wait = request(
        5,
        "tools/call",
        json!({"name": "ts__wait", "arguments": {}}),
    );
    let running = session.post(&wait);
    let others = async {
        world.servers[1].says("waiting", 1).await;
        let twice = session.post(&request(5, "ping", json!({}))).await;
        // A ping runs nowhere.
        assert_eq!(twice.status, 200);
        let twice = session.post(&request(5, "tools/list", json!({}))).await;
        assert_eq!(twice.status, 400);
        let beside = session.post(&request(6, "tools/list", json!({}))).await;
        assert_eq!(beside.status, 200);
    };
    tokio::select! {
        _ = running => panic!("it waits for a minute"),
        () = others => {}
    }
}

#[tokio::test]
async fn the_cancellation_of_anothers_request_is_blocked() {
    let world = World::official().await;
    let (ann, bob) = (
        world.session("ann", "2025-11-25").await,
        world.session("bob", "2025-11-25").await,
    );
    let other = world.session("ann", "2025-11-25").await;
    let wait = request(
        5,
        "tools/call",
        json!({"name": "ts__wait", "arguments": {}}),
    );
    let cancel =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}});
    let cancelling = async {
        world.servers[1].says("waiting", 1).await;
        assert_eq!(bob.post(&cancel).await.status, 202);
        assert_eq!(other.post(&cancel).await.status, 202);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(world.servers[1].said("cancelled").is_empty());
        assert_eq!(ann.post(&cancel).await.status, 202);
    };
    let (answer, ()) = tokio::join!(ann.post(&wait), cancelling);
    assert!(answer.json().await["error"].is_object());
    world.servers[1].says("cancelled", 1).await;
}

#[tokio::test]
async fn a_tool_that_a_caller_is_not_served_is_blocked_by_its_name_too() {
    let world = World::official().await;
    let session = world.session("ann", "2025-11-25").await;
    let other = world.session("bob", "2025-11-25").await;
    assert!(session.names().await.contains(&"py__whoami".to_owned()));
    // It is hidden after it was listed.
    world.hide("ann", "py", "whoami");
    let hidden = session.call("py__whoami", json!({})).await;
    let unknown = session.call("zz__whoami", json!({})).await;
    assert_eq!(hidden["error"]["message"], "unknown tool: py__whoami");
    assert_eq!(hidden["error"]["code"], unknown["error"]["code"]);
    assert!(!session.names().await.contains(&"py__whoami".to_owned()));
    let alone = world
        .alone("ann", "tools/call", json!({"name": "py__whoami"}))
        .await;
    assert_eq!(alone.json().await["error"]["code"], -32602);
    let requests = world.servers[0].requests();
    let served = other.call("py__whoami", json!({})).await;
    assert_eq!(served["result"]["content"][0]["text"], "Bearer [redacted]");
    assert!(world.servers[0].requests().len() > requests.len());
}

#[tokio::test]
async fn a_list_that_was_made_for_one_caller_is_not_shown_to_another() {
    let world = World::official().await;
    world.hide("bob", "ts", "add");
    for _ in 0..2 {
        for (caller, has) in [("ann", true), ("bob", false)] {
            let session = world.session(caller, "2025-11-25").await;
            assert_eq!(
                session.names().await.contains(&"ts__add".to_owned()),
                has,
                "{caller}"
            );
            let alone = world
                .alone(caller, "tools/list", json!({}))
                .await
                .json()
                .await;
            assert_eq!(
                names(&alone, "tools").contains(&"ts__add".to_owned()),
                has,
                "{caller}"
            );
        }
    }
}

#[tokio::test]
async fn the_sessions_of_two_callers_with_a_server_are_two() {
    let world = World::official().await;
    let (ann, bob) = (
        world.session("ann", "2025-11-25").await,
        world.session("bob", "2025-11-25").await,
    );
    for count in 1..=2 {
        for session in [&ann, &bob] {
            let counted = session.call("ts__count", json!({})).await;
            assert_eq!(
                counted["result"]["content"][0]["text"],
                format!("call {count}")
            );
        }
    }
}

#[tokio::test]
async fn a_server_that_lies_is_blocked_and_told_of() {
    for path in [
        "endless",
        "endless-events",
        "one-long-event",
        "deep",
        "html",
        "other-answer",
    ] {
        let world = World::lying(path).await;
        let session = world.session("ann", "2025-11-25").await;
        let called = session.call("lie__do", json!({})).await;
        assert_eq!(called["error"]["code"], -32603, "{path}: {called}");
        let message = called["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("the server lie: "), "{message}");
        assert_eq!(session.ask("ping", json!({})).await["result"], json!({}));
    }
}

#[tokio::test]
async fn a_token_that_a_server_repeats_is_blocked_however_it_writes_it() {
    let world = World::lying("echo").await;
    let session = world.session("ann", "2025-11-25").await;
    let listed = session.ask("tools/list", json!({})).await;
    let description = &listed["result"]["tools"][0]["description"];
    assert_eq!(description, "was listed with [redacted]");
    let echoed = session.call("lie__do", json!({})).await;
    assert_eq!(echoed["result"]["content"][0]["text"], "you are [redacted]");
    let world = World::lying("echo-error").await;
    let session = world.session("ann", "2025-11-25").await;
    let failed = session.call("lie__do", json!({})).await;
    assert_eq!(failed["error"]["message"], "no, [redacted]");
    assert_eq!(failed["error"]["code"], -32000);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_little_and_its_server_waits() {
    let world = World::lying("endless-events").await;
    let session = world.session("ann", "2025-11-25").await;
    let params = json!({"name": "lie__do", "arguments": {}, "_meta": {"progressToken": 1}});
    let call = |id| request(id, "tools/call", params.clone());
    // More comes as soon as somebody reads.
    let mut read = session.post(&call(1)).await;
    let mut bytes = 0;
    while bytes < 1 << 20 {
        bytes += read.text().await.expect("it does not end").len();
    }
    drop(read);
    let before = memory();
    let mut unread = Vec::new();
    for id in 2..12 {
        unread.push(session.post(&call(id)).await);
    }
    for _ in 0..10 {
        unread.push(session.send(Method::GET, "").await);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(
        unread
            .iter()
            .all(|answer| answer.kind() == "text/event-stream")
    );
    // Each of the ten could have had 16 MiB by now.
    let more = memory().saturating_sub(before);
    assert!(more < 40 << 20, "{more} bytes more");
    assert_eq!(session.ask("ping", json!({})).await["result"], json!({}));
}

/// Bytes of memory that this process has.
fn memory() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
