//! The images of this machine: where they are kept, and how what is missing of one is built.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use bailiwick_dial::{DialOptions, Dialer, ProxySettings};
use bailiwick_egress::Egress;
use bailiwick_images::{
    BaseImage, BaseSource, BuildError, BuildLimits, Builder, Head, Held, HostBase, ImageSpec,
    Layer, Material, Owners, Progress, ProjectAt, Refreshed, Registry, Store, host_base,
    remove_tree,
};
use bailiwick_local::{
    Layers, LocalOptions, LocalRuntime, MountedLayer, StateDirectory, Surroundings,
    has_subordinate_ids, host_facts, privileged, snapshot, snapshot_sources, with_subordinate_ids,
};
use bailiwick_model::{GitRef, Project, SandboxId};
use bailiwick_policy::{OrganizationFloor, Pins};
use bailiwick_runtime::{Base, LayerDigest};
use bailiwick_sandbox::cgroup::{Controller, Hierarchies};
use tokio::sync::watch;

use crate::bad_input::BadInput;
use crate::environment_source::Environment;
use crate::host_environment::HostEnvironment;
use crate::project::Fetching;
use crate::{clock, state};

mod base;
mod login;
mod telling;

use base::{Bases, LookedUp};
use telling::{Teller, ended};

pub(crate) use telling::{ProgressForm, Telling, Told};

/// Whose layers those of a machine without a server are.
pub(crate) const ORGANIZATION: &str = "local";

/// The images of this machine.
pub(crate) struct Images {
    /// Without the base, which may have to be looked up first.
    builder: Builder,
    /// The sandboxes of fetches: with names and certificates of the operator's choice.
    for_fetches: LocalOptions,
    fetching: Fetching,
    bases: Bases,
    source: BaseSource,
}

/// An image that stays as long as this lives.
pub(crate) struct Image {
    pub(crate) keys: Vec<LayerDigest>,
    base: bailiwick_local::Base,
    layers: Layers,
    directory: Option<PathBuf>,
    held: Held,
    /// For as long as its snapshot is used.
    _host: HostBase,
}

impl Image {
    /// What it stands on.
    pub(crate) fn base(&self) -> bailiwick_local::Base {
        self.base.clone()
    }

    /// What a sandbox gets of it.
    pub(crate) fn layers(&self) -> Layers {
        self.layers.clone()
    }

    /// Its layers, the lowest first.
    pub(crate) fn layers_held(&self) -> &[Layer] {
        self.held.layers()
    }

    /// Where programs start, as a path inside, if it has a project.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }
}

/// The packages that an environment declares; its project has to be fetched.
pub(crate) fn image_spec(environment: &Environment) -> ImageSpec {
    ImageSpec {
        packages: environment.packages.clone(),
        lock: None,
        project: None,
    }
}

/// Opens the store of images below the state directory.
pub(crate) fn store(state: &StateDirectory) -> anyhow::Result<Store> {
    let remover = |path: &Path| with_subordinate_ids(|| remove_tree(path));
    Ok(Store::open_with(state.path().join("images"), remover)?)
}

impl Images {
    pub(crate) fn open(
        source: &BaseSource,
        registries: &[Registry],
        fetching: Fetching,
        host: &HostEnvironment,
    ) -> anyhow::Result<Self> {
        let state = state::open(host)?;
        let store = store(&state)?;
        let directory = store.bases_directory();
        let base = host_base(&directory, &snapshot_sources(), snapshot)
            .context("cannot take what images need of this host's settings")?;
        let bases = Bases::new(directory, base, host)?;
        let (_, facts) = watch::channel(Arc::new(host_facts(Vec::new())));
        let proxy = match fetching.proxy.clone() {
            Some(proxy) => Some(proxy),
            None => ProxySettings::from_variables(&host.proxy).map_err(BadInput::ProxyVariable)?,
        };
        let egress = |pins| {
            let dialer = Dialer::new(DialOptions {
                pins,
                proxy: proxy.clone(),
                ..DialOptions::new(facts.clone())
            });
            Arc::new(Egress::new(Arc::new(dialer)))
        };
        let options = LocalOptions {
            state,
            egress: egress(Pins::default()),
            layers: store.layers_directory(),
            repositories: store.repositories_directory(),
            checkpoints: None,
            snapshot: Some(bases.snapshot().to_owned()),
            surroundings: Surroundings {
                home: host.home.clone(),
                ca_file: host.ca_file.clone(),
                terminal: Vec::new(),
            },
            certificates: None,
            now: clock::now_seconds,
        };
        let for_fetches = LocalOptions {
            egress: egress(fetching.pins.clone()),
            certificates: fetching.ca.clone(),
            ..options.clone()
        };
        let builder = Builder {
            runtime: Arc::new(LocalRuntime::new(options)?),
            store,
            organization: ORGANIZATION.to_owned(),
            fetches_as: String::new(),
            registries: registries.to_vec(),
            floor: OrganizationFloor::empty(),
            limits: BuildLimits::usual(Hierarchies::detect().has(Controller::Memory)),
            base: BaseImage::Outside {
                base: Base::Host,
                digest: String::new(),
            },
            architecture: std::env::consts::ARCH.to_owned(),
            now: clock::now_seconds,
            sandbox_id: fresh_id,
        };
        Ok(Self {
            builder,
            for_fetches,
            fetching,
            bases,
            source: source.clone(),
        })
    }

    /// The image that an environment declares, with what its project's ref is now.
    ///
    /// Where the repository does not answer, with what it was when it was fetched last, which is told.
    pub(crate) fn spec(
        &self,
        environment: &Environment,
        telling: Telling,
    ) -> anyhow::Result<ImageSpec> {
        let project = environment.project.as_ref();
        let project = project.map(|project| self.project(project, telling));
        Ok(ImageSpec {
            project: ended(telling, project.transpose())?,
            ..image_spec(environment)
        })
    }

    /// The image that an environment declares, with what its project's ref was when it was fetched last; `None` if it never was.
    pub(crate) fn last_spec(&self, environment: &Environment) -> Option<ImageSpec> {
        let at = |project: &Project| {
            Some(ProjectAt {
                head: self.builder.last_head(project)?,
                project: project.clone(),
            })
        };
        let project = match &environment.project {
            Some(project) => Some(at(project)?),
            None => None,
        };
        Some(ImageSpec {
            project,
            ..image_spec(environment)
        })
    }

    fn project(&self, project: &Project, telling: Telling) -> anyhow::Result<ProjectAt> {
        let last = self.builder.last_head(project);
        let is_pinned = project.git_ref.as_ref().is_some_and(GitRef::is_commit);
        let head = match last {
            Some(last) if self.fetching.offline || is_pinned => last,
            None if self.fetching.offline => bail!(
                "{} was never fetched here; leave out --offline",
                project.repository
            ),
            last => return self.fetch(project, last, telling),
        };
        Ok(ProjectAt {
            project: project.clone(),
            head,
        })
    }

    /// The project as it is now; where the repository does not answer, as it was last, which is told.
    fn fetch(
        &self,
        project: &Project,
        last: Option<Head>,
        telling: Telling,
    ) -> anyhow::Result<ProjectAt> {
        let fetcher = Builder {
            runtime: Arc::new(LocalRuntime::new(self.for_fetches.clone())?),
            ..self.builder.clone()
        };
        let mut teller = Teller::new(telling);
        let runtime = runtime()?;
        let mut told = |progress: Progress<'_>| teller.tell(progress);
        let access = &self.fetching.access;
        let fetched = runtime.block_on(fetcher.fetch(project, access, &mut told));
        teller.clear();
        let at = |head| ProjectAt {
            project: project.clone(),
            head,
        };
        match (fetched, last) {
            (Err(error @ BuildError::Unreachable { .. }), Some(last)) => {
                let last = at(last);
                teller.tell_unreachable(&last, &error);
                Ok(last)
            }
            (fetched, _) => Ok(at(fetched?)),
        }
    }

    /// The builder on its base; `None` if that is the name of an image that was never looked up.
    fn builder(&self) -> anyhow::Result<Option<Builder>> {
        let base = self.bases.known(&self.source)?;
        Ok(base.map(|base| Builder {
            base,
            ..self.builder.clone()
        }))
    }

    /// What one build may use up; the usual limits until they are changed.
    pub(crate) fn limits(&mut self) -> &mut BuildLimits {
        &mut self.builder.limits
    }

    pub(crate) fn store(&self) -> &Store {
        &self.builder.store
    }

    /// What identifies a base outside of the store, and its root; `None` if the base is a layer, or was never looked up.
    pub(crate) fn outside_base(&self) -> anyhow::Result<Option<(String, PathBuf)>> {
        Ok(match self.bases.known(&self.source)? {
            Some(BaseImage::Outside { base, digest }) => match base {
                Base::Host => Some((digest, PathBuf::from("/"))),
                Base::Directory(path) => Some((digest, path)),
                Base::Layer(_) => None,
            },
            Some(BaseImage::Built(_)) | None => None,
        })
    }

    /// The image, if all of it is there.
    pub(crate) fn find(&self, spec: &ImageSpec) -> anyhow::Result<Option<Image>> {
        let Some(builder) = self.builder()? else {
            return Ok(None);
        };
        let found = builder.find(spec)?;
        Ok(found.map(|(keys, held)| image(&builder, &self.bases, spec, keys, held)))
    }

    /// The image; what is missing of it is built, which is told on standard error. A failure, too, is told as an event where events are.
    pub(crate) fn build(&self, spec: &ImageSpec, telling: Telling) -> anyhow::Result<Image> {
        self.told(telling, async |tell| {
            let builder = self.ready(spec, telling, tell).await?;
            let (keys, held) = builder.build(spec, tell).await?;
            Ok(image(&builder, &self.bases, spec, keys, held))
        })
    }

    /// The same, where the lock may be one of some managers only: the others are resolved now.
    pub(crate) fn resolve(&self, spec: &ImageSpec, telling: Telling) -> anyhow::Result<Image> {
        self.told(telling, async |tell| {
            let builder = self.ready(spec, telling, tell).await?;
            let (keys, held) = builder.resolve(spec, tell).await?;
            Ok(image(&builder, &self.bases, spec, keys, held))
        })
    }

    /// The image, resolved anew, also what the name of its base stands for. If it cannot be built, that stays what it was.
    pub(crate) fn refresh(&self, spec: &ImageSpec, telling: Telling) -> anyhow::Result<Refreshed> {
        self.told(telling, async |tell| {
            owners().suffice_for(&self.source, &spec.packages)?;
            let before = match self.builder()? {
                Some(builder) => builder.keys(spec)?,
                None => Vec::new(),
            };
            let found = self.look_up(telling, tell).await?;
            let builder = self.on(found.base.clone(), telling)?;
            let refreshed = builder.refresh(spec, &before, tell).await?;
            self.bases.note(&self.source, &found)?;
            builder.remove_replaced(&refreshed)?;
            Ok(refreshed)
        })
    }

    /// Does something, and tells how it goes.
    fn told<T>(
        &self,
        telling: Telling,
        work: impl AsyncFnOnce(&mut dyn FnMut(Progress<'_>)) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let runtime = runtime()?;
        let mut teller = Teller::new(telling);
        let done = runtime.block_on(work(&mut |progress: Progress<'_>| teller.tell(progress)));
        teller.clear();
        ended(telling, done)
    }

    /// The builder for an image, on its base; what its name stands for is looked up if that was never done.
    async fn ready(
        &self,
        spec: &ImageSpec,
        telling: Telling,
        tell: &mut dyn FnMut(Progress<'_>),
    ) -> anyhow::Result<Builder> {
        owners().suffice_for(&self.source, &spec.packages)?;
        let base = match self.bases.known(&self.source)? {
            Some(base) => base,
            None => {
                let found = self.look_up(telling, tell).await?;
                self.bases.note(&self.source, &found)?;
                found.base
            }
        };
        self.on(base, telling)
    }

    async fn look_up(
        &self,
        telling: Telling,
        tell: &mut dyn FnMut(Progress<'_>),
    ) -> anyhow::Result<LookedUp> {
        let bases = &self.bases;
        bases
            .look_up(&self.source, &self.builder, telling, tell)
            .await
    }

    /// The builder on this base. Who pulls it is only asked where it is not there yet.
    fn on(&self, base: BaseImage, telling: Telling) -> anyhow::Result<Builder> {
        let mut builder = Builder {
            base,
            ..self.builder.clone()
        };
        let is_there = builder.find(&ImageSpec::default())?.is_some();
        if !is_there
            && let BaseImage::Built(base) = &mut builder.base
            && let Material::Oci { reference, login } = &mut base.material
        {
            *login = self.bases.login(reference, telling)?;
        }
        Ok(builder)
    }
}

/// One thread, also afterwards: a launch needs that.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
}

/// As whom builds of this process can own files.
pub(crate) fn owners() -> Owners {
    if privileged() {
        Owners::All
    } else if has_subordinate_ids() {
        Owners::Subordinate
    } else {
        Owners::Own
    }
}

fn image(
    builder: &Builder,
    bases: &Bases,
    spec: &ImageSpec,
    keys: Vec<LayerDigest>,
    held: Held,
) -> Image {
    let layer = |key: &LayerDigest| {
        let mut layers = held.layers().iter();
        let found = layers.find(|layer| layer.key == *key);
        found.expect("what an image is made of is held")
    };
    let stack = builder.image(&keys);
    let base = match &stack.base {
        Base::Host => bailiwick_local::Base::Host,
        Base::Directory(directory) => bailiwick_local::Base::Directory(directory.clone()),
        Base::Layer(key) => bailiwick_local::Base::Layer(layer(key).base_root()),
    };
    let trees: Vec<PathBuf> = stack.layers.iter().map(|key| layer(key).tree()).collect();
    let directory = spec.project.as_ref().map(ProjectAt::directory);
    // The project's layer is the topmost.
    let topmost = trees.last().cloned().zip(directory.clone());
    let mounted = topmost.map(|(tree, target)| MountedLayer {
        tree,
        target,
        writable: true,
    });
    Image {
        directory,
        layers: Layers {
            snapshot: (base == bailiwick_local::Base::Host).then(|| bases.snapshot().to_owned()),
            mounted: mounted.into_iter().collect(),
            trees,
            draft: None,
        },
        base,
        keys,
        held,
        _host: bases.host(),
    }
}

/// An id that no sandbox has had.
///
/// # Panics
///
/// The kernel has no random bytes, of which getrandom(2) knows no case that could happen here: a sandbox with a known id must not be begun.
pub(crate) fn fresh_id() -> SandboxId {
    SandboxId::from_random(u64::from_ne_bytes(random()))
}

/// Bytes that nobody guesses.
pub(crate) fn random<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    // Blocks only before the kernel's generator is ready, at boot; a signal may end that.
    rustix::io::retry_on_intr(|| {
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
    })
    .expect("the kernel has random bytes");
    bytes
}
