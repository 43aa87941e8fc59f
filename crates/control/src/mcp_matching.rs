//! What belongs to an environment, for whoever is served in it. Whatever is listed, called, read or prompted by way of a gateway is asked for here,
//! before it is listed and again before it is used; there is no other place that says so, and none that does without an environment.
//!
//! Bailiwick's own servers are exempt, by their kind: no entry can have their names, and no URL leads to them. Each of their tools asks a use case,
//! with its caller's permissions and for this environment alone.

use std::collections::BTreeSet;

use bailiwick_mcp::{Item, ServerName, Verdict};
use bailiwick_model::limits::MCP_ENTRIES_OF_ENVIRONMENT;
use bailiwick_model::{EnvironmentId, McpGatewayId};
use bailiwick_store::{EnvironmentScope, McpCatalogEntry};

use crate::environments::corrupt;
use crate::error::ControlError;
use crate::mcp_catalog::McpServerConfig;
use crate::mcp_gateways::{McpGatewayAccess, named_tools};

/// What of an environment is served to somebody, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matched {
    environment: EnvironmentId,
    servers: Vec<MatchedServer>,
    has_knowledge: bool,
}

/// An MCP server that is in the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MatchedServer {
    pub(crate) entry: McpCatalogEntry,
    pub(crate) name: ServerName,
    pub(crate) config: McpServerConfig,
    /// Of its tools, these; all it has if there is no list.
    pub(crate) tools: Option<BTreeSet<String>>,
}

impl Matched {
    /// What a gateway has of the environment.
    pub(crate) async fn of_gateway(
        scope: EnvironmentScope<'_>,
        gateway: &McpGatewayId,
        access: McpGatewayAccess,
    ) -> Result<Self, ControlError> {
        let limit = MCP_ENTRIES_OF_ENVIRONMENT;
        let has_knowledge = scope.has_knowledge().await?;
        let found = match access {
            McpGatewayAccess::Explicit => scope.assigned_mcp_servers(gateway, limit).await?,
            McpGatewayAccess::AllTools => {
                let all = scope.mcp_servers(limit).await?.into_iter();
                all.map(|entry| (entry, String::new())).collect()
            }
        };
        let servers = found.into_iter().map(|(entry, tools)| {
            let tools = named_tools(&tools)?;
            MatchedServer::of(entry, tools)
        });
        Ok(Self {
            environment: scope.environment().clone(),
            servers: servers.collect::<Result<_, _>>()?,
            has_knowledge,
        })
    }

    /// One server of the environment, for whoever administers it.
    pub(crate) fn one(entry: McpCatalogEntry) -> Result<Self, ControlError> {
        Ok(Self {
            environment: entry.values.environment.clone(),
            servers: vec![MatchedServer::of(entry, None)?],
            has_knowledge: false,
        })
    }

    /// Of which environment it is.
    pub(crate) fn environment(&self) -> &EnvironmentId {
        &self.environment
    }

    /// Whether a knowledge connector is in the environment: where none is, there is nothing to search.
    pub(crate) fn has_knowledge(&self) -> bool {
        self.has_knowledge
    }

    pub(crate) fn servers(&self) -> &[MatchedServer] {
        &self.servers
    }

    /// The server of this name, if there is one.
    pub(crate) fn server(&self, name: &ServerName) -> Option<&MatchedServer> {
        self.servers.iter().find(|server| server.name == *name)
    }

    /// Whether a thing of a server is served.
    pub(crate) fn judge(&self, name: &ServerName, item: Item<'_>) -> Verdict {
        self.server(name)
            .map_or(Verdict::Hidden, |server| server.judge(item))
    }
}

impl MatchedServer {
    fn of(entry: McpCatalogEntry, tools: Option<BTreeSet<String>>) -> Result<Self, ControlError> {
        let name = entry.values.name.parse().map_err(|_| corrupt("name"))?;
        let config = McpServerConfig::stored(&entry.values.config)?;
        Ok(Self {
            entry,
            name,
            config,
            tools,
        })
    }

    /// Whoever names tools gives those alone.
    fn judge(&self, item: Item<'_>) -> Verdict {
        let Some(tools) = &self.tools else {
            return Verdict::Served;
        };
        match item {
            Item::Tool(tool) if tools.contains(tool) => Verdict::Served,
            Item::Tool(_) | Item::Prompt(_) | Item::Resource(_) | Item::Template(_) => {
                Verdict::Hidden
            }
        }
    }
}
