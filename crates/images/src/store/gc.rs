//! Clean-up by age and by a budget, the least recently used first.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bailiwick_runtime::LayerDigest;

use super::{Layer, Store, StoreError, entries, io_error, unlink};
use crate::key::Below;

/// What may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcLimits {
    /// A layer that nobody used for so long goes.
    pub unused_for: Duration,
    /// Layers go until the rest takes no more, in bytes on disk; `None` is no bound.
    pub budget_bytes: Option<u64>,
}

/// What a clean-up did.
#[derive(Debug, Default)]
pub struct GcReport {
    /// The layers that were removed, in this order.
    pub removed: Vec<LayerDigest>,
    /// What they took, in bytes.
    pub freed_bytes: u64,
    /// Layers that should have gone and are in use.
    pub in_use: Vec<LayerDigest>,
    /// What the layers that are left take, in bytes.
    pub kept_bytes: u64,
    /// What could not be removed.
    pub failed: Vec<StoreError>,
}

/// A layer as the clean-up sees it.
struct Candidate {
    below: Below,
    bytes: u64,
    last_used: i64,
    /// How many layers that are left stand on it.
    above: usize,
}

impl Store {
    /// Removes layers that are too old or too many, and whatever is in the store and no layer.
    ///
    /// A layer that is held stays, and so does one on which a layer stands that stays. `now` is in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if the store cannot be read. What could not be removed is in the report.
    pub fn gc(&self, limits: GcLimits, now: i64) -> Result<GcReport, StoreError> {
        let mut report = GcReport::default();
        self.sweep_building(None, &mut report.failed)?;
        self.sweep_layers(&mut report.failed)?;
        let oldest = now.saturating_sub_unsigned(limits.unused_for.as_secs());
        let mut candidates = self.candidates()?;
        report.kept_bytes = candidates.values().map(|c| c.bytes).sum();
        // Only what nothing stands on may go; what lay below it is next then.
        let order = |(key, c): (&LayerDigest, &Candidate)| (c.last_used, key.clone());
        let tops = candidates.iter().filter(|(_, c)| c.above == 0);
        let mut tops: BTreeSet<_> = tops.map(order).collect();
        while let Some((last_used, key)) = tops.pop_first() {
            let over_budget = limits.budget_bytes.is_some_and(|b| report.kept_bytes > b);
            if last_used > oldest && !over_budget {
                break;
            }
            if self.try_remove(&key, &candidates, &mut report)
                && let Some(gone) = candidates.remove(&key)
            {
                report.kept_bytes -= gone.bytes;
                report.freed_bytes += gone.bytes;
                report.removed.push(key);
                tops.extend(uncover(&gone, &mut candidates));
            }
        }
        self.sweep_logs(oldest, &mut report.failed)?;
        crate::mirror::sweep(self, oldest, &mut report.failed)?;
        crate::base::sweep(self, oldest, now, &mut report.failed)?;
        Ok(report)
    }

    /// Whether it could be removed; if not, the report says why.
    fn try_remove(
        &self,
        key: &LayerDigest,
        known: &HashMap<LayerDigest, Candidate>,
        report: &mut GcReport,
    ) -> bool {
        match self.remove_unless(key, |other| known.contains_key(other)) {
            Ok(()) => return true,
            Err(StoreError::InUse { key } | StoreError::StoodOn { key, .. }) => {
                report.in_use.push(key);
            }
            Err(error) => report.failed.push(error),
        }
        false
    }

    fn candidates(&self) -> Result<HashMap<LayerDigest, Candidate>, StoreError> {
        let layers = self.list()?;
        let mut above: HashMap<LayerDigest, usize> = HashMap::new();
        for layer in &layers {
            if let Below::Layer(below) = &layer.record.inputs.below {
                *above.entry(below.clone()).or_default() += 1;
            }
        }
        let candidate = |Layer { key, record, .. }: Layer| {
            let last_used = self.last_used(&key)?.unwrap_or(record.built_at);
            let candidate = Candidate {
                below: record.inputs.below,
                bytes: record.bytes,
                last_used,
                above: above.get(&key).copied().unwrap_or(0),
            };
            Ok((key, candidate))
        };
        layers.into_iter().map(candidate).collect()
    }

    /// Removes logs of failed builds that are as old as layers that go.
    fn sweep_logs(&self, oldest: i64, failed: &mut Vec<StoreError>) -> Result<(), StoreError> {
        for (_, path) in entries(&self.path.join("logs"))? {
            let outcome = match rustix::fs::lstat(&path) {
                Ok(stat) if stat.st_mtime < oldest => unlink(&path),
                Ok(_) | Err(rustix::io::Errno::NOENT) => Ok(()),
                Err(errno) => Err(io_error("read", &path)(errno)),
            };
            failed.extend(outcome.err());
        }
        Ok(())
    }
}

/// What lay below a layer that is gone, and when that was last used, if nothing stands on it any more.
fn uncover(
    gone: &Candidate,
    candidates: &mut HashMap<LayerDigest, Candidate>,
) -> Option<(i64, LayerDigest)> {
    let Below::Layer(key) = &gone.below else {
        return None;
    };
    let below = candidates.get_mut(key)?;
    below.above -= 1;
    (below.above == 0).then(|| (below.last_used, key.clone()))
}
