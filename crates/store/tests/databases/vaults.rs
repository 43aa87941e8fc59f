//! Vaults, credentials and sealed secrets.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::{CredentialId, VaultId};
use bailiwick_store::{
    Change, Credential, OwnedSecret, PageRequest, SealedSecret, SecretOwner, StoreError,
    StoredCredentialValues, Vault, VaultValues,
};

use crate::{Place, event, fresh, on_both, organization};

on_both!(
    what_was_made_is_read_again,
    another_organization_sees_and_changes_nothing,
    a_target_is_taken_until_its_credential_is_archived,
    who_has_locked_a_vault_is_alone_with_it,
    secrets_go_with_their_credential_and_their_vault,
    a_secret_is_replaced_only_where_it_is_as_it_was_read,
    secrets_of_a_key_are_found_in_order_to_the_end,
);

impl Place {
    async fn vault(&self) -> Vault {
        let mut change = self.change().await;
        let values = VaultValues {
            display_name: "v".to_owned(),
            metadata: "{}".to_owned(),
        };
        let made = change.insert_vault(fresh(), values).await.unwrap();
        change.commit(&event("vault.create")).await.unwrap();
        made
    }

    async fn credential(
        &self,
        vault: &VaultId,
        target: u8,
        secrets: &[(&str, &str)],
    ) -> Credential {
        let mut change = self.change().await;
        let made = change
            .insert_credential(vault, fresh(), values(target))
            .await
            .unwrap();
        for (name, key) in secrets {
            change
                .put_secret(&made.id, secret(name, key, 1))
                .await
                .unwrap();
        }
        change.commit(&event("credential.create")).await.unwrap();
        made
    }
}

fn values(target: u8) -> StoredCredentialValues {
    StoredCredentialValues {
        display_name: None,
        auth: r#"{"type":"static_bearer"}"#.to_owned(),
        target: [target; 32],
        metadata: "{}".to_owned(),
    }
}

fn secret(name: &str, key: &str, byte: u8) -> SealedSecret {
    SealedSecret {
        name: name.to_owned(),
        key: key.to_owned(),
        sealed: vec![byte; 40],
    }
}

async fn commit(change: Change) {
    change.commit(&event("change")).await.unwrap();
}

async fn what_was_made_is_read_again(place: Place) {
    let vault = place.vault().await;
    let made = place
        .credential(&vault.id, 1, &[("token", "k1"), ("a", "k2")])
        .await;
    let scope = place.store.scope(&place.organization);
    assert_eq!(
        scope.vault(&vault.id).await.unwrap().unwrap().values,
        vault.values
    );
    let read = scope
        .credential(&vault.id, &made.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (read.id, read.vault, read.values),
        (made.id.clone(), vault.id.clone(), made.values)
    );
    let secrets = scope.credential_secrets(&made.id).await.unwrap();
    assert_eq!(secrets, [secret("a", "k2", 1), secret("token", "k1", 1)]);
    // Not through another vault.
    let other = place.vault().await;
    assert_eq!(scope.credential(&other.id, &made.id).await.unwrap(), None);
}

async fn another_organization_sees_and_changes_nothing(place: Place) {
    let vault = place.vault().await;
    let made = place.credential(&vault.id, 1, &[("token", "k1")]).await;
    let other = organization(&place.store, "Other").await;
    let scope = place.store.scope(&other);
    let all = PageRequest {
        before: None,
        limit: 10,
    };
    assert_eq!(scope.vault(&vault.id).await.unwrap(), None);
    assert_eq!(scope.credential(&vault.id, &made.id).await.unwrap(), None);
    assert_eq!(scope.credential_secrets(&made.id).await.unwrap(), []);
    assert_eq!(scope.secrets_sealed_with("k1", None, 10).await.unwrap(), []);
    let all_of_vault = PageRequest {
        before: None,
        limit: 10,
    };
    let listed = scope
        .credentials(&vault.id, &all_of_vault, true)
        .await
        .unwrap();
    assert_eq!(listed.items, []);
    assert_eq!(scope.vaults(&all, true).await.unwrap().items, []);
    let now = jiff::Timestamp::now();
    let mut change = place.store.change(&other, now).await.unwrap();
    assert_eq!(change.lock_vault(&vault.id).await.unwrap(), None);
    assert_eq!(change.active_credentials(&vault.id).await.unwrap(), []);
    assert!(!change.delete_vault(&vault.id).await.unwrap());
    assert!(!change.delete_credential(&vault.id, &made.id).await.unwrap());
    let archived = change.archive_credential(&made.id).await;
    assert!(matches!(archived, Err(StoreError::Stale)));
    let updated = change.update_credential(&made, values(1)).await;
    assert!(matches!(updated, Err(StoreError::Stale)));
    change
        .put_secret(&made.id, secret("token", "theirs", 9))
        .await
        .unwrap();
    let read = owned(&vault.id, &made.id, secret("token", "k1", 1));
    assert!(
        !change
            .replace_secret(&read, secret("token", "theirs", 9))
            .await
            .unwrap()
    );
    commit(change).await;
    let scope = place.store.scope(&place.organization);
    let secrets = scope.credential_secrets(&made.id).await.unwrap();
    assert_eq!(secrets, [secret("token", "k1", 1)]);
}

fn owned(vault: &VaultId, credential: &CredentialId, secret: SealedSecret) -> OwnedSecret {
    OwnedSecret {
        owner: SecretOwner::Credential {
            vault: vault.clone(),
            credential: credential.clone(),
        },
        secret,
    }
}

async fn a_target_is_taken_until_its_credential_is_archived(place: Place) {
    let vault = place.vault().await;
    let first = place.credential(&vault.id, 1, &[("token", "k")]).await;
    let mut change = place.change().await;
    let second = change
        .insert_credential(&vault.id, fresh(), values(1))
        .await;
    assert!(matches!(second, Err(StoreError::Taken)), "{second:?}");
    drop(change);
    // Another vault has its own targets.
    let other = place.vault().await;
    place.credential(&other.id, 1, &[]).await;
    let mut change = place.change().await;
    change.archive_credential(&first.id).await.unwrap();
    let again = change.archive_credential(&first.id).await;
    assert!(matches!(again, Err(StoreError::Stale)));
    commit(change).await;
    let scope = place.store.scope(&place.organization);
    assert_eq!(scope.credential_secrets(&first.id).await.unwrap(), []);
    place.credential(&vault.id, 1, &[]).await;
}

async fn who_has_locked_a_vault_is_alone_with_it(place: Place) {
    let vault = place.vault().await;
    let place = Arc::new(place);
    let mut change = place.change().await;
    change.lock_vault(&vault.id).await.unwrap().unwrap();
    let second = tokio::spawn({
        let (place, id) = (Arc::clone(&place), vault.id.clone());
        async move {
            let mut change = place.change().await;
            change.lock_vault(&id).await.unwrap().unwrap()
        }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!second.is_finished());
    change.archive_vault(&vault).await.unwrap();
    commit(change).await;
    // It sees what was done while it waited.
    assert!(second.await.unwrap().archived_at.is_some());
}

async fn secrets_go_with_their_credential_and_their_vault(place: Place) {
    let vault = place.vault().await;
    let one = place.credential(&vault.id, 1, &[("token", "k1")]).await;
    let two = place.credential(&vault.id, 2, &[("token", "k2")]).await;
    assert_eq!(
        place.store.sealing_keys_in_use().await.unwrap(),
        ["k1", "k2"]
    );
    let mut change = place.change().await;
    assert!(change.delete_credential(&vault.id, &one.id).await.unwrap());
    assert!(!change.delete_credential(&vault.id, &one.id).await.unwrap());
    commit(change).await;
    assert_eq!(place.store.sealing_keys_in_use().await.unwrap(), ["k2"]);
    let mut change = place.change().await;
    assert!(change.delete_vault(&vault.id).await.unwrap());
    commit(change).await;
    assert_eq!(place.store.sealing_keys_in_use().await.unwrap(), [""; 0]);
    let scope = place.store.scope(&place.organization);
    assert_eq!(scope.credential(&vault.id, &two.id).await.unwrap(), None);
    let mut change = place.change().await;
    let orphan = change.put_secret(&two.id, secret("token", "k", 1)).await;
    assert!(matches!(orphan, Err(StoreError::Referred)), "{orphan:?}");
}

async fn a_secret_is_replaced_only_where_it_is_as_it_was_read(place: Place) {
    let vault = place.vault().await;
    let made = place.credential(&vault.id, 1, &[("token", "k1")]).await;
    let read = owned(&vault.id, &made.id, secret("token", "k1", 1));
    let mut change = place.change().await;
    // Somebody sets another one meanwhile.
    change
        .put_secret(&made.id, secret("token", "k1", 5))
        .await
        .unwrap();
    let late = change.replace_secret(&read, secret("token", "k2", 2)).await;
    assert!(!late.unwrap());
    let read = owned(&vault.id, &made.id, secret("token", "k1", 5));
    let done = change.replace_secret(&read, secret("token", "k2", 6)).await;
    assert!(done.unwrap());
    commit(change).await;
    let scope = place.store.scope(&place.organization);
    let secrets = scope.credential_secrets(&made.id).await.unwrap();
    assert_eq!(secrets, [secret("token", "k2", 6)]);
}

fn named(one: OwnedSecret) -> (CredentialId, String) {
    let SecretOwner::Credential { credential, .. } = one.owner else {
        unreachable!("there are no sessions")
    };
    (credential, one.secret.name)
}

async fn secrets_of_a_key_are_found_in_order_to_the_end(place: Place) {
    let vault = place.vault().await;
    let mut made = Vec::new();
    for target in 0..5 {
        let secrets = [("a", "old"), ("b", "new"), ("c", "old")];
        let id = place.credential(&vault.id, target, &secrets).await.id;
        made.extend([(id.clone(), "a".to_owned()), (id, "c".to_owned())]);
    }
    let scope = place.store.scope(&place.organization);
    let mut seen: Vec<(CredentialId, String)> = Vec::new();
    loop {
        let after = seen.last().map(|(id, name)| (id, name.as_str()));
        let batch = scope.secrets_sealed_with("old", after, 3).await.unwrap();
        if batch.is_empty() {
            break;
        }
        assert!(batch.len() <= 3);
        seen.extend(batch.into_iter().map(named));
    }
    assert_eq!(seen, made);
    let other = organization(&place.store, "Other").await;
    let first = place.store.organizations_after(None, 1).await.unwrap();
    let second = place
        .store
        .organizations_after(first.first(), 5)
        .await
        .unwrap();
    let mut both = [first, second].concat();
    both.sort();
    let mut expected = vec![place.organization.clone(), other];
    expected.sort();
    assert_eq!(both, expected);
}
