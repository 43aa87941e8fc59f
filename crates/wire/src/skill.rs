//! Skills: a directory with a `SKILL.md`, as loose files or as a zip, made into one archive that is safe to unpack.
//!
//! What is kept is never the archive that came in but one that is written anew: of plain files alone, below one directory that has the skill's
//! name, with paths that stay in it. The format is that of <https://agentskills.io/specification>.

mod archive;
mod front_matter;
mod path;

use std::collections::BTreeMap;

use bailiwick_model::limits::{
    SKILL_BYTES, SKILL_DESCRIPTION_CHARS, SKILL_FILES, SKILL_FRONT_MATTER_BYTES, SKILL_NAME_CHARS,
    SKILL_PATH_BYTES, SKILL_PATH_DEPTH,
};

use crate::json::FieldProblem;

/// What every skill has, in its directory.
const MANIFEST: &str = "SKILL.md";

/// A file as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillFile {
    /// With the directory of the skill in front.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// A skill whose files were looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillBundle {
    name: String,
    description: String,
    archive: Vec<u8>,
}

/// Why files are no skill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SkillProblem {
    /// There are none.
    #[error("there are no files")]
    NoFiles,
    /// There are too many.
    #[error("there are more than {SKILL_FILES} files")]
    TooManyFiles,
    /// They are too large together.
    #[error("the files have more than {SKILL_BYTES} bytes together")]
    TooLarge,
    /// It begins like a zip and is none.
    #[error("the archive cannot be read: {0}")]
    Archive(String),
    /// Something in the archive is neither a file nor a directory.
    #[error("{0:?} in the archive is neither a file nor a directory")]
    Special(String),
    /// Something in the archive is encrypted.
    #[error("{0:?} in the archive is encrypted")]
    Encrypted(String),
    /// It would be unpacked elsewhere, or nowhere.
    #[error("{0:?} is not a path below the directory of the skill")]
    Path(String),
    /// It is too long, or too deep.
    #[error(
        "a path has at most {SKILL_PATH_BYTES} bytes and {SKILL_PATH_DEPTH} directories: {0:?}"
    )]
    LongPath(String),
    /// Two files have one path, or one is a directory of the other.
    #[error("{0:?} is there twice, or is a file and a directory")]
    Twice(String),
    /// They are not in one directory.
    #[error("the files are in several directories: {0:?} and {1:?}")]
    Directories(String, String),
    /// The file that says what it is is missing.
    #[error("there is no {MANIFEST} in the directory {0:?}")]
    NoManifest(String),
    /// It does not begin with front matter.
    #[error("{MANIFEST} does not begin with front matter between two lines of `---`")]
    NoFrontMatter,
    /// The front matter is too long.
    #[error("the front matter of {MANIFEST} has more than {SKILL_FRONT_MATTER_BYTES} bytes")]
    LongFrontMatter,
    /// The front matter is not what it should be.
    #[error("the front matter of {MANIFEST} cannot be read: {0}")]
    FrontMatter(String),
    /// The name cannot be that of a directory everywhere.
    #[error("{0:?} is not the name of a skill")]
    Name(String),
    /// When to use it is missing, or too long.
    #[error("`description` in {MANIFEST} is a text of 1 to {SKILL_DESCRIPTION_CHARS} characters")]
    Description,
}

impl SkillProblem {
    /// A stable word for a program.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoFiles => "missing_field",
            Self::TooManyFiles | Self::TooLarge => "too_much",
            Self::Archive(_) | Self::Encrypted(_) => "invalid_archive",
            Self::Special(_) | Self::Path(_) | Self::LongPath(_) => "invalid_path",
            Self::Twice(_) => "duplicate",
            Self::Directories(..) => "several_directories",
            Self::NoManifest(_) => "no_skill_md",
            Self::NoFrontMatter | Self::LongFrontMatter | Self::FrontMatter(_) => {
                "invalid_skill_md"
            }
            Self::Name(_) => "invalid_name",
            Self::Description => "invalid_description",
        }
    }

    fn help(&self) -> String {
        match self {
            Self::NoFiles => "send a zip, or every file with its path, as `files[]`".to_owned(),
            Self::TooManyFiles | Self::TooLarge => {
                "leave out what the skill does not need".to_owned()
            }
            Self::Archive(_) => "send a zip of stored or deflated files".to_owned(),
            Self::Special(_) => "send links as the files that they point to".to_owned(),
            Self::Encrypted(_) => "send an archive without a password".to_owned(),
            Self::Path(_) | Self::LongPath(_) => {
                "name every file as DIRECTORY/PATH, with `/` between names".to_owned()
            }
            Self::Twice(_) => "send every file once".to_owned(),
            Self::Directories(..) => "put all files in one directory".to_owned(),
            Self::NoManifest(_) => format!("add {MANIFEST} to it, in capitals"),
            Self::NoFrontMatter | Self::LongFrontMatter | Self::FrontMatter(_) => {
                "begin it with `---`, `name: …`, `description: …` and `---`".to_owned()
            }
            Self::Name(_) => {
                format!("use 1 to {SKILL_NAME_CHARS} of a-z, 0-9 and single hyphens between them")
            }
            Self::Description => "say what the skill does and when to use it".to_owned(),
        }
    }
}

impl From<SkillProblem> for FieldProblem {
    fn from(problem: SkillProblem) -> Self {
        Self {
            field: "files".to_owned(),
            code: problem.code(),
            message: problem.to_string(),
            help: problem.help(),
        }
    }
}

/// A skill as it is unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackedSkill {
    /// The directory that it goes to.
    pub name: String,
    /// Its files, by their paths below that, which never lead out of it.
    pub files: Vec<UnpackedFile>,
}

/// A file of a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackedFile {
    /// Below the skill's directory, with `/` between names.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Whether it may be executed.
    pub executable: bool,
}

/// A file below the skill's directory.
struct Entry {
    bytes: Vec<u8>,
    executable: bool,
}

/// Checked files, by their paths below the skill's directory.
struct Files {
    directory: String,
    entries: BTreeMap<String, Entry>,
}

impl SkillBundle {
    /// Looks at what came in: one zip, or loose files. It takes the memory of what came in, of what is in it, and of the new archive.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn of(uploaded: Vec<SkillFile>) -> Result<Self, SkillProblem> {
        let (name, description, files) = checked(uploaded)?;
        Ok(Self {
            archive: archive::write(&name, files.entries)?,
            name,
            description,
        })
    }

    /// What it is called, and the one directory in its archive.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does and when to use it.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// A zip of plain files; the same for the same files.
    pub fn archive(&self) -> &[u8] {
        &self.archive
    }
}

impl UnpackedSkill {
    /// What is in an archive of a skill, whoever sent it: it is held to what an upload is held to.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn of(archive: Vec<u8>) -> Result<Self, SkillProblem> {
        if !archive::is_one(&archive) {
            return Err(SkillProblem::Archive("it is no zip".to_owned()));
        }
        let only = SkillFile {
            path: String::new(),
            bytes: archive,
        };
        let (name, _, files) = checked(vec![only])?;
        let unpacked = |(path, Entry { bytes, executable })| UnpackedFile {
            path,
            bytes,
            executable,
        };
        Ok(Self {
            name,
            files: files.entries.into_iter().map(unpacked).collect(),
        })
    }
}

/// Name, description and files of what came in.
fn checked(mut uploaded: Vec<SkillFile>) -> Result<(String, String, Files), SkillProblem> {
    let files = match uploaded.as_slice() {
        [] => return Err(SkillProblem::NoFiles),
        [only] if archive::is_one(&only.bytes) => archive::read(&only.bytes)?,
        _ => loose(std::mem::take(&mut uploaded))?,
    };
    drop(uploaded);
    let Some(manifest) = files.entries.get(MANIFEST) else {
        return Err(SkillProblem::NoManifest(files.directory));
    };
    let (name, description) = front_matter::read(&manifest.bytes)?;
    // The format's rule: without a name it has that of its directory.
    let name = name.unwrap_or_else(|| files.directory.clone());
    if !is_name(&name) {
        return Err(SkillProblem::Name(name));
    }
    Ok((name, description, files))
}

fn loose(uploaded: Vec<SkillFile>) -> Result<Files, SkillProblem> {
    let mut collected = path::Collector::default();
    let mut bytes = 0;
    for SkillFile { path, bytes: file } in uploaded {
        bytes += file.len() as u64;
        if bytes > SKILL_BYTES {
            return Err(SkillProblem::TooLarge);
        }
        // Nothing else says so of a loose file.
        let executable = file.starts_with(b"#!");
        let entry = Entry {
            bytes: file,
            executable,
        };
        collected.add(&path, entry)?;
    }
    collected.finish()
}

/// `a-z`, `0-9`, and single hyphens between them: a directory's name on every system.
fn is_name(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9'))
    };
    name.len() <= SKILL_NAME_CHARS && name.split('-').all(is_word)
}

#[cfg(test)]
mod tests;
