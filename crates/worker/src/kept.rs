//! What is left of sessions that rest: for how long, of how many, and how much of it.
//!
//! A service hands out as many sessions as it likes, and each leaves files and a record. Files are kept for a time and up to a total of bytes;
//! those of the session go first that has been at rest for the longest, and its record says that they are gone. Records are kept up to a number.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_model::limits::{WORKER_KEPT, WORKER_RECORDS, WORKER_SWEEP};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::id::WireId;
use crate::journal::{Journal, Remembered, Whereabouts};
use crate::place::{PlaceError, Sandboxes};

/// Sessions that are served here. A service that hands one out twice gets one sandbox for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions(Arc<Served>);

#[derive(Debug, Default)]
struct Served {
    sessions: Mutex<BTreeSet<WireId>>,
    left: Notify,
}

/// Nobody else has the session as long as this lives.
pub(crate) struct Taken {
    sessions: Sessions,
    session: WireId,
}

impl Sessions {
    /// The session, unless somebody has it.
    pub(crate) fn take(&self, session: &WireId) -> Option<Taken> {
        let is_free = self.served().insert(session.clone());
        is_free.then(|| Taken {
            sessions: self.clone(),
            session: session.clone(),
        })
    }

    /// Somebody has left a session, of which files may have been kept.
    pub(crate) fn is_left(&self) {
        self.0.left.notify_one();
    }

    fn served(&self) -> MutexGuard<'_, BTreeSet<WireId>> {
        self.0
            .sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.sessions.served().remove(&self.session);
    }
}

/// What is to become of what is left of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It stays.
    Stays,
    /// Its files go. If the session goes on, its model is told.
    Forgotten,
    /// All of it goes.
    Removed,
}

/// Looks after what is left of sessions, now and then and whenever one was left. Never ends by itself; what fails now is done the next time.
pub(crate) async fn look_after<P>(
    journal: Journal,
    sandboxes: Sandboxes<P>,
    sessions: Sessions,
    kept_bytes: u64,
) where
    P: Clone + Send + Sync + 'static,
{
    loop {
        let next = Instant::now() + WORKER_SWEEP;
        match journal.remembered().await {
            Ok(remembered) => sweep(&journal, &sandboxes, &sessions, remembered, kept_bytes).await,
            Err(error) => tracing::warn!(%error, "what is left of sessions cannot be looked at"),
        }
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = sessions.0.left.notified() => {}
        }
    }
}

async fn sweep<P>(
    journal: &Journal,
    sandboxes: &Sandboxes<P>,
    sessions: &Sessions,
    remembered: Vec<Remembered>,
    kept_bytes: u64,
) where
    P: Clone + Send + Sync + 'static,
{
    for (one, fate) in fates(remembered, kept_bytes) {
        // Nobody takes it meanwhile, and who has it keeps it.
        let Some(_taken) = sessions.take(&one.session) else {
            continue;
        };
        if let Err(error) = meet(journal, sandboxes, &one, fate).await {
            let session = &one.session;
            tracing::warn!(%session, %error, "what was kept of a session cannot be removed");
        }
    }
}

async fn meet<P>(
    journal: &Journal,
    sandboxes: &Sandboxes<P>,
    one: &Remembered,
    fate: Fate,
) -> Result<(), PlaceError>
where
    P: Clone + Send + Sync + 'static,
{
    let entry = journal.entry(&one.session)?;
    // Somebody may have had it since.
    if entry.record().sandbox != one.sandbox {
        return Ok(());
    }
    let session = &one.session;
    match fate {
        Fate::Stays => Ok(()),
        Fate::Forgotten => {
            tracing::info!(%session, "what was kept of a session is thrown away");
            sandboxes.place(entry).forget().await
        }
        Fate::Removed => {
            tracing::info!(%session, "a session is remembered no more");
            sandboxes.place(entry).remove().await
        }
    }
}

/// What does not stay, the oldest first.
fn fates(mut remembered: Vec<Remembered>, kept_bytes: u64) -> Vec<(Remembered, Fate)> {
    remembered.sort_by(|one, other| {
        let by_age = one.age.cmp(&other.age);
        by_age.then_with(|| one.session.cmp(&other.session))
    });
    let mut total: u64 = 0;
    let mut fates = Vec::new();
    for (before, one) in remembered.into_iter().enumerate() {
        let is_kept = match &one.sandbox {
            Whereabouts::Kept { bytes, .. } => {
                total = total.saturating_add(*bytes);
                true
            }
            Whereabouts::Nowhere | Whereabouts::Running => false,
        };
        let fate = if before >= WORKER_RECORDS {
            Fate::Removed
        } else if is_kept && (one.age >= WORKER_KEPT || total > kept_bytes) {
            Fate::Forgotten
        } else {
            Fate::Stays
        };
        if fate != Fate::Stays {
            fates.push((one, fate));
        }
    }
    fates.reverse();
    fates
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bailiwick_runtime::Checkpoint;

    use super::*;

    fn remembered(name: &str, age: Duration, sandbox: Whereabouts) -> Remembered {
        Remembered {
            session: name.parse().unwrap(),
            age,
            sandbox,
        }
    }

    fn kept(name: &str, seconds: u64, bytes: u64) -> Remembered {
        let sandbox = Whereabouts::Kept {
            checkpoint: Checkpoint(name.into()),
            has_shell: false,
            bytes,
        };
        remembered(name, Duration::from_secs(seconds), sandbox)
    }

    fn told(all: Vec<Remembered>, kept_bytes: u64) -> String {
        let fates = fates(all, kept_bytes);
        let fates = fates
            .iter()
            .map(|(one, fate)| format!("{} {fate:?}", one.session));
        fates.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_files_that_rest_for_the_longest_go_until_the_others_fit() {
        let all = || {
            vec![
                kept("b", 2, 40),
                kept("a", 1, 60),
                kept("d", 4, 1),
                kept("c", 3, 30),
            ]
        };
        for (kept_bytes, expect) in [
            (131, ""),
            (130, "d Forgotten"),
            (129, "d Forgotten, c Forgotten"),
            (99, "d Forgotten, c Forgotten, b Forgotten"),
            (59, "d Forgotten, c Forgotten, b Forgotten, a Forgotten"),
        ] {
            assert_eq!(told(all(), kept_bytes), expect, "{kept_bytes}");
        }
        // Without files there is nothing to go.
        let day = Duration::from_secs(24 * 60 * 60);
        let old = [Whereabouts::Nowhere, Whereabouts::Running];
        let mut all: Vec<_> = old
            .map(|sandbox| remembered("old", 40 * day, sandbox))
            .into();
        assert_eq!(told(all.clone(), 0), "");
        all.push(kept("month", WORKER_KEPT.as_secs(), 1));
        all.push(kept("day", day.as_secs(), 1));
        assert_eq!(told(all, 10), "month Forgotten");
    }

    #[test]
    fn no_more_sessions_are_remembered_than_some() {
        let none = |number: usize| {
            let age = Duration::from_secs(number as u64);
            remembered(&format!("s{number}"), age, Whereabouts::Running)
        };
        let mut all: Vec<_> = (0..WORKER_RECORDS - 1).map(none).collect();
        all.push(kept("last", u64::from(u32::MAX), 1));
        assert_eq!(told(all.clone(), 1), "last Forgotten", "control");
        all.push(none(WORKER_RECORDS));
        assert_eq!(told(all, 1), "last Removed");
    }
}
