//! Tools of an agent: those that are built in, those of its MCP servers, and those that its client runs.

use std::collections::BTreeSet;

use bailiwick_model::limits;
use serde::Serialize;

use super::custom::CustomTool;
use super::servers::McpServer;
use super::web::{UrlSource, WebFetch, WebSearch};
use crate::request::{Fields, Place, Reader};

/// One tool, or a set of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum Tool {
    /// The tools that are built in.
    #[serde(rename = "agent_toolset_20260401")]
    BuiltIn(BuiltInToolset),
    /// The tools of an MCP server.
    #[serde(rename = "mcp_toolset")]
    Mcp(McpToolset),
    /// A tool that the client runs.
    #[serde(rename = "custom")]
    Custom(CustomTool),
}

/// The tools that are built in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuiltInToolset {
    /// Those that differ from the rest.
    pub configs: Vec<BuiltInConfig>,
    /// The rest.
    pub default_config: ToolDefaults,
}

/// The tools of an MCP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct McpToolset {
    /// Which server's.
    pub mcp_server_name: String,
    /// Those that differ from the rest.
    pub configs: Vec<McpConfig>,
    /// The rest.
    pub default_config: ToolDefaults,
}

/// What holds for a tool that nothing else is said of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ToolDefaults {
    /// Whether the agent has it.
    pub enabled: bool,
    /// Whether a call of it waits for somebody.
    pub permission_policy: PermissionPolicy,
}

/// One built-in tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuiltInConfig {
    /// Which.
    pub name: BuiltInTool,
    /// The same again.
    #[serde(rename = "type")]
    pub kind: BuiltInTool,
    /// Resolved.
    #[serde(flatten)]
    pub settings: ToolDefaults,
    /// Of `web_fetch`.
    #[serde(flatten)]
    pub web_fetch: Option<WebFetch>,
    /// Of `web_search`.
    #[serde(flatten)]
    pub web_search: Option<WebSearch>,
}

/// One tool of an MCP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct McpConfig {
    /// Which.
    pub name: String,
    /// Resolved.
    #[serde(flatten)]
    pub settings: ToolDefaults,
}

/// Whether a call of a tool waits for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PermissionPolicy {
    /// It does not.
    AlwaysAllow,
    /// It does.
    AlwaysAsk,
    /// The server judges each call.
    Auto,
}

/// A built-in tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the wire's words")]
pub enum BuiltInTool {
    Bash,
    Read,
    Write,
    Edit,
    Glob,
    Grep,
    WebFetch,
    WebSearch,
}

/// What of a toolset's configurations is read before its tools.
struct Head<'a> {
    defaults: Option<Place<'a>>,
    configs: Option<Place<'a>>,
}

pub(crate) const POLICIES: &[(&str, PermissionPolicy)] = &[
    ("always_allow", PermissionPolicy::AlwaysAllow),
    ("always_ask", PermissionPolicy::AlwaysAsk),
    ("auto", PermissionPolicy::Auto),
];
pub(crate) const BUILT_IN: &[(&str, BuiltInTool)] = &[
    ("bash", BuiltInTool::Bash),
    ("read", BuiltInTool::Read),
    ("write", BuiltInTool::Write),
    ("edit", BuiltInTool::Edit),
    ("glob", BuiltInTool::Glob),
    ("grep", BuiltInTool::Grep),
    ("web_fetch", BuiltInTool::WebFetch),
    ("web_search", BuiltInTool::WebSearch),
];

/// All of them.
pub const BUILT_IN_TOOLS: [BuiltInTool; 8] = [
    BuiltInTool::Bash,
    BuiltInTool::Read,
    BuiltInTool::Write,
    BuiltInTool::Edit,
    BuiltInTool::Glob,
    BuiltInTool::Grep,
    BuiltInTool::WebFetch,
    BuiltInTool::WebSearch,
];

impl BuiltInTool {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Read => "read",
            Self::Write => "write",
            Self::Edit => "edit",
            Self::Glob => "glob",
            Self::Grep => "grep",
            Self::WebFetch => "web_fetch",
            Self::WebSearch => "web_search",
        }
    }
}

impl Tool {
    fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        #[derive(Clone, Copy)]
        enum Kind {
            BuiltIn,
            Mcp,
            Custom,
        }
        const KINDS: &[(&str, Kind)] = &[
            ("agent_toolset_20260401", Kind::BuiltIn),
            ("mcp_toolset", Kind::Mcp),
            ("custom", Kind::Custom),
        ];
        if !place.value.is_object() {
            return reader.object(place, |_, _| None);
        }
        // The fields depend on the type, so what else there is cannot be judged without it.
        let Some(kind) = place.value.get("type").filter(|kind| !kind.is_null()) else {
            let path = format!("{}.type", place.path);
            let message = "`type` is needed";
            let help = "add `type`: agent_toolset_20260401, mcp_toolset or custom";
            reader.refuse(&path, "missing_field", message, help);
            return None;
        };
        let path = format!("{}.type", place.path);
        let kind = reader.word(&Place { value: kind, path }, KINDS)?;
        reader.object(place, |reader, fields| {
            let _ = fields.take("type");
            match kind {
                Kind::BuiltIn => BuiltInToolset::read(reader, fields).map(Self::BuiltIn),
                Kind::Mcp => McpToolset::read(reader, fields).map(Self::Mcp),
                Kind::Custom => CustomTool::read(reader, fields).map(Self::Custom),
            }
        })
    }

    /// For how many it counts.
    fn count(&self) -> usize {
        match self {
            Self::BuiltIn(set) => set.configs.len().max(1),
            Self::Mcp(set) => set.configs.len().max(1),
            Self::Custom(_) => 1,
        }
    }

    /// What there may be one of.
    fn key(&self) -> String {
        match self {
            Self::BuiltIn(_) => "agent_toolset_20260401".to_owned(),
            Self::Mcp(set) => format!("the toolset of {:?}", set.mcp_server_name),
            Self::Custom(tool) => format!("the tool {:?}", tool.name),
        }
    }
}

impl<'a> Head<'a> {
    fn take(fields: &mut Fields<'a>) -> Self {
        Self {
            defaults: fields.take("default_config"),
            configs: fields.take("configs"),
        }
    }

    /// The defaults, and the places of the configurations.
    fn read(
        self,
        reader: &mut Reader,
        policy: PermissionPolicy,
    ) -> Option<(ToolDefaults, Vec<Place<'a>>)> {
        let otherwise = ToolDefaults {
            enabled: true,
            permission_policy: policy,
        };
        let defaults = match self.defaults {
            Some(place) => reader.object(&place, |reader, fields| {
                ToolDefaults::read(reader, fields, otherwise)
            })?,
            None => otherwise,
        };
        let configs = match self.configs {
            Some(place) => reader.list(&place, 0..=limits::AGENT_TOOLS)?,
            None => Vec::new(),
        };
        Some((defaults, configs))
    }
}

impl ToolDefaults {
    fn read(reader: &mut Reader, fields: &mut Fields<'_>, otherwise: Self) -> Option<Self> {
        let (enabled, policy) = (fields.take("enabled"), fields.take("permission_policy"));
        Some(Self {
            enabled: match enabled {
                Some(place) => reader.boolean(&place)?,
                None => otherwise.enabled,
            },
            permission_policy: match policy {
                Some(place) => policy_of(reader, &place)?,
                None => otherwise.permission_policy,
            },
        })
    }
}

fn policy_of(reader: &mut Reader, place: &Place<'_>) -> Option<PermissionPolicy> {
    reader.object(place, |reader, fields| {
        let kind = fields.required(reader, "type")?;
        reader.word(&kind, POLICIES)
    })
}

impl BuiltInToolset {
    fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Self> {
        let head = Head::take(fields);
        let (default_config, places) = head.read(reader, PermissionPolicy::AlwaysAllow)?;
        let configs = reader.each(&places, |reader, place| {
            BuiltInConfig::read(reader, place, default_config)
        })?;
        let path = |index: usize| format!("{}.name", places[index].path);
        reader.distinct(path, configs.iter().map(|config| config.name.name()));
        Some(Self {
            configs,
            default_config,
        })
    }
}

impl BuiltInConfig {
    fn read(reader: &mut Reader, place: &Place<'_>, defaults: ToolDefaults) -> Option<Self> {
        reader.object(place, |reader, fields| {
            let (name, kind) = (fields.required(reader, "name"), fields.take("type"));
            let name = name.and_then(|place| reader.word(&place, BUILT_IN));
            let settings = ToolDefaults::read(reader, fields, defaults);
            let web_fetch = match name {
                Some(BuiltInTool::WebFetch) => Some(WebFetch::read(reader, fields)?),
                Some(_) | None => None,
            };
            let web_search = match name {
                Some(BuiltInTool::WebSearch) => Some(WebSearch::read(reader, fields)?),
                Some(_) | None => None,
            };
            let name = name?;
            if let Some(kind) = kind {
                reader.word(&kind, &[(name.name(), ())])?;
            }
            Some(Self {
                name,
                kind: name,
                settings: settings?,
                web_fetch,
                web_search,
            })
        })
    }
}

impl McpToolset {
    fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Self> {
        let server = fields.required(reader, "mcp_server_name");
        let head = Head::take(fields);
        let (default_config, places) = head.read(reader, PermissionPolicy::AlwaysAsk)?;
        let configs = reader.each(&places, |reader, place| {
            McpConfig::read(reader, place, default_config)
        })?;
        let path = |index: usize| format!("{}.name", places[index].path);
        reader.distinct(path, configs.iter().map(|config| config.name.as_str()));
        let name = reader.name(&server?, 1..=limits::MCP_SERVER_NAME_CHARS)?;
        Some(Self {
            mcp_server_name: name.to_owned(),
            configs,
            default_config,
        })
    }
}

impl McpConfig {
    fn read(reader: &mut Reader, place: &Place<'_>, defaults: ToolDefaults) -> Option<Self> {
        reader.object(place, |reader, fields| {
            let name = fields.required(reader, "name");
            let settings = ToolDefaults::read(reader, fields, defaults);
            Some(Self {
                name: reader.name(&name?, 1..=limits::TOOL_NAME_CHARS)?.to_owned(),
                settings: settings?,
            })
        })
    }
}

/// Reads all tools. `None` only where some are refused.
pub(super) fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Vec<Tool>> {
    let places = reader.list(place, 0..=limits::AGENT_TOOLS)?;
    let tools = reader.each(&places, Tool::read)?;
    let count: usize = tools.iter().map(Tool::count).sum();
    if count > limits::AGENT_TOOLS {
        let most = limits::AGENT_TOOLS;
        let message =
            format!("an agent has at most {most} tools over all toolsets, this one {count}");
        reader.refuse(&place.path, "too_much", message, "leave some out");
    }
    reader.distinct(
        |index| places[index].path.clone(),
        tools.iter().map(Tool::key),
    );
    match_sources(reader, &tools);
    Some(tools)
}

/// Every server is used by a toolset, and every toolset has its server.
pub(super) fn match_servers(reader: &mut Reader, tools: &[Tool], servers: &[McpServer]) {
    let declared: BTreeSet<_> = servers.iter().map(McpServer::name).collect();
    let mut used = BTreeSet::new();
    for (index, tool) in tools.iter().enumerate() {
        let Tool::Mcp(set) = tool else { continue };
        used.insert(set.mcp_server_name.as_str());
        if !declared.contains(set.mcp_server_name.as_str()) {
            let path = format!("tools[{index}].mcp_server_name");
            let message = format!("there is no MCP server {:?}", set.mcp_server_name);
            let help = "add it to `mcp_servers`, or remove the toolset";
            reader.refuse(&path, "unknown_mcp_server", message, help);
        }
    }
    for (index, server) in servers.iter().enumerate() {
        if !used.contains(server.name()) {
            let path = format!("mcp_servers[{index}].name");
            let message = format!("no toolset uses the MCP server {:?}", server.name());
            let help = "add an `mcp_toolset` with its name to `tools`, or remove the server";
            reader.refuse(&path, "unused_mcp_server", message, help);
        }
    }
}

/// A source of URLs that is made of custom tools names tools that there are.
fn match_sources(reader: &mut Reader, tools: &[Tool]) {
    let custom = |tool| match tool {
        &Tool::Custom(CustomTool { ref name, .. }) => Some(name.as_str()),
        Tool::BuiltIn(_) | Tool::Mcp(_) => None,
    };
    let custom: BTreeSet<_> = tools.iter().filter_map(custom).collect();
    for (set_index, tool) in tools.iter().enumerate() {
        let Tool::BuiltIn(set) = tool else { continue };
        for (index, config) in set.configs.iter().enumerate() {
            let sources = config
                .web_fetch
                .as_ref()
                .and_then(|web| web.url_sources.as_ref());
            let results = sources.and_then(|sources| sources.client_tool_results.as_ref());
            let named = results.map_or(&[][..], UrlSource::tools).iter().enumerate();
            for (at, _) in named.filter(|(_, tool)| !custom.contains(tool.name.as_str())) {
                let path = format!(
                    "tools[{set_index}].configs[{index}].url_sources.client_tool_results.tools[{at}].name"
                );
                let message = "there is no such custom tool";
                reader.refuse(&path, "unknown_tool", message, "add it to `tools`");
            }
        }
    }
}
