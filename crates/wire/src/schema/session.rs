//! Bodies of sessions and of what they have, and their parts as answers show them.

use bailiwick_model::{AgentId, EnvironmentId, FileId, VaultId, limits};
use serde_json::{Value, json};

use super::Schema;
use super::agent::{answer, model, server, skill, tool};
use super::event;
use crate::session::{Budget, Checkout, FileMount, SessionAgent, SessionBody, SessionText};

impl SessionBody {
    /// What [`Self::create`] takes.
    pub fn create_schema() -> Schema {
        let vaults = Schema::list_of(0..=limits::SESSION_VAULTS, reference())
            .with("uniqueItems", json!(true))
            .says("Searched for credentials in this order.");
        Schema::object()
            .needs("agent", agent())
            .needs("environment_id", reference())
            .may_be("title", Schema::chars(0..=limits::SESSION_TITLE_CHARS))
            .may_be("metadata", Schema::pairs(false))
            .may_be("budget", budget())
            .may_be(
                "resources",
                Schema::list_of(0..=limits::SESSION_RESOURCES, resource()).says(
                    "Files and repositories, each in a place of its own; none in a self-hosted environment.",
                ),
            )
            .may_be("vault_ids", vaults)
            .may_be(
                "initial_events",
                Schema::list_of(0..=limits::INITIAL_EVENTS, event::message())
                    .says("What it begins with: it runs from its beginning."),
            )
            .example(example())
            .named("SessionCreate")
    }
}

impl SessionText {
    /// What [`Self::update`] takes: what is absent stays, a pair that is null goes.
    pub fn update_schema() -> Schema {
        let parts = Schema::object()
            .may_be("tools", Schema::list_of(0..=limits::AGENT_TOOLS, tool()))
            .may_be(
                "mcp_servers",
                Schema::list_of(0..=limits::AGENT_MCP_SERVERS, server()),
            );
        let budget = budget().or_null();
        Schema::object()
            .may_be("title", Schema::chars(1..=limits::SESSION_TITLE_CHARS))
            .may_be("metadata", Schema::pairs(true))
            .may(
                "budget",
                budget.says("Null takes it away; one that is not there cannot be added."),
            )
            .may_be(
                "agent",
                parts.says("While it waits. What is absent stays, null is none."),
            )
            .example(json!({"title": "The refunds", "metadata": {"ticket": null}, "agent": {"tools": null}}))
            .named("SessionUpdate")
    }
}

impl FileMount {
    /// What [`crate::added_resource`] takes.
    pub fn add_schema() -> Schema {
        file()
            .example(json!({"type": "file", "file_id": super::example_id::<FileId>(), "mount_path": "data/refunds.csv"}))
            .named("SessionResourceCreate")
    }

    /// What [`crate::rotated_token`] takes.
    pub fn rotate_schema() -> Schema {
        Schema::object()
            .needs("authorization_token", token())
            .example(json!({"authorization_token": "github_pat_another"}))
            .named("SessionResourceUpdate")
    }
}

impl SessionAgent {
    /// As answers show it.
    pub fn schema() -> Schema {
        answer::session_agent().named("SessionAgent")
    }
}

impl Budget {
    /// As answers show it.
    pub fn schema() -> Schema {
        Schema::answer()
            .has("type", Schema::word("limit"))
            .has("max_list_cost", amount(Schema::answer()))
            .named("Budget")
    }

    /// What something has cost, as answers show it.
    pub fn cost_schema() -> Schema {
        let cents = Schema::text().matching("^(0|[1-9][0-9]*)$");
        Schema::answer()
            .has("amount", cents.says("Cents, in digits."))
            .has("currency", Schema::word("USD"))
    }
}

impl Checkout {
    /// As answers show it.
    pub fn schema() -> Schema {
        let (branch, commit) = (Schema::answer(), Schema::answer());
        let branch = branch
            .has("type", Schema::word("branch"))
            .has("name", Schema::text());
        let commit = commit
            .has("type", Schema::word("commit"))
            .has("sha", Schema::text());
        Schema::any_of([branch, commit]).named("Checkout")
    }
}

fn example() -> Value {
    json!({
        "agent": {
            "type": "agent_with_overrides",
            "id": super::example_id::<AgentId>(),
            "version": 1,
            "model": {"id": "claude-opus-5", "effort": "high"},
            "system": "Review what changed, and run the tests.",
            "tools": [{"type": "agent_toolset_20260401"}],
        },
        "environment_id": super::example_id::<EnvironmentId>(),
        "title": "Refunds",
        "metadata": {"ticket": "PAY-7"},
        "budget": {"type": "limit", "max_list_cost": {"amount": "2500", "currency": "USD"}},
        "resources": [
            {"type": "file", "file_id": super::example_id::<FileId>(), "mount_path": "data/refunds.csv"},
            {
                "type": "github_repository",
                "url": "https://github.com/example/payments",
                "authorization_token": "github_pat_example",
                "checkout": {"type": "branch", "name": "main"},
            },
        ],
        "vault_ids": [super::example_id::<VaultId>()],
        "initial_events": [{"type": "user.message", "content": [{"type": "text", "text": "Look at the refunds."}]}],
    })
}

/// What may be an id: of what cannot be one there is nothing.
fn reference() -> Schema {
    Schema::chars(1..=limits::REFERENCE_CHARS)
}

fn agent() -> Schema {
    let version = || Schema::positive().says("The latest if it is absent.");
    let plain = Schema::object()
        .needs("type", Schema::word("agent"))
        .needs("id", reference())
        .may_be("version", version());
    let other = Schema::object()
        .needs("type", Schema::word("agent_with_overrides"))
        .needs("id", reference())
        .may_be("version", version())
        .may("model", model())
        .may_be("system", Schema::chars(0..=limits::AGENT_SYSTEM_CHARS))
        .may_be("tools", Schema::list_of(0..=limits::AGENT_TOOLS, tool()))
        .may_be(
            "mcp_servers",
            Schema::list_of(0..=limits::AGENT_MCP_SERVERS, server()),
        )
        .may_be("skills", Schema::list_of(0..=limits::AGENT_SKILLS, skill()))
        .says("With parts that are different in the session: absent is as in the agent, null is none.");
    Schema::any_of([reference(), plain, other]).named("SessionAgentParams")
}

fn amount(object: Schema) -> Schema {
    let cents = Schema::chars(1..=limits::AMOUNT_DIGITS).matching("^[1-9][0-9]*$");
    object
        .needs("amount", cents.says("Cents, in digits."))
        .needs("currency", Schema::word("USD"))
}

fn budget() -> Schema {
    Schema::object()
        .needs("type", Schema::word("limit"))
        .needs("max_list_cost", amount(Schema::object()))
        .named("BudgetParams")
}

fn file() -> Schema {
    Schema::object()
        .needs("type", Schema::word("file"))
        .needs("file_id", reference())
        .may_be(
            "mount_path",
            Schema::chars(1..=limits::FILE_MOUNT_PATH_BYTES)
                .says("Below `/mnt/session/uploads`; the file's id if it is absent."),
        )
}

/// Visible characters of ASCII.
fn token() -> Schema {
    Schema::chars(1..=limits::REPOSITORY_TOKEN_CHARS)
        .matching("^[!-~]+$")
        .with("writeOnly", json!(true))
}

fn resource() -> Schema {
    let repository = Schema::object()
        .needs("type", Schema::word("github_repository"))
        .needs(
            "url",
            Schema::chars(1..=limits::REPOSITORY_URL_CHARS)
                .matching("^https://github\\.com/[A-Za-z0-9_-]+/[A-Za-z0-9_.-]+$"),
        )
        .may_be("authorization_token", token())
        .may_be("checkout", checkout())
        .may_be(
            "mount_path",
            Schema::chars(1..=limits::MOUNT_PATH_CHARS)
                .says("Below `/workspace`; the repository's name if it is absent."),
        );
    let store = Schema::object()
        .needs("type", Schema::word("memory_store"))
        .needs("memory_store_id", reference())
        .may_be("access", Schema::words(["read_write", "read_only"]))
        .may_be("instructions", Schema::chars(0..=limits::MOUNT_PATH_CHARS))
        .says("There are no memory stores yet.");
    Schema::any_of([file(), repository, store]).named("SessionResourceParams")
}

fn checkout() -> Schema {
    let branch = Schema::object()
        .needs("type", Schema::word("branch"))
        .needs("name", Schema::chars(1..=limits::BRANCH_CHARS));
    let commit = Schema::object()
        .needs("type", Schema::word("commit"))
        .needs("sha", Schema::chars(7..=64).matching("^[0-9A-Fa-f]+$"));
    Schema::any_of([branch, commit])
}
