//! Doors of environments to MCP servers of the catalog, and the virtual keys that open them.

mod backing;
mod control_plane;
mod door;
mod entry;
mod form;
mod keys;
mod playwright;
mod serving;
mod view;

use bailiwick_model::limits::MCP_GATEWAYS;
use bailiwick_model::{EnvironmentId, McpGatewayId, Permission, ResourceId as _};
use bailiwick_store::{
    Change, McpAssignment, McpGateway, McpGatewayValues, Page, PageRequest, StoreError,
};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::conflicts::{Conflict, ConflictKind, OnConflict};
use crate::control::Control;
use crate::error::ControlError;
use crate::names::name;
use crate::{clock, fresh, mcp_catalog};

pub use entry::McpEntryState;
use form::check_entries;
pub(crate) use form::named_tools;
pub use form::{AssignedServer, McpGatewayAccess, McpGatewayConfig, McpGatewayNaming};
pub use serving::{McpGateways, OpenMcpGateway};

/// What the errors call it.
const KIND: &str = "MCP gateway";
/// What the audit log calls it.
const RESOURCE: &str = "mcp_gateway";

/// A gateway that is to be.
#[derive(Debug, Clone)]
pub struct NewMcpGatewayRequest {
    /// What people call it, and what its address may name it by.
    pub name: String,
    /// Where it belongs.
    pub environment: EnvironmentId,
    /// What else there is to say.
    pub config: McpGatewayConfig,
    /// Which servers it names.
    pub entries: Vec<AssignedServer>,
}

/// What of a gateway is to change: what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct McpGatewayChange {
    /// What people call it.
    pub name: Option<String>,
    /// Where it belongs.
    pub environment: Option<EnvironmentId>,
    /// Which servers it has.
    pub access: Option<McpGatewayAccess>,
    /// What their tools are called.
    pub naming: Option<McpGatewayNaming>,
    /// What clients show people; `Some(None)` is nothing.
    pub title: Option<Option<String>>,
    /// What models are told of it; `Some(None)` is nothing.
    pub instructions: Option<Option<String>>,
    /// All servers that it names from then on.
    pub entries: Option<Vec<AssignedServer>>,
    /// What becomes of what stands in the way of a move.
    pub on_conflict: OnConflict,
    /// Only if it is at this version.
    pub version: Option<i64>,
}

/// A gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpGatewayView {
    /// As it is stored.
    pub gateway: McpGateway,
    /// What else there is to say.
    pub config: McpGatewayConfig,
    /// Which servers it names.
    pub entries: Vec<AssignedServer>,
}

impl McpGatewayView {
    fn of(gateway: McpGateway, assignments: &[McpAssignment]) -> Result<Self, ControlError> {
        let entries = assignments.iter().map(AssignedServer::stored);
        Ok(Self {
            config: McpGatewayConfig::stored(&gateway.values.config)?,
            entries: entries.collect::<Result<_, _>>()?,
            gateway,
        })
    }

    /// For the audit log.
    fn evidence(&self) -> Value {
        let values = &self.gateway.values;
        json!({
            "name": values.name,
            "environment_id": values.environment,
            "config": self.config,
            "entries": self.entries,
        })
    }
}

impl Control {
    /// Gateways, the newest first; of one environment, if one is named.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn mcp_gateways(
        &self,
        caller: &Caller,
        environment: Option<&EnvironmentId>,
        page: &PageRequest<McpGatewayId>,
    ) -> Result<Page<McpGatewayView, McpGatewayId>, ControlError> {
        caller.require(Permission::McpGatewayRead)?;
        let scope = self.store.scope(&caller.organization);
        let found = scope.mcp_gateways(environment, page).await?;
        let mut items = Vec::with_capacity(found.items.len());
        for gateway in found.items {
            let assignments = scope.mcp_assignments(&gateway.id).await?;
            items.push(McpGatewayView::of(gateway, &assignments)?);
        }
        Ok(Page {
            items,
            next: found.next,
        })
    }

    /// One gateway.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn mcp_gateway(
        &self,
        caller: &Caller,
        id: &McpGatewayId,
    ) -> Result<McpGatewayView, ControlError> {
        caller.require(Permission::McpGatewayRead)?;
        self.stored_gateway(caller, id).await
    }

    async fn stored_gateway(
        &self,
        caller: &Caller,
        id: &McpGatewayId,
    ) -> Result<McpGatewayView, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let found = scope.mcp_gateway(id).await?;
        let gateway = found.ok_or(ControlError::NotFound(KIND))?;
        McpGatewayView::of(gateway, &scope.mcp_assignments(id).await?)
    }

    /// Makes a gateway in an environment.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Invalid`], [`ControlError::NameTaken`], [`ControlError::Full`],
    /// [`ControlError::AcrossEnvironments`] if it names a server elsewhere, and what every use case may answer.
    pub async fn create_mcp_gateway(
        &self,
        caller: &Caller,
        request: NewMcpGatewayRequest,
    ) -> Result<McpGatewayView, ControlError> {
        caller.require(Permission::McpGatewayWrite)?;
        check_entries(&request.entries)?;
        request.config.check(&request.entries)?;
        let values = McpGatewayValues {
            environment: request.environment,
            name: name(&request.name)?,
            config: request.config.to_json(),
        };
        self.environment_to_join(caller, &values.environment)
            .await?;
        let mut change = self.change(caller, clock::now()).await?;
        let count = change.count_mcp_gateways().await?;
        if usize::try_from(count).unwrap_or(usize::MAX) >= MCP_GATEWAYS {
            return Err(ControlError::Full {
                kind: "organization",
                what: "MCP gateways",
                limit: MCP_GATEWAYS,
            });
        }
        let entries = request.entries;
        let entries = those_there(
            &mut change,
            entries,
            &values.environment,
            OnConflict::Refuse,
        );
        let entries = entries.await?;
        let made = change.insert_mcp_gateway(fresh::id(change.at()), values);
        let gateway = made.await.map_err(gone)?;
        let made = named(&mut change, gateway, &entries).await?;
        let about = (RESOURCE, made.gateway.id.as_str());
        let event = caller.event("mcp_gateway.create", about, None, Some(&made.evidence()));
        change.commit(&event).await?;
        Ok(made)
    }

    /// Changes a gateway, or moves it to another environment. Servers elsewhere that it names stand in the way, or are named no more.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Invalid`], [`ControlError::NameTaken`], [`ControlError::Stale`],
    /// [`ControlError::AcrossEnvironments`], and what every use case may answer.
    pub async fn update_mcp_gateway(
        &self,
        caller: &Caller,
        id: &McpGatewayId,
        request: McpGatewayChange,
    ) -> Result<McpGatewayView, ControlError> {
        caller.require(Permission::McpGatewayWrite)?;
        let before = self.stored_gateway(caller, id).await?;
        if request
            .version
            .is_some_and(|version| version != before.gateway.version)
        {
            return Err(ControlError::Stale(KIND));
        }
        let (values, entries) = after(&before, &request)?;
        let moves = values.environment != before.gateway.values.environment;
        if moves {
            self.environment_to_join(caller, &values.environment)
                .await?;
        }
        if values == before.gateway.values && entries == before.entries {
            return Ok(before);
        }
        let mut change = self.change(caller, clock::now()).await?;
        let there = those_there(
            &mut change,
            entries,
            &values.environment,
            request.on_conflict,
        );
        let entries = there.await?;
        change.clear_mcp_assignments(id).await?;
        let changed = change.update_mcp_gateway(&before.gateway, values);
        let gateway = changed.await.map_err(gone)?;
        let changed = named(&mut change, gateway, &entries).await?;
        let (was, is) = (before.evidence(), changed.evidence());
        let about = (RESOURCE, id.as_str());
        let event = caller.event("mcp_gateway.update", about, Some(&was), Some(&is));
        change.commit(&event).await?;
        self.gateways_changed();
        Ok(changed)
    }

    /// Deletes a gateway, and its virtual keys: none of them is taken any more when this returns.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn delete_mcp_gateway(
        &self,
        caller: &Caller,
        id: &McpGatewayId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::McpGatewayWrite)?;
        let mut change = self.change(caller, clock::now()).await?;
        let found = change.mcp_gateway(id).await?;
        let gateway = found.ok_or(ControlError::NotFound(KIND))?;
        let before = McpGatewayView::of(gateway, &change.mcp_assignments(id).await?)?;
        change.delete_mcp_gateway(id).await?;
        let (about, was) = ((RESOURCE, id.as_str()), before.evidence());
        let event = caller.event("mcp_gateway.delete", about, Some(&was), None);
        change.commit(&event).await?;
        self.known_keys.forget();
        self.gateways_changed();
        Ok(())
    }
}

fn after(
    before: &McpGatewayView,
    request: &McpGatewayChange,
) -> Result<(McpGatewayValues, Vec<AssignedServer>), ControlError> {
    let (was, config) = (&before.gateway.values, &before.config);
    let config = McpGatewayConfig {
        access: request.access.unwrap_or(config.access),
        naming: request.naming.unwrap_or(config.naming),
        title: request.title.as_ref().unwrap_or(&config.title).clone(),
        instructions: request
            .instructions
            .as_ref()
            .unwrap_or(&config.instructions)
            .clone(),
    };
    let entries = match (&request.entries, request.access) {
        (Some(entries), _) => entries.clone(),
        // Whoever has all names none.
        (None, Some(McpGatewayAccess::AllTools)) => Vec::new(),
        (None, Some(McpGatewayAccess::Explicit) | None) => before.entries.clone(),
    };
    check_entries(&entries)?;
    config.check(&entries)?;
    let values = McpGatewayValues {
        environment: request
            .environment
            .as_ref()
            .unwrap_or(&was.environment)
            .clone(),
        name: match &request.name {
            Some(text) => name(text)?,
            None => was.name.clone(),
        },
        config: config.to_json(),
    };
    Ok((values, entries))
}

/// Those servers that are in this environment. One elsewhere stands in the way, or is left out.
async fn those_there(
    change: &mut Change,
    entries: Vec<AssignedServer>,
    environment: &EnvironmentId,
    on_conflict: OnConflict,
) -> Result<Vec<AssignedServer>, ControlError> {
    let (mut there, mut conflicts) = (Vec::new(), Vec::new());
    for entry in entries {
        let found = change.mcp_catalog_entry(&entry.entry_id).await?;
        let found = found.ok_or(ControlError::NotFound(mcp_catalog::KIND))?;
        if found.values.environment == *environment {
            there.push(entry);
        } else {
            conflicts.push(Conflict {
                kind: ConflictKind::McpCatalogEntry,
                id: entry.entry_id.to_string(),
            });
        }
    }
    match on_conflict {
        OnConflict::Refuse if !conflicts.is_empty() => Err(ControlError::AcrossEnvironments {
            kind: KIND,
            conflicts,
        }),
        OnConflict::Refuse | OnConflict::Detach => Ok(there),
    }
}

/// Names these servers in a gateway that names none.
async fn named(
    change: &mut Change,
    gateway: McpGateway,
    entries: &[AssignedServer],
) -> Result<McpGatewayView, ControlError> {
    let assignments: Vec<_> = entries.iter().map(AssignedServer::to_assignment).collect();
    for assignment in &assignments {
        let environment = &gateway.values.environment;
        let insert = change.insert_mcp_assignment(&gateway.id, environment, assignment);
        insert.await.map_err(gone)?;
    }
    McpGatewayView::of(gateway, &assignments)
}

/// The environment, or a server, went between two looks.
fn gone(error: StoreError) -> ControlError {
    if matches!(error, StoreError::Referred) {
        return ControlError::Stale(KIND);
    }
    ControlError::of(KIND)(error)
}
