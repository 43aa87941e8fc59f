//! Every route of the administration has a command, which is run here, against a server that says which of its routes was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use bailiwick_testkit::eventually;
use serde_json::Value;

use crate::{PATIENCE, Up, machine};

/// Operations without a command, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("api_description_retrieve", "a document for programs"),
    (
        "api_identity_providers_list",
        "of browsers: commands have a key",
    ),
    (
        "api_identity_providers_begin",
        "of browsers: commands have a key",
    ),
    (
        "api_identity_providers_finish",
        "of browsers: commands have a key",
    ),
    ("api_sign_in_begin", "of browsers: commands have a key"),
    ("api_sign_in_end", "of browsers: commands have a key"),
];

/// What asks each operation, in an order in which one server can be asked all of it; how it ends, if not with 0, stands in front.
/// `{operation}` is the id of what that one made.
const COMMANDS: &[(&str, &str)] = &[
    ("api_sign_in_whoami", "whoami"),
    ("api_organization_retrieve", "organization get"),
    (
        "api_organization_update",
        "organization floor --deny vault.example.com --deny 10.9.0.0/16",
    ),
    (
        "api_organization_update",
        "organization credentials --body-injection off",
    ),
    (
        "api_organization_impact",
        "1 organization policy -f networking.yaml --dry-run",
    ),
    ("api_organization_retrieve_retention", "retention get"),
    (
        "api_organization_update_retention",
        "retention set --events 30 --flows 90 --audit-log forever",
    ),
    (
        "api_environments_create",
        "environment create -f payments.yaml --restricted",
    ),
    ("api_environments_list", "environment list"),
    ("api_environments_retrieve", "environment get payments"),
    ("api_environments_policy", "environment policy payments"),
    (
        "api_environments_explain",
        "3 environment explain payments vault.example.com:443",
    ),
    (
        "api_environments_impact",
        "1 environment impact payments --inherit-policy",
    ),
    (
        "api_environments_update",
        "environment update payments --description pays",
    ),
    (
        "api_environments_revisions",
        "environment revisions payments",
    ),
    (
        "api_environments_revision",
        "environment revision payments 2",
    ),
    ("api_agents_retrieve", "agent create -f reviewer.yaml"),
    (
        "api_agents_update",
        "agent update reviewer --environment payments",
    ),
    ("api_agents_list", "agent list"),
    (
        "api_environments_references",
        "environment references payments",
    ),
    (
        "api_environments_create",
        "environment create --name farm --self-hosted",
    ),
    (
        "api_environments_create_key",
        "environment key create farm --name rack-7",
    ),
    (
        "api_roles_create",
        "role create auditor --permission environment:read",
    ),
    ("api_roles_list", "role list"),
    (
        "api_roles_update",
        "role update auditor --add-permission audit-log:read",
    ),
    (
        "api_members_create",
        "member add ada@example.com --name Ada --role auditor",
    ),
    ("api_members_list", "member list"),
    ("api_members_retrieve", "member get ada@example.com"),
    ("api_members_update", "member role ada@example.com member"),
    (
        "api_members_set_password",
        "member password ada@example.com --password-file password",
    ),
    (
        "api_model_upstreams_create",
        "model-upstream create main --protocol openai --base-url https://models.example.com/v1 --model gpt-* --key-file key",
    ),
    ("api_model_upstreams_list", "model-upstream list"),
    ("api_model_upstreams_retrieve", "model-upstream get main"),
    (
        "api_model_upstreams_update",
        "model-upstream update main --priority 7",
    ),
    ("api_model_upstreams_delete", "model-upstream delete main"),
    (
        "api_llm_proxies_create",
        "llm-proxy create dev --environment payments --model claude-*",
    ),
    ("api_llm_proxies_list", "llm-proxy list"),
    ("api_llm_proxies_retrieve", "llm-proxy get dev"),
    (
        "api_llm_proxies_update",
        "llm-proxy update dev --all-models --detach",
    ),
    (
        "api_llm_proxies_create_key",
        "llm-proxy key create dev --name ci",
    ),
    ("api_llm_proxies_list_keys", "llm-proxy key list dev"),
    (
        "api_llm_proxies_delete_key",
        "llm-proxy key revoke dev {api_llm_proxies_create_key}",
    ),
    (
        "api_knowledge_connectors_create",
        "knowledge-connector create handbook --environment payments --web https://handbook.test/ --every 60",
    ),
    ("api_knowledge_connectors_list", "knowledge-connector list"),
    (
        "api_knowledge_connectors_retrieve",
        "knowledge-connector get handbook",
    ),
    (
        "api_knowledge_connectors_update",
        "knowledge-connector update handbook --daily-at 03:30",
    ),
    (
        "api_knowledge_connectors_sync",
        "knowledge-connector sync handbook",
    ),
    (
        "api_knowledge_connectors_cancel_sync",
        "knowledge-connector cancel handbook",
    ),
    (
        "api_knowledge_connectors_list_documents",
        "knowledge-connector documents handbook --failed",
    ),
    (
        "api_knowledge_search",
        "knowledge search --environment payments signing keys",
    ),
    (
        "api_knowledge_connectors_delete",
        "knowledge-connector delete handbook",
    ),
    (
        "api_limits_create",
        "limit create --llm-proxy dev --max-cost 30 --window 24h",
    ),
    ("api_limits_list", "limit list"),
    ("api_limits_alerts", "limit alerts"),
    ("api_limits_retrieve", "limit get {api_limits_create}"),
    (
        "api_limits_update",
        "limit update {api_limits_create} --each-user --in payments --max-tokens 1000 --window month",
    ),
    ("api_limits_delete", "limit delete {api_limits_create}"),
    ("api_llm_proxies_delete", "llm-proxy delete dev"),
    (
        "api_mcp_catalog_create",
        "mcp-catalog create docs --environment payments --url https://api.example.com/mcp",
    ),
    ("api_mcp_catalog_list", "mcp-catalog list"),
    ("api_mcp_catalog_retrieve", "mcp-catalog get docs"),
    (
        "api_mcp_catalog_update",
        "mcp-catalog update docs --name library --detach",
    ),
    (
        "api_mcp_gateways_create",
        "mcp-gateway create dev --environment payments --entry library:search",
    ),
    ("api_mcp_gateways_list", "mcp-gateway list"),
    ("api_mcp_gateways_retrieve", "mcp-gateway get dev"),
    (
        "api_mcp_gateways_update",
        "mcp-gateway update dev --all-tools",
    ),
    (
        "api_mcp_gateways_create_key",
        "mcp-gateway key create dev --name ci",
    ),
    ("api_mcp_gateways_list_keys", "mcp-gateway key list dev"),
    (
        "api_mcp_gateways_delete_key",
        "mcp-gateway key revoke dev {api_mcp_gateways_create_key}",
    ),
    ("api_mcp_gateways_delete", "mcp-gateway delete dev"),
    // Denied, so that nobody is asked.
    (
        "api_organization_update",
        "organization floor --deny api.example.com",
    ),
    ("api_mcp_catalog_tools", "125 mcp-catalog tools library"),
    ("api_mcp_catalog_state", "2 mcp-catalog logs library"),
    ("api_mcp_catalog_delete", "mcp-catalog delete library"),
    (
        "api_usage_sums",
        "usage report --by day --from 2026-12-01T00:00:00Z --until 2026-12-08T00:00:00Z",
    ),
    (
        "api_usage_records",
        "usage records --model claude-sonnet-4-5",
    ),
    ("api_usage_retrieve_settings", "usage settings"),
    (
        "api_usage_update_settings",
        "usage configure --time-zone Europe/Berlin --price fast=0.10,0.40",
    ),
    ("api_teams_create", "team create releases"),
    ("api_teams_list", "team list"),
    ("api_teams_add", "team add releases ada@example.com"),
    ("api_teams_members", "team members releases"),
    ("api_grants_create", "grant create payments --team releases"),
    ("api_grants_list", "grant list payments"),
    (
        "api_grants_delete",
        "grant delete payments {api_grants_create}",
    ),
    ("api_teams_remove", "team remove releases ada@example.com"),
    ("api_teams_delete", "team delete releases"),
    ("api_members_delete", "member remove ada@example.com"),
    ("api_roles_delete", "role delete auditor"),
    (
        "api_service_accounts_create",
        "service-account create ci --role editor",
    ),
    ("api_service_accounts_list", "service-account list"),
    (
        "api_service_accounts_create_key",
        "service-account key create ci --name pipeline",
    ),
    ("api_service_accounts_delete", "service-account delete ci"),
    ("api_keys_create", "key create --name laptop"),
    ("api_keys_list", "key list"),
    ("api_keys_delete", "key revoke {api_keys_create}"),
    ("api_oauth_grants_list", "oauth-grant list --everyone"),
    (
        "api_oauth_grants_delete",
        "2 oauth-grant revoke oag_1ChAHYebWzUkk53nzCefZQ",
    ),
    (
        "api_mcp_connections_create",
        "2 vault connect vlt_1ChAHYebWzUkk53nzCefZQ --url https://mcp.example.com/",
    ),
    (
        "api_mcp_connections_finish",
        "2 vault finish mcpc_1ChAHYebWzUkk53nzCefZQ K7QF-93XM",
    ),
    ("api_environments_archive", "environment archive farm"),
    (
        "api_environments_create",
        "environment create --name scratch",
    ),
    ("api_environments_delete", "environment delete scratch"),
    ("api_flows_list", "flow list --environment payments"),
    (
        "api_sessions_tighten",
        "2 session tighten sesn_1ChAHYebWzUkk53nzCefZQ",
    ),
    ("api_audit_log_list", "audit-log export audit.jsonl"),
    ("api_audit_log_list", "audit-log list"),
    ("api_audit_log_verify", "audit-log verify"),
    ("api_audit_log_head", "audit-log head"),
];

/// Method and path of each operation of the administration.
fn operations() -> BTreeMap<String, (String, String)> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let document: Value = serde_json::from_str(&fs::read_to_string(document).unwrap()).unwrap();
    let mut operations = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            if id.starts_with("api_") {
                operations.insert(id, (method.to_uppercase(), path.clone()));
            }
        }
    }
    operations
}

/// How often a server was asked this.
fn asked(up: &Up, method: &str, route: &str) -> usize {
    let lines = up.process.complained();
    let lines = lines
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let is_it = |line: &Value| line["method"] == method && line["route"] == route;
    lines.filter(is_it).count()
}

#[test]
fn every_route_of_the_administration_has_a_command() {
    let all: BTreeSet<String> = operations().into_keys().collect();
    let told = COMMANDS.iter().chain(WITHOUT);
    let told: BTreeSet<String> = told.map(|(operation, _)| (*operation).to_owned()).collect();
    let without: Vec<_> = all.difference(&told).collect();
    assert!(without.is_empty(), "no command asks {without:?}");
    let gone: Vec<_> = told.difference(&all).collect();
    assert!(gone.is_empty(), "{gone:?} is no operation");
}

#[test]
fn each_command_asks_the_route_that_it_is_for() {
    let machine = machine();
    let up = Up::start(&machine, &["--log-format", "json"]);
    machine.write("networking.yaml", "type: limited\n");
    machine.write("payments.yaml", "name: payments\nconfig: {type: cloud, networking: {type: limited, allowed_hosts: [api.example.com, handbook.test]}}\n");
    machine.write(
        "reviewer.yaml",
        "name: reviewer\nmodel: claude-sonnet-4-5\n",
    );
    machine.write("password", "a long enough password\n");
    machine.write("key", "sk-example\n");
    let operations = operations();
    let mut made: BTreeMap<String, String> = BTreeMap::new();
    for (operation, line) in COMMANDS {
        let (code, line) = match line.split_once(' ') {
            Some((code, rest)) if code.parse::<i32>().is_ok() => (code.parse().unwrap(), rest),
            Some(_) | None => (0, *line),
        };
        let mut line = line.to_owned();
        for (operation, id) in &made {
            line = line.replace(&format!("{{{operation}}}"), id);
        }
        let makes = operation.ends_with("_create") || operation.ends_with("_create_key");
        let makes = makes && code == 0;
        if makes {
            line.push_str(" -o json");
        }
        let (method, route) = &operations[*operation];
        let before = asked(&up, method, route);
        let words: Vec<_> = line.split(' ').collect();
        let ended = up.asks(&machine, &words).exits(code);
        if makes {
            let shown: Value = serde_json::from_str(&ended.stdout).unwrap();
            // A member's is called otherwise, and none of these is asked for.
            if let Some(id) = shown["id"].as_str() {
                made.insert((*operation).to_owned(), id.to_owned());
            }
        }
        eventually(&format!("{line} to ask {operation}"), PATIENCE, || {
            (asked(&up, method, route) > before).then_some(())
        });
    }
}
