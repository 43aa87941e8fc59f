//! The first start: an organization, its Default environment and an administrator.

use bailiwick_model::{Permissions, PredefinedRole, RoleId, UserId};
use bailiwick_store::{
    EnvironmentValues, KeyOwner, NewApiKey, NewEnvironment, NewMember, NewOrganization, NewRole,
    StoreError,
};
use serde_json::json;

use crate::caller::{Actor, Caller, Proof};
use crate::control::Control;
use crate::error::ControlError;
use crate::fresh::Secret;
use crate::{clock, fresh};

/// The shortest key that may be chosen: what is guessed in a lifetime is no key.
const CHOSEN_KEY_CHARS: usize = 32;
/// The organization of a first start. That two processes begin at once shows in this name.
const FIRST_ORGANIZATION: &str = "Default organization";

/// How to start for the first time.
#[derive(Debug, Clone, Default)]
pub struct Bootstrap {
    /// The administrator's key; one is made if this is none.
    pub key: Option<String>,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootstrapped {
    /// The administrator's key, which is stored nowhere.
    pub key: String,
}

fn secret(bootstrap: Bootstrap) -> Result<Secret, ControlError> {
    match bootstrap.key {
        Some(key) if key.chars().count() < CHOSEN_KEY_CHARS => Err(too_short()),
        Some(key) => Ok(Secret::of(key)),
        None => Ok(fresh::secret("bwk_")),
    }
}

/// A key that was chosen is too short.
fn too_short() -> ControlError {
    ControlError::Invalid(vec![bailiwick_wire::FieldProblem {
        field: "BAILIWICK_BOOTSTRAP_KEY".to_owned(),
        code: "too_short",
        message: format!("a key has at least {CHOSEN_KEY_CHARS} characters"),
        help: "make one with `openssl rand -hex 32`".to_owned(),
    }])
}

impl Control {
    /// Makes what a first start needs; `None` if somebody has already. Of several processes that try at once one does.
    ///
    /// # Errors
    ///
    /// See [`ControlError`]; nothing is made then.
    pub async fn bootstrap(
        &self,
        bootstrap: Bootstrap,
    ) -> Result<Option<Bootstrapped>, ControlError> {
        if self.store.first_organization().await?.is_some() {
            return Ok(None);
        }
        let secret = secret(bootstrap)?;
        match self.make_organization(FIRST_ORGANIZATION, &secret).await {
            Ok(()) => Ok(Some(Bootstrapped { key: secret.text })),
            // Somebody else was faster.
            Err(StoreError::Taken) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes an organization, its Default environment and an administrator. Who may is not asked: this is for whoever runs the server.
    ///
    /// # Errors
    ///
    /// [`ControlError::NameTaken`], and see [`ControlError`]; nothing is made then.
    pub async fn create_organization(
        &self,
        name: &str,
        bootstrap: Bootstrap,
    ) -> Result<Bootstrapped, ControlError> {
        let secret = secret(bootstrap)?;
        self.make_organization(name, &secret)
            .await
            .map_err(ControlError::of("organization"))?;
        Ok(Bootstrapped { key: secret.text })
    }

    async fn make_organization(&self, name: &str, secret: &Secret) -> Result<(), StoreError> {
        let at = clock::now();
        let organization = fresh::id(at);
        let mut change = self.store.change(&organization, at).await?;
        let new = NewOrganization { name, floor: "{}" };
        change.insert_organization(&new).await?;
        let mut administrators: RoleId = fresh::id(at);
        for role in PredefinedRole::ALL {
            let id: RoleId = fresh::id(at);
            if role == PredefinedRole::Admin {
                administrators = id.clone();
            }
            let (name, permissions) = (role.name(), role.permissions());
            change
                .insert_role(&NewRole {
                    id,
                    name,
                    predefined: true,
                    permissions,
                })
                .await?;
        }
        let user: UserId = fresh::id(at);
        // Unique, and nobody's: it is to be changed.
        let email = format!("administrator@{organization}.invalid");
        let member = NewMember {
            user: user.clone(),
            email: &email,
            name: "Administrator",
            password_hash: None,
            role: &administrators,
        };
        change.insert_member(&member).await?;
        change
            .insert_environment(default_environment(fresh::id(at)))
            .await?;
        let key = NewApiKey {
            id: fresh::id(at),
            owner: KeyOwner::User(user),
            name: "first start",
            shown: &secret.shown,
            hash: secret.hash,
            expires_at: None,
        };
        change.insert_api_key(key).await?;
        let system = Caller {
            organization: organization.clone(),
            actor: Actor::System,
            permissions: Permissions::NONE,
            key: None,
            expires_at: None,
            proof: Proof::Itself,
            address: None,
        };
        let (id, after) = (organization.to_string(), json!({"name": name}));
        let event = system.event(
            "organization.create",
            ("organization", &id),
            None,
            Some(&after),
        );
        change.commit(&event).await
    }
}

fn default_environment(id: bailiwick_model::EnvironmentId) -> NewEnvironment {
    let packages = json!({"type": "packages", "apt": [], "cargo": [], "gem": [], "go": [], "npm": [], "pip": []});
    NewEnvironment {
        id,
        is_default: true,
        values: EnvironmentValues {
            name: "Default".to_owned(),
            description: Some("Everything that was not placed elsewhere".to_owned()),
            restricted: false,
            namespace: None,
            config: json!({"type": "cloud", "packages": packages}).to_string(),
            metadata: "{}".to_owned(),
        },
    }
}
