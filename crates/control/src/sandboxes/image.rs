//! The image of a session's sandbox: the base, the packages and the project that its environment declared at the revision that the session pinned.

use std::net::IpAddr;
use std::sync::Arc;

use bailiwick_images::{
    BaseSource, BuildError, Builder, FetchAccess, Head, Held, ImageSpec, ProjectAt,
};
use bailiwick_model::{
    BaseName, PackageManager, PackageSpec, Packages, PackagesProblem, Project, ResourceId as _,
    Transport,
};
use bailiwick_policy::{HOST_SERVICE, OrganizationFloor};
use bailiwick_runtime::{Access, Image, Mount, MountSource};
use bailiwick_wire::{ConfigParts, EnvironmentBody, EnvironmentConfig};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use super::base::{Revision, SessionImages};
use super::error::SandboxError;
use crate::control::Control;
use crate::error::ControlError;
use crate::sessions::corrupt;

/// An image that stays on this machine as long as this lives.
pub(crate) struct SessionImage {
    pub(crate) image: Image,
    /// The project, which each sandbox has of its own.
    pub(crate) project: Option<Mount>,
    _held: Arc<Held>,
}

/// What an environment declares that is built before its sandboxes start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Declared {
    base: BaseSource,
    packages: Packages,
    project: Option<Project>,
}

impl Declared {
    /// As a configuration has it: its parts, and the whole of it.
    pub(crate) fn of(config: &str, parts: &ConfigParts<'_>) -> Result<Self, ControlError> {
        Ok(Self {
            base: base_of(parts.base.map(RawValue::get))?,
            packages: packages_of(parts.packages.map(RawValue::get))?,
            project: project_of(config)?,
        })
    }

    /// The same with more packages. One that is declared already is not added; there may be no more than an environment may have.
    pub(crate) fn with(mut self, packages: &Packages) -> Result<Self, PackagesProblem> {
        for (manager, specs) in packages.iter() {
            for spec in specs {
                if !self.packages.of(manager).contains(spec) {
                    self.packages.add(spec.clone())?;
                }
            }
        }
        Ok(self)
    }

    /// Nothing has to be built.
    pub(crate) fn is_nothing(&self) -> bool {
        self.base == BaseSource::Host && self.packages.is_empty() && self.project.is_none()
    }

    /// Whether sessions can have it: there is neither a key for ssh nor a directory or a service of this machine for them, and an address
    /// would be a way around what names may resolve to.
    pub(crate) fn is_for_sessions(&self) -> bool {
        match self.project.as_ref().map(|it| it.repository.transport()) {
            None => true,
            Some(Transport::Https { host, .. }) => {
                &**host != HOST_SERVICE && host.parse::<IpAddr>().is_err()
            }
            Some(Transport::Ssh { .. } | Transport::File) => false,
        }
    }
}

fn base_of(declared: Option<&str>) -> Result<BaseSource, ControlError> {
    let Some(declared) = declared else {
        return Ok(BaseSource::Host);
    };
    let name: Option<String> = serde_json::from_str(declared).map_err(|_| corrupt("config"))?;
    let Some(name) = name else {
        return Ok(BaseSource::Host);
    };
    let name: BaseName = name.parse().map_err(|_| corrupt("config"))?;
    name.try_into().map_err(|_| corrupt("config"))
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

/// The image with this base, these packages and the project as it is now; what is missing of it is built, with keys of the organization's own
/// and under its floor.
pub(crate) async fn built(
    control: &Control,
    images: &SessionImages,
    declared: Declared,
    floor: OrganizationFloor,
    revision: Revision<'_>,
) -> Result<SessionImage, SandboxError> {
    let owners = images.owners;
    owners.suffice_for(&declared.base, &declared.packages)?;
    let builder = Builder {
        organization: revision.organization.as_str().to_owned(),
        floor,
        ..images.builder.clone()
    };
    let base = control.pinned_base(images, &builder, &declared.base, revision);
    let builder = Builder {
        base: base.await?,
        ..builder
    };
    let runtime = Handle::current();
    // A build reads and hashes trees between its waits, and what it tells is not for other threads.
    let building = tokio::task::spawn_blocking(move || {
        let (packages, project) = (declared.packages, declared.project);
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
    fn a_project_of_the_servers_own_machine_or_by_address_is_not_for_sessions() {
        let is_for_sessions = |repository: &str| {
            let project = json!({"repository": repository});
            let config = json!({"type": "cloud", "project": project}).to_string();
            let parts = ConfigParts::of(&config).unwrap();
            Declared::of(&config, &parts).unwrap().is_for_sessions()
        };
        assert!(is_for_sessions("https://git.example.com:8443/app"));
        for repository in [
            "https://host.internal:8443/app",
            "https://127.0.0.1/app",
            "https://10.0.0.1:8443/app",
            "ssh://git@git.example.com/app",
            "file:///srv/app",
        ] {
            assert!(!is_for_sessions(repository), "{repository}");
        }
    }

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
