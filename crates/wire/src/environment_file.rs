//! The value that an environment file stands for.

use std::collections::BTreeMap;

use bailiwick_model::{BaseName, EnvironmentName, Packages, Project};
use bailiwick_policy::EgressPolicy;

use crate::draft::EnvironmentDraft;
use crate::problem::Problem;
use crate::report::{EnvironmentFileErrors, EnvironmentFileWarnings};
use crate::tree;

/// A valid environment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentFile {
    /// The environment's name.
    pub name: EnvironmentName,
    /// What it is for; at most [`DESCRIPTION_CHARS`](bailiwick_model::limits::DESCRIPTION_CHARS) characters.
    pub description: Option<String>,
    /// Its own egress policy; `None` where it names none, so that the organization's default or the built-in one holds.
    pub policy: Option<EgressPolicy>,
    /// The packages that it declares.
    pub packages: Packages,
    /// What its sandboxes stand on, where it names that; a path is absolute.
    pub base: Option<BaseName>,
    /// The project that it is for.
    pub project: Option<Project>,
    /// Free pairs; no key has a reserved prefix.
    pub metadata: BTreeMap<String, String>,
    /// What is worth saying although the file can be used.
    pub warnings: Vec<Problem>,
}

/// Reads an environment file: YAML (or JSON, which is YAML) in the shape of Managed Agents' environments, with the
/// extensions of Bailiwick.
///
/// `source_name` is what errors call the file, usually its path.
///
/// # Errors
///
/// Every problem of the file at once, each with its place and its fix. Where the text is not YAML, the place at which
/// reading ended and what was wrong before it.
pub fn parse_environment(
    source_name: &str,
    text: &str,
) -> Result<EnvironmentFile, EnvironmentFileErrors> {
    let (root, mut problems) = tree::read(text);
    let draft = root.and_then(|root| EnvironmentDraft::read(root, &mut problems));
    match draft.map(EnvironmentFile::try_from) {
        Some(Ok(file)) if problems.is_empty() => return Ok(file),
        Some(Ok(file)) => problems.extend(file.warnings),
        Some(Err(further)) => problems.extend(further),
        None => {}
    }
    Err(EnvironmentFileErrors::new(source_name, text, problems))
}

impl EnvironmentFile {
    /// An environment that has a policy and nothing else.
    pub fn of_policy(name: EnvironmentName, policy: EgressPolicy) -> Self {
        Self {
            name,
            description: None,
            policy: Some(policy),
            packages: Packages::default(),
            base: None,
            project: None,
            metadata: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    /// The warnings with their source, ready to be printed; `None` where there are none.
    ///
    /// `source_name` and `text` are what the file was parsed from.
    pub fn warnings(&self, source_name: &str, text: &str) -> Option<EnvironmentFileWarnings> {
        (!self.warnings.is_empty())
            .then(|| EnvironmentFileWarnings::new(source_name, text, self.warnings.clone()))
    }
}
