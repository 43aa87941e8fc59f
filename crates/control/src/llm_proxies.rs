//! Doors of environments to the organization's model upstreams, and the virtual keys that open them.

mod door;
mod reach;

use bailiwick_model::limits::{APPLY_SET_CHARS, LLM_PROXIES, LLM_PROXY_MODELS};
use bailiwick_model::{
    AgentId, ApiKeyId, EnvironmentId, LlmProxyId, Permission, ResourceId as _, UserId,
};
use bailiwick_store::{
    Agent, ApiKey, Change, Environment, KeyOwner, LlmProxy, LlmProxyValues, Page, PageRequest,
    StoreError, VirtualKey,
};
use bailiwick_wire::FieldProblem;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::conflicts::{Conflict, ConflictKind, OnConflict};
use crate::control::Control;
use crate::error::ControlError;
use crate::keys::{MadeKey, NewKeyRequest};
use crate::limits::{is_pattern, is_text};
use crate::names::name;
use crate::{clock, fresh};

pub(crate) use door::Doors;
pub use door::{ListedUpstream, ModelRoutes, NoModelRoute, OpenProxy};

/// What the errors call it.
const KIND: &str = "LLM proxy";
/// What the audit log calls it.
const RESOURCE: &str = "llm_proxy";

/// What of a proxy is neither its name nor where it belongs, in the form in which it is stored and shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LlmProxyConfig {
    /// Which models can be asked through it, by name or by the beginning of it and `*`; all if none is named.
    #[serde(default)]
    pub models: Vec<String>,
    /// The set of `bailiwick apply` that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_set: Option<String>,
}

/// A proxy that is to be.
#[derive(Debug, Clone)]
pub struct NewLlmProxyRequest {
    /// What people call it, and what its address may name it by.
    pub name: String,
    /// Where it belongs.
    pub environment: EnvironmentId,
    /// What else there is to say.
    pub config: LlmProxyConfig,
}

/// What of a proxy is to change: what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct LlmProxyChange {
    /// What people call it.
    pub name: Option<String>,
    /// Where it belongs.
    pub environment: Option<EnvironmentId>,
    /// Which models.
    pub models: Option<Vec<String>>,
    /// The set of `bailiwick apply` that it belongs to; `None` inside is none.
    pub apply_set: Option<Option<String>>,
    /// What becomes of what stands in the way of a move.
    pub on_conflict: OnConflict,
    /// Only if it is at this version.
    pub version: Option<i64>,
}

/// A virtual key that is to be.
#[derive(Debug, Clone)]
pub struct NewVirtualKeyRequest {
    /// What people call it, and until when it is taken.
    pub key: NewKeyRequest,
    /// For which user what is spent with it counts.
    pub user: Option<UserId>,
    /// For which agent.
    pub agent: Option<AgentId>,
}

/// A proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmProxyView {
    /// As it is stored.
    pub proxy: LlmProxy,
    /// Which models.
    pub config: LlmProxyConfig,
}

impl LlmProxyConfig {
    fn stored(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text).map_err(|_| StoreError::Corrupt { column: "config" })
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts")
    }

    fn check(&self) -> Result<(), ControlError> {
        let mut problems = Vec::new();
        if self.models.len() > LLM_PROXY_MODELS {
            problems.push(FieldProblem {
                field: "models".to_owned(),
                code: "too_many",
                message: format!("has more than {LLM_PROXY_MODELS} models"),
                help: "use patterns such as claude-*".to_owned(),
            });
        }
        for (index, pattern) in self.models.iter().enumerate() {
            if !is_pattern(pattern) {
                problems.push(FieldProblem {
                    field: format!("models[{index}]"),
                    code: "invalid_model",
                    message: "is no name of a model, and no beginning of one with * at its end"
                        .to_owned(),
                    help: "write claude-opus-4-5, or claude-*".to_owned(),
                });
            }
        }
        if let Some(set) = &self.apply_set
            && !is_text(set, APPLY_SET_CHARS)
        {
            problems.push(FieldProblem {
                field: "apply_set".to_owned(),
                code: "invalid_text",
                message: format!("has to be a text of 1 to {APPLY_SET_CHARS} characters"),
                help: "shorten it, or leave it out".to_owned(),
            });
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(ControlError::Invalid(problems)),
        }
    }
}

impl LlmProxyView {
    fn of(proxy: LlmProxy) -> Result<Self, ControlError> {
        Ok(Self {
            config: LlmProxyConfig::stored(&proxy.values.config)?,
            proxy,
        })
    }

    /// For the audit log.
    fn evidence(&self) -> Value {
        let values = &self.proxy.values;
        json!({"name": values.name, "environment_id": values.environment, "config": self.config})
    }
}

impl Control {
    /// Proxies, the newest first; of one environment, if one is named.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn llm_proxies(
        &self,
        caller: &Caller,
        environment: Option<&EnvironmentId>,
        page: &PageRequest<LlmProxyId>,
    ) -> Result<Page<LlmProxyView, LlmProxyId>, ControlError> {
        caller.require(Permission::LlmProxyRead)?;
        let scope = self.store.scope(&caller.organization);
        let found = scope.llm_proxies(environment, page).await?;
        let items = found.items.into_iter().map(LlmProxyView::of);
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next: found.next,
        })
    }

    /// One proxy.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn llm_proxy(
        &self,
        caller: &Caller,
        id: &LlmProxyId,
    ) -> Result<LlmProxyView, ControlError> {
        caller.require(Permission::LlmProxyRead)?;
        self.stored_proxy(caller, id).await
    }

    async fn stored_proxy(
        &self,
        caller: &Caller,
        id: &LlmProxyId,
    ) -> Result<LlmProxyView, ControlError> {
        let found = self.store.scope(&caller.organization).llm_proxy(id).await?;
        LlmProxyView::of(found.ok_or(ControlError::NotFound(KIND))?)
    }

    /// Makes a proxy in an environment.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Invalid`], [`ControlError::NameTaken`], [`ControlError::Full`],
    /// and what every use case may answer.
    pub async fn create_llm_proxy(
        &self,
        caller: &Caller,
        request: NewLlmProxyRequest,
    ) -> Result<LlmProxyView, ControlError> {
        caller.require(Permission::LlmProxyWrite)?;
        let name = name(&request.name)?;
        request.config.check()?;
        let environment = self
            .environment_to_join(caller, &request.environment)
            .await?;
        let mut change = self.change(caller, clock::now()).await?;
        let count = change.count_llm_proxies().await?;
        if usize::try_from(count).unwrap_or(usize::MAX) >= LLM_PROXIES {
            return Err(ControlError::Full {
                kind: "organization",
                what: "LLM proxies",
                limit: LLM_PROXIES,
            });
        }
        let values = LlmProxyValues {
            environment: environment.id,
            name,
            config: request.config.to_json(),
        };
        let made = change.insert_llm_proxy(fresh::id(change.at()), values);
        let made = LlmProxyView::of(made.await.map_err(gone)?)?;
        let about = (RESOURCE, made.proxy.id.as_str());
        let event = caller.event("llm_proxy.create", about, None, Some(&made.evidence()));
        change.commit(&event).await?;
        Ok(made)
    }

    /// Changes a proxy, or moves it to another environment. Keys of agents that are placed elsewhere stand in the way of a move, or are the agents'
    /// no more.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Invalid`], [`ControlError::NameTaken`], [`ControlError::Stale`],
    /// [`ControlError::AcrossEnvironments`], and what every use case may answer.
    pub async fn update_llm_proxy(
        &self,
        caller: &Caller,
        id: &LlmProxyId,
        request: LlmProxyChange,
    ) -> Result<LlmProxyView, ControlError> {
        caller.require(Permission::LlmProxyWrite)?;
        let before = self.stored_proxy(caller, id).await?;
        if request
            .version
            .is_some_and(|version| version != before.proxy.version)
        {
            return Err(ControlError::Stale(KIND));
        }
        let values = after(&before, &request)?;
        let moves = values.environment != before.proxy.values.environment;
        if moves {
            self.environment_to_join(caller, &values.environment)
                .await?;
        }
        if values == before.proxy.values {
            return Ok(before);
        }
        let mut change = self.change(caller, clock::now()).await?;
        if moves {
            keys_come_along(&mut change, id, &values.environment, request.on_conflict).await?;
        }
        let changed = change.update_llm_proxy(&before.proxy, values);
        let changed = LlmProxyView::of(changed.await.map_err(gone)?)?;
        let (was, is) = (before.evidence(), changed.evidence());
        let about = (RESOURCE, id.as_str());
        let event = caller.event("llm_proxy.update", about, Some(&was), Some(&is));
        change.commit(&event).await?;
        self.known_keys.forget();
        Ok(changed)
    }

    /// Deletes a proxy, and its virtual keys: none of them is taken any more when this returns.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn delete_llm_proxy(
        &self,
        caller: &Caller,
        id: &LlmProxyId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::LlmProxyWrite)?;
        let mut change = self.change(caller, clock::now()).await?;
        let found = change.llm_proxy(id).await?;
        let before = LlmProxyView::of(found.ok_or(ControlError::NotFound(KIND))?)?;
        change.delete_llm_proxy(id).await?;
        let (about, was) = ((RESOURCE, id.as_str()), before.evidence());
        let event = caller.event("llm_proxy.delete", about, Some(&was), None);
        change.commit(&event).await?;
        self.known_keys.forget();
        Ok(())
    }

    /// The virtual keys of a proxy, the newest first, with those that are not taken any more.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn virtual_keys(
        &self,
        caller: &Caller,
        id: &LlmProxyId,
        page: &PageRequest<ApiKeyId>,
    ) -> Result<Page<ApiKey, ApiKeyId>, ControlError> {
        caller.require(Permission::LlmProxyRead)?;
        self.stored_proxy(caller, id).await?;
        let scope = self.store.scope(&caller.organization);
        Ok(scope.virtual_keys(id, page).await?)
    }

    /// Makes a key that opens one proxy and nothing else.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Invalid`], [`ControlError::AcrossEnvironments`] if the agent is placed elsewhere, and what every
    /// use case may answer.
    pub async fn create_virtual_key(
        &self,
        caller: &Caller,
        id: &LlmProxyId,
        request: NewVirtualKeyRequest,
    ) -> Result<MadeKey, ControlError> {
        caller.require(Permission::LlmProxyWrite)?;
        // Nobody hands on what they do not have.
        caller.require(Permission::LlmProxyUse)?;
        let proxy = self.stored_proxy(caller, id).await?.proxy;
        self.environment_to_join(caller, &proxy.values.environment)
            .await?;
        let scope = self.store.scope(&caller.organization);
        let user = counts_for(caller, request.user)?;
        if let Some(user) = &user
            && scope.member(user).await?.is_none()
        {
            return Err(ControlError::NotFound("member"));
        }
        if let Some(agent) = &request.agent {
            let found = scope.agent(agent).await?;
            let agent = found.ok_or(ControlError::NotFound("agent"))?;
            works_in(&agent, &proxy.values.environment)?;
        }
        let owner = KeyOwner::LlmProxy(VirtualKey {
            llm_proxy: id.clone(),
            user,
            agent: request.agent,
        });
        self.make_key(caller, "bwv_", owner, request.key).await
    }

    /// Revokes a virtual key of a proxy. It is not taken any more when this returns.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn revoke_virtual_key(
        &self,
        caller: &Caller,
        id: &LlmProxyId,
        key: &ApiKeyId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::LlmProxyWrite)?;
        let mut change = self.change(caller, clock::now()).await?;
        if !change.revoke_virtual_key(id, key).await? {
            return Err(ControlError::NotFound("key"));
        }
        let event = caller.event("key.revoke", ("key", key.as_str()), None, None);
        change.commit(&event).await?;
        self.known_keys.forget();
        Ok(())
    }

    /// An environment that the caller may put something into.
    pub(crate) async fn environment_to_join(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
    ) -> Result<Environment, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let found = scope.environment(id).await?;
        let environment = found.ok_or(ControlError::NotFound("environment"))?;
        if environment.archived_at.is_some() {
            return Err(ControlError::Archived("environment"));
        }
        self.may_deploy(caller, &environment).await?;
        Ok(environment)
    }
}

fn after(before: &LlmProxyView, request: &LlmProxyChange) -> Result<LlmProxyValues, ControlError> {
    let values = &before.proxy.values;
    let config = LlmProxyConfig {
        models: match &request.models {
            Some(models) => models.clone(),
            None => before.config.models.clone(),
        },
        apply_set: match &request.apply_set {
            Some(set) => set.clone(),
            None => before.config.apply_set.clone(),
        },
    };
    config.check()?;
    Ok(LlmProxyValues {
        environment: match &request.environment {
            Some(environment) => environment.clone(),
            None => values.environment.clone(),
        },
        name: match &request.name {
            Some(text) => name(text)?,
            None => values.name.clone(),
        },
        config: config.to_json(),
    })
}

/// The environment went between two looks.
fn gone(error: StoreError) -> ControlError {
    if matches!(error, StoreError::Referred) {
        return ControlError::NotFound("environment");
    }
    ControlError::of(KIND)(error)
}

/// An agent that is placed works in its environment alone.
fn works_in(agent: &Agent, environment: &EnvironmentId) -> Result<(), ControlError> {
    match &agent.environment {
        Some(own) if own != environment => Err(ControlError::AcrossEnvironments {
            kind: KIND,
            conflicts: vec![Conflict {
                kind: ConflictKind::Agent,
                id: agent.id.to_string(),
            }],
        }),
        Some(_) | None => Ok(()),
    }
}

/// What stands in the way of a move of a proxy: keys of agents that are placed elsewhere.
async fn keys_come_along(
    change: &mut Change,
    id: &LlmProxyId,
    environment: &EnvironmentId,
    on_conflict: OnConflict,
) -> Result<(), ControlError> {
    let keys = change.virtual_keys_across(id, environment).await?;
    if keys.is_empty() {
        return Ok(());
    }
    match on_conflict {
        OnConflict::Refuse => Err(ControlError::AcrossEnvironments {
            kind: KIND,
            conflicts: keys
                .iter()
                .map(|key| Conflict {
                    kind: ConflictKind::VirtualKey,
                    id: key.to_string(),
                })
                .collect(),
        }),
        OnConflict::Detach => {
            for key in &keys {
                change.detach_virtual_key(key).await?;
            }
            Ok(())
        }
    }
}

/// For whom what is spent with a virtual key counts. Who may not change limits has no way around their own, and does not use up somebody else's.
fn counts_for(caller: &Caller, asked: Option<UserId>) -> Result<Option<UserId>, ControlError> {
    if caller.permissions.allow(Permission::LimitAdmin) {
        return Ok(asked);
    }
    let own = caller.user();
    match asked {
        Some(user) if own != Some(&user) => Err(ControlError::Forbidden(Permission::LimitAdmin)),
        Some(user) => Ok(Some(user)),
        None => Ok(own.cloned()),
    }
}
