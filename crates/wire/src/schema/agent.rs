//! Bodies of agents, and their parts as answers show them.

pub(super) mod answer;

use bailiwick_model::{AgentId, limits};
use serde_json::json;

use super::Schema;
use crate::agent::AgentBody;
use crate::agent::model::{EFFORTS, GEOS, SPEEDS};
use crate::agent::tools::{BUILT_IN, BuiltInTool, POLICIES};

impl AgentBody {
    /// What [`Self::create`] takes.
    pub fn create_schema() -> Schema {
        let agent = Schema::object()
            .needs("name", Schema::visible(limits::AGENT_NAME_CHARS))
            .needs("model", model());
        fields(agent, false)
            .example(json!({
                "name": "Reviewer",
                "model": {"id": "claude-opus-5", "effort": "high"},
                "system": "Review what changed, and run the tests.",
                "tools": [
                    {"type": "agent_toolset_20260401", "configs": [{"name": "web_fetch", "enabled": false}]},
                    {"type": "mcp_toolset", "mcp_server_name": "issues"},
                    {"type": "custom", "name": "deploy", "description": "Deploys to staging", "input_schema": {"type": "object"}},
                ],
                "mcp_servers": [{"type": "url", "name": "issues", "url": "https://mcp.example.com/issues"}],
                "metadata": {"team": "payments"},
            }))
            .named("AgentCreate")
    }

    /// What [`Self::update`] takes, and the version that the change was made from. What is absent stays.
    pub fn update_schema() -> Schema {
        let agent = Schema::object()
            .may("name", Schema::visible(limits::AGENT_NAME_CHARS))
            .may("model", model())
            .may_be(
                "version",
                Schema::positive().says("Only if it is at this version."),
            );
        fields(agent, true)
            .example(json!({"system": "Review what changed.", "metadata": {"team": null}}))
            .named("AgentUpdate")
    }

    /// Its fields as answers show them, added to those of its face.
    pub fn answer_schema(agent: Schema) -> Schema {
        answer::fields(agent)
    }
}

fn fields(agent: Schema, changes: bool) -> Schema {
    agent
        .may_be(
            "description",
            Schema::chars(0..=limits::AGENT_DESCRIPTION_CHARS),
        )
        .may_be("system", Schema::chars(0..=limits::AGENT_SYSTEM_CHARS))
        .may_be("tools", Schema::list_of(0..=limits::AGENT_TOOLS, tool()))
        .may_be(
            "mcp_servers",
            Schema::list_of(0..=limits::AGENT_MCP_SERVERS, server()),
        )
        .may_be("skills", Schema::list_of(0..=limits::AGENT_SKILLS, skill()))
        .may_be("multiagent", multiagent())
        .may_be("execution_identity", identity())
        .may_be("metadata", Schema::pairs(changes))
}

pub(super) fn model() -> Schema {
    let effort = Schema::any_of([
        Schema::words_of(EFFORTS),
        Schema::object().needs("type", Schema::words_of(EFFORTS)),
    ]);
    let object = Schema::object()
        .needs("id", Schema::visible(limits::MODEL_ID_CHARS))
        .may_be("effort", effort)
        .may_be("speed", Schema::words_of(SPEEDS))
        .may_be("inference_geo", Schema::words_of(GEOS));
    Schema::any_of([Schema::visible(limits::MODEL_ID_CHARS), object]).named("ModelParams")
}

pub(super) fn tool() -> Schema {
    let built_in = Schema::object()
        .needs("type", Schema::word("agent_toolset_20260401"))
        .may_be(
            "configs",
            Schema::list_of(0..=limits::AGENT_TOOLS, built_in_config()),
        )
        .may_be("default_config", settings(Schema::object()));
    let config = Schema::object().needs("name", Schema::visible(limits::TOOL_NAME_CHARS));
    let mcp = Schema::object()
        .needs("type", Schema::word("mcp_toolset"))
        .needs(
            "mcp_server_name",
            Schema::visible(limits::MCP_SERVER_NAME_CHARS),
        )
        .may_be(
            "configs",
            Schema::list_of(0..=limits::AGENT_TOOLS, settings(config)),
        )
        .may_be("default_config", settings(Schema::object()));
    let schema = Schema::map(Schema::any()).says("A JSON schema of an object, without `$ref`, and without `oneOf`, `anyOf` and `allOf` at its top.");
    let custom = Schema::object()
        .needs("type", Schema::word("custom"))
        .needs(
            "name",
            Schema::chars(1..=limits::TOOL_NAME_CHARS).matching("^(?!mcp__)[A-Za-z0-9_-]+$"),
        )
        .needs(
            "description",
            Schema::chars(1..=limits::TOOL_DESCRIPTION_CHARS),
        )
        .needs("input_schema", schema);
    Schema::any_of([built_in, mcp, custom]).named("ToolParams")
}

fn settings(config: Schema) -> Schema {
    let policy = Schema::object().needs("type", Schema::words_of(POLICIES));
    config
        .may_be("enabled", Schema::boolean())
        .may_be("permission_policy", policy)
}

fn built_in_config() -> Schema {
    let config = |names: &[&'static str]| {
        let named = Schema::object()
            .needs("name", Schema::words(names.iter().copied()))
            .may_be("type", Schema::words(names.iter().copied()));
        settings(named)
    };
    let (fetch, search) = (BuiltInTool::WebFetch.name(), BuiltInTool::WebSearch.name());
    let names = BUILT_IN.iter().map(|(name, _)| *name);
    let others: Vec<_> = names
        .filter(|name| ![fetch, search].contains(name))
        .collect();
    let fetch = domains(config(&[fetch]))
        .may_be("max_content_tokens", Schema::positive())
        .may_be("url_sources", url_sources());
    let search = domains(config(&[search])).may_be("user_location", location());
    Schema::any_of([config(&others), fetch, search])
}

/// One of the two at most.
fn domains(config: Schema) -> Schema {
    let list = Schema::list_of(
        1..=limits::WEB_DOMAINS,
        Schema::chars(1..=limits::WEB_DOMAIN_BYTES),
    );
    config
        .may_be("allowed_domains", list.clone())
        .may_be("blocked_domains", list)
}

fn url_sources() -> Schema {
    let all_or_none = || Schema::words(["all", "none"]);
    let short = || Schema::any_of([all_or_none(), Schema::object().needs("type", all_or_none())]);
    let full = |name: Schema| {
        let tool = Schema::object()
            .needs("type", Schema::word("tool_reference"))
            .needs("name", name);
        let some = Schema::object()
            .needs("type", Schema::words(["only", "except"]))
            .needs("tools", Schema::list_of(1..=limits::WEB_SOURCE_TOOLS, tool));
        let plain = Schema::object().needs("type", all_or_none());
        Schema::any_of([all_or_none(), plain, some])
    };
    Schema::object()
        .may_be("user_input", short())
        .may_be(
            "client_tool_results",
            full(Schema::visible(limits::TOOL_NAME_CHARS)),
        )
        .may_be(
            "server_tool_results",
            full(Schema::words(["web_search", "web_fetch"])),
        )
}

fn location() -> Schema {
    let part = || Schema::visible(limits::USER_LOCATION_CHARS);
    Schema::object()
        .needs("type", Schema::word("approximate"))
        .may_be("city", part())
        .may_be("region", part())
        .may_be("timezone", part())
        .may_be("country", Schema::chars(2..=2).matching("^[A-Z]{2}$"))
}

pub(super) fn server() -> Schema {
    Schema::object()
        .needs("type", Schema::word("url"))
        .needs("name", Schema::visible(limits::MCP_SERVER_NAME_CHARS))
        .needs(
            "url",
            Schema::chars(1..=limits::MCP_SERVER_URL_CHARS)
                .says("Without user and password, which belong into a vault."),
        )
        .named("McpServerParams")
}

pub(super) fn skill() -> Schema {
    Schema::object()
        .needs("type", Schema::words(["anthropic", "custom"]))
        .needs("skill_id", Schema::visible(limits::SKILL_ID_CHARS))
        .may_be("version", Schema::visible(limits::SKILL_ID_CHARS))
        .named("AgentSkillParams")
}

fn delegate(with_advisor: bool) -> Schema {
    let version = Schema::positive().says("The latest if it is absent.");
    let agent = Schema::object()
        .needs("type", Schema::word("agent"))
        .needs("id", Schema::id::<AgentId>())
        .may_be("version", version);
    let own = Schema::object().needs("type", Schema::word("self"));
    let advisor = Schema::object()
        .needs("type", Schema::word("advisor"))
        .needs("model", Schema::visible(limits::MODEL_ID_CHARS));
    let forms = [Schema::id::<AgentId>(), agent, own];
    Schema::any_of(forms.into_iter().chain(with_advisor.then_some(advisor)))
}

fn multiagent() -> Schema {
    let list = Schema::list_of(1..=limits::AGENT_ROSTER, delegate(true));
    let coordinator = Schema::object()
        .needs("type", Schema::word("coordinator"))
        .needs("agents", list);
    let advisor = Schema::object()
        .needs("type", Schema::words(["enabled", "disabled"]))
        .may_be("model", Schema::visible(limits::MODEL_ID_CHARS));
    let switch = Schema::object().needs("type", Schema::words(["enabled", "disabled"]));
    let predefined = Schema::list_of(0..=limits::AGENT_ROSTER, delegate(false));
    let delegation = Schema::object()
        .needs("type", Schema::words(["enabled", "disabled"]))
        .may_be("inline_agents", switch)
        .may_be("predefined_agents", predefined);
    let members = Schema::object()
        .needs("type", Schema::word("multiagent_20261001"))
        .may_be("advisor", advisor)
        .may_be("subagents", delegation.clone())
        .may_be("workflows", delegation);
    Schema::any_of([coordinator, members]).named("MultiagentParams")
}

fn identity() -> Schema {
    let account = Schema::object().needs("type", Schema::word("service_account"));
    let role = Schema::object()
        .needs("type", Schema::word("aws_role"))
        .needs("role_arn", Schema::visible(limits::ROLE_ARN_CHARS));
    Schema::any_of([account, role])
}
