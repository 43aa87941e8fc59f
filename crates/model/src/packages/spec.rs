//! One package, as it is handed to its manager.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{PackageSpecProblem, apt, cargo, gem, go, npm, pip};
use crate::PackageManager;
use crate::limits::PACKAGE_BYTES;

/// A package in its manager's own syntax: a name and, where one is asked for, a version.
///
/// It can stand in a manager's arguments as it is. It begins with a letter or digit (of npm also `@`) and has at most
/// [`PACKAGE_BYTES`] bytes, all of them letters and digits of ASCII, `.`, `_`, `-`, `+`, `@`, `/`, `:`, `,`, or an
/// operator of versions: `<`, `>`, `=`, `!`, `~`, `^`, `*`, `[`, `]`. A shell treats some of the operators as its own,
/// so a spec does not belong in the text of a script.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageSpec {
    manager: PackageManager,
    text: Box<str>,
    name_bytes: usize,
    version_bytes: usize,
}

/// What a manager's grammar finds in a spec: its name in front, its version at the end.
pub(super) struct Parts<'a> {
    pub(super) name: &'a str,
    pub(super) version: Option<&'a str>,
}

impl PackageSpec {
    /// Takes a text that is a spec of `manager`.
    ///
    /// # Errors
    ///
    /// Names what is wrong: first what no manager takes, then the first part that breaks the manager's grammar.
    pub fn parse(manager: PackageManager, text: &str) -> Result<Self, PackageSpecProblem> {
        refuse_what_none_takes(manager, text)?;
        let parts = match manager {
            PackageManager::Apt => apt::parts(text),
            PackageManager::Cargo => cargo::parts(text),
            PackageManager::Gem => gem::parts(text),
            PackageManager::Go => go::parts(text),
            PackageManager::Npm => npm::parts(text),
            PackageManager::Pip => pip::parts(text),
        }?;
        Ok(Self {
            manager,
            text: text.into(),
            name_bytes: parts.name.len(),
            version_bytes: parts.version.map_or(0, str::len),
        })
    }

    /// Whose package it is.
    pub fn manager(&self) -> PackageManager {
        self.manager
    }

    /// The spec as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name, as written: with the scope of npm and the whole path of Go; without architecture, suite and extras.
    pub fn name(&self) -> &str {
        &self.text[..self.name_bytes]
    }

    /// The version, range, tag or requirement, as written; of pip and where else there is one, with its operator:
    /// `8.3.4` in `tsx@8.3.4`, `==8.3.4` in `pytest==8.3.4`, `~>7.1` in `rails:~>7.1`.
    pub fn version(&self) -> Option<&str> {
        (self.version_bytes > 0).then(|| &self.text[self.text.len() - self.version_bytes..])
    }
}

impl fmt::Display for PackageSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The text alone: the manager stands where the spec does.
impl Serialize for PackageSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// What has no place in any manager's spec. Each grammar would refuse it too, with words that say less.
fn refuse_what_none_takes(manager: PackageManager, text: &str) -> Result<(), PackageSpecProblem> {
    if text.is_empty() {
        return Err(PackageSpecProblem::Empty);
    }
    if text.len() > PACKAGE_BYTES {
        return Err(PackageSpecProblem::TooLong(text.len()));
    }
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        return Err(PackageSpecProblem::Control(c));
    }
    if let Some(c) = text.chars().find(|c| !c.is_ascii()) {
        return Err(PackageSpecProblem::NotAscii(c));
    }
    if text.starts_with('-') {
        return Err(PackageSpecProblem::Option(manager));
    }
    if text.contains("://") {
        return Err(PackageSpecProblem::Url(manager));
    }
    if manager == PackageManager::Pip && text.contains(';') {
        return Err(PackageSpecProblem::Marker);
    }
    if text.contains(' ') {
        return Err(PackageSpecProblem::WhiteSpace);
    }
    if let Some(c) = text.chars().find(|c| is_for_shells(*c)) {
        return Err(PackageSpecProblem::ShellCharacter(c));
    }
    if text.starts_with(['/', '.', '~']) {
        return Err(PackageSpecProblem::Path);
    }
    if text.contains("..") {
        return Err(PackageSpecProblem::TwoDots);
    }
    Ok(())
}

/// Those of a shell's characters that no manager has for an operator (POSIX, Shell Command Language, 2.2 Quoting).
fn is_for_shells(c: char) -> bool {
    matches!(
        c,
        ';' | '&' | '|' | '$' | '`' | '\\' | '(' | ')' | '{' | '}' | '\'' | '"' | '#' | '?' | '%'
    )
}
