//! Streams of events.

use std::time::{Duration, Instant};

use bailiwick_control::{Preview, PreviewPart};
use bailiwick_model::{SessionEventType, SessionId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::session_engine::{Engine, claim, new, text};
use crate::session_events::{events, said, send, session};
use crate::{Server, on_both};

on_both!(
    what_is_stored_is_streamed_and_listed_before,
    a_stream_begins_where_the_client_was,
    parts_of_a_message_come_before_it_and_are_not_kept,
    a_stream_ends_with_its_session,
    a_stream_ends_with_the_session_that_is_deleted,
    a_reader_who_takes_nothing_costs_no_memory_and_misses_nothing,
    many_streams_hear_of_one_event,
    a_stream_ends_with_its_server,
);

/// A client that reads frames.
pub(crate) struct Frames {
    answer: reqwest::Response,
    text: String,
}

/// One frame.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    pub(crate) event: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

impl Frames {
    pub(crate) async fn open(server: &Server, path: &str, last: Option<&str>) -> Self {
        let mut request = server
            .request(Method::GET, path)
            .header("x-api-key", &server.key);
        // As the SDK for Python has it.
        request = request.header("accept", "application/json");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self {
            answer,
            text: String::new(),
        }
    }

    /// The next frame, also where nothing comes for a while.
    async fn patient(&mut self) -> Option<Frame> {
        while !self.text.contains("\n\n") {
            let bytes = self.answer.chunk().await.ok()??;
            self.text
                .push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
        }
        self.next().await
    }

    /// The next frame; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let read = read(frame);
                self.text = rest.to_owned();
                return Some(read);
            }
            let bytes = tokio::time::timeout(Duration::from_secs(10), self.answer.chunk());
            let bytes = bytes.await.expect("something within ten seconds").ok()??;
            self.text
                .push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
        }
    }

    pub(crate) async fn some(&mut self, count: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        for _ in 0..count {
            frames.push(self.next().await.expect("a frame"));
        }
        frames
    }
}

fn read(frame: &str) -> Frame {
    let (mut event, mut id, mut data) = (None, None, None);
    for line in frame.lines() {
        match line.split_once(": ").expect("a field") {
            ("event", value) => event = Some(value.to_owned()),
            ("id", value) => id = Some(value.to_owned()),
            ("data", value) => {
                assert!(data.is_none(), "data in one line");
                data = serde_json::from_str::<Value>(value).ok();
            }
            other => panic!("{other:?}"),
        }
    }
    let (event, data) = (event.expect("a name"), data.expect("data"));
    assert_eq!(data["type"], event.as_str());
    Frame { event, id, data }
}

pub(crate) fn stream_of(id: &str) -> String {
    format!("/v1/sessions/{id}/events/stream")
}

async fn what_is_stored_is_streamed_and_listed_before(server: Server) {
    let id = session(&server).await;
    send(&server, &id, json!([said("before")])).await.ok();
    let mut frames = Frames::open(&server, &stream_of(&id), None).await;
    let began = Instant::now();
    let sent = send(&server, &id, json!([said("Hello")])).await.ok();
    let frame = frames.next().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
    // No replay: what was before is not there.
    assert_eq!(frame.data, sent["data"][0]);
    assert_eq!(frame.id.as_deref(), frame.data["id"].as_str());
    let engine = claim(&server, &id).await.unwrap();
    engine.answer("Hi").await;
    let listed = events(&server, &id).await;
    let listed = listed["data"].as_array().unwrap();
    let streamed: Vec<_> = frames
        .some(4)
        .await
        .into_iter()
        .map(|frame| frame.data)
        .collect();
    assert_eq!(listed[listed.len() - 4..], streamed);
    assert_eq!(streamed[3]["type"], "session.status_idle");
}

async fn a_stream_begins_where_the_client_was(server: Server) {
    let id = session(&server).await;
    let sent = send(&server, &id, json!([said("1"), said("2"), said("3")]))
        .await
        .ok();
    let seen = sent["data"][0]["id"].as_str().unwrap();
    let mut frames = Frames::open(&server, &stream_of(&id), Some(seen)).await;
    let caught_up = frames.some(4).await;
    assert_eq!(caught_up[0].data, sent["data"][1]);
    assert_eq!(caught_up[3].event, "session.status_running");
    send(&server, &id, json!([said("4")])).await.ok();
    assert_eq!(frames.next().await.unwrap().data["content"][0]["text"], "4");
    for (last, status) in [("x", 400), ("sevt_1ChGqExyZXj8gBdypLbMAf", 404)] {
        let request = server.request(Method::GET, &stream_of(&id));
        let request = request
            .header("x-api-key", &server.key)
            .header("last-event-id", last);
        assert_eq!(request.send().await.unwrap().status(), status, "{last}");
    }
}

async fn parts_of_a_message_come_before_it_and_are_not_kept(server: Server) {
    let id = session(&server).await;
    let session: SessionId = id.parse().unwrap();
    send(&server, &id, json!([said("Hello")])).await.ok();
    let engine = claim(&server, &id).await.unwrap();
    engine.take().await;
    let path = format!("{}?event_deltas[]=agent.message", stream_of(&id));
    let mut with_parts = Frames::open(&server, &path, None).await;
    let mut without = Frames::open(&server, &stream_of(&id), None).await;
    let message = new(text("Hi there"));
    let preview = |part| Preview {
        thread: engine.thread.clone(),
        event: message.id.clone(),
        part,
    };
    server.control.preview(
        &session,
        preview(PreviewPart::Start(SessionEventType::AgentMessage)),
    );
    for text in ["Hi", " there"] {
        let text = text.to_owned();
        server
            .control
            .preview(&session, preview(PreviewPart::Text { index: 0, text }));
    }
    engine
        .tell(vec![message.clone()], Vec::new())
        .await
        .unwrap();
    let frames = with_parts.some(4).await;
    assert_eq!(
        frames[0].data,
        json!({"type": "event_start", "event": {"type": "agent.message", "id": message.id}})
    );
    let delta = |text: &str| {
        json!({"type": "event_delta", "event_id": message.id,
        "delta": {"type": "content_delta", "index": 0, "content": {"type": "text", "text": text}}})
    };
    assert_eq!(
        (&frames[1].data, &frames[2].data),
        (&delta("Hi"), &delta(" there"))
    );
    assert_eq!(frames[3].data["id"], json!(message.id));
    assert_eq!(without.next().await.unwrap().event, "agent.message");
    let kept = events(&server, &id).await.to_string();
    assert!(!kept.contains("event_start") && !kept.contains("event_delta"));
    whoever_comes_late_is_not_shown_what_has_no_beginning(&server, &engine, &path).await;
    for wrong in [
        "event_deltas[]=user.message",
        &["event_deltas[]=agent.message"; 101].join("&"),
    ] {
        let refused = server.get(&format!("{}?{wrong}", stream_of(&id))).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }
}

async fn whoever_comes_late_is_not_shown_what_has_no_beginning(
    server: &Server,
    engine: &Engine<'_>,
    path: &str,
) {
    let late = new(text("late"));
    let preview = |part| Preview {
        thread: engine.thread.clone(),
        event: late.id.clone(),
        part,
    };
    let session = &engine.run.session;
    let start = PreviewPart::Start(SessionEventType::AgentMessage);
    server.control.preview(session, preview(start));
    let mut later = Frames::open(server, path, None).await;
    let part = PreviewPart::Text {
        index: 0,
        text: "la".to_owned(),
    };
    server.control.preview(session, preview(part));
    engine.tell(vec![late], Vec::new()).await.unwrap();
    assert_eq!(later.next().await.unwrap().event, "agent.message");
}

async fn a_stream_ends_with_its_session(server: Server) {
    let id = session(&server).await;
    let mut frames = Frames::open(&server, &stream_of(&id), None).await;
    server
        .post(&format!("/v1/sessions/{id}/archive"), json!({}))
        .await
        .ok();
    let last = frames.some(2).await;
    assert_eq!(last[1].event, "session.status_terminated");
    assert_eq!(frames.next().await, None);
}

async fn a_stream_ends_with_the_session_that_is_deleted(server: Server) {
    let id = session(&server).await;
    let mut frames = Frames::open(&server, &stream_of(&id), None).await;
    server
        .send(Method::DELETE, &format!("/v1/sessions/{id}"), None)
        .await
        .ok();
    assert_eq!(frames.next().await.unwrap().event, "session.deleted");
    assert_eq!(frames.next().await, None);
}

/// What waits for a slow reader waits in the database.
async fn a_reader_who_takes_nothing_costs_no_memory_and_misses_nothing(server: Server) {
    let id = session(&server).await;
    let mut frames = Frames::open(&server, &stream_of(&id), None).await;
    send(&server, &id, json!([said("first")])).await.ok();
    let engine = claim(&server, &id).await.unwrap();
    engine.take().await;
    let large = "x".repeat(200_000);
    for _ in 0..60 {
        engine
            .tell(vec![new(text(&large))], Vec::new())
            .await
            .unwrap();
    }
    engine
        .tell(vec![new(text("last"))], Vec::new())
        .await
        .unwrap();
    let listed = server
        .get(&format!("/v1/sessions/{id}/events?order=desc&limit=1"))
        .await
        .ok();
    let mut count = 0;
    let last = loop {
        let frame = frames.next().await.expect("a frame");
        count += 1;
        if frame.data["content"][0]["text"] == "last" {
            break frame;
        }
    };
    assert_eq!((count, &last.data), (64, &listed["data"][0]));
}

async fn many_streams_hear_of_one_event(server: Server) {
    let id = session(&server).await;
    let mut open = Vec::new();
    for _ in 0..50 {
        open.push(Frames::open(&server, &stream_of(&id), None).await);
    }
    let sent = send(&server, &id, json!([{"type": "user.interrupt"}]))
        .await
        .ok();
    for frames in &mut open {
        assert_eq!(frames.next().await.unwrap().data, sent["data"][0]);
    }
}

async fn a_stream_ends_with_its_server(server: Server) {
    let id = session(&server).await;
    let mut frames = Frames::open(&server, &stream_of(&id), None).await;
    server.control.end_watches();
    assert_eq!(frames.next().await, None);
}

/// What a client has shown is looked at again, with every sign of life.
#[tokio::test]
async fn alone_a_stream_ends_with_the_key_that_it_was_opened_with() {
    let server = Server::sqlite().await;
    let id = session(&server).await;
    let account = server.get("/api/roles").await.ok();
    let role = account["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|role| role["name"] == "admin")
        .unwrap()["id"]
        .clone();
    let account = server
        .post(
            "/api/service-accounts",
            json!({"name": "watcher", "role_id": role}),
        )
        .await;
    let keys = format!("/api/service-accounts/{}/keys", account.text("id"));
    let key = server.post(&keys, json!({"name": "k"})).await;
    let request = server
        .request(Method::GET, &stream_of(&id))
        .header("x-api-key", key.text("key"));
    let mut revoked = Frames {
        answer: request.send().await.unwrap(),
        text: String::new(),
    };
    let mut other = Frames::open(&server, &stream_of(&id), None).await;
    server
        .send(
            Method::DELETE,
            &format!("/api/keys/{}", key.text("id")),
            None,
        )
        .await;
    let long = Duration::from_secs(20);
    let last = tokio::time::timeout(long, revoked.patient())
        .await
        .expect("in time")
        .unwrap();
    assert_eq!(
        (last.event.as_str(), &last.data["error"]["type"]),
        ("error", &json!("authentication_error"))
    );
    assert_eq!(revoked.next().await, None);
    // The control: who may still look is told that the stream is alive.
    assert_eq!(other.patient().await.unwrap().event, "ping");
}
