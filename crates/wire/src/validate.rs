//! From drafts to values: what a field means, and which fields go together.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_model::{BaseName, EnvironmentName, Packages, Project, limits};
use bailiwick_policy::EgressPolicy;

use crate::draft::{ConfigDraft, EnvironmentDraft, Field};
use crate::environment_file::EnvironmentFile;
use crate::problem::{Cause, Problem};
use crate::shape::closest;
use crate::tree::{Located, Span};
use crate::{networking, packages, project};

/// Prefixes of metadata keys that belong to servers: ours, and the one that files of another service reserve.
pub(crate) const RESERVED_METADATA: [&str; 2] = ["bailiwick.", "sandbox0.managed_agents."];

impl TryFrom<Located<EnvironmentDraft>> for EnvironmentFile {
    type Error = Vec<Problem>;

    /// Takes a draft whose shape is right; every problem of meaning is in the error, or, where the file can be used all
    /// the same, in the value's `warnings`.
    fn try_from(draft: Located<EnvironmentDraft>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let Located { value: draft, span } = draft;
        let name = name(draft.name, span, &mut problems);
        if let Some(scope) = draft.scope.set() {
            scope_is_organization(&scope, &mut problems);
        }
        let description = description(draft.description, &mut problems);
        let metadata = metadata(draft.metadata, &mut problems);
        let Configuration {
            policy,
            packages,
            base,
            project,
        } = match draft.config.set() {
            Some(config) => configuration(config, &mut problems),
            None => Configuration::default(),
        };
        let (warnings, errors) = problems
            .into_iter()
            .partition::<Vec<_>, _>(Problem::is_warning);
        match name {
            Some(name) if errors.is_empty() => Ok(Self {
                name,
                description,
                policy,
                packages,
                base,
                project,
                metadata,
                warnings,
            }),
            Some(_) | None => Err(errors.into_iter().chain(warnings).collect()),
        }
    }
}

/// Reports a word that is not one of `known`.
pub(crate) fn only(
    word: &Located<String>,
    what: &'static str,
    known: &[&'static str],
    problems: &mut Vec<Problem>,
) {
    if !known.contains(&word.value.as_str()) {
        let (found, meant) = (word.value.clone(), closest(&word.value, known));
        problems.push(Problem::new(
            Cause::NotOneOf {
                what,
                found,
                meant,
                known: known.to_vec(),
            },
            word.span.clone(),
        ));
    }
}

fn name(field: Field<String>, whole: Span, problems: &mut Vec<Problem>) -> Option<EnvironmentName> {
    if field.is_missing() {
        let cause = Cause::MissingField {
            place: "an environment",
            field: "name",
            example: "name: NAME",
        };
        problems.push(Problem::new(cause, whole.start..whole.start));
    }
    let text = field.set()?;
    text.value
        .parse()
        .map_err(|error| problems.push(Problem::new(Cause::Name(error), text.span)))
        .ok()
}

fn scope_is_organization(scope: &Located<String>, problems: &mut Vec<Problem>) {
    match scope.value.as_str() {
        "account" => problems.push(Problem::new(Cause::AccountScope, scope.span.clone())),
        _ => only(scope, "scope", &["organization"], problems),
    }
}

fn description(field: Field<String>, problems: &mut Vec<Problem>) -> Option<String> {
    let text = field.set()?;
    let count = text.value.chars().count();
    if count > limits::DESCRIPTION_CHARS {
        problems.push(Problem::new(Cause::LongDescription(count), text.span));
        return None;
    }
    Some(text.value)
}

/// What `config` says, as far as it is valid.
#[derive(Default)]
struct Configuration {
    policy: Option<EgressPolicy>,
    packages: Packages,
    base: Option<BaseName>,
    project: Option<Project>,
}

fn configuration(config: Located<ConfigDraft>, problems: &mut Vec<Problem>) -> Configuration {
    let Located {
        value: config,
        span,
    } = config;
    match config.kind {
        Field::Absent | Field::Null => {
            let cause = Cause::MissingField {
                place: "`config`",
                field: "type",
                example: "type: cloud",
            };
            problems.push(Problem::new(cause, span.start..span.start));
        }
        Field::Set(kind) if kind.value == "self_hosted" => {
            problems.push(Problem::new(Cause::SelfHosted, kind.span));
        }
        Field::Set(kind) => only(&kind, "type of environment", &["cloud"], problems),
        Field::Refused => {}
    }
    let networking = config.networking.set();
    let may_fetch = networking
        .as_ref()
        .is_none_or(|networking| networking::packages_may_be_fetched(&networking.value));
    let packages = match config.packages.set() {
        Some(draft) => {
            if !may_fetch && draft.value.names_any() {
                problems.push(Problem::new(
                    Cause::PackagesNeedManagers,
                    draft.span.clone(),
                ));
            }
            packages::validate(draft, problems)
        }
        None => Packages::default(),
    };
    let project = config.project.set();
    Configuration {
        base: base(config.base, problems),
        project: project.and_then(|draft| project::validate(draft, problems)),
        policy: networking.and_then(|networking| networking::validate(networking, problems)),
        packages,
    }
}

fn base(field: Field<String>, problems: &mut Vec<Problem>) -> Option<BaseName> {
    let Located { value: text, span } = field.set()?;
    let cause = match text.parse::<BaseName>() {
        Ok(base) if base.host_path().is_some_and(Path::is_relative) => Cause::RelativeBase(text),
        Ok(base) => return Some(base),
        Err(problem) => Cause::Base(problem),
    };
    problems.push(Problem::new(cause, span));
    None
}

pub(crate) fn metadata(
    field: Field<Vec<(Located<String>, Located<String>)>>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, String> {
    let Some(pairs) = field.set() else {
        return BTreeMap::new();
    };
    if pairs.value.len() > limits::METADATA_PAIRS {
        problems.push(Problem::new(
            Cause::TooManyMetadata(pairs.value.len()),
            pairs.span,
        ));
        return BTreeMap::new();
    }
    for (key, value) in &pairs.value {
        let (key_chars, value_chars) = (key.value.chars().count(), value.value.chars().count());
        if !(1..=limits::METADATA_KEY_CHARS).contains(&key_chars) {
            problems.push(Problem::new(
                Cause::MetadataKeyLength(key_chars),
                key.span.clone(),
            ));
        }
        if let Some(prefix) = RESERVED_METADATA
            .iter()
            .find(|prefix| key.value.starts_with(*prefix))
        {
            problems.push(Problem::new(
                Cause::ReservedMetadata(prefix),
                key.span.clone(),
            ));
        }
        if value_chars > limits::METADATA_VALUE_CHARS {
            problems.push(Problem::new(
                Cause::LongMetadataValue(value_chars),
                value.span.clone(),
            ));
        }
    }
    pairs
        .value
        .into_iter()
        .map(|(key, value)| (key.value, value.value))
        .collect()
}
