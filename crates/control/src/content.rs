//! Bytes on their way into the database and out of it, a chunk at a time.

use aws_lc_rs::digest::{Context, SHA256};
use bailiwick_model::limits::{
    CONTENT_CHUNK_BYTES, FILE_BYTES, ORGANIZATION_CONTENT_BYTES, SESSION_FILE_BYTES,
    SESSION_OUTPUT_TOTAL_BYTES, SESSION_OUTPUT_TOTAL_FILES, SKILL_BYTES,
};
use bailiwick_model::{ContentId, OrganizationId};
use bailiwick_store::{Store, StoreError};

use crate::control::Control;
use crate::error::ControlError;
use crate::{clock, fresh};

/// How much may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentLimits {
    /// Of one file.
    pub file_bytes: u64,
    /// Of the archive of a skill.
    pub skill_bytes: u64,
    /// Of all files and skills of an organization.
    pub organization_bytes: u64,
    /// Of the files that a session has, each content once.
    pub session_bytes: u64,
    /// Files that a session has handed over, and that are there.
    pub output_files: u64,
    /// Of all of them.
    pub output_bytes: u64,
}

impl Default for ContentLimits {
    fn default() -> Self {
        Self {
            file_bytes: FILE_BYTES,
            skill_bytes: SKILL_BYTES,
            organization_bytes: ORGANIZATION_CONTENT_BYTES,
            session_bytes: SESSION_FILE_BYTES,
            output_files: SESSION_OUTPUT_TOTAL_FILES,
            output_bytes: SESSION_OUTPUT_TOTAL_BYTES,
        }
    }
}

/// What is arriving.
pub(crate) struct Intake<'a> {
    store: &'a Store,
    organization: &'a OrganizationId,
    kind: &'static str,
    most_bytes: u64,
    organization_bytes: u64,
    id: ContentId,
    waiting: Vec<u8>,
    chunks: i64,
    bytes: u64,
    hash: Context,
}

/// What has arrived.
pub(crate) struct Arrived {
    /// Its id; nothing refers to it yet.
    pub(crate) id: ContentId,
    /// How long it is.
    pub(crate) bytes: i64,
    /// Of its bytes.
    pub(crate) sha256: [u8; 32],
}

impl<'a> Intake<'a> {
    /// Begins, if the organization may have more.
    pub(crate) async fn begin(
        control: &'a Control,
        organization: &'a OrganizationId,
        kind: &'static str,
        most_bytes: u64,
    ) -> Result<Self, ControlError> {
        let intake = Self {
            store: &control.store,
            organization,
            kind,
            most_bytes,
            organization_bytes: control.content_limits.organization_bytes,
            id: fresh::id(clock::now()),
            waiting: Vec::new(),
            chunks: 0,
            bytes: 0,
            hash: Context::new(&SHA256),
        };
        intake.check_quota(|used, most| used < most).await?;
        Ok(intake)
    }

    /// Takes some more.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), ControlError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.most_bytes {
            return Err(ControlError::TooLarge {
                kind: self.kind,
                most_bytes: self.most_bytes,
            });
        }
        self.hash.update(bytes);
        while !bytes.is_empty() {
            let room = CONTENT_CHUNK_BYTES - self.waiting.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.waiting.extend_from_slice(now);
            bytes = later;
            if self.waiting.len() == CONTENT_CHUNK_BYTES {
                self.store_chunk().await?;
            }
        }
        Ok(())
    }

    /// All of it is there.
    pub(crate) async fn finish(&mut self) -> Result<Arrived, ControlError> {
        if self.chunks == 0 || !self.waiting.is_empty() {
            self.store_chunk().await?;
        }
        self.check_quota(|used, most| used <= most).await?;
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.hash.clone().finish().as_ref());
        Ok(Arrived {
            id: self.id.clone(),
            bytes: i64::try_from(self.bytes).unwrap_or(i64::MAX),
            sha256,
        })
    }

    /// It is not wanted: the next sweep takes what has arrived.
    pub(crate) async fn abandon(&self) {
        if self.chunks > 0 {
            // If this fails too, it is silence that gives it away, later.
            let _ = self
                .store
                .abandon_content(self.organization, &self.id)
                .await;
        }
    }

    async fn store_chunk(&mut self) -> Result<(), ControlError> {
        let chunk = std::mem::take(&mut self.waiting);
        let stored = self.store.append_content(
            self.organization,
            &self.id,
            self.chunks,
            chunk,
            clock::now(),
        );
        match stored.await {
            Ok(()) => self.chunks += 1,
            Err(StoreError::Stale) => return Err(ControlError::GivenUp(self.kind)),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// What is arriving counts too, so two at once do not pass together what each of them would.
    async fn check_quota(&self, fits: impl Fn(u64, u64) -> bool) -> Result<(), ControlError> {
        let used = self.store.scope(self.organization).content_bytes().await?;
        if fits(u64::try_from(used).unwrap_or(0), self.organization_bytes) {
            return Ok(());
        }
        Err(ControlError::QuotaExceeded {
            most_bytes: self.organization_bytes,
        })
    }
}

/// Bytes on their way out.
#[derive(Debug)]
pub struct Download {
    store: Store,
    organization: OrganizationId,
    content: ContentId,
    chunk: i64,
    rest: u64,
}

impl Download {
    pub(crate) fn of(
        control: &Control,
        organization: &OrganizationId,
        content: ContentId,
        bytes: i64,
    ) -> Self {
        Self {
            store: control.store.clone(),
            organization: organization.clone(),
            content,
            chunk: 0,
            rest: u64::try_from(bytes).unwrap_or(0),
        }
    }

    /// How many bytes are still to come.
    pub fn rest(&self) -> u64 {
        self.rest
    }

    /// The next chunk; none at the end.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`], also where the bytes were deleted meanwhile.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ControlError> {
        if self.rest == 0 {
            return Ok(None);
        }
        let scope = self.store.scope(&self.organization);
        let chunk = scope.content_chunk(&self.content, self.chunk).await?;
        let corrupt = || StoreError::Corrupt { column: "bytes" };
        let chunk = chunk.filter(|chunk| !chunk.is_empty());
        let chunk = chunk.ok_or_else(corrupt)?;
        let rest = self.rest.checked_sub(chunk.len() as u64);
        self.rest = rest.ok_or_else(corrupt)?;
        self.chunk += 1;
        Ok(Some(chunk))
    }
}
