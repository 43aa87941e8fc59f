//! Knowledge connectors, as documents declare them: the environment stands there by its name.

use bailiwick_model::EnvironmentName;
use bailiwick_model::limits::LIMIT_NAME_CHARS;
use serde_json::{Map, Value as Json};

use super::fields::Problems;
use crate::json::FieldProblem;

/// A source of documents that are searched in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredKnowledgeConnector {
    /// What people call it.
    pub name: String,
    /// Where it belongs.
    pub environment: EnvironmentName,
    /// Where it reads, as the administration takes it; it says of which type it is.
    pub source: Map<String, Json>,
    /// With what, as the administration takes it; without it what is public is read.
    pub credential: Option<Map<String, Json>>,
    /// When, as the administration takes it; without it by hand alone.
    pub schedule: Option<Map<String, Json>>,
}

const FIELDS: [&str; 5] = ["name", "environment", "source", "credential", "schedule"];

impl DeclaredKnowledgeConnector {
    /// Reads a document.
    pub(super) fn of(map: &Map<String, Json>) -> Result<Self, Vec<FieldProblem>> {
        let mut problems = Problems::default();
        problems.known(map, &FIELDS);
        let name = problems.text(map, "name", LIMIT_NAME_CHARS);
        let environment = problems.environment(map, "environment");
        let source = problems.object(map, "source");
        let has_type = |source: &Map<String, Json>| source.get("type").is_some_and(Json::is_string);
        if !source.as_ref().is_some_and(has_type)
            && problems.0.iter().all(|one| one.field != "source")
        {
            let message = "has to say where it reads";
            let help = "write {type: web, url: https://HOST/}, or another type: directory, git, github, confluence";
            problems.add("source", "invalid_source", message, help);
        }
        let credential = problems.object(map, "credential");
        let schedule = problems.object(map, "schedule");
        match (name, environment, source) {
            (Some(name), Some(environment), Some(source)) if problems.0.is_empty() => Ok(Self {
                name,
                environment,
                source,
                credential,
                schedule,
            }),
            _ => Err(problems.0),
        }
    }
}
