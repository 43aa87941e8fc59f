//! The audit log.

use std::fs;
use std::time::{Duration, Instant};

use bailiwick_control::{AuditLine, Bootstrap};
use jiff::{SignedDuration, Timestamp};

use crate::{Place, Running, change, delivered, file, on_both, until};

on_both!(
    what_was_and_what_is_new_is_delivered_in_its_order,
    a_restart_neither_loses_nor_repeats,
    of_several_servers_one_delivers_and_another_goes_on,
    a_destination_that_fails_gets_everything_once_it_is_back_and_holds_nothing_up,
    a_lease_is_one_holders_until_it_ends,
);

async fn what_was_and_what_is_new_is_delivered_in_its_order(place: Place) {
    let (_directory, path) = file();
    change(&place, &["a", "b"]).await;
    let running = Running::start(&place, &path);
    assert_eq!(until(&path, 3).await, [1, 2, 3]);
    change(&place, &["c", "d"]).await;
    assert_eq!(until(&path, 5).await, [1, 2, 3, 4, 5]);
    // Another organization's too, and what is written can be checked as an exported log is.
    let other = place
        .control
        .create_organization("Other", Bootstrap::default());
    other.await.unwrap();
    until(&path, 6).await;
    running.stop().await;
    let text = fs::read_to_string(&path).unwrap();
    let mut chains = std::collections::BTreeMap::new();
    for line in text.lines() {
        let (organization, entry) = AuditLine::parse(line).unwrap();
        let chain = chains
            .entry(organization.clone())
            .or_insert_with(|| bailiwick_store::AuditChain::new(organization));
        chain.follow(&entry).unwrap();
    }
    assert_eq!(chains.len(), 2);
}

async fn a_restart_neither_loses_nor_repeats(place: Place) {
    let (_directory, path) = file();
    for round in 0..3 {
        change(&place, &[&format!("a{round}"), &format!("b{round}")]).await;
        let running = Running::start(&place, &path);
        until(&path, 3 + 2 * round).await;
        running.stop().await;
    }
    assert_eq!(delivered(&path), [1, 2, 3, 4, 5, 6, 7]);
    // A crash leaves half a line and a cursor before it.
    change(&place, &["x"]).await;
    let text = fs::read_to_string(&path).unwrap() + "{\"organization_id\":\"or";
    fs::write(&path, text).unwrap();
    let running = Running::start(&place, &path);
    assert_eq!(until(&path, 8).await, [1, 2, 3, 4, 5, 6, 7, 8]);
    running.stop().await;
}

async fn of_several_servers_one_delivers_and_another_goes_on(place: Place) {
    let (_directory, path) = file();
    let first = Running::start(&place, &path);
    let second = Running::start(&place, &path);
    change(&place, &["a", "b", "c"]).await;
    until(&path, 4).await;
    first.stop().await;
    change(&place, &["d", "e"]).await;
    until(&path, 6).await;
    second.stop().await;
    assert_eq!(delivered(&path), [1, 2, 3, 4, 5, 6]);
}

async fn a_destination_that_fails_gets_everything_once_it_is_back_and_holds_nothing_up(
    place: Place,
) {
    let directory = tempfile::tempdir().unwrap();
    let logs = directory.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let path = logs.join("audit.jsonl");
    let running = Running::start(&place, &path);
    until(&path, 1).await;
    let away = directory.path().join("away");
    fs::rename(&logs, &away).unwrap();
    let begun = Instant::now();
    change(&place, &["a", "b", "c"]).await;
    assert!(begun.elapsed() < Duration::from_secs(20));
    tokio::time::sleep(Duration::from_secs(2)).await;
    fs::rename(&away, &logs).unwrap();
    assert_eq!(until(&path, 4).await, [1, 2, 3, 4]);
    running.stop().await;
}

async fn a_lease_is_one_holders_until_it_ends(place: Place) {
    let store = &place.store;
    let now = Timestamp::now();
    let later = |seconds| now + SignedDuration::from_secs(seconds);
    let lease = async |holder: &str, at: i64, until: i64| {
        store
            .lease("audit=file:/a", holder, later(at), later(until))
            .await
            .unwrap()
    };
    assert!(lease("first", 0, 10).await);
    assert!(!lease("second", 5, 15).await);
    assert!(lease("first", 9, 19).await);
    assert!(!lease("second", 11, 21).await);
    assert!(lease("second", 19, 29).await);
    store.release("audit=file:/a", "first").await.unwrap();
    assert!(!lease("first", 20, 30).await);
    store.release("audit=file:/a", "second").await.unwrap();
    assert!(lease("first", 20, 30).await);
    let (one, other) = tokio::join!(lease("x", 31, 41), lease("y", 31, 41));
    assert_ne!(one, other);
}
