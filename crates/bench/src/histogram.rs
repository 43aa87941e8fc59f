//! Latencies in little room: buckets that are at most a 64th of their value wide.

use std::time::Duration;

/// Bits of a value that tell its bucket.
const DIGITS: u32 = 7;
/// Buckets for each doubling.
const STEPS: usize = 1 << (DIGITS - 1);

/// How often something took how long.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            counts: vec![0; STEPS * (66 - DIGITS as usize)],
            total: 0,
        }
    }

    /// Counts one.
    pub(crate) fn record(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
    }

    /// Counts what another one has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        for (own, count) in self.counts.iter_mut().zip(&other.counts) {
            *own += count;
        }
        self.total += other.total;
    }

    /// How many were counted.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Microseconds that `percent` of them did not exceed, to a 64th; none of nothing.
    pub(crate) fn percentile(&self, percent: u64) -> Option<f64> {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let index = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(lowest(index) as f64 / 1000.0)
    }
}

fn bucket(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(DIGITS);
    shift as usize * STEPS + (nanos >> shift) as usize
}

/// The lowest value of a bucket.
fn lowest(bucket: usize) -> u64 {
    let shift = (bucket / STEPS).saturating_sub(1);
    ((bucket - shift * STEPS) as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_at_most_a_64th_wide() {
        for nanos in [0, 1, 63, 127, 128, 129, 1_000_000, 123_456_789, u64::MAX] {
            let low = lowest(bucket(nanos));
            assert!(low <= nanos && nanos - low <= nanos / 64, "{nanos}: {low}");
        }
    }

    #[test]
    fn buckets_ascend() {
        let buckets: Vec<_> = (0..100_000).map(bucket).collect();
        assert!(buckets.is_sorted());
        assert!(bucket(u64::MAX) < Histogram::new().counts.len());
    }

    #[test]
    fn percentiles_are_those_of_all_that_was_added() {
        let (mut all, mut other) = (Histogram::new(), Histogram::new());
        assert_eq!(all.percentile(50), None);
        for micros in 1..=50 {
            all.record(Duration::from_micros(micros));
            other.record(Duration::from_micros(micros + 50));
        }
        all.add(&other);
        assert_eq!(all.total(), 100);
        let near = |percent, expected: f64| {
            let found = all.percentile(percent).unwrap();
            assert!((expected - found).abs() <= expected / 64.0, "{found}");
        };
        near(50, 50.0);
        near(99, 99.0);
    }
}
