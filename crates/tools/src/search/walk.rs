//! A bounded walk through a tree of the sandbox.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_model::limits;
use bailiwick_runtime::{Error, FileEntry, FileKind, PathProblem};
use tokio::time::Instant;

use super::rules::Rules;
use crate::Trouble;
use crate::inside::Inside;

/// What is left out of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// Nothing but `.git`.
    Git,
    /// What ripgrep leaves out: hidden names and what files such as `.gitignore` say.
    Ignored,
}

/// A file that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Its path inside.
    pub(super) path: PathBuf,
    pub(super) entry: FileEntry,
}

/// A walk under way. Directories come in the order of their names, and what is in them before what comes after.
pub(super) struct Walk<'a> {
    inside: &'a dyn Inside,
    leave: Leave,
    until: Instant,
    entries: usize,
    /// Directories to go into, the next one last.
    waiting: Vec<Waiting>,
    /// Why the walk is not complete.
    cut: Option<Cut>,
    unreadable: usize,
}

struct Waiting {
    path: PathBuf,
    depth: usize,
    rules: Arc<Rules>,
}

/// Why a walk is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Entries,
    Depth,
    Time,
}

impl<'a> Walk<'a> {
    pub(super) fn new(inside: &'a dyn Inside, root: &Path, leave: Leave) -> Self {
        Self {
            inside,
            leave,
            until: Instant::now() + limits::TOOL_WALK_TIME,
            entries: 0,
            waiting: vec![Waiting {
                path: root.to_owned(),
                depth: 0,
                rules: Arc::new(Rules::default()),
            }],
            cut: None,
            unreadable: 0,
        }
    }

    /// The files of the next directory, by name; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Found>>, Trouble> {
        while let Some(directory) = self.waiting.pop() {
            if Instant::now() > self.until {
                self.cut = Some(Cut::Time);
                return Ok(None);
            }
            let left = limits::TOOL_WALK_ENTRIES - self.entries;
            match self.inside.list(&directory.path, left).await {
                Ok(entries) => return self.sort(directory, entries).await.map(Some),
                Err(error) => self.skip(&directory, error)?,
            }
        }
        Ok(None)
    }

    /// What is wrong with the root is the caller's; what is wrong with a directory below it is only counted.
    fn skip(&mut self, directory: &Waiting, error: Error) -> Result<(), Trouble> {
        let Error::Path { problem, .. } = error else {
            return Err(error.into());
        };
        if problem == PathProblem::TooLarge {
            self.cut = Some(Cut::Entries);
        } else if directory.depth > 0 {
            self.unreadable += 1;
        } else {
            return Err(error.into());
        }
        Ok(())
    }

    async fn sort(
        &mut self,
        directory: Waiting,
        entries: Vec<FileEntry>,
    ) -> Result<Vec<Found>, Trouble> {
        self.entries += entries.len();
        let rules = match self.leave {
            Leave::Git => directory.rules,
            Leave::Ignored => {
                Rules::of(self.inside, &directory.path, &entries, directory.rules).await?
            }
        };
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        for entry in entries {
            let path = directory.path.join(&entry.name);
            let is_directory = entry.kind == FileKind::Directory;
            if self.is_left_out(&path, &entry, &rules) {
                continue;
            }
            if !is_directory {
                files.push(Found { path, entry });
            } else if directory.depth == limits::TOOL_WALK_DEPTH {
                self.cut = Some(Cut::Depth);
            } else {
                directories.push(Waiting {
                    path,
                    depth: directory.depth + 1,
                    rules: Arc::clone(&rules),
                });
            }
        }
        directories.reverse();
        self.waiting.append(&mut directories);
        Ok(files)
    }

    fn is_left_out(&self, path: &Path, entry: &FileEntry, rules: &Rules) -> bool {
        let is_directory = entry.kind == FileKind::Directory;
        match self.leave {
            Leave::Git => is_directory && entry.name == ".git",
            Leave::Ignored => {
                entry.name.as_encoded_bytes().starts_with(b".")
                    || rules.leave_out(path, is_directory)
            }
        }
    }

    /// What the walk did not see, for the end of a result.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(cut) = self.cut {
            let why = match cut {
                Cut::Entries => format!("there are more than {} files", limits::TOOL_WALK_ENTRIES),
                Cut::Depth => format!(
                    "directories more than {} deep were left out",
                    limits::TOOL_WALK_DEPTH
                ),
                Cut::Time => format!("it took {} s", limits::TOOL_WALK_TIME.as_secs()),
            };
            remarks.push(format!("[not complete: {why}; give a narrower path]"));
        }
        if self.unreadable > 0 {
            remarks.push(format!(
                "[{} directories could not be read]",
                self.unreadable
            ));
        }
        remarks
    }
}
