//! The private registry: MCP servers, each in one environment.

mod hosted;
mod server;

use bailiwick_mcp::ServerName;
use bailiwick_model::limits::{MCP_CATALOG_ENTRIES, MCP_ENTRIES_OF_ENVIRONMENT};
use bailiwick_model::{EnvironmentId, McpCatalogEntryId, Permission, ResourceId as _, VaultId};
use bailiwick_outbound::HttpUrl;
use bailiwick_policy::{Policy, SessionGrants};
use bailiwick_store::{
    Change, Environment, McpCatalogEntry, McpCatalogEntryValues, Page, PageRequest, StoreError,
};
use bailiwick_wire::FieldProblem;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::conflicts::{Conflict, ConflictKind, OnConflict};
use crate::control::Control;
use crate::environments::own_policy;
use crate::error::ControlError;
use crate::names::problem;
use crate::organizations::Policies;
use crate::{clock, fresh};

pub(crate) use hosted::NoHostedServer;
pub use server::{CommandTransport, HostedCommand, McpServerConfig, SecretVariable};
pub(crate) use server::{denial, server_url};

/// What the errors call it.
pub(crate) const KIND: &str = "MCP catalog entry";
/// What the audit log calls it.
const RESOURCE: &str = "mcp_catalog_entry";
/// What servers of Bailiwick's own are called in gateways.
pub(crate) const BUILT_IN: [&str; 2] = ["bailiwick", "playwright"];

/// An entry that is to be.
#[derive(Debug, Clone)]
pub struct NewMcpEntryRequest {
    /// What gateways call it.
    pub name: String,
    /// Where it belongs.
    pub environment: EnvironmentId,
    /// Where it is, or how it is run.
    pub server: McpServerConfig,
    /// Whose credential for its URL is used.
    pub vault: Option<VaultId>,
}

/// What of an entry is to change: what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct McpEntryChange {
    /// What gateways call it.
    pub name: Option<String>,
    /// Where it belongs.
    pub environment: Option<EnvironmentId>,
    /// Where it is, or how it is run.
    pub server: Option<McpServerConfig>,
    /// Whose credential is used; `Some(None)` is nobody's.
    pub vault: Option<Option<VaultId>>,
    /// What becomes of what stands in the way of a move.
    pub on_conflict: OnConflict,
    /// Only if it is at this version.
    pub version: Option<i64>,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpEntryView {
    /// As it is stored.
    pub entry: McpCatalogEntry,
    /// Where it is, or how it is run.
    pub server: McpServerConfig,
}

impl McpEntryView {
    pub(crate) fn of(entry: McpCatalogEntry) -> Result<Self, ControlError> {
        Ok(Self {
            server: McpServerConfig::stored(&entry.values.config)?,
            entry,
        })
    }

    /// For the audit log. Variables may be anything, so only their names are in it.
    fn evidence(&self) -> Value {
        let values = &self.entry.values;
        json!({
            "name": values.name,
            "environment_id": values.environment,
            "server": self.server.evidence(),
            "vault_id": values.vault,
        })
    }
}

impl Control {
    /// Entries, the newest first; of one environment, if one is named.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn mcp_catalog(
        &self,
        caller: &Caller,
        environment: Option<&EnvironmentId>,
        page: &PageRequest<McpCatalogEntryId>,
    ) -> Result<Page<McpEntryView, McpCatalogEntryId>, ControlError> {
        caller.require(Permission::McpCatalogRead)?;
        let scope = self.store.scope(&caller.organization);
        let found = scope.mcp_catalog(environment, page).await?;
        let items = found.items.into_iter().map(McpEntryView::of);
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next: found.next,
        })
    }

    /// One entry.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn mcp_entry(
        &self,
        caller: &Caller,
        id: &McpCatalogEntryId,
    ) -> Result<McpEntryView, ControlError> {
        caller.require(Permission::McpCatalogRead)?;
        self.stored_entry(caller, id).await
    }

    async fn stored_entry(
        &self,
        caller: &Caller,
        id: &McpCatalogEntryId,
    ) -> Result<McpEntryView, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let found = scope.mcp_catalog_entry(id).await?;
        McpEntryView::of(found.ok_or(ControlError::NotFound(KIND))?)
    }

    /// Enters a server into the catalog. A remote one has to be let by the policy of its environment, and is again at each connection.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Invalid`], [`ControlError::NameTaken`], [`ControlError::Full`],
    /// and what every use case may answer.
    pub async fn create_mcp_entry(
        &self,
        caller: &Caller,
        request: NewMcpEntryRequest,
    ) -> Result<McpEntryView, ControlError> {
        caller.require(Permission::McpCatalogWrite)?;
        let values = McpCatalogEntryValues {
            environment: request.environment,
            name: server_name(&request.name)?,
            config: request.server.to_json(),
            vault: request.vault,
        };
        let environment = self
            .environment_to_join(caller, &values.environment)
            .await?;
        self.check_entry(caller, (&values, &request.server), &environment, None)
            .await?;
        let mut change = self.change(caller, clock::now()).await?;
        has_room(&mut change, &values.environment).await?;
        let made = change.insert_mcp_catalog_entry(fresh::id(change.at()), values);
        let made = McpEntryView::of(made.await.map_err(gone)?)?;
        let about = (RESOURCE, made.entry.id.as_str());
        let is = made.evidence();
        let event = caller.event("mcp_catalog_entry.create", about, None, Some(&is));
        change.commit(&event).await?;
        self.gateways_changed();
        Ok(made)
    }

    /// Changes an entry, or moves it to another environment. Gateways that name it stand in the way of a move, or name it no more.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Archived`], [`ControlError::Invalid`], [`ControlError::NameTaken`], [`ControlError::Stale`],
    /// [`ControlError::AcrossEnvironments`], [`ControlError::Full`], and what every use case may answer.
    pub async fn update_mcp_entry(
        &self,
        caller: &Caller,
        id: &McpCatalogEntryId,
        request: McpEntryChange,
    ) -> Result<McpEntryView, ControlError> {
        caller.require(Permission::McpCatalogWrite)?;
        let before = self.stored_entry(caller, id).await?;
        if request
            .version
            .is_some_and(|version| version != before.entry.version)
        {
            return Err(ControlError::Stale(KIND));
        }
        let (values, server) = after(&before, &request)?;
        if values == before.entry.values {
            return Ok(before);
        }
        let moves = values.environment != before.entry.values.environment;
        let environment = self
            .environment_of_entry(caller, &values.environment, moves)
            .await?;
        let known = before.entry.values.vault.as_ref();
        // One that is blocked by now can be called something else, or be shown another credential.
        if moves || values.config != before.entry.values.config {
            self.check_entry(caller, (&values, &server), &environment, known)
                .await?;
        } else {
            self.check_vaults(caller, values.vault.iter(), known)
                .await?;
            if let McpServerConfig::SelfHosted(_) = server {
                no_vault(&values)?;
            }
        }
        let mut change = self.change(caller, clock::now()).await?;
        if moves {
            has_room(&mut change, &values.environment).await?;
            gateways_let_go(&mut change, id, request.on_conflict).await?;
        }
        let changed = change.update_mcp_catalog_entry(&before.entry, values);
        let changed = McpEntryView::of(changed.await.map_err(gone)?)?;
        let (was, is) = (before.evidence(), changed.evidence());
        let about = (RESOURCE, id.as_str());
        let event = caller.event("mcp_catalog_entry.update", about, Some(&was), Some(&is));
        change.commit(&event).await?;
        self.gateways_changed();
        Ok(changed)
    }

    /// Takes a server out of the catalog, and out of the gateways that name it.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn delete_mcp_entry(
        &self,
        caller: &Caller,
        id: &McpCatalogEntryId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::McpCatalogWrite)?;
        let mut change = self.change(caller, clock::now()).await?;
        let found = change.mcp_catalog_entry(id).await?;
        let before = McpEntryView::of(found.ok_or(ControlError::NotFound(KIND))?)?;
        let mut was = before.evidence();
        was["mcp_gateway_ids"] = json!(change.gateways_with_entry(id).await?);
        change.delete_mcp_catalog_entry(id).await?;
        let about = (RESOURCE, id.as_str());
        let event = caller.event("mcp_catalog_entry.delete", about, Some(&was), None);
        change.commit(&event).await?;
        self.gateways_changed();
        Ok(())
    }

    /// The environment of an entry. Whether somebody may deploy to a restricted one is asked only when the entry comes to it.
    async fn environment_of_entry(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        moves: bool,
    ) -> Result<Environment, ControlError> {
        if moves {
            return self.environment_to_join(caller, id).await;
        }
        let scope = self.store.scope(&caller.organization);
        let found = scope.environment(id).await?;
        found.ok_or(ControlError::NotFound("environment"))
    }

    /// Whether an entry can be as it is to be. Who names a vault hands on what is in it, so they have to see it; one that is named already stays.
    async fn check_entry(
        &self,
        caller: &Caller,
        (values, server): (&McpCatalogEntryValues, &McpServerConfig),
        environment: &Environment,
        known_vault: Option<&VaultId>,
    ) -> Result<(), ControlError> {
        server.check()?;
        self.check_vaults(caller, values.vault.iter(), known_vault)
            .await?;
        self.check_vaults(caller, server.vaults(), None).await?;
        match server_url(server)? {
            None => no_vault(values),
            Some(url) => self.is_let(caller, environment, &url).await,
        }
    }

    async fn check_vaults(
        &self,
        caller: &Caller,
        vaults: impl Iterator<Item = &VaultId>,
        known: Option<&VaultId>,
    ) -> Result<(), ControlError> {
        for vault in vaults.filter(|vault| Some(*vault) != known) {
            caller.require(Permission::VaultRead)?;
            let found = self.store.scope(&caller.organization).vault(vault).await?;
            let vault = found.ok_or(ControlError::NotFound("vault"))?;
            if vault.archived_at.is_some() {
                return Err(ControlError::Archived("vault"));
            }
        }
        Ok(())
    }

    /// Whether the policy of an environment lets a server be reached, by its name. What the name resolves to is asked at each connection.
    async fn is_let(
        &self,
        caller: &Caller,
        environment: &Environment,
        url: &HttpUrl,
    ) -> Result<(), ControlError> {
        let Policies { default, floor } = self.policies(caller).await?;
        let effective = bailiwick_policy::effective(own_policy(environment)?, default);
        let policy = Policy::compile(effective, &floor, &SessionGrants::none());
        let Some(decision) = denial(&policy, url) else {
            return Ok(());
        };
        Err(ControlError::Invalid(vec![FieldProblem {
            field: "url".to_owned(),
            code: decision.reason.code(),
            message: format!(
                "environment {} does not let {} be reached ({})",
                environment.values.name,
                url.destination(),
                decision.reason
            ),
            help: decision
                .hint
                .unwrap_or_else(|| "name a server that the environment may reach".to_owned()),
        }]))
    }
}

fn after(
    before: &McpEntryView,
    request: &McpEntryChange,
) -> Result<(McpCatalogEntryValues, McpServerConfig), ControlError> {
    let was = &before.entry.values;
    let server = request.server.as_ref().unwrap_or(&before.server).clone();
    let values = McpCatalogEntryValues {
        environment: request
            .environment
            .as_ref()
            .unwrap_or(&was.environment)
            .clone(),
        name: match &request.name {
            Some(text) => server_name(text)?,
            None => was.name.clone(),
        },
        config: server.to_json(),
        vault: request.vault.as_ref().unwrap_or(&was.vault).clone(),
    };
    Ok((values, server))
}

/// The name of a server: its tools are called by it, so it has few characters, and none of those of Bailiwick's own servers.
fn server_name(text: &str) -> Result<String, ControlError> {
    let name: ServerName = text.trim().parse().map_err(|why| {
        let message = format!("{why}");
        problem("name", "invalid_name", &message, "choose another one")
    })?;
    let name = name.as_str();
    if BUILT_IN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        let message = "this is what a server of Bailiwick's own is called";
        return Err(problem(
            "name",
            "reserved_name",
            message,
            "choose another one",
        ));
    }
    Ok(name.to_owned())
}

/// What runs here gets its secrets as variables.
fn no_vault(values: &McpCatalogEntryValues) -> Result<(), ControlError> {
    if values.vault.is_none() {
        return Ok(());
    }
    let message = "a self-hosted server is shown no credential";
    let help = "name the vault of each variable in `secrets`";
    Err(problem("vault_id", "no_credential", message, help))
}

/// Goes on only if there is room for one more entry, in the organization and in the environment.
async fn has_room(change: &mut Change, environment: &EnvironmentId) -> Result<(), ControlError> {
    let (all, own) = change.count_mcp_catalog(environment).await?;
    let is_full = |count: i64, limit| usize::try_from(count).unwrap_or(usize::MAX) >= limit;
    let what = "MCP servers";
    if is_full(all, MCP_CATALOG_ENTRIES) {
        let (kind, limit) = ("organization", MCP_CATALOG_ENTRIES);
        return Err(ControlError::Full { kind, what, limit });
    }
    if is_full(own, MCP_ENTRIES_OF_ENVIRONMENT) {
        let (kind, limit) = ("environment", MCP_ENTRIES_OF_ENVIRONMENT);
        return Err(ControlError::Full { kind, what, limit });
    }
    Ok(())
}

/// What stands in the way of a move of an entry: gateways that name it.
async fn gateways_let_go(
    change: &mut Change,
    id: &McpCatalogEntryId,
    on_conflict: OnConflict,
) -> Result<(), ControlError> {
    let gateways = change.gateways_with_entry(id).await?;
    if gateways.is_empty() {
        return Ok(());
    }
    match on_conflict {
        OnConflict::Refuse => Err(ControlError::AcrossEnvironments {
            kind: KIND,
            conflicts: gateways
                .iter()
                .map(|gateway| Conflict {
                    kind: ConflictKind::McpGateway,
                    id: gateway.to_string(),
                })
                .collect(),
        }),
        OnConflict::Detach => Ok(change.detach_mcp_catalog_entry(id).await?),
    }
}

/// The environment, or the vault, went between two looks; or a gateway came that names it.
fn gone(error: StoreError) -> ControlError {
    if matches!(error, StoreError::Referred) {
        return ControlError::Stale(KIND);
    }
    ControlError::of(KIND)(error)
}
