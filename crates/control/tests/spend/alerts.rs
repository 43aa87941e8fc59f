//! Thresholds that are passed.

use bailiwick_control::{Export, LimitAlertLine};
use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_export::Sink;
use bailiwick_model::{ResourceId as _, UserId};
use bailiwick_policy::HostFacts;
use serde_json::Value;
use tokio::sync::watch;

use super::*;

async fn limit_with(place: &Place, entity: LimitEntity, thresholds: &[u16]) -> LimitView {
    let request = request(entity, 1000, thresholds);
    let made = place.control.create_limit(&place.caller, request).await;
    made.unwrap()
}

fn request(entity: LimitEntity, tokens: i64, thresholds: &[u16]) -> LimitRequest {
    LimitRequest {
        entity,
        environment: None,
        config: LimitConfig {
            enforcement: Enforcement::Soft,
            thresholds: thresholds.to_vec(),
            ..config(LimitAmount::Tokens(tokens), DAY)
        },
    }
}

async fn spend(control: &Control, wanted: &Wanted, tokens: u64) {
    let reservation = reserve(control.ledger(), wanted).await.unwrap();
    reservation.settle(told(usage(0, tokens)));
    control.ledger().write_settled().await;
}

async fn alerts(place: &Place) -> Vec<Value> {
    let found = place.control.limit_alerts(&place.caller, 0, 100).await;
    let json = |line: LimitAlertLine| serde_json::to_value(line).unwrap();
    found.unwrap().into_iter().map(json).collect()
}

async fn percents(place: &Place) -> Vec<i64> {
    let percent = |alert: &Value| alert["threshold_percent"].as_i64().unwrap();
    alerts(place).await.iter().map(percent).collect()
}

#[tokio::test]
async fn a_threshold_that_is_passed_is_told_once() {
    on_both(|place| async move {
        let limit = limit_with(&place, LimitEntity::Organization, &[50, 80, 200]).await;
        let wanted = place.request(usage(0, 10));
        spend(&place.control, &wanted, 499).await;
        assert_eq!(percents(&place).await, Vec::<i64>::new());
        spend(&place.control, &wanted, 1).await;
        assert_eq!(percents(&place).await, [50]);
        spend(&place.control, &wanted, 1).await;
        spend(&place.control, &wanted, 2000).await;
        assert_eq!(percents(&place).await, [50, 80, 200]);
        let told = &alerts(&place).await[0];
        assert_eq!(told["limit_id"], limit.limit.id.to_string());
        assert_eq!(told["sequence"], 1);
        assert_eq!(told["spent_tokens"], 500);
        assert_eq!(told["max_tokens"], 1000);
        assert_eq!(told["entity"]["type"], "organization");
        assert_eq!(told["enforcement"], "soft");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_pass_a_threshold_together_tell_it_once() {
    on_both(|place| async move {
        limit_with(&place, LimitEntity::Organization, &[50, 100]).await;
        let servers = [Arc::clone(&place.control), place.other()];
        let all = (0..40).map(|number| {
            let control = Arc::clone(&servers[number % 2]);
            let wanted = place.request(usage(0, 10));
            tokio::spawn(async move { spend(&control, &wanted, 50).await })
        });
        for one in all.collect::<Vec<_>>() {
            one.await.unwrap();
        }
        assert_eq!(percents(&place).await, [50, 100]);
    })
    .await;
}

#[tokio::test]
async fn a_limit_for_each_user_tells_of_each() {
    let place = Place::sqlite().await;
    limit_with(&place, LimitEntity::EachUser, &[50]).await;
    let mut wanted = place.request(usage(0, 10));
    spend(&place.control, &wanted, 600).await;
    assert_eq!(percents(&place).await, Vec::<i64>::new());
    let user = UserId::made(0, [1; 10]);
    wanted.spend.spender.user = Some(user.clone());
    spend(&place.control, &wanted, 600).await;
    let told = alerts(&place).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["user_id"], user.to_string());
}

#[tokio::test]
async fn a_limit_that_was_changed_tells_anew() {
    let place = Place::sqlite().await;
    let limit = limit_with(&place, LimitEntity::Organization, &[50]).await;
    let wanted = place.request(usage(0, 10));
    spend(&place.control, &wanted, 600).await;
    let larger = request(LimitEntity::Organization, 10_000, &[50]);
    let changed = place
        .control
        .update_limit(&place.caller, &limit.limit.id, larger, None);
    changed.await.unwrap();
    spend(&place.control, &wanted, 10).await;
    assert_eq!(percents(&place).await, [50]);
    spend(&place.control, &wanted, 5000).await;
    assert_eq!(percents(&place).await, [50, 50]);
}

#[tokio::test]
async fn what_is_passed_is_exported() {
    on_both(|place| async move {
        limit_with(&place, LimitEntity::Organization, &[50]).await;
        let path = place.directory.path().join("limits.jsonl");
        let export: Export = format!("limits=file:{}", path.display()).parse().unwrap();
        let (_, host) = watch::channel(Arc::new(HostFacts::unknown()));
        let dialer = Arc::new(Dialer::new(DialOptions::new(host)));
        let sink = Sink::open(&export.destination, &dialer, None).unwrap();
        spend(&place.control, &place.request(usage(0, 10)), 700).await;
        let (stop, stopped) = watch::channel(false);
        let control = place.other();
        let running = tokio::spawn(async move { control.export(&export, sink, stopped).await });
        let line = loop {
            let text = std::fs::read_to_string(&path).unwrap();
            if let Some(line) = text.lines().next() {
                break line.to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        stop.send(true).unwrap();
        running.await.unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line, alerts(&place).await[0]);
    })
    .await;
}

#[tokio::test]
async fn thresholds_are_percents_in_ascending_order() {
    let place = Place::sqlite().await;
    for wrong in [&[0][..], &[1001], &[80, 50], &[50, 50]] {
        let request = request(LimitEntity::Organization, 10, wrong);
        let refused = place.control.create_limit(&place.caller, request).await;
        assert!(
            refused.unwrap_err().to_string().contains("thresholds"),
            "{wrong:?}"
        );
    }
}
