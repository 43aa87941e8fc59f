//! Changes at once.

use std::time::Duration;

use tokio::time::timeout;

use crate::{Place, event, new, now, organization};

/// SQLite has one writer.
#[tokio::test]
async fn changes_of_one_organization_follow_each_other_and_wait_for_no_other() {
    let place = Place::postgres().await;
    let other = organization(&place.store, "Other").await;
    let mut first = place.change().await;
    first.insert_environment(new("a")).await.unwrap();
    let second = place.store.change(&place.organization, now());
    let mut second = std::pin::pin!(second);
    let waited = timeout(Duration::from_millis(300), &mut second).await;
    assert!(waited.is_err(), "it does not wait for the first");
    let elsewhere = place.store.change(&other, now());
    drop(timeout(Duration::from_secs(20), elsewhere).await.unwrap());
    first.commit(&event("environment.create")).await.unwrap();
    drop(second.await.unwrap());
}
