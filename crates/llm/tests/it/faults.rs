//! Answers that break, and upstreams that are none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use bailiwick_llm::{Client, Event, Malformed, Phase, SseError, Timeouts, Upstream, UpstreamError};
use bailiwick_model::limits::{LLM_ANSWER_HEAD_BYTES, LLM_EVENT_BYTES};
use bailiwick_outbound::Way;
use bailiwick_testkit::{ModelFailure, ModelFault, ModelServer, ModelStep, Pace};

use crate::{TIMEOUTS, client, client_with, openai, request, serve, upstream, upstream_at};

const TEXT: &str = "A text that takes some events.";

/// Events until the end, and what the end was.
async fn read(client: &Client, upstream: &Upstream) -> (usize, Option<UpstreamError>) {
    let mut events = match client.stream(upstream, &request()).await {
        Ok(events) => events,
        Err(error) => return (0, Some(error)),
    };
    let mut count = 0;
    while let Some(event) = events.next().await {
        match event {
            Ok(_) => count += 1,
            Err(error) => {
                assert!(events.next().await.is_none(), "nothing follows an error");
                return (count, Some(error));
            }
        }
    }
    (count, None)
}

fn faulty(fault: ModelFault) -> ModelServer {
    serve([ModelStep::text(TEXT).with_fault(fault).always()])
}

#[tokio::test]
async fn an_answer_that_ends_early_is_cut_wherever_it_ends() {
    let whole = serve([ModelStep::text(TEXT).always()]);
    let (all, end) = read(&client(), &upstream(&whole)).await;
    assert!(all > 8 && end.is_none());
    for after in 0..all {
        for fault in [ModelFault::CutAfter(after), ModelFault::EndAfter(after)] {
            let server = faulty(fault);
            let (count, error) = read(&client(), &upstream(&server)).await;
            assert_eq!(count, after);
            assert!(
                matches!(error, Some(UpstreamError::Cut)),
                "after {after}: {error:?}"
            );
        }
    }
    let server = faulty(ModelFault::EndAfter(2));
    assert!(matches!(
        read(&client(), &openai(&server)).await.1,
        Some(UpstreamError::Cut)
    ));
}

#[tokio::test]
async fn an_error_within_a_stream_has_its_cause() {
    for (kind, transient) in [
        ("overloaded_error", true),
        ("api_error", true),
        ("rate_limit_error", true),
        ("invalid_request_error", false),
    ] {
        let failure = ModelFailure {
            kind: Some(kind.to_owned()),
            ..ModelFailure::of(529)
        };
        let server = faulty(ModelFault::ErrorAfter(4, failure));
        for (upstream, before) in [(upstream(&server), 4), (openai(&server), 4)] {
            let (count, error) = read(&client(), &upstream).await;
            let error = error.unwrap();
            assert_eq!(error.told().unwrap().kind.as_deref(), Some(kind));
            assert_eq!(error.is_transient(), transient, "{error}");
            assert!(count >= before, "what came before is told: {count}");
        }
    }
}

#[tokio::test]
async fn what_is_no_stream_of_the_api_is_malformed() {
    let start = "event: message_start\ndata: {\"message\":{\"id\":\"a\",\"model\":\"b\"}}\n\n";
    for garbage in [
        "event: message_start\ndata: {\n\n".to_owned(),
        "event: message_start\ndata: [1]\n\n".to_owned(),
        format!("{start}event: content_block_delta\ndata: {{\"index\":-1}}\n\n"),
        format!(
            "{start}event: content_block_start\ndata: {{\"index\":0,\"content_block\":{{\"type\":\"text\"}}}}\n\n"
        ),
    ] {
        let server = faulty(ModelFault::GarbageAfter(0, garbage.clone()));
        let (_, error) = read(&client(), &upstream(&server)).await;
        assert!(
            matches!(error, Some(UpstreamError::Malformed(Malformed::Json(_)))),
            "{garbage}: {error:?}"
        );
        assert!(!error.unwrap().is_transient());
    }
    for out_of_place in [
        "event: content_block_stop\ndata: {\"index\":0}\n\n".to_owned(),
        format!("{start}{start}"),
        format!("{start}event: content_block_stop\ndata: {{\"index\":0}}\n\n"),
        format!("{start}event: message_stop\ndata: {{}}\n\n"),
    ] {
        let server = faulty(ModelFault::GarbageAfter(0, out_of_place.clone()));
        let events = client()
            .stream(&upstream(&server), &request())
            .await
            .unwrap();
        let error = events.whole().await.unwrap_err();
        assert!(
            matches!(error, UpstreamError::Malformed(Malformed::OutOfPlace(_))),
            "{out_of_place}: {error:?}"
        );
    }
    let unknown = format!(
        "{start}event: what_is_new\ndata: ???\n\n: comment\n\nevent: message_stop\ndata: {{}}\n\n"
    );
    let server = faulty(ModelFault::GarbageAfter(0, unknown));
    assert!(
        read(&client(), &upstream(&server)).await.1.is_none(),
        "events that are added later are passed over"
    );
}

#[tokio::test]
async fn an_event_without_an_end_takes_no_more_memory_than_an_event_may() {
    let server = faulty(ModelFault::GarbageAfter(
        0,
        "data: ".to_owned() + &"a".repeat(2 * LLM_EVENT_BYTES),
    ));
    let (_, error) = read(&client(), &upstream(&server)).await;
    assert!(
        matches!(
            error,
            Some(UpstreamError::Malformed(Malformed::Sse(SseError::TooLong)))
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn silence_ends_after_its_time_and_slowness_does_not() {
    let short = Timeouts {
        first_byte: Duration::from_millis(1500),
        between_chunks: Duration::from_millis(1500),
        ..TIMEOUTS
    };
    let client = client_with(Way::Operator, &[], short);
    let slow = serve([ModelStep::text(TEXT).at(Pace {
        event_ms: 250,
        delta_chars: 3,
        ..Pace::default()
    })]);
    let began = std::time::Instant::now();
    let (count, error) = read(&client, &upstream(&slow)).await;
    assert!(error.is_none() && count > 12, "{error:?}");
    assert!(
        began.elapsed() > short.between_chunks,
        "it took longer than one wait may"
    );
    let stalled = faulty(ModelFault::StallAfter(5));
    let (count, error) = read(&client, &upstream(&stalled)).await;
    assert_eq!(count, 5);
    assert!(
        matches!(error, Some(UpstreamError::Timeout(Phase::NextChunk))),
        "{error:?}"
    );
}

/// Sends pings as fast as they are taken, until nobody does.
fn pinging() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        let mut sent = stream.write_all(head);
        while sent.is_ok() {
            sent = stream.write_all(b"event: ping\ndata: {}\n\n");
        }
    });
    address
}

#[tokio::test]
async fn pings_alone_do_not_keep_an_answer_up_for_ever() {
    let whole = Duration::from_secs(1);
    let timeouts = Timeouts { whole, ..TIMEOUTS };
    let client = client_with(Way::Operator, &[], timeouts);
    let pace = Pace {
        event_ms: 50,
        delta_chars: 1,
        ..Pace::default()
    };
    let slow = serve([ModelStep::text("x".repeat(10_000)).at(pace)]);
    let fast = upstream_at(&format!("http://{}", pinging()));
    for endless in [upstream(&slow), fast] {
        let (count, error) = read(&client, &endless).await;
        assert!(count > 0);
        assert!(
            matches!(error, Some(UpstreamError::Timeout(Phase::Whole))),
            "{error:?}"
        );
    }
}

/// Answers every connection with these bytes, and then closes it or says nothing more.
fn raw(answer: Vec<u8>, then_close: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut kept: Vec<TcpStream> = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(&answer);
            if !then_close {
                kept.push(stream);
            }
        }
    });
    address
}

async fn ask(address: SocketAddr, client: &Client) -> UpstreamError {
    read(client, &upstream_at(&format!("http://{address}")))
        .await
        .1
        .unwrap()
}

#[tokio::test]
async fn whatever_is_no_upstream_gives_an_error_and_no_panic() {
    let client = client();
    let error = ask(raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), true), &client).await;
    assert!(matches!(error, UpstreamError::Http(_)), "{error:?}");
    let error = ask(raw(Vec::new(), true), &client).await;
    assert!(
        matches!(error, UpstreamError::Http(_)) && error.is_transient(),
        "{error:?}"
    );
    let html =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello".to_vec();
    let error = ask(raw(html, true), &client).await;
    assert!(
        matches!(error, UpstreamError::Malformed(Malformed::MediaType(_))),
        "{error:?}"
    );
    let moved = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec();
    let error = ask(raw(moved, true), &client).await;
    assert!(
        matches!(error, UpstreamError::Status { status: 307, .. }),
        "{error:?}"
    );
    let many = format!(
        "HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n",
        "a".repeat(2 * LLM_ANSWER_HEAD_BYTES)
    );
    let error = ask(raw(many.into_bytes(), true), &client).await;
    assert!(matches!(error, UpstreamError::Http(_)), "{error:?}");
    // An error whose body never ends is told by its status.
    let endless = [b"HTTP/1.1 529 \r\n\r\n".to_vec(), vec![b'a'; 4 << 20]].concat();
    let error = ask(raw(endless, true), &client).await;
    assert!(
        matches!(error, UpstreamError::Overloaded { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_upstream_that_says_nothing_at_all_is_waited_for_in_vain() {
    let short = Timeouts {
        connect: Duration::from_millis(500),
        first_byte: Duration::from_millis(500),
        ..TIMEOUTS
    };
    let client = client_with(Way::Operator, &[], short);
    let error = ask(raw(Vec::new(), false), &client).await;
    assert!(
        matches!(error, UpstreamError::Timeout(Phase::FirstByte)),
        "{error:?}"
    );
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n".to_vec();
    let error = ask(raw(head, false), &client).await;
    assert!(
        matches!(error, UpstreamError::Timeout(Phase::FirstByte)),
        "{error:?}"
    );
}

#[tokio::test]
async fn giving_up_ends_the_request_at_the_upstream() {
    let server = serve([ModelStep::text(TEXT.repeat(50)).at(Pace {
        event_ms: 50,
        ..Pace::default()
    })]);
    let mut events = client()
        .stream(&upstream(&server), &request())
        .await
        .unwrap();
    assert!(matches!(events.next().await, Some(Ok(Event::Start(_)))));
    assert_eq!(server.streaming(), 1);
    drop(events);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while server.streaming() > 0 {
        assert!(
            std::time::Instant::now() < deadline,
            "it is still being sent"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!server.requests()[0].finished);
}
