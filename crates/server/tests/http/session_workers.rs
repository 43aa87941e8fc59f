//! Sessions of self-hosted environments: what their workers see, send, and are called for.

use bailiwick_wire::PermissionEvaluation as P;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::form::file;
use crate::session_engine::{call, claim, new, requires};
use crate::session_events::{said, send};
use crate::sessions::{agent, code, create};
use crate::{Server, on_both, worker};

on_both!(
    a_worker_answers_calls_of_the_sandbox_and_nothing_else,
    a_dormant_session_that_hears_something_calls_for_a_worker,
    a_call_is_not_made_before_it_was_allowed,
    a_worker_reads_the_skills_of_its_work_and_no_others,
);

struct Hosted {
    environment: String,
    key: String,
    id: String,
}

async fn hosted(server: &Server) -> Hosted {
    let (environment, key) = worker(server).await;
    let body = json!({"agent": agent(server).await, "environment_id": environment});
    let id = create(server, body).await.text("id").to_owned();
    Hosted {
        environment,
        key,
        id,
    }
}

fn result(call: &impl serde::Serialize, text: &str) -> Value {
    json!({"events": [{"type": "user.tool_result", "tool_use_id": call, "content": [{"type": "text", "text": text}]}]})
}

/// What whoever takes the next item works with.
async fn polled_token(server: &Server, environment: &str, key: &str) -> String {
    let polled = server
        .send_as(
            key,
            Method::GET,
            &format!("/v1/environments/{environment}/work/poll"),
            None,
        )
        .await
        .ok();
    let secret = base64::Engine::decode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        polled["secret"].as_str().unwrap(),
    )
    .unwrap();
    let secret: Value = serde_json::from_slice(&secret).unwrap();
    secret["sessions_token"].as_str().unwrap().to_owned()
}

async fn a_worker_answers_calls_of_the_sandbox_and_nothing_else(server: Server) {
    let Hosted {
        environment,
        key,
        id,
    } = hosted(&server).await;
    let path = format!("/v1/sessions/{id}/events");
    let token = polled_token(&server, &environment, &key).await;
    let token = token.as_str();
    send(&server, &id, json!([said("x")])).await.ok();
    let engine = claim(&server, &id).await.unwrap();
    engine.take().await;
    let (bash, search) = (
        new(call("bash", P::Allow)),
        new(call("web_search", P::Allow)),
    );
    engine
        .tell(
            vec![bash.clone(), search.clone()],
            vec![requires(&[&bash.id, &search.id])],
        )
        .await
        .unwrap();
    for key in [key.as_str(), token] {
        let listed = server.send_as(key, Method::GET, &path, None).await.ok();
        let last = listed["data"].as_array().unwrap().last().cloned().unwrap();
        // The server searches by itself.
        assert_eq!(last["stop_reason"]["event_ids"], json!([bash.id]));
        for (event, status) in [
            (json!({"events": [said("do more")]}), StatusCode::FORBIDDEN),
            (
                json!({"events": [{"type": "user.interrupt"}]}),
                StatusCode::FORBIDDEN,
            ),
            (
                json!({"events": [{"type": "user.tool_confirmation", "tool_use_id": bash.id, "result": "allow"}]}),
                StatusCode::FORBIDDEN,
            ),
            (result(&search.id, "x"), StatusCode::BAD_REQUEST),
        ] {
            let refused = server
                .send_as(key, Method::POST, &path, Some(event.clone()))
                .await;
            assert_eq!(refused.status, status, "{event}: {refused:?}");
        }
    }
    let answered = server
        .send_as(token, Method::POST, &path, Some(result(&bash.id, "done")))
        .await
        .ok();
    assert!(answered["data"][0]["processed_at"].is_string());
    let again = server
        .send_as(&key, Method::POST, &path, Some(result(&bash.id, "done")))
        .await
        .ok();
    assert_eq!(again, answered);
    let other = server
        .send_as(&key, Method::POST, &path, Some(result(&bash.id, "other")))
        .await;
    assert_eq!(other.status, StatusCode::CONFLICT);
    assert_eq!(
        server
            .get(&format!("/v1/sessions/{id}"))
            .await
            .text("status"),
        "running"
    );
    workers_of_others_see_nothing(&server, &path).await;
}

async fn workers_of_others_see_nothing(server: &Server, path: &str) {
    let body = json!({"name": "other", "config": {"type": "self_hosted"}});
    let other = server
        .post("/v1/environments", body)
        .await
        .text("id")
        .to_owned();
    let made = server
        .post(
            &format!("/api/environments/{other}/keys"),
            json!({"name": "w"}),
        )
        .await;
    for path in [path.to_owned(), format!("{path}/stream")] {
        let refused = server
            .send_as(made.text("key"), Method::GET, &path, None)
            .await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND);
    }
}

async fn a_dormant_session_that_hears_something_calls_for_a_worker(server: Server) {
    let Hosted {
        environment,
        key,
        id,
    } = hosted(&server).await;
    let queue = format!("/v1/environments/{environment}/work");
    let poll = format!("{queue}/poll?block_ms=900");
    let first = server.send_as(&key, Method::GET, &poll, None).await.ok();
    // Its worker has it: one item is enough.
    send(&server, &id, json!([said("x")])).await.ok();
    assert_eq!(
        server
            .send_as(&key, Method::GET, &format!("{queue}/poll"), None)
            .await
            .ok(),
        Value::Null
    );
    let stop = format!("{queue}/{}/stop", first["id"].as_str().unwrap());
    server.post(&stop, json!({"force": true})).await.ok();
    claim(&server, &id).await.unwrap().answer("y").await;
    let (polled, _) = tokio::join!(server.send_as(&key, Method::GET, &poll, None), async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        send(&server, &id, json!([said("again")])).await.ok()
    });
    let second = polled.ok();
    assert_eq!(second["data"]["id"], json!(id));
    assert_ne!(second["id"], first["id"]);
    // A worker that is about to leave is not the one.
    let path = format!("{queue}/{}", second["id"].as_str().unwrap());
    server.post(&format!("{path}/ack"), json!({})).await.ok();
    assert_eq!(
        server
            .post(&format!("{path}/stop"), json!({}))
            .await
            .text("state"),
        "stopping"
    );
    send(&server, &id, json!([said("and again")])).await.ok();
    let third = server.send_as(&key, Method::GET, &poll, None).await.ok();
    assert_ne!(third["id"], second["id"]);
    assert_eq!(server.get(&path).await.text("state"), "stopped");
}

async fn a_call_is_not_made_before_it_was_allowed(server: Server) {
    let Hosted { key, id, .. } = hosted(&server).await;
    let path = format!("/v1/sessions/{id}/events");
    send(&server, &id, json!([said("x")])).await.ok();
    let engine = claim(&server, &id).await.unwrap();
    engine.take().await;
    let (asked, denied) = (new(call("bash", P::Ask)), new(call("bash", P::Ask)));
    engine
        .tell(
            vec![asked.clone(), denied.clone()],
            vec![requires(&[&asked.id, &denied.id])],
        )
        .await
        .unwrap();
    let early = server
        .send_as(&key, Method::POST, &path, Some(result(&asked.id, "x")))
        .await;
    assert_eq!(code(&early), "unconfirmed");
    let confirm = |call: Value, verdict: &str| json!({"type": "user.tool_confirmation", "tool_use_id": call, "result": verdict});
    let verdicts = json!([
        confirm(json!(asked.id), "allow"),
        confirm(json!(denied.id), "deny")
    ]);
    send(&server, &id, verdicts).await.ok();
    // Who was allowed is still to be run.
    let listed = server.get(&path).await.ok();
    let last = listed["data"].as_array().unwrap().last().cloned().unwrap();
    assert_eq!(last["stop_reason"]["event_ids"], json!([asked.id]));
    let refused = server
        .send_as(&key, Method::POST, &path, Some(result(&denied.id, "x")))
        .await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    server
        .send_as(&key, Method::POST, &path, Some(result(&asked.id, "done")))
        .await
        .ok();
    assert_eq!(
        server
            .get(&format!("/v1/sessions/{id}"))
            .await
            .text("status"),
        "running"
    );
}

async fn a_worker_reads_the_skills_of_its_work_and_no_others(server: Server) {
    let (environment, key) = worker(&server).await;
    let (used, unused) = (skill(&server, "used").await, skill(&server, "unused").await);
    let skills = json!([{"type": "custom", "skill_id": used, "version": "latest"}]);
    let body = json!({"name": "Reader", "model": "m", "skills": skills, "system": format!("Not \"{unused}\".")});
    let agent = server.post("/v1/agents", body).await;
    let body = json!({"agent": agent.text("id"), "environment_id": environment});
    let read = |key: &str, skill: &str| {
        let path = format!("/v1/skills/{skill}/versions/latest");
        let (server, key) = (&server, key.to_owned());
        async move { server.send_as(&key, Method::GET, &path, None).await.status }
    };
    assert_eq!(read(&key, &used).await, StatusCode::NOT_FOUND);
    let session = create(&server, body).await.text("id").to_owned();
    let token = polled_token(&server, &environment, &key).await;
    // The queue of another environment, and an item of it.
    let other = hosted_beside(&server).await;
    let other_token = polled_token(&server, &other.environment, &other.key).await;
    for (key, skill, status) in [
        (&key, &used, StatusCode::OK),
        (&token, &used, StatusCode::OK),
        (&key, &unused, StatusCode::NOT_FOUND),
        (&token, &unused, StatusCode::NOT_FOUND),
        (&other.key, &used, StatusCode::NOT_FOUND),
        (&other_token, &used, StatusCode::NOT_FOUND),
        (&server.key, &unused, StatusCode::OK),
    ] {
        assert_eq!(read(key, skill).await, status, "{skill}");
    }
    let archive = format!("/v1/sessions/{session}/archive");
    server.post(&archive, json!({})).await.ok();
    assert_eq!(read(&key, &used).await, StatusCode::NOT_FOUND);
}

/// A skill's id.
async fn skill(server: &Server, name: &str) -> String {
    let manifest = format!("---\nname: {name}\ndescription: Reads.\n---\n# It\n");
    let parts = [file("files[]", "d/SKILL.md", manifest.as_bytes())];
    let made = server.send_form("/v1/skills", &parts).await.ok();
    made["id"].as_str().unwrap().to_owned()
}

/// Another self-hosted environment, with a session.
async fn hosted_beside(server: &Server) -> Hosted {
    let config = json!({"name": "others", "config": {"type": "self_hosted"}});
    let made = server.post("/v1/environments", config).await;
    let environment = made.text("id").to_owned();
    let path = format!("/api/environments/{environment}/keys");
    let key = server.post(&path, json!({"name": "worker"})).await;
    let body = json!({"agent": agent(server).await, "environment_id": environment});
    Hosted {
        id: create(server, body).await.text("id").to_owned(),
        key: key.text("key").to_owned(),
        environment,
    }
}
