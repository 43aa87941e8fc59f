//! Events of sessions, and who runs them.

use std::collections::BTreeSet;
use std::time::Duration;

use bailiwick_model::{
    Activity, SessionEventId, SessionEventType, SessionStatus, SessionThreadId, SessionUsage,
};
use bailiwick_store::{
    NewSessionEvent, Order, Session, SessionAnswer, SessionEvent, SessionEventFilter,
    SessionEventPage, SessionProgress, SessionThread, StoreError,
};
use jiff::SignedDuration;

use crate::{Place, event, fresh, now, on_both, organization};

on_both!(
    events_have_the_numbers_and_times_of_their_order,
    a_reader_s_place_never_skips_what_is_committed_later,
    what_is_not_committed_leaves_no_gap,
    a_call_has_one_answer_of_each_kind,
    a_page_ends_where_its_bytes_do,
    what_a_session_has_become_is_read_again,
    one_runs_a_session_at_a_time,
    what_happened_long_ago_is_taken_away_where_nobody_needs_it,
    nothing_of_an_event_is_another_organization_s,
);

impl Place {
    async fn some_session(&self) -> Session {
        let environment = self
            .environment(&fresh::<SessionEventId>().to_string())
            .await;
        self.session_in(&environment.id, Vec::new()).await
    }

    async fn append(&self, session: &Session, events: Vec<NewSessionEvent>) -> Vec<SessionEvent> {
        let turn = self.store.turn(&self.organization, &session.id, now());
        let mut turn = turn.await.unwrap().expect("it is there");
        let mut locked = turn.locked();
        let stored = locked.append(events).await.unwrap();
        locked.finish().await.unwrap();
        turn.commit().await.unwrap();
        stored
    }

    async fn all(&self, session: &Session, limit: u32) -> Vec<SessionEvent> {
        let scope = self.store.scope(&self.organization);
        scope
            .session_events_after(&session.id, 0, limit)
            .await
            .unwrap()
    }

    async fn set_status(&self, session: &Session, status: SessionStatus) {
        let mut turn = self
            .store
            .turn(&self.organization, &session.id, now())
            .await
            .unwrap()
            .unwrap();
        let progress = SessionProgress {
            status,
            usage: SessionUsage::default(),
            activity: Activity::default(),
        };
        let mut locked = turn.locked();
        locked.put_progress(progress);
        locked.finish().await.unwrap();
        turn.commit().await.unwrap();
    }
}

fn new(session: &Session, body: &str) -> NewSessionEvent {
    NewSessionEvent {
        id: fresh(),
        thread: SessionThreadId::primary_of(&session.id),
        in_session: true,
        kind: SessionEventType::AgentMessage,
        body: body.to_owned(),
        answers: None,
        is_processed: true,
        private: None,
    }
}

fn page(after: Option<i64>, limit: u32) -> SessionEventPage {
    SessionEventPage {
        order: Order::OldestFirst,
        after,
        limit,
    }
}

async fn events_have_the_numbers_and_times_of_their_order(place: Place) {
    let session = place.some_session().await;
    let mut stored = Vec::new();
    for count in [1, 3, 2] {
        let events = (0..count).map(|_| new(&session, "{}")).collect();
        stored.extend(place.append(&session, events).await);
    }
    assert_eq!(stored, place.all(&session, 100).await);
    let numbers: Vec<_> = stored.iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    assert!(
        stored
            .windows(2)
            .all(|pair| pair[0].created_at < pair[1].created_at)
    );
    // What waits is taken up at a time after all others, once.
    let waits = NewSessionEvent {
        is_processed: false,
        kind: SessionEventType::UserMessage,
        ..new(&session, "{}")
    };
    let [waits, last] = &place
        .append(&session, vec![waits, new(&session, "{}")])
        .await[..]
    else {
        panic!("two");
    };
    assert_eq!(waits.processed_at, None);
    let mut turn = place
        .store
        .turn(&place.organization, &session.id, now())
        .await
        .unwrap()
        .unwrap();
    let scope = place.store.scope(&place.organization);
    let queued = scope.queued_session_events(&session.id, 9).await;
    assert_eq!(queued.unwrap(), std::slice::from_ref(waits));
    let mut locked = turn.locked();
    let threads = locked.threads().await.unwrap();
    let [(primary, queued)] = &threads[..] else {
        panic!("{threads:?}");
    };
    assert_eq!((&primary.id, queued.messages), (&waits.thread, 1));
    locked.take_up(&waits.id).await.unwrap();
    let again = locked.take_up(&waits.id).await;
    assert!(matches!(again, Err(StoreError::Stale)), "{again:?}");
    locked.finish().await.unwrap();
    turn.commit().await.unwrap();
    let scope = place.store.scope(&place.organization);
    let taken = scope
        .session_event(&session.id, &waits.id)
        .await
        .unwrap()
        .unwrap();
    assert!(taken.processed_at.unwrap() > last.created_at);
}

/// Writers race, and a reader goes on from its place all the time: it sees every number once, in order.
async fn a_reader_s_place_never_skips_what_is_committed_later(place: Place) {
    const EACH: usize = 20;
    let session = place.some_session().await;
    let writers = (0..8).map(|writer| {
        let (place, session) = (&place, &session);
        async move {
            for _ in 0..EACH {
                let count = 1 + writer % 3;
                let events = (0..count).map(|_| new(session, "{}")).collect();
                place.append(session, events).await;
            }
        }
    });
    let total: usize = (0..8).map(|writer| EACH * (1 + writer % 3)).sum();
    let reading = async {
        let (mut seen, mut cursor) = (Vec::new(), None);
        let filter = SessionEventFilter::of_session();
        while seen.len() < total {
            let scope = place.store.scope(&place.organization);
            let found = scope
                .session_events(&session.id, page(cursor, 7), &filter)
                .await
                .unwrap();
            seen.extend(found.iter().map(|event| event.sequence));
            cursor = seen.last().copied();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        seen
    };
    let (_, seen) = tokio::join!(futures_util::future::join_all(writers), reading);
    assert_eq!(seen, (1..=total as i64).collect::<Vec<_>>());
}

async fn what_is_not_committed_leaves_no_gap(place: Place) {
    let session = place.some_session().await;
    place.append(&session, vec![new(&session, "{}")]).await;
    let mut turn = place
        .store
        .turn(&place.organization, &session.id, now())
        .await
        .unwrap()
        .unwrap();
    turn.locked()
        .append(vec![new(&session, "{}")])
        .await
        .unwrap();
    drop(turn);
    let stored = place.append(&session, vec![new(&session, "{}")]).await;
    assert_eq!(stored[0].sequence, 2);
}

async fn a_call_has_one_answer_of_each_kind(place: Place) {
    let session = place.some_session().await;
    let called = place
        .append(&session, vec![new(&session, "{}")])
        .await
        .remove(0);
    let answer = |kind| NewSessionEvent {
        answers: Some((called.id.clone(), kind)),
        ..new(&session, "{}")
    };
    for kind in [SessionAnswer::Confirmation, SessionAnswer::Result] {
        place.append(&session, vec![answer(kind)]).await;
        let mut turn = place
            .store
            .turn(&place.organization, &session.id, now())
            .await
            .unwrap()
            .unwrap();
        let twice = turn.locked().append(vec![answer(kind)]).await;
        assert!(matches!(twice, Err(StoreError::Taken)), "{twice:?}");
    }
    let mut turn = place
        .store
        .turn(&place.organization, &session.id, now())
        .await
        .unwrap()
        .unwrap();
    let answers = turn.locked().answers_to(&called.id).await.unwrap();
    assert_eq!(answers.len(), 2);
}

async fn a_page_ends_where_its_bytes_do(place: Place) {
    let session = place.some_session().await;
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(3 << 20));
    let events = [&large, "{}", &large, &large, &large, "{}"];
    for body in events {
        place.append(&session, vec![new(&session, body)]).await;
    }
    let scope = place.store.scope(&place.organization);
    let filter = SessionEventFilter::of_session();
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let found = scope
            .session_events(&session.id, page(cursor, 100), &filter)
            .await
            .unwrap();
        let Some(last) = found.last() else { break };
        cursor = Some(last.sequence);
        pages.push(found.len());
    }
    assert_eq!(pages, [4, 2]);
    // A stream reads less at once, and one event at least.
    assert_eq!(place.all(&session, 100).await.len(), 1);
}

async fn what_a_session_has_become_is_read_again(place: Place) {
    let session = place.some_session().await;
    let mut turn = place
        .store
        .turn(&place.organization, &session.id, now())
        .await
        .unwrap()
        .unwrap();
    let mut locked = turn.locked();
    let usage = SessionUsage {
        input_tokens: 1,
        output_tokens: 2,
        cache_read_tokens: 3,
        cache_5m_tokens: 4,
        cache_1h_tokens: 5,
        web_searches: 6,
        web_fetches: 7,
        list_cost_nanos: 8,
    };
    let activity = Activity {
        active_micros: 9,
        running_since: Some(now()),
    };
    let progress = SessionProgress {
        status: SessionStatus::Running,
        usage,
        activity,
    };
    locked.put_progress(progress);
    let mut threads = locked.threads().await.unwrap();
    assert_eq!(threads.len(), 1);
    let (mut primary, _) = threads.remove(0);
    assert_eq!(primary.id, SessionThreadId::primary_of(&session.id));
    (primary.usage, primary.activity) = (usage, activity);
    primary.awaits = BTreeSet::from([fresh(), fresh()]);
    locked.put_thread(&primary).await.unwrap();
    let (parent, agent) = (Some(primary.id.clone()), Some("{}".to_owned()));
    let child = SessionThread::new(fresh(), session.id.clone(), parent, agent, now());
    locked.insert_thread(&child).await.unwrap();
    let written = locked.finish().await.unwrap();
    turn.commit().await.unwrap();
    let scope = place.store.scope(&place.organization);
    assert_eq!(scope.session(&session.id).await.unwrap(), Some(written));
    let mut found = scope.session_threads(&session.id).await.unwrap();
    found.sort_by_key(|thread| thread.parent.is_some());
    assert_eq!(found, [primary, child]);
}

async fn one_runs_a_session_at_a_time(place: Place) {
    let session = place.some_session().await;
    let (store, organization) = (&place.store, &place.organization);
    let at = now();
    let later = |seconds| at + SignedDuration::from_secs(seconds);
    let claim = |holder: &'static str, from, until| {
        store.claim_session(organization, &session.id, holder, from, until)
    };
    assert_eq!(
        claim("a", at, later(10)).await.unwrap(),
        None,
        "it has nothing to do"
    );
    place.set_status(&session, SessionStatus::Running).await;
    let claims = (0..8).map(|_| claim("a", at, later(10)));
    let won: Vec<_> = futures_util::future::join_all(claims)
        .await
        .into_iter()
        .filter_map(Result::unwrap)
        .collect();
    assert_eq!(won.len(), 1);
    assert!(
        store
            .sessions_to_run(later(9), 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .keep_session(&won[0], later(9), later(20))
            .await
            .unwrap()
    );
    assert_eq!(claim("b", later(19), later(30)).await.unwrap(), None);
    // Its time is over.
    assert_eq!(store.sessions_to_run(later(20), 10).await.unwrap().len(), 1);
    assert!(
        !store
            .keep_session(&won[0], later(20), later(40))
            .await
            .unwrap()
    );
    let second = claim("b", later(20), later(30))
        .await
        .unwrap()
        .expect("it is free");
    assert!(second.number > won[0].number);
    // Whoever was before changes nothing any more.
    assert!(
        !store
            .keep_session(&won[0], later(21), later(40))
            .await
            .unwrap()
    );
    store.release_session(&won[0]).await.unwrap();
    assert_eq!(claim("c", later(22), later(30)).await.unwrap(), None);
    store.release_session(&second).await.unwrap();
    assert!(claim("c", later(22), later(30)).await.unwrap().is_some());
}

async fn what_happened_long_ago_is_taken_away_where_nobody_needs_it(place: Place) {
    let (old, at_work, waits) = (
        place.some_session().await,
        place.some_session().await,
        place.some_session().await,
    );
    for session in [&old, &at_work, &waits] {
        let queued = NewSessionEvent {
            is_processed: false,
            ..new(session, "{}")
        };
        place
            .append(
                session,
                vec![new(session, "{}"), new(session, "{}"), queued],
            )
            .await;
    }
    place.set_status(&at_work, SessionStatus::Running).await;
    let mut turn = place
        .store
        .turn(&place.organization, &waits.id, now())
        .await
        .unwrap()
        .unwrap();
    let mut locked = turn.locked();
    let (mut thread, _) = locked.threads().await.unwrap().remove(0);
    thread.awaits.insert(fresh());
    locked.put_thread(&thread).await.unwrap();
    turn.commit().await.unwrap();
    let expire = |before, limit| {
        let place = &place;
        async move {
            let mut change = place.change().await;
            let gone = change.expire_session_events(before, limit).await.unwrap();
            change
                .commit(&event("session-events.expire"))
                .await
                .unwrap();
            gone
        }
    };
    assert_eq!(expire(now() - SignedDuration::from_hours(1), 10).await, 0);
    let soon = now() + SignedDuration::from_hours(1);
    assert_eq!(
        (
            expire(soon, 1).await,
            expire(soon, 10).await,
            expire(soon, 10).await
        ),
        (1, 1, 0)
    );
    for (session, left) in [(&old, 1), (&at_work, 3), (&waits, 3)] {
        assert_eq!(place.all(session, 10).await.len(), left);
    }
    // Numbers go on as if nothing had been taken away.
    assert_eq!(
        place.append(&old, vec![new(&old, "{}")]).await[0].sequence,
        4
    );
}

async fn nothing_of_an_event_is_another_organization_s(place: Place) {
    let session = place.some_session().await;
    let stored = place.append(&session, vec![new(&session, "{}")]).await;
    let other = organization(&place.store, "Other").await;
    let scope = place.store.scope(&other);
    let filter = SessionEventFilter::of_session();
    assert!(
        scope
            .session_events(&session.id, page(None, 9), &filter)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        scope
            .session_events_after(&session.id, 0, 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        scope
            .session_event(&session.id, &stored[0].id)
            .await
            .unwrap(),
        None
    );
    assert_eq!(scope.session_sequence(&session.id).await.unwrap(), None);
    assert!(scope.session_threads(&session.id).await.unwrap().is_empty());
    assert!(
        place
            .store
            .turn(&other, &session.id, now())
            .await
            .unwrap()
            .is_none()
    );
    let claimed = place
        .store
        .claim_session(&other, &session.id, "x", now(), now());
    assert_eq!(claimed.await.unwrap(), None);
}
