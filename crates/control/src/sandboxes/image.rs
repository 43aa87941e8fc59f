//! The image of a session's sandbox: the packages and the project that its environment declared at the revision that the session pinned.

use std::sync::Arc;

use bailiwick_images::{BuildError, Builder, FetchAccess, Head, Held, ImageSpec, ProjectAt};
use bailiwick_model::{
    OrganizationId, PackageManager, PackageSpec, Packages, Project, ResourceId as _, Transport,
};
use bailiwick_runtime::{Access, Image, Mount, MountSource};
use bailiwick_wire::{EnvironmentBody, EnvironmentConfig};
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use super::error::SandboxError;
use crate::error::ControlError;
use crate::sessions::corrupt;

/// An image that stays on this machine as long as this lives.
pub(super) struct SessionImage {
    pub(super) image: Image,
    /// The project, which each sandbox has of its own.
    pub(super) project: Option<Mount>,
    _held: Arc<Held>,
}

/// What an environment declares that is built before its sandboxes start.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Declared {
    packages: Packages,
    project: Option<Project>,
}

impl Declared {
    /// As a configuration has it: its parts, and the whole of it.
    pub(super) fn of(config: &str, packages: Option<&str>) -> Result<Self, ControlError> {
        Ok(Self {
            packages: packages_of(packages)?,
            project: project_of(config)?,
        })
    }

    /// Nothing has to be built.
    pub(super) fn is_nothing(&self) -> bool {
        self.packages.is_empty() && self.project.is_none()
    }

    /// Whether sessions can have it: there is neither a key for ssh nor a directory of this machine for them.
    pub(super) fn is_for_sessions(&self) -> bool {
        let transport = self.project.as_ref().map(|it| it.repository.transport());
        transport.is_none_or(|transport| matches!(transport, Transport::Https { .. }))
    }
}

fn project_of(config: &str) -> Result<Option<Project>, ControlError> {
    let config: Value = serde_json::from_str(config).map_err(|_| corrupt("config"))?;
    if config["project"].is_null() {
        return Ok(None);
    }
    let Value::Object(body) = json!({"name": "environment", "config": config}) else {
        return Err(corrupt("config"));
    };
    let body = EnvironmentBody::create(&body).map_err(|_| corrupt("config"))?;
    match body.config {
        EnvironmentConfig::Cloud(config) => Ok(config.project),
        EnvironmentConfig::SelfHosted => Ok(None),
    }
}

/// The packages of an environment, as its configuration has them: a list for each manager.
fn packages_of(declared: Option<&str>) -> Result<Packages, ControlError> {
    let mut packages = Packages::default();
    let Some(declared) = declared else {
        return Ok(packages);
    };
    let declared: Map<String, Value> =
        serde_json::from_str(declared).map_err(|_| corrupt("config"))?;
    for manager in PackageManager::ALL {
        let texts = declared.get(manager.name()).and_then(Value::as_array);
        for text in texts.into_iter().flatten() {
            let text = text.as_str().ok_or_else(|| corrupt("config"))?;
            let spec = PackageSpec::parse(*manager, text).map_err(|_| corrupt("config"))?;
            packages.add(spec).map_err(|_| corrupt("config"))?;
        }
    }
    Ok(packages)
}

/// The image with these packages and the project as it is now; what is missing of it is built, with keys of the organization's own.
pub(super) async fn built(
    builder: &Builder,
    organization: &OrganizationId,
    declared: Declared,
) -> Result<SessionImage, SandboxError> {
    let builder = Builder {
        organization: organization.as_str().to_owned(),
        ..builder.clone()
    };
    let runtime = Handle::current();
    // A build reads and hashes trees between its waits, and what it tells is not for other threads.
    let building = tokio::task::spawn_blocking(move || {
        let Declared { packages, project } = declared;
        runtime.block_on(async {
            let project = match project {
                Some(project) => Some(ProjectAt {
                    head: head(&builder, &project).await?,
                    project,
                }),
                None => None,
            };
            let spec = ImageSpec {
                packages,
                project,
                ..ImageSpec::default()
            };
            let (keys, held) = builder.build(&spec, &mut |_| {}).await?;
            // Its layer is the topmost.
            let directory = spec.project.as_ref().map(ProjectAt::directory);
            let mount = directory.zip(keys.last()).map(|(target, key)| Mount {
                source: MountSource::Layer(key.clone()),
                target,
                access: Access::ReadWrite,
            });
            Ok::<_, BuildError>((builder.image(&keys), mount, held))
        })
    });
    let (image, project, held) = building
        .await
        .map_err(|_| SandboxError::CutOff)?
        .map_err(|error| SandboxError::Image(Box::new(error)))?;
    Ok(SessionImage {
        image,
        project,
        _held: Arc::new(held),
    })
}

/// The project as it is now; where its repository does not answer, as it was last.
async fn head(builder: &Builder, project: &Project) -> Result<Head, BuildError> {
    let access = FetchAccess::default();
    match builder.fetch(project, &access, &mut |_| {}).await {
        Err(error @ BuildError::Unreachable { .. }) => builder.last_head(project).ok_or(error),
        fetched => fetched,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_as_the_configuration_has_them() {
        let declared =
            r#"{"type": "packages", "apt": [], "pip": ["pytest==8.3.4", "ruff"], "npm": ["tsx"]}"#;
        let packages = packages_of(Some(declared)).unwrap();
        assert_eq!(packages.len(), 3);
        assert_eq!(packages.of(PackageManager::Pip)[1].as_str(), "ruff");
        assert!(packages_of(None).unwrap().is_empty());
        assert!(packages_of(Some(r#"{"pip": ["a b; c"]}"#)).is_err());
    }
}
