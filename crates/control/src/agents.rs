//! Agents: what they are, and where they were placed.

use bailiwick_model::{AgentId, EnvironmentId, Permission, ResourceId as _};
use bailiwick_store::{
    Agent, AgentFilter, AgentValues, Change, Delegates, NewAgent, Page, PageRequest, StoreError,
};
use bailiwick_wire::{
    AgentBody, AgentParts, AgentReference, Delegate, FieldProblem, Own, StoredAgent,
    expected_version,
};
use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::conflicts::{OnConflict, detach, stay_in_one_environment};
use crate::control::Control;
use crate::error::ControlError;
use crate::{clock, fresh};

const KIND: &str = "agent";

/// A request to place an agent: what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Placement {
    /// Where; `Some(None)` leaves it to its sessions.
    pub environment: Option<Option<EnvironmentId>>,
    /// Only if the agent is at this revision.
    pub revision: Option<i64>,
    /// What becomes of what would stop matching.
    pub on_conflict: OnConflict,
}

impl Control {
    /// Makes an agent, which is placed by its sessions.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], and what every use case may answer.
    pub async fn create_agent(
        &self,
        caller: &Caller,
        body: &Map<String, Value>,
    ) -> Result<Agent, ControlError> {
        caller.require(Permission::AgentWrite)?;
        let mut body = AgentBody::create(body)?;
        let at = clock::now();
        let id: AgentId = fresh::id(at);
        let mut change = self.change(caller, at).await?;
        pin_delegates(&mut change, &mut body).await?;
        let own = Own {
            id: &id,
            version: 1,
        };
        let new = NewAgent {
            id: id.clone(),
            values: values(&body, own),
            delegates: delegates(&mut body, &id),
        };
        let made = change
            .insert_agent(new)
            .await
            .map_err(ControlError::of(KIND))?;
        commit(change, caller, "agent.create", None, &made).await?;
        Ok(made)
    }

    /// One agent, archived or not, at a version or at its newest.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn agent(
        &self,
        caller: &Caller,
        id: &AgentId,
        version: Option<i64>,
    ) -> Result<Agent, ControlError> {
        caller.require(Permission::AgentRead)?;
        let scope = self.store.scope(&caller.organization);
        let found = match version {
            Some(version) => scope.agent_version(id, version).await?,
            None => scope.agent(id).await?,
        };
        found.ok_or(ControlError::NotFound(KIND))
    }

    /// Agents at their newest versions, the newest agent first.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn agents(
        &self,
        caller: &Caller,
        page: &PageRequest<AgentId>,
        filter: &AgentFilter,
    ) -> Result<Page<Agent, AgentId>, ControlError> {
        caller.require(Permission::AgentRead)?;
        let scope = self.store.scope(&caller.organization);
        Ok(scope.agents(page, filter).await?)
    }

    /// The versions of an agent, the newest first.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn agent_versions(
        &self,
        caller: &Caller,
        id: &AgentId,
        page: &PageRequest<i64>,
    ) -> Result<Page<Agent, i64>, ControlError> {
        self.agent(caller, id, None).await?;
        let scope = self.store.scope(&caller.organization);
        Ok(scope.agent_versions(id, page).await?)
    }

    /// Changes an agent, which makes a version; a change that changes nothing makes none.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Stale`], [`ControlError::Invalid`],
    /// [`ControlError::AcrossEnvironments`], and what every use case may answer.
    pub async fn update_agent(
        &self,
        caller: &Caller,
        id: &AgentId,
        body: &Map<String, Value>,
    ) -> Result<Agent, ControlError> {
        caller.require(Permission::AgentWrite)?;
        let mut change = self.change(caller, clock::now()).await?;
        let before = change
            .agent(id)
            .await?
            .ok_or(ControlError::NotFound(KIND))?;
        if before.archived_at.is_some() {
            return Err(ControlError::Archived(KIND));
        }
        if expected_version(body)?.is_some_and(|version| version != before.version) {
            return Err(ControlError::Stale(KIND));
        }
        let own = |version| Own { id, version };
        let names_delegates = body.contains_key("multiagent");
        let mut body = AgentBody::update(stored(&before)?, body, own(before.version))?;
        if names_delegates {
            pin_delegates(&mut change, &mut body).await?;
        }
        // What it would be at the version that it has: the same, if nothing changes.
        if values(&body, own(before.version)) == before.values {
            return Ok(before);
        }
        let values = values(&body, own(before.version + 1));
        let after = change
            .update_agent(&before, values, &delegates(&mut body, id))
            .await
            .map_err(ControlError::of(KIND))?;
        if names_delegates {
            stay_in_one_environment(&mut change, &after).await?;
        }
        commit(change, caller, "agent.update", Some(&before), &after).await?;
        Ok(after)
    }

    /// Archives an agent, for good; its sessions go on. One that is archived stays as it is.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn archive_agent(
        &self,
        caller: &Caller,
        id: &AgentId,
    ) -> Result<Agent, ControlError> {
        caller.require(Permission::AgentWrite)?;
        let mut change = self.change(caller, clock::now()).await?;
        let before = change
            .agent(id)
            .await?
            .ok_or(ControlError::NotFound(KIND))?;
        if before.archived_at.is_some() {
            return Ok(before);
        }
        let after = change
            .archive_agent(&before)
            .await
            .map_err(ControlError::of(KIND))?;
        commit(change, caller, "agent.archive", Some(&before), &after).await?;
        Ok(after)
    }

    /// Places an agent in an environment, or leaves its place to its sessions. What would stop matching there stands in the way, unless it is
    /// to be detached: then the agents that work together across the border get versions without each other. Whether somebody may deploy to a
    /// restricted environment is asked only when the agent comes to it. An archived agent can only be taken away, so that its environment can
    /// be deleted.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`] for the agent or the environment, [`ControlError::Archived`] for either, [`ControlError::Stale`],
    /// [`ControlError::AcrossEnvironments`], and what every use case may answer.
    pub async fn place_agent(
        &self,
        caller: &Caller,
        id: &AgentId,
        request: Placement,
    ) -> Result<Agent, ControlError> {
        caller.require(Permission::AgentWrite)?;
        let mut change = self.change(caller, clock::now()).await?;
        let before = change
            .agent(id)
            .await?
            .ok_or(ControlError::NotFound(KIND))?;
        if request
            .revision
            .is_some_and(|revision| revision != before.revision)
        {
            return Err(ControlError::Stale(KIND));
        }
        let environment = match request.environment {
            Some(environment) if environment != before.environment => environment,
            Some(_) | None => return Ok(before),
        };
        if let Some(environment) = &environment {
            if before.archived_at.is_some() {
                return Err(ControlError::Archived(KIND));
            }
            let found = change.environment(environment).await?;
            let found = found.ok_or(ControlError::NotFound("environment"))?;
            if found.archived_at.is_some() {
                return Err(ControlError::Archived("environment"));
            }
            self.may_deploy(caller, &found).await?;
        }
        let agent = match (&environment, request.on_conflict) {
            (Some(environment), OnConflict::Detach) => {
                detach(&mut change, caller, before.clone(), environment).await?
            }
            (Some(_) | None, OnConflict::Refuse) | (None, OnConflict::Detach) => before.clone(),
        };
        let after = change
            .place_agent(&agent, environment.as_ref())
            .await
            .map_err(|error| {
                if matches!(error, StoreError::Referred) {
                    ControlError::NotFound("environment")
                } else {
                    ControlError::of(KIND)(error)
                }
            })?;
        stay_in_one_environment(&mut change, &after).await?;
        commit(change, caller, "agent.place", Some(&before), &after).await?;
        Ok(after)
    }
}

/// A new version of an agent that delegates to none of these any more, entered in the audit log as a part of the change.
pub(crate) async fn without_delegate(
    change: &mut Change,
    caller: &Caller,
    before: Agent,
    gone: &Delegates,
) -> Result<Agent, ControlError> {
    let own = |version| Own {
        id: &before.id,
        version,
    };
    let mut body = AgentBody::update(stored(&before)?, &Map::new(), own(before.version))?;
    let multiagent = body.config.multiagent.take();
    body.config.multiagent = multiagent.and_then(|multiagent| multiagent.without(gone));
    let values = values(&body, own(before.version + 1));
    let after = change
        .update_agent(&before, values, &delegates(&mut body, &before.id))
        .await
        .map_err(ControlError::of(KIND))?;
    let (was, becomes) = (evidence(&before), evidence(&after));
    let event = caller.event(
        "agent.detach",
        (KIND, after.id.as_str()),
        Some(&was),
        Some(&becomes),
    );
    change.enter(&event).await?;
    Ok(after)
}

/// Gives everyone whom a body delegates to the version that is meant.
async fn pin_delegates(change: &mut Change, body: &mut AgentBody) -> Result<(), ControlError> {
    let Some(multiagent) = &mut body.config.multiagent else {
        return Ok(());
    };
    let mut problems = Vec::new();
    for (field, delegate) in multiagent.delegates_mut() {
        let Delegate::Agent(reference) = delegate else {
            continue;
        };
        match pinned(change, reference).await? {
            Ok(version) => reference.version = Some(version),
            Err((code, message, help)) => problems.push(FieldProblem {
                field,
                code,
                message: message.to_owned(),
                help: help.to_owned(),
            }),
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ControlError::Invalid(problems))
    }
}

/// The version that a reference means, or what is wrong with it: code, message and help.
type Pinned = Result<i64, (&'static str, &'static str, &'static str)>;

async fn pinned(change: &mut Change, reference: &AgentReference) -> Result<Pinned, ControlError> {
    let found = match reference.version {
        Some(version) => change.agent_version(&reference.id, version).await?,
        None => change.agent(&reference.id).await?,
    };
    let Some(agent) = found else {
        let help = "name one of the organization's agents, at a version that it has";
        return Ok(Err(("unknown_agent", "there is no such agent", help)));
    };
    if agent.archived_at.is_some() {
        let help = "name an agent that is not archived";
        return Ok(Err(("archived_agent", "the agent is archived", help)));
    }
    if parts(&agent)?.delegates() {
        let help = "name an agent, or a version of one, without `multiagent`";
        let message = "the agent delegates to others itself";
        return Ok(Err(("nested_delegation", message, help)));
    }
    Ok(Ok(agent.version))
}

/// The other agents that a body delegates to.
fn delegates(body: &mut AgentBody, own: &AgentId) -> Delegates {
    let Some(multiagent) = &mut body.config.multiagent else {
        return Delegates::new();
    };
    let other = |(_, delegate): (String, &mut Delegate)| match delegate {
        Delegate::Agent(reference) if reference.id != *own => Some(reference.id.clone()),
        Delegate::Agent(_) | Delegate::Own | Delegate::Advisor { .. } => None,
    };
    multiagent
        .delegates_mut()
        .into_iter()
        .filter_map(other)
        .collect()
}

fn corrupt(column: &'static str) -> ControlError {
    ControlError::Store(StoreError::Corrupt { column })
}

fn parts(agent: &Agent) -> Result<AgentParts<'_>, ControlError> {
    AgentParts::of(&agent.values.config).map_err(|_| corrupt("config"))
}

fn values(body: &AgentBody, own: Own<'_>) -> AgentValues {
    AgentValues {
        name: body.name.clone(),
        config: body.config.to_json(own).to_string(),
        metadata: json!(body.metadata).to_string(),
    }
}

fn stored(agent: &Agent) -> Result<StoredAgent, ControlError> {
    let map = |text: &str, column| serde_json::from_str(text).map_err(|_| corrupt(column));
    Ok(StoredAgent {
        name: agent.values.name.clone(),
        config: map(&agent.values.config, "config")?,
        metadata: map(&agent.values.metadata, "metadata")?,
    })
}

async fn commit(
    change: Change,
    caller: &Caller,
    action: &str,
    before: Option<&Agent>,
    after: &Agent,
) -> Result<(), ControlError> {
    let (was, becomes) = (before.map(evidence), evidence(after));
    let event = caller.event(
        action,
        (KIND, after.id.as_str()),
        was.as_ref(),
        Some(&becomes),
    );
    change.commit(&event).await.map_err(ControlError::of(KIND))
}

/// What the audit log keeps of an agent.
fn evidence(agent: &Agent) -> Value {
    let part = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    json!({
        "name": agent.values.name,
        "config": part(&agent.values.config),
        "metadata": part(&agent.values.metadata),
        "version": agent.version,
        "environment_id": agent.environment,
        "archived": agent.archived_at.is_some(),
    })
}
