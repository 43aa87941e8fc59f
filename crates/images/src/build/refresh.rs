//! What was resolved once, resolved again.

use bailiwick_runtime::LayerDigest;

use super::{BuildError, Builder, ImageSpec, Progress};
use crate::store::{Held, Layer, StoreError};

/// An image that was resolved anew.
#[derive(Debug)]
pub struct Refreshed {
    /// The layers that were in force before, as far as they are there.
    pub before: Vec<Layer>,
    /// Those that are now, held.
    pub held: Held,
    /// Their keys, the lowest first.
    pub keys: Vec<LayerDigest>,
}

impl Builder {
    /// Builds the image anew, without a lock, and puts the new layers in force once all of them are there.
    ///
    /// `before` are the keys of the layers that are in force now, which may be on another base. They stay until [`Self::remove_replaced`].
    /// Other environments with the same packages get the new layers too, the next time.
    ///
    /// # Errors
    ///
    /// [`BuildError`]; then everything is as it was.
    pub async fn refresh(
        &self,
        image: &ImageSpec,
        before: &[LayerDigest],
        told: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Refreshed, BuildError> {
        let image = ImageSpec {
            lock: None,
            ..image.clone()
        };
        let before: Vec<Layer> = before
            .iter()
            .filter_map(|key| self.store.find(key).transpose())
            .collect::<Result<_, _>>()?;
        let first = self.steps(&image, Some(0))?;
        let lowest = first.iter().find(|step| step.resolves());
        let Some(lowest) = lowest.map(|step| step.inputs.key()) else {
            let (keys, held) = self.build(&image, told).await?;
            return Ok(Refreshed { before, held, keys });
        };
        // The time, so that what an earlier refresh left half done is not taken for what is resolved now.
        let now = u64::try_from((self.now)()).unwrap_or_default();
        let generation = now.max(self.store.generation(&lowest)? + 1);
        let steps = self.steps(&image, Some(generation))?;
        let (keys, held) = self.build_steps(&steps, told).await?;
        self.store.set_generation(&lowest, generation)?;
        Ok(Refreshed { before, held, keys })
    }

    /// Removes the layers that an image had before, unless something uses them: a sandbox that runs, or the layer of another image on them.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the new layers are in force.
    pub fn remove_replaced(&self, refreshed: &Refreshed) -> Result<(), StoreError> {
        let before = refreshed.before.iter();
        let replaced = before.filter(|layer| !refreshed.keys.contains(&layer.key));
        // The topmost first: the others are stood on.
        for layer in replaced.rev() {
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
