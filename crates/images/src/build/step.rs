//! What makes an image: its layers in order, each with what lies below it.

use bailiwick_runtime::LayerDigest;

use super::packages::needed;
use super::{BaseImage, Builder, ImageSpec};
use crate::key::{Below, Content, LayerInputs};
use crate::lock::LockedPackages;
use crate::recipe;
use crate::store::StoreError;

/// One layer of an image, and what lies below it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) inputs: LayerInputs,
    pub(super) below: Vec<LayerDigest>,
    /// What it is to come to, where that is known before.
    pub(super) locked: Option<LockedPackages>,
}

impl Step {
    /// Whether what it comes to is found out by its build, so that another build may come to something else.
    pub(super) fn resolves(&self) -> bool {
        match &self.inputs.content {
            Content::Packages { lock, .. } => lock.is_none(),
            Content::Base { source, .. } => source.starts_with("debian:"),
            Content::Project { .. } => true,
        }
    }
}

/// The steps of an image, as far as they are known.
struct Stack<'a> {
    builder: &'a Builder,
    /// Instead of the one that is in force.
    generation: Option<u64>,
    below: Below,
    keys: Vec<LayerDigest>,
    steps: Vec<Step>,
}

impl Stack<'_> {
    fn push(&mut self, content: Content, locked: Option<LockedPackages>) -> Result<(), StoreError> {
        let mut step = Step {
            inputs: LayerInputs {
                organization: self.builder.organization.clone(),
                below: self.below.clone(),
                architecture: self.builder.architecture.clone(),
                recipe: recipe::VERSION,
                content,
                generation: 0,
            },
            below: self.keys.clone(),
            locked,
        };
        // All that lies above the lowest that resolves has its key from it.
        if step.resolves() && !self.steps.iter().any(Step::resolves) {
            step.inputs.generation = match self.generation {
                Some(generation) => generation,
                None => self.builder.store.generation(&step.inputs.key())?,
            };
        }
        let key = step.inputs.key();
        self.below = Below::Layer(key.clone());
        self.keys.push(key);
        self.steps.push(step);
        Ok(())
    }
}

impl Builder {
    /// What makes the image; `generation` instead of the one that is in force.
    pub(super) fn steps(
        &self,
        image: &ImageSpec,
        generation: Option<u64>,
    ) -> Result<Vec<Step>, StoreError> {
        let mut stack = Stack {
            builder: self,
            generation,
            below: match &self.base {
                BaseImage::Outside { digest, .. } => Below::Base(digest.clone()),
                BaseImage::Built(_) => Below::Nothing,
            },
            keys: Vec::new(),
            steps: Vec::new(),
        };
        if let BaseImage::Built(base) = &self.base {
            stack.push(base.content(self), None)?;
        }
        let declared = image.packages.iter();
        for (manager, specs) in declared.filter(|(_, specs)| !specs.is_empty()) {
            let locked = image.lock.as_ref().and_then(|lock| lock.of(manager));
            let content = Content::Packages {
                manager,
                specs: specs.iter().map(|spec| spec.as_str().to_owned()).collect(),
                registries: self.asked(needed(manager)),
                lock: locked.map(LockedPackages::digest),
            };
            stack.push(content, locked.cloned())?;
        }
        if let Some(project) = &image.project {
            stack.push(project.content(self), None)?;
        }
        Ok(stack.steps)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bailiwick_model::{PackageManager, PackageSpec, Packages, SandboxId};
    use bailiwick_policy::{InForce, OrganizationFloor};
    use bailiwick_runtime::{
        Base, BoxFuture, Checkpoint, Error, Running, Runtime, SandboxSpec, SandboxSummary, Verb,
    };

    use super::*;
    use crate::build::{BuildLimits, BuiltBase, Material};
    use crate::store::Store;

    /// Keys are known without a sandbox.
    struct Nowhere;

    type Started<'a> = BoxFuture<'a, Result<Running<InForce>, Error>>;

    impl Runtime for Nowhere {
        type Policy = InForce;

        fn supports(&self, _: Verb) -> bool {
            false
        }

        fn start(&self, _: SandboxSpec<InForce>) -> Started<'_> {
            unreachable!("nothing is built here")
        }

        fn list(&self) -> BoxFuture<'_, Result<Vec<SandboxSummary>, Error>> {
            unreachable!("nothing is built here")
        }

        fn adopt<'a>(&'a self, _: &'a SandboxId) -> Started<'a> {
            unreachable!("nothing is built here")
        }

        fn restore<'a>(&'a self, _: SandboxSpec<InForce>, _: &'a Checkpoint) -> Started<'a> {
            unreachable!("nothing is built here")
        }

        fn discard<'a>(&'a self, _: &'a Checkpoint) -> BoxFuture<'a, Result<(), Error>> {
            unreachable!("nothing is built here")
        }

        fn checkpoint_bytes<'a>(&'a self, _: &'a Checkpoint) -> BoxFuture<'a, Result<u64, Error>> {
            unreachable!("nothing is built here")
        }
    }

    /// The key of an image's topmost layer, where these registries are asked.
    fn key(base: &BaseImage, image: &ImageSpec, registries: &[&str]) -> LayerDigest {
        let directory = tempfile::tempdir().unwrap();
        let builder = Builder {
            runtime: Arc::new(Nowhere),
            store: Store::open(directory.path().join("images")).unwrap(),
            organization: "acme".to_owned(),
            fetches_as: String::new(),
            base: base.clone(),
            architecture: "x86_64".to_owned(),
            registries: registries
                .iter()
                .map(|text| text.parse().unwrap())
                .collect(),
            floor: OrganizationFloor::empty(),
            limits: BuildLimits::usual(false),
            now: || 0,
            sandbox_id: || SandboxId::from_random(0),
        };
        builder.keys(image).unwrap().pop().unwrap()
    }

    fn packages(manager: PackageManager) -> ImageSpec {
        let mut packages = Packages::default();
        packages
            .add(PackageSpec::parse(manager, "six").unwrap())
            .unwrap();
        ImageSpec {
            packages,
            ..ImageSpec::default()
        }
    }

    #[test]
    fn a_layer_has_another_key_where_a_registry_is_asked_that_its_packages_may_come_from() {
        const APT: &str = "apt=https://debian.example.com/";
        const NPM: &str = "npm=https://npm.example.com/";
        const PIP: &str = "pip=https://pypi.example.com/";
        let host = BaseImage::Outside {
            base: Base::Host,
            digest: "host:0".to_owned(),
        };
        let pip = |registries: &[&str]| key(&host, &packages(PackageManager::Pip), registries);
        // What the base lacks of a manager comes from apt.
        assert_ne!(pip(&[]), pip(&[APT]));
        assert_ne!(pip(&[PIP]), pip(&[APT, PIP]));
        // The controls: the order of the options does not matter, and no other manager's registry does.
        assert_eq!(pip(&[APT, PIP]), pip(&[PIP, APT]));
        assert_eq!(pip(&[PIP]), pip(&[PIP, NPM]));
    }

    #[test]
    fn a_base_of_debian_packages_has_another_key_where_another_mirror_is_asked() {
        let built = |material, registries: &[&str]| {
            let base = BuiltBase {
                source: "debian:bookworm".to_owned(),
                material,
                program: "/bin/true".into(),
            };
            key(&BaseImage::Built(base), &ImageSpec::default(), registries)
        };
        let debian = || Material::Debian("bookworm".to_owned());
        let mirror = ["apt=https://debian.example.com/"];
        assert_ne!(built(debian(), &[]), built(debian(), &mirror));
        // The control: an archive comes from no registry.
        let archive = || Material::Archive("/root.tar".into());
        assert_eq!(built(archive(), &[]), built(archive(), &mirror));
    }
}
