//! Skills and their versions.

use bailiwick_model::{ContentId, SkillId, SkillVersionId};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor};

use crate::change::Change;
use crate::error::StoreError;
use crate::page::{Page, PageRequest};
use crate::row::Columns;
use crate::store::Scope;

macro_rules! select_skill {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, s.name, s.display_name, s.created_at, s.updated_at, \
             (SELECT MAX(v.id) FROM skill_version v WHERE v.organization_id = s.organization_id AND v.skill_id = s.id) AS latest_id, \
             (SELECT MAX(v.created_at) FROM skill_version v WHERE v.organization_id = s.organization_id AND v.skill_id = s.id) AS latest_at \
             FROM skill s WHERE s.organization_id = $1 ",
            $rest
        )
    };
}

macro_rules! select_version {
    ($rest:literal) => {
        concat!(
            "SELECT v.id, v.skill_id, s.name, v.description, v.size_bytes, v.sha256, v.content_id, v.created_at \
             FROM skill_version v JOIN skill s ON s.organization_id = v.organization_id AND s.id = v.skill_id \
             WHERE v.organization_id = $1 AND v.skill_id = $2 ",
            $rest
        )
    };
}

/// A skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skill {
    /// Its id.
    pub id: SkillId,
    /// What its files call it; unique in the organization.
    pub name: String,
    /// What people call it.
    pub display_name: String,
    /// Its newest version and when that was made; none if all were deleted.
    pub latest: Option<(SkillVersionId, Timestamp)>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its versions last changed.
    pub updated_at: Timestamp,
}

/// One to be made.
#[derive(Debug, Clone)]
pub struct NewSkill<'a> {
    /// Its id.
    pub id: SkillId,
    /// See [`Skill`], as what follows.
    pub name: &'a str,
    /// What people call it.
    pub display_name: &'a str,
}

/// A version of a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillVersion {
    /// Its id.
    pub id: SkillVersionId,
    /// Whose version it is.
    pub skill: SkillId,
    /// The name of the skill.
    pub name: String,
    /// When to use it, from its files.
    pub description: String,
    /// How long its archive is.
    pub size_bytes: i64,
    /// Of its archive.
    pub sha256: [u8; 32],
    /// Its archive.
    pub content: ContentId,
    /// When it was made; later than the versions before it.
    pub created_at: Timestamp,
}

/// One to be made.
#[derive(Debug, Clone)]
pub struct NewSkillVersion<'a> {
    /// Its id, which sorts after those of the versions before it.
    pub id: SkillVersionId,
    /// Whose version it is.
    pub skill: SkillId,
    /// See [`SkillVersion`], as what follows.
    pub description: &'a str,
    /// How long its archive is.
    pub size_bytes: i64,
    /// Of its archive.
    pub sha256: [u8; 32],
    /// Its archive: all of it has arrived.
    pub content: ContentId,
    /// When it is made; later than the versions before it.
    pub created_at: Timestamp,
}

/// What somebody calls a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkillVersionName {
    /// The newest one.
    Latest,
    /// By its id.
    Id(SkillVersionId),
    /// By when it was made, as clients of before 2026 do.
    Made(Timestamp),
}

impl Skill {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let latest = row.optional_id("latest_id")?;
        Ok(Self {
            id: row.id("id")?,
            name: row.value("name")?,
            display_name: row.value("display_name")?,
            latest: latest.zip(row.optional_time("latest_at")?),
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

impl SkillVersion {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            skill: row.id("skill_id")?,
            name: row.value("name")?,
            description: row.value("description")?,
            size_bytes: row.value("size_bytes")?,
            sha256: row.hash("sha256")?,
            content: row.id("content_id")?,
            created_at: row.time("created_at")?,
        })
    }
}

async fn find<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: String,
    id: &SkillId,
) -> Result<Option<Skill>, StoreError> {
    let row = sqlx::query(select_skill!("AND s.id = $2"))
        .bind(organization)
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(Skill::read).transpose()
}

async fn find_version<'e>(
    executor: impl Executor<'e, Database = Any>,
    organization: String,
    skill: &SkillId,
    name: &SkillVersionName,
) -> Result<Option<SkillVersion>, StoreError> {
    let skill = skill.to_string();
    let query = match name {
        SkillVersionName::Latest => {
            sqlx::query(select_version!("ORDER BY v.created_at DESC LIMIT 1"))
                .bind(organization)
                .bind(skill)
        }
        SkillVersionName::Id(id) => sqlx::query(select_version!("AND v.id = $3"))
            .bind(organization)
            .bind(skill)
            .bind(id.to_string()),
        SkillVersionName::Made(at) => sqlx::query(select_version!("AND v.created_at = $3"))
            .bind(organization)
            .bind(skill)
            .bind(at.as_microsecond()),
    };
    let row = query.fetch_optional(executor).await?;
    row.as_ref().map(SkillVersion::read).transpose()
}

impl Scope<'_> {
    /// One skill.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn skill(&self, id: &SkillId) -> Result<Option<Skill>, StoreError> {
        find(self.pool, self.organization.to_string(), id).await
    }

    /// Skills, the newest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn skills(
        &self,
        page: &PageRequest<SkillId>,
    ) -> Result<Page<Skill, SkillId>, StoreError> {
        let rows = sqlx::query(select_skill!("AND s.id < $2 ORDER BY s.id DESC LIMIT $3"))
            .bind(self.organization.to_string())
            .bind(page.bound())
            .bind(page.rows())
            .fetch_all(self.pool)
            .await?;
        let items = rows.iter().map(Skill::read).collect::<Result<_, _>>()?;
        Ok(Page::of(items, page, |skill: &Skill| skill.id.clone()))
    }

    /// One version of a skill.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn skill_version(
        &self,
        skill: &SkillId,
        name: &SkillVersionName,
    ) -> Result<Option<SkillVersion>, StoreError> {
        find_version(self.pool, self.organization.to_string(), skill, name).await
    }

    /// The versions of a skill, the newest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn skill_versions(
        &self,
        skill: &SkillId,
        page: &PageRequest<SkillVersionId>,
    ) -> Result<Page<SkillVersion, SkillVersionId>, StoreError> {
        let rows = sqlx::query(select_version!("AND v.id < $3 ORDER BY v.id DESC LIMIT $4"))
            .bind(self.organization.to_string())
            .bind(skill.to_string())
            .bind(page.bound())
            .bind(page.rows())
            .fetch_all(self.pool)
            .await?;
        let items = rows
            .iter()
            .map(SkillVersion::read)
            .collect::<Result<_, _>>()?;
        Ok(Page::of(items, page, |version: &SkillVersion| {
            version.id.clone()
        }))
    }
}

impl Change {
    /// One skill, whose versions nobody else changes until this change ends.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn skill_to_change(&mut self, id: &SkillId) -> Result<Option<Skill>, StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query("UPDATE skill SET updated_at = $3 WHERE organization_id = $1 AND id = $2")
            .bind(organization.clone())
            .bind(id.to_string())
            .bind(at)
            .execute(self.connection())
            .await?;
        find(self.connection(), organization, id).await
    }

    /// One version of a skill, as this change sees it.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn skill_version(
        &mut self,
        skill: &SkillId,
        name: &SkillVersionName,
    ) -> Result<Option<SkillVersion>, StoreError> {
        let organization = self.organization().to_string();
        find_version(self.connection(), organization, skill, name).await
    }

    /// Makes a skill, without a version.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if there is one of this name.
    pub async fn insert_skill(&mut self, new: &NewSkill<'_>) -> Result<(), StoreError> {
        let (organization, at) = (self.organization().to_string(), self.micros());
        sqlx::query(
            "INSERT INTO skill (id, organization_id, name, display_name, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)",
        )
        .bind(new.id.to_string())
        .bind(organization)
        .bind(new.name.to_owned())
        .bind(new.display_name.to_owned())
        .bind(at)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Makes a version of a skill, of an archive that has arrived.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if the archive is being swept.
    pub async fn insert_skill_version(
        &mut self,
        new: NewSkillVersion<'_>,
    ) -> Result<(), StoreError> {
        self.keep_content(&new.content).await?;
        let organization = self.organization().to_string();
        sqlx::query(
            "INSERT INTO skill_version (id, organization_id, skill_id, description, size_bytes, sha256, content_id, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(new.id.to_string())
        .bind(organization)
        .bind(new.skill.to_string())
        .bind(new.description.to_owned())
        .bind(new.size_bytes)
        .bind(new.sha256.to_vec())
        .bind(new.content.to_string())
        .bind(new.created_at.as_microsecond())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Deletes a version of a skill; its archive goes with the next sweep.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub async fn delete_skill_version(&mut self, version: &SkillVersion) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        sqlx::query(
            "DELETE FROM skill_version WHERE organization_id = $1 AND skill_id = $2 AND id = $3",
        )
        .bind(organization)
        .bind(version.skill.to_string())
        .bind(version.id.to_string())
        .execute(self.connection())
        .await?;
        self.release_content(&version.content).await
    }

    /// Deletes a skill with its versions.
    ///
    /// # Errors
    ///
    /// [`StoreError::Referred`] if something refers to it.
    pub async fn delete_skill(&mut self, id: &SkillId) -> Result<(), StoreError> {
        let organization = self.organization().to_string();
        while let Some(version) = self.skill_version(id, &SkillVersionName::Latest).await? {
            self.delete_skill_version(&version).await?;
        }
        sqlx::query("DELETE FROM skill WHERE organization_id = $1 AND id = $2")
            .bind(organization)
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
