//! Sending events to sessions, and what is listed of them.

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::form::file;
use crate::session_engine::{claim, types};
use crate::sessions::{body, code, create, with};
use crate::{Answer, Server, on_both};

on_both!(
    a_message_sets_a_session_to_work_and_is_echoed,
    a_session_that_begins_with_a_message_runs_from_its_beginning,
    bodies_that_are_no_events_are_refused_with_their_fields,
    of_several_events_all_are_taken_or_none,
    a_list_has_every_event_once_in_both_orders,
    a_list_is_narrowed_by_type_and_by_time,
    who_has_ended_hears_nothing_more,
    a_deleted_session_leaves_no_events,
    another_organization_sees_and_sends_nothing,
    a_file_in_a_message_is_one_that_the_sender_sees,
    what_was_changed_about_a_session_is_told,
);

pub(crate) fn said(text: &str) -> Value {
    json!({"type": "user.message", "content": [{"type": "text", "text": text}]})
}

pub(crate) async fn send(server: &Server, id: &str, events: Value) -> Answer {
    let path = format!("/v1/sessions/{id}/events");
    server.post(&path, json!({"events": events})).await
}

pub(crate) async fn events(server: &Server, id: &str) -> Value {
    server.get(&format!("/v1/sessions/{id}/events")).await.ok()
}

pub(crate) async fn session(server: &Server) -> String {
    let body = body(server).await;
    create(server, body).await.text("id").to_owned()
}

async fn a_message_sets_a_session_to_work_and_is_echoed(server: Server) {
    let id = session(&server).await;
    let sent = send(&server, &id, json!([said("Hello")])).await.ok();
    let echo = &sent["data"][0];
    assert_eq!(echo["processed_at"], Value::Null);
    assert_eq!(echo["content"], json!([{"type": "text", "text": "Hello"}]));
    let path = format!("/v1/sessions/{id}");
    assert_eq!(server.get(&path).await.text("status"), "running");
    let listed = events(&server, &id).await;
    let expected = [
        "user.message",
        "session.thread_status_running",
        "session.status_running",
    ];
    assert_eq!(types(&listed), expected);
    assert_eq!(&listed["data"][0], echo);
    assert_eq!(listed["data"][1]["agent_name"], "Coder");
    assert_eq!(listed["next_page"], Value::Null);
    // What comes while it runs waits.
    send(&server, &id, json!([said("And then")])).await.ok();
    assert_eq!(types(&events(&server, &id).await).len(), 4);
    let engine = claim(&server, &id).await.unwrap();
    engine.answer("Hi").await;
    let listed = events(&server, &id).await;
    let expected = [
        "agent.message",
        "session.thread_status_idle",
        "session.usage",
        "session.status_idle",
    ];
    assert_eq!(types(&listed)[4..], expected);
    assert_eq!(
        listed["data"][7]["stop_reason"],
        json!({"type": "end_turn"})
    );
    let processed = listed["data"].as_array().unwrap();
    assert!(
        processed
            .iter()
            .all(|event| event["processed_at"].is_string()),
        "{listed}"
    );
}

async fn a_session_that_begins_with_a_message_runs_from_its_beginning(server: Server) {
    let body = body(&server).await;
    let begun = with(
        body.clone(),
        json!({"initial_events": [said("One"), said("Two")]}),
    );
    let made = create(&server, begun).await.ok();
    assert_eq!(made["status"], "running");
    let id = made["id"].as_str().unwrap();
    let expected = [
        "user.message",
        "user.message",
        "session.thread_status_running",
        "session.status_running",
    ];
    assert_eq!(types(&events(&server, id).await), expected);
    let engine = claim(&server, id).await.unwrap();
    assert_eq!(engine.take().await.len(), 2);
    for events in [
        json!([{"type": "user.interrupt"}]),
        json!(vec![said("x"); 51]),
    ] {
        let refused = create(
            &server,
            with(body.clone(), json!({"initial_events": events})),
        )
        .await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    }
}

/// Events, the field that is wrong, and its code.
type Wrong = (Value, &'static str, &'static str);

fn wrong_messages() -> Vec<Wrong> {
    let block = |block: Value| json!([{"type": "user.message", "content": [block]}]);
    vec![
        (json!([]), "events", "too_short"),
        (json!(vec![said("x"); 101]), "events", "too_much"),
        (
            json!([{"type": "user.shout"}]),
            "events[0].type",
            "unknown_value",
        ),
        (
            json!([{"type": "agent.message", "content": []}]),
            "events[0].type",
            "unknown_value",
        ),
        (
            json!([{"type": "user.message", "content": []}]),
            "events[0].content",
            "too_short",
        ),
        (
            json!([{"type": "user.interrupt", "id": "x"}]),
            "events[0].id",
            "unknown_field",
        ),
        (
            block(json!({"type": "text", "text": ""})),
            "events[0].content[0].text",
            "too_short",
        ),
        (
            block(json!({"type": "redacted"})),
            "events[0].content[0].type",
            "unknown_value",
        ),
        (
            block(
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "?"}}),
            ),
            "events[0].content[0].source.data",
            "invalid_base64",
        ),
        (
            block(
                json!({"type": "image", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}),
            ),
            "events[0].content[0].source.type",
            "unknown_value",
        ),
        (
            block(
                json!({"type": "document", "source": {"type": "url", "url": "file:///etc/passwd"}}),
            ),
            "events[0].content[0].source.url",
            "invalid_url",
        ),
    ]
}

fn wrong_references() -> Vec<Wrong> {
    let nothing = "sevt_1ChGqExyZXj8gBdypLbMAf";
    vec![
        (
            json!([{"type": "user.interrupt", "session_thread_id": "x"}]),
            "events[0].session_thread_id",
            "unknown_thread",
        ),
        (
            json!([{"type": "user.tool_confirmation", "tool_use_id": nothing, "result": "maybe"}]),
            "events[0].result",
            "unknown_value",
        ),
        (
            json!([{"type": "user.tool_confirmation", "tool_use_id": nothing, "result": "allow", "deny_message": "x"}]),
            "events[0].deny_message",
            "deny_message_without_deny",
        ),
        (
            json!([{"type": "user.tool_confirmation", "tool_use_id": nothing, "result": "allow"}]),
            "events[0].tool_use_id",
            "unknown_tool_use",
        ),
        (
            json!([{"type": "user.custom_tool_result", "custom_tool_use_id": "x"}]),
            "events[0].custom_tool_use_id",
            "unknown_tool_use",
        ),
        (
            json!([{"type": "system.message", "content": [{"type": "text", "text": "x"}]}]),
            "events[0]",
            "misplaced_system_message",
        ),
        (
            json!([said("x"), {"type": "system.message", "content": [{"type": "text", "text": "x"}]}, said("y")]),
            "events[1]",
            "misplaced_system_message",
        ),
        (
            json!([{"type": "user.define_outcome", "description": "x"}]),
            "events[0]",
            "outcomes_unsupported",
        ),
    ]
}

async fn bodies_that_are_no_events_are_refused_with_their_fields(server: Server) {
    let id = session(&server).await;
    for (events, field, expected) in wrong_messages().into_iter().chain(wrong_references()) {
        let refused = send(&server, &id, events.clone()).await;
        assert_eq!(
            refused.status,
            StatusCode::BAD_REQUEST,
            "{events}: {refused:?}"
        );
        assert_eq!(code(&refused), expected, "{events}: {refused:?}");
        let message = refused.body["error"]["message"].as_str().unwrap();
        assert!(
            message.starts_with(&format!("{field}:")),
            "{events}: {message}"
        );
    }
    // The control: what follows a message may.
    let system = json!({"type": "system.message", "content": [{"type": "text", "text": "x"}]});
    let sent = send(&server, &id, json!([said("x"), system])).await.ok();
    assert_eq!(types(&sent), ["user.message", "system.message"]);
}

async fn of_several_events_all_are_taken_or_none(server: Server) {
    let id = session(&server).await;
    let confirmation = json!({"type": "user.tool_confirmation", "tool_use_id": "sevt_1ChGqExyZXj8gBdypLbMAf", "result": "allow"});
    let refused = send(&server, &id, json!([said("x"), confirmation])).await;
    assert_eq!(code(&refused), "unknown_tool_use");
    assert_eq!(types(&events(&server, &id).await), [""; 0]);
    assert_eq!(
        server
            .get(&format!("/v1/sessions/{id}"))
            .await
            .text("status"),
        "idle"
    );
}

async fn all(server: &Server, path: &str) -> Vec<Value> {
    let (mut found, mut page) = (Vec::new(), String::new());
    loop {
        let answer = server.get(&format!("{path}{page}")).await.ok();
        found.extend(answer["data"].as_array().unwrap().iter().cloned());
        match answer["next_page"].as_str() {
            Some(next) => page = format!("&page={next}"),
            None => return found,
        }
    }
}

async fn a_list_has_every_event_once_in_both_orders(server: Server) {
    let id = session(&server).await;
    for number in 0..5 {
        send(&server, &id, json!([said(&number.to_string())]))
            .await
            .ok();
    }
    let path = format!("/v1/sessions/{id}/events");
    let whole = events(&server, &id).await["data"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(whole.len(), 7);
    for limit in [1, 2, 3, 7, 1000] {
        let paged = all(&server, &format!("{path}?limit={limit}")).await;
        assert_eq!(paged, whole, "{limit}");
        let mut paged = all(&server, &format!("{path}?limit={limit}&order=desc")).await;
        paged.reverse();
        assert_eq!(paged, whole, "{limit}");
    }
    let first = server.get(&format!("{path}?limit=2")).await.ok();
    let page = first["next_page"].as_str().unwrap();
    for wrong in [
        format!("limit=2&order=desc&page={page}"),
        "page=page_a".to_owned(),
        "page=a1".to_owned(),
        "page=page_a-1".to_owned(),
        "limit=0".to_owned(),
        "limit=1001".to_owned(),
        "order=up".to_owned(),
        "types[]=user.shout".to_owned(),
        "created_at[gt]=yesterday".to_owned(),
    ] {
        let refused = server.get(&format!("{path}?{wrong}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

async fn a_list_is_narrowed_by_type_and_by_time(server: Server) {
    let id = session(&server).await;
    send(&server, &id, json!([said("x")])).await.ok();
    claim(&server, &id).await.unwrap().answer("y").await;
    let path = format!("/v1/sessions/{id}/events");
    let narrowed = server
        .get(&format!(
            "{path}?types[]=agent.message&types%5B%5D=user.message"
        ))
        .await
        .ok();
    assert_eq!(types(&narrowed), ["user.message", "agent.message"]);
    // A word within another is another type.
    let narrowed = server
        .get(&format!("{path}?types=session.status_idle"))
        .await
        .ok();
    assert_eq!(types(&narrowed), ["session.status_idle"]);
    let whole = events(&server, &id).await;
    let whole = whole["data"].as_array().unwrap();
    let message = whole
        .iter()
        .find(|event| event["type"] == "agent.message")
        .unwrap();
    // As moments: as texts, those with fewer digits sort after those with more.
    let moment =
        |event: &Value| -> Timestamp { event["processed_at"].as_str().unwrap().parse().unwrap() };
    let time = moment(message);
    let times: Vec<_> = whole.iter().map(moment).collect();
    for (bound, is_in) in [
        (
            "gt",
            (|at, time| at > time) as fn(Timestamp, Timestamp) -> bool,
        ),
        ("gte", |at, time| at >= time),
        ("lt", |at, time| at < time),
        ("lte", |at, time| at <= time),
    ] {
        let narrowed = server
            .get(&format!("{path}?created_at[{bound}]={time}"))
            .await
            .ok();
        let expected = times.iter().filter(|at| is_in(**at, time)).count();
        assert_eq!(types(&narrowed).len(), expected, "{bound}");
        assert!(expected > 0 && expected < times.len());
    }
}

async fn who_has_ended_hears_nothing_more(server: Server) {
    let id = session(&server).await;
    let archived = server
        .post(&format!("/v1/sessions/{id}/archive"), json!({}))
        .await
        .ok();
    assert_eq!(archived["status"], "terminated");
    let refused = send(&server, &id, json!([said("x")])).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(code(&refused), "session_archived");
    // What it did stays.
    let expected = [
        "session.thread_status_terminated",
        "session.status_terminated",
    ];
    assert_eq!(types(&events(&server, &id).await), expected);
}

async fn a_deleted_session_leaves_no_events(server: Server) {
    let id = session(&server).await;
    send(&server, &id, json!([said("x")])).await.ok();
    let path = format!("/v1/sessions/{id}");
    assert_eq!(
        server.send(Method::DELETE, &path, None).await.status,
        StatusCode::CONFLICT
    );
    claim(&server, &id).await.unwrap().answer("y").await;
    server.send(Method::DELETE, &path, None).await.ok();
    let gone = server.get(&format!("{path}/events")).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_eq!(
        send(&server, &id, json!([said("x")])).await.status,
        StatusCode::NOT_FOUND
    );
}

async fn another_organization_sees_and_sends_nothing(server: Server) {
    let id = session(&server).await;
    send(&server, &id, json!([said("x")])).await.ok();
    let other = server.other_organization().await;
    let path = format!("/v1/sessions/{id}/events");
    let body = json!({"events": [said("x")]});
    let thread = id.replace("sesn_", "sthr_");
    for (method, path, body) in [
        (Method::GET, path.clone(), None),
        (Method::POST, path.clone(), Some(body)),
        (Method::GET, format!("{path}/stream"), None),
        (Method::GET, format!("/v1/sessions/{id}/threads"), None),
        (
            Method::GET,
            format!("/v1/sessions/{id}/threads/{thread}"),
            None,
        ),
        (
            Method::GET,
            format!("/v1/sessions/{id}/threads/{thread}/events"),
            None,
        ),
        (
            Method::GET,
            format!("/v1/sessions/{id}/threads/{thread}/stream"),
            None,
        ),
        (
            Method::POST,
            format!("/v1/sessions/{id}/threads/{thread}/archive"),
            None,
        ),
    ] {
        let refused = server.send_as(&other, method, &path, body).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(types(&events(&server, &id).await).len(), 3);
}

async fn a_file_in_a_message_is_one_that_the_sender_sees(server: Server) {
    let id = session(&server).await;
    let block = |file: &str| json!([{"type": "user.message", "content": [{"type": "document", "source": {"type": "file", "file_id": file}}]}]);
    let refused = send(&server, &id, block("file_1ChGqExyZXj8gBdypLbMAf")).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    let file = server
        .send_form("/v1/files", &[file("file", "x.txt", b"x")])
        .await;
    send(&server, &id, block(file.text("id"))).await.ok();
}

async fn what_was_changed_about_a_session_is_told(server: Server) {
    let id = session(&server).await;
    let path = format!("/v1/sessions/{id}");
    server
        .post(&path, json!({"title": "New", "metadata": {"a": "b"}}))
        .await
        .ok();
    server.post(&path, json!({"title": "New"})).await.ok();
    server
        .post(
            &path,
            json!({"agent": {"tools": [{"type": "agent_toolset_20260401"}]}}),
        )
        .await
        .ok();
    let listed = events(&server, &id).await;
    assert_eq!(types(&listed), ["session.updated"; 2]);
    let told = &listed["data"];
    assert_eq!(
        (&told[0]["title"], &told[0]["metadata"]),
        (&json!("New"), &json!({"a": "b"}))
    );
    assert_eq!(told[0].get("agent"), None);
    assert_eq!(
        told[1]["agent"]["tools"][0]["type"],
        "agent_toolset_20260401"
    );
}
