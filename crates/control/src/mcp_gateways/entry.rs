//! One server of the catalog, for whoever administers it: what it has, and how it is if it runs here.

use std::sync::Arc;

use bailiwick_mcp::{Joined, McpError, Talk, View as _, ViewError, ViewRequest};
use bailiwick_model::{McpCatalogEntryId, Permission, ResourceId as _};
use bailiwick_store::McpCatalogEntry;
use serde_json::Value;

use super::backing::Look;
use super::door::look_at;
use super::serving::McpGateways;
use super::view::members;
use crate::caller::Caller;
use crate::error::ControlError;
use crate::hosted_servers::{HostedCondition, HostedState};
use crate::mcp_catalog::{self, McpServerConfig};
use crate::mcp_matching::Matched;
use crate::names::problem;

/// How a server of the catalog is that runs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpEntryState {
    /// How.
    pub condition: HostedCondition,
    /// How often in a row it has failed.
    pub failures: u32,
    /// The last that it printed, and what happened to it, the oldest first.
    pub log: Vec<String>,
}

impl McpEntryState {
    /// Of one that nobody has used yet.
    fn unused() -> Self {
        Self {
            condition: HostedCondition::Stopped,
            failures: 0,
            log: Vec::new(),
        }
    }
}

impl From<HostedState> for McpEntryState {
    fn from(state: HostedState) -> Self {
        Self {
            condition: state.condition,
            failures: state.failures,
            log: state.log,
        }
    }
}

impl McpGateways {
    /// What a server of the catalog has, as a gateway of its environment would list it: the fields of `tools/list`. One that runs here is started
    /// for it, and where it does not start the end of its log is told, so reading the catalog is not enough for those.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::McpServer`] if it cannot be asked, or does not answer, and what every use case may answer.
    pub async fn mcp_entry_tools(
        self: &Arc<Self>,
        caller: &Caller,
        id: &McpCatalogEntryId,
    ) -> Result<Vec<Value>, ControlError> {
        caller.require(Permission::McpCatalogRead)?;
        let entry = self.entry(caller, id).await?;
        match McpServerConfig::stored(&entry.values.config)? {
            McpServerConfig::Remote { .. } => {}
            McpServerConfig::SelfHosted(_) => caller.require(Permission::McpCatalogWrite)?,
        }
        let organization = &caller.organization;
        let door = look_at(&self.control, organization, Matched::one(entry)?).await?;
        let door = Arc::new(door);
        let backing = Look {
            gateways: Arc::clone(self),
            door: Arc::clone(&door),
        };
        let joined = Joined::new(members(&door), door.naming(), door.greeting(), backing);
        let joined = joined.map_err(|_| crate::environments::corrupt("config"))?;
        let listed = all_tools(&joined).await;
        joined.end().await;
        listed.map_err(|error| ControlError::McpServer(door.explained(error).to_string()))
    }

    /// How a server of the catalog is that runs on this server of Bailiwick, with the last of its log. What it printed may be anything, so
    /// reading the catalog is not enough.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Invalid`] of one that runs somewhere else, and what every use case may answer.
    pub async fn mcp_entry_state(
        &self,
        caller: &Caller,
        id: &McpCatalogEntryId,
    ) -> Result<McpEntryState, ControlError> {
        caller.require(Permission::McpCatalogWrite)?;
        let entry = self.entry(caller, id).await?;
        match McpServerConfig::stored(&entry.values.config)? {
            McpServerConfig::Remote { .. } => {
                let message = "is a server at a URL: nothing of it runs here";
                let help = "ask whoever runs it, or list its tools to see whether it answers";
                Err(problem("id", "not_self_hosted", message, help))
            }
            McpServerConfig::SelfHosted(_) => {
                let hosted = self.hosted.as_ref();
                let known = hosted.and_then(|it| it.state(&caller.organization, id.as_str()));
                Ok(known.map_or_else(McpEntryState::unused, McpEntryState::from))
            }
        }
    }

    async fn entry(
        &self,
        caller: &Caller,
        id: &McpCatalogEntryId,
    ) -> Result<McpCatalogEntry, ControlError> {
        let scope = self.control.store.scope(&caller.organization);
        let found = scope.mcp_catalog_entry(id).await?;
        found.ok_or(ControlError::NotFound(mcp_catalog::KIND))
    }
}

/// All pages, as far as they go.
async fn all_tools(joined: &Joined<Look>) -> Result<Vec<Value>, ViewError> {
    let (mut tools, mut cursor) = (Vec::new(), None);
    loop {
        let page = joined
            .ask(ViewRequest::Tools { cursor }, &Talk::silent())
            .await?;
        let mut page: Value = serde_json::from_slice(&page).map_err(|_| ViewError::NotOffered)?;
        if let Some(missing) = page["_meta"]["bailiwick/missing"][0]["error"].as_str() {
            return Err(ViewError::Failed {
                server: String::new(),
                error: Arc::new(McpError::NotAsked(missing.to_owned())),
            });
        }
        if let Value::Array(some) = page["tools"].take() {
            tools.extend(some);
        }
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(tools);
        }
    }
}
