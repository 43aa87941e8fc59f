//! The build of a base: an archive unpacked, an image pulled, or a Debian release put together, each inside a sandbox on this machine's userland.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use bailiwick_model::PackageManager;
use bailiwick_policy::EgressPolicy;
use oci_client::Reference;

use super::job::{host, read_only};
use super::{BuildError, Builder, Job, Keeps, Outcome, Progress, error};
use crate::base::oci::{self, Login};
use crate::key::Content;
use crate::recipe::{self, REPORT};
use crate::store::BASE_ROOT as ROOT;

/// Where the program that unpacks and pulls stands, inside.
const PROGRAM: &str = "/mnt/bailiwick";
/// Where an archive stands, inside.
const ARCHIVE: &str = "/mnt/archive";
/// The variable by which a pull is told who pulls; with [`LOGIN_PASSWORD`].
pub const LOGIN_USER: &str = "BAILIWICK_REGISTRY_USER";
/// See [`LOGIN_USER`].
pub const LOGIN_PASSWORD: &str = "BAILIWICK_REGISTRY_PASSWORD";

/// A base that is built, and kept as a layer.
#[derive(Debug, Clone)]
pub struct BuiltBase {
    /// What identifies its contents: `tar:sha256:…`, `oci:sha256:…`, `debian:bookworm`.
    pub source: String,
    /// What it is made of.
    pub material: Material,
    /// The file of the program that unpacks and pulls inside.
    pub program: PathBuf,
}

/// What a base is made of.
#[derive(Debug, Clone)]
pub enum Material {
    /// An archive of this machine.
    Archive(PathBuf),
    /// The packages of a Debian release.
    Debian(String),
    /// An image of a registry, by digest.
    Oci {
        /// Which.
        reference: Reference,
        /// Who pulls.
        login: Option<Login>,
    },
}

impl BuiltBase {
    /// An archive of this machine, whose SHA-256 has these 64 digits; `program` is the file of the one that unpacks it.
    pub fn archive(archive: PathBuf, digest: &str, program: PathBuf) -> Self {
        Self {
            source: format!("tar:sha256:{digest}"),
            material: Material::Archive(archive),
            program,
        }
    }

    /// A Debian release; `program` as above.
    pub fn debian(suite: &str, program: PathBuf) -> Self {
        Self {
            source: format!("debian:{suite}"),
            material: Material::Debian(suite.to_owned()),
            program,
        }
    }

    /// An image of a registry, whose manifest has this digest; `program` is the file of the one that pulls it. Nobody in particular pulls.
    pub fn image(reference: &Reference, digest: &str, program: PathBuf) -> Self {
        Self {
            source: format!("oci:{digest}"),
            material: Material::Oci {
                reference: oci::pinned(reference, digest),
                login: None,
            },
            program,
        }
    }

    pub(super) fn content(&self, builder: &Builder) -> Content {
        let registry = match &self.material {
            Material::Debian(_) => builder.registry(PackageManager::Apt),
            Material::Archive(_) | Material::Oci { .. } => None,
        };
        Content::Base {
            source: self.source.clone(),
            registry: registry.map(ToString::to_string),
        }
    }

    /// What makes it.
    ///
    /// # Errors
    ///
    /// [`BuildError::Unresolved`]: the registry's name is one that no policy can allow.
    pub(super) fn job(&self, builder: &Builder) -> Result<Job, BuildError> {
        Ok(match &self.material {
            Material::Archive(archive) => {
                // The archive may change between now and when its digest was taken.
                let digest = self.source.rsplit(':').next().unwrap_or_default();
                let script = format!(
                    ": > {REPORT}; exec {PROGRAM} inside unpack --sha256 {digest} {ROOT} < {ARCHIVE}"
                );
                let mounts = vec![
                    read_only(archive, ARCHIVE),
                    read_only(&self.program, PROGRAM),
                ];
                let job = job(words(&["sh", "-c", &script]), EgressPolicy::limited());
                Job { mounts, ..job }
            }
            Material::Debian(suite) => job(
                recipe::debian_base(suite, builder.registry(PackageManager::Apt)),
                builder.policy_of(std::iter::once(PackageManager::Apt)),
            ),
            Material::Oci { reference, login } => {
                let reached = oci::inside(reference).to_string();
                let argv = words(&[PROGRAM, "inside", "pull", &reached, ROOT]);
                pulling(argv, &self.program, reference, login.as_ref())?
            }
        })
    }
}

impl Builder {
    /// Asks a registry for the digest of an image's manifest, from a sandbox that reaches that registry alone; `program` is the file of the one that asks, inside.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: the registry cannot be reached, or has no such image.
    pub async fn look_up(
        &self,
        reference: &Reference,
        login: Option<&Login>,
        program: &Path,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<String, BuildError> {
        let reached = oci::inside(reference).to_string();
        let argv = words(&[PROGRAM, "inside", "look-up", &reached]);
        let job = Job {
            keeps: Keeps::default(),
            ..pulling(argv, program, reference, login)?
        };
        let refused = |reason| unresolved(reference, reason);
        match self.run(job, None, None, told).await? {
            Outcome::Done(report) => Ok(report.trim().to_owned()),
            Outcome::Failed(_, tail) => Err(refused(error::reason(&tail))),
            Outcome::Over(limit) => Err(refused(format!("it ran into {limit}"))),
        }
    }
}

/// A job that reaches the registry of an image; `program` is the file of the one that does, inside.
fn pulling(
    argv: Vec<OsString>,
    program: &Path,
    reference: &Reference,
    login: Option<&Login>,
) -> Result<Job, BuildError> {
    let mut policy = EgressPolicy::limited();
    let (hosts, port) =
        oci::reached(reference).map_err(|error| unresolved(reference, error.to_string()))?;
    policy.allowed_hosts.extend(hosts);
    policy.host_ports.extend(port);
    let env = login.into_iter().flat_map(|login| {
        [
            (LOGIN_USER.into(), login.user.clone().into()),
            (LOGIN_PASSWORD.into(), login.password.clone().into()),
        ]
    });
    Ok(Job {
        mounts: vec![read_only(program, PROGRAM)],
        env: env.collect(),
        ..job(argv, policy)
    })
}

fn unresolved(reference: &Reference, reason: String) -> BuildError {
    BuildError::Unresolved {
        image: reference.to_string(),
        reason,
    }
}

fn job(argv: Vec<OsString>, policy: EgressPolicy) -> Job {
    Job {
        argv,
        policy,
        image: host(),
        input: Vec::new(),
        mounts: Vec::new(),
        env: BTreeMap::new(),
        directory: "/".into(),
        keeps: Keeps {
            image: false,
            besides: Some(ROOT.into()),
        },
        watched: None,
    }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_login_a_job_shows_the_names_of_its_variables_alone() {
        let login = Login {
            user: "puller".to_owned(),
            password: "secret".to_owned(),
        };
        let reference = "registry.example.com/team/base:1".parse().unwrap();
        let job = pulling(Vec::new(), Path::new("/bin/true"), &reference, Some(&login)).unwrap();
        assert_eq!(job.env[&OsString::from(LOGIN_PASSWORD)], "secret");
        let text = format!("{job:?}");
        assert!(text.contains(LOGIN_PASSWORD), "{text}");
        assert!(
            !text.contains("secret") && !text.contains("puller"),
            "{text}"
        );
    }
}
