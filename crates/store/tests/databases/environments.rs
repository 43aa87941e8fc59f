//! Environments.

use std::sync::Arc;

use bailiwick_store::{EnvironmentValues, PageRequest, StoreError};

use crate::{Place, event, fresh, new, on_both, organization, values};

on_both!(
    what_was_made_is_read_again,
    another_organization_sees_nothing,
    a_name_is_taken_without_regard_to_case_until_it_is_archived,
    of_two_changes_of_one_version_one_wins,
    of_many_that_take_one_name_one_wins,
    what_is_not_committed_was_never_there,
    pages_cover_everything_once,
    an_archived_environment_is_read_only,
    a_deleted_environment_takes_its_revisions_along,
    what_a_base_stood_for_first_stays_with_its_revision,
    a_store_that_is_opened_again_has_what_it_had,
);

async fn what_was_made_is_read_again(place: Place) {
    let made = place.environment("dev").await;
    let scope = place.store.scope(&place.organization);
    let read = scope.environment(&made.id).await.unwrap().unwrap();
    assert_eq!(
        (read.id, read.values, read.version),
        (made.id, made.values, 1)
    );
}

async fn what_a_base_stood_for_first_stays_with_its_revision(place: Place) {
    let made = place.environment("dev").await;
    let other = organization(&place.store, "Other").await;
    let pin = async |organization, revision, digest| {
        let pinned = place
            .store
            .pin_environment_base(organization, &made.id, revision, digest);
        pinned.await.unwrap()
    };
    let known = async |revision| {
        let scope = place.store.scope(&place.organization);
        scope.environment_base(&made.id, revision).await.unwrap()
    };
    assert_eq!(known(1).await, None);
    assert_eq!(pin(&other, 1, "sha256:of another").await, None);
    let first = Some("sha256:first".to_owned());
    assert_eq!(pin(&place.organization, 1, "sha256:first").await, first);
    assert_eq!(pin(&place.organization, 1, "sha256:second").await, first);
    assert_eq!(known(1).await, first);
    assert_eq!(pin(&place.organization, 2, "sha256:none").await, None);
    assert_eq!(known(2).await, None);
}

async fn another_organization_sees_nothing(place: Place) {
    let made = place.environment("dev").await;
    let other = organization(&place.store, "Other").await;
    let scope = place.store.scope(&other);
    assert_eq!(scope.environment(&made.id).await.unwrap(), None);
    let mut change = place
        .store
        .change(&other, jiff::Timestamp::now())
        .await
        .unwrap();
    assert_eq!(change.environment(&made.id).await.unwrap(), None);
    let update = change.update_environment(&made, values("taken over")).await;
    assert!(matches!(update, Err(StoreError::Stale)), "{update:?}");
    assert!(matches!(
        change.delete_environment(&made).await,
        Err(StoreError::Stale)
    ));
}

async fn a_name_is_taken_without_regard_to_case_until_it_is_archived(place: Place) {
    let first = place.environment("Straße DEV").await;
    let mut change = place.change().await;
    let second = change.insert_environment(new(" straße dev")).await;
    assert!(matches!(second, Err(StoreError::Taken)), "{second:?}");
    drop(change);
    let mut change = place.change().await;
    change.archive_environment(&first).await.unwrap();
    change.commit(&event("environment.archive")).await.unwrap();
    place.environment("straße dev").await;
}

async fn of_two_changes_of_one_version_one_wins(place: Place) {
    let read = place.environment("dev").await;
    let mut change = place.change().await;
    let changed = change
        .update_environment(&read, values("first"))
        .await
        .unwrap();
    change.commit(&event("environment.update")).await.unwrap();
    assert_eq!(changed.version, 2);
    let mut change = place.change().await;
    let late = change.update_environment(&read, values("second")).await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
}

async fn of_many_that_take_one_name_one_wins(place: Place) {
    let place = Arc::new(place);
    let one = |_| {
        let place = Arc::clone(&place);
        tokio::spawn(async move {
            let mut change = place.change().await;
            match change.insert_environment(new("wanted")).await {
                Ok(_) => change.commit(&event("environment.create")).await.is_ok(),
                Err(StoreError::Taken) => false,
                Err(other) => panic!("{other:?}"),
            }
        })
    };
    let mut won = 0;
    for task in (0..8).map(one).collect::<Vec<_>>() {
        won += usize::from(task.await.unwrap());
    }
    assert_eq!(won, 1);
}

async fn what_is_not_committed_was_never_there(place: Place) {
    let mut change = place.change().await;
    let made = change.insert_environment(new("dev")).await.unwrap();
    drop(change);
    let scope = place.store.scope(&place.organization);
    assert_eq!(scope.environment(&made.id).await.unwrap(), None);
    assert_eq!(scope.audit_entries(0, 10).await.unwrap().len(), 1);
}

async fn pages_cover_everything_once(place: Place) {
    let mut made = Vec::new();
    for number in 0..7 {
        made.push(place.environment(&format!("e{number}")).await.id);
    }
    made.reverse();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let request = PageRequest { before, limit: 3 };
        let page = place
            .store
            .scope(&place.organization)
            .environments(&request, false)
            .await
            .unwrap();
        assert!(page.items.len() <= 3);
        seen.extend(page.items.into_iter().map(|environment| environment.id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, made);
}

async fn an_archived_environment_is_read_only(place: Place) {
    let read = place.environment("dev").await;
    let mut change = place.change().await;
    let archived = change.archive_environment(&read).await.unwrap();
    let update = change.update_environment(&archived, values("new")).await;
    assert!(matches!(update, Err(StoreError::Stale)));
    change.commit(&event("environment.archive")).await.unwrap();
    let scope = place.store.scope(&place.organization);
    let all = PageRequest {
        before: None,
        limit: 10,
    };
    assert_eq!(
        scope.environments(&all, false).await.unwrap().items.len(),
        0
    );
    assert_eq!(scope.environments(&all, true).await.unwrap().items.len(), 1);
}

async fn a_deleted_environment_takes_its_revisions_along(place: Place) {
    let read = place.environment("dev").await;
    let mut change = place.change().await;
    let changed = EnvironmentValues {
        description: Some(String::new()),
        ..values("dev")
    };
    let read = change.update_environment(&read, changed).await.unwrap();
    change.delete_environment(&read).await.unwrap();
    change.commit(&event("environment.delete")).await.unwrap();
    let scope = place.store.scope(&place.organization);
    assert_eq!(scope.environment(&read.id).await.unwrap(), None);
    assert_eq!(scope.environment(&fresh()).await.unwrap(), None);
}

async fn a_store_that_is_opened_again_has_what_it_had(place: Place) {
    let made = place.environment("dev").await;
    let again = bailiwick_store::Store::open(&place.url).await.unwrap();
    let scope = again.scope(&place.organization);
    assert!(scope.environment(&made.id).await.unwrap().is_some());
    assert_eq!(
        again.first_organization().await.unwrap(),
        Some(place.organization.clone())
    );
}
