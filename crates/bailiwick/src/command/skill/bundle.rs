//! What a skill is made of, as it is sent.

use std::fs;
use std::path::{Path, PathBuf};

use bailiwick_model::limits::{SKILL_BYTES, SKILL_FILES, SKILL_PATH_DEPTH};

use crate::bad_input::BadInput;
use crate::client::FormFile;

/// Reads a directory, whose own name begins each path, or one file. Links are not followed: a skill has what is in its directory.
///
/// # Errors
///
/// [`BadInput`]: it cannot be read, or is more than a skill can be.
pub(super) fn read(path: &Path) -> Result<Vec<FormFile>, BadInput> {
    let path = fs::canonicalize(path).map_err(|source| unreadable(path, source))?;
    let mut reading = Reading {
        files: Vec::new(),
        room: SKILL_BYTES,
    };
    let name = path.file_name().map(PathBuf::from).unwrap_or_default();
    if path.is_dir() {
        reading.directory(&path, &name, 0)?;
    } else {
        reading.file(&path, &name)?;
    }
    Ok(reading.files)
}

struct Reading {
    files: Vec<FormFile>,
    /// Bytes that may still come.
    room: u64,
}

impl Reading {
    fn directory(&mut self, path: &Path, name: &Path, depth: usize) -> Result<(), BadInput> {
        if depth > SKILL_PATH_DEPTH {
            return Err(BadInput::TooDeep {
                path: path.to_owned(),
                limit: SKILL_PATH_DEPTH,
            });
        }
        let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = entries.map_err(|source| unreadable(path, source))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), name.join(entry.file_name()));
            let kind = entry
                .file_type()
                .map_err(|source| unreadable(&path, source))?;
            if kind.is_dir() {
                self.directory(&path, &name, depth + 1)?;
            } else if kind.is_file() {
                self.file(&path, &name)?;
            } else {
                return Err(BadInput::NotAFile(path));
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &Path) -> Result<(), BadInput> {
        use std::io::Read as _;
        if self.files.len() == SKILL_FILES {
            return Err(BadInput::TooManyFiles {
                path: path.to_owned(),
                limit: SKILL_FILES,
            });
        }
        let mut bytes = Vec::new();
        // One byte more than allowed, so that too much is seen.
        let read =
            fs::File::open(path).and_then(|file| file.take(self.room + 1).read_to_end(&mut bytes));
        let read = read.map_err(|source| unreadable(path, source))? as u64;
        let too_large = || BadInput::TooMuch {
            path: path.to_owned(),
            limit: SKILL_BYTES,
        };
        self.room = self.room.checked_sub(read).ok_or_else(too_large)?;
        let name = name.to_str();
        let name = name.ok_or_else(|| BadInput::NotText(path.to_owned()))?;
        self.files.push(FormFile {
            path: name.to_owned(),
            bytes,
        });
        Ok(())
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> BadInput {
    BadInput::Unreadable {
        path: path.to_owned(),
        source,
    }
}
