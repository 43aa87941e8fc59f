//! Which paths of the machine that runs sandboxes an environment may name, and that it names none of its services.
//!
//! Whoever may write an environment could else have any file of that machine mounted or unpacked below a sandbox, or fetched into it as a
//! repository: `dir:` and `tar:` bases and `file://` projects. Without the operator's word there are none. An image of a registry on that
//! machine (`oci:localhost:5000/…`) would be a request to whatever listens there; those are never allowed.

use std::path::{Component, Path, PathBuf};

use bailiwick_images::BaseSource;
use bailiwick_images::base::oci;
use bailiwick_model::BaseName;
use bailiwick_wire::{EnvironmentBody, EnvironmentConfig, FieldProblem};

/// The directories of the machine, and what is below them, that environments may name; at first none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPaths(Vec<PathBuf>);

/// A directory that is no absolute path without `..`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is no absolute path without `..`", .0.display())]
pub struct NotAHostPath(pub PathBuf);

impl HostPaths {
    /// These directories.
    ///
    /// # Errors
    ///
    /// [`NotAHostPath`], the first.
    pub fn new(directories: Vec<PathBuf>) -> Result<Self, NotAHostPath> {
        match directories.iter().find(|directory| !is_plain(directory)) {
            Some(wrong) => Err(NotAHostPath(wrong.clone())),
            None => Ok(Self(directories)),
        }
    }

    /// Whether an environment may name this path. What it leads to by symbolic links is for whoever opens it to ask again, with the path
    /// that it opens.
    pub fn allow(&self, path: &Path) -> bool {
        is_plain(path) && self.0.iter().any(|directory| path.starts_with(directory))
    }

    /// What is wrong with an environment that names others; what it named before stays.
    pub(crate) fn problems(
        &self,
        body: &EnvironmentBody,
        before: Option<&EnvironmentBody>,
    ) -> Vec<FieldProblem> {
        let known = before.map(EnvironmentBody::host_paths).unwrap_or_default();
        let named = body.host_paths().into_iter();
        let refused = named.filter(|named| !self.allow(named.1) && !known.contains(named));
        let problem = |(field, path): (&str, &Path)| {
            FieldProblem {
            field: field.to_owned(),
            code: "host_path_refused",
            message: format!("{} is a path of the server's machine", path.display()),
            help: "name a registry's image, a Debian release or a repository of the network, or have the operator allow the directory (`bailiwick up --allow-host-path`)".to_owned(),
        }
        };
        let own = registry_here(body).filter(|base| before.and_then(registry_here) != Some(base));
        refused
            .map(problem)
            .chain(own.map(registry_problem))
            .collect()
    }
}

/// The base of an environment, if that is an image of a registry on the machine that would pull it.
fn registry_here(body: &EnvironmentBody) -> Option<&BaseName> {
    let EnvironmentConfig::Cloud(config) = &body.config else {
        return None;
    };
    let base = config.base.as_ref()?;
    match BaseSource::try_from(base.clone()).ok()? {
        BaseSource::Oci(reference) if oci::is_here(&reference) => Some(base),
        BaseSource::Oci(_)
        | BaseSource::Host
        | BaseSource::Directory(_)
        | BaseSource::Archive(_)
        | BaseSource::Debian(_) => None,
    }
}

fn registry_problem(base: &BaseName) -> FieldProblem {
    FieldProblem {
        field: "config.base".to_owned(),
        code: "registry_refused",
        message: format!("{base} names a service of the server's machine"),
        help: "name a registry of the network".to_owned(),
    }
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute() && !path.components().any(|part| part == Component::ParentDir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_an_allowed_directory_may_be_named() {
        let allowed = HostPaths::new(vec!["/srv/bases".into()]).unwrap();
        for path in ["/srv/bases", "/srv/bases/a", "/srv//bases/./a"] {
            assert!(allowed.allow(Path::new(path)), "{path}");
        }
        for path in [
            "/",
            "/srv",
            "/srv/bases2",
            "/srv/bases/../../etc",
            "srv/bases",
            "",
        ] {
            assert!(!allowed.allow(Path::new(path)), "{path}");
            assert!(!HostPaths::default().allow(Path::new(path)), "{path}");
        }
        for wrong in ["srv", "/srv/../etc", ""] {
            assert!(HostPaths::new(vec![wrong.into()]).is_err(), "{wrong}");
        }
    }
}
