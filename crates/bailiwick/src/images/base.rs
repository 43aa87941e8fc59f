//! What images of this machine stand on.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bailiwick_images::base::oci::Login;
use bailiwick_images::{
    BaseImage, BaseSource, Builder, BuiltBase, HostBase, Names, Progress, Reference,
    archive_digest, directory_digest,
};
use bailiwick_runtime::Base;

use super::login::{self, Found};
use super::telling::{Telling, tell_note};
use crate::host_environment::HostEnvironment;
use crate::sibling;

/// Finds what identifies a base.
pub(super) struct Bases {
    /// Where digests are remembered.
    directory: PathBuf,
    host: HostBase,
    /// Who pulls, once that is known.
    login: OnceCell<Option<Login>>,
    docker: Option<PathBuf>,
}

/// What a base is now.
pub(super) struct LookedUp {
    pub(super) base: BaseImage,
    /// What the name of its image stands for.
    digest: Option<String>,
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
            login: match &host.registry_login {
                Some(login) => OnceCell::from(Some(login.clone())),
                None => OnceCell::new(),
            },
            docker: host.docker.clone(),
        })
    }

    /// The base, as far as that is known without asking anybody, and without a login; `None` is the name of an image that was never looked up.
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
                BaseImage::Built(BuiltBase::archive(archive, &digest, sibling::path()?))
            }
            BaseSource::Debian(suite) => {
                BaseImage::Built(BuiltBase::debian(suite, sibling::path()?))
            }
            BaseSource::Oci(reference) => {
                let digest = self.names().digest(reference)?;
                let pulled = digest.map(|digest| pulled(reference, &digest));
                return pulled.transpose();
            }
        }))
    }

    /// The base as it is now: the registry is asked what an image's name stands for. That is not remembered before [`Self::note`].
    pub(super) async fn look_up(
        &self,
        source: &BaseSource,
        builder: &Builder,
        telling: Telling,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> anyhow::Result<LookedUp> {
        let BaseSource::Oci(reference) = source else {
            let base = self.known(source)?.context("the base is not known")?;
            return Ok(LookedUp { base, digest: None });
        };
        let digest = match reference.digest() {
            // It says itself what it stands for.
            Some(digest) => digest.to_owned(),
            None => {
                let login = self.login(reference, telling)?;
                let login = login.as_ref();
                let program = sibling::path()?;
                let looked_up = builder.look_up(reference, login, &program, told);
                looked_up.await?
            }
        };
        Ok(LookedUp {
            base: pulled(reference, &digest)?,
            digest: Some(digest),
        })
    }

    /// Remembers what an image's name stands for.
    pub(super) fn note(&self, source: &BaseSource, found: &LookedUp) -> anyhow::Result<()> {
        if let (BaseSource::Oci(reference), Some(digest)) = (source, &found.digest)
            && reference.digest().is_none()
        {
            let noted = self.names().note(reference, Some(digest));
            noted.context("cannot remember what the name of the image stands for")?;
        }
        Ok(())
    }

    /// Who pulls: as the variables say, or as docker's configuration does. What the person should know of that is told once.
    pub(super) fn login(
        &self,
        reference: &Reference,
        telling: Telling,
    ) -> anyhow::Result<Option<Login>> {
        if let Some(known) = self.login.get() {
            return Ok(known.clone());
        }
        let config = self
            .docker
            .as_ref()
            .map(|docker| docker.join("config.json"));
        let login = match config {
            Some(config) => match login::of_docker(&config, reference.registry())? {
                Found::Login(login) => Some(login),
                Found::Nothing => None,
                Found::Kept(by) => {
                    tell_note(telling, &by.to_string());
                    None
                }
            },
            None => None,
        };
        Ok(self.login.get_or_init(|| login).clone())
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
}

fn pulled(reference: &Reference, digest: &str) -> anyhow::Result<BaseImage> {
    let program = sibling::path()?;
    Ok(BaseImage::Built(BuiltBase::image(
        reference, digest, program,
    )))
}

fn canonical(path: &Path) -> anyhow::Result<PathBuf> {
    fs::canonicalize(path).with_context(|| format!("cannot read {}", path.display()))
}
