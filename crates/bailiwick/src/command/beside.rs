//! The commands that `bailiwick` understands and the program beside it does: what keeps a server's database, what asks a server or
//! works for one, and what pulls images.

use clap::Subcommand;

use super::{
    agent, apply, audit_log, backup, file, flow, grant, inside, key, knowledge,
    knowledge_connector, limit, llm_proxy, mcp_catalog, mcp_gateway, member, model_upstream,
    oauth_grant, organization, restore, retention, role, service_account, session, skill, team, up,
    usage, vault, whoami, worker,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Apply(apply::Arguments),
    #[command(subcommand)]
    Agent(agent::Command),
    #[command(subcommand)]
    Session(session::Command),
    #[command(subcommand)]
    Vault(vault::Command),
    #[command(subcommand)]
    File(file::Command),
    #[command(subcommand)]
    Skill(skill::Command),
    #[command(subcommand)]
    Organization(organization::Command),
    #[command(subcommand)]
    Member(member::Command),
    #[command(subcommand)]
    ModelUpstream(model_upstream::Command),
    #[command(subcommand)]
    LlmProxy(llm_proxy::Command),
    #[command(subcommand)]
    McpCatalog(mcp_catalog::Command),
    #[command(subcommand)]
    McpGateway(mcp_gateway::Command),
    #[command(subcommand)]
    KnowledgeConnector(knowledge_connector::Command),
    #[command(subcommand)]
    Knowledge(knowledge::Command),
    #[command(subcommand)]
    Limit(limit::Command),
    #[command(subcommand)]
    Usage(usage::Command),
    #[command(subcommand)]
    Team(team::Command),
    #[command(subcommand)]
    Role(role::Command),
    #[command(subcommand)]
    Grant(grant::Command),
    #[command(subcommand)]
    ServiceAccount(service_account::Command),
    #[command(subcommand)]
    Key(key::Command),
    #[command(subcommand)]
    OauthGrant(oauth_grant::Command),
    Whoami(whoami::Arguments),
    #[command(subcommand)]
    AuditLog(audit_log::Command),
    #[command(subcommand)]
    Flow(flow::Command),
    #[command(subcommand)]
    Retention(retention::Command),
    Up(Box<up::Arguments>),
    Worker(Box<worker::Arguments>),
    Backup(backup::Arguments),
    Restore(restore::Arguments),
    #[command(subcommand)]
    Inside(inside::Command),
}
