//! Sessions and what they have.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::{EnvironmentId, SessionId, SessionStatus, VaultId};
use bailiwick_store::{
    AgentValues, Change, Edge, NewAgent, NewFile, NewSession, NewSessionResource, Order,
    OrderedPageRequest, OwnedSecret, SealedSecret, SecretOwner, Session, SessionFilter,
    SessionPins, SessionResource, SessionResourceKind, SessionValues, StoreError, VaultValues,
};
use jiff::Timestamp;

use crate::{Place, event, fresh, on_both, organization};

on_both!(
    what_was_made_is_read_again,
    what_was_pinned_stays_pinned,
    another_organization_sees_and_changes_nothing,
    who_has_locked_a_session_is_alone_with_it,
    what_a_session_refers_to_is_not_deleted,
    a_deleted_session_leaves_nothing_behind,
    pages_in_both_orders_cover_everything_once,
    a_token_is_replaced_only_where_it_is_as_it_was_read,
    tokens_of_a_key_are_found_in_order_to_the_end,
);

impl Place {
    /// A session of a new agent in this environment.
    pub(crate) async fn session_in(
        &self,
        environment: &EnvironmentId,
        vaults: Vec<VaultId>,
    ) -> Session {
        let mut change = self.change().await;
        let values = AgentValues {
            name: "a".to_owned(),
            config: "{}".to_owned(),
            metadata: "{}".to_owned(),
        };
        let agent = NewAgent {
            id: fresh(),
            values,
            delegates: Default::default(),
        };
        let agent = change.insert_agent(agent).await.unwrap();
        let new = NewSession {
            id: fresh(),
            pins: SessionPins {
                environment: environment.clone(),
                environment_revision: 1,
                policy: Some("{}".to_owned()),
                agent: agent.id,
                agent_version: 1,
                vaults,
                created_by: None,
            },
            values: values_of("t"),
        };
        let made = change.insert_session(new).await.unwrap();
        commit(change).await;
        made
    }

    async fn session(&self) -> Session {
        let environment = self.environment(&fresh::<SessionId>().to_string()).await;
        self.session_in(&environment.id, Vec::new()).await
    }

    async fn vault_to_use(&self) -> VaultId {
        let mut change = self.change().await;
        let values = VaultValues {
            display_name: "v".to_owned(),
            metadata: "{}".to_owned(),
        };
        let made = change.insert_vault(fresh(), values).await.unwrap();
        commit(change).await;
        made.id
    }

    async fn repository(&self, session: &Session, position: i64, key: &str) -> SessionResource {
        let mut change = self.change().await;
        let new = NewSessionResource {
            id: fresh(),
            session: session.id.clone(),
            position,
            mount_path: format!("/workspace/{position}"),
            kind: SessionResourceKind::Repository {
                url: "https://github.com/a/b".to_owned(),
                checkout: None,
            },
        };
        let made = change.insert_session_resource(new).await.unwrap();
        let made = change.put_session_resource_secret(&made, secret(key, 1));
        let made = made.await.unwrap();
        commit(change).await;
        made
    }

    async fn read(&self, id: &SessionId) -> Option<Session> {
        let scope = self.store.scope(&self.organization);
        scope.session(id).await.unwrap()
    }
}

fn values_of(title: &str) -> SessionValues {
    SessionValues {
        agent: "{}".to_owned(),
        title: Some(title.to_owned()),
        metadata: "{}".to_owned(),
        budget: None,
    }
}

fn secret(key: &str, byte: u8) -> SealedSecret {
    SealedSecret {
        name: "authorization_token".to_owned(),
        key: key.to_owned(),
        sealed: vec![byte; 4],
    }
}

async fn commit(change: Change) {
    change.commit(&event("session.change")).await.unwrap();
}

async fn locked(place: &Place, session: &Session) -> (Change, Session) {
    let mut change = place.change().await;
    let locked = change.lock_session(&session.id).await.unwrap().unwrap();
    (change, locked)
}

async fn what_was_made_is_read_again(place: Place) {
    let vaults = vec![place.vault_to_use().await, place.vault_to_use().await];
    let environment = place.environment("dev").await;
    let made = place.session_in(&environment.id, vaults).await;
    assert_eq!(made.status, SessionStatus::Idle);
    let read = place.read(&made.id).await.unwrap();
    assert_eq!(
        (read.pins, read.values),
        (made.pins.clone(), made.values.clone())
    );
    let (mut change, before) = locked(&place, &made).await;
    let changed = change
        .update_session(&before, values_of("u"))
        .await
        .unwrap();
    commit(change).await;
    assert_eq!(place.read(&made.id).await, Some(changed.clone()));
    let (mut change, before) = locked(&place, &made).await;
    let archived = change.archive_session(&before).await.unwrap();
    let twice = change.archive_session(&before).await;
    assert!(matches!(twice, Err(StoreError::Stale)), "{twice:?}");
    let late = change.update_session(&before, values_of("w")).await;
    assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
    commit(change).await;
    assert!(archived.archived_at.is_some());
    assert_eq!(place.read(&made.id).await, Some(archived));
}

async fn what_was_pinned_stays_pinned(place: Place) {
    let environment = place.environment("dev").await;
    let made = place.session_in(&environment.id, Vec::new()).await;
    let mut change = place.change().await;
    let changed = change
        .update_environment(&environment, crate::values("test"))
        .await
        .unwrap();
    change.archive_environment(&changed).await.unwrap();
    commit(change).await;
    assert_eq!(place.read(&made.id).await.unwrap().pins, made.pins);
    // No session is of a revision or a version that there never was.
    let mut change = place.change().await;
    let mut pins = made.pins.clone();
    pins.environment_revision = 7;
    let new = NewSession {
        id: fresh(),
        pins,
        values: values_of("x"),
    };
    let refused = change.insert_session(new).await;
    assert!(matches!(refused, Err(StoreError::Referred)), "{refused:?}");
}

async fn another_organization_sees_and_changes_nothing(place: Place) {
    let made = place.session().await;
    let repository = place.repository(&made, 0, "k").await;
    let other = organization(&place.store, "Other").await;
    let scope = place.store.scope(&other);
    assert_eq!(scope.session(&made.id).await.unwrap(), None);
    assert_eq!(scope.session_resources(&made.id).await.unwrap(), []);
    assert_eq!(scope.resources_of_sessions(&[&made.id]).await.unwrap(), []);
    assert_eq!(
        scope.session_resource_secret(&repository.id).await.unwrap(),
        None
    );
    let found = scope
        .resource_secrets_sealed_with("k", None, 10)
        .await
        .unwrap();
    assert_eq!(found, []);
    let page = OrderedPageRequest {
        order: Order::NewestFirst,
        edge: None,
        limit: 10,
    };
    let found = scope
        .sessions(&page, &SessionFilter::default())
        .await
        .unwrap();
    assert_eq!(found.items, []);
    let mut change = place.store.change(&other, Timestamp::now()).await.unwrap();
    assert_eq!(change.lock_session(&made.id).await.unwrap(), None);
    let refused = change.update_session(&made, values_of("theirs")).await;
    assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    let refused = change.archive_session(&made).await;
    assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    change.delete_session(&made).await.unwrap();
    let refused = change.delete_session_resource(&repository).await;
    assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    let refused = change
        .put_session_resource_secret(&repository, secret("k", 9))
        .await;
    assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    commit(change).await;
    assert_eq!(place.read(&made.id).await, Some(made));
    let kept = place.store.scope(&place.organization);
    let kept = kept.session_resource_secret(&repository.id).await.unwrap();
    assert_eq!(kept, Some(secret("k", 1)));
}

async fn who_has_locked_a_session_is_alone_with_it(place: Place) {
    let made = place.session().await;
    let place = Arc::new(place);
    let (mut change, before) = locked(&place, &made).await;
    let waiting = {
        let (place, made) = (Arc::clone(&place), made.clone());
        tokio::spawn(async move {
            let (change, seen) = locked(&place, &made).await;
            commit(change).await;
            seen
        })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    let changed = change
        .update_session(&before, values_of("first"))
        .await
        .unwrap();
    commit(change).await;
    assert_eq!(waiting.await.unwrap(), changed);
}

async fn what_a_session_refers_to_is_not_deleted(place: Place) {
    let vault = place.vault_to_use().await;
    let environment = place.environment("dev").await;
    let made = place.session_in(&environment.id, vec![vault.clone()]).await;
    let mut change = place.change().await;
    let refused = change.delete_vault(&vault).await;
    assert!(matches!(refused, Err(StoreError::Referred)), "{refused:?}");
    drop(change);
    let mut change = place.change().await;
    let refused = change.delete_environment(&environment).await;
    assert!(matches!(refused, Err(StoreError::Referred)), "{refused:?}");
    drop(change);
    let (mut change, before) = locked(&place, &made).await;
    change.archive_session(&before).await.unwrap();
    assert!(change.delete_vault(&vault).await.unwrap());
    commit(change).await;
    assert_eq!(place.read(&made.id).await.unwrap().pins.vaults, [vault]);
    let (mut change, before) = locked(&place, &made).await;
    change.delete_session(&before).await.unwrap();
    change.delete_environment(&environment).await.unwrap();
    commit(change).await;
}

async fn a_deleted_session_leaves_nothing_behind(place: Place) {
    let made = place.session().await;
    let content = fresh();
    place
        .store
        .append_content(
            &place.organization,
            &content,
            0,
            vec![1; 10],
            Timestamp::now(),
        )
        .await
        .unwrap();
    let (mut change, _) = locked(&place, &made).await;
    for (position, session) in [None, Some(made.id.clone())].into_iter().enumerate() {
        let file = NewFile {
            id: fresh(),
            filename: "a".to_owned(),
            mime_type: "text/plain".to_owned(),
            size_bytes: 10,
            sha256: [0; 32],
            downloadable: true,
            session: session.clone(),
            content: content.clone(),
            expires_at: None,
        };
        let file = change.insert_file(file).await.unwrap();
        if session.is_some() {
            let new = NewSessionResource {
                id: fresh(),
                session: made.id.clone(),
                position: i64::try_from(position).unwrap(),
                mount_path: "/mnt/session/uploads/a".to_owned(),
                kind: SessionResourceKind::File(file.id.clone()),
            };
            change.insert_session_resource(new).await.unwrap();
        }
    }
    commit(change).await;
    let repository = place.repository(&made, 5, "k").await;
    let scope = place.store.scope(&place.organization);
    let shown = scope.session_resources(&made.id).await.unwrap();
    assert_eq!(
        shown.iter().map(|one| one.position).collect::<Vec<_>>(),
        [1, 5]
    );
    let (mut change, before) = locked(&place, &made).await;
    change.delete_session(&before).await.unwrap();
    commit(change).await;
    assert_eq!(scope.session_resources(&made.id).await.unwrap(), []);
    assert_eq!(
        scope.session_resource_secret(&repository.id).await.unwrap(),
        None
    );
    assert_eq!(place.store.sealing_keys_in_use().await.unwrap(), [""; 0]);
    // The bytes are another file's too.
    let loose = place
        .store
        .loose_content(Timestamp::now(), 10)
        .await
        .unwrap();
    assert_eq!(loose, []);
    assert_eq!(scope.content_bytes().await.unwrap(), 10);
}

async fn pages_in_both_orders_cover_everything_once(place: Place) {
    let environment = place.environment("dev").await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(place.session_in(&environment.id, Vec::new()).await.id);
    }
    made.sort();
    let scope = place.store.scope(&place.organization);
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let (mut forwards, mut edge, mut last) = (Vec::new(), None, None);
        loop {
            let page = OrderedPageRequest {
                order,
                edge,
                limit: 2,
            };
            let found = scope
                .sessions(&page, &SessionFilter::default())
                .await
                .unwrap();
            forwards.extend(found.items.iter().map(|one| one.id.clone()));
            last = found.previous.or(last);
            match found.next {
                Some(id) => edge = Some(Edge::After(id)),
                None => break,
            }
        }
        let mut backwards = vec![forwards[4].clone()];
        while let Some(id) = last {
            let edge = Some(Edge::Before(id));
            let page = OrderedPageRequest {
                order,
                edge,
                limit: 2,
            };
            let found = scope
                .sessions(&page, &SessionFilter::default())
                .await
                .unwrap();
            let ids = found.items.iter().map(|one| one.id.clone());
            backwards = ids.chain(backwards).collect();
            last = found.previous;
        }
        assert_eq!(forwards, backwards);
        if order == Order::NewestFirst {
            forwards.reverse();
        }
        assert_eq!(forwards, made);
    }
}

fn owned(session: &Session, resource: &SessionResource) -> OwnedSecret {
    OwnedSecret {
        owner: SecretOwner::SessionResource {
            session: session.id.clone(),
            resource: resource.id.clone(),
        },
        secret: secret("old", 1),
    }
}

async fn a_token_is_replaced_only_where_it_is_as_it_was_read(place: Place) {
    let made = place.session().await;
    let repository = place.repository(&made, 0, "old").await;
    let read = owned(&made, &repository);
    let mut change = place.change().await;
    assert!(
        change
            .replace_secret(&read, secret("new", 2))
            .await
            .unwrap()
    );
    assert!(
        !change
            .replace_secret(&read, secret("late", 3))
            .await
            .unwrap()
    );
    commit(change).await;
    let scope = place.store.scope(&place.organization);
    let kept = scope.session_resource_secret(&repository.id).await.unwrap();
    assert_eq!(kept, Some(secret("new", 2)));
    assert_eq!(place.store.sealing_keys_in_use().await.unwrap(), ["new"]);
}

async fn tokens_of_a_key_are_found_in_order_to_the_end(place: Place) {
    let made = place.session().await;
    let mut expected = Vec::new();
    for position in 0..5 {
        let repository = place.repository(&made, position, "old").await;
        expected.push(owned(&made, &repository));
    }
    place.repository(&made, 9, "other").await;
    let scope = place.store.scope(&place.organization);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let batch = scope
            .resource_secrets_sealed_with("old", after.as_ref(), 2)
            .await
            .unwrap();
        let Some(last) = batch.last() else { break };
        after = match &last.owner {
            SecretOwner::SessionResource { resource, .. } => Some(resource.clone()),
            SecretOwner::Credential { .. } | SecretOwner::ModelUpstream { .. } => {
                unreachable!("there is none")
            }
        };
        found.extend(batch);
    }
    assert_eq!(found, expected);
    assert_eq!(
        place.store.sealing_keys_in_use().await.unwrap(),
        ["old", "other"]
    );
}
