//! How long records are kept, and what is left of an audit log.

use bailiwick_control::{AuditLine, Control};
use bailiwick_model::{OrganizationId, PredefinedRole, ResourceId as _};
use bailiwick_store::{AuditChain, AuditEvent, NewOrganization, Retention, Scope, Store};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Server, on_both, sealing_keys};

on_both!(
    everything_is_kept_until_somebody_says_for_how_long,
    what_is_too_short_or_no_number_is_refused,
    of_two_who_change_it_at_once_one_does,
    entries_whose_time_is_over_go_and_the_rest_is_verified_as_before,
    nothing_goes_before_it_was_delivered,
    entries_that_were_taken_away_otherwise_show,
    an_export_says_where_what_is_left_begins,
);

const PATH: &str = "/api/organization/retention";

async fn everything_is_kept_until_somebody_says_for_how_long(server: Server) {
    let at_first = server.get(PATH).await.ok();
    let for_ever =
        json!({"events_days": null, "flows_days": null, "audit_days": null, "version": 1});
    assert_eq!(at_first, for_ever);
    let change = json!({"audit_days": 30, "events_days": 1});
    let changed = server.send(Method::PATCH, PATH, Some(change)).await.ok();
    assert_eq!(
        changed,
        json!({"events_days": 1, "flows_days": null, "audit_days": 30, "version": 2})
    );
    let change = json!({"events_days": null, "version": 2});
    let changed = server.send(Method::PATCH, PATH, Some(change)).await.ok();
    assert_eq!(
        (&changed["events_days"], &changed["audit_days"]),
        (&Value::Null, &json!(30))
    );
    let log = server.get("/api/audit-log").await.ok();
    let last = log["data"].as_array().unwrap().last().unwrap();
    assert_eq!(last["action"], "organization.retention");
    assert_eq!(last["before"]["events_days"], 1);
    // Who only reads, reads it.
    let editor = server.key_of(PredefinedRole::Editor).await;
    let read = server.send_as(&editor, Method::GET, PATH, None).await;
    assert_eq!(read.status, StatusCode::OK);
    let refused = server
        .send_as(&editor, Method::PATCH, PATH, Some(json!({})))
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

async fn what_is_too_short_or_no_number_is_refused(server: Server) {
    for (field, days, status) in [
        ("audit_days", json!(29), StatusCode::BAD_REQUEST),
        ("audit_days", json!(30), StatusCode::OK),
        ("audit_days", json!(36_500), StatusCode::OK),
        ("audit_days", json!(36_501), StatusCode::BAD_REQUEST),
        ("events_days", json!(0), StatusCode::BAD_REQUEST),
        ("events_days", json!(1), StatusCode::OK),
        ("flows_days", json!(-1), StatusCode::BAD_REQUEST),
        ("flows_days", json!(1.5), StatusCode::BAD_REQUEST),
        ("flows_days", json!("1"), StatusCode::BAD_REQUEST),
        ("flows_days", json!(i64::MAX), StatusCode::BAD_REQUEST),
        ("sessions_days", json!(1), StatusCode::BAD_REQUEST),
    ] {
        let change = json!({field: days});
        let answer = server.send(Method::PATCH, PATH, Some(change)).await;
        assert_eq!(answer.status, status, "{field} {days}");
    }
}

async fn of_two_who_change_it_at_once_one_does(server: Server) {
    let to = |days: i64| {
        let change = json!({"audit_days": days, "version": 1});
        server.send(Method::PATCH, PATH, Some(change))
    };
    let (first, second) = tokio::join!(to(30), to(31));
    let mut statuses = [first.status, second.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::CONFLICT]);
}

fn event(action: &str) -> AuditEvent<'_> {
    AuditEvent {
        actor_kind: "system",
        actor_id: "test",
        address: None,
        action,
        resource_kind: "organization",
        resource_id: "x",
        before: None,
        after: Some("{}".to_owned()),
    }
}

async fn entered(store: &Store, id: &OrganizationId, action: &str, days: i64) {
    let at = Timestamp::now() - SignedDuration::from_hours(24 * days);
    let change = store.change(id, at).await.unwrap();
    change.commit(&event(action)).await.unwrap();
}

/// An organization that keeps its log for 60 days, and has made these entries 100 days ago, and two since.
async fn old(store: &Store, entries: usize) -> OrganizationId {
    let id = OrganizationId::made(1, [7; 10]);
    let at = Timestamp::now() - SignedDuration::from_hours(24 * 100);
    let mut change = store.change(&id, at).await.unwrap();
    let (name, floor) = ("Old", "{}");
    let new = NewOrganization { name, floor };
    change.insert_organization(&new).await.unwrap();
    let kept = Retention {
        audit_days: Some(60),
        ..Retention::default()
    };
    change.set_retention(1, kept).await.unwrap();
    for _ in 1..entries {
        change.enter(&event("something.old")).await.unwrap();
    }
    change.commit(&event("organization.create")).await.unwrap();
    entered(store, &id, "something.new", 59).await;
    entered(store, &id, "something.new", 0).await;
    id
}

fn control(server: &Server) -> Control {
    Control::new(server.store.clone(), sealing_keys(&[1]))
}

async fn sequences(scope: Scope<'_>) -> Vec<i64> {
    let entries = scope.audit_entries(0, 10_000).await.unwrap();
    entries.iter().map(|entry| entry.sequence).collect()
}

async fn entries_whose_time_is_over_go_and_the_rest_is_verified_as_before(server: Server) {
    // More than go at once.
    let id = old(&server.store, 1500).await;
    let scope = server.store.scope(&id);
    let head = scope.verify_audit_log().await.unwrap().unwrap();
    assert_eq!(head.0, 1502);
    assert_eq!(control(&server).sweep_audit_logs(&[]).await.unwrap(), 1500);
    // And the two entries that say so.
    assert_eq!(sequences(scope).await, [1501, 1502, 1503, 1504]);
    let verified = scope.verify_audit_log().await.unwrap().unwrap();
    assert_eq!(verified.0, 1504);
    assert_eq!(scope.audit_head().await.unwrap().anchor.sequence, 1500);
    let entries = scope.audit_entries(1501, 10).await.unwrap();
    assert_eq!(entries[0].sequence, 1502);
    // Nothing more goes, and the log goes on.
    assert_eq!(control(&server).sweep_audit_logs(&[]).await.unwrap(), 0);
    entered(&server.store, &id, "something.new", 0).await;
    assert!(scope.verify_audit_log().await.unwrap().is_ok());
    // The other organization keeps everything.
    let verified = server.get("/api/audit-log/verify").await.ok();
    assert_eq!(verified["entries"], 1);
}

async fn nothing_goes_before_it_was_delivered(server: Server) {
    let id = old(&server.store, 10).await;
    let scope = server.store.scope(&id);
    let (first, second) = ("audit=file:/a".to_owned(), "audit=file:/b".to_owned());
    let both = [first.clone(), second.clone()];
    let control = control(&server);
    assert_eq!(control.sweep_audit_logs(&both).await.unwrap(), 0);
    server.store.delivered(&id, &first, 12).await.unwrap();
    assert_eq!(control.sweep_audit_logs(&both).await.unwrap(), 0);
    server.store.delivered(&id, &second, 4).await.unwrap();
    assert_eq!(control.sweep_audit_logs(&both).await.unwrap(), 4);
    // It never goes back.
    server.store.delivered(&id, &second, 2).await.unwrap();
    assert_eq!(scope.delivered(&second).await.unwrap(), 4);
    assert_eq!(control.sweep_audit_logs(&[]).await.unwrap(), 6);
    assert_eq!(sequences(scope).await[0], 11);
    assert!(scope.verify_audit_log().await.unwrap().is_ok());
}

pub(crate) async fn run(server: &Server, sql: String) {
    let url = match &server.url {
        bailiwick_store::DatabaseUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
        bailiwick_store::DatabaseUrl::Postgres(url) => url.clone(),
    };
    let pool = sqlx::AnyPool::connect(&url).await.unwrap();
    let query = sqlx::query(sqlx::AssertSqlSafe(sql));
    let done = query.execute(&pool).await.unwrap();
    assert_eq!(done.rows_affected(), 1);
    pool.close().await;
}

async fn entries_that_were_taken_away_otherwise_show(server: Server) {
    let id = old(&server.store, 3).await;
    let scope = server.store.scope(&id);
    // As an anchor could be forged by who writes to the database.
    let hash = scope.audit_entries(0, 1).await.unwrap()[0].hash;
    let hash = bailiwick_control::hash_text(&hash);
    let bytes = match &server.url {
        bailiwick_store::DatabaseUrl::Sqlite(_) => format!("X'{hash}'"),
        bailiwick_store::DatabaseUrl::Postgres(_) => format!("'\\x{hash}'"),
    };
    let sql = format!("DELETE FROM audit_entry WHERE organization_id = '{id}' AND sequence = 1");
    run(&server, sql).await;
    let broken = scope.verify_audit_log().await.unwrap().unwrap_err();
    assert_eq!(broken.sequence, 1);
    run(
        &server,
        format!("UPDATE organization SET audit_anchor_sequence = 1, audit_anchor_hash = {bytes} WHERE id = '{id}'"),
    )
    .await;
    let broken = scope.verify_audit_log().await.unwrap().unwrap_err();
    assert_eq!(broken.sequence, 1);
}

/// A page. The letter counts, and reading entries as values would lose it.
#[derive(serde::Deserialize)]
struct Entries {
    data: Vec<Box<serde_json::value::RawValue>>,
    anchor: Option<Value>,
}

async fn an_export_says_where_what_is_left_begins(server: Server) {
    let id = old(&server.store, 3).await;
    control(&server).sweep_audit_logs(&[]).await.unwrap();
    let anchor = server.store.scope(&id).audit_head().await.unwrap().anchor;
    let entries = server.store.scope(&id).audit_entries(0, 10).await.unwrap();
    let mut chain = AuditChain::after(id.clone(), anchor);
    for entry in entries {
        let line = AuditLine::of(&id, entry).unwrap();
        let line = serde_json::to_string(&line).unwrap();
        chain.follow(&AuditLine::parse(&line).unwrap().1).unwrap();
    }
    assert_eq!(chain.finish().unwrap().0, 6);
    // Of a log from which nothing was taken away it says nothing.
    let answer = server.get("/api/audit-log").await;
    let page: Entries = serde_json::from_str(&answer.raw).unwrap();
    assert_eq!((page.data.len(), page.anchor), (1, None));
}
