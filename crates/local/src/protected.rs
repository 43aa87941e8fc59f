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

/// Everything that [`for_work_directory`] may name, of any directory.
pub(crate) fn every_possible() -> Vec<Protected> {
    let stand_in = |path: &str, kind| Protected {
        path: path.into(),
        kind,
        content: String::new(),
    };
    [
        stand_in(".git", Kind::Directory),
        stand_in("HEAD", Kind::File),
    ]
    .into_iter()
    .chain(list())
    .collect()
}

/// The list for one work directory. Without a repository there must not come to be one: `.git` itself is on it then.
pub(crate) fn for_work_directory(work_directory: &Path) -> Vec<Protected> {
    let git = work_directory.join(".git");
    if fs::symlink_metadata(&git).is_ok_and(|metadata| metadata.is_dir()) {
        return list();
    }
    let outside_git = list()
        .into_iter()
        .filter(|item| !item.path.starts_with(".git"));
    // A `.git` that is a file names the repository of a worktree or submodule, which lies elsewhere.
    let kind = if git.is_file() {
        Kind::File
    } else {
        Kind::Directory
    };
    let stand_in = |path: &str, kind| Protected {
        path: path.into(),
        kind,
        content: String::new(),
    };
    // With a HEAD, `objects` and `refs` the directory itself would be a (bare) repository, `config` and all.
    let head = (!git.is_file()).then(|| stand_in("HEAD", Kind::File));
    std::iter::once(stand_in(".git", kind))
        .chain(head)
        .chain(outside_git)
        .collect()
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
