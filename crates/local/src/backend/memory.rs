//! Processes that the kernel killed for the memory limit.

use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_runtime::Event;
use tokio::sync::mpsc;

/// How many of them were told.
#[derive(Debug, Default)]
pub(super) struct Kills {
    told: AtomicU64,
}

impl Kills {
    /// Tells of those that are new, with one event.
    pub(super) async fn tell(&self, count: u64, events: &mpsc::Sender<Event>) {
        if self.told.fetch_max(count, Ordering::Relaxed) < count {
            // Nobody has to read the events.
            let _ = events.send(Event::OutOfMemory).await;
        }
    }
}
