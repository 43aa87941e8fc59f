//! What an agent hands over: files below `/mnt/session/outputs`, which become files of the organization with the session as their scope.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_model::limits::{SESSION_OUTPUT_BYTES, SESSION_OUTPUT_FILES};
use bailiwick_model::{OrganizationId, SessionId};
use bailiwick_policy::InForce;
use bailiwick_runtime::{Access, CaptureLimits, Error, Mount, MountSource, PathProblem, Sandbox};

use super::error::SandboxError;
use crate::control::Control;

/// Where they are inside.
const INSIDE: &str = "/mnt/session/outputs";

/// What of the outputs of a session was kept.
#[derive(Default)]
pub(super) struct Outputs {
    kept: BTreeMap<PathBuf, Vec<u8>>,
}

impl Outputs {
    pub(super) fn mount() -> Mount {
        Mount {
            source: MountSource::Private,
            target: INSIDE.into(),
            access: Access::ReadWrite,
        }
    }

    /// Keeps those that are new or have changed. Of one that changed the earlier file stays: somebody may have been told of it.
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
        for file in captured {
            let hash = digest(&SHA256, &file.contents).as_ref().to_vec();
            if self.kept.get(&file.path) == Some(&hash) {
                continue;
            }
            let name = file.path.file_name().unwrap_or_default().to_string_lossy();
            control
                .keep_output(organization, session, &name, &file.contents)
                .await?;
            self.kept.insert(file.path, hash);
        }
        Ok(())
    }
}

fn is_too_much(error: &Error) -> bool {
    let too_much = PathProblem::TooLarge;
    matches!(error, Error::Path { problem, .. } if *problem == too_much)
}
