//! Environments as requests and answers carry them: what a body means, and what becomes of a stored environment that one changes.
//!
//! A change is merged as JSON into what is stored, and the whole is then validated like a new one: there is one set of rules.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_model::limits::NAMESPACE_BYTES;
use bailiwick_model::{BaseName, EnvironmentName, Packages, Project, Transport};
use bailiwick_policy::EgressPolicy;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::draft::EnvironmentDraft;
use crate::environment_file::EnvironmentFile;
use crate::json::{Body, FieldProblem};

/// What runs the sandboxes of an environment, and what they are like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvironmentConfig {
    /// Bailiwick does.
    Cloud(Box<CloudConfig>),
    /// Workers of the organization do, which take work from its queue.
    SelfHosted,
}

/// What sandboxes of Bailiwick's are like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CloudConfig {
    /// Its own egress policy; without one the organization's default holds.
    pub policy: Option<EgressPolicy>,
    /// The packages that it declares.
    pub packages: Packages,
    /// What they stand on, where it names that.
    pub base: Option<BaseName>,
    /// The project that it is for.
    pub project: Option<Project>,
}

/// A stored configuration in its parts, each as its text: answers are put together from them without reading them.
#[derive(Debug, Deserialize)]
pub struct ConfigParts<'a> {
    /// `cloud` or `self_hosted`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// Its own egress policy.
    #[serde(borrow, default)]
    pub networking: Option<&'a RawValue>,
    /// The packages that it declares.
    #[serde(borrow, default)]
    pub packages: Option<&'a RawValue>,
    /// What its sandboxes stand on.
    #[serde(borrow, default)]
    pub base: Option<&'a RawValue>,
    /// The project that it is for.
    #[serde(borrow, default)]
    pub project: Option<&'a RawValue>,
}

impl<'a> ConfigParts<'a> {
    /// Takes a stored configuration apart.
    ///
    /// # Errors
    ///
    /// It is not what [`EnvironmentBody::config_json`] writes.
    pub fn of(config: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(config)
    }

    /// Whether the organization's default policy holds.
    pub fn inherits_policy(&self) -> bool {
        self.kind == "cloud" && self.networking.is_none()
    }
}

/// What a body says of an environment, or what is stored of one after it was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentBody {
    /// Its name.
    pub name: EnvironmentName,
    /// What it is for.
    pub description: Option<String>,
    /// What it is.
    pub config: EnvironmentConfig,
    /// Free pairs; no key has a reserved prefix.
    pub metadata: BTreeMap<String, String>,
}

/// What is stored, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEnvironment {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// See [`EnvironmentBody::config_json`].
    pub config: Map<String, Value>,
    /// Free pairs.
    pub metadata: Map<String, Value>,
}

impl EnvironmentBody {
    /// Reads the body that makes an environment.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with its field.
    pub fn create(body: &Map<String, Value>) -> Result<Self, Vec<FieldProblem>> {
        let mut whole = body.clone();
        // Absent and null are the default.
        if whole.get("config").is_none_or(Value::is_null) {
            whole.insert("config".to_owned(), json!({"type": "cloud"}));
        }
        Self::read(whole)
    }

    /// Reads the body that changes an environment: what is absent stays.
    ///
    /// # Errors
    ///
    /// As [`Self::create`]; the fields are those of the whole environment after the change.
    pub fn update(
        stored: StoredEnvironment,
        body: &Map<String, Value>,
    ) -> Result<Self, Vec<FieldProblem>> {
        let mut whole = body.clone();
        if whole.get("name").is_none_or(Value::is_null) {
            whole.insert("name".to_owned(), Value::String(stored.name));
        }
        if !whole.contains_key("description") {
            whole.insert("description".to_owned(), stored.description.into());
        }
        let metadata = match whole.remove("metadata") {
            Some(Value::Object(patch)) => Value::Object(patched(stored.metadata, patch)),
            Some(other) if !other.is_null() => other,
            Some(_) | None => Value::Object(stored.metadata),
        };
        whole.insert("metadata".to_owned(), metadata);
        let config = match whole.remove("config") {
            Some(Value::Object(patch)) => Value::Object(merge_config(stored.config, patch)?),
            Some(other) if !other.is_null() => other,
            Some(_) | None => Value::Object(stored.config),
        };
        whole.insert("config".to_owned(), config);
        Self::read(whole)
    }

    fn read(mut whole: Map<String, Value>) -> Result<Self, Vec<FieldProblem>> {
        let is_self_hosted = whole.get("config").and_then(|config| config.get("type"))
            == Some(&json!("self_hosted"));
        if is_self_hosted {
            nothing_but_type(&whole["config"])?;
            whole.insert("config".to_owned(), json!({"type": "cloud"}));
        }
        let body = Body::of(&whole).map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        let draft = EnvironmentDraft::read(body.root.clone(), &mut problems);
        let file = match draft.map(EnvironmentFile::try_from) {
            Some(Ok(file)) if problems.is_empty() => file,
            Some(Err(further)) => {
                problems.extend(further);
                return Err(problems.iter().map(|problem| body.told(problem)).collect());
            }
            Some(Ok(_)) | None => {
                return Err(problems.iter().map(|problem| body.told(problem)).collect());
            }
        };
        Ok(Self::of_file(file, is_self_hosted))
    }

    /// What a file says; one of a self-hosted environment says nothing of sandboxes.
    pub(crate) fn of_file(file: EnvironmentFile, is_self_hosted: bool) -> Self {
        let EnvironmentFile {
            name,
            description,
            policy,
            packages,
            base,
            project,
            metadata,
            warnings: _,
        } = file;
        let config = if is_self_hosted {
            EnvironmentConfig::SelfHosted
        } else {
            EnvironmentConfig::Cloud(Box::new(CloudConfig {
                policy,
                packages,
                base,
                project,
            }))
        };
        Self {
            name,
            description,
            config,
            metadata,
        }
    }

    /// The paths that it names of the machine that runs its sandboxes, with their fields.
    pub fn host_paths(&self) -> Vec<(&'static str, &Path)> {
        let EnvironmentConfig::Cloud(config) = &self.config else {
            return Vec::new();
        };
        let base = config.base.as_ref().and_then(BaseName::host_path);
        let repository = config.project.as_ref().map(|project| &project.repository);
        let repository = repository
            .filter(|repository| *repository.transport() == Transport::File)
            .map(|repository| Path::new(repository.path()));
        let named = [
            ("config.base", base),
            ("config.project.repository", repository),
        ];
        let path = |(field, path): (_, Option<_>)| Some((field, path?));
        named.into_iter().filter_map(path).collect()
    }

    /// The configuration as it is stored: without `networking` the organization's default policy holds.
    pub fn config_json(&self) -> Value {
        match &self.config {
            EnvironmentConfig::SelfHosted => json!({"type": "self_hosted"}),
            EnvironmentConfig::Cloud(config) => {
                let CloudConfig {
                    policy,
                    packages,
                    base,
                    project,
                } = config.as_ref();
                let file = EnvironmentFile {
                    name: self.name.clone(),
                    description: None,
                    policy: policy.clone(),
                    packages: packages.clone(),
                    base: base.clone(),
                    project: project.clone(),
                    metadata: BTreeMap::new(),
                    warnings: Vec::new(),
                };
                let document = serde_json::to_value(file.canonical())
                    .expect("texts, booleans, numbers, lists and maps");
                document["config"].clone()
            }
        }
    }
}

/// What is wrong with the name of a Kubernetes namespace: it is a DNS label (RFC 1123, section 2.1).
pub fn invalid_namespace(name: &str) -> Option<FieldProblem> {
    let inner = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-');
    let is_label = (1..=NAMESPACE_BYTES).contains(&name.len())
        && name.chars().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-');
    (!is_label).then(|| FieldProblem {
        field: "namespace".to_owned(),
        code: "invalid_namespace",
        message: format!("a namespace is a DNS label of at most {NAMESPACE_BYTES} characters"),
        help: "use a-z, 0-9 and `-`, beginning and ending with a letter or a digit".to_owned(),
    })
}

/// A policy as the wire writes networking, with the extensions.
pub fn networking_json(policy: &EgressPolicy) -> Value {
    serde_json::to_value(crate::canonical::Networking::from(policy))
        .expect("texts, booleans, numbers, lists and maps")
}

/// Reads a policy as the wire writes networking.
///
/// # Errors
///
/// Everything that is wrong with it; fields are those below `networking`.
pub fn policy_from_json(networking: &Value) -> Result<EgressPolicy, Vec<FieldProblem>> {
    let body = json!({"name": "policy", "config": {"type": "cloud", "networking": networking}});
    let Value::Object(body) = body else {
        unreachable!("it was just made")
    };
    let read = EnvironmentBody::create(&body);
    let below = |problem: FieldProblem| FieldProblem {
        field: problem
            .field
            .strip_prefix("config.")
            .unwrap_or(&problem.field)
            .to_owned(),
        ..problem
    };
    let nothing = || FieldProblem {
        field: "networking".to_owned(),
        code: "missing_field",
        message: "a policy is wanted".to_owned(),
        help: "write `\"type\": \"limited\"` or `\"type\": \"unrestricted\"`".to_owned(),
    };
    match read {
        Ok(EnvironmentBody {
            config: EnvironmentConfig::Cloud(config),
            ..
        }) => config.policy.ok_or_else(|| vec![nothing()]),
        Ok(EnvironmentBody {
            config: EnvironmentConfig::SelfHosted,
            ..
        }) => Err(vec![nothing()]),
        Err(problems) => Err(problems.into_iter().map(below).collect()),
    }
}

fn nothing_but_type(config: &Value) -> Result<(), Vec<FieldProblem>> {
    let problem = |key: &String| FieldProblem {
        field: format!("config.{key}"),
        code: "unknown_field",
        message: format!("a self-hosted environment has no {key:?}: its workers decide"),
        help: "remove it, or write `\"type\": \"cloud\"`".to_owned(),
    };
    let problems: Vec<_> = config
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .filter(|key| *key != "type")
        .map(problem)
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// A patch of pairs: a text sets, null and the empty text remove.
fn patched(mut stored: Map<String, Value>, patch: Map<String, Value>) -> Map<String, Value> {
    for (key, value) in patch {
        if value.is_null() || value == "" {
            stored.remove(&key);
        } else {
            stored.insert(key, value);
        }
    }
    stored
}

fn merge_config(
    stored: Map<String, Value>,
    patch: Map<String, Value>,
) -> Result<Map<String, Value>, Vec<FieldProblem>> {
    if let Some(kind) = patch
        .get("type")
        .filter(|kind| Some(*kind) != stored.get("type"))
    {
        return Err(vec![FieldProblem {
            field: "config.type".to_owned(),
            code: "invalid_config_type_change",
            message: format!("the type of an environment cannot be changed to {kind}"),
            help: "make another environment".to_owned(),
        }]);
    }
    let mut merged = stored;
    for (key, value) in patch {
        match (key.as_str(), value) {
            // Absent or null: what is stored stays.
            ("networking" | "packages", Value::Null) => {}
            ("networking", Value::Object(patch)) => {
                let stored = merged.remove("networking");
                merged.insert(key, Value::Object(merge_networking(stored, patch)));
            }
            ("packages", Value::Object(patch)) => {
                let mut packages = merged
                    .remove("packages")
                    .and_then(into_map)
                    .unwrap_or_default();
                packages.extend(patch);
                merged.insert(key, Value::Object(packages));
            }
            (_, value) => {
                merged.insert(key, value);
            }
        }
    }
    Ok(merged)
}

/// What a change of `networking.type` leaves as it was: the wire knows nothing of them, so it takes none of them away.
const KEPT: [&str; 4] = [
    "allowed_cidrs",
    "denied_hosts",
    "denied_cidrs",
    "host_ports",
];

fn merge_networking(stored: Option<Value>, patch: Map<String, Value>) -> Map<String, Value> {
    let mut merged = stored.and_then(into_map).unwrap_or_default();
    if patch
        .get("type")
        .is_some_and(|kind| Some(kind) != merged.get("type"))
    {
        merged.retain(|key, _| KEPT.contains(&key.as_str()));
    }
    merged.extend(patch);
    merged
}

fn into_map(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    }
}
