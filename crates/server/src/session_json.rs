//! A session and what it has, as the wire shows them.

use bailiwick_control::SessionView;
use bailiwick_model::{
    EnvironmentId, FileId, SessionId, SessionResourceId, SessionStatus, VaultId,
};
use bailiwick_store::{SessionResource, SessionResourceKind};
use bailiwick_wire::{Budget, Checkout, Schema, SessionAgent, WireUsage};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::failure::{Failure, corrupt};

/// The wire's session: every key always there.
#[derive(Serialize)]
pub(crate) struct WireSession<'a> {
    id: &'a SessionId,
    r#type: &'static str,
    status: SessionStatus,
    title: Option<&'a str>,
    metadata: &'a RawValue,
    environment_id: &'a EnvironmentId,
    agent: &'a RawValue,
    resources: Vec<WireSessionResource<'a>>,
    vault_ids: &'a [VaultId],
    /// Sessions of schedules, which there are none of.
    deployment_id: Option<&'static str>,
    budget: Option<&'a RawValue>,
    outcome_evaluations: [(); 0],
    stats: Stats,
    usage: WireUsage,
    created_at: Timestamp,
    updated_at: Timestamp,
    archived_at: Option<Timestamp>,
    /// An extension: which revision of its environment holds in it.
    environment_revision: i64,
}

#[derive(Serialize)]
struct Stats {
    active_seconds: f64,
    duration_seconds: f64,
}

/// Something that a session has, without its secret.
#[derive(Serialize)]
pub(crate) struct WireSessionResource<'a> {
    id: &'a SessionResourceId,
    #[serde(flatten)]
    kind: Kind<'a>,
    mount_path: &'a str,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Kind<'a> {
    File {
        file_id: &'a FileId,
    },
    GithubRepository {
        url: &'a str,
        checkout: Option<&'a RawValue>,
    },
}

impl Stats {
    fn schema() -> Schema {
        Schema::answer()
            .has("active_seconds", Schema::seconds())
            .has("duration_seconds", Schema::seconds())
    }
}

/// What was used.
pub(crate) fn usage_schema() -> Schema {
    let created = Schema::answer()
        .has("ephemeral_5m_input_tokens", Schema::count())
        .has("ephemeral_1h_input_tokens", Schema::count());
    let tools = Schema::answer()
        .has("web_search_requests", Schema::count())
        .has("web_fetch_requests", Schema::count());
    Schema::answer()
        .has("input_tokens", Schema::count())
        .has("output_tokens", Schema::count())
        .has("cache_read_input_tokens", Schema::count())
        .has("cache_creation", created)
        .has("list_cost", Budget::cost_schema().or_null())
        .has("active_seconds", Schema::seconds())
        .has("server_tool_use", tools.or_null())
        .named("SessionUsage")
}

impl<'a> WireSession<'a> {
    pub(crate) fn schema() -> Schema {
        let revision = Schema::version().says(
            "Which revision of its environment holds in it: that of when it was made. An extension.",
        );
        Schema::answer()
            .has("id", Schema::id::<SessionId>())
            .has("type", Schema::word("session"))
            .has(
                "status",
                Schema::words(SessionStatus::ALL.map(SessionStatus::as_str)),
            )
            .has("title", Schema::text().or_null())
            .has("metadata", Schema::metadata())
            .has("environment_id", Schema::id::<EnvironmentId>())
            .has("agent", SessionAgent::schema())
            .has("resources", Schema::list(WireSessionResource::schema()))
            .has("vault_ids", Schema::list(Schema::id::<VaultId>()))
            .has("deployment_id", Schema::text().or_null())
            .has("budget", Budget::schema().or_null())
            .has("outcome_evaluations", Schema::list(Schema::any()))
            .has("stats", Stats::schema())
            .has("usage", usage_schema())
            .has("created_at", Schema::moment())
            .has("updated_at", Schema::moment())
            .has("archived_at", Schema::moment().or_null())
            .has("environment_revision", revision)
            .named("Session")
    }

    pub(crate) fn of(view: &'a SessionView) -> Result<Self, Failure> {
        let session = &view.session;
        let values = &session.values;
        let raw = |text: &'a str, column| {
            serde_json::from_str::<&RawValue>(text).map_err(|_| corrupt(column))
        };
        let budget = values.budget.as_deref().map(|text| raw(text, "budget"));
        let resources = view.resources.iter().map(WireSessionResource::of);
        Ok(Self {
            id: &session.id,
            r#type: "session",
            status: session.status,
            title: values.title.as_deref(),
            metadata: raw(&values.metadata, "metadata")?,
            environment_id: &session.pins.environment,
            agent: raw(&values.agent, "agent")?,
            resources: resources.collect::<Result<_, _>>()?,
            vault_ids: &session.pins.vaults,
            deployment_id: None,
            budget: budget.transpose()?,
            outcome_evaluations: [],
            stats: Stats {
                active_seconds: session.activity.micros_at(view.until) as f64 / 1e6,
                duration_seconds: view.duration().as_secs_f64(),
            },
            usage: WireUsage::of(session.usage, session.activity, view.until),
            created_at: session.created_at,
            updated_at: session.updated_at,
            archived_at: session.archived_at,
            environment_revision: session.pins.environment_revision,
        })
    }
}

impl<'a> WireSessionResource<'a> {
    pub(crate) fn schema() -> Schema {
        let one = |kind| {
            Schema::answer()
                .has("id", Schema::id::<SessionResourceId>())
                .has("type", Schema::word(kind))
                .has("mount_path", Schema::text())
                .has("created_at", Schema::moment())
                .has("updated_at", Schema::moment())
        };
        let file = one("file").has("file_id", Schema::id::<FileId>());
        let repository = one("github_repository")
            .has("url", Schema::text())
            .has("checkout", Checkout::schema().or_null());
        Schema::any_of([file, repository]).named("SessionResource")
    }

    pub(crate) fn of(resource: &'a SessionResource) -> Result<Self, Failure> {
        let kind = match &resource.kind {
            SessionResourceKind::File(file_id) => Kind::File { file_id },
            SessionResourceKind::Repository { url, checkout } => {
                let checkout = checkout.as_deref().map(serde_json::from_str::<&RawValue>);
                let checkout = checkout.transpose();
                Kind::GithubRepository {
                    url,
                    checkout: checkout.map_err(|_| corrupt("repository_checkout"))?,
                }
            }
        };
        Ok(Self {
            id: &resource.id,
            kind,
            mount_path: &resource.mount_path,
            created_at: resource.created_at,
            updated_at: resource.updated_at,
        })
    }
}
