//! What a change of policy would open and close, and for whom. Nothing here writes.

use bailiwick_model::limits::MCP_ENTRIES_OF_ENVIRONMENT;
use bailiwick_model::{
    Destination, EnvironmentId, McpCatalogEntryId, Permission, PolicySource, Reason,
};
use bailiwick_policy::{Difference, Policy, SessionGrants, diff};
use bailiwick_store::{Environment, Organization, Page, PageRequest};

use crate::caller::Caller;
use crate::clock;
use crate::control::Control;
use crate::environments::{EnvironmentChange, KIND, changed, is_governed, own_policy};
use crate::error::ControlError;
use crate::mcp_catalog::{McpEntryView, denial, server_url};
use crate::organizations::{Policies, PoliciesChange, policies, policies_after};
use crate::references::{References, governed};

/// What a change would do to an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impact {
    /// Where the policy comes from, before and after; `None` where workers decide, which the organization does not govern.
    pub source: Option<(PolicySource, PolicySource)>,
    /// What becomes reachable, and what stops being so.
    pub difference: Difference,
    /// What the policy holds for; nothing if nothing changes.
    pub concerned: References,
    /// MCP servers of the catalog that could be reached, and could not any more.
    pub cut_off: Vec<CutOff>,
}

/// An MCP server of the catalog that a change would cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutOff {
    /// Its id.
    pub id: McpCatalogEntryId,
    /// What gateways call it.
    pub name: String,
    /// Where it is.
    pub destination: Destination,
    /// Why it would be denied.
    pub reason: Reason,
}

/// An environment for which a change of the organization's policies would change something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConcernedEnvironment {
    /// Its id.
    pub id: EnvironmentId,
    /// Its name.
    pub name: String,
    /// What would change.
    pub impact: Impact,
}

impl Control {
    /// What a change of an environment would open and close, and for whom. The change is refused as the real one would be; names that are
    /// taken are not looked for.
    ///
    /// # Errors
    ///
    /// As [`Self::update_environment`].
    pub async fn environment_impact(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        request: EnvironmentChange,
    ) -> Result<Impact, ControlError> {
        caller.require(Permission::EnvironmentAdmin)?;
        let scope = self.store.scope(&caller.organization);
        let found = scope.environment(id).await?;
        let before = found.ok_or(ControlError::NotFound(KIND))?;
        let organization = scope.organization().await?;
        let organization = organization.ok_or(ControlError::NotFound("organization"))?;
        let after = Environment {
            values: changed(&before, request, &self.host_paths)?,
            ..before.clone()
        };
        self.compared(caller, (&before, &organization), (&after, &organization))
            .await
    }

    /// What a change of the organization's default policy and floor would open and close, in those environments of a page for which it
    /// changes anything: a page may have none although there are more pages.
    ///
    /// # Errors
    ///
    /// As [`Self::change_policies`].
    pub async fn policies_impact(
        &self,
        caller: &Caller,
        request: &PoliciesChange,
        page: &PageRequest<EnvironmentId>,
    ) -> Result<Page<ConcernedEnvironment, EnvironmentId>, ControlError> {
        caller.require(Permission::EnvironmentAdmin)?;
        let scope = self.store.scope(&caller.organization);
        let found = scope.organization().await?;
        let before = found.ok_or(ControlError::NotFound("organization"))?;
        let (default_networking, floor) = policies_after(&before, request)?;
        let after = Organization {
            default_networking,
            floor,
            ..before.clone()
        };
        let Page { items, next } = scope.environments(page, false).await?;
        let mut concerned = Vec::new();
        for environment in items {
            let now = (&environment, &before);
            let impact = self.compared(caller, now, (&environment, &after)).await?;
            if !impact.difference.is_empty() {
                concerned.push(ConcernedEnvironment {
                    id: environment.id,
                    name: environment.values.name,
                    impact,
                });
            }
        }
        Ok(Page {
            items: concerned,
            next,
        })
    }

    async fn compared(
        &self,
        caller: &Caller,
        before: (&Environment, &Organization),
        after: (&Environment, &Organization),
    ) -> Result<Impact, ControlError> {
        let none = References {
            counts: Default::default(),
            page: Page {
                items: Vec::new(),
                next: None,
            },
        };
        let (was, becomes) = (compiled(before)?, compiled(after)?);
        let (Some(was), Some(becomes)) = (was, becomes) else {
            return Ok(Impact {
                source: None,
                difference: Difference {
                    mode: None,
                    opened: Vec::new(),
                    closed: Vec::new(),
                },
                concerned: none,
                cut_off: Vec::new(),
            });
        };
        let cut_off = self.cut_off(caller, &before.0.id, (&was, &becomes)).await?;
        let source = (was.source().clone(), becomes.source().clone());
        // Policies have some hundred rules, and each is asked about each.
        let compare = tokio::task::spawn_blocking(move || diff(&was, &becomes));
        let difference = compare.await.expect("comparing does not panic");
        let concerned = if difference.is_empty() {
            none
        } else {
            let scope = self.store.scope(&caller.organization);
            governed(scope, &before.0.id, clock::now()).await?
        };
        Ok(Impact {
            source: Some(source),
            difference,
            concerned,
            cut_off,
        })
    }

    /// What a remote server's name resolves to is not asked: nothing is contacted.
    async fn cut_off(
        &self,
        caller: &Caller,
        environment: &EnvironmentId,
        (was, becomes): (&Policy, &Policy),
    ) -> Result<Vec<CutOff>, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let own = scope.in_environment(environment);
        let mut cut_off = Vec::new();
        for entry in own.mcp_servers(MCP_ENTRIES_OF_ENVIRONMENT).await? {
            let view = McpEntryView::of(entry)?;
            let Some(url) = server_url(&view.server)? else {
                continue;
            };
            if denial(was, &url).is_none()
                && let Some(decision) = denial(becomes, &url)
            {
                cut_off.push(CutOff {
                    id: view.entry.id,
                    name: view.entry.values.name,
                    destination: url.destination().clone(),
                    reason: decision.reason,
                });
            }
        }
        Ok(cut_off)
    }
}

/// The policy that holds in an environment of an organization; none where its workers decide.
fn compiled(
    (environment, organization): (&Environment, &Organization),
) -> Result<Option<Policy>, ControlError> {
    if !is_governed(environment)? {
        return Ok(None);
    }
    let Policies { default, floor } = policies(organization)?;
    let effective = bailiwick_policy::effective(own_policy(environment)?, default);
    let none = SessionGrants::none();
    Ok(Some(Policy::compile(effective, &floor, &none)))
}
