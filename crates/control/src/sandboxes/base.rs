//! What the sandboxes of a session stand on: the base of its environment, by digest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bailiwick_images::base::oci;
use bailiwick_images::{
    BaseImage, BaseSource, BuildError, Builder, BuiltBase, Owners, Reference, archive_digest,
    directory_digest,
};
use bailiwick_model::{EnvironmentId, OrganizationId};
use bailiwick_runtime::Base;
use tokio::runtime::Handle;

use super::error::SandboxError;
use crate::control::Control;
use crate::error::ControlError;
use crate::host_paths::HostPaths;

/// What builds the images of sessions.
#[derive(Clone)]
pub struct SessionImages {
    /// For images on this machine's own userland; whose they are is said for each.
    pub builder: Builder,
    /// The file of the program that unpacks and pulls, inside.
    pub program: PathBuf,
    /// A directory that remembers digests of archives and directories.
    pub memory: PathBuf,
    /// As whom a build's files can be owned.
    pub owners: Owners,
}

/// A revision of an environment, which has one digest for the name of its base.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Revision<'a> {
    pub(crate) organization: &'a OrganizationId,
    pub(crate) environment: &'a EnvironmentId,
    pub(crate) number: i64,
}

/// Why a server's sandboxes do not stand on a base. What is said ends with what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BaseProblem {
    /// A service of this machine.
    #[error(
        "its registry is a service of the server's own machine, which no session reaches; name one of the network"
    )]
    RegistryHere,
    /// A path that the operator did not allow.
    #[error(
        "{} is a path of the server's machine; name a registry's image or a Debian release, or have the operator allow the directory (`bailiwick up --allow-host-path`)",
        .0.display()
    )]
    HostPath(PathBuf),
    /// It is not there, or is something else.
    #[error("{} cannot be read on the server's machine: {error}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl Control {
    /// The base, known by digest. The name of a registry's image is looked up once for each revision of an environment; then the digest is
    /// that of all its sessions, on whatever server.
    pub(super) async fn pinned_base(
        &self,
        images: &SessionImages,
        builder: &Builder,
        source: &BaseSource,
        revision: Revision<'_>,
    ) -> Result<BaseImage, SandboxError> {
        let program = images.program.clone();
        let (memory, allowed) = (images.memory.clone(), self.host_paths.clone());
        let reference = match source {
            BaseSource::Host => return Ok(builder.base.clone()),
            BaseSource::Debian(suite) => {
                return Ok(BaseImage::Built(BuiltBase::debian(suite, program)));
            }
            BaseSource::Directory(path) => {
                let path = path.clone();
                return blocking(move || directory(&allowed_path(&path, &allowed)?, &memory)).await;
            }
            BaseSource::Archive(path) => {
                let path = path.clone();
                let archive = move || archive(allowed_path(&path, &allowed)?, &memory, program);
                return blocking(archive).await;
            }
            BaseSource::Oci(reference) => reference,
        };
        if oci::is_here(reference) {
            return Err(BaseProblem::RegistryHere.into());
        }
        let digest = match reference.digest() {
            // It says itself what it stands for.
            Some(digest) => digest.to_owned(),
            None => self.digest(images, builder, reference, revision).await?,
        };
        Ok(BaseImage::Built(BuiltBase::image(
            reference, &digest, program,
        )))
    }

    async fn digest(
        &self,
        images: &SessionImages,
        builder: &Builder,
        reference: &Reference,
        at: Revision<'_>,
    ) -> Result<String, SandboxError> {
        let scope = self.store.scope(at.organization);
        let known = scope.environment_base(at.environment, at.number).await;
        if let Some(known) = known.map_err(ControlError::from)? {
            return Ok(known);
        }
        let found = looked_up(images, builder, reference).await?;
        let pinned =
            self.store
                .pin_environment_base(at.organization, at.environment, at.number, &found);
        let pinned = pinned.await.map_err(ControlError::from)?;
        pinned.ok_or_else(|| ControlError::NotFound("environment").into())
    }
}

/// The digest that a name stands for now. Nobody in particular asks: a login of this machine's is not for whoever may write an environment.
async fn looked_up(
    images: &SessionImages,
    builder: &Builder,
    reference: &Reference,
) -> Result<String, SandboxError> {
    let (builder, program, reference) =
        (builder.clone(), images.program.clone(), reference.clone());
    let runtime = Handle::current();
    // What it tells is not for other threads.
    let looking = tokio::task::spawn_blocking(move || {
        runtime.block_on(builder.look_up(&reference, None, &program, &mut |_| {}))
    });
    let found = looking.await.map_err(|_| SandboxError::CutOff)?;
    found.map_err(|error| SandboxError::Image(Box::new(error)))
}

/// Reads of this machine's files what no thread that serves others waits for.
async fn blocking(
    read: impl FnOnce() -> Result<BaseImage, SandboxError> + Send + 'static,
) -> Result<BaseImage, SandboxError> {
    let reading = tokio::task::spawn_blocking(read).await;
    reading.map_err(|_| SandboxError::CutOff)?
}

fn directory(path: &Path, memory: &Path) -> Result<BaseImage, SandboxError> {
    let digest = directory_digest(path, memory).map_err(BuildError::Store);
    let digest = digest.map_err(|error| SandboxError::Image(Box::new(error)))?;
    let base = Base::Directory(path.to_owned());
    Ok(BaseImage::Outside { base, digest })
}

fn archive(path: PathBuf, memory: &Path, program: PathBuf) -> Result<BaseImage, SandboxError> {
    let digest = archive_digest(&path, memory).map_err(unreadable(&path))?;
    Ok(BaseImage::Built(BuiltBase::archive(path, &digest, program)))
}

/// What a path leads to, if that is allowed too. It was allowed when the environment was written; what is allowed now counts.
fn allowed_path(path: &Path, allowed: &HostPaths) -> Result<PathBuf, BaseProblem> {
    let refused = || BaseProblem::HostPath(path.to_owned());
    if !allowed.allow(path) {
        return Err(refused());
    }
    let led = fs::canonicalize(path).map_err(unreadable(path))?;
    if allowed.allow(&led) {
        Ok(led)
    } else {
        Err(refused())
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> BaseProblem {
    let path = path.to_owned();
    |error| BaseProblem::Unreadable { path, error }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_below_an_allowed_directory_leads_to_no_other() {
        let (allowed, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let inside = allowed.path().canonicalize().unwrap();
        let outside = other.path().join("root.tar");
        fs::write(&outside, "").unwrap();
        fs::write(inside.join("root.tar"), "").unwrap();
        symlink(&outside, inside.join("link")).unwrap();
        symlink("root.tar", inside.join("other-name")).unwrap();
        let paths = HostPaths::new(vec![inside.clone()]).unwrap();
        for (name, expected) in [("root.tar", true), ("other-name", true), ("link", false)] {
            let path = allowed_path(&inside.join(name), &paths);
            assert_eq!(path.is_ok(), expected, "{name}: {path:?}");
        }
        assert!(allowed_path(&outside, &paths).is_err());
        assert!(allowed_path(&inside.join("root.tar"), &HostPaths::default()).is_err());
    }
}
