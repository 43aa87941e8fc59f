//! What was resolved once, resolved again.

use bailiwick_runtime::LayerDigest;

use super::{BuildError, Builder, ImageSpec, Progress};
use crate::store::{Held, Layer, StoreError};

/// An image that was resolved anew.
#[derive(Debug)]
pub struct Refreshed {
    /// The layers that were in force before, as far as they were there.
    pub before: Vec<Layer>,
    /// Those that are now, held.
    pub held: Held,
    /// Their keys, the lowest first.
    pub keys: Vec<LayerDigest>,
}

impl Builder {
    /// Builds the image anew, without a lock, and puts the new layers in force once all of them are there.
    ///
    /// The old ones are removed, unless something uses them: a sandbox that runs, or the layer of another image on them. Other environments
    /// with the same packages get the new ones too, the next time.
    ///
    /// # Errors
    ///
    /// [`BuildError`]; then everything is as it was.
    pub async fn refresh(
        &self,
        image: &ImageSpec,
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Refreshed, BuildError> {
        let image = ImageSpec {
            lock: None,
            ..image.clone()
        };
        let first = self.steps(&image, Some(0))?;
        let lowest = first.iter().find(|step| step.resolves());
        let Some(lowest) = lowest.map(|step| step.inputs.key()) else {
            let (keys, held) = self.build(&image, told).await?;
            let before = Vec::new();
            return Ok(Refreshed { before, held, keys });
        };
        let before = self.keys(&image)?;
        let before: Vec<Layer> = before
            .iter()
            .filter_map(|key| self.store.find(key).transpose())
            .collect::<Result<_, _>>()?;
        // The time, so that what an earlier refresh left half done is not taken for what is resolved now.
        let now = u64::try_from((self.now)()).unwrap_or_default();
        let generation = now.max(self.store.generation(&lowest)? + 1);
        let steps = self.steps(&image, Some(generation))?;
        let (keys, held) = self.build_steps(&steps, told).await?;
        self.store.set_generation(&lowest, generation)?;
        self.remove_unused(&before)?;
        Ok(Refreshed { before, held, keys })
    }

    fn remove_unused(&self, layers: &[Layer]) -> Result<(), StoreError> {
        // The topmost first: the others are stood on.
        for layer in layers.iter().rev() {
            match self.store.remove(&layer.key) {
                Ok(())
                | Err(
                    StoreError::Missing { .. }
                    | StoreError::InUse { .. }
                    | StoreError::StoodOn { .. },
                ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
