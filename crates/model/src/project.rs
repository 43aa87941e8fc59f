//! The project of an environment: a repository at the head of a ref, and the commands that install what it needs.
//!
//! Every text here becomes an argument of git, which reads options, helpers (`ext::`, gitremote-helpers(7)) and paths
//! where one may be meant to be a URL. So a repository has one of four plain forms, and nothing in it begins with `-`.

mod problem;
mod repository;

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::limits;

pub use problem::{
    GitRefProblem, ProjectNameProblem, ProjectProblem, RepositoryProblem, SetupProblem,
};
pub use repository::{Repository, Transport};

/// A project: what is checked out, where, and what then runs there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Project {
    /// Where it comes from.
    pub repository: Repository,
    /// Whose head; without one, the head of the repository's default branch.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<GitRef>,
    /// The directory in `/workspace`.
    pub name: ProjectName,
    /// What installs its dependencies: shell commands, in their order, in the project's directory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<SetupCommand>,
}

/// A branch, a tag, a full ref (`refs/…`) or a commit (40 or 64 hexadecimal digits), by the rules of
/// git-check-ref-format(1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GitRef(Box<str>);

/// The name of a project's directory: letters and digits of ASCII, `.`, `_` and `-`, the first a letter, a digit or `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProjectName(Box<str>);

/// One command of a project's set-up, for `sh -c`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SetupCommand(Box<str>);

impl Project {
    /// A project without set-up, whose directory is named as the repository is.
    ///
    /// # Errors
    ///
    /// The repository's name is none of a directory here.
    pub fn new(
        repository: Repository,
        git_ref: Option<GitRef>,
    ) -> Result<Self, ProjectNameProblem> {
        Ok(Self {
            name: ProjectName::of(&repository)?,
            repository,
            git_ref,
            setup: Vec::new(),
        })
    }
}

/// `URL` or `URL#REF`.
impl FromStr for Project {
    type Err = ProjectProblem;

    fn from_str(text: &str) -> Result<Self, ProjectProblem> {
        let (repository, git_ref) = match text.split_once('#') {
            Some((repository, git_ref)) => (repository, Some(git_ref.parse()?)),
            None => (text, None),
        };
        Ok(Self::new(repository.parse()?, git_ref)?)
    }
}

impl GitRef {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a commit by its hash, which never moves.
    pub fn is_commit(&self) -> bool {
        matches!(self.0.len(), 40 | 64) && self.0.bytes().all(|b| b.is_ascii_hexdigit())
    }
}

impl FromStr for GitRef {
    type Err = GitRefProblem;

    /// git-check-ref-format(1), rule for rule; besides, no `-` in front, and no character that a terminal would not show.
    fn from_str(text: &str) -> Result<Self, GitRefProblem> {
        if text.is_empty() {
            return Err(GitRefProblem::Empty);
        }
        if text.len() > limits::PROJECT_REF_BYTES {
            return Err(GitRefProblem::TooLong(text.len()));
        }
        if text.starts_with('-') {
            return Err(GitRefProblem::Option);
        }
        let forbidden = |c: char| {
            matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\')
                || !(c.is_ascii_graphic() || c.is_alphanumeric())
        };
        if let Some(c) = text.chars().find(|c| forbidden(*c)) {
            return Err(GitRefProblem::Character(c));
        }
        for part in ["..", "@{", "//"] {
            if text.contains(part) {
                return Err(GitRefProblem::Part(part));
            }
        }
        let bad_component = |component: &str| {
            component.is_empty()
                || component.starts_with('.')
                || component.ends_with('.')
                || component.to_ascii_lowercase().ends_with(".lock")
        };
        if text == "@" || text.split('/').any(bad_component) {
            return Err(GitRefProblem::Component);
        }
        Ok(Self(text.into()))
    }
}

impl ProjectName {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component of the repository's path, without `.git`.
    ///
    /// # Errors
    ///
    /// That is no name of a directory here; one has to be given.
    pub fn of(repository: &Repository) -> Result<Self, ProjectNameProblem> {
        let mut components = repository
            .path()
            .rsplit('/')
            .filter(|part| !part.is_empty());
        let last = components.find(|part| *part != ".git").unwrap_or_default();
        let name = last.strip_suffix(".git").unwrap_or(last);
        name.parse()
            .map_err(|_| ProjectNameProblem::NotFromRepository(name.to_owned()))
    }
}

impl FromStr for ProjectName {
    type Err = ProjectNameProblem;

    fn from_str(text: &str) -> Result<Self, ProjectNameProblem> {
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if begins && text.chars().all(rest) && text.len() <= limits::PROJECT_NAME_BYTES {
            Ok(Self(text.into()))
        } else {
            Err(ProjectNameProblem::Form(text.to_owned()))
        }
    }
}

impl SetupCommand {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SetupCommand {
    type Err = SetupProblem;

    fn from_str(text: &str) -> Result<Self, SetupProblem> {
        if text.trim().is_empty() {
            return Err(SetupProblem::Empty);
        }
        if text.len() > limits::PROJECT_SETUP_COMMAND_BYTES {
            return Err(SetupProblem::TooLong(text.len()));
        }
        match text
            .chars()
            .find(|c| c.is_control() && !matches!(c, '\n' | '\t'))
        {
            Some(c) => Err(SetupProblem::Control(c)),
            None => Ok(Self(text.into())),
        }
    }
}

macro_rules! as_text {
    ($($kind:ty),*) => {
        $(
            impl fmt::Display for $kind {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(self.as_str())
                }
            }

            impl Serialize for $kind {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.as_str())
                }
            }
        )*
    };
}

as_text!(GitRef, ProjectName, SetupCommand, Repository);
