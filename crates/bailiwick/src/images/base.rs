//! What images of this machine stand on.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bailiwick_images::base::oci::{self, Login};
use bailiwick_images::{
    BaseImage, BaseSource, Builder, BuiltBase, HostBase, Material, Names, Progress, Reference,
    archive_digest, directory_digest,
};
use bailiwick_runtime::Base;

use crate::host_environment::HostEnvironment;

/// Where docker keeps its login for the registry that a name without one means.
const DOCKER_HUB: (&str, &str) = ("docker.io", "https://index.docker.io/v1/");

/// Finds what identifies a base.
pub(super) struct Bases {
    /// Where digests are remembered.
    directory: PathBuf,
    host: HostBase,
    /// This program's own file.
    program: PathBuf,
    login: Option<(String, String)>,
    docker: Option<PathBuf>,
}

impl Bases {
    pub(super) fn new(
        directory: PathBuf,
        base: HostBase,
        host: &HostEnvironment,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            directory,
            host: base,
            program: std::env::current_exe().context("cannot find this program's own file")?,
            login: host.registry_login.clone(),
            docker: host.docker.clone(),
        })
    }

    /// The base, as far as that is known without asking anybody; `None` is the name of an image that was never looked up.
    pub(super) fn known(&self, source: &BaseSource) -> anyhow::Result<Option<BaseImage>> {
        Ok(Some(match source {
            BaseSource::Host => BaseImage::Outside {
                base: Base::Host,
                digest: self.host.digest.clone(),
            },
            BaseSource::Directory(directory) => {
                let directory = canonical(directory)?;
                let digest = directory_digest(&directory, &self.directory)
                    .with_context(|| format!("cannot read {}", directory.display()))?;
                let base = Base::Directory(directory);
                BaseImage::Outside { base, digest }
            }
            BaseSource::Archive(archive) => {
                let archive = canonical(archive)?;
                let digest = archive_digest(&archive, &self.directory)
                    .with_context(|| format!("cannot read {}", archive.display()))?;
                self.built(format!("tar:sha256:{digest}"), Material::Archive(archive))
            }
            BaseSource::Debian(suite) => {
                self.built(source.to_string(), Material::Debian(suite.clone()))
            }
            BaseSource::Oci(reference) => match self.names().digest(reference)? {
                Some(digest) => {
                    let material = Material::Oci {
                        reference: oci::pinned(reference, &digest),
                        login: self.login(reference)?,
                    };
                    self.built(format!("oci:{digest}"), material)
                }
                None => return Ok(None),
            },
        }))
    }

    /// Asks the registry what an image's name stands for, and remembers it.
    pub(super) async fn look_up(
        &self,
        source: &BaseSource,
        builder: &Builder,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> anyhow::Result<()> {
        if let BaseSource::Oci(reference) = source
            && reference.digest().is_none()
        {
            let login = self.login(reference)?;
            let digest = builder
                .look_up(reference, login.as_ref(), &self.program, told)
                .await?;
            self.names()
                .note(reference, Some(&digest))
                .context("cannot remember what the name of the image stands for")?;
        }
        Ok(())
    }

    /// This machine, whose snapshot stays as long as that lives.
    pub(super) fn host(&self) -> HostBase {
        self.host.clone()
    }

    /// Where the snapshot of this machine is.
    pub(super) fn snapshot(&self) -> &Path {
        &self.host.snapshot
    }

    fn names(&self) -> Names {
        Names::in_directory(&self.directory)
    }

    fn built(&self, source: String, material: Material) -> BaseImage {
        BaseImage::Built(BuiltBase {
            source,
            material,
            program: self.program.clone(),
        })
    }

    /// Who pulls: as the variables say, or as docker's configuration does.
    fn login(&self, reference: &Reference) -> anyhow::Result<Option<Login>> {
        if let Some((user, password)) = self.login.clone() {
            return Ok(Some(Login { user, password }));
        }
        let Some(file) = self.docker.as_ref().map(|d| d.join("config.json")) else {
            return Ok(None);
        };
        let config = match File::open(&file) {
            Ok(config) => config,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        };
        let registry = match reference.registry() {
            hub if hub == DOCKER_HUB.0 => DOCKER_HUB.1,
            other => other,
        };
        use docker_credential::{CredentialRetrievalError as Error, DockerCredential as Found};
        match docker_credential::get_credential_from_reader(config, registry) {
            Ok(Found::UsernamePassword(user, password)) => Ok(Some(Login { user, password })),
            Ok(Found::IdentityToken(_)) => bail!(
                "{} has an identity token for {registry}, which is not supported: log in with a user name and a password or access token",
                file.display()
            ),
            Err(Error::NoCredentialConfigured | Error::ConfigNotFound) => Ok(None),
            Err(error) => Err(error).with_context(|| {
                format!(
                    "cannot read the login for {registry} from {}",
                    file.display()
                )
            }),
        }
    }
}

fn canonical(path: &Path) -> anyhow::Result<PathBuf> {
    fs::canonicalize(path).with_context(|| format!("cannot read {}", path.display()))
}
