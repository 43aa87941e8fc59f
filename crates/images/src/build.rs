//! Builds what is missing of an image: one layer after the other, each in a sandbox of its own.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::{Packages, Repository, SandboxId};
use bailiwick_policy::{InForce, OrganizationFloor};
use bailiwick_runtime::{Base, Image, LayerDigest, Runtime};
use tokio::time::{Instant, sleep};

use crate::key::Content;
use crate::lock::{Lock, differences};
use crate::recipe;
use crate::registry::Registry;
use crate::store::{Begin, Draft, Held, Layer, Store, StoreError};

mod base;
mod checkout;
mod disk;
mod error;
mod event;
mod job;
mod limit;
mod packages;
mod parts;
mod project;
mod refresh;
mod step;

pub use base::{BuiltBase, LOGIN_PASSWORD, LOGIN_USER, Material};
pub use checkout::Tree;
pub use error::BuildError;
pub use event::{BuildEvent, FailureClass};
use step::Step;

pub use job::Watched;
pub(crate) use job::{Job, Keeps, Outcome};
pub use limit::{BuildLimit, BuildLimits};
pub use project::{FetchAccess, ProjectAt};
pub use refresh::Refreshed;

/// How often somebody else's build of the same layer is looked at.
const POLL: Duration = Duration::from_millis(200);
/// The pauses between the tries of a build that failed for want of a network.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(8)];
/// How often an image is begun again because somebody removes its layers meanwhile.
const TRIES: u32 = 3;

/// What builds images.
#[derive(Clone)]
pub struct Builder {
    /// Where sandboxes are made.
    pub runtime: Arc<dyn Runtime<Policy = InForce>>,
    /// Where layers are kept.
    pub store: Store,
    /// Whose layers these are.
    pub organization: String,
    /// As whom repositories are fetched, by a name that says all that decides what may be fetched; empty is as anybody. What one fetched no other gets.
    pub fetches_as: String,
    /// What they stand on.
    pub base: BaseImage,
    /// The machine's architecture as the kernel names it.
    pub architecture: String,
    /// Registries that are asked instead of the public ones.
    pub registries: Vec<Registry>,
    /// What the organization denies, which holds for builds too.
    pub floor: OrganizationFloor,
    /// What one build may use up.
    pub limits: BuildLimits,
    /// The time, in seconds since 1970.
    pub now: fn() -> i64,
    /// A fresh id for a sandbox.
    pub sandbox_id: fn() -> SandboxId,
}

/// What an image stands on.
#[derive(Debug, Clone)]
pub enum BaseImage {
    /// A root file system that is there anyway.
    Outside {
        /// Which.
        base: Base,
        /// What identifies its contents: see [`crate::Below::Base`].
        digest: String,
    },
    /// One that is a layer itself.
    Built(BuiltBase),
}

/// What is to be on the base.
#[derive(Debug, Clone, Default)]
pub struct ImageSpec {
    /// The packages of each manager.
    pub packages: Packages,
    /// What they were resolved to before: exactly that is installed. Without one, the newest that fits.
    pub lock: Option<Arc<Lock>>,
    /// The project over them, at its commit.
    pub project: Option<ProjectAt>,
}

/// What a builder is doing, for whoever waits.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// A layer is about to be built.
    Begun(&'a Content),
    /// Another process builds the layer; this one waits for it.
    Waiting(&'a Content),
    /// A line of the build's output.
    Line(&'a str),
    /// The layer is there now.
    Done(&'a Layer),
    /// A repository is about to be fetched.
    Fetching(&'a Repository),
    /// The network failed; the build is tried again after this pause.
    Retrying(Duration),
}

impl Builder {
    /// The keys of an image's layers, the lowest first; whether they are there is not looked up.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`]: which resolution is in force cannot be read.
    pub fn keys(&self, image: &ImageSpec) -> Result<Vec<LayerDigest>, StoreError> {
        let steps = self.steps(image, None)?;
        Ok(steps.iter().map(|step| step.inputs.key()).collect())
    }

    /// The image of these layers, the first of which is the base where that is built.
    ///
    /// # Panics
    ///
    /// There is none on a base that is built.
    pub fn image(&self, layers: &[LayerDigest]) -> Image {
        let (base, layers) = match &self.base {
            BaseImage::Outside { base, .. } => (base.clone(), layers),
            BaseImage::Built(_) => {
                let (base, layers) = layers
                    .split_first()
                    .expect("what stands on a base that is built has that as its lowest layer");
                (Base::Layer(base.clone()), layers)
            }
        };
        Image {
            base,
            layers: layers.to_vec(),
        }
    }

    /// Holds the image, if all of it is there.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn find(&self, image: &ImageSpec) -> Result<Option<(Vec<LayerDigest>, Held)>, StoreError> {
        let keys = self.keys(image)?;
        match self.store.hold(&keys) {
            Ok(held) => Ok(Some((keys, held))),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Builds what is missing of the image, and holds all of it.
    ///
    /// # Errors
    ///
    /// [`BuildError`]. Layers that were finished stay.
    pub async fn build(
        &self,
        image: &ImageSpec,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(Vec<LayerDigest>, Held), BuildError> {
        if let Some(lock) = &image.lock {
            lock.fits(&image.packages, &self.architecture)?;
        }
        self.resolve(image, told).await
    }

    /// The same, where the lock may lack managers: the packages of these are resolved now.
    ///
    /// # Errors
    ///
    /// [`BuildError`]. Layers that were finished stay.
    pub async fn resolve(
        &self,
        image: &ImageSpec,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(Vec<LayerDigest>, Held), BuildError> {
        self.build_steps(&self.steps(image, None)?, told).await
    }

    async fn build_steps(
        &self,
        steps: &[Step],
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(Vec<LayerDigest>, Held), BuildError> {
        for _ in 0..TRIES {
            match self.build_once(steps, told).await {
                // A layer was removed after it was looked at and before it was held.
                Err(BuildError::Store(StoreError::Missing { .. })) => {}
                result => return result,
            }
        }
        self.build_once(steps, told).await
    }

    async fn build_once(
        &self,
        steps: &[Step],
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(Vec<LayerDigest>, Held), BuildError> {
        let mut keys = Vec::new();
        for step in steps {
            let layer = self.layer(step, told).await?;
            told(Progress::Done(&layer));
            keys.push(layer.key);
        }
        let held = self.store.hold(&keys)?;
        Ok((keys, held))
    }

    async fn layer(
        &self,
        step: &Step,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Layer, BuildError> {
        let content = &step.inputs.content;
        let mut pauses = PAUSES.iter();
        let mut waits = false;
        loop {
            let draft = match self.store.begin(step.inputs.clone())? {
                Begin::Ready(layer) => return Ok(layer),
                Begin::Busy => {
                    if !std::mem::replace(&mut waits, true) {
                        told(Progress::Waiting(content));
                    }
                    sleep(POLL).await;
                    continue;
                }
                Begin::Build(draft) => draft,
            };
            told(Progress::Begun(content));
            match self.fill(draft, step, told).await {
                Err(BuildError::Network { .. }) if pauses.len() > 0 => {
                    let pause = pauses.next().copied().unwrap_or_default();
                    told(Progress::Retrying(pause));
                    sleep(pause).await;
                }
                result => return result,
            }
        }
    }

    /// Runs the step in a sandbox that writes to the draft.
    async fn fill(
        &self,
        draft: Draft,
        step: &Step,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Layer, BuildError> {
        let started = Instant::now();
        let what = step.inputs.content.kind();
        let outcome = match &step.inputs.content {
            Content::Packages { manager, specs, .. } => {
                let image = self.image(&step.below);
                let job = self.packages_job(*manager, specs, step.locked.as_ref(), image);
                self.run(job, Some(draft.directory()), Some(draft.log()?), told)
                    .await?
            }
            Content::Base { .. } => {
                let BaseImage::Built(base) = &self.base else {
                    unreachable!("only a built base has such a step")
                };
                let job = base.job(self)?;
                self.run(job, Some(draft.directory()), Some(draft.log()?), told)
                    .await?
            }
            Content::Project { .. } => self.run_project(&draft, step, told).await?,
        };
        let key = draft.key().clone();
        match outcome {
            Outcome::Done(report) => {
                parts::remove_empty(&draft.tree());
                let measure = draft.measure()?;
                if let Some(limit) = disk::over(&measure, self.limits.disk_bytes) {
                    draft.abandon()?;
                    return Err(error::of_limit(what, limit, key));
                }
                let seconds = started.elapsed().as_secs();
                let resolved = recipe::installed(&report);
                if let Some(locked) = &step.locked {
                    let found = differences(&locked.packages, &resolved);
                    if !found.is_empty() {
                        draft.abandon()?;
                        return Err(error::not_as_locked(what, &found, key));
                    }
                }
                Ok(draft.commit_measured(&measure, resolved, (self.now)(), seconds)?)
            }
            Outcome::Failed(status, tail) => {
                draft.abandon()?;
                Err(error::of_failure(what, status, &tail, key))
            }
            Outcome::Over(limit) => {
                draft.abandon()?;
                Err(error::of_limit(what, limit, key))
            }
        }
    }
}
