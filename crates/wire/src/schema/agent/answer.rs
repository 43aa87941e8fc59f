//! Agents as answers show them: every default resolved.

use bailiwick_model::AgentId;

use crate::agent::model::{EFFORTS, GEOS, SPEEDS};
use crate::agent::tools::{BUILT_IN, POLICIES};
use crate::schema::Schema;

pub(super) fn fields(agent: Schema) -> Schema {
    let delegate = tagged("agent")
        .has("id", Schema::id::<AgentId>())
        .has("version", Schema::version().or_null());
    let multiagent = multiagent(&delegate).named("Multiagent");
    parts(agent)
        .has("multiagent", multiagent.or_null())
        .has("execution_identity", identity())
}

/// A version of an agent in a session, and in it, whole, those that it delegates to.
pub(in crate::schema) fn session_agent() -> Schema {
    let alone = || {
        let agent = tagged("agent")
            .has("id", Schema::id::<AgentId>())
            .has("version", Schema::version())
            .has("name", Schema::text());
        parts(agent).has("execution_identity", identity())
    };
    let multiagent = multiagent(&alone().named("SessionDelegate")).named("SessionMultiagent");
    alone().has("multiagent", multiagent.or_null())
}

fn parts(agent: Schema) -> Schema {
    agent
        .has("description", Schema::text().or_null())
        .has("system", Schema::text().or_null())
        .has("model", model())
        .has("tools", Schema::list(tool()))
        .has("mcp_servers", Schema::list(server()))
        .has("skills", Schema::list(skill()))
}

fn tagged(word: &str) -> Schema {
    Schema::answer().has("type", Schema::word(word))
}

fn model() -> Schema {
    let effort = Schema::answer().has("type", Schema::words_of(EFFORTS));
    Schema::answer()
        .has("id", Schema::text())
        .has("effort", effort)
        .has("speed", Schema::words_of(SPEEDS))
        .has("inference_geo", Schema::words_of(GEOS).or_null())
        .named("Model")
}

fn settings(config: Schema) -> Schema {
    let policy = Schema::answer().has("type", Schema::words_of(POLICIES));
    config
        .has("enabled", Schema::boolean())
        .has("permission_policy", policy)
}

fn built_in_config() -> Schema {
    let domains = || Schema::list(Schema::text()).or_null();
    let named = Schema::answer()
        .has("name", Schema::words_of(BUILT_IN))
        .has("type", Schema::words_of(BUILT_IN));
    settings(named)
        .may("allowed_domains", domains())
        .may("blocked_domains", domains())
        .may("max_content_tokens", Schema::positive().or_null())
        .may("url_sources", url_sources().or_null())
        .may("user_location", location().or_null())
}

fn url_sources() -> Schema {
    let tool = tagged("tool_reference").has("name", Schema::text());
    let source = Schema::answer()
        .has("type", Schema::words(["all", "none", "only", "except"]))
        .may("tools", Schema::list(tool))
        .or_null();
    Schema::answer()
        .has("user_input", source.clone())
        .has("client_tool_results", source.clone())
        .has("server_tool_results", source)
}

fn location() -> Schema {
    let part = || Schema::text().or_null();
    tagged("approximate")
        .has("city", part())
        .has("country", part())
        .has("region", part())
        .has("timezone", part())
}

fn tool() -> Schema {
    let built_in = tagged("agent_toolset_20260401")
        .has("configs", Schema::list(built_in_config()))
        .has("default_config", settings(Schema::answer()));
    let config = settings(Schema::answer().has("name", Schema::text()));
    let mcp = tagged("mcp_toolset")
        .has("mcp_server_name", Schema::text())
        .has("configs", Schema::list(config))
        .has("default_config", settings(Schema::answer()));
    let custom = tagged("custom")
        .has("name", Schema::text())
        .has("description", Schema::text())
        .has("input_schema", Schema::map(Schema::any()));
    Schema::any_of([built_in, mcp, custom]).named("Tool")
}

fn server() -> Schema {
    tagged("url")
        .has("name", Schema::text())
        .has("url", Schema::text())
        .named("McpServer")
}

fn skill() -> Schema {
    Schema::answer()
        .has("type", Schema::words(["anthropic", "custom"]))
        .has("skill_id", Schema::text())
        .has("version", Schema::text())
        .named("AgentSkill")
}

fn multiagent(agent: &Schema) -> Schema {
    let adviser = tagged("advisor").has("model", Schema::text());
    let entry = Schema::any_of([agent.clone(), adviser]);
    let coordinator = tagged("coordinator").has("agents", Schema::list(entry));
    let switch = || Schema::words(["enabled", "disabled"]);
    let advisor = Schema::answer()
        .has("type", switch())
        .may("model", Schema::text());
    let delegation = Schema::answer()
        .has("type", switch())
        .may("inline_agents", Schema::answer().has("type", switch()))
        .may("predefined_agents", Schema::list(agent.clone()));
    let members = tagged("multiagent_20261001")
        .has("advisor", advisor)
        .has("subagents", delegation.clone())
        .has("workflows", delegation);
    Schema::any_of([coordinator, members])
}

fn identity() -> Schema {
    let account = tagged("service_account");
    let role = tagged("aws_role").has("role_arn", Schema::text());
    Schema::any_of([account, role])
}
