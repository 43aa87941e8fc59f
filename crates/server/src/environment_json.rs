//! An environment as its two faces show it: one object, in two sets of fields.

use bailiwick_control::EnvironmentView;
use bailiwick_model::EnvironmentId;
use bailiwick_wire::{ConfigParts, EnvironmentBody, Schema};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::failure::{Failure, corrupt};

/// The wire's environment: every key always there.
#[derive(Serialize)]
pub(crate) struct WireEnvironment<'a> {
    id: &'a EnvironmentId,
    r#type: &'static str,
    name: &'a str,
    description: Option<&'a str>,
    config: Config<'a>,
    metadata: &'a RawValue,
    scope: &'static str,
    state: &'static str,
    archived_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// The administration's environment: what the wire has, and what it cannot express.
#[derive(Serialize)]
pub(crate) struct ApiEnvironment<'a> {
    #[serde(flatten)]
    wire: WireEnvironment<'a>,
    is_default: bool,
    restricted: bool,
    namespace: Option<&'a str>,
    /// Whether `config.networking` is the organization's.
    inherits_policy: bool,
    version: i64,
}

/// `config`, with the policy that holds.
#[derive(Serialize)]
struct Config<'a> {
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    networking: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packages: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a RawValue>,
}

impl<'a> WireEnvironment<'a> {
    fn fields() -> Schema {
        Schema::answer()
            .has("id", Schema::id::<EnvironmentId>())
            .has("type", Schema::word("environment"))
            .has("name", Schema::text())
            .has("description", Schema::text().or_null())
            .has("config", EnvironmentBody::config_schema())
            .has("metadata", Schema::metadata())
            .has("scope", Schema::word("organization"))
            .has("state", Schema::words(["active", "archived"]))
            .has("archived_at", Schema::moment().or_null())
            .has("created_at", Schema::moment())
            .has("updated_at", Schema::moment())
    }

    pub(crate) fn schema() -> Schema {
        Self::fields().named("Environment")
    }

    pub(crate) fn of(view: &'a EnvironmentView) -> Result<Self, Failure> {
        let environment = &view.environment;
        let values = &environment.values;
        let parts = ConfigParts::of(&values.config).map_err(|_| corrupt("config"))?;
        let inherited = view
            .inherited
            .as_deref()
            .map(serde_json::from_str::<&RawValue>);
        let inherited = inherited
            .transpose()
            .map_err(|_| corrupt("default_networking"))?;
        Ok(Self {
            id: &environment.id,
            r#type: "environment",
            name: &values.name,
            description: values.description.as_deref(),
            config: Config {
                r#type: parts.kind,
                networking: parts.networking.or(inherited),
                packages: parts.packages,
                base: parts.base,
                project: parts.project,
            },
            metadata: serde_json::from_str(&values.metadata).map_err(|_| corrupt("metadata"))?,
            scope: "organization",
            state: if environment.archived_at.is_some() {
                "archived"
            } else {
                "active"
            },
            archived_at: environment.archived_at,
            created_at: environment.created_at,
            updated_at: environment.updated_at,
        })
    }
}

impl<'a> ApiEnvironment<'a> {
    pub(crate) fn schema() -> Schema {
        let inherits = "Whether `config.networking` is the organization's.";
        WireEnvironment::fields()
            .has("is_default", Schema::boolean())
            .has("restricted", Schema::boolean())
            .has("namespace", Schema::text().or_null())
            .has("inherits_policy", Schema::boolean().says(inherits))
            .has("version", Schema::version())
            .named("GovernedEnvironment")
    }

    pub(crate) fn of(view: &'a EnvironmentView) -> Result<Self, Failure> {
        let environment = &view.environment;
        Ok(Self {
            wire: WireEnvironment::of(view)?,
            is_default: environment.is_default,
            restricted: environment.values.restricted,
            namespace: environment.values.namespace.as_deref(),
            inherits_policy: view.inherited.is_some(),
            version: environment.version,
        })
    }
}
