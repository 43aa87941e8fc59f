//! What a session's agent is to a model: its instructions, the tools that it is offered, and which of its calls may be made.

use std::collections::BTreeMap;

use bailiwick_llm::{
    Block, CustomTool as OfferedTool, Raw, Request, Rest, Text, Tool as Offered, Turn,
};
use bailiwick_model::limits::MODEL_OUTPUT_TOKENS;
use bailiwick_wire::{
    AgentConfig, AgentOverrides, BuiltInTool, BuiltInToolset, CustomTool, ModelConfig,
    PermissionEvaluation, PermissionPolicy, Speed, StoredAgent, Tool, ToolDefaults, WebFetch,
};
use serde_json::{Map, Value, json};

use super::history::Tool as Called;
use super::mcp_tools::{Listed, McpServerOfAgent, offers};
use crate::error::ControlError;
use crate::knowledge::KnowledgeTool;
use crate::sessions::corrupt;

/// An agent, as far as the engine goes by it.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    pub(crate) model: ModelConfig,
    system: Option<String>,
    /// The built-in tools that it has.
    built_in: BTreeMap<BuiltInTool, PermissionPolicy>,
    custom: Vec<CustomTool>,
    mcp: Vec<McpServerOfAgent>,
    /// The tools that its MCP servers have.
    pub(crate) listed: Listed,
    /// Its MCP servers that cannot be used at the moment, and why.
    unavailable: BTreeMap<String, String>,
    /// What `web_fetch` is held to, where the agent says so.
    web_fetch: Option<WebFetch>,
    /// Whether its environment knows anything that it may search.
    knowledge: Knowledge,
}

/// Whether an environment knows anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// It has connectors.
    There,
    /// It has none, and so no agent in it has a tool to search.
    Nothing,
}

/// What the agent is told first, whoever made it.
const SURROUNDINGS: &str = "You work in a sandbox that belongs to this conversation alone. It reaches what its environment allows and nothing else: \
    a denial that a tool reports is policy, and trying again does not help; say what you would need. Files that the user gave you are in \
    /mnt/session/uploads, and what you put into /mnt/session/outputs is handed to them.";

impl Agent {
    /// From what the session shows of it. It has `web_fetch` only where pages are fetched.
    pub(crate) fn of(shown: &str, fetches_pages: bool) -> Result<Self, ControlError> {
        let mut config: Map<String, Value> =
            serde_json::from_str(shown).map_err(|_| corrupt("agent"))?;
        for key in ["id", "type", "version", "multiagent"] {
            config.remove(key);
        }
        let name = config.remove("name");
        let stored = StoredAgent {
            name: name
                .as_ref()
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            config,
            metadata: Map::new(),
        };
        let read = AgentOverrides::default().apply(stored);
        let AgentConfig {
            model,
            system,
            tools,
            mcp_servers,
            ..
        } = read.map_err(|_| corrupt("agent"))?.config;
        let mut agent = Self {
            model,
            system,
            built_in: BTreeMap::new(),
            custom: Vec::new(),
            mcp: Vec::new(),
            listed: Listed::default(),
            unavailable: BTreeMap::new(),
            web_fetch: None,
            knowledge: Knowledge::Nothing,
        };
        for tool in tools {
            match tool {
                Tool::BuiltIn(toolset) => {
                    agent.built_in = enabled(&toolset, fetches_pages);
                    let mut configs = toolset.configs.into_iter();
                    agent.web_fetch = configs.find_map(|config| config.web_fetch);
                }
                Tool::Custom(custom) => agent.custom.push(custom),
                Tool::Mcp(toolset) => {
                    let server = McpServerOfAgent::of(toolset, &mcp_servers);
                    agent.mcp.push(server.ok_or_else(|| corrupt("agent"))?);
                }
            }
        }
        Ok(agent)
    }

    /// The same in an environment that knows something, or nothing.
    pub(crate) fn knowing(self, knowledge: Knowledge) -> Self {
        Self { knowledge, ..self }
    }

    /// Whether it has the tool that searches. A tool of its own, or of an MCP server, that is called the same stands in its place.
    fn searches(&self) -> bool {
        let is_taken = self
            .custom
            .iter()
            .any(|tool| tool.name == KnowledgeTool::NAME)
            || offers(&self.mcp, &self.listed).any(|offered| offered.name == KnowledgeTool::NAME);
        match self.knowledge {
            Knowledge::There => !is_taken,
            Knowledge::Nothing => false,
        }
    }

    /// Whether it has `web_fetch`, and what that is held to.
    pub(crate) fn web_fetch(&self) -> Option<Option<&WebFetch>> {
        let has_it = self.built_in.contains_key(&BuiltInTool::WebFetch);
        has_it.then_some(self.web_fetch.as_ref())
    }

    /// Asks the model what comes next in a conversation, by its upstream's name for it.
    pub(crate) fn request(
        &self,
        model: &str,
        messages: Vec<Turn>,
    ) -> Result<Request, ControlError> {
        let mut request = Request::new(model, MODEL_OUTPUT_TOKENS, messages);
        request.system = self.instructions();
        request.tools = self.offered()?;
        let effort = serde_json::to_value(self.model.effort).map_err(|_| corrupt("agent"))?;
        if let Some(effort) = effort.get("type").filter(|effort| *effort != "high") {
            request
                .rest
                .insert("output_config", json!({"effort": effort}));
        }
        if self.model.speed == Speed::Fast {
            request.rest.insert("speed", json!("fast"));
        }
        cache_up_to_here(&mut request);
        Ok(request)
    }

    /// Its MCP servers.
    pub(crate) fn mcp_servers(&self) -> &[McpServerOfAgent] {
        &self.mcp
    }

    /// The server of a call, if the agent still has the tool.
    pub(crate) fn mcp_server_of(&self, server: &str, tool: &str) -> Option<&McpServerOfAgent> {
        let mut named = self.mcp.iter().filter(|known| known.name == server);
        named.next().filter(|known| known.has(tool))
    }

    /// It has to do without a server, for this reason.
    pub(crate) fn cannot_use(&mut self, server: &McpServerOfAgent, reason: String) {
        self.unavailable.insert(server.name.clone(), reason);
    }

    /// Whether it has to do without a server.
    pub(crate) fn is_unavailable(&self, server: &McpServerOfAgent) -> bool {
        self.unavailable.contains_key(&server.name)
    }

    fn instructions(&self) -> Vec<Block> {
        let own = self.system.iter().map(Block::text);
        let missing = self.unavailable.iter().map(|(server, reason)| {
            Block::text(format!(
                "The MCP server {server:?} cannot be used now: {reason}"
            ))
        });
        std::iter::once(Block::text(SURROUNDINGS))
            .chain(own)
            .chain(missing)
            .collect()
    }

    fn offered(&self) -> Result<Vec<Offered>, ControlError> {
        let built_in = self.built_in.keys().filter_map(|tool| {
            let tool = bailiwick_tools::Tool::from_name(tool.name())?;
            Some(offer(&tool.definition()))
        });
        let custom = self.custom.iter().map(|tool| {
            offer(&json!({
                "name": tool.name,
                "description": tool.description,
                "input_schema": tool.input_schema,
            }))
        });
        let mcp = offers(&self.mcp, &self.listed).map(|offered| {
            let tool = offered.tool;
            offer(&json!({
                "name": offered.name,
                "description": tool.description,
                "input_schema": tool.input_schema,
            }))
        });
        let search = self.searches().then(|| offer(&KnowledgeTool::definition()));
        built_in.chain(search).chain(custom).chain(mcp).collect()
    }

    /// Which tool a model means, and whether the call may be made. One that the agent does not have may not.
    pub(crate) fn judge(&self, name: &str) -> (Called, PermissionEvaluation, Option<Value>) {
        if self.custom.iter().any(|tool| tool.name == name) {
            return (
                Called::Custom(name.to_owned()),
                PermissionEvaluation::Allow,
                None,
            );
        }
        if let Some(offered) = offers(&self.mcp, &self.listed).find(|offered| offered.name == name)
        {
            let called = Called::Mcp {
                server: offered.server.name.clone(),
                name: offered.tool.name.clone(),
            };
            let policy = serde_json::to_value(offered.policy()).ok();
            return (called, offered.evaluated(), policy);
        }
        let mut known = self.built_in.iter();
        let policy = match name {
            // It reads what the environment knows, which whoever made the session chose.
            KnowledgeTool::NAME => self.searches().then_some(PermissionPolicy::AlwaysAllow),
            _ => known
                .find(|(tool, _)| tool.name() == name)
                .map(|(_, policy)| *policy),
        };
        let evaluated = match policy {
            // What runs in the sandbox stays in it, and a page is fetched under the same policy.
            Some(PermissionPolicy::AlwaysAllow | PermissionPolicy::Auto) => {
                PermissionEvaluation::Allow
            }
            Some(PermissionPolicy::AlwaysAsk) => PermissionEvaluation::Ask,
            None => PermissionEvaluation::Deny,
        };
        let evaluation = policy.and_then(|policy| serde_json::to_value(policy).ok());
        (Called::BuiltIn(name.to_owned()), evaluated, evaluation)
    }
}

/// Whether this server has the tool. Nobody searches the web for it.
fn is_here(tool: BuiltInTool, fetches_pages: bool) -> bool {
    match tool {
        BuiltInTool::Bash
        | BuiltInTool::Read
        | BuiltInTool::Write
        | BuiltInTool::Edit
        | BuiltInTool::Glob
        | BuiltInTool::Grep => true,
        BuiltInTool::WebFetch => fetches_pages,
        BuiltInTool::WebSearch => false,
    }
}

fn enabled(
    toolset: &BuiltInToolset,
    fetches_pages: bool,
) -> BTreeMap<BuiltInTool, PermissionPolicy> {
    let settings = |tool: BuiltInTool| -> ToolDefaults {
        let own = toolset.configs.iter().find(|config| config.name == tool);
        own.map_or(toolset.default_config, |config| config.settings)
    };
    let all = bailiwick_wire::BUILT_IN_TOOLS.iter().copied();
    let enabled = all.filter(|tool| is_here(*tool, fetches_pages) && settings(*tool).enabled);
    enabled
        .map(|tool| (tool, settings(tool).permission_policy))
        .collect()
}

fn offer(definition: &Value) -> Result<Offered, ControlError> {
    let text = |key: &str| definition[key].as_str().map(str::to_owned);
    Ok(Offered::Custom(OfferedTool {
        name: text("name").ok_or_else(|| corrupt("agent"))?,
        description: text("description"),
        input_schema: Raw::of(&definition["input_schema"]).map_err(|_| corrupt("agent"))?,
        cache_control: None,
        rest: Rest::none(),
    }))
}

/// The upstream keeps what it read, up to the end of the instructions and up to the end of the conversation, for the next request.
fn cache_up_to_here(request: &mut Request) {
    let mark = || Raw::of(&json!({"type": "ephemeral"})).ok();
    if let Some(Block::Text(text)) = request.system.last_mut() {
        text.cache_control = mark();
    }
    let last = request.messages.last_mut();
    match last.and_then(|turn| turn.content.last_mut()) {
        Some(Block::Text(Text { cache_control, .. })) => *cache_control = mark(),
        Some(Block::ToolResult(result)) => result.cache_control = mark(),
        Some(_) | None => {}
    }
}
