//! The organization: its default policy and its floor.

use bailiwick_model::{Permission, ResourceId as _};
use bailiwick_policy::{EgressPolicy, OrganizationFloor};
use bailiwick_store::{Organization, OrganizationPolicies, StoreError};
use bailiwick_wire::{FieldProblem, networking_json, policy_from_json};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::error::ControlError;

const KIND: &str = "organization";

/// An organization, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationView {
    /// The organization.
    pub organization: Organization,
}

/// A change of what holds in all environments: what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct PoliciesChange {
    /// The policy of environments that have none of their own, as the wire writes networking; `Some(Null)` is the built-in one.
    pub default_networking: Option<Value>,
    /// Denied hosts, in every environment.
    pub denied_hosts: Option<Vec<String>>,
    /// Denied CIDRs, in every environment.
    pub denied_cidrs: Option<Vec<String>>,
    /// Whether secrets may go into bodies of requests.
    pub allow_body_injection: Option<bool>,
    /// Only if the organization is at this version.
    pub version: Option<i64>,
}

/// What holds in all environments.
pub(crate) struct Policies {
    /// The policy of environments that have none of their own.
    pub(crate) default: Option<EgressPolicy>,
    /// What no environment opens.
    pub(crate) floor: OrganizationFloor,
}

/// What is stored, as values.
pub(crate) fn policies(organization: &Organization) -> Result<Policies, ControlError> {
    let corrupt = |column| ControlError::Store(StoreError::Corrupt { column });
    let default = organization.default_networking.as_deref().map(|text| {
        let networking: Value =
            serde_json::from_str(text).map_err(|_| corrupt("default_networking"))?;
        policy_from_json(&networking).map_err(ControlError::Invalid)
    });
    let floor: Value = serde_json::from_str(&organization.floor).map_err(|_| corrupt("floor"))?;
    Ok(Policies {
        default: default.transpose()?,
        floor: floor_of(&floor)?,
    })
}

/// A floor has the form of the denials of networking, and is read by the same code.
fn floor_of(floor: &Value) -> Result<OrganizationFloor, ControlError> {
    let list = |key: &str| floor.get(key).cloned().unwrap_or_else(|| json!([]));
    let networking = json!({"type": "unrestricted", "denied_hosts": list("denied_hosts"), "denied_cidrs": list("denied_cidrs")});
    let policy = policy_from_json(&networking).map_err(|problems| {
        let below = |problem: FieldProblem| FieldProblem {
            field: problem.field.trim_start_matches("networking.").to_owned(),
            ..problem
        };
        problems.into_iter().map(below).collect::<Vec<_>>()
    })?;
    Ok(OrganizationFloor {
        denied_hosts: policy.denied_hosts,
        denied_cidrs: policy.denied_cidrs,
    })
}

impl Control {
    /// The caller's organization.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn organization(&self, caller: &Caller) -> Result<OrganizationView, ControlError> {
        caller.require(Permission::EnvironmentRead)?;
        self.organization_of(caller).await
    }

    pub(crate) async fn organization_of(
        &self,
        caller: &Caller,
    ) -> Result<OrganizationView, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let found = scope.organization().await?;
        let organization = found.ok_or(ControlError::NotFound(KIND))?;
        Ok(OrganizationView { organization })
    }

    /// Changes what holds in all environments.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], [`ControlError::Stale`], and what every use case may answer.
    pub async fn change_policies(
        &self,
        caller: &Caller,
        request: PoliciesChange,
    ) -> Result<OrganizationView, ControlError> {
        caller.require(Permission::EnvironmentAdmin)?;
        let before = self.organization_of(caller).await?.organization;
        if request
            .version
            .is_some_and(|version| version != before.version)
        {
            return Err(ControlError::Stale(KIND));
        }
        let (default_networking, floor) = policies_after(&before, &request)?;
        let was = policies_of(&before);
        let becomes = OrganizationPolicies {
            default_networking,
            floor,
            allow_body_injection: request
                .allow_body_injection
                .unwrap_or(was.allow_body_injection),
        };
        let mut change = self.change(caller, clock::now()).await?;
        change
            .set_policies(before.version, &becomes)
            .await
            .map_err(ControlError::of(KIND))?;
        let event = caller.event(
            "organization.policies",
            (KIND, before.id.as_str()),
            Some(&told(&was)),
            Some(&told(&becomes)),
        );
        change
            .commit(&event)
            .await
            .map_err(ControlError::of(KIND))?;
        self.gateways_changed();
        self.organization_of(caller).await
    }
}

fn policies_of(organization: &Organization) -> OrganizationPolicies {
    OrganizationPolicies {
        default_networking: organization.default_networking.clone(),
        floor: organization.floor.clone(),
        allow_body_injection: organization.allow_body_injection,
    }
}

/// What the audit log tells of them.
fn told(policies: &OrganizationPolicies) -> Value {
    json!({
        "default_networking": policies.default_networking,
        "floor": policies.floor,
        "allow_body_injection": policies.allow_body_injection,
    })
}

/// The default policy and the floor after a change, as they are stored.
pub(crate) fn policies_after(
    before: &Organization,
    request: &PoliciesChange,
) -> Result<(Option<String>, String), ControlError> {
    if request
        .version
        .is_some_and(|version| version != before.version)
    {
        return Err(ControlError::Stale(KIND));
    }
    let default = match &request.default_networking {
        None => before.default_networking.clone(),
        Some(Value::Null) => None,
        Some(networking) => Some(networking_json(&policy_from_json(networking)?).to_string()),
    };
    Ok((default, floor_after(before, request)?.to_string()))
}

/// The floor after a change, in its normal form.
fn floor_after(before: &Organization, request: &PoliciesChange) -> Result<Value, ControlError> {
    let Policies { floor, .. } = policies(before)?;
    let texts = |list: &[String]| json!(list);
    let hosts = match &request.denied_hosts {
        Some(hosts) => texts(hosts),
        None => texts(
            &floor
                .denied_hosts
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        ),
    };
    let cidrs = match &request.denied_cidrs {
        Some(cidrs) => texts(cidrs),
        None => texts(
            &floor
                .denied_cidrs
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        ),
    };
    let after = floor_of(&json!({"denied_hosts": hosts, "denied_cidrs": cidrs}))?;
    let hosts: Vec<_> = after.denied_hosts.iter().map(ToString::to_string).collect();
    let cidrs: Vec<_> = after.denied_cidrs.iter().map(ToString::to_string).collect();
    Ok(json!({"denied_hosts": hosts, "denied_cidrs": cidrs}))
}
