//! What an agent hands over: files below `/mnt/session/outputs`, which become files of the organization with the session as their scope.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_model::limits::{
    SESSION_OUTPUT_BYTES, SESSION_OUTPUT_FILES, SESSION_OUTPUT_TURNS,
    SESSION_OUTPUT_TURNS_OF_ORGANIZATION,
};
use bailiwick_model::{OrganizationId, SessionId};
use bailiwick_policy::InForce;
use bailiwick_runtime::{
    Access, CaptureLimits, CapturedFile, Error, Mount, MountSource, PathProblem, Sandbox,
};
use bailiwick_store::FileTotals;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::SandboxError;
use crate::content::ContentLimits;
use crate::control::Control;
use crate::error::ControlError;

/// Where they are inside.
const INSIDE: &str = "/mnt/session/outputs";

/// What of the outputs of a session was kept.
#[derive(Default)]
pub(super) struct Outputs {
    /// Hashes of those that were there the last time.
    kept: BTreeMap<PathBuf, Vec<u8>>,
    /// No more is taken, which was told.
    is_full: bool,
}

impl Outputs {
    pub(super) fn mount() -> Mount {
        Mount {
            source: MountSource::Private,
            target: INSIDE.into(),
            access: Access::ReadWrite,
        }
    }

    /// Keeps those that are new or have changed. Of one that changed the earlier file stays: somebody may have been told of it. That a session
    /// has handed over all that it may is told once, and again when there was room meanwhile.
    pub(super) async fn follow(
        &mut self,
        control: &Control,
        organization: &OrganizationId,
        session: &SessionId,
        sandbox: &dyn Sandbox<Policy = InForce>,
    ) -> Result<(), SandboxError> {
        let limits = CaptureLimits {
            files: SESSION_OUTPUT_FILES,
            bytes: SESSION_OUTPUT_BYTES,
        };
        let captured = sandbox.capture(&[Path::new(INSIDE)], limits).await;
        let captured = captured.map_err(|error| {
            if is_too_much(&error) {
                SandboxError::Outputs
            } else {
                SandboxError::Runtime(error)
            }
        })?;
        self.forget_others(&captured);
        let scope = control.store.scope(organization);
        let totals = scope.session_outputs(session).await;
        let mut room = Room::new(control.content_limits, totals.map_err(ControlError::from)?);
        for file in captured {
            let hash = digest(&SHA256, &file.contents).as_ref().to_vec();
            if self.kept.get(&file.path) == Some(&hash) {
                continue;
            }
            if !room.takes(file.contents.len()) {
                return self.full(control.content_limits);
            }
            let name = file.path.file_name().unwrap_or_default().to_string_lossy();
            control
                .keep_output(organization, session, &name, &file.contents)
                .await?;
            self.kept.insert(file.path, hash);
        }
        self.is_full = false;
        Ok(())
    }

    /// A program that gives its files other names each time is not to fill the memory.
    fn forget_others(&mut self, captured: &[CapturedFile]) {
        let there: BTreeSet<_> = captured.iter().map(|file| &file.path).collect();
        self.kept.retain(|path, _| there.contains(path));
    }

    fn full(&mut self, limits: ContentLimits) -> Result<(), SandboxError> {
        if std::mem::replace(&mut self.is_full, true) {
            return Ok(());
        }
        Err(SandboxError::OutputsInAll {
            files: limits.output_files,
            bytes: limits.output_bytes,
        })
    }
}

/// What a session may hand over yet.
struct Room {
    files: u64,
    bytes: u64,
}

impl Room {
    fn new(limits: ContentLimits, totals: FileTotals) -> Self {
        let left = |most: u64, there: i64| most.saturating_sub(u64::try_from(there).unwrap_or(0));
        Self {
            files: left(limits.output_files, totals.files),
            bytes: left(limits.output_bytes, totals.bytes),
        }
    }

    /// Whether there is room for one more of this length, which then is there.
    fn takes(&mut self, length: usize) -> bool {
        let files = self.files.checked_sub(1);
        let bytes = self.bytes.checked_sub(length as u64);
        let (Some(files), Some(bytes)) = (files, bytes) else {
            return false;
        };
        *self = Self { files, bytes };
        true
    }
}

/// Who may hold outputs in memory now.
#[derive(Clone)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    own: Arc<Mutex<BTreeMap<OrganizationId, Arc<Semaphore>>>>,
}

/// As long as it is there, it is one's turn.
pub(super) struct Turn {
    _own: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(SESSION_OUTPUT_TURNS)),
            own: Arc::default(),
        }
    }
}

impl Turns {
    /// Waits for one. Who waits for others of its organization is in nobody else's way.
    pub(super) async fn of(&self, organization: &OrganizationId) -> Turn {
        let own = self.own(organization);
        // Nobody closes them.
        Turn {
            _own: own.acquire_owned().await.ok(),
            _all: Arc::clone(&self.all).acquire_owned().await.ok(),
        }
    }

    fn own(&self, organization: &OrganizationId) -> Arc<Semaphore> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of whom nobody hands over anything now.
        own.retain(|_, turns| Arc::strong_count(turns) > 1);
        let turns = own.entry(organization.clone()).or_insert_with(|| {
            let most = SESSION_OUTPUT_TURNS_OF_ORGANIZATION;
            Arc::new(Semaphore::new(most))
        });
        Arc::clone(turns)
    }
}

fn is_too_much(error: &Error) -> bool {
    let too_much = PathProblem::TooLarge;
    matches!(error, Error::Path { problem, .. } if *problem == too_much)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bailiwick_model::ResourceId as _;
    use tokio::time::timeout;

    use super::*;

    fn captured(paths: &[&str]) -> Vec<CapturedFile> {
        let file = |path: &&str| CapturedFile {
            path: path.into(),
            executable: false,
            contents: Vec::new(),
        };
        paths.iter().map(file).collect()
    }

    #[test]
    fn what_is_not_there_any_more_is_forgotten() {
        let mut outputs = Outputs::default();
        for number in 0..1000 {
            let path = format!("/mnt/session/outputs/{number}");
            outputs.forget_others(&captured(&[&path, "/stays"]));
            outputs.kept.insert(path.into(), vec![1]);
            outputs.kept.insert("/stays".into(), vec![2]);
            assert_eq!(outputs.kept.len(), 2);
        }
        assert_eq!(outputs.kept[Path::new("/stays")], [2]);
    }

    #[test]
    fn files_count_in_number_and_in_bytes() {
        let limits = ContentLimits {
            output_files: 3,
            output_bytes: 10,
            ..ContentLimits::default()
        };
        let of = |files, bytes| Room::new(limits, FileTotals { files, bytes });
        let mut room = of(0, 0);
        assert!(!room.takes(11));
        assert!(room.takes(9) && room.takes(0) && room.takes(1));
        assert!(!room.takes(0), "empty ones count in number");
        assert!(!of(1, 10).takes(1) && !of(3, 0).takes(0) && !of(9, 99).takes(0));
        assert!(of(1, 10).takes(0));
    }

    #[tokio::test]
    async fn of_those_who_hand_over_few_do_at_once_and_fewer_of_one_organization() {
        let organizations = [1, 2, 3].map(|byte| OrganizationId::made(0, [byte; 10]));
        let [one, two, three] = &organizations;
        let turns = Turns::default();
        let is_let = async |organization: &OrganizationId| {
            let turn = timeout(Duration::from_millis(20), turns.of(organization));
            turn.await.ok()
        };
        let first = is_let(one).await;
        let second = is_let(one).await;
        assert!(first.is_some() && second.is_some());
        assert!(is_let(one).await.is_none(), "its share");
        let others = [is_let(two).await, is_let(two).await];
        assert!(others.iter().all(Option::is_some));
        assert!(is_let(three).await.is_none(), "all that there are");
        drop(first);
        let third = is_let(three).await;
        assert!(third.is_some());
        assert!(is_let(one).await.is_none(), "all that there are, again");
        drop((second, third, others));
        assert!(is_let(one).await.is_some());
        assert_eq!(turns.own.lock().unwrap().len(), 1, "nobody else is known");
    }
}
