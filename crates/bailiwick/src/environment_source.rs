//! The environment of a command: the file of `-f`, or none.

use std::path::Path;

use bailiwick_images::BaseSource;
use bailiwick_model::limits::ENVIRONMENT_FILE_BYTES;
use bailiwick_model::{BaseName, EnvironmentName, Packages, Project};
use bailiwick_policy::{
    EffectivePolicy, HostPattern, OrganizationFloor, Policy, SessionGrants, effective,
};
use bailiwick_wire::{EnvironmentFile, parse_environment};

use crate::bad_input::{BadInput, read_text};
use crate::host_environment::HostEnvironment;
use crate::output;

/// An environment, ready to be used.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// Its name, if it was read from a file.
    pub(crate) name: Option<EnvironmentName>,
    /// The policy that is in force and where it came from.
    pub(crate) effective: EffectivePolicy,
    /// What is to be installed in every sandbox made from it.
    pub(crate) packages: Packages,
    /// What its sandboxes stand on, where it names that.
    pub(crate) base: Option<BaseName>,
    /// What it is for.
    pub(crate) project: Option<Project>,
}

impl Environment {
    /// Whether there is more in its sandboxes than the base has.
    pub(crate) fn needs_image(&self) -> bool {
        !self.packages.is_empty() || self.project.is_some()
    }

    /// What sandboxes stand on: what was asked for, else what the environment names, else the host.
    ///
    /// # Errors
    ///
    /// [`BadInput::Base`].
    pub(crate) fn base(&self, asked: Option<BaseSource>) -> Result<BaseSource, BadInput> {
        match (asked, &self.base) {
            (Some(asked), _) => Ok(asked),
            (None, Some(named)) => named.clone().try_into().map_err(BadInput::Base),
            (None, None) => Ok(BaseSource::Host),
        }
    }

    /// The policy, compiled. On one machine there is no organization, so no further floor; what a session would bring along are the hosts of
    /// credentials.
    pub(crate) fn compile(&self, credential_hosts: Vec<HostPattern>) -> Policy {
        Policy::compile(
            self.effective.clone(),
            &OrganizationFloor::empty(),
            &SessionGrants {
                credential_hosts,
                ..SessionGrants::none()
            },
        )
    }
}

/// Reads the file and prints its warnings; without a file, the environment that has no policy of its own.
///
/// # Errors
///
/// [`BadInput`], with every problem of the file.
pub(crate) fn load(path: Option<&Path>, host: &HostEnvironment) -> Result<Environment, BadInput> {
    let Some(path) = path else {
        return Ok(Environment {
            name: None,
            effective: effective(None, None),
            packages: Packages::default(),
            base: None,
            project: None,
        });
    };
    let file = load_file(path, host)?;
    let own = file.policy.map(|policy| (file.name.clone(), policy));
    Ok(Environment {
        name: Some(file.name),
        effective: effective(own, None),
        packages: file.packages,
        base: file.base,
        project: file.project,
    })
}

/// Reads an environment file and prints its warnings.
///
/// # Errors
///
/// [`BadInput`], with every problem of the file.
pub(crate) fn load_file(path: &Path, host: &HostEnvironment) -> Result<EnvironmentFile, BadInput> {
    let text = read_text(path, ENVIRONMENT_FILE_BYTES)?;
    let source_name = path.display().to_string();
    let file = parse_environment(&source_name, &text)?;
    if let Some(warnings) = file.warnings(&source_name, &text) {
        output::print_diagnostic(&warnings, host);
    }
    Ok(file)
}
