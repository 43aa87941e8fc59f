//! People who may do less than the administrator.

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_model::{Permissions, PredefinedRole, ResourceId, RoleId, UserId};
use bailiwick_store::{AuditEvent, KeyOwner, NewApiKey, NewMember, NewRole};
use jiff::Timestamp;

use crate::Server;

fn fresh<I: ResourceId>() -> I {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut random = [0; 10];
    random[2..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    I::made(1_795_000_000_000, random)
}

impl Server {
    /// The key of somebody new with a predefined role.
    pub(crate) async fn key_of(&self, role: PredefinedRole) -> String {
        self.key_with(role.permissions()).await
    }

    /// The key of somebody new with these permissions.
    pub(crate) async fn key_with(&self, permissions: Permissions) -> String {
        let organization = self.store.first_organization().await.unwrap().unwrap();
        let (role, user): (RoleId, UserId) = (fresh(), fresh());
        let key = format!("bwk_{role}{user}");
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
        let mut change = self
            .store
            .change(&organization, Timestamp::now())
            .await
            .unwrap();
        let new = NewRole {
            id: role.clone(),
            name: &role.to_string(),
            predefined: false,
            permissions,
        };
        change.insert_role(&new).await.unwrap();
        let member = NewMember {
            password_hash: None,
            user: user.clone(),
            email: &format!("{user}@example.com"),
            name: "Somebody",
            role: &role,
        };
        change.insert_member(&member).await.unwrap();
        let new = NewApiKey {
            id: fresh(),
            owner: KeyOwner::User(user),
            name: "test",
            shown: "bwk_",
            hash,
            expires_at: None,
        };
        change.insert_api_key(new).await.unwrap();
        let event = AuditEvent {
            actor_kind: "system",
            actor_id: "test",
            address: None,
            action: "member.create",
            resource_kind: "member",
            resource_id: "member",
            before: None,
            after: None,
        };
        change.commit(&event).await.unwrap();
        key
    }
}
