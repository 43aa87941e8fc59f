//! What of a work directory the host runs or trusts: the list of `data/protected.txt`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What stands in the place of something that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A file.
    File,
    /// An empty directory.
    Directory,
    /// Nothing: it is protected only where it exists.
    Nothing,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Protected {
    /// Relative to the work directory.
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    /// What a file that stands in its place holds.
    pub(crate) content: String,
}

/// The list.
pub(crate) fn list() -> Vec<Protected> {
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let (kind, path, content) = (
            words.next()?,
            words.next()?,
            words.next().unwrap_or_default(),
        );
        let kind = match kind {
            "file" => Kind::File,
            "dir" => Kind::Directory,
            "kept" => Kind::Nothing,
            _ => return None,
        };
        Some(Protected {
            path: path.into(),
            kind,
            content: content.to_owned(),
        })
    };
    include_str!("../data/protected.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(entry)
        .collect()
}

/// The directories of version control that entries of the list lie in.
const REPOSITORIES: [&str; 3] = [".git", ".hg", ".jj"];

fn stand_in(path: &str, kind: Kind) -> Protected {
    Protected {
        path: path.into(),
        kind,
        content: String::new(),
    }
}

/// An empty directory is another sandbox's placeholder, or as good as one.
fn is_repository(path: &Path) -> bool {
    let is_directory = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    is_directory && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

/// Everything that [`for_work_directory`] may name, of any directory.
pub(crate) fn every_possible() -> Vec<Protected> {
    let repositories = REPOSITORIES
        .iter()
        .map(|name| stand_in(name, Kind::Directory));
    repositories.chain(list()).collect()
}

/// The list for one work directory. Without a repository there must not come to be one: `.git` itself is on it then.
pub(crate) fn for_work_directory(work_directory: &Path) -> Vec<Protected> {
    let mut items = list();
    for name in REPOSITORIES {
        let repository = work_directory.join(name);
        if is_repository(&repository) {
            continue;
        }
        items.retain(|item| !item.path.starts_with(name));
        // A `.git` that is a file names the repository of a worktree or submodule, which lies elsewhere.
        let kind = if repository.is_file() {
            Kind::File
        } else {
            Kind::Directory
        };
        items.push(stand_in(name, kind));
    }
    items.retain(|item| {
        let path = work_directory.join(&item.path);
        path.parent().is_some_and(Path::is_dir) && (item.kind != Kind::Nothing || path.exists())
    });
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_list_is_understood() {
        let lines = include_str!("../data/protected.txt")
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(list().len(), lines.count());
        assert!(
            list()
                .iter()
                .any(|item| item.path == Path::new(".git/hooks") && item.kind == Kind::Directory)
        );
    }
}
