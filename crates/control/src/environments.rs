//! Environments.

use std::sync::LazyLock;

use bailiwick_model::{
    Decision, Destination, EnvironmentId, EnvironmentName, Permission, ResourceId as _,
};
use bailiwick_policy::{EgressPolicy, HostFacts, Policy, SessionGrants};
use bailiwick_store::{
    Change, Environment, EnvironmentValues, NewEnvironment, Organization, Page, PageRequest,
    StoreError,
};
use bailiwick_wire::{
    ConfigParts, EnvironmentBody, StoredEnvironment, invalid_namespace, networking_json,
    policy_from_json,
};
use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::control::Control;
use crate::error::ControlError;
use crate::host_paths::HostPaths;
use crate::organizations::{Policies, policies};
use crate::references::refuse_if_referred;
use crate::{clock, fresh};

/// What the errors call it.
pub(crate) const KIND: &str = "environment";

/// An environment, and the policy that it inherits if it has none of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentView {
    /// The environment.
    pub environment: Environment,
    /// The policy of the organization, or the built-in one, as the wire writes networking; `None` if it has its own.
    pub inherited: Option<String>,
}

/// The policy that holds in an environment.
#[derive(Debug, Clone)]
pub struct EffectivePolicy {
    /// The policy and where it comes from.
    pub policy: bailiwick_policy::EffectivePolicy,
    /// What the organization denies everywhere.
    pub floor: bailiwick_policy::OrganizationFloor,
}

/// A request to make one: the body of the wire, and what only the administration has.
#[derive(Debug, Clone, Default)]
pub struct NewEnvironmentRequest {
    /// The body, as on the wire.
    pub body: Map<String, Value>,
    /// Whether it takes a right of its own to assign resources to it.
    pub restricted: bool,
    /// Its Kubernetes namespace.
    pub namespace: Option<String>,
}

/// A request to change one: what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct EnvironmentChange {
    /// The body, as on the wire.
    pub body: Map<String, Value>,
    /// Whether it takes a right of its own to assign resources to it.
    pub restricted: Option<bool>,
    /// Its Kubernetes namespace; `Some(None)` takes it away.
    pub namespace: Option<Option<String>>,
    /// Whether its own policy goes, so that the organization's holds.
    pub inherit_policy: bool,
    /// Only if it is at this version.
    pub version: Option<i64>,
}

impl Control {
    /// Makes an environment.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], [`ControlError::NameTaken`], and what every use case may answer.
    pub async fn create_environment(
        &self,
        caller: &Caller,
        request: NewEnvironmentRequest,
    ) -> Result<EnvironmentView, ControlError> {
        caller.require(Permission::EnvironmentAdmin)?;
        let body = EnvironmentBody::create(&request.body)?;
        let problems = self.host_paths.problems(&body, None);
        if !problems.is_empty() {
            return Err(ControlError::Invalid(problems));
        }
        let values = values(&body, request.restricted, namespace(request.namespace)?);
        let at = clock::now();
        let mut change = self.change(caller, at).await?;
        let new = NewEnvironment {
            id: fresh::id(at),
            is_default: false,
            values,
        };
        let made = change
            .insert_environment(new)
            .await
            .map_err(ControlError::of(KIND))?;
        commit(
            change,
            caller,
            "environment.create",
            &made.id,
            None,
            Some(&made),
        )
        .await?;
        self.view(caller, made).await
    }

    /// One environment, archived or not.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn environment(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
    ) -> Result<EnvironmentView, ControlError> {
        caller.require(Permission::EnvironmentRead)?;
        let scope = self.store.scope(&caller.organization);
        let found = scope.environment_with_default(id).await?;
        let (environment, default) = found.ok_or(ControlError::NotFound(KIND))?;
        let inherited = inherits(&environment)?.then(|| inherited(default));
        Ok(EnvironmentView {
            environment,
            inherited,
        })
    }

    /// Environments, the newest first.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn environments(
        &self,
        caller: &Caller,
        page: &PageRequest<EnvironmentId>,
        with_archived: bool,
    ) -> Result<Page<EnvironmentView, EnvironmentId>, ControlError> {
        caller.require(Permission::EnvironmentRead)?;
        let scope = self.store.scope(&caller.organization);
        let Page { items, next } = scope.environments(page, with_archived).await?;
        let inherit = items.iter().map(inherits).collect::<Result<Vec<_>, _>>()?;
        let inherited = if inherit.contains(&true) {
            Some(self.inherited(caller).await?)
        } else {
            None
        };
        let view = |(environment, inherits)| EnvironmentView {
            environment,
            inherited: inherited.clone().filter(|_| inherits),
        };
        Ok(Page {
            items: items.into_iter().zip(inherit).map(view).collect(),
            next,
        })
    }

    /// Changes an environment. A change that changes nothing makes no revision.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Stale`], [`ControlError::Invalid`],
    /// [`ControlError::NameTaken`], and what every use case may answer.
    pub async fn update_environment(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        request: EnvironmentChange,
    ) -> Result<EnvironmentView, ControlError> {
        caller.require(Permission::EnvironmentAdmin)?;
        let mut change = self.change(caller, clock::now()).await?;
        let before = change
            .environment(id)
            .await?
            .ok_or(ControlError::NotFound(KIND))?;
        let values = changed(&before, request, &self.host_paths)?;
        if values == before.values {
            return self.view(caller, before).await;
        }
        let after = change
            .update_environment(&before, values)
            .await
            .map_err(ControlError::of(KIND))?;
        commit(
            change,
            caller,
            "environment.update",
            id,
            Some(&before),
            Some(&after),
        )
        .await?;
        self.gateways_changed();
        self.view(caller, after).await
    }

    /// Archives an environment; one that is archived stays as it is.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::IsDefault`], and what every use case may answer.
    pub async fn archive_environment(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
    ) -> Result<EnvironmentView, ControlError> {
        caller.require(Permission::EnvironmentAdmin)?;
        let mut change = self.change(caller, clock::now()).await?;
        let before = change
            .environment(id)
            .await?
            .ok_or(ControlError::NotFound(KIND))?;
        if before.archived_at.is_some() {
            return self.view(caller, before).await;
        }
        if before.is_default {
            return Err(ControlError::IsDefault);
        }
        let after = change
            .archive_environment(&before)
            .await
            .map_err(ControlError::of(KIND))?;
        commit(
            change,
            caller,
            "environment.archive",
            id,
            Some(&before),
            Some(&after),
        )
        .await?;
        self.gateways_changed();
        self.view(caller, after).await
    }

    /// Deletes an environment that nothing refers to.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::IsDefault`], [`ControlError::InUse`], and what every use case may answer.
    pub async fn delete_environment(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::EnvironmentAdmin)?;
        let mut change = self.change(caller, clock::now()).await?;
        let before = change
            .environment(id)
            .await?
            .ok_or(ControlError::NotFound(KIND))?;
        if before.is_default {
            return Err(ControlError::IsDefault);
        }
        refuse_if_referred(&mut change, id).await?;
        change
            .delete_environment(&before)
            .await
            .map_err(ControlError::of(KIND))?;
        commit(
            change,
            caller,
            "environment.delete",
            id,
            Some(&before),
            None,
        )
        .await?;
        Ok(())
    }

    /// The policy that holds in an environment, and where it comes from.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn effective_policy(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
    ) -> Result<EffectivePolicy, ControlError> {
        caller.require(Permission::EnvironmentRead)?;
        let scope = self.store.scope(&caller.organization);
        let environment = scope
            .environment(id)
            .await?
            .ok_or(ControlError::NotFound(KIND))?;
        let Policies { default, floor } = self.policies(caller).await?;
        let own = own_policy(&environment)?;
        Ok(EffectivePolicy {
            policy: bailiwick_policy::effective(own, default),
            floor,
        })
    }

    /// The policy of an environment, for what is to be in it.
    pub(crate) async fn policy_in_force(
        &self,
        caller: &Caller,
        environment: &Environment,
    ) -> Result<bailiwick_policy::EffectivePolicy, ControlError> {
        let Policies { default, floor: _ } = self.policies(caller).await?;
        Ok(bailiwick_policy::effective(
            own_policy(environment)?,
            default,
        ))
    }

    /// Whether an environment can reach a destination, and why. Nothing is resolved and nothing is contacted.
    ///
    /// # Errors
    ///
    /// As [`Self::effective_policy`].
    pub async fn explain(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        destination: &Destination,
    ) -> Result<Decision, ControlError> {
        let EffectivePolicy { policy, floor } = self.effective_policy(caller, id).await?;
        let policy = Policy::compile(policy, &floor, &SessionGrants::none());
        Ok(policy.explain(destination, &HostFacts::unknown()))
    }

    async fn view(
        &self,
        caller: &Caller,
        environment: Environment,
    ) -> Result<EnvironmentView, ControlError> {
        let inherited = if inherits(&environment)? {
            Some(self.inherited(caller).await?)
        } else {
            None
        };
        Ok(EnvironmentView {
            environment,
            inherited,
        })
    }

    async fn inherited(&self, caller: &Caller) -> Result<String, ControlError> {
        let organization = self.found_organization(caller).await?;
        Ok(inherited(organization.default_networking))
    }

    pub(crate) async fn policies(&self, caller: &Caller) -> Result<Policies, ControlError> {
        policies(&self.found_organization(caller).await?)
    }

    async fn found_organization(&self, caller: &Caller) -> Result<Organization, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let found = scope.organization().await?;
        found.ok_or(ControlError::NotFound("organization"))
    }
}

/// What environments without a policy of their own have: what is stored is as the wire writes it.
fn inherited(default: Option<String>) -> String {
    static BUILT_IN: LazyLock<String> = LazyLock::new(|| {
        let policy = bailiwick_policy::effective(None, None).policy;
        networking_json(&policy).to_string()
    });
    default.unwrap_or_else(|| BUILT_IN.clone())
}

/// Whether an organization's own workers do what is done in it.
pub(crate) fn is_self_hosted(environment: &Environment) -> Result<bool, ControlError> {
    Ok(parts(environment)?.kind == "self_hosted")
}

fn parts(environment: &Environment) -> Result<ConfigParts<'_>, ControlError> {
    ConfigParts::of(&environment.values.config).map_err(|_| corrupt("config"))
}

/// Whether it has no policy of its own.
fn inherits(environment: &Environment) -> Result<bool, ControlError> {
    Ok(parts(environment)?.inherits_policy())
}

/// What an environment becomes by a change.
pub(crate) fn changed(
    before: &Environment,
    request: EnvironmentChange,
    host_paths: &HostPaths,
) -> Result<EnvironmentValues, ControlError> {
    if before.archived_at.is_some() {
        return Err(ControlError::Archived(KIND));
    }
    if request
        .version
        .is_some_and(|version| version != before.version)
    {
        return Err(ControlError::Stale(KIND));
    }
    let mut stored = stored(before)?;
    if request.inherit_policy {
        stored.config.remove("networking");
    }
    let was = EnvironmentBody::update(stored.clone(), &Map::new())?;
    let body = EnvironmentBody::update(stored, &request.body)?;
    let problems = host_paths.problems(&body, Some(&was));
    if !problems.is_empty() {
        return Err(ControlError::Invalid(problems));
    }
    let restricted = request.restricted.unwrap_or(before.values.restricted);
    let namespace = match request.namespace {
        Some(name) => namespace(name)?,
        None => before.values.namespace.clone(),
    };
    Ok(values(&body, restricted, namespace))
}

/// Whether a policy holds in it at all: in a self-hosted one its workers decide.
pub(crate) fn is_governed(environment: &Environment) -> Result<bool, ControlError> {
    let parts = parts(environment)?;
    Ok(parts.networking.is_some() || parts.inherits_policy())
}

pub(crate) fn own_policy(
    environment: &Environment,
) -> Result<Option<(EnvironmentName, EgressPolicy)>, ControlError> {
    let Some(networking) = parts(environment)?.networking else {
        return Ok(None);
    };
    let networking: Value =
        serde_json::from_str(networking.get()).map_err(|_| corrupt("config"))?;
    let name = environment
        .values
        .name
        .parse()
        .map_err(|_| corrupt("name"))?;
    Ok(Some((name, policy_from_json(&networking)?)))
}

pub(crate) fn corrupt(column: &'static str) -> ControlError {
    ControlError::Store(StoreError::Corrupt { column })
}

fn values(
    body: &EnvironmentBody,
    restricted: bool,
    namespace: Option<String>,
) -> EnvironmentValues {
    EnvironmentValues {
        name: body.name.to_string(),
        description: body.description.clone(),
        restricted,
        namespace,
        config: body.config_json().to_string(),
        metadata: json!(body.metadata).to_string(),
    }
}

fn stored(environment: &Environment) -> Result<StoredEnvironment, ControlError> {
    let map = |text: &str, column| serde_json::from_str(text).map_err(|_| corrupt(column));
    Ok(StoredEnvironment {
        name: environment.values.name.clone(),
        description: environment.values.description.clone(),
        config: map(&environment.values.config, "config")?,
        metadata: map(&environment.values.metadata, "metadata")?,
    })
}

fn namespace(name: Option<String>) -> Result<Option<String>, ControlError> {
    match name.as_deref().and_then(invalid_namespace) {
        Some(problem) => Err(ControlError::Invalid(vec![problem])),
        None => Ok(name),
    }
}

async fn commit(
    change: Change,
    caller: &Caller,
    action: &str,
    id: &EnvironmentId,
    before: Option<&Environment>,
    after: Option<&Environment>,
) -> Result<(), ControlError> {
    let (before, after) = (before.map(evidence), after.map(evidence));
    let event = caller.event(action, (KIND, id.as_str()), before.as_ref(), after.as_ref());
    change.commit(&event).await.map_err(ControlError::of(KIND))
}

/// What the audit log keeps of an environment.
fn evidence(environment: &Environment) -> Value {
    let part = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let values = &environment.values;
    json!({
        "name": values.name,
        "description": values.description,
        "restricted": values.restricted,
        "namespace": values.namespace,
        "config": part(&values.config),
        "metadata": part(&values.metadata),
        "version": environment.version,
        "archived": environment.archived_at.is_some(),
    })
}
