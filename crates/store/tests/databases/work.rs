//! Work queues: who gets an item, and for how long it is theirs.

use std::sync::Arc;

use bailiwick_model::{EnvironmentId, WorkId, WorkState};
use bailiwick_store::{
    Beat, Expected, KeyOwner, NewApiKey, NewWork, PageRequest, StoreError, Work,
};
use jiff::{SignedDuration, Timestamp};

use crate::{Place, event, fresh, now, on_both, organization};

on_both!(
    of_many_who_are_handed_an_item_one_gets_it,
    an_item_is_handed_out_in_its_time_and_not_before,
    a_heartbeat_takes_what_it_expects,
    of_many_heartbeats_that_expect_the_same_one_is_taken,
    a_session_has_one_item_that_has_not_ended,
    a_token_is_taken_while_its_item_and_its_key_are,
    pollers_are_counted_and_forgotten,
    another_organization_sees_and_takes_nothing,
    a_queue_goes_with_its_environment,
);

impl Place {
    async fn work(&self, environment: &EnvironmentId) -> Work {
        let mut change = self.change().await;
        let new = NewWork {
            id: fresh(),
            environment: environment.clone(),
            session: fresh(),
        };
        let made = change.insert_work(new).await.unwrap();
        change.commit(&event("work.create")).await.unwrap();
        made
    }

    /// Hands out an item at a time, if it may be.
    async fn hand_out(&self, work: &Work, at: Timestamp, before: Timestamp) -> Option<Work> {
        let mut change = self.store.change(&self.organization, at).await.unwrap();
        let handed = change
            .hand_out_work(&work.environment, &work.id, before)
            .await
            .unwrap();
        change.commit(&event("work.hand_out")).await.unwrap();
        handed
    }

    /// Makes an item one that was acknowledged, with a lease of a minute.
    async fn acknowledge(&self, work: &Work, at: Timestamp) -> Work {
        let mut change = self.store.change(&self.organization, at).await.unwrap();
        let work = change
            .lock_work(&work.environment, &work.id)
            .await
            .unwrap()
            .unwrap();
        let acknowledged = Work {
            state: WorkState::Starting,
            handed_at: None,
            acknowledged_at: Some(at),
            lease_ends_at: Some(at + MINUTE),
            ..work
        };
        change.put_work(&acknowledged).await.unwrap();
        change.commit(&event("work.acknowledge")).await.unwrap();
        acknowledged
    }

    async fn beat(&self, work: &Work, expected: Expected, at: Timestamp) -> Option<Work> {
        let beat = Beat {
            expected,
            lease_seconds: 60,
            at,
            lease_ends_at: at + MINUTE,
        };
        let taken = self
            .store
            .beat(&self.organization, &work.environment, &work.id, beat);
        taken.await.unwrap()
    }

    async fn candidates(
        &self,
        environment: &EnvironmentId,
        now: Timestamp,
        before: Timestamp,
    ) -> Vec<WorkId> {
        let scope = self.store.scope(&self.organization);
        scope
            .work_to_hand_out(environment, now, before)
            .await
            .unwrap()
    }
}

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

async fn of_many_who_are_handed_an_item_one_gets_it(place: Place) {
    let environment = place.environment("workers").await.id;
    let work = place.work(&environment).await;
    let place = Arc::new(place);
    let at = now();
    let racing = (0..8).map(|_| {
        let (place, work) = (Arc::clone(&place), work.clone());
        tokio::spawn(async move { place.hand_out(&work, at, at - MINUTE).await })
    });
    let mut got = 0;
    for one in racing.collect::<Vec<_>>() {
        got += usize::from(one.await.unwrap().is_some());
    }
    assert_eq!(got, 1);
}

async fn an_item_is_handed_out_in_its_time_and_not_before(place: Place) {
    let environment = place.environment("workers").await.id;
    let (first, second) = (
        place.work(&environment).await,
        place.work(&environment).await,
    );
    let at = now();
    let before = at - MINUTE;
    assert_eq!(
        place.candidates(&environment, at, before).await,
        [first.id.clone(), second.id.clone()]
    );
    let handed = place.hand_out(&first, at, before).await.unwrap();
    assert_eq!(
        (handed.state, handed.handed_at),
        (WorkState::Queued, Some(at))
    );
    assert_eq!(
        place.candidates(&environment, at, before).await,
        std::slice::from_ref(&second.id)
    );
    assert_eq!(place.hand_out(&first, at, before).await, None);
    // Not acknowledged for a minute.
    let later = at + MINUTE;
    let again = place.hand_out(&first, later, at).await.unwrap();
    assert_eq!(
        (again.handed_at, again.queued_at),
        (Some(later), handed.queued_at)
    );
    // Acknowledged, it is somebody's until its lease ends.
    place.acknowledge(&first, later).await;
    for (ask, is_free) in [(later + SECOND, false), (later + MINUTE, true)] {
        let free = place
            .candidates(&environment, ask, ask)
            .await
            .contains(&first.id);
        assert_eq!(free, is_free);
    }
    let taken = place
        .beat(&first, Expected::NoHeartbeat, later + SECOND)
        .await
        .unwrap();
    assert_eq!(taken.state, WorkState::Active);
    let end = later + SECOND + MINUTE;
    assert_eq!(place.hand_out(&first, end - SECOND, end).await, None);
    let anew = place.hand_out(&first, end, end).await.unwrap();
    assert_eq!((anew.state, anew.queued_at), (WorkState::Queued, end));
    assert_eq!(
        (
            anew.acknowledged_at,
            anew.started_at,
            anew.latest_heartbeat_at
        ),
        (None, None, None)
    );
    let stats = place.store.scope(&place.organization);
    let stats = stats.work_stats(&environment, end, end).await.unwrap();
    assert_eq!((stats.waiting, stats.handed, stats.polling), (1, 1, 0));
    assert_eq!(stats.oldest_queued_at, Some(second.queued_at));
}

async fn a_heartbeat_takes_what_it_expects(place: Place) {
    let environment = place.environment("workers").await.id;
    let work = place.work(&environment).await;
    let at = now();
    // Nobody has it yet.
    for expected in [Expected::Anything, Expected::NoHeartbeat] {
        assert_eq!(place.beat(&work, expected, at).await, None);
    }
    place.acknowledge(&work, at).await;
    assert_eq!(place.beat(&work, Expected::Heartbeat(at), at).await, None);
    let first = place.beat(&work, Expected::NoHeartbeat, at).await.unwrap();
    assert_eq!(
        (first.latest_heartbeat_at, first.started_at),
        (Some(at), Some(at))
    );
    assert_eq!(place.beat(&work, Expected::NoHeartbeat, at).await, None);
    // Two of one moment are two.
    let second = place
        .beat(&work, Expected::Heartbeat(at), at)
        .await
        .unwrap();
    let told = second.latest_heartbeat_at.unwrap();
    assert!(told > at);
    assert_eq!(place.beat(&work, Expected::Heartbeat(at), at).await, None);
    assert_eq!(
        place
            .beat(&work, Expected::Heartbeat(told), at + MINUTE)
            .await,
        None
    );
    let third = place
        .beat(&work, Expected::Heartbeat(told), at + MINUTE - SECOND)
        .await
        .unwrap();
    assert_eq!(
        (third.started_at, third.lease_ends_at),
        (Some(at), Some(at + MINUTE + MINUTE - SECOND))
    );
}

async fn of_many_heartbeats_that_expect_the_same_one_is_taken(place: Place) {
    let environment = place.environment("workers").await.id;
    let work = place.work(&environment).await;
    let at = now();
    place.acknowledge(&work, at).await;
    let place = Arc::new(place);
    let racing = (0..8).map(|_| {
        let (place, work) = (Arc::clone(&place), work.clone());
        tokio::spawn(async move { place.beat(&work, Expected::NoHeartbeat, at).await })
    });
    let mut taken = 0;
    for one in racing.collect::<Vec<_>>() {
        taken += usize::from(one.await.unwrap().is_some());
    }
    assert_eq!(taken, 1);
}

async fn a_session_has_one_item_that_has_not_ended(place: Place) {
    let environment = place.environment("workers").await.id;
    let work = place.work(&environment).await;
    let another = |id| NewWork {
        id,
        environment: environment.clone(),
        session: work.session.clone(),
    };
    let mut change = place.change().await;
    let refused = change.insert_work(another(fresh())).await;
    assert!(matches!(refused, Err(StoreError::Taken)), "{refused:?}");
    drop(change);
    let mut change = place.change().await;
    let live = change.lock_work_of(&work.session).await.unwrap().unwrap();
    let at = change.at();
    let ended = Work {
        state: WorkState::Stopping,
        lease_ends_at: Some(at),
        ..live
    };
    change.put_work(&ended).await.unwrap();
    change.commit(&event("work.stop")).await.unwrap();
    let end = place
        .store
        .end_lapsed_work(&place.organization, &environment, at);
    end.await.unwrap();
    let scope = place.store.scope(&place.organization);
    let read = scope.work(&environment, &work.id).await.unwrap().unwrap();
    assert_eq!(
        (read.state, read.stopped_at),
        (WorkState::Stopped, read.lease_ends_at)
    );
    let mut change = place.change().await;
    assert_eq!(change.lock_work_of(&work.session).await.unwrap(), None);
    change.insert_work(another(fresh())).await.unwrap();
}

async fn a_token_is_taken_while_its_item_and_its_key_are(place: Place) {
    let environment = place.environment("workers").await.id;
    let work = place.work(&environment).await;
    let mut change = place.change().await;
    let key = NewApiKey {
        id: fresh(),
        owner: KeyOwner::Environment(environment.clone()),
        name: "worker",
        shown: "bwe_",
        hash: [9; 32],
        expires_at: None,
    };
    let id = key.id.clone();
    change.insert_api_key(key).await.unwrap();
    for number in 0..6 {
        change
            .insert_work_token(&work.id, &id, [number; 32])
            .await
            .unwrap();
    }
    change.commit(&event("work.hand_out")).await.unwrap();
    let at = now();
    let known = async |number: u8, ended_before| {
        let hash = [number; 32];
        let known = place.store.known_work(&hash, at, ended_before);
        known.await.unwrap()
    };
    let newest = known(5, at).await.unwrap();
    assert_eq!(
        (newest.work, newest.session),
        (work.id.clone(), work.session.clone())
    );
    let mut all = 0;
    for number in 0..6 {
        all += usize::from(known(number, at).await.is_some());
    }
    assert_eq!(all, 4, "those of before are bounded");
    let mut change = place.change().await;
    let ended = Work {
        state: WorkState::Stopped,
        stopped_at: Some(at),
        ..work
    };
    change.put_work(&ended).await.unwrap();
    change.commit(&event("work.stop")).await.unwrap();
    assert!(known(5, at - SECOND).await.is_some());
    assert_eq!(known(5, at).await, None);
    let mut change = place.change().await;
    assert!(change.revoke_api_key(&id).await.unwrap());
    change.commit(&event("key.revoke")).await.unwrap();
    assert_eq!(known(5, at - SECOND).await, None);
}

async fn pollers_are_counted_and_forgotten(place: Place) {
    let environment = place.environment("workers").await.id;
    let at = now();
    let poll = async |worker: &str, at: Timestamp| {
        let put =
            place
                .store
                .put_poller(&place.organization, &environment, worker, at, at - MINUTE);
        put.await.unwrap();
    };
    poll("one", at).await;
    poll("two", at).await;
    poll("one", at + SECOND).await;
    let scope = place.store.scope(&place.organization);
    assert_eq!(
        scope.polled_at(&environment, "one").await.unwrap(),
        Some(at + SECOND)
    );
    let polling = async |from| {
        scope
            .work_stats(&environment, at, from)
            .await
            .unwrap()
            .polling
    };
    assert_eq!((polling(at).await, polling(at + SECOND).await), (2, 1));
    poll("three", at + MINUTE + SECOND).await;
    assert_eq!(scope.polled_at(&environment, "two").await.unwrap(), None);
    // Nobody polls what is not there.
    let nothing = fresh();
    let put = place
        .store
        .put_poller(&place.organization, &nothing, "x", at, at);
    put.await.unwrap();
}

async fn another_organization_sees_and_takes_nothing(place: Place) {
    let environment = place.environment("workers").await.id;
    let work = place.work(&environment).await;
    let other = organization(&place.store, "Other").await;
    let at = now();
    let scope = place.store.scope(&other);
    let page = PageRequest {
        before: None,
        limit: 10,
    };
    assert_eq!(scope.work(&environment, &work.id).await.unwrap(), None);
    assert_eq!(scope.works(&environment, &page).await.unwrap().items, []);
    let free = scope.work_to_hand_out(&environment, at, at).await.unwrap();
    assert_eq!(free, []);
    assert_eq!(
        scope
            .work_stats(&environment, at, at)
            .await
            .unwrap()
            .waiting,
        0
    );
    let mut change = place.store.change(&other, at).await.unwrap();
    let handed = change
        .hand_out_work(&environment, &work.id, at)
        .await
        .unwrap();
    assert_eq!(handed, None);
    assert_eq!(
        change.lock_work(&environment, &work.id).await.unwrap(),
        None
    );
    assert_eq!(change.lock_work_of(&work.session).await.unwrap(), None);
    let refused = change.put_work(&work).await;
    assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    drop(change);
    place.acknowledge(&work, at).await;
    let beat = Beat {
        expected: Expected::Anything,
        lease_seconds: 60,
        at,
        lease_ends_at: at + MINUTE,
    };
    let taken = place.store.beat(&other, &environment, &work.id, beat);
    assert_eq!(taken.await.unwrap(), None);
    place
        .store
        .put_poller(&other, &environment, "x", at, at)
        .await
        .unwrap();
    let own = place.store.scope(&place.organization);
    assert_eq!(
        own.work_stats(&environment, at, at).await.unwrap().polling,
        0
    );
}

async fn a_queue_goes_with_its_environment(place: Place) {
    let environment = place.environment("workers").await;
    let work = place.work(&environment.id).await;
    let at = now();
    let put = place
        .store
        .put_poller(&place.organization, &environment.id, "x", at, at);
    put.await.unwrap();
    let key = NewApiKey {
        id: fresh(),
        owner: KeyOwner::Environment(environment.id.clone()),
        name: "worker",
        shown: "bwe_",
        hash: [9; 32],
        expires_at: None,
    };
    let mut change = place.change().await;
    let id = key.id.clone();
    change.insert_api_key(key).await.unwrap();
    change
        .insert_work_token(&work.id, &id, [1; 32])
        .await
        .unwrap();
    change.commit(&event("work.hand_out")).await.unwrap();
    let known = place.store.known_work(&[1; 32], at, at).await.unwrap();
    assert!(known.is_some(), "the control");
    let mut change = place.change().await;
    change.delete_environment(&environment).await.unwrap();
    change.commit(&event("environment.delete")).await.unwrap();
    let known = place.store.known_work(&[1; 32], at, at).await.unwrap();
    assert_eq!(known, None);
}
