//! Skills and their versions.

use bailiwick_model::limits::SKILL_DISPLAY_NAME_CHARS;
use bailiwick_model::{Permission, ResourceId as _, SkillId, SkillVersionId};
use bailiwick_store::{
    Change, NewSkill, NewSkillVersion, Page, PageRequest, Skill, SkillVersion, SkillVersionName,
    StoreError,
};
use bailiwick_wire::{FieldProblem, SkillBundle};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::caller::{Actor, Caller};
use crate::content::{Arrived, Download, Intake};
use crate::control::Control;
use crate::error::ControlError;
use crate::{clock, fresh};

const KIND: &str = "skill";
const VERSION: &str = "version of the skill";
/// Ids sort by when they were made, in milliseconds: a version is made later than the one before it, whatever the clocks of replicas say.
const TICK: SignedDuration = SignedDuration::from_millis(1);

/// A request to make a skill.
#[derive(Debug, Clone)]
pub struct NewSkillRequest {
    /// What people call it; its own name if this is none.
    pub display_name: Option<String>,
    /// Its files.
    pub bundle: SkillBundle,
}

/// What may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkillRules {
    /// A skill goes with its versions; the only version stays as long as its skill.
    Current,
    /// A skill goes only after all of its versions, for clients of before 2026.
    Before2026,
}

impl Control {
    /// Makes a skill and its first version.
    ///
    /// # Errors
    ///
    /// [`ControlError::Invalid`], [`ControlError::NameTaken`], [`ControlError::QuotaExceeded`], and what every use case may answer.
    pub async fn create_skill(
        &self,
        caller: &Caller,
        request: NewSkillRequest,
    ) -> Result<Skill, ControlError> {
        caller.require(Permission::SkillWrite)?;
        let bundle = &request.bundle;
        let display_name = display_name(request.display_name.as_deref(), bundle.name())?;
        let archive = self.keep_archive(caller, bundle).await?;
        let at = clock::now();
        let mut change = self.change(caller, at).await?;
        let id: SkillId = fresh::id(at);
        let new = NewSkill {
            id: id.clone(),
            name: bundle.name(),
            display_name: &display_name,
        };
        if let Err(error) = change.insert_skill(&new).await {
            drop(change);
            let abandoned = self
                .store
                .abandon_content(&caller.organization, &archive.id);
            abandoned.await?;
            return Err(ControlError::of(KIND)(error));
        }
        let after = json!({"name": bundle.name(), "display_name": display_name, "archive": evidence(&archive)});
        insert_version(&mut change, &id, bundle, archive, at).await?;
        let event = caller.event("skill.create", (KIND, id.as_str()), None, Some(&after));
        change
            .commit(&event)
            .await
            .map_err(ControlError::of(KIND))?;
        self.skill_of(caller, &id).await
    }

    /// One skill.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn skill(&self, caller: &Caller, id: &SkillId) -> Result<Skill, ControlError> {
        caller.require(Permission::SkillRead)?;
        self.skill_of(caller, id).await
    }

    async fn skill_of(&self, caller: &Caller, id: &SkillId) -> Result<Skill, ControlError> {
        let found = self.store.scope(&caller.organization).skill(id).await?;
        found.ok_or(ControlError::NotFound(KIND))
    }

    /// Skills, the newest first.
    ///
    /// # Errors
    ///
    /// What every use case may answer.
    pub async fn skills(
        &self,
        caller: &Caller,
        page: &PageRequest<SkillId>,
    ) -> Result<Page<Skill, SkillId>, ControlError> {
        caller.require(Permission::SkillRead)?;
        Ok(self.store.scope(&caller.organization).skills(page).await?)
    }

    /// Deletes a skill.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::HasVersions`], [`ControlError::Referred`], and what every use case may answer.
    pub async fn delete_skill(
        &self,
        caller: &Caller,
        id: &SkillId,
        rules: SkillRules,
    ) -> Result<(), ControlError> {
        caller.require(Permission::SkillWrite)?;
        let (mut change, skill) = self.skill_to_change(caller, id).await?;
        if rules == SkillRules::Before2026 && skill.latest.is_some() {
            return Err(ControlError::HasVersions);
        }
        change
            .delete_skill(id)
            .await
            .map_err(ControlError::of(KIND))?;
        let before = json!({"name": skill.name, "display_name": skill.display_name});
        let event = caller.event("skill.delete", (KIND, id.as_str()), Some(&before), None);
        change.commit(&event).await.map_err(ControlError::of(KIND))
    }

    /// Whether a version of the skill may be made: asked before its files are read.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn may_make_skill_version(
        &self,
        caller: &Caller,
        id: &SkillId,
    ) -> Result<(), ControlError> {
        caller.require(Permission::SkillWrite)?;
        self.skill_of(caller, id).await.map(drop)
    }

    /// Makes a version of a skill, whose name its files bear.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::Invalid`], [`ControlError::QuotaExceeded`], and what every use case may answer.
    pub async fn create_skill_version(
        &self,
        caller: &Caller,
        id: &SkillId,
        bundle: &SkillBundle,
    ) -> Result<SkillVersion, ControlError> {
        caller.require(Permission::SkillWrite)?;
        let scope = self.store.scope(&caller.organization);
        let skill = scope.skill(id).await?.ok_or(ControlError::NotFound(KIND))?;
        same_name(&skill, bundle)?;
        let archive = self.keep_archive(caller, bundle).await?;
        // From here on nobody else makes one.
        let (mut change, skill) = self.skill_to_change(caller, id).await?;
        let earliest = skill
            .latest
            .and_then(|(_, at)| at.checked_add(TICK).ok())
            .unwrap_or(Timestamp::MIN);
        let at = clock::now().max(earliest);
        let after = json!({"skill_id": id, "description": bundle.description(), "archive": evidence(&archive)});
        let version = insert_version(&mut change, id, bundle, archive, at).await?;
        let event = caller.event(
            "skill_version.create",
            ("skill_version", version.as_str()),
            None,
            Some(&after),
        );
        change
            .commit(&event)
            .await
            .map_err(ControlError::of(VERSION))?;
        self.skill_version_of(caller, id, &SkillVersionName::Id(version))
            .await
    }

    /// One version of a skill. Workers of self-hosted environments read those that the sessions use which they serve now.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn skill_version(
        &self,
        caller: &Caller,
        skill: &SkillId,
        name: &SkillVersionName,
    ) -> Result<SkillVersion, ControlError> {
        self.may_read_skill(caller, skill).await?;
        self.skill_version_of(caller, skill, name).await
    }

    /// A worker reads what the agents of the sessions need that are its work now; it is not told of any other skill.
    async fn may_read_skill(&self, caller: &Caller, skill: &SkillId) -> Result<(), ControlError> {
        let (environment, session) = match &caller.actor {
            Actor::Worker(environment) => (environment, None),
            Actor::WorkItem(item) => (&item.environment, Some(&item.session)),
            Actor::User(_)
            | Actor::ServiceAccount(_)
            | Actor::VirtualKey(_)
            | Actor::GatewayKey(_)
            | Actor::System => {
                return caller.require(Permission::SkillRead);
            }
        };
        let scope = self.store.scope(&caller.organization);
        let is_needed = scope.work_needs_skill(environment, session, skill).await?;
        is_needed
            .then_some(())
            .ok_or(ControlError::NotFound(VERSION))
    }

    async fn skill_version_of(
        &self,
        caller: &Caller,
        skill: &SkillId,
        name: &SkillVersionName,
    ) -> Result<SkillVersion, ControlError> {
        let scope = self.store.scope(&caller.organization);
        let found = scope.skill_version(skill, name).await?;
        found.ok_or(ControlError::NotFound(VERSION))
    }

    /// The versions of a skill, the newest first.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], and what every use case may answer.
    pub async fn skill_versions(
        &self,
        caller: &Caller,
        skill: &SkillId,
        page: &PageRequest<SkillVersionId>,
    ) -> Result<Page<SkillVersion, SkillVersionId>, ControlError> {
        self.skill(caller, skill).await?;
        let scope = self.store.scope(&caller.organization);
        Ok(scope.skill_versions(skill, page).await?)
    }

    /// The archive of a version: a zip of one directory with the name of the skill.
    ///
    /// # Errors
    ///
    /// As [`Self::skill_version`].
    pub async fn download_skill(
        &self,
        caller: &Caller,
        skill: &SkillId,
        name: &SkillVersionName,
    ) -> Result<(SkillVersion, Download), ControlError> {
        let version = self.skill_version(caller, skill, name).await?;
        let (content, bytes) = (version.content.clone(), version.size_bytes);
        let download = Download::of(self, &caller.organization, content, bytes);
        Ok((version, download))
    }

    /// Deletes a version of a skill.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotFound`], [`ControlError::OnlyVersion`], and what every use case may answer.
    pub async fn delete_skill_version(
        &self,
        caller: &Caller,
        skill: &SkillId,
        name: &SkillVersionName,
        rules: SkillRules,
    ) -> Result<SkillVersion, ControlError> {
        caller.require(Permission::SkillWrite)?;
        let (mut change, _) = self.skill_to_change(caller, skill).await?;
        let found = change.skill_version(skill, name).await?;
        let version = found.ok_or(ControlError::NotFound(VERSION))?;
        change
            .delete_skill_version(&version)
            .await
            .map_err(ControlError::of(VERSION))?;
        let left = change
            .skill_version(skill, &SkillVersionName::Latest)
            .await?;
        if rules == SkillRules::Current && left.is_none() {
            return Err(ControlError::OnlyVersion);
        }
        let before = json!({"skill_id": skill, "description": version.description});
        let event = caller.event(
            "skill_version.delete",
            ("skill_version", version.id.as_str()),
            Some(&before),
            None,
        );
        change
            .commit(&event)
            .await
            .map_err(ControlError::of(VERSION))?;
        Ok(version)
    }

    async fn skill_to_change(
        &self,
        caller: &Caller,
        id: &SkillId,
    ) -> Result<(Change, Skill), ControlError> {
        let mut change = self.change(caller, clock::now()).await?;
        let skill = change.skill_to_change(id).await?;
        Ok((change, skill.ok_or(ControlError::NotFound(KIND))?))
    }

    async fn keep_archive(
        &self,
        caller: &Caller,
        bundle: &SkillBundle,
    ) -> Result<Arrived, ControlError> {
        let most = self.content_limits.skill_bytes;
        let mut intake = Intake::begin(self, &caller.organization, KIND, most).await?;
        let arrived = match intake.write(bundle.archive()).await {
            Ok(()) => intake.finish().await,
            Err(error) => Err(error),
        };
        if arrived.is_err() {
            intake.abandon().await;
        }
        arrived
    }
}

async fn insert_version(
    change: &mut Change,
    skill: &SkillId,
    bundle: &SkillBundle,
    archive: Arrived,
    at: Timestamp,
) -> Result<SkillVersionId, ControlError> {
    let id: SkillVersionId = fresh::id(at);
    let new = NewSkillVersion {
        id: id.clone(),
        skill: skill.clone(),
        description: bundle.description(),
        size_bytes: archive.bytes,
        sha256: archive.sha256,
        content: archive.id,
        created_at: at,
    };
    match change.insert_skill_version(new).await {
        Ok(()) => Ok(id),
        Err(StoreError::Stale) => Err(ControlError::GivenUp(KIND)),
        Err(error) => Err(error.into()),
    }
}

/// What people call it: one line.
fn display_name(said: Option<&str>, name: &str) -> Result<String, ControlError> {
    let Some(said) = said else {
        return Ok(name.to_owned());
    };
    let shown = said.trim();
    let length = shown.chars().count();
    if (1..=SKILL_DISPLAY_NAME_CHARS).contains(&length) && !shown.chars().any(char::is_control) {
        return Ok(shown.to_owned());
    }
    Err(ControlError::Invalid(vec![FieldProblem {
        field: "display_name".to_owned(),
        code: "invalid_name",
        message: format!("is one line of 1 to {SKILL_DISPLAY_NAME_CHARS} characters"),
        help: "leave it out to use the name in SKILL.md".to_owned(),
    }]))
}

/// Where a skill is used, its directory has its name: that never changes.
fn same_name(skill: &Skill, bundle: &SkillBundle) -> Result<(), ControlError> {
    if skill.name == bundle.name() {
        return Ok(());
    }
    Err(ControlError::Invalid(vec![FieldProblem {
        field: "files".to_owned(),
        code: "skill_name_changed",
        message: format!(
            "the files are of a skill named {:?}, and this one is named {:?}",
            bundle.name(),
            skill.name
        ),
        help: "keep `name` in SKILL.md, or make another skill".to_owned(),
    }]))
}

/// What the audit log keeps of an archive.
fn evidence(archive: &Arrived) -> Value {
    json!({"size_bytes": archive.bytes, "sha256": fresh::hex(&archive.sha256)})
}
