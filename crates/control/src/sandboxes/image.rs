//! The image of a session's sandbox: the packages that its environment declared at the revision that the session pinned.

use std::sync::Arc;

use bailiwick_images::{BuildError, Builder, Held, ImageSpec};
use bailiwick_model::{OrganizationId, PackageManager, PackageSpec, Packages, ResourceId as _};
use bailiwick_runtime::Image;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::error::SandboxError;
use crate::error::ControlError;
use crate::sessions::corrupt;

/// An image that stays on this machine as long as this lives.
pub(super) struct SessionImage {
    pub(super) image: Image,
    _held: Arc<Held>,
}

/// The packages of an environment, as its configuration has them: a list for each manager.
pub(super) fn packages_of(declared: Option<&str>) -> Result<Packages, ControlError> {
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

/// The image with these packages; what is missing of it is built, with keys of the organization's own.
pub(super) async fn built(
    builder: &Builder,
    organization: &OrganizationId,
    packages: Packages,
) -> Result<SessionImage, SandboxError> {
    let builder = Builder {
        organization: organization.as_str().to_owned(),
        ..builder.clone()
    };
    let spec = ImageSpec {
        packages,
        ..ImageSpec::default()
    };
    let runtime = Handle::current();
    // A build reads and hashes trees between its waits, and what it tells is not for other threads.
    let building = tokio::task::spawn_blocking(move || {
        let (keys, held) = runtime.block_on(builder.build(&spec, &mut |_| {}))?;
        Ok::<_, BuildError>((builder.image(&keys), held))
    });
    let (image, held) = building
        .await
        .map_err(|_| SandboxError::CutOff)?
        .map_err(|error| SandboxError::Image(Box::new(error)))?;
    Ok(SessionImage {
        image,
        _held: Arc::new(held),
    })
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
