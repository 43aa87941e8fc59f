//! Keys.

use bailiwick_model::{ApiKeyId, Permission, PredefinedRole, RoleId, UserId};
use bailiwick_store::{KeyOwner, NewApiKey, NewMember, NewRole};

use crate::{Place, event, fresh, on_both};

on_both!(
    a_key_stands_for_its_owner_until_it_is_revoked,
    a_key_of_an_environment_has_no_permissions_and_goes_with_it,
);

async fn a_key_stands_for_its_owner_until_it_is_revoked(place: Place) {
    let (role, user, key): (RoleId, UserId, ApiKeyId) = (fresh(), fresh(), fresh());
    let mut change = place.change().await;
    let permissions = PredefinedRole::Editor.permissions();
    let new = NewRole {
        id: role.clone(),
        name: "editor",
        predefined: true,
        permissions,
    };
    change.insert_role(&new).await.unwrap();
    let member = NewMember {
        user: user.clone(),
        email: "a@example.com",
        name: "A",
        password_hash: None,
        role: &role,
    };
    change.insert_member(&member).await.unwrap();
    let owner = KeyOwner::User(user);
    change
        .insert_api_key(new_key(&key, owner.clone(), 1))
        .await
        .unwrap();
    change.commit(&event("key.create")).await.unwrap();

    let known = place.store.known_key(&[1; 32]).await.unwrap().unwrap();
    assert_eq!(
        (known.organization, known.owner),
        (place.organization.clone(), owner)
    );
    assert!(known.permissions.allow(Permission::AgentWrite));
    assert_eq!(place.store.known_key(&[2; 32]).await.unwrap(), None);

    let mut change = place.change().await;
    assert!(change.revoke_api_key(&key).await.unwrap());
    assert!(!change.revoke_api_key(&key).await.unwrap());
    change.commit(&event("key.revoke")).await.unwrap();
    assert_eq!(place.store.known_key(&[1; 32]).await.unwrap(), None);
}

async fn a_key_of_an_environment_has_no_permissions_and_goes_with_it(place: Place) {
    let environment = place.environment("workers").await;
    let owner = KeyOwner::Environment(environment.id.clone());
    let mut change = place.change().await;
    change
        .insert_api_key(new_key(&fresh(), owner.clone(), 3))
        .await
        .unwrap();
    change.commit(&event("key.create")).await.unwrap();
    let known = place.store.known_key(&[3; 32]).await.unwrap().unwrap();
    assert_eq!(known.owner, owner);
    assert_eq!(known.permissions.iter().count(), 0);

    let mut change = place.change().await;
    change.delete_environment(&environment).await.unwrap();
    change.commit(&event("environment.delete")).await.unwrap();
    assert_eq!(place.store.known_key(&[3; 32]).await.unwrap(), None);
}

fn new_key(id: &ApiKeyId, owner: KeyOwner, byte: u8) -> NewApiKey<'static> {
    NewApiKey {
        id: id.clone(),
        owner,
        name: "laptop",
        shown: "bwk_abc",
        hash: [byte; 32],
        expires_at: None,
    }
}
