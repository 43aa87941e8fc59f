//! Tightening a session: what its environment allows by now, and less than that, is all that it reaches from then on.
//!
//! A session keeps the policy that it was made with. What it is tightened by stands beside that and is never taken away: a destination is
//! allowed if all of them allow it, so that no order of changes makes a session wider than it was.

use bailiwick_model::{EnvironmentId, Permission, PolicySource, SessionId, SessionStatus};
use bailiwick_policy::{Difference, EffectivePolicy, Uncompiled, diff};
use bailiwick_store::Session;
use bailiwick_wire::{networking_json, policy_from_json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::control::Control;
use crate::environments::is_governed;
use crate::error::ControlError;
use crate::sessions::{KIND, commit, corrupt};
use bailiwick_model::limits::SESSION_TIGHTENINGS;

/// A policy as a session has it: the one that it was made with, or one that it was tightened by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionPolicy {
    /// The revision of the environment at that time. A pin has none: it stands beside.
    #[serde(default)]
    pub environment_revision: Option<i64>,
    /// Where it came from.
    pub source: PolicySource,
    /// What it says, as the wire writes networking.
    pub networking: Value,
}

/// What the policies of a session are now.
#[derive(Debug, Clone, PartialEq)]
pub struct TightenedSession {
    /// Which.
    pub session: SessionId,
    /// Where it is.
    pub environment: EnvironmentId,
    /// The revision that it was made with.
    pub environment_revision: i64,
    /// What it was tightened by, in the order in which it came.
    pub tightened_by: Vec<SessionPolicy>,
    /// What it reached before, and reaches no more.
    pub difference: Difference,
}

impl SessionPolicy {
    fn of(effective: &EffectivePolicy, revision: i64) -> Self {
        Self {
            environment_revision: Some(revision),
            source: effective.source.clone(),
            networking: networking_json(&effective.policy),
        }
    }

    fn effective(&self) -> Result<EffectivePolicy, ControlError> {
        Ok(EffectivePolicy {
            policy: policy_from_json(&self.networking).map_err(|_| corrupt("policy"))?,
            source: self.source.clone(),
        })
    }
}

/// The policy that a session was made with; `None` if its environment is self-hosted.
pub(crate) fn pinned(session: &Session) -> Result<Option<EffectivePolicy>, ControlError> {
    let Some(text) = session.pins.policy.as_deref() else {
        return Ok(None);
    };
    let pinned: SessionPolicy = serde_json::from_str(text).map_err(|_| corrupt("policy"))?;
    pinned.effective().map(Some)
}

fn tightened_by(session: &Session) -> Result<Vec<SessionPolicy>, ControlError> {
    let Some(text) = session.tightened_by.as_deref() else {
        return Ok(Vec::new());
    };
    serde_json::from_str(text).map_err(|_| corrupt("tightened_by"))
}

/// What must allow a destination too.
pub(crate) fn narrowed_by(session: &Session) -> Result<Vec<EffectivePolicy>, ControlError> {
    let policies = tightened_by(session)?;
    policies.iter().map(SessionPolicy::effective).collect()
}

impl Control {
    /// Tightens a session to the policy that its environment has now: its own at its current revision, else the organization's. The
    /// sandbox of the session, on whatever server, has it at once, and connections that are denied by it are cut. What the organization
    /// denies holds anyway, and is looked at again too. Nothing becomes reachable by it; the same again changes nothing.
    ///
    /// `version` is the revision that the environment must be at, if the caller says so.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Refused`] if it has ended, [`ControlError::SelfHosted`],
    /// [`ControlError::Stale`], [`ControlError::Full`], and what every use case may answer.
    pub async fn tighten_session(
        &self,
        caller: &Caller,
        id: &SessionId,
        version: Option<i64>,
    ) -> Result<TightenedSession, ControlError> {
        caller.require(Permission::SessionWrite)?;
        caller.require(Permission::EnvironmentRead)?;
        let scope = self.store.scope(&caller.organization);
        // Reads come first: a change holds a connection, and whoever waits for a second one may wait for ever.
        let session = scope.session(id).await?;
        let session = session.ok_or(ControlError::NotFound(KIND))?;
        let environment = scope.environment(&session.pins.environment).await?;
        let environment = environment.ok_or(ControlError::NotFound("environment"))?;
        if version.is_some_and(|version| version != environment.version) {
            return Err(ControlError::Stale("environment"));
        }
        let uncompiled = self.uncompiled(&caller.organization, &session).await?;
        let uncompiled = uncompiled.ok_or(ControlError::SelfHosted(KIND))?;
        if !is_governed(&environment)? {
            return Err(ControlError::SelfHosted("environment"));
        }
        let now = self.policy_in_force(caller, &environment).await?;
        let now = SessionPolicy::of(&now, environment.version);
        let (before, after) = self.tightened(caller, id, now).await?;
        Ok(TightenedSession {
            session: after.id.clone(),
            environment: after.pins.environment.clone(),
            environment_revision: after.pins.environment_revision,
            tightened_by: tightened_by(&after)?,
            difference: compared(&uncompiled, &before, &after).await?,
        })
    }

    /// The session before and after it was written, which are the same if it has the policy already.
    async fn tightened(
        &self,
        caller: &Caller,
        id: &SessionId,
        by: SessionPolicy,
    ) -> Result<(Session, Session), ControlError> {
        let (mut change, before) = self.locked_session(caller, id).await?;
        if before.archived_at.is_some() {
            return Err(ControlError::Archived(KIND));
        }
        if before.status == SessionStatus::Terminated {
            return Err(ControlError::Refused(
                bailiwick_model::SessionRefusal::Ended,
            ));
        }
        let mut policies = tightened_by(&before)?;
        let has = |policy: &EffectivePolicy| networking_json(&policy.policy) == by.networking;
        if pinned(&before)?.as_ref().is_some_and(has)
            || policies.iter().any(|had| had.networking == by.networking)
        {
            return Ok((before.clone(), before));
        }
        if policies.len() >= SESSION_TIGHTENINGS {
            return Err(ControlError::Full {
                kind: KIND,
                what: "policies that it was tightened by",
                limit: SESSION_TIGHTENINGS,
            });
        }
        let was = json!({"tightened_by": policies});
        policies.push(by);
        let becomes = json!({"tightened_by": policies});
        let text = becomes["tightened_by"].to_string();
        let after = change
            .tighten_session(&before, text)
            .await
            .map_err(ControlError::of(KIND))?;
        commit(
            change,
            caller,
            "session.tighten",
            id,
            Some(&was),
            Some(&becomes),
        )
        .await?;
        self.published_tightening(&after);
        Ok((before, after))
    }
}

/// What the policies of a session before and after say, with what the session brings along and the organization denies.
async fn compared(
    uncompiled: &Uncompiled,
    before: &Session,
    after: &Session,
) -> Result<Difference, ControlError> {
    let with = |session| -> Result<Uncompiled, ControlError> {
        Ok(Uncompiled {
            narrowed_by: narrowed_by(session)?,
            ..uncompiled.clone()
        })
    };
    let (before, after) = (with(before)?, with(after)?);
    // Policies have some hundred rules, and each is asked about each.
    let compare = move || diff(&before.compile(), &after.compile());
    let compared = tokio::task::spawn_blocking(compare).await;
    Ok(compared.expect("comparing does not panic"))
}
