//! Flows of sessions: what they tried to reach, kept, shown and exported.

pub(crate) mod journal;

use std::sync::Arc;

use bailiwick_model::limits::{EXPIRED_FLOWS, SESSION_FLOWS_ATTEMPTS};
use bailiwick_model::{
    EnvironmentId, EnvironmentName, Flow, OrganizationId, Permission, ResourceId as _, SandboxId,
    SessionId,
};
use bailiwick_outbound::Account;
use bailiwick_store::{AuditEvent, FlowFilter, NewFlow, StoredFlow};
use bailiwick_wire::Schema;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Duration, sleep};

use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::error::ControlError;
use crate::fresh;
use journal::Journal;

/// How long to wait before flows are written again.
const PAUSE: Duration = Duration::from_secs(1);

/// A flow of a session as it is shown and exported: what `bailiwick run --flows` writes, and whose it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowLine {
    organization_id: OrganizationId,
    /// From 1, in the order in which they were written.
    pub sequence: i64,
    /// None where the server connected in the stead of a gateway, a server of the catalog or a knowledge connector.
    session_id: Option<SessionId>,
    environment_id: EnvironmentId,
    #[serde(flatten)]
    flow: Flow,
}

impl FlowLine {
    /// What it looks like.
    pub fn schema() -> Schema {
        let count = |what: &str| Schema::number(0..=i64::MAX).says(what);
        Schema::answer()
            .has("organization_id", Schema::id::<OrganizationId>())
            .has("sequence", Schema::version())
            .has(
                "session_id",
                Schema::id::<SessionId>()
                    .or_null()
                    .says("None where it was in the stead of a gateway, a server of the catalog or a knowledge connector."),
            )
            .has("environment_id", Schema::id::<EnvironmentId>())
            .has("at", Schema::moment().says("When it began."))
            .has("sandbox", Schema::text())
            .has("environment", Schema::text().or_null())
            .has("destination", Schema::any().says("What was asked for."))
            .has(
                "address",
                Schema::text()
                    .or_null()
                    .says("What was dialled, where it came to that."),
            )
            .has("verdict", Schema::words(["allow", "deny"]))
            .has("reason", Schema::text().says("A stable word."))
            .may(
                "rule",
                Schema::text().says("The rule that matched, as written."),
            )
            .has("source", Schema::any().says("Where the policy came from."))
            .may("hint", Schema::text().says("What would allow it."))
            .has("bytes_out", count("From the sandbox."))
            .has("bytes_in", count("To the sandbox."))
            .has("duration_ms", count("How long it was open."))
            .may("notes", Schema::list(Schema::text()))
            .named("Flow")
    }

    pub(crate) fn of(
        organization: &OrganizationId,
        stored: StoredFlow,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            organization_id: organization.clone(),
            sequence: stored.sequence,
            session_id: stored.session,
            environment_id: stored.environment,
            flow: serde_json::from_str(&stored.flow)?,
        })
    }
}

/// Whose flows they are.
#[derive(Debug, Clone)]
pub(crate) struct FlowsOf {
    pub(crate) organization: OrganizationId,
    /// Of which session, if it is one's.
    pub(crate) session: Option<SessionId>,
    pub(crate) environment: EnvironmentId,
}

impl Control {
    /// Has the flows of what the server connects to in a session's stead kept with those of its sandbox. No URL is in them, only where was asked.
    pub(crate) fn account(
        self: &Arc<Self>,
        whose: FlowsOf,
        sandbox: SandboxId,
        environment: Option<EnvironmentName>,
    ) -> Account {
        let of = whose.environment.clone();
        let (flows, journal) = Journal::begin(Arc::clone(self), whose);
        let record = move |flow| {
            // It writes at its pace for as long as somebody has it.
            let _at_its_pace = &journal;
            // Nobody who connects waits for it.
            if let Err(error) = flows.try_send(flow) {
                tracing::error!(environment = %of, %error, "a flow was lost");
            }
        };
        Account {
            sandbox,
            environment,
            now: clock::now,
            record: Box::new(record),
        }
    }

    /// Flows of sessions after the one with the number `after`, the oldest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn flows(
        &self,
        caller: &Caller,
        after: i64,
        limit: u32,
        filter: &FlowFilter,
    ) -> Result<Vec<FlowLine>, ControlError> {
        caller.require(Permission::SessionRead)?;
        let scope = self.store.scope(&caller.organization);
        let found = scope.flows(after, limit, filter).await?;
        let line = |stored| FlowLine::of(&caller.organization, stored);
        let lines = found.into_iter().map(line).collect::<Result<_, _>>();
        lines.map_err(|_| {
            let column = "flow";
            ControlError::Store(bailiwick_store::StoreError::Corrupt { column })
        })
    }

    /// Keeps flows of a session. A database that is away for a moment loses none; what is given up in the end is told.
    pub(crate) async fn keep_flows(
        &self,
        organization: &OrganizationId,
        whose: (Option<&SessionId>, &EnvironmentId),
        flows: &[Flow],
    ) {
        let new = |flow: &Flow| {
            Ok(NewFlow {
                // All attempts to write it have the same.
                id: fresh::id(clock::now()),
                verdict: flow.verdict,
                flow: serde_json::to_string(flow)?,
            })
        };
        let kept: Result<Vec<_>, serde_json::Error> = flows.iter().map(new).collect();
        let kept = match kept {
            Ok(kept) => kept,
            Err(error) => {
                tracing::error!(environment = %whose.1, %error, "flows cannot be written as JSON");
                return;
            }
        };
        for attempt in 1.. {
            let written = self
                .store
                .keep_flows(organization, whose, clock::now(), &kept);
            match written.await {
                Ok(()) => return,
                Err(_) if attempt < SESSION_FLOWS_ATTEMPTS => sleep(PAUSE).await,
                Err(error) => {
                    tracing::error!(environment = %whose.1, flows = kept.len(), %error, "flows were lost");
                    return;
                }
            }
        }
    }

    /// Takes away flows whose time is over, except those that were not yet delivered to one of these destinations; the audit log says how
    /// many it were. How many were taken away.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`]; what was done until then stays done.
    pub async fn sweep_flows(&self, destinations: &[String]) -> Result<u64, ControlError> {
        let mut swept = 0;
        for organization in self.store.organizations().await? {
            let kept = self.store.scope(&organization).retention().await?;
            if let Some(days) = kept.and_then(|kept| kept.flows_days) {
                swept += self
                    .sweep_flows_of(&organization, days, destinations)
                    .await?;
            }
        }
        Ok(swept)
    }

    async fn sweep_flows_of(
        &self,
        organization: &OrganizationId,
        days: i64,
        destinations: &[String],
    ) -> Result<u64, ControlError> {
        let scope = self.store.scope(organization);
        let mut through = i64::MAX;
        for destination in destinations {
            through = through.min(scope.delivered(destination).await?);
        }
        let mut swept = 0;
        loop {
            let at = clock::now();
            let before = at - SignedDuration::from_hours(24 * days);
            let mut change = self.store.change(organization, at).await?;
            let gone = change.expire_flows(before, through, EXPIRED_FLOWS).await?;
            if gone == 0 {
                return Ok(swept);
            }
            let told = AuditEvent {
                actor_kind: "system",
                actor_id: "bailiwick",
                address: None,
                action: "flows.expire",
                resource_kind: "organization",
                resource_id: organization.as_str(),
                before: None,
                after: Some(json!({"flows": gone, "before": before}).to_string()),
            };
            change.commit(&told).await?;
            swept += gone;
        }
    }
}
