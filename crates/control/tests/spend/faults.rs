//! Servers that end, or do not come back.

use std::time::Duration;

use bailiwick_model::limits::{SPEND_LEASE, SPEND_LEASE_GRACE};
use tokio_util::sync::CancellationToken;

use super::*;

#[tokio::test]
async fn what_a_server_was_doing_as_it_ended_is_settled_or_told_by_the_next() {
    on_both(|place| async move {
        let limit = place.limit(LimitAmount::Tokens(1000), DAY).await;
        let journal = place.directory.path().join("spend");
        let first = place.other();
        first.ledger().begin(&journal).await.unwrap();
        let ended = reserve(first.ledger(), &place.request(usage(0, 100)))
            .await
            .unwrap();
        ended.settle(told(usage(0, 7)));
        let open = reserve(first.ledger(), &place.request(usage(0, 50)))
            .await
            .unwrap();
        // As if it were killed: nothing of it runs any more, and its files are nobody's.
        std::mem::forget(open);
        let copy = place.directory.path().join("left");
        copy_of(&journal, &copy);
        let next = place.other();
        let recovered = next.ledger().begin(&copy).await.unwrap();
        assert_eq!((recovered.settled, recovered.expired), (1, 1));
        assert_eq!(place.state(&limit).await, (57, 0));
        assert_eq!(place.recorded().await.1, 2);
        // Nothing counts twice, whoever reads it again.
        let again = place.other();
        copy_of(&journal, &place.directory.path().join("again"));
        let recovered = again
            .ledger()
            .begin(&place.directory.path().join("again"))
            .await
            .unwrap();
        assert_eq!((recovered.settled, recovered.expired), (0, 0));
        assert_eq!(place.state(&limit).await, (57, 0));
    })
    .await;
}

fn copy_of(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn what_a_server_leased_counts_as_spent_while_nobody_knows_what_became_of_it() {
    on_both(|place| async move {
        let limit = place.limit(LimitAmount::Tokens(1000), DAY).await;
        let gone = place.other();
        std::mem::forget(
            reserve(gone.ledger(), &place.request(usage(0, 100)))
                .await
                .unwrap(),
        );
        let (spent, leased) = place.state(&limit).await;
        assert_eq!(spent, 0);
        assert!(leased >= 100);
        let left = u64::try_from(1000 - leased).unwrap();
        let ledger = place.control.ledger();
        let refused = reserve(ledger, &place.request(usage(0, left + 1))).await;
        assert!(is_reached(&refused.unwrap_err()));
        drop(
            reserve(ledger, &place.request(usage(0, left)))
                .await
                .unwrap(),
        );
    })
    .await;
}

#[tokio::test]
async fn a_server_that_ends_gives_back_what_it_has_not_spent() {
    on_both(|place| async move {
        let limit = place.limit(LimitAmount::Tokens(1000), DAY).await;
        let other = place.other();
        let ends = CancellationToken::new();
        let running = tokio::spawn({
            let (other, ends) = (Arc::clone(&other), ends.clone());
            async move { other.ledger().run(ends).await }
        });
        let reservation = reserve(other.ledger(), &place.request(usage(0, 100))).await;
        reservation.unwrap().settle(told(usage(0, 5)));
        ends.cancel();
        running.await.unwrap();
        assert_eq!(place.state(&limit).await, (5, 0));
    })
    .await;
}

#[tokio::test]
async fn what_was_leased_for_long_ago_by_a_server_that_is_gone_is_charged_and_taken_back_when_it_returns()
 {
    let place = Place::sqlite().await;
    let limit = place.limit(LimitAmount::Tokens(1000), DAY).await;
    let gone = place.other();
    let reservation = reserve(gone.ledger(), &place.request(usage(0, 100)))
        .await
        .unwrap();
    let (_, leased) = place.state(&limit).await;
    let ledger = place.control.ledger();
    ledger
        .charge_leases_before(
            Timestamp::now() + SPEND_LEASE + SPEND_LEASE_GRACE + Duration::from_secs(1),
        )
        .await
        .unwrap();
    assert_eq!(place.state(&limit).await, (leased, 0));
    // It was not gone.
    reservation.settle(told(usage(0, 30)));
    gone.ledger().write_settled().await;
    assert_eq!(place.state(&limit).await, (30, leased - 30));
}

/// Upstreams can say what they like, and clients ask for what no model gives.
#[tokio::test]
async fn numbers_beyond_all_reason_stop_no_ledger() {
    on_both(|place| async move {
        let request = LimitRequest {
            entity: LimitEntity::Organization,
            environment: None,
            config: LimitConfig {
                enforcement: Enforcement::Soft,
                ..config(LimitAmount::Tokens(1000), DAY)
            },
        };
        let limit = place.control.create_limit(&place.caller, request).await;
        let limit = limit.unwrap();
        let ledger = place.control.ledger();
        for _ in 0..3 {
            let worst = place.request(usage(u64::MAX, u64::MAX));
            let one = reserve(ledger, &worst).await.unwrap();
            one.settle(told(usage(u64::MAX, u64::MAX)));
            drop(reserve(ledger, &worst).await.unwrap());
            ledger.write_settled().await;
        }
        let (spent, _) = place.state(&limit).await;
        assert_eq!(spent, 6 * 2 * 1_000_000_000);
        let (_, records) = place.recorded().await;
        assert_eq!(records, 6);
    })
    .await;
}
