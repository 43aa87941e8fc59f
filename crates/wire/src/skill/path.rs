//! Paths of files in a skill, and files put in order by them.

use std::collections::BTreeMap;

use bailiwick_model::limits::{SKILL_FILES, SKILL_PATH_BYTES, SKILL_PATH_DEPTH};

use super::{Entry, Files, SkillProblem};

/// Files on their way into a skill.
#[derive(Default)]
pub(super) struct Collector {
    directory: Option<String>,
    entries: BTreeMap<String, Entry>,
}

impl Collector {
    /// Takes a file by its path, the skill's directory first.
    pub(super) fn add(&mut self, path: &str, entry: Entry) -> Result<(), SkillProblem> {
        let (directory, below) = checked(path)?;
        match &self.directory {
            None => self.directory = Some(directory.to_owned()),
            Some(known) if known == directory => {}
            Some(known) => {
                return Err(SkillProblem::Directories(
                    known.clone(),
                    directory.to_owned(),
                ));
            }
        }
        if self.entries.len() == SKILL_FILES {
            return Err(SkillProblem::TooManyFiles);
        }
        if self.entries.insert(below.to_owned(), entry).is_some() {
            return Err(SkillProblem::Twice(path.to_owned()));
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Files, SkillProblem> {
        // A file's path with a slash is never the beginning of another file's.
        for path in self.entries.keys() {
            let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
            if let Some(file) = parents
                .into_iter()
                .find(|parent| self.entries.contains_key(*parent))
            {
                return Err(SkillProblem::Twice(file.to_owned()));
            }
        }
        Ok(Files {
            directory: self.directory.ok_or(SkillProblem::NoFiles)?,
            entries: self.entries,
        })
    }
}

/// The directory of the skill, and what is below it. Nothing is normalised: what would have to be is refused, so that no two programs can take it
/// for different files.
fn checked(path: &str) -> Result<(&str, &str), SkillProblem> {
    let refused = || SkillProblem::Path(path.chars().take(SKILL_PATH_BYTES).collect());
    if path.len() > SKILL_PATH_BYTES || path.split('/').count() > SKILL_PATH_DEPTH + 1 {
        return Err(SkillProblem::LongPath(
            path.chars().take(SKILL_PATH_BYTES).collect(),
        ));
    }
    let is_name = |name: &str| {
        let is_odd = |c: char| c.is_control() || matches!(c, '\\' | ':');
        !matches!(name, "" | "." | "..") && !name.chars().any(is_odd)
    };
    if !path.split('/').all(is_name) {
        return Err(refused());
    }
    path.split_once('/').ok_or_else(refused)
}
