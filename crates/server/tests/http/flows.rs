//! Flows of sessions: kept, listed and taken away.

use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_control::{Bootstrap, Control};
use bailiwick_model::{
    Destination, EnvironmentId, Flow, FlowId, HostName, OrganizationId, PolicySource, Reason,
    ResourceId as _, SessionId, Verdict,
};
use bailiwick_store::{FlowFilter, NewFlow, Store};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Server, on_both, sealing_keys};

on_both!(
    flows_are_listed_page_by_page_and_by_whose_they_are,
    whoever_has_seen_a_number_has_missed_none_before_it,
    flows_whose_time_is_over_go_once_they_were_delivered,
    flows_of_another_organization_are_not_there,
);

/// Someone's, of this number.
fn session(number: u8) -> SessionId {
    SessionId::made(1, [number; 10])
}

fn environment(number: u8) -> EnvironmentId {
    EnvironmentId::made(1, [number; 10])
}

fn flow(host: &str, verdict: Verdict) -> NewFlow {
    let reason = match verdict {
        Verdict::Allow => Reason::HostRule,
        Verdict::Deny => Reason::NoRule,
    };
    let flow = Flow {
        at: Timestamp::UNIX_EPOCH,
        sandbox: "one".parse().unwrap(),
        environment: Some("dev".parse().unwrap()),
        destination: Destination::tcp_name(HostName::from_normalised(host).unwrap(), 443),
        address: None,
        verdict,
        reason,
        rule: None,
        source: PolicySource::BuiltIn,
        hint: None,
        bytes_out: 1,
        bytes_in: 2,
        duration_ms: 3,
        notes: Vec::new(),
    };
    static MADE: AtomicU64 = AtomicU64::new(1);
    NewFlow {
        id: FlowId::made(MADE.fetch_add(1, Ordering::Relaxed), [0; 10]),
        verdict,
        flow: serde_json::to_string(&flow).unwrap(),
    }
}

async fn keep(store: &Store, organization: &OrganizationId, number: u8, flows: &[NewFlow]) {
    let session = session(number);
    let whose = (Some(&session), &environment(number));
    let now = Timestamp::now();
    store
        .keep_flows(organization, whose, now, flows)
        .await
        .unwrap();
}

async fn own(server: &Server) -> OrganizationId {
    let found = server.get("/api/organization").await;
    found.text("id").parse().unwrap()
}

fn sequences(page: &Value) -> Vec<i64> {
    let data = page["data"].as_array().unwrap();
    data.iter()
        .map(|flow| flow["sequence"].as_i64().unwrap())
        .collect()
}

async fn flows_are_listed_page_by_page_and_by_whose_they_are(server: Server) {
    let id = own(&server).await;
    let some = || {
        [
            flow("a.example", Verdict::Allow),
            flow("b.example", Verdict::Deny),
        ]
    };
    keep(&server.store, &id, 1, &some()).await;
    keep(&server.store, &id, 2, &some()).await;
    let all = server.get("/api/flows").await.ok();
    assert_eq!(sequences(&all), [1, 2, 3, 4]);
    assert_eq!(all["next_after"], Value::Null);
    let first = &all["data"][0];
    assert_eq!(first["session_id"], session(1).as_str());
    assert_eq!(first["environment_id"], environment(1).as_str());
    assert_eq!(first["organization_id"], id.as_str());
    assert_eq!(first["reason"], "host_rule");
    for (query, expected) in [
        ("limit=3", vec![1, 2, 3]),
        ("after=3", vec![4]),
        ("after=4", vec![]),
        ("verdict=deny", vec![2, 4]),
        (&format!("session_id={}", session(2)), vec![3, 4]),
        (
            &format!("environment_id={}&verdict=allow", environment(1)),
            vec![1],
        ),
        (&format!("session_id={}", session(9)), vec![]),
        (
            &format!(
                "session_id={}&environment_id={}",
                session(1),
                environment(2)
            ),
            vec![],
        ),
    ] {
        let page = server.get(&format!("/api/flows?{query}")).await.ok();
        assert_eq!(sequences(&page), expected, "{query}");
    }
    let page = server.get("/api/flows?limit=3").await.ok();
    assert_eq!(page["next_after"], 3);
    for wrong in [
        "limit=0",
        "limit=1001",
        "after=-1",
        "verdict=maybe",
        "session_id=x",
        "colour=1",
    ] {
        let refused = server.get(&format!("/api/flows?{wrong}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

/// Exports read on from the last number that they have seen.
async fn whoever_has_seen_a_number_has_missed_none_before_it(server: Server) {
    let id = own(&server).await;
    let writers: Vec<_> = (0..8)
        .map(|number| {
            let (store, id) = (server.store.clone(), id.clone());
            tokio::spawn(async move {
                for _ in 0..20 {
                    let some = [(); 3].map(|()| flow("a.example", Verdict::Allow));
                    keep(&store, &id, number, &some).await;
                }
            })
        })
        .collect();
    let scope = server.store.scope(&id);
    let mut seen: Vec<i64> = Vec::new();
    while seen.len() < 8 * 20 * 3 {
        let after = seen.last().copied().unwrap_or(0);
        let found = scope.flows(after, 50, &FlowFilter::default()).await;
        seen.extend(found.unwrap().iter().map(|flow| flow.sequence));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(seen.iter().copied().eq(1..=8 * 20 * 3), "{seen:?}");
}

async fn flows_whose_time_is_over_go_once_they_were_delivered(server: Server) {
    let id = own(&server).await;
    let change = json!({"flows_days": 10});
    let path = "/api/organization/retention";
    server.send(Method::PATCH, path, Some(change)).await.ok();
    let old = Timestamp::now() - SignedDuration::from_hours(24 * 11);
    let some = [(); 5].map(|()| flow("a.example", Verdict::Allow));
    let session = session(1);
    let whose = (Some(&session), &environment(1));
    server
        .store
        .keep_flows(&id, whose, old, &some)
        .await
        .unwrap();
    keep(&server.store, &id, 1, &[flow("a.example", Verdict::Allow)]).await;
    let control = Control::new(server.store.clone(), sealing_keys(&[1]));
    let export = "flows=file:/a".to_owned();
    let to = std::slice::from_ref(&export);
    assert_eq!(control.sweep_flows(to).await.unwrap(), 0);
    server.store.delivered(&id, &export, 3).await.unwrap();
    assert_eq!(control.sweep_flows(to).await.unwrap(), 3);
    let left = server.get("/api/flows").await.ok();
    assert_eq!(sequences(&left), [4, 5, 6]);
    assert_eq!(control.sweep_flows(&[]).await.unwrap(), 2);
    assert_eq!(sequences(&server.get("/api/flows").await.ok()), [6]);
    // Numbers are never given again, and the log says what went.
    keep(&server.store, &id, 1, &[flow("a.example", Verdict::Allow)]).await;
    assert_eq!(sequences(&server.get("/api/flows").await.ok()), [6, 7]);
    let log = server.get("/api/audit-log").await.ok();
    let last = log["data"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["action"], &last["after"]["flows"]),
        (&json!("flows.expire"), &json!(2))
    );
}

async fn flows_of_another_organization_are_not_there(server: Server) {
    let id = own(&server).await;
    keep(&server.store, &id, 1, &[flow("a.example", Verdict::Allow)]).await;
    let control = Control::new(server.store.clone(), sealing_keys(&[1]));
    let other = control
        .create_organization("Other", Bootstrap::default())
        .await
        .unwrap();
    for query in [String::new(), format!("?session_id={}", session(1))] {
        let path = format!("/api/flows{query}");
        let theirs = server
            .send_as(&other.key, Method::GET, &path, None)
            .await
            .ok();
        assert_eq!(sequences(&theirs), [0; 0]);
        assert_eq!(sequences(&server.get(&path).await.ok()), [1]);
    }
}
