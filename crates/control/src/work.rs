//! Work queues of self-hosted environments: what workers that poll are given, and for how long it is theirs.
//!
//! Handing out, acknowledging, asking to stop and marking have entries in the audit log; heartbeats and polls that find nothing have none.

use std::collections::BTreeMap;
use std::time::Duration;

use bailiwick_model::limits::{
    WORK_LEASE_MOST_SECONDS, WORK_LEASE_SECONDS, WORK_POLLING, WORK_POLLING_LOOK,
};
use bailiwick_model::{ApiKeyId, EnvironmentId, Permission, ResourceId as _, WorkId, WorkState};
use bailiwick_store::{Beat, Change, Expected, Page, PageRequest, StoreError, Work, WorkStats};
use bailiwick_wire::work_metadata;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::caller::{Actor, Caller};
use crate::control::Control;
use crate::error::ControlError;
use crate::{clock, fresh};

const KIND: &str = "work item";
/// What a first heartbeat expects (the wire API).
const NO_HEARTBEAT: &str = "NO_HEARTBEAT";
/// What the tokens of items begin with.
pub(crate) const TOKEN_PREFIX: &str = "bws_";

/// A worker that asks for work.
#[derive(Debug, Clone, Copy)]
pub struct PollRequest<'a> {
    /// How long to wait for some.
    pub block: Duration,
    /// After this long without an acknowledgement an item is given to somebody else.
    pub reclaim: Duration,
    /// What the worker calls itself.
    pub worker: Option<&'a str>,
}

/// An item that was handed out: the only time that its secret is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedWork {
    /// The item.
    pub work: Work,
    /// Base 64 (RFC 4648, section 5) of a JSON object whose `sessions_token` the worker authenticates with while it serves the item.
    pub secret: String,
}

/// A heartbeat of a worker.
#[derive(Debug, Clone, Copy)]
pub struct HeartbeatRequest<'a> {
    /// How long the item is to be kept, in seconds.
    pub lease_seconds: Option<i64>,
    /// The last heartbeat, as it was told, or the wire's word for none.
    pub expected: Option<&'a str>,
}

/// What became of a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The item, as it is now.
    pub work: Work,
    /// Whether the worker has it for longer now.
    pub is_extended: bool,
}

impl Control {
    /// The items of a queue, the newest first.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`] for the environment, and what every use case may answer.
    pub async fn works(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
        page: &PageRequest<WorkId>,
    ) -> Result<Page<Work, WorkId>, ControlError> {
        self.queue(caller, Permission::WorkRead, environment)
            .await?;
        let scope = self.store.scope(&caller.organization);
        Ok(scope.works(environment, page).await?)
    }

    /// A queue in numbers.
    ///
    /// # Errors
    ///
    /// As [`Self::works`].
    pub async fn work_stats(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
    ) -> Result<WorkStats, ControlError> {
        self.queue(caller, Permission::WorkRead, environment)
            .await?;
        let now = clock::now();
        let scope = self.store.scope(&caller.organization);
        let polled_from = earlier(now, WORK_POLLING);
        Ok(scope.work_stats(environment, now, polled_from).await?)
    }

    /// One item of a queue.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn work(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
        id: &WorkId,
    ) -> Result<Work, ControlError> {
        self.queue(caller, Permission::WorkRead, environment)
            .await?;
        let scope = self.store.scope(&caller.organization);
        let found = scope.work(environment, id).await?;
        found.ok_or(ControlError::NotFound(KIND))
    }

    /// Gives a worker the oldest item that is nobody's, if there is one, or comes in time. Of several workers that ask at once each item
    /// goes to one.
    ///
    /// # Errors
    ///
    /// As [`Self::works`].
    pub async fn poll_work(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
        request: PollRequest<'_>,
    ) -> Result<Option<HandedWork>, ControlError> {
        self.queue(caller, Permission::WorkWrite, environment)
            .await?;
        // Else what is handed out would hang on nothing.
        let key = caller.key.as_ref().ok_or(ControlError::NeedsKey)?;
        self.may_serve(caller, environment).await?;
        if let Some(worker) = request.worker {
            self.remember_poller(caller, environment, worker).await?;
        }
        let deadline = Instant::now() + request.block;
        loop {
            // What arrives after the look is heard of.
            let arrival = self.work_arrived.notified();
            tokio::pin!(arrival);
            arrival.as_mut().enable();
            let found = self
                .hand_out((caller, key), environment, request.reclaim)
                .await?;
            if found.is_some() || Instant::now() >= deadline {
                return Ok(found);
            }
            // Of what another server puts there the last look knows.
            let _ = tokio::time::timeout_at(deadline, arrival).await;
        }
    }

    async fn hand_out(
        &self,
        (caller, key): (&Caller, &ApiKeyId),
        environment: &EnvironmentId,
        reclaim: Duration,
    ) -> Result<Option<HandedWork>, ControlError> {
        let now = clock::now();
        let organization = &caller.organization;
        self.store
            .end_lapsed_work(organization, environment, now)
            .await?;
        let handed_before = earlier(now, reclaim);
        let scope = self.store.scope(organization);
        let candidates = scope
            .work_to_hand_out(environment, now, handed_before)
            .await?;
        for id in candidates {
            // Whoever waited may not be who they were.
            let mut change = self.change(caller, now).await?;
            let handed = change
                .hand_out_work(environment, &id, handed_before)
                .await?;
            // Somebody else was faster.
            let Some(work) = handed else { continue };
            let token = fresh::secret(TOKEN_PREFIX);
            change.insert_work_token(&work.id, key, token.hash).await?;
            commit(change, caller, "work.hand_out", None, &work).await?;
            let secret = json!({"sessions_token": token.text}).to_string();
            return Ok(Some(HandedWork {
                secret: URL_SAFE_NO_PAD.encode(secret),
                work,
            }));
        }
        Ok(None)
    }

    async fn remember_poller(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
        worker: &str,
    ) -> Result<(), ControlError> {
        let now = clock::now();
        let scope = self.store.scope(&caller.organization);
        let polled = scope.polled_at(environment, worker).await?;
        if polled.is_some_and(|at| at > earlier(now, WORK_POLLING_LOOK)) {
            return Ok(());
        }
        let forget_before = earlier(now, WORK_POLLING);
        let organization = &caller.organization;
        Ok(self
            .store
            .put_poller(organization, environment, worker, now, forget_before)
            .await?)
    }

    /// Acknowledges an item that was handed out: from here on it is leased. Once is enough; more often changes nothing.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::WorkStopped`], and what every use case may answer.
    pub async fn acknowledge_work(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
        id: &WorkId,
    ) -> Result<Work, ControlError> {
        self.queue(caller, Permission::WorkWrite, environment)
            .await?;
        let (change, before) = self.locked_work(caller, environment, id).await?;
        match before.state {
            WorkState::Starting | WorkState::Active | WorkState::Stopping => return Ok(before),
            WorkState::Stopped => return Err(ControlError::WorkStopped),
            WorkState::Queued => {}
        }
        let at = change.at();
        let after = Work {
            state: WorkState::Starting,
            handed_at: None,
            acknowledged_at: Some(at),
            lease_seconds: WORK_LEASE_SECONDS,
            lease_ends_at: Some(later(at, WORK_LEASE_SECONDS)),
            ..before.clone()
        };
        put(change, caller, "work.acknowledge", &before, after).await
    }

    /// Keeps an item for a worker, if it is still theirs.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::LeaseLost`] if the heartbeat does not expect what is there, or comes after the lease has
    /// ended, and what every use case may answer.
    pub async fn heartbeat(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
        id: &WorkId,
        request: HeartbeatRequest<'_>,
    ) -> Result<Lease, ControlError> {
        self.item(caller, environment, id).await?;
        let (at, organization) = (clock::now(), &caller.organization);
        let seconds = request.lease_seconds.unwrap_or(WORK_LEASE_SECONDS);
        let seconds = seconds.clamp(1, WORK_LEASE_MOST_SECONDS);
        let beat = Beat {
            expected: expected(request.expected),
            lease_seconds: seconds,
            at,
            lease_ends_at: later(at, seconds),
        };
        if let Some(work) = self.store.beat(organization, environment, id, beat).await? {
            return Ok(Lease {
                work,
                is_extended: true,
            });
        }
        let scope = self.store.scope(organization);
        let work = scope.work(environment, id).await?;
        let work = work.ok_or(ControlError::NotFound(KIND))?;
        match work.state {
            WorkState::Stopping | WorkState::Stopped => Ok(Lease {
                work,
                is_extended: false,
            }),
            WorkState::Queued | WorkState::Starting | WorkState::Active => {
                Err(ControlError::LeaseLost(Box::new(work)))
            }
        }
    }

    /// Ends an item: with `force` at once, else once its worker was told. One that has ended stays as it is.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn stop_work(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
        id: &WorkId,
        force: bool,
    ) -> Result<Work, ControlError> {
        self.item(caller, environment, id).await?;
        let (change, before) = self.locked_work(caller, environment, id).await?;
        let after = stopped(&before, force, change.at());
        if after == before {
            return Ok(before);
        }
        put(change, caller, "work.stop", &before, after).await
    }

    /// Changes the pairs of an item. Workers do not.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Invalid`], and what every use case may answer.
    pub async fn update_work(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
        id: &WorkId,
        body: &Map<String, Value>,
    ) -> Result<Work, ControlError> {
        caller.require(Permission::WorkWrite)?;
        let (change, before) = self.locked_work(caller, environment, id).await?;
        let stored: BTreeMap<String, String> = serde_json::from_str(&before.metadata)
            .map_err(|_| StoreError::Corrupt { column: "metadata" })?;
        let metadata = work_metadata(&stored, body)?;
        if metadata == stored {
            return Ok(before);
        }
        let after = Work {
            metadata: json!(metadata).to_string(),
            ..before.clone()
        };
        put(change, caller, "work.update", &before, after).await
    }

    /// Whoever answers for a restricted environment's sandboxes may do as much as who places something there; its key was made by one.
    async fn may_serve(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
    ) -> Result<(), ControlError> {
        if let Actor::Worker(_) = &caller.actor {
            return Ok(());
        }
        let scope = self.store.scope(&caller.organization);
        let found = scope.environment(environment).await?;
        let found = found.ok_or(ControlError::NotFound("environment"))?;
        self.may_deploy(caller, &found).await
    }

    /// Goes on with the permission if there is such an environment, or as its worker. The key of another environment is nobody's here.
    async fn queue(
        &self,
        caller: &Caller,
        permission: Permission,
        environment: &EnvironmentId,
    ) -> Result<(), ControlError> {
        match &caller.actor {
            Actor::Worker(own) if own == environment => Ok(()),
            Actor::Worker(_) => Err(ControlError::Unauthenticated),
            Actor::User(_)
            | Actor::ServiceAccount(_)
            | Actor::WorkItem(_)
            | Actor::VirtualKey(_)
            | Actor::GatewayKey(_)
            | Actor::System => {
                caller.require(permission)?;
                let scope = self.store.scope(&caller.organization);
                let found = scope.environment(environment).await?;
                found.map(drop).ok_or(ControlError::NotFound("environment"))
            }
        }
    }

    /// As [`Self::queue`], or as whoever the item was handed to.
    async fn item(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
        id: &WorkId,
    ) -> Result<(), ControlError> {
        match &caller.actor {
            Actor::WorkItem(own) if own.environment == *environment && own.work == *id => Ok(()),
            Actor::WorkItem(_) => Err(ControlError::Unauthenticated),
            Actor::User(_)
            | Actor::ServiceAccount(_)
            | Actor::Worker(_)
            | Actor::VirtualKey(_)
            | Actor::GatewayKey(_)
            | Actor::System => self.queue(caller, Permission::WorkWrite, environment).await,
        }
    }

    async fn locked_work(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
        id: &WorkId,
    ) -> Result<(Change, Work), ControlError> {
        let mut change = self.change(caller, clock::now()).await?;
        let work = change.lock_work(environment, id).await?;
        Ok((change, work.ok_or(ControlError::NotFound(KIND))?))
    }
}

/// What an item becomes that is to stop. Whom nobody has, or nobody has heard of for too long, need not be told.
pub(crate) fn stopped(work: &Work, force: bool, at: Timestamp) -> Work {
    let is_told = !force && !work.has_lapsed(at);
    let state = match work.state {
        WorkState::Starting | WorkState::Active | WorkState::Stopping if is_told => {
            WorkState::Stopping
        }
        WorkState::Queued | WorkState::Starting | WorkState::Active | WorkState::Stopping => {
            WorkState::Stopped
        }
        WorkState::Stopped => return work.clone(),
    };
    Work {
        state,
        stop_requested_at: work.stop_requested_at.or(Some(at)),
        stopped_at: (state == WorkState::Stopped).then_some(at),
        ..work.clone()
    }
}

/// Byte for byte what was told; anything else is what no heartbeat is.
fn expected(text: Option<&str>) -> Expected {
    match text {
        None => Expected::Anything,
        Some(NO_HEARTBEAT) => Expected::NoHeartbeat,
        Some(text) => {
            let told = text.parse::<Timestamp>().ok();
            let told = told.filter(|told| told.to_string() == text);
            Expected::Heartbeat(told.unwrap_or(Timestamp::MIN))
        }
    }
}

fn earlier(now: Timestamp, time: Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::ZERO);
    now.checked_sub(time).unwrap_or(Timestamp::MIN)
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    let time = SignedDuration::from_secs(seconds);
    at.checked_add(time).unwrap_or(Timestamp::MAX)
}

async fn put(
    mut change: Change,
    caller: &Caller,
    action: &str,
    before: &Work,
    after: Work,
) -> Result<Work, ControlError> {
    change
        .put_work(&after)
        .await
        .map_err(ControlError::of(KIND))?;
    commit(change, caller, action, Some(before), &after).await?;
    Ok(after)
}

async fn commit(
    change: Change,
    caller: &Caller,
    action: &str,
    before: Option<&Work>,
    after: &Work,
) -> Result<(), ControlError> {
    let (was, becomes) = (before.map(evidence), evidence(after));
    let resource = ("work", after.id.as_str());
    let event = caller.event(action, resource, was.as_ref(), Some(&becomes));
    change.commit(&event).await.map_err(ControlError::of(KIND))
}

/// What the audit log keeps of an item.
fn evidence(work: &Work) -> Value {
    json!({
        "environment_id": work.environment,
        "session_id": work.session,
        "state": work.state,
        "metadata": serde_json::from_str::<Value>(&work.metadata).unwrap_or_default(),
    })
}
