//! `/api/audit-log`.

use bailiwick_control::{AuditLine, SignedHead};
use bailiwick_store::AuditChain;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{Server, on_both};

on_both!(
    the_log_is_read_to_its_end_in_pages_and_its_chain_holds,
    the_server_checks_its_own_log,
    the_head_is_signed_and_nothing_of_it_can_be_changed,
    what_cannot_be_asked_is_refused,
    only_who_may_reads_it,
);

/// A page. The letter counts, and reading entries as values would lose it.
#[derive(serde::Deserialize)]
struct Entries {
    data: Vec<Box<serde_json::value::RawValue>>,
    next_after: Option<i64>,
}

async fn changes(server: &Server) {
    for name in ["a", "b", "c", "d"] {
        // What is kept to the letter: order of keys, escapes, numbers.
        let body =
            json!({"name": name, "description": "z\u{e9}\"\\\n", "metadata": {"z": "1", "a": "2"}});
        server.post("/v1/environments", body).await.ok();
    }
}

async fn the_log_is_read_to_its_end_in_pages_and_its_chain_holds(server: Server) {
    changes(&server).await;
    let (mut after, mut sequences) = (0, Vec::new());
    let mut chain = None;
    loop {
        let answer = server
            .get(&format!("/api/audit-log?after={after}&limit=2"))
            .await;
        let page: Entries = serde_json::from_str(&answer.raw).unwrap();
        for line in page.data {
            let (organization, entry) = AuditLine::parse(line.get()).unwrap();
            let chain = chain.get_or_insert_with(|| AuditChain::new(organization));
            chain.follow(&entry).unwrap();
            sequences.push(entry.sequence);
        }
        match page.next_after {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(sequences, [1, 2, 3, 4, 5]);
}

async fn the_server_checks_its_own_log(server: Server) {
    changes(&server).await;
    let log = server.get("/api/audit-log").await.ok();
    let verified = server.get("/api/audit-log/verify").await.ok();
    assert_eq!(
        (
            &verified["verified"],
            &verified["entries"],
            &verified["broken_at"]
        ),
        (&json!(true), &json!(5), &json!(null))
    );
    assert_eq!(verified["hash"], log["data"][4]["hash"]);
    assert_eq!(log["data"][4]["action"], "environment.create");
    assert_eq!(log["data"][4]["actor"]["kind"], "user");
    assert_eq!(log["data"][4]["address"], "127.0.0.1");
}

async fn the_head_is_signed_and_nothing_of_it_can_be_changed(server: Server) {
    changes(&server).await;
    let told = server.get("/api/audit-log/head").await.ok();
    let verified = server.get("/api/audit-log/verify").await.ok();
    assert_eq!(
        (&told["entries"], &told["hash"]),
        (&verified["entries"], &verified["hash"])
    );
    let key = told["public_key"].as_str().unwrap().parse().unwrap();
    let head = |value: &serde_json::Value| -> SignedHead {
        serde_json::from_value(value.clone()).unwrap()
    };
    assert_eq!(head(&told).check(&key), Ok(()));
    // The key stays, and is the same on every server that has the same keys.
    let again = server.get("/api/audit-log/head").await.ok();
    assert_eq!(again["public_key"], told["public_key"]);
    let other = server.other_organization().await;
    let theirs = server
        .send_as(&other, Method::GET, "/api/audit-log/head", None)
        .await
        .ok();
    for (field, forged) in [
        ("organization_id", theirs["organization_id"].clone()),
        ("entries", json!(4)),
        ("hash", json!("00".repeat(32))),
        ("at", theirs["at"].clone()),
        ("signature", theirs["signature"].clone()),
        ("signature", json!("")),
    ] {
        let mut changed = told.clone();
        changed[field] = forged;
        assert!(head(&changed).check(&key).is_err(), "{field}");
    }
    let stranger = bailiwick_control::HeadKey::from([7; 32]);
    assert!(head(&told).check(&stranger).is_err());
}

async fn what_cannot_be_asked_is_refused(server: Server) {
    for (query, status) in [
        ("limit=1", StatusCode::OK),
        ("limit=1000", StatusCode::OK),
        ("limit=0", StatusCode::BAD_REQUEST),
        ("limit=1001", StatusCode::BAD_REQUEST),
        ("limit=-1", StatusCode::BAD_REQUEST),
        ("after=x", StatusCode::BAD_REQUEST),
        ("after=9223372036854775807", StatusCode::OK),
        ("after=9223372036854775808", StatusCode::BAD_REQUEST),
        ("before=1", StatusCode::BAD_REQUEST),
    ] {
        let answer = server.get(&format!("/api/audit-log?{query}")).await;
        assert_eq!(answer.status, status, "{query}");
    }
}

async fn only_who_may_reads_it(server: Server) {
    let made = server
        .post(
            "/v1/environments",
            json!({"name": "w", "config": {"type": "self_hosted"}}),
        )
        .await;
    let path = format!("/api/environments/{}/keys", made.text("id"));
    let worker = server.post(&path, json!({"name": "worker"})).await;
    for path in [
        "/api/audit-log",
        "/api/audit-log/verify",
        "/api/audit-log/head",
    ] {
        let nobody = crate::answer(server.request(Method::GET, path)).await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "{path}");
        let forbidden = server
            .send_as(worker.text("key"), Method::GET, path, None)
            .await;
        assert_eq!(forbidden.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(server.get(path).await.status, StatusCode::OK, "{path}");
    }
}
