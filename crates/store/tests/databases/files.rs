//! Files, and content that comes and goes in chunks.

use std::collections::BTreeMap;

use bailiwick_model::{ContentId, FileId, SessionId};
use bailiwick_store::{
    File, FileTotals, LooseContent, NewFile, NewSessionResource, SessionResourceKind, StoreError,
};
use jiff::{SignedDuration, Timestamp};

use crate::{Place, event, fresh, on_both, organization};

on_both!(
    content_is_read_as_it_was_written,
    what_no_change_keeps_is_swept_once_it_was_silent,
    two_sweeps_at_once_take_everything_once,
    content_that_is_being_swept_takes_nothing_more,
    content_of_two_files_goes_with_the_second,
    an_expired_file_loses_its_bytes_and_then_itself,
    content_is_seen_by_its_organization_alone,
    what_a_session_left_behind_is_told_from_its_copies,
);

/// Before everything, and after everything.
const NEVER: Timestamp = Timestamp::UNIX_EPOCH;

fn later() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(1)
}

async fn arrive(place: &Place, chunks: &[&[u8]]) -> ContentId {
    let id: ContentId = fresh();
    for (number, chunk) in (0..).zip(chunks) {
        let (store, organization) = (&place.store, &place.organization);
        store
            .append_content(organization, &id, number, chunk.to_vec(), Timestamp::now())
            .await
            .unwrap();
    }
    id
}

async fn make(place: &Place, content: &ContentId, expires_at: Option<Timestamp>) -> File {
    make_for(place, fresh::<SessionId>(), content, expires_at).await
}

async fn make_for(
    place: &Place,
    session: SessionId,
    content: &ContentId,
    expires_at: Option<Timestamp>,
) -> File {
    let mut change = place.change().await;
    let new = NewFile {
        id: fresh::<FileId>(),
        filename: "a".to_owned(),
        mime_type: "text/plain".to_owned(),
        size_bytes: 2,
        sha256: [7; 32],
        downloadable: true,
        session: Some(session),
        content: content.clone(),
        expires_at,
    };
    let made = change.insert_file(new).await.unwrap();
    change.commit(&event("file.create")).await.unwrap();
    made
}

async fn delete(place: &Place, file: &File) {
    let mut change = place.change().await;
    change.delete_file(file).await.unwrap();
    change.commit(&event("file.delete")).await.unwrap();
}

async fn loose(place: &Place, silent_since: Timestamp) -> Vec<LooseContent> {
    place.store.loose_content(silent_since, 100).await.unwrap()
}

async fn sweep(place: &Place, silent_since: Timestamp) {
    for content in loose(place, silent_since).await {
        let swept = place.store.sweep_content(&content, silent_since).await;
        swept.unwrap();
    }
}

async fn content_is_read_as_it_was_written(place: Place) {
    let all_bytes: Vec<u8> = (0..=255).collect();
    let content = arrive(&place, &[&all_bytes, b"", b"end"]).await;
    let file = make(&place, &content, None).await;
    let scope = place.store.scope(&place.organization);
    let found = scope.file(&file.id).await.unwrap().unwrap();
    assert_eq!((found.id, found.content), (file.id, file.content));
    assert_eq!((found.sha256, found.session), (file.sha256, file.session));
    let chunk = |number| scope.content_chunk(&content, number);
    assert_eq!(chunk(0).await.unwrap(), Some(all_bytes));
    assert_eq!(chunk(1).await.unwrap(), Some(Vec::new()));
    assert_eq!(chunk(2).await.unwrap(), Some(b"end".to_vec()));
    assert_eq!(chunk(3).await.unwrap(), None);
    assert_eq!(scope.content_bytes().await.unwrap(), 259);
}

async fn what_no_change_keeps_is_swept_once_it_was_silent(place: Place) {
    let chunks = vec![b"x".as_slice(); 40];
    let cut_off = arrive(&place, &chunks).await;
    let kept = arrive(&place, &chunks).await;
    make(&place, &kept, None).await;
    assert_eq!(loose(&place, NEVER).await, []);
    sweep(&place, later()).await;
    let scope = place.store.scope(&place.organization);
    assert_eq!(scope.content_chunk(&cut_off, 0).await.unwrap(), None);
    assert!(scope.content_chunk(&kept, 39).await.unwrap().is_some());
    assert_eq!(scope.content_bytes().await.unwrap(), 40);
    assert_eq!(loose(&place, later()).await, []);
}

async fn two_sweeps_at_once_take_everything_once(place: Place) {
    for _ in 0..3 {
        arrive(&place, &vec![b"x".as_slice(); 40]).await;
    }
    let kept = arrive(&place, &[b"ab"]).await;
    make(&place, &kept, None).await;
    tokio::join!(sweep(&place, later()), sweep(&place, later()));
    assert_eq!(loose(&place, later()).await, []);
    let scope = place.store.scope(&place.organization);
    assert_eq!(scope.content_bytes().await.unwrap(), 2);
}

async fn content_that_is_being_swept_takes_nothing_more(place: Place) {
    let content = arrive(&place, &[b"ab"]).await;
    let (store, organization) = (&place.store, &place.organization);
    store.abandon_content(organization, &content).await.unwrap();
    let more = store.append_content(organization, &content, 1, b"c".to_vec(), Timestamp::now());
    assert!(matches!(more.await, Err(StoreError::Stale)));
    let mut change = place.change().await;
    let new = NewFile {
        id: fresh(),
        filename: "a".to_owned(),
        mime_type: "a/b".to_owned(),
        size_bytes: 2,
        sha256: [7; 32],
        downloadable: true,
        session: None,
        content,
        expires_at: None,
    };
    assert!(matches!(
        change.insert_file(new).await,
        Err(StoreError::Stale)
    ));
    drop(change);
    sweep(&place, NEVER).await;
    let scope = place.store.scope(&place.organization);
    assert_eq!(scope.content_bytes().await.unwrap(), 0);
}

async fn content_of_two_files_goes_with_the_second(place: Place) {
    let content = arrive(&place, &[b"ab"]).await;
    let first = make(&place, &content, None).await;
    let second = make(&place, &content, None).await;
    delete(&place, &first).await;
    assert_eq!(loose(&place, later()).await, []);
    let again = {
        let mut change = place.change().await;
        change.delete_file(&first).await
    };
    assert!(matches!(again, Err(StoreError::Stale)));
    delete(&place, &second).await;
    let going = loose(&place, NEVER).await;
    assert_eq!(going.len(), 1);
    assert_eq!(going[0].id, content);
}

async fn an_expired_file_loses_its_bytes_and_then_itself(place: Place) {
    let content = arrive(&place, &[b"ab"]).await;
    let soon = later();
    let file = make(&place, &content, Some(soon)).await;
    let store = &place.store;
    assert_eq!(store.expired_files(Timestamp::now(), 10).await.unwrap(), []);
    let after = soon + SignedDuration::from_secs(1);
    assert_eq!(store.expired_files(after, 10).await.unwrap().len(), 1);
    let mut change = place.change().await;
    change.expire_file(&file).await.unwrap();
    change.commit(&event("file.expire")).await.unwrap();
    assert_eq!(store.expired_files(after, 10).await.unwrap(), []);
    assert_eq!(loose(&place, NEVER).await.len(), 1);
    let scope = store.scope(&place.organization);
    let left = scope.file(&file.id).await.unwrap().unwrap();
    assert_eq!(left.content, None);
    assert_eq!(store.forget_expired_files(soon).await.unwrap(), 0);
    assert_eq!(store.forget_expired_files(after).await.unwrap(), 1);
    assert_eq!(scope.file(&file.id).await.unwrap(), None);
}

async fn content_is_seen_by_its_organization_alone(place: Place) {
    let content = arrive(&place, &[b"ab"]).await;
    let file = make(&place, &content, None).await;
    let other = organization(&place.store, "Other").await;
    let theirs = place.store.scope(&other);
    assert_eq!(theirs.file(&file.id).await.unwrap(), None);
    assert_eq!(theirs.content_chunk(&content, 0).await.unwrap(), None);
    assert_eq!(theirs.content_bytes().await.unwrap(), 0);
    let now = Timestamp::now();
    let added = place
        .store
        .append_content(&other, &content, 1, b"c".to_vec(), now);
    assert!(matches!(added.await, Err(StoreError::Stale)));
}

async fn what_a_session_left_behind_is_told_from_its_copies(place: Place) {
    let environment = place.environment("dev").await;
    let session = place.session_in(&environment.id, Vec::new()).await.id;
    let contents = [
        arrive(&place, &[b"ab"]).await,
        arrive(&place, &[b"cd"]).await,
    ];
    // Of four copies three have the same bytes.
    for (position, content) in (0..).zip([0, 0, 1, 0].map(|number: usize| &contents[number])) {
        let file = make_for(&place, session.clone(), content, None).await;
        let mut change = place.change().await;
        let new = NewSessionResource {
            id: fresh(),
            session: session.clone(),
            position,
            mount_path: format!("/mnt/session/uploads/{position}"),
            kind: SessionResourceKind::File(file.id),
        };
        change.insert_session_resource(new).await.unwrap();
        change.commit(&event("session.change")).await.unwrap();
    }
    let scope = place.store.scope(&place.organization);
    let left = async |session: &SessionId| scope.session_outputs(session).await.unwrap();
    assert_eq!(left(&session).await, FileTotals::default());
    let file = make_for(&place, session.clone(), &contents[0], None).await;
    make_for(&place, session.clone(), &contents[1], None).await;
    make(&place, &contents[1], None).await;
    assert_eq!(left(&session).await, FileTotals { files: 2, bytes: 4 });
    delete(&place, &file).await;
    assert_eq!(left(&session).await, FileTotals { files: 1, bytes: 2 });
    assert_eq!(left(&fresh::<SessionId>()).await, FileTotals::default());
    let mut change = place.change().await;
    let copied = change.session_contents(&session).await.unwrap();
    assert_eq!(copied, BTreeMap::from(contents.map(|content| (content, 2))));
    let other = change.session_contents(&fresh::<SessionId>()).await;
    assert!(other.unwrap().is_empty());
}
