//! What a service can do that is not honest: it is believed in what it may say, and in nothing else.

use bailiwick_model::limits::AGENT_SKILLS;
use bailiwick_worker::{ServiceError, WorkerError};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::Scene;
use crate::service::{call, item};

/// An item that can be served, as a positive control: whatever came before has not stopped the worker.
async fn serves_the_next(scene: &Scene) {
    let service = &scene.service;
    service.is_honest_again();
    service.happens(
        "sesn_good",
        call(
            "sevt_good",
            "write",
            json!({"file_path": "a", "content": "x"}),
        ),
    );
    service.queue("sesn_good");
    let (told, _) = scene.result("sesn_good", "sevt_good").await;
    assert_eq!(told, "wrote 1 bytes to /workspace/a");
}

#[tokio::test]
async fn an_item_of_another_environment_is_left_alone() {
    let scene = Scene::new().await;
    let mut other = item("sesn_1");
    other["environment_id"] = "env_2".into();
    scene.service.queue_as(other);
    let working = scene.works();
    serves_the_next(&scene).await;
    working.ends().await;
    let asked = scene.service.asked();
    assert!(
        asked.iter().all(|asked| !asked.path.contains("sesn_1")),
        "{asked:#?}"
    );
}

#[tokio::test]
async fn a_session_of_another_environment_is_not_served() {
    let scene = Scene::new().await;
    let service = &scene.service;
    for (id, session) in [
        (
            "sesn_1",
            json!({"id": "sesn_1", "environment_id": "env_2", "status": "running"}),
        ),
        (
            "sesn_2",
            json!({"id": "sesn_3", "environment_id": "env_1", "status": "running"}),
        ),
        (
            "sesn_4",
            json!({"id": "sesn_4", "environment_id": "env_1", "status": "terminated"}),
        ),
    ] {
        service.session_is(id, session);
        service.happens(id, call("sevt_1", "glob", json!({"pattern": "*"})));
        service.queue(id);
    }
    let working = scene.works();
    serves_the_next(&scene).await;
    scene.asked("/stop", 3).await;
    working.ends().await;
    for id in ["sesn_1", "sesn_2", "sesn_4"] {
        assert!(service.results(id, "sevt_1").is_empty(), "{id}");
    }
}

#[tokio::test]
async fn an_id_never_leads_to_another_route() {
    let scene = Scene::new().await;
    let service = &scene.service;
    for id in ["../../api/keys", "..", "sesn_1/../../x", "a%2f..", ""] {
        let mut wrong = item(id);
        wrong["id"] = "work_1".into();
        service.queue_as(wrong);
    }
    let mut wrong = item("sesn_1");
    wrong["id"] = "../../../api/keys".into();
    service.queue_as(wrong);
    let working = scene.works();
    serves_the_next(&scene).await;
    working.ends().await;
    let known = |path: &str| {
        path.starts_with("/v1/environments/env_1/work/")
            || path.starts_with("/v1/sessions/sesn_good")
    };
    for asked in service.asked() {
        assert!(
            known(&asked.path) && !asked.path.contains(".."),
            "{asked:?}"
        );
    }
}

#[tokio::test]
async fn a_session_reaches_its_own_sandbox_alone() {
    let scene = Scene::new().await;
    let service = &scene.service;
    service.happens(
        "sesn_1",
        call(
            "sevt_1",
            "write",
            json!({"file_path": "secret", "content": "x"}),
        ),
    );
    service.queue("sesn_1");
    let working = scene.works();
    scene.result("sesn_1", "sevt_1").await;
    // The other session tells of the first one's calls.
    service.happens(
        "sesn_2",
        call("sevt_1", "read", json!({"file_path": "secret"})),
    );
    service.happens("sesn_2", call("sevt_2", "glob", json!({"pattern": "**"})));
    service.queue("sesn_2");
    let (told, is_error) = scene.result("sesn_2", "sevt_1").await;
    assert!(is_error, "{told}");
    assert!(
        scene
            .result("sesn_2", "sevt_2")
            .await
            .0
            .contains("no such file")
    );
    // As a positive control, in its own it is there.
    service.happens(
        "sesn_1",
        call("sevt_3", "read", json!({"file_path": "secret"})),
    );
    assert_eq!(scene.result("sesn_1", "sevt_3").await.0, "x");
    working.ends().await;
}

#[tokio::test]
async fn a_session_that_is_handed_out_twice_is_served_once() {
    let scene = Scene::new().await;
    let service = &scene.service;
    service.happens("sesn_1", call("sevt_1", "glob", json!({"pattern": "*"})));
    let mut again = item("sesn_1");
    again["id"] = "work_again".into();
    service.queue("sesn_1");
    service.queue_as(again);
    let working = scene.works();
    serves_the_next(&scene).await;
    scene.result("sesn_1", "sevt_1").await;
    working.ends().await;
    assert!(
        service
            .asked()
            .iter()
            .all(|asked| !asked.path.contains("work_again"))
    );
}

/// More than a worker takes, and what has no end.
#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let scene = Scene::new().await;
    let service = &scene.service;
    let endless = json!({"data": [], "next_page": "again"}).to_string();
    let huge = format!("{{\"data\": [], \"more\": \"{}\"}}", "x".repeat(65 << 20));
    let answers: [(&str, String); 4] = [
        ("sesn_1", endless),
        ("sesn_2", huge),
        ("sesn_3", "<html>".to_owned()),
        (
            "sesn_4",
            json!({"data": [{"type": "agent.tool_use"}], "next_page": null}).to_string(),
        ),
    ];
    service.lies(move |asked| {
        let answer = answers
            .iter()
            .find(|(id, _)| asked.path == format!("/v1/sessions/{id}/events"));
        answer.map(|(_, text)| (200, text.clone()))
    });
    for id in ["sesn_1", "sesn_2", "sesn_3", "sesn_4"] {
        service.happens(id, call("sevt_1", "glob", json!({"pattern": "*"})));
        service.queue(id);
    }
    let working = scene.works();
    scene.asked("/stop", 4).await;
    serves_the_next(&scene).await;
    working.ends().await;
}

/// Pages of a list of events: so many with a large call each, and one with a small one.
fn pages(large: usize) -> Vec<String> {
    let page = |number: usize| {
        let event = if number < large {
            let content = "x".repeat(30 << 20);
            let input = json!({"file_path": "large", "content": content});
            call(&format!("sevt_{number}"), "write", input)
        } else {
            call("sevt_last", "glob", json!({"pattern": "*"}))
        };
        let next = (number < large).then(|| (number + 1).to_string());
        json!({"data": [event], "next_page": next}).to_string()
    };
    (0..=large).map(page).collect()
}

/// Each page is one that a worker takes. Whoever reads it holds up no heartbeat.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_are_too_large_together_are_given_up() {
    let scene = Scene::new().await;
    let service = &scene.service;
    // The last one is what an honest service would say.
    for (id, large, is_served) in [("sesn_1", 3, false), ("sesn_2", 1, true)] {
        let (path, pages) = (format!("/v1/sessions/{id}/events"), pages(large));
        service.lies(move |asked| {
            if asked.path != path || asked.method != "GET" {
                return None;
            }
            let mut query = asked.query.split('&');
            let page = query.find_map(|part| part.strip_prefix("page=")?.parse().ok());
            let page: usize = page.unwrap_or_default();
            Some((200, pages[page].clone()))
        });
        service.queue(id);
        let working = scene.works();
        if is_served {
            let (told, _) = scene.result(id, "sevt_last").await;
            assert_eq!(told, "/workspace/large");
        } else {
            scene.asked("/stop", 1).await;
        }
        let answered = !service.results(id, "sevt_0").is_empty();
        assert_eq!(answered, is_served, "{id}");
        serves_the_next(&scene).await;
        working.ends().await;
    }
}

#[tokio::test]
async fn an_agent_with_skills_without_end_is_given_up() {
    let scene = Scene::new().await;
    let service = &scene.service;
    let skill = json!({"type": "custom", "skill_id": "gone", "version": "1"});
    for (id, skills, is_served) in [
        ("sesn_1", AGENT_SKILLS + 1, false),
        ("sesn_2", AGENT_SKILLS, true),
    ] {
        let agent = json!({"skills": vec![&skill; skills]});
        let session =
            json!({"id": id, "environment_id": "env_1", "status": "running", "agent": agent});
        service.session_is(id, session);
        service.happens(id, call("sevt_1", "glob", json!({"pattern": "*"})));
        service.queue(id);
        let working = scene.works();
        if is_served {
            let (told, _) = scene.result(id, "sevt_1").await;
            assert!(told.contains("the skill gone is missing here"));
        } else {
            scene.asked("/stop", 1).await;
            assert!(service.results(id, "sevt_1").is_empty());
            assert_eq!(service.count("/content"), 0);
        }
        working.ends().await;
    }
}

#[tokio::test]
async fn the_key_goes_nowhere_else() {
    let scene = Scene::new().await;
    for status in [301, 302, 307, 308] {
        scene.service.lies(move |_| Some((status, String::new())));
        let worked = scene.worker().run(CancellationToken::new()).await;
        assert!(matches!(worked, Err(WorkerError::Poll { .. })), "{status}");
    }
    assert!(
        scene
            .service
            .asked()
            .iter()
            .all(|asked| asked.path.ends_with("/poll"))
    );
}

#[tokio::test]
async fn a_worker_whose_key_is_not_taken_ends() {
    let scene = Scene::new().await;
    let body = json!({"error": {"message": "no such key"}}).to_string();
    scene.service.lies(move |_| Some((401, body.clone())));
    let worked = scene.worker().run(CancellationToken::new()).await;
    let Err(WorkerError::Poll { source, .. }) = worked else {
        panic!("{worked:?}");
    };
    assert!(
        matches!(source, ServiceError::Refused { status: 401, .. }),
        "{source}"
    );
}

/// Whoever has it now is not disturbed.
#[tokio::test]
async fn an_item_whose_lease_is_lost_is_not_ended() {
    let scene = Scene::new().await;
    let service = &scene.service;
    service.lies(|asked| {
        asked
            .path
            .ends_with("/heartbeat")
            .then(|| (412, "{}".to_owned()))
    });
    service.queue("sesn_1");
    let working = scene.works();
    scene.asked("/heartbeat", 1).await;
    serves_the_next(&scene).await;
    working.ends().await;
    let ended = service
        .asked()
        .into_iter()
        .filter(|asked| asked.path.ends_with("/stop"));
    assert!(
        ended
            .into_iter()
            .all(|asked| !asked.path.contains("sesn_1"))
    );
}

/// Whose session it is has to be said before anything of it is run.
#[tokio::test]
async fn a_session_of_which_nothing_is_known_is_not_served() {
    let scene = Scene::new().await;
    let service = &scene.service;
    service.lies(|asked| {
        let is_session = asked.path == "/v1/sessions/sesn_1";
        is_session.then(|| (503, "{}".to_owned()))
    });
    service.happens("sesn_1", call("sevt_1", "glob", json!({"pattern": "*"})));
    service.queue("sesn_1");
    let working = scene.works();
    scene.asked("/sesn_1", 2).await;
    assert!(service.results("sesn_1", "sevt_1").is_empty());
    service.is_honest_again();
    scene.result("sesn_1", "sevt_1").await;
    working.ends().await;
}

/// A result that the service takes no interest in does not stay without one.
#[tokio::test]
async fn a_result_that_is_not_taken_is_replaced() {
    let scene = Scene::new().await;
    let service = &scene.service;
    let count = std::sync::atomic::AtomicUsize::new(0);
    service.lies(move |asked| {
        let is_result = asked.path.ends_with("/events") && asked.method == "POST";
        let first = is_result && count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        first.then(|| (413, Value::Null.to_string()))
    });
    service.happens("sesn_1", call("sevt_1", "glob", json!({"pattern": "*"})));
    service.queue("sesn_1");
    let working = scene.works();
    let (told, is_error) = scene.result("sesn_1", "sevt_1").await;
    assert!(
        is_error && told.contains("did not take its result"),
        "{told}"
    );
    working.ends().await;
}
