//! Limits that are set, changed and taken away.

use super::*;

#[tokio::test]
async fn what_was_spent_before_a_limit_was_set_counts_for_it() {
    on_both(|place| async move {
        let ledger = place.control.ledger();
        let reservation = reserve(ledger, &place.request(usage(0, 70))).await.unwrap();
        reservation.settle(told(usage(0, 70)));
        ledger.write_settled().await;
        for window in LimitWindow::ALL {
            let limit = place.limit(LimitAmount::Tokens(100), window).await;
            assert_eq!(place.state(&limit).await.0, 70, "{window}");
        }
        let refused = reserve(ledger, &place.request(usage(0, 31))).await;
        assert!(is_reached(&refused.unwrap_err()));
        drop(reserve(ledger, &place.request(usage(0, 30))).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_limit_that_is_lowered_holds_from_the_next_request_on() {
    on_both(|place| async move {
        let limit = place.limit(LimitAmount::Tokens(1000), DAY).await;
        let ledger = place.control.ledger();
        let reservation = reserve(ledger, &place.request(usage(0, 10))).await.unwrap();
        reservation.settle(told(usage(0, 10)));
        let request = LimitRequest {
            entity: LimitEntity::Organization,
            environment: None,
            config: config(LimitAmount::Tokens(10), DAY),
        };
        let lowered = place
            .control
            .update_limit(&place.caller, &limit.limit.id, request, None)
            .await;
        let refused = reserve(ledger, &place.request(usage(0, 1))).await;
        assert!(is_reached(&refused.unwrap_err()));
        place
            .control
            .delete_limit(&place.caller, &lowered.unwrap().limit.id)
            .await
            .unwrap();
        drop(reserve(ledger, &place.request(usage(0, 1))).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_by_a_hard_limit_of_money_alone() {
    let place = Place::sqlite().await;
    let ledger = place.control.ledger();
    let mut request = place.request(usage(1000, 1000));
    request.spend.model = "nobody-knows".to_owned();
    request.spend.candidates[0].model = "nobody-knows".to_owned();
    drop(reserve(ledger, &request).await.unwrap());
    place.limit(LimitAmount::Tokens(100_000), DAY).await;
    drop(reserve(ledger, &request).await.unwrap());
    place.limit(LimitAmount::CostNanos(DOLLAR), DAY).await;
    let refused = reserve(ledger, &request).await.unwrap_err();
    assert!(matches!(refused, SpendError::NoPrice { .. }), "{refused}");
}

#[tokio::test]
async fn a_limit_of_one_environment_does_not_hold_in_another() {
    let place = Place::sqlite().await;
    let other = place.another_environment().await;
    let (entity, amount) = (LimitEntity::Organization, LimitAmount::Tokens(10));
    place
        .limit_for(entity, Some(other.clone()), amount, DAY)
        .await;
    let ledger = place.control.ledger();
    let mut request = place.request(usage(0, 11));
    drop(reserve(ledger, &request).await.unwrap());
    request.spend.spender.environment = other;
    assert!(is_reached(&reserve(ledger, &request).await.unwrap_err()));
}

/// A limit of one's own stands in the place of the usual one only if it says no less.
#[tokio::test]
async fn the_usual_limit_of_users_is_replaced_by_one_that_counts_and_refuses_the_same() {
    let place = Place::sqlite().await;
    let Actor::User(user) = place.caller.actor().clone() else {
        panic!("an administrator is a user");
    };
    place
        .limit_for(LimitEntity::EachUser, None, LimitAmount::Tokens(10), DAY)
        .await;
    let ledger = place.control.ledger();
    let mut request = place.request(usage(0, 11));
    request.spend.spender.user = Some(user.clone());
    let is_refused = async || match reserve(ledger, &request).await {
        Ok(reservation) => {
            drop(reservation);
            false
        }
        Err(error) => is_reached(&error),
    };
    assert!(is_refused().await, "the control");
    let own = |config: LimitConfig| LimitRequest {
        entity: LimitEntity::User(user.clone()),
        environment: None,
        config,
    };
    let tokens = || config(LimitAmount::Tokens(1_000_000), DAY);
    let soft = LimitConfig {
        enforcement: Enforcement::Soft,
        ..tokens()
    };
    let of_another_model = LimitConfig {
        models: vec!["another-*".to_owned()],
        ..tokens()
    };
    let of_money = config(LimitAmount::CostNanos(100 * DOLLAR), DAY);
    for less in [soft, of_another_model, of_money] {
        let said = format!("{less:?}");
        let made = place.control.create_limit(&place.caller, own(less)).await;
        made.unwrap();
        assert!(is_refused().await, "{said}");
    }
    let made = place.control.create_limit(&place.caller, own(tokens()));
    made.await.unwrap();
    assert!(!is_refused().await);
}
