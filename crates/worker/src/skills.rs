//! The skills of a session's agent: fetched when its sandbox is made, and put where the workers of the official SDKs put them.
//!
//! An archive comes from the service and is not believed: it is held to what uploads are held to, in memory, and each file is written by the
//! sandbox, below `skills/NAME` of its work directory. A skill that cannot be had costs the skill, and the model is told.

use std::path::Path;

use bailiwick_llm::Backoff;
use bailiwick_model::limits::{
    WORKER_RETRY_LEAST, WORKER_RETRY_MOST, WORKER_SKILL_ATTEMPTS, WORKER_SKILLS_TIME,
};
use bailiwick_runtime::{Error, Sandbox};
use bailiwick_wire::{SkillProblem, UnpackedSkill};
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::ServiceError;
use crate::service::{Service, SkillOfAgent};
use crate::worker::random;

/// Where they go, below the work directory.
const PLACE: &str = "skills";

/// The skills of an agent, and where to have them from.
#[derive(Clone)]
pub(crate) struct Skills {
    service: Service,
    wanted: Vec<SkillOfAgent>,
}

/// Why a skill is not there.
#[derive(Debug, thiserror::Error)]
enum Missing {
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error("it took too long")]
    Time,
    #[error("its archive is not that of a skill: {0}")]
    Archive(#[from] SkillProblem),
    #[error("it cannot be written: {0}")]
    Sandbox(#[from] Error),
}

impl Skills {
    pub(crate) fn new(service: Service, wanted: Vec<SkillOfAgent>) -> Self {
        Self { service, wanted }
    }

    /// Puts them into a sandbox whose work directory this is; what is said of those that are missing.
    pub(crate) async fn place<P: Clone + Send + Sync + 'static>(
        &self,
        sandbox: &dyn Sandbox<Policy = P>,
        directory: &Path,
    ) -> Vec<String> {
        let end = Instant::now() + WORKER_SKILLS_TIME;
        let mut missing = Vec::new();
        for skill in &self.wanted {
            let placing = self.place_one(skill, sandbox, directory);
            let placed = timeout_at(end, placing).await;
            if let Err(error) = placed.unwrap_or(Err(Missing::Time)) {
                let id = &skill.skill_id;
                tracing::warn!(skill = %id, %error, "a skill is left out");
                missing.push(format!("[the skill {id} is missing here: {error}]"));
            }
        }
        missing
    }

    async fn place_one<P: Clone + Send + Sync + 'static>(
        &self,
        skill: &SkillOfAgent,
        sandbox: &dyn Sandbox<Policy = P>,
        directory: &Path,
    ) -> Result<(), Missing> {
        let UnpackedSkill { name, files } = UnpackedSkill::of(self.fetched(skill).await?)?;
        let place = directory.join(PLACE).join(name);
        for file in files {
            let mode = if file.executable { 0o755 } else { 0o644 };
            let path = place.join(file.path);
            sandbox.write_file(&path, file.bytes, mode).await?;
        }
        Ok(())
    }

    async fn fetched(&self, skill: &SkillOfAgent) -> Result<Vec<u8>, ServiceError> {
        let backoff = Backoff {
            least: WORKER_RETRY_LEAST,
            most: WORKER_RETRY_MOST,
        };
        let mut attempts = 1;
        loop {
            match self.service.skill(skill).await {
                Err(error) if error.is_transient() && attempts < WORKER_SKILL_ATTEMPTS => {
                    sleep(backoff.wait(attempts, random(), None)).await;
                    attempts += 1;
                }
                fetched => return fetched,
            }
        }
    }
}
