//! Keys.

use bailiwick_model::{ApiKeyId, EnvironmentId, Permission, ResourceId as _};
use bailiwick_store::{ApiKey, KeyOwner, NewApiKey, Page, PageRequest, StoreError};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::caller::{Actor, Caller};
use crate::control::Control;
use crate::environments::is_self_hosted;
use crate::error::ControlError;
use crate::names::{name, problem};
use crate::{clock, fresh};

/// What the key of an environment lets its workers do there, and so what whoever makes one has.
pub const WORKER_PERMISSIONS: [Permission; 5] = [
    Permission::SessionRead,
    Permission::SessionWrite,
    Permission::WorkRead,
    Permission::WorkWrite,
    Permission::SkillRead,
];
const KIND: &str = "key";

/// A request to make a key.
#[derive(Debug, Clone)]
pub struct NewKeyRequest {
    /// What people call it.
    pub name: String,
    /// From when on it is not taken.
    pub expires_at: Option<Timestamp>,
}

/// A key that was made: the only time that it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeKey {
    /// Its id.
    pub id: ApiKeyId,
    /// The key.
    pub key: String,
    /// From when on it is not taken.
    pub expires_at: Option<Timestamp>,
}

impl Control {
    /// Makes a key of the caller, who may do with it what they may do.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], and what every use case may answer.
    pub async fn create_key(
        &self,
        caller: &Caller,
        request: NewKeyRequest,
    ) -> Result<MadeKey, ControlError> {
        caller.require(Permission::KeyWrite)?;
        let owner = owner_of(caller).ok_or(ControlError::Forbidden(Permission::KeyWrite))?;
        self.make_key(caller, "bwk_", owner, request).await
    }

    /// Makes a key for the workers of one self-hosted environment.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::HasNoWorkers`], and what every use case may answer.
    pub async fn create_environment_key(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        request: NewKeyRequest,
    ) -> Result<MadeKey, ControlError> {
        caller.require(Permission::KeyAdmin)?;
        // Nobody hands on what they do not have.
        for permission in WORKER_PERMISSIONS {
            caller.require(permission)?;
        }
        let found = self
            .store
            .scope(&caller.organization)
            .environment(id)
            .await?;
        let environment = found.ok_or(ControlError::NotFound("environment"))?;
        if environment.archived_at.is_some() {
            return Err(ControlError::Archived("environment"));
        }
        if !is_self_hosted(&environment)? {
            return Err(ControlError::HasNoWorkers);
        }
        self.may_deploy(caller, &environment).await?;
        self.make_key(
            caller,
            "bwe_",
            KeyOwner::Environment(environment.id),
            request,
        )
        .await
    }

    /// Keys, the newest first: all with [`Permission::KeyAdmin`], else the caller's own.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn keys(
        &self,
        caller: &Caller,
        page: &PageRequest<ApiKeyId>,
    ) -> Result<Page<ApiKey, ApiKeyId>, ControlError> {
        caller.require(Permission::KeyWrite)?;
        let scope = self.store.scope(&caller.organization);
        if caller.permissions().allow(Permission::KeyAdmin) {
            return Ok(scope.api_keys(page).await?);
        }
        let owner = owner_of(caller).ok_or(ControlError::Forbidden(Permission::KeyAdmin))?;
        Ok(scope.own_keys(&owner, page).await?)
    }

    /// Revokes a key. It is not taken any more when this returns. Another's needs [`Permission::KeyAdmin`], and is as if
    /// it were not there without.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn revoke_key(&self, caller: &Caller, id: &ApiKeyId) -> Result<(), ControlError> {
        caller.require(Permission::KeyWrite)?;
        if !caller.permissions().allow(Permission::KeyAdmin) {
            let found = self.store.scope(&caller.organization).api_key(id).await?;
            let owner = found.map(|key| key.owner);
            if owner.is_none() || owner != owner_of(caller) {
                return Err(ControlError::NotFound(KIND));
            }
        }
        let mut change = self.change(caller, clock::now()).await?;
        if !change.revoke_api_key(id).await? {
            return Err(ControlError::NotFound(KIND));
        }
        change
            .commit(&caller.event("key.revoke", (KIND, id.as_str()), None, None))
            .await?;
        self.known_keys.forget();
        Ok(())
    }

    pub(crate) async fn make_key(
        &self,
        caller: &Caller,
        prefix: &str,
        owner: KeyOwner,
        request: NewKeyRequest,
    ) -> Result<MadeKey, ControlError> {
        let at = clock::now();
        // A key that ends makes none that lives longer.
        let expires_at = match (request.expires_at, caller.expires_at) {
            (Some(asked), Some(own)) => Some(asked.min(own)),
            (asked, own) => asked.or(own),
        };
        let request = NewKeyRequest {
            expires_at,
            ..request
        };
        let name = check(&request, at)?;
        let (id, secret): (ApiKeyId, _) = (fresh::id(at), fresh::secret(prefix));
        let after = json!({
            "name": name,
            "shown": secret.shown,
            "expires_at": request.expires_at,
            "owner": evidence(&owner),
        });
        let mut change = self.change(caller, at).await?;
        let new = NewApiKey {
            id: id.clone(),
            owner,
            name: &name,
            shown: &secret.shown,
            hash: secret.hash,
            expires_at: request.expires_at,
        };
        change.insert_api_key(new).await.map_err(|error| {
            if matches!(error, StoreError::Referred) {
                ControlError::NotFound("owner of the key")
            } else {
                ControlError::of(KIND)(error)
            }
        })?;
        change
            .commit(&caller.event("key.create", (KIND, id.as_str()), None, Some(&after)))
            .await?;
        Ok(MadeKey {
            id,
            key: secret.text,
            expires_at: request.expires_at,
        })
    }
}

/// Whose a key is, and for whom what is spent with it counts, for the audit log; who makes it need be neither.
fn evidence(owner: &KeyOwner) -> Value {
    match owner {
        KeyOwner::User(id) => json!({"kind": "user", "id": id}),
        KeyOwner::ServiceAccount(id) => json!({"kind": "service_account", "id": id}),
        KeyOwner::Environment(id) => json!({"kind": "environment", "id": id}),
        KeyOwner::LlmProxy(key) => json!({
            "kind": "llm_proxy",
            "id": key.llm_proxy,
            "user_id": key.user,
            "agent_id": key.agent,
        }),
        KeyOwner::McpGateway(id) => json!({"kind": "mcp_gateway", "id": id}),
    }
}

/// Whose the keys are that the caller makes: people and service accounts make some.
fn owner_of(caller: &Caller) -> Option<KeyOwner> {
    match &caller.actor {
        Actor::User(id) => Some(KeyOwner::User(id.clone())),
        Actor::ServiceAccount(id) => Some(KeyOwner::ServiceAccount(id.clone())),
        Actor::Worker(_)
        | Actor::WorkItem(_)
        | Actor::VirtualKey(_)
        | Actor::GatewayKey(_)
        | Actor::System => None,
    }
}

fn check(request: &NewKeyRequest, now: Timestamp) -> Result<String, ControlError> {
    if request.expires_at.is_some_and(|expires| expires <= now) {
        let message = "the key would never be taken";
        let help = "name a time to come, or none";
        return Err(problem("expires_at", "in_the_past", message, help));
    }
    name(&request.name)
}
