//! What can be said of a gateway, and what it is stored as.

use std::collections::BTreeSet;

use bailiwick_model::McpCatalogEntryId;
use bailiwick_model::limits::{
    MCP_ASSIGNED_TOOL_CHARS, MCP_ASSIGNED_TOOLS, MCP_ENTRIES_OF_ENVIRONMENT,
    MCP_GATEWAY_INSTRUCTIONS_CHARS, MCP_GATEWAY_TITLE_CHARS,
};
use bailiwick_store::{McpAssignment, StoreError};
use serde::{Deserialize, Serialize};

use crate::error::ControlError;
use crate::names::problem;

/// Which servers of its environment a gateway has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum McpGatewayAccess {
    /// Those that it names.
    #[default]
    Explicit,
    /// All, also those that come later.
    AllTools,
}

/// What tools are called in a gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum McpGatewayNaming {
    /// `server__tool`.
    #[default]
    Joined,
    /// As their server calls them, of which there is one. Bailiwick's own servers are not there then.
    Own,
}

/// What of a gateway is neither its name, nor where it belongs, nor which servers it names; in the form in which it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpGatewayConfig {
    /// Which servers it has.
    #[serde(default)]
    pub access: McpGatewayAccess,
    /// What their tools are called.
    #[serde(default)]
    pub naming: McpGatewayNaming,
    /// What clients show people.
    #[serde(default)]
    pub title: Option<String>,
    /// What models are told of it.
    #[serde(default)]
    pub instructions: Option<String>,
}

/// A server that a gateway names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignedServer {
    /// Which.
    pub entry_id: McpCatalogEntryId,
    /// Of its tools, these, and neither its resources nor its prompts; all it has if there is no list.
    #[serde(default)]
    pub tools: Option<BTreeSet<String>>,
}

impl McpGatewayConfig {
    pub(crate) fn stored(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text).map_err(|_| StoreError::Corrupt { column: "config" })
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts")
    }

    pub(super) fn check(&self, entries: &[AssignedServer]) -> Result<(), ControlError> {
        let is_longer = |text: &Option<String>, most| {
            text.as_ref()
                .is_some_and(|text| text.chars().count() > most)
        };
        let too_long = |field: &str, most: usize| {
            let message = format!("has more than {most} characters");
            Err(problem(field, "too_long", &message, "write less"))
        };
        if is_longer(&self.title, MCP_GATEWAY_TITLE_CHARS) {
            return too_long("title", MCP_GATEWAY_TITLE_CHARS);
        }
        if is_longer(&self.instructions, MCP_GATEWAY_INSTRUCTIONS_CHARS) {
            return too_long("instructions", MCP_GATEWAY_INSTRUCTIONS_CHARS);
        }
        if self.access == McpGatewayAccess::AllTools && !entries.is_empty() {
            let message = "a gateway with all tools of its environment names no servers";
            let help = "leave `entries` out, or set `access` to explicit";
            return Err(problem("entries", "all_tools", message, help));
        }
        let has_one = self.access == McpGatewayAccess::Explicit && entries.len() <= 1;
        if self.naming == McpGatewayNaming::Own && !has_one {
            let message = "tools keep their own names only where the gateway names one server";
            let help = "name one server, or set `naming` to joined";
            return Err(problem("naming", "own_names", message, help));
        }
        Ok(())
    }
}

impl AssignedServer {
    pub(super) fn stored(assignment: &McpAssignment) -> Result<Self, StoreError> {
        Ok(Self {
            entry_id: assignment.entry.clone(),
            tools: named_tools(&assignment.tools)?,
        })
    }

    pub(super) fn to_assignment(&self) -> McpAssignment {
        let tools = self.tools.as_ref();
        let text = tools.map(|tools| serde_json::to_string(tools).expect("texts"));
        McpAssignment {
            entry: self.entry_id.clone(),
            tools: text.unwrap_or_default(),
        }
    }
}

/// Which tools an assignment names, if it does.
pub(crate) fn named_tools(stored: &str) -> Result<Option<BTreeSet<String>>, StoreError> {
    if stored.is_empty() {
        return Ok(None);
    }
    let tools = serde_json::from_str(stored);
    tools
        .map(Some)
        .map_err(|_| StoreError::Corrupt { column: "tools" })
}

/// Whether these servers can be named.
pub(super) fn check_entries(entries: &[AssignedServer]) -> Result<(), ControlError> {
    if entries.len() > MCP_ENTRIES_OF_ENVIRONMENT {
        let message = format!("names more than {MCP_ENTRIES_OF_ENVIRONMENT} servers");
        return Err(problem("entries", "too_many", &message, "name fewer"));
    }
    let mut known = BTreeSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let field = format!("entries[{index}]");
        if !known.insert(&entry.entry_id) {
            let message = "names a server that was named before";
            return Err(problem(&field, "twice", message, "name it once"));
        }
        let tools = entry.tools.iter().flatten();
        let is_longer = |tool: &String| tool.chars().count() > MCP_ASSIGNED_TOOL_CHARS;
        if tools.clone().count() > MCP_ASSIGNED_TOOLS || tools.clone().any(is_longer) {
            let message = format!(
                "names more than {MCP_ASSIGNED_TOOLS} tools, or one with more than {MCP_ASSIGNED_TOOL_CHARS} characters"
            );
            let help = "leave `tools` out for all of them";
            return Err(problem(&field, "too_many", &message, help));
        }
    }
    Ok(())
}
