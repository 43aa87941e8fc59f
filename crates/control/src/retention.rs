//! How long records are kept, and the end of those that are not.

use bailiwick_model::limits::{
    AUDIT_RETENTION_DAYS_LEAST, EXPIRED_AUDIT_ENTRIES, EXPIRED_EVENTS, RETENTION_DAYS_MOST,
};
use bailiwick_model::{OrganizationId, Permission, ResourceId as _};
use bailiwick_store::{AuditAnchor, AuditEvent, Retention};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::error::ControlError;
use crate::names::problem;

const KIND: &str = "organization";

/// A change of how long records are kept: what is `None` stays, `Some(None)` keeps them for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionChange {
    /// What happened in sessions, in days.
    pub events_days: Option<Option<i64>>,
    /// What sandboxes reached, or did not, in days.
    pub flows_days: Option<Option<i64>>,
    /// The audit log, in days.
    pub audit_days: Option<Option<i64>>,
    /// Only if the organization is at this version.
    pub version: Option<i64>,
}

/// How long records are kept, at a version of the organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionView {
    /// How long.
    pub retention: Retention,
    /// The organization's version.
    pub version: i64,
}

impl Control {
    /// How long the organization's records are kept.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn retention(&self, caller: &Caller) -> Result<RetentionView, ControlError> {
        caller.require(Permission::EnvironmentRead)?;
        self.retention_of(caller).await
    }

    async fn retention_of(&self, caller: &Caller) -> Result<RetentionView, ControlError> {
        let version = self.organization_of(caller).await?.organization.version;
        let scope = self.store.scope(&caller.organization);
        let retention = scope.retention().await?;
        Ok(RetentionView {
            retention: retention.ok_or(ControlError::NotFound(KIND))?,
            version,
        })
    }

    /// Changes how long the organization's records are kept.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], [`ControlError::Stale`], and what every use case may answer.
    pub async fn change_retention(
        &self,
        caller: &Caller,
        request: RetentionChange,
    ) -> Result<RetentionView, ControlError> {
        caller.require(Permission::OrganizationAdmin)?;
        let before = self.retention_of(caller).await?;
        let stale = request
            .version
            .is_some_and(|version| version != before.version);
        if stale {
            return Err(ControlError::Stale(KIND));
        }
        let kept = before.retention;
        let least = AUDIT_RETENTION_DAYS_LEAST;
        let after = Retention {
            events_days: days("events_days", request.events_days, kept.events_days, 1)?,
            flows_days: days("flows_days", request.flows_days, kept.flows_days, 1)?,
            audit_days: days("audit_days", request.audit_days, kept.audit_days, least)?,
        };
        if after == kept {
            return Ok(before);
        }
        let mut change = self.change(caller, clock::now()).await?;
        change
            .set_retention(before.version, after)
            .await
            .map_err(ControlError::of(KIND))?;
        let (was, becomes) = (evidence(kept), evidence(after));
        let event = caller.event(
            "organization.retention",
            (KIND, caller.organization.as_str()),
            Some(&was),
            Some(&becomes),
        );
        change.commit(&event).await?;
        self.retention_of(caller).await
    }

    /// Takes away the entries of audit logs whose time is over, except those that were not yet delivered to one of these destinations. The
    /// hash of the last one is kept, and what was taken away is an entry itself, so that the log can be verified as before. How many
    /// entries were taken away.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`]; what was done until then stays done.
    pub async fn sweep_audit_logs(&self, destinations: &[String]) -> Result<u64, ControlError> {
        let mut swept = 0;
        for organization in self.store.organizations().await? {
            swept += self.sweep_audit_log(&organization, destinations).await?;
        }
        Ok(swept)
    }

    /// Takes away what happened in sessions so long ago that its time is over; the audit log says how much it was. How many events were taken
    /// away.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`]; what was done until then stays done.
    pub async fn sweep_session_events(&self) -> Result<u64, ControlError> {
        let mut swept = 0;
        for organization in self.store.organizations().await? {
            let kept = self.store.scope(&organization).retention().await?;
            if let Some(days) = kept.and_then(|kept| kept.events_days) {
                swept += self.sweep_events_of(&organization, days).await?;
            }
        }
        Ok(swept)
    }

    async fn sweep_events_of(
        &self,
        organization: &OrganizationId,
        days: i64,
    ) -> Result<u64, ControlError> {
        let mut swept = 0;
        loop {
            let at = clock::now();
            let before = at - SignedDuration::from_hours(24 * days);
            let mut change = self.store.change(organization, at).await?;
            let gone = change.expire_session_events(before, EXPIRED_EVENTS).await?;
            if gone == 0 {
                return Ok(swept);
            }
            let told = AuditEvent {
                actor_kind: "system",
                actor_id: "bailiwick",
                address: None,
                action: "session-events.expire",
                resource_kind: KIND,
                resource_id: organization.as_str(),
                before: None,
                after: Some(json!({"events": gone, "before": before}).to_string()),
            };
            change.commit(&told).await?;
            swept += gone;
        }
    }

    async fn sweep_audit_log(
        &self,
        organization: &OrganizationId,
        destinations: &[String],
    ) -> Result<u64, ControlError> {
        let scope = self.store.scope(organization);
        let days = scope.retention().await?.and_then(|kept| kept.audit_days);
        let Some(days) = days else {
            return Ok(0);
        };
        let mut through = i64::MAX;
        for destination in destinations {
            through = through.min(scope.delivered(destination).await?);
        }
        let mut swept = 0;
        loop {
            let at = clock::now();
            let before = at - SignedDuration::from_hours(24 * days);
            let begun = scope.audit_head().await?.anchor.sequence;
            let mut change = self.store.change(organization, at).await?;
            let expired = change.expire_audit_entries(before, through, EXPIRED_AUDIT_ENTRIES);
            let Some(anchor) = expired.await? else {
                return Ok(swept);
            };
            change.commit(&told(&anchor, organization)).await?;
            let gone = u64::try_from(anchor.sequence - begun).unwrap_or_default();
            swept += gone;
            if gone < u64::from(EXPIRED_AUDIT_ENTRIES) {
                return Ok(swept);
            }
        }
    }
}

/// The entry that says what was taken away.
fn told<'a>(anchor: &AuditAnchor, organization: &'a OrganizationId) -> AuditEvent<'a> {
    AuditEvent {
        actor_kind: "system",
        actor_id: "bailiwick",
        address: None,
        action: AuditAnchor::ACTION,
        resource_kind: KIND,
        resource_id: organization.as_str(),
        before: None,
        after: Some(anchor.evidence()),
    }
}

fn days(
    field: &str,
    asked: Option<Option<i64>>,
    before: Option<i64>,
    least: i64,
) -> Result<Option<i64>, ControlError> {
    let Some(days) = asked else {
        return Ok(before);
    };
    match days {
        Some(days) if !(least..=RETENTION_DAYS_MOST).contains(&days) => Err(problem(
            field,
            "out_of_range",
            &format!("is a number of days from {least} to {RETENTION_DAYS_MOST}, or null"),
            "write null to keep them for ever",
        )),
        days => Ok(days),
    }
}

fn evidence(retention: Retention) -> Value {
    json!({
        "events_days": retention.events_days,
        "flows_days": retention.flows_days,
        "audit_days": retention.audit_days,
    })
}
