//! A session and what it has, as the wire shows them.

use bailiwick_control::SessionView;
use bailiwick_model::{
    EnvironmentId, FileId, SessionId, SessionResourceId, SessionStatus, VaultId,
};
use bailiwick_store::{SessionResource, SessionResourceKind};
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
    usage: Usage,
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

/// Nothing was used in a session that never ran.
#[derive(Serialize, Default)]
struct Usage {
    input_tokens: u64,
    output_tokens: u64,
    cache_read_input_tokens: u64,
    cache_creation: CacheCreation,
    list_cost: Option<()>,
    active_seconds: f64,
    server_tool_use: Option<()>,
}

#[derive(Serialize, Default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
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

impl<'a> WireSession<'a> {
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
                active_seconds: 0.0,
                duration_seconds: view.duration.as_secs_f64(),
            },
            usage: Usage::default(),
            created_at: session.created_at,
            updated_at: session.updated_at,
            archived_at: session.archived_at,
            environment_revision: session.pins.environment_revision,
        })
    }
}

impl<'a> WireSessionResource<'a> {
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
