//! What the control plane offers as tools.

use bailiwick_model::Permission;
use bailiwick_model::limits::CONTROL_PLANE_TOOLS_FOUND;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::knowledge::KnowledgeTool;
use crate::mcp_matching::Matched;

/// A tool of the control plane. All of them read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    EnvironmentList,
    EnvironmentGet,
    Explain,
    CatalogList,
    SessionList,
    SessionGet,
    LimitList,
    Usage,
    FlowList,
    SearchTools,
    SearchKnowledge,
}

impl Tool {
    const ALL: [Self; 11] = [
        Self::EnvironmentList,
        Self::EnvironmentGet,
        Self::Explain,
        Self::CatalogList,
        Self::SessionList,
        Self::SessionGet,
        Self::LimitList,
        Self::Usage,
        Self::FlowList,
        Self::SearchTools,
        Self::SearchKnowledge,
    ];

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::EnvironmentList => "environment_list",
            Self::EnvironmentGet => "environment_get",
            Self::Explain => "explain",
            Self::CatalogList => "catalog_list",
            Self::SessionList => "session_list",
            Self::SessionGet => "session_get",
            Self::LimitList => "limit_list",
            Self::Usage => "usage",
            Self::FlowList => "flow_list",
            Self::SearchTools => "search_tools",
            Self::SearchKnowledge => KnowledgeTool::NAME,
        }
    }

    /// That of the use case behind it; none of what is told of the gateway itself and of what its environment knows, which needs no more than the
    /// gateway does: so do the tools of its other servers.
    pub(super) fn permission(self) -> Option<Permission> {
        Some(match self {
            Self::EnvironmentList | Self::EnvironmentGet | Self::Explain => {
                Permission::EnvironmentRead
            }
            Self::CatalogList => Permission::McpCatalogRead,
            Self::SessionList | Self::SessionGet | Self::FlowList => Permission::SessionRead,
            Self::LimitList => Permission::LimitRead,
            Self::Usage => Permission::UsageRead,
            Self::SearchTools | Self::SearchKnowledge => return None,
        })
    }

    /// Whether somebody who may use a gateway is served it; where nothing is known there is nothing to search.
    pub(super) fn is_for(self, caller: &Caller, matched: &Matched) -> bool {
        let is_let = |wanted| caller.permissions().allow(wanted);
        let is_there = self != Self::SearchKnowledge || matched.has_knowledge();
        is_there && self.permission().is_none_or(is_let)
    }

    fn description(self) -> &'static str {
        match self {
            Self::EnvironmentList => "The environment that this gateway belongs to.",
            Self::EnvironmentGet => {
                "An environment by its id: its name, and which network policy holds in it."
            }
            Self::Explain => {
                "Whether this environment may reach a destination, why, and what would change that. Nothing is contacted."
            }
            Self::CatalogList => "The MCP servers of this environment.",
            Self::SessionList => "The newest sessions in this environment.",
            Self::SessionGet => {
                "A session in this environment: what it is doing and what it has used."
            }
            Self::LimitList => "Limits of spending in this environment, and what is spent of them.",
            Self::Usage => "What was used in this environment in the last days, by model.",
            Self::FlowList => {
                "What was tried to be reached from this environment, the oldest first, after a number."
            }
            Self::SearchTools => {
                "Tools of this gateway that have some of these words in their names or descriptions, the best first, each with what it takes."
            }
            Self::SearchKnowledge => KnowledgeTool::DESCRIPTION,
        }
    }

    fn input(self) -> Value {
        let nothing = json!({"type": "object", "properties": {}, "additionalProperties": false});
        let one = |name: &str, about: &str| {
            json!({
                "type": "object",
                "properties": {name: {"type": "string", "description": about}},
                "required": [name],
                "additionalProperties": false,
            })
        };
        match self {
            Self::EnvironmentList | Self::CatalogList | Self::SessionList | Self::LimitList => {
                nothing
            }
            Self::EnvironmentGet => one("environment_id", "Its id."),
            Self::Explain => one("destination", "HOST or HOST:PORT."),
            Self::SessionGet => one("session_id", "Its id."),
            Self::Usage => json!({
                "type": "object",
                "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 365, "description": "How many days [default: 30]."}},
                "additionalProperties": false,
            }),
            Self::SearchTools => json!({
                "type": "object",
                "properties": {
                    "query": {"type": "string", "minLength": 1, "description": "Words to look for."},
                    "limit": {"type": "integer", "minimum": 1, "maximum": CONTROL_PLANE_TOOLS_FOUND, "description": "How many, at most."},
                },
                "required": ["query"],
                "additionalProperties": false,
            }),
            Self::SearchKnowledge => KnowledgeTool::input_schema(),
            Self::FlowList => json!({
                "type": "object",
                "properties": {
                    "after": {"type": "integer", "minimum": 0, "description": "The number of the last flow that was seen [default: 0]."},
                    "verdict": {"type": "string", "enum": ["allow", "deny"]},
                },
                "additionalProperties": false,
            }),
        }
    }

    /// `tools/list`, before it is judged.
    pub(super) fn list() -> Value {
        let shown = |tool: Self| {
            json!({
                "name": tool.name(),
                "description": tool.description(),
                "inputSchema": tool.input(),
                "annotations": {"readOnlyHint": true, "openWorldHint": false},
            })
        };
        json!({"tools": Self::ALL.map(shown)})
    }
}
