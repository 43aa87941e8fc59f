//! A sandbox that nobody uses: it is kept, and what was kept may have to give way.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bailiwick_model::SandboxId;
use bailiwick_model::limits::SESSION_SANDBOX_KEEPS;
use bailiwick_runtime::{Checkpoint, Error};
use bailiwick_wire::RetryStatus;
use tokio::time::Instant;

use super::{Hold, Place, State, discard};
use crate::sandboxes::SandboxRuntime;
use crate::sandboxes::error::SandboxError;
use crate::sandboxes::room::{Content, Seen};
use crate::sandboxes::untold::{CHECKPOINT, unknown};

/// What the session is told of a sandbox that was ended since it could not be kept.
const NOT_KEPT: &str = "what is in the session's sandbox cannot be kept while nothing uses it (it is too much, directories are too deep, or files have too many extended attributes), so that the sandbox was ended and its files are lost";
/// What the session is told of what was kept and is not any more.
const GIVEN_UP: &str = "what was kept of the session's sandbox was given up for newer ones, since those of the organization took more than it may keep on the server: its files are lost";

/// What was kept of a sandbox.
pub(super) struct Kept {
    /// Of which.
    pub(super) sandbox: SandboxId,
    pub(super) checkpoint: Checkpoint,
    pub(super) has_shell: bool,
    pub(super) since: Instant,
    pub(super) bytes: u64,
}

/// A place that a call wants: it does not give way meanwhile.
#[derive(Clone)]
pub(in crate::sandboxes) struct Wanted {
    place: Arc<Place>,
    _call: Arc<()>,
}

impl Wanted {
    pub(in crate::sandboxes) fn place(&self) -> &Place {
        &self.place
    }
}

impl Place {
    /// For a call, by whoever sees to it that nobody takes it away at the same time.
    pub(in crate::sandboxes) fn want(self: &Arc<Self>) -> Wanted {
        Wanted {
            place: Arc::clone(self),
            _call: Arc::clone(&self.wanted),
        }
    }

    /// What is known of it without waiting for whoever changes it now.
    pub(in crate::sandboxes) fn seen(&self) -> Seen<'_> {
        Seen {
            organization: &self.organization,
            session: &self.session,
            content: *self.content.lock().unwrap_or_else(PoisonError::into_inner),
            is_wanted: Arc::strong_count(&self.wanted) > 1,
        }
    }
}

impl State {
    fn content(&self) -> Content {
        match (&self.live, &self.kept) {
            (Some(_), _) => Content::Running,
            (None, Some(Kept { since, bytes, .. })) => Content::Kept {
                since: *since,
                bytes: *bytes,
            },
            (None, None) => Content::Nothing,
        }
    }
}

/// Whatever was changed, others see it from now on.
impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut seen = self
            .place
            .content
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *seen = self.state.content();
        if self.state.live.is_none() {
            self.state.failed_keeps = 0;
        }
    }
}

impl Hold<'_> {
    /// Whether nobody has used it for so long.
    pub(in crate::sandboxes) fn is_idle_for(&mut self, time: Duration) -> bool {
        let Some(live) = &mut self.state.live else {
            return false;
        };
        if Arc::strong_count(&live.calls) > 1 {
            live.used = Instant::now();
        }
        live.used.elapsed() >= time
    }

    /// Keeps its files and stops it. Where that cannot be, it runs on; where that is so again and again, it is ended, which the session is told.
    pub(in crate::sandboxes) async fn keep(
        &mut self,
        runtime: &SandboxRuntime,
    ) -> Result<(), SandboxError> {
        let Err(error) = self.try_to_keep(runtime).await else {
            return Ok(());
        };
        if matches!(error, SandboxError::Runtime(Error::Full)) {
            // That is not its fault, and may pass.
            tracing::warn!(session = %self.place.session, "there is no room on the disk to keep the sandbox of a session: it runs on");
            return Ok(());
        }
        self.state.failed_keeps += 1;
        if self.state.failed_keeps >= SESSION_SANDBOX_KEEPS
            && let Some(live) = self.state.live.take()
        {
            live.stop().await;
            let failure = unknown(NOT_KEPT.to_owned(), RetryStatus::Terminal);
            self.place.untold.failed(CHECKPOINT, failure);
        }
        Err(error)
    }

    /// Throws away what was kept, which the session is told.
    pub(in crate::sandboxes) async fn give_up(&mut self, runtime: &SandboxRuntime) {
        if let Some(kept) = self.state.kept.take() {
            discard(runtime, &kept.checkpoint).await;
            let failure = unknown(GIVEN_UP.to_owned(), RetryStatus::Terminal);
            self.place.untold.failed(CHECKPOINT, failure);
        }
    }
}
