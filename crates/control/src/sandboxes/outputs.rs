//! What an agent hands over: files below `/mnt/session/outputs`, which become files of the organization with the session as their scope.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_model::limits::{SESSION_OUTPUT_BYTES, SESSION_OUTPUT_FILES, SESSION_OUTPUT_TIME};
use bailiwick_model::{OrganizationId, SessionId};
use bailiwick_policy::InForce;
use bailiwick_runtime::{
    Access, CaptureLimits, CapturedFile, Error, Mount, MountSource, PathProblem, Sandbox,
};
use bailiwick_store::FileTotals;

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
            time: SESSION_OUTPUT_TIME,
        };
        let captured = sandbox.capture(&[Path::new(INSIDE)], limits).await;
        let captured = captured.map_err(not_captured)?;
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

fn not_captured(error: Error) -> SandboxError {
    let is = |wanted| matches!(&error, Error::Path { problem, .. } if *problem == wanted);
    if is(PathProblem::TooLarge) {
        SandboxError::Outputs
    } else if is(PathProblem::TooSlow) {
        SandboxError::OutputsTooSlow
    } else {
        SandboxError::Runtime(error)
    }
}

#[cfg(test)]
mod tests {
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
}
