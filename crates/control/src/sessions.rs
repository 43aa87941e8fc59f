//! Sessions: what is bound together when one is made, and what may change after that.

use bailiwick_model::{
    EnvironmentId, Permission, ResourceId as _, SessionEventType, SessionId, SessionInput,
    SessionStatus, VaultId, WorkState,
};
use bailiwick_store::{
    Change, Environment, NewSession, NewWork, Order, OrderedPage, OrderedPageRequest, Session,
    SessionEventFilter, SessionEventPage, SessionFilter, SessionPins, SessionResource,
    SessionValues, StoreError,
};
use bailiwick_wire::{FieldProblem, SessionAgent, SessionBody, SessionText, networking_json};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::control::Control;
use crate::environments::is_self_hosted;
use crate::error::ControlError;
use crate::names::problem;
use crate::session_input::{self, budget_is_reached};
use crate::session_resources::{self, Mounted};
use crate::session_writing::{Writing, Written};
use crate::{clock, fresh, work};

/// What the errors call it.
pub(crate) const KIND: &str = "session";
/// How often a session is made again because something that it refers to went away meanwhile; the next attempt says what.
const ATTEMPTS: usize = 3;

/// A session, and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// The session.
    pub session: Session,
    /// What it has, in the order in which it got it.
    pub resources: Vec<SessionResource>,
    /// Until when its times count: now, or, of one that has ended, when it was last changed.
    pub until: Timestamp,
}

/// What a session that is to be made binds together, read before anything is written.
struct Plan {
    environment: Environment,
    is_self_hosted: bool,
    pins: SessionPins,
    values: SessionValues,
    mounts: Vec<Mounted>,
}

impl SessionView {
    fn of(session: Session, resources: Vec<SessionResource>) -> Self {
        let until = if session.status == SessionStatus::Terminated {
            session.updated_at
        } else {
            clock::now()
        };
        Self {
            until,
            session,
            resources,
        }
    }

    /// How long it has been there.
    pub fn duration(&self) -> SignedDuration {
        self.until.duration_since(self.session.created_at)
    }
}

impl Control {
    /// Makes a session. It is idle, unless it begins with something to do.
    ///
    /// What it refers to must be seen by the caller, and a restricted environment must be theirs to deploy to. An agent that was placed, or
    /// that delegates to one that was, runs in that environment alone.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], [`ControlError::NotFound`] and [`ControlError::Archived`] for what it refers to,
    /// [`ControlError::AcrossEnvironments`], and what every use case may answer.
    pub async fn create_session(
        &self,
        caller: &Caller,
        body: &Map<String, Value>,
    ) -> Result<SessionView, ControlError> {
        caller.require(Permission::SessionWrite)?;
        caller.require(Permission::EnvironmentRead)?;
        caller.require(Permission::AgentRead)?;
        let body = SessionBody::create(body)?;
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            // Reads come first: a change holds a connection, and whoever waits for a second one may wait for ever.
            let plan = self.plan(caller, &body).await?;
            match self.make_session(caller, &body, plan).await {
                Err(ControlError::Referred(_) | ControlError::Stale(_)) if attempts > 0 => {}
                made => return made,
            }
        }
    }

    async fn plan(&self, caller: &Caller, body: &SessionBody) -> Result<Plan, ControlError> {
        let environment = self.environment_to_use(caller, &body.environment).await?;
        let is_self_hosted = is_self_hosted(&environment)?;
        if is_self_hosted && !body.resources.is_empty() {
            return Err(no_resources(&environment.id));
        }
        let agent = self
            .session_agent(caller, &body.agent, &environment.id)
            .await?;
        let vaults = self.vaults_to_use(caller, &body.vaults).await?;
        self.files_are_there(caller, &body.events).await?;
        let mut mounts = Vec::new();
        for mount in &body.resources {
            mounts.push(self.mounted(caller, mount).await?);
        }
        self.mounts_fit(&mounts)?;
        let policy = if is_self_hosted {
            None
        } else {
            let policy = self.policy_in_force(caller, &environment).await?;
            let networking = networking_json(&policy.policy);
            Some(json!({"source": policy.source, "networking": networking}).to_string())
        };
        Ok(Plan {
            is_self_hosted,
            pins: SessionPins {
                created_by: caller.user().cloned(),
                environment: environment.id.clone(),
                environment_revision: environment.version,
                policy,
                agent: agent.id,
                agent_version: agent.version,
                vaults,
            },
            values: values(&body.values, agent.shown.to_string()),
            mounts,
            environment,
        })
    }

    async fn make_session(
        &self,
        caller: &Caller,
        body: &SessionBody,
        plan: Plan,
    ) -> Result<SessionView, ControlError> {
        let at = clock::now();
        let mut change = self.change(caller, at).await?;
        let now = change.environment(&plan.environment.id).await?;
        if now.is_none_or(|now| now.version != plan.environment.version) {
            return Err(ControlError::Stale("environment"));
        }
        let new = NewSession {
            id: fresh::id(at),
            pins: plan.pins,
            values: plan.values,
        };
        let session = change
            .insert_session(new)
            .await
            .map_err(ControlError::of(KIND))?;
        let mut resources = Vec::new();
        for (position, mounted) in (0..).zip(&plan.mounts) {
            let made = self.mount(&mut change, &session.id, position, mounted);
            resources.push(made.await?);
        }
        if plan.is_self_hosted {
            let new = NewWork {
                id: fresh::id(at),
                environment: plan.environment.id,
                session: session.id.clone(),
            };
            change
                .insert_work(new)
                .await
                .map_err(ControlError::of("work"))?;
        }
        let mut writing = Writing::begin(change.locked(session)).await?;
        session_input::receive(&mut writing, body.events.clone()).await?;
        let written = writing.end().await?;
        let session = written.session.clone();
        let mut becomes = evidence(&session);
        becomes["resources"] = resources.iter().map(session_resources::evidence).collect();
        becomes["overrides_agent"] = json!(!body.agent.overrides.is_empty());
        commit(
            change,
            caller,
            "session.create",
            &session.id,
            None,
            Some(&becomes),
        )
        .await?;
        if plan.is_self_hosted {
            self.work_arrived.notify_waiters();
        }
        self.published(&written);
        Ok(SessionView::of(session, resources))
    }

    async fn environment_to_use(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Environment, ControlError> {
        const MISSING: ControlError = ControlError::NotFound("environment");
        let id: EnvironmentId = id.parse().map_err(|_| MISSING)?;
        let scope = self.store.scope(&caller.organization);
        let environment = scope.environment(&id).await?.ok_or(MISSING)?;
        if environment.archived_at.is_some() {
            return Err(ControlError::Archived("environment"));
        }
        self.may_deploy(caller, &environment).await?;
        Ok(environment)
    }

    async fn vaults_to_use(
        &self,
        caller: &Caller,
        ids: &[String],
    ) -> Result<Vec<VaultId>, ControlError> {
        let mut vaults = Vec::new();
        for id in ids {
            let id: VaultId = id.parse().map_err(|_| ControlError::NotFound("vault"))?;
            if self.vault(caller, &id).await?.archived_at.is_some() {
                return Err(ControlError::Archived("vault"));
            }
            vaults.push(id);
        }
        Ok(vaults)
    }

    /// One session, archived or not. Workers see those of their environment, and of their item.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn session(
        &self,
        caller: &Caller,
        id: &SessionId,
    ) -> Result<SessionView, ControlError> {
        caller.require_or_worker(Permission::SessionRead)?;
        let session = self.seen_session(caller, id).await?;
        let scope = self.store.scope(&caller.organization);
        let resources = scope.session_resources(id).await?;
        Ok(SessionView::of(session, resources))
    }

    /// Sessions, in the order of when they were made.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn sessions(
        &self,
        caller: &Caller,
        page: &OrderedPageRequest<SessionId>,
        filter: &SessionFilter,
    ) -> Result<OrderedPage<SessionView, SessionId>, ControlError> {
        caller.require(Permission::SessionRead)?;
        let scope = self.store.scope(&caller.organization);
        let found = scope.sessions(page, filter).await?;
        let ids: Vec<_> = found.items.iter().map(|session| &session.id).collect();
        let resources = scope.resources_of_sessions(&ids).await?;
        let view = |session: Session| {
            let own = |resource: &&SessionResource| resource.session == session.id;
            let own = resources.iter().filter(own).cloned().collect();
            SessionView::of(session, own)
        };
        Ok(OrderedPage {
            items: found.items.into_iter().map(view).collect(),
            previous: found.previous,
            next: found.next,
        })
    }

    /// Changes a session. Its tools and MCP servers change only while it waits.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Invalid`], [`ControlError::AtWork`], and what every use
    /// case may answer.
    pub async fn update_session(
        &self,
        caller: &Caller,
        id: &SessionId,
        body: &Map<String, Value>,
    ) -> Result<SessionView, ControlError> {
        caller.require(Permission::SessionWrite)?;
        let (mut change, before) = self.locked_session(caller, id).await?;
        if before.archived_at.is_some() {
            return Err(ControlError::Archived(KIND));
        }
        let patch = text(&before)?.update(body)?;
        let agent = match patch.agent.filter(|overrides| !overrides.is_empty()) {
            Some(overrides) => {
                at_rest(&before)?;
                let shown = serde_json::from_str(&before.values.agent);
                let shown = shown.map_err(|_| corrupt("agent"))?;
                SessionAgent::changed(shown, &overrides)?.to_string()
            }
            None => before.values.agent.clone(),
        };
        let values = values(&patch.values, agent);
        let resources = change.session_resources(id).await?;
        if values == before.values {
            return Ok(SessionView::of(before, resources));
        }
        if values.budget != before.values.budget {
            raised(&patch.values, &before)?;
        }
        let after = change
            .update_session(&before, values)
            .await
            .map_err(ControlError::of(KIND))?;
        let could_afford_no_more = self.stopped_at_budget(caller, &before).await?;
        let written = tell_of_update(&mut change, &before, after, could_afford_no_more).await?;
        let after = written.session.clone();
        let (was, becomes) = (evidence(&before), evidence(&after));
        commit(
            change,
            caller,
            "session.update",
            id,
            Some(&was),
            Some(&becomes),
        )
        .await?;
        self.published(&written);
        Ok(SessionView::of(after, resources))
    }

    /// Whether a session rests since it had cost what it may. Its row is locked.
    async fn stopped_at_budget(
        &self,
        caller: &Caller,
        session: &Session,
    ) -> Result<bool, ControlError> {
        if session.status != SessionStatus::Idle || session.values.budget.is_none() {
            return Ok(false);
        }
        let filter = SessionEventFilter {
            kinds: vec![SessionEventType::SessionStatusIdle],
            ..SessionEventFilter::of_session()
        };
        let newest = SessionEventPage {
            order: Order::NewestFirst,
            after: None,
            limit: 1,
        };
        let scope = self.store.scope(&caller.organization);
        let rests = scope.session_events(&session.id, newest, &filter).await?;
        let told = rests
            .first()
            .map(|rest| serde_json::from_str::<Value>(&rest.body));
        let told = told.transpose().map_err(|_| corrupt("body"))?;
        Ok(told.is_some_and(|told| told["stop_reason"]["type"] == "budget_reached"))
    }

    /// Archives a session, for good: it has ended, and its work too. One that is archived stays as it is.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::AtWork`], and what every use case may answer.
    pub async fn archive_session(
        &self,
        caller: &Caller,
        id: &SessionId,
    ) -> Result<SessionView, ControlError> {
        caller.require(Permission::SessionWrite)?;
        let (mut change, before) = self.locked_session(caller, id).await?;
        let resources = change.session_resources(id).await?;
        if before.archived_at.is_some() {
            return Ok(SessionView::of(before, resources));
        }
        at_rest(&before)?;
        end_work(&mut change, id, false).await?;
        let mut writing = Writing::begin(change.locked(before.clone())).await?;
        if before.status != SessionStatus::Terminated {
            writing.apply(&SessionInput::End).await?;
        }
        let written = writing.end().await?;
        let after = change
            .archive_session(&written.session)
            .await
            .map_err(ControlError::of(KIND))?;
        let (was, becomes) = (evidence(&before), evidence(&after));
        commit(
            change,
            caller,
            "session.archive",
            id,
            Some(&was),
            Some(&becomes),
        )
        .await?;
        self.published(&written);
        Ok(SessionView::of(after, resources))
    }

    /// Deletes a session with what it has: its events, its resources and its files. Its work has ended.
    ///
    /// # Errors
    ///
    /// As [`Self::archive_session`].
    pub async fn delete_session(
        &self,
        caller: &Caller,
        id: &SessionId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::SessionWrite)?;
        let (mut change, before) = self.locked_session(caller, id).await?;
        at_rest(&before)?;
        end_work(&mut change, id, true).await?;
        change
            .delete_session(&before)
            .await
            .map_err(ControlError::of(KIND))?;
        let was = evidence(&before);
        commit(change, caller, "session.delete", id, Some(&was), None).await?;
        self.published_end(&before);
        Ok(())
    }
}

/// Nobody is at work in it.
fn at_rest(session: &Session) -> Result<(), ControlError> {
    match session.status {
        SessionStatus::Idle | SessionStatus::Terminated => Ok(()),
        SessionStatus::Running | SessionStatus::Rescheduling => Err(ControlError::AtWork),
    }
}

/// A budget is more than what was used already.
fn raised(values: &SessionText, session: &Session) -> Result<(), ControlError> {
    let Some(budget) = &values.budget else {
        return Ok(());
    };
    if budget.nanos() > session.usage.list_cost_nanos {
        return Ok(());
    }
    Err(problem(
        "budget",
        "budget_not_raised",
        "is not more than the session has cost already (budget_not_raised)",
        "name a higher amount, or take the budget away with null",
    ))
}

/// Stores what of a session was changed. If it could afford no more, and now can, it goes on with what it was at, or what was said to it.
async fn tell_of_update(
    change: &mut Change,
    before: &Session,
    after: Session,
    could_afford_no_more: bool,
) -> Result<Written, ControlError> {
    let (was, is) = (before.values.clone(), after.values.clone());
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let mut body = Map::new();
    if is.agent != was.agent {
        body.insert("agent".to_owned(), parsed(&is.agent));
    }
    if is.budget != was.budget {
        let budget = is.budget.as_deref().map(parsed);
        body.insert("budget".to_owned(), budget.unwrap_or_default());
    }
    if is.metadata != was.metadata {
        body.insert("metadata".to_owned(), parsed(&is.metadata));
    }
    if is.title != was.title {
        body.insert("title".to_owned(), json!(is.title));
    }
    let mut writing = Writing::begin(change.locked(after)).await?;
    let primary = writing.primary().clone();
    let kind = SessionEventType::SessionUpdated;
    let event = writing.event(&primary, kind, Value::Object(body).to_string());
    writing.store(event).await?;
    let waits = writing.state().thread(&primary);
    let waits = waits.is_some_and(|thread| {
        thread.status == SessionStatus::Idle
            && thread.awaits.is_empty()
            && (could_afford_no_more || thread.queued > 0)
    });
    if waits && !budget_is_reached(writing.session())? {
        writing.apply(&SessionInput::Resume(primary)).await?;
    }
    writing.end().await
}

/// The work of a session that ends has ended too, or is to end once its worker was told.
async fn end_work(change: &mut Change, id: &SessionId, force: bool) -> Result<(), ControlError> {
    let Some(before) = change.lock_work_of(id).await? else {
        return Ok(());
    };
    let after = work::stopped(&before, force, change.at());
    debug_assert!(!force || after.state == WorkState::Stopped);
    change
        .put_work(&after)
        .await
        .map_err(ControlError::of("work"))
}

/// The wire's words, since clients look for them.
pub(crate) fn no_resources(environment: &EnvironmentId) -> ControlError {
    ControlError::Invalid(vec![FieldProblem {
        field: "resources".to_owned(),
        code: "resources_unsupported",
        message: format!(
            "Environment {environment} is a self-hosted environment. `resources` are not supported with self-hosted environments."
        ),
        help: "leave them out: workers bring what sessions need".to_owned(),
    }])
}

fn values(text: &SessionText, agent: String) -> SessionValues {
    SessionValues {
        agent,
        title: text.title.clone(),
        metadata: json!(text.metadata).to_string(),
        budget: text.budget.as_ref().map(|budget| json!(budget).to_string()),
    }
}

fn text(session: &Session) -> Result<SessionText, ControlError> {
    let metadata = serde_json::from_str(&session.values.metadata);
    let budget = session.values.budget.as_deref().map(serde_json::from_str);
    Ok(SessionText {
        title: session.values.title.clone(),
        metadata: metadata.map_err(|_| corrupt("metadata"))?,
        budget: budget.transpose().map_err(|_| corrupt("budget"))?,
    })
}

pub(crate) fn corrupt(column: &'static str) -> ControlError {
    ControlError::Store(StoreError::Corrupt { column })
}

pub(crate) async fn commit(
    change: Change,
    caller: &Caller,
    action: &str,
    id: &SessionId,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Result<(), ControlError> {
    let event = caller.event(action, (KIND, id.as_str()), before, after);
    change.commit(&event).await.map_err(ControlError::of(KIND))
}

/// What the audit log keeps of a session.
fn evidence(session: &Session) -> Value {
    let part = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let agent = part(&session.values.agent);
    json!({
        "title": session.values.title,
        "metadata": part(&session.values.metadata),
        "budget": session.values.budget.as_deref().map(part),
        "environment_id": session.pins.environment,
        "environment_revision": session.pins.environment_revision,
        "agent_id": session.pins.agent,
        "agent_version": session.pins.agent_version,
        "agent": {"tools": agent["tools"], "mcp_servers": agent["mcp_servers"]},
        "vault_ids": session.pins.vaults,
        "status": session.status,
        "archived": session.archived_at.is_some(),
    })
}
