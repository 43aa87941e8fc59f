//! Events of sessions, with several servers, and with one that is killed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bailiwick_testkit::eventually;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::consistency::{assert_chained, assert_whole};
use crate::replicas::Replicas;
use crate::{Face, Up, machine};

const SENDERS: usize = 8;
const EACH: usize = 25;
const KILLS: usize = 12;
const PATIENCE: Duration = Duration::from_secs(30);

async fn made(face: &Face, path: &str, body: Value) -> String {
    let made = face.post(path, body).await.expect("an answer");
    made.text("id").to_owned()
}

async fn session(face: &Face) -> String {
    let agent = made(face, "/v1/agents", json!({"name": "a", "model": "m"})).await;
    let environment = made(face, "/v1/environments", json!({"name": agent})).await;
    let body = json!({"agent": agent, "environment_id": environment});
    made(face, "/v1/sessions", body).await
}

/// Says something; the id of the event, if that was acknowledged.
async fn say(face: &Face, session: &str, text: &str) -> Option<String> {
    let content = json!([{"type": "text", "text": text}]);
    let body = json!({"events": [{"type": "user.message", "content": content}]});
    let sent = face
        .post(&format!("/v1/sessions/{session}/events"), body)
        .await
        .ok()?;
    assert_eq!(sent.status, 200, "{sent:?}");
    Some(
        sent.body["data"][0]["id"]
            .as_str()
            .expect("an id")
            .to_owned(),
    )
}

/// The ids of all events, page by page.
async fn listed(face: &Face, session: &str, limit: usize) -> Vec<String> {
    let (mut ids, mut page) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/sessions/{session}/events?limit={limit}{page}");
        let answer = face.get(&path).await.expect("an answer");
        let events = answer.body["data"].as_array().expect("a list");
        ids.extend(
            events
                .iter()
                .map(|event| event["id"].as_str().unwrap().to_owned()),
        );
        match answer.body["next_page"].as_str() {
            Some(next) => page = format!("&page={next}"),
            None => return ids,
        }
    }
}

/// The ids of events as they are streamed, until so many messages came; each was listed by the time it came.
async fn streamed(
    face: &Face,
    session: &str,
    messages: usize,
    opened: &AtomicUsize,
) -> Vec<String> {
    let url = format!("{}/v1/sessions/{session}/events/stream", face.url);
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let request = client.get(url).header("x-api-key", &face.key);
    let mut answer = request.send().await.expect("a stream");
    opened.fetch_add(1, Ordering::SeqCst);
    let (mut ids, mut text, mut heard) = (Vec::new(), String::new(), 0);
    while heard < messages {
        let chunk = tokio::time::timeout(PATIENCE, answer.chunk()).await;
        let chunk = chunk
            .expect("something in time")
            .expect("a chunk")
            .expect("no end");
        text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        while let Some((line, rest)) = text.split_once('\n') {
            let event = line
                .strip_prefix("data: ")
                .map(serde_json::from_str::<Value>);
            let event = event.transpose().expect("JSON").unwrap_or_default();
            ids.extend(event["id"].as_str().map(str::to_owned));
            heard += usize::from(event["type"] == "user.message");
            text = rest.to_owned();
        }
    }
    let known: BTreeSet<_> = listed(face, session, 1000).await.into_iter().collect();
    assert!(ids.iter().all(|id| known.contains(id)));
    ids
}

#[test]
fn two_replicas_list_and_stream_every_event_once_in_one_order() {
    let replicas = Replicas::start();
    let faces = replicas.faces();
    let messages = SENDERS * EACH;
    replicas.runtime.block_on(async {
        let session = session(faces[0]).await;
        let opened = AtomicUsize::new(0);
        let streams = faces.map(|face| streamed(face, &session, messages, &opened));
        let sending = async {
            while opened.load(Ordering::SeqCst) < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let senders: Vec<_> = (0..SENDERS)
                .map(|sender| {
                    let (face, session) = (faces[sender % 2].clone(), session.clone());
                    tokio::spawn(async move {
                        let mut acknowledged = Vec::new();
                        for number in 0..EACH {
                            let said = say(&face, &session, &format!("{sender}-{number}")).await;
                            acknowledged.push(said.expect("acknowledged"));
                        }
                        acknowledged
                    })
                })
                .collect();
            let mut all = Vec::new();
            for sender in senders {
                all.extend(sender.await.expect("a sender"));
            }
            all
        };
        let [one, other] = streams;
        let (acknowledged, one, other) = tokio::join!(sending, one, other);
        for (face, streamed) in faces.iter().zip([one, other]) {
            for limit in [7, 1000] {
                // What becomes of the session meanwhile is told by events, too, also after the last message.
                let listed = listed(face, &session, limit).await;
                assert_eq!(listed[..streamed.len()], streamed);
            }
            let known: BTreeSet<_> = streamed.iter().collect();
            assert_eq!(known.len(), streamed.len());
            assert!(acknowledged.iter().all(|id| known.contains(id)));
        }
        assert_whole(&replicas.database.url()).await;
    });
}

#[test]
fn what_was_said_and_acknowledged_outlives_kills_of_the_server() {
    let machine = machine();
    let url = format!("sqlite:{}/bailiwick.db", machine.workspace().display());
    let runtime = Runtime::new().expect("a runtime");
    let (mut session_id, mut acknowledged) = (None, Vec::new());
    let mut cut = 0;
    for kill in 0..KILLS {
        let mut server = Up::start(&machine, &url);
        let session = match &session_id {
            Some(session) => String::clone(session),
            None => runtime.block_on(session(&server.face)),
        };
        session_id = Some(session.clone());
        let count = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let (face, session, count) =
                    (server.face.clone(), session.clone(), Arc::clone(&count));
                runtime.spawn(async move {
                    let mut own = Vec::new();
                    while let Some(id) = say(&face, &session, "x").await {
                        count.fetch_add(1, Ordering::SeqCst);
                        own.push(id);
                    }
                    own
                })
            })
            .collect();
        eventually("there is load", PATIENCE, || {
            (count.load(Ordering::SeqCst) > 1 + kill * 3).then_some(())
        });
        server.process.signal(Signal::KILL);
        server.process.wait(PATIENCE);
        for sender in senders {
            acknowledged.extend(runtime.block_on(sender).expect("a sender"));
            cut += 1;
        }
    }
    let server = Up::start(&machine, &url);
    runtime.block_on(async {
        let listed = listed(&server.face, &session_id.expect("one"), 100).await;
        let known: BTreeSet<_> = listed.iter().collect();
        assert_eq!(known.len(), listed.len(), "nothing is there twice");
        let lost: Vec<_> = acknowledged
            .iter()
            .filter(|id| !known.contains(id))
            .collect();
        assert!(lost.is_empty(), "{lost:?}");
        // The controls: there was load, and every sender was cut off.
        assert!(acknowledged.len() > KILLS * 3, "{}", acknowledged.len());
        assert_eq!(cut, KILLS * 4);
        assert_whole(&url).await;
        assert_chained(&url).await;
    });
}
