//! What makes an image: its layers in order, each with what lies below it.

use bailiwick_runtime::LayerDigest;

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
            Content::Base { source } => source.starts_with("debian:"),
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
            stack.push(base.content(), None)?;
        }
        let declared = image.packages.iter();
        for (manager, specs) in declared.filter(|(_, specs)| !specs.is_empty()) {
            let locked = image.lock.as_ref().and_then(|lock| lock.of(manager));
            let content = Content::Packages {
                manager,
                specs: specs.iter().map(|spec| spec.as_str().to_owned()).collect(),
                registry: self.registry(manager).map(ToString::to_string),
                lock: locked.map(LockedPackages::digest),
            };
            stack.push(content, locked.cloned())?;
        }
        if let Some(project) = &image.project {
            stack.push(project.content(&self.registries), None)?;
        }
        Ok(stack.steps)
    }
}
