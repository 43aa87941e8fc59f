//! Files below a directory that somebody else fills, found without ever leaving it.
//!
//! Every name is resolved by the kernel from the opened root, beneath it and through no symbolic link (openat2(2), `RESOLVE_BENEATH` and
//! `RESOLVE_NO_SYMLINKS`), so it does not matter what is put into the directory between two looks. Where the kernel does not offer that, nothing is
//! read. No link is followed, also not one that stays inside: it could lead to what the patterns leave out, such as a repository's settings.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use bailiwick_model::limits::{
    KNOWLEDGE_DIRECTORY_DEPTH, KNOWLEDGE_DOCUMENT_BYTES, KNOWLEDGE_FILES,
};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use tokio::sync::mpsc;

use super::Globs;
use crate::{DocumentError, SyncError};

/// How often a look is repeated when something was renamed during it.
const RACES: u32 = 8;

/// A directory.
#[derive(Debug)]
pub(crate) struct Rooted(OwnedFd);

/// The directory is not there, or cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the directory {path} cannot be opened: {error}")]
pub struct MissingRoot {
    /// Which.
    pub path: String,
    /// Why.
    #[source]
    pub error: io::Error,
}

/// What a listing says of a name.
pub(crate) enum Entry {
    /// A regular file.
    File(FileFacts),
    /// A symbolic link.
    Link,
}

/// What the file system says of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileFacts {
    pub(crate) is_file: bool,
    pub(crate) bytes: u64,
    pub(crate) inode: u64,
    /// Seconds since 1970, and nanoseconds.
    pub(crate) modified: (i64, u64),
    pub(crate) changed: (i64, u64),
}

/// A file, opened for reading.
#[derive(Debug)]
pub(crate) struct Opened {
    file: File,
    pub(crate) facts: FileFacts,
}

impl Rooted {
    pub(crate) fn open(path: &Path) -> Result<Self, MissingRoot> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(CWD, path, flags, Mode::empty());
        opened.map(Self).map_err(|errno| MissingRoot {
            path: path.display().to_string(),
            error: errno.into(),
        })
    }

    /// Every file that is taken, in the order of their names. Directories that are links are not entered.
    pub(crate) fn walk(
        &self,
        globs: &Globs,
        into: &mpsc::Sender<(String, Entry)>,
    ) -> Result<(), SyncError> {
        let mut directories = vec![(String::new(), 0)];
        let mut looked_at = 0_usize;
        while let Some((directory, depth)) = directories.pop() {
            let failed = |errno: Errno| SyncError::Directory {
                path: directory.clone(),
                error: errno.into(),
            };
            let names = match self.names(&directory) {
                Ok(names) => names,
                // It went while others were read.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if depth > 0 => continue,
                Err(errno) => return Err(failed(errno)),
            };
            looked_at += names.len();
            if looked_at > KNOWLEDGE_FILES {
                return Err(SyncError::TooManyFiles);
            }
            let mut below = Vec::new();
            for (name, stat) in names {
                let path = if directory.is_empty() {
                    name
                } else {
                    format!("{directory}/{name}")
                };
                let entry = match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory if depth + 1 > KNOWLEDGE_DIRECTORY_DEPTH => {
                        return Err(failed(Errno::NAMETOOLONG));
                    }
                    FileType::Directory => {
                        below.push((path, depth + 1));
                        continue;
                    }
                    FileType::RegularFile => Entry::File(FileFacts::of(&stat)),
                    FileType::Symlink => Entry::Link,
                    // Devices, sockets and fifos hold no document.
                    FileType::Fifo
                    | FileType::Socket
                    | FileType::CharacterDevice
                    | FileType::BlockDevice
                    | FileType::Unknown => continue,
                };
                if globs.take(&path) && into.blocking_send((path, entry)).is_err() {
                    return Err(SyncError::Cancelled);
                }
            }
            directories.extend(below.into_iter().rev());
        }
        Ok(())
    }

    /// The names in a directory, sorted, with what the file system says of each. A name that is no UTF-8 is no key, and is left out.
    fn names(&self, directory: &str) -> Result<Vec<(String, Stat)>, Errno> {
        let path = if directory.is_empty() { "." } else { directory };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = self.beneath(path, flags)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&opened)? {
            let entry = entry?;
            let name = entry.file_name();
            let Ok(text) = name.to_str() else { continue };
            if matches!(text, "." | ".." | ".git") {
                continue;
            }
            match rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => names.push((text.to_owned(), stat)),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
            if names.len() > KNOWLEDGE_FILES {
                break;
            }
        }
        names.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(names)
    }

    /// Opens a file; nothing if there is none, or a link in its place.
    pub(crate) fn open_file(&self, path: &str) -> Result<Option<Opened>, DocumentError> {
        // A fifo would be waited for.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match self.beneath(path, flags) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO) => {
                return Ok(None);
            }
            Err(errno) => return Err(DocumentError::Io(errno.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(io::Error::from)?;
        Ok(Some(Opened {
            file,
            facts: FileFacts::of(&stat),
        }))
    }

    fn beneath(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let mut races = 0;
        loop {
            match rustix::fs::openat2(&self.0, path, flags, Mode::empty(), resolve) {
                // Something was renamed meanwhile, and the kernel could not tell whether that led outside.
                Err(Errno::AGAIN) if races < RACES => races += 1,
                opened => return opened,
            }
        }
    }
}

impl FileFacts {
    fn of(stat: &Stat) -> Self {
        Self {
            is_file: FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
            bytes: u64::try_from(stat.st_size).unwrap_or(u64::MAX),
            inode: stat.st_ino,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

impl Opened {
    /// All of it, if that is not too much.
    pub(crate) fn read(self) -> Result<Vec<u8>, DocumentError> {
        let too_large = DocumentError::TooLarge(KNOWLEDGE_DOCUMENT_BYTES);
        let most = u64::try_from(KNOWLEDGE_DOCUMENT_BYTES).unwrap_or(u64::MAX);
        if self.facts.bytes > most {
            return Err(too_large);
        }
        let mut bytes = Vec::new();
        // It may grow while it is read.
        self.file.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() > KNOWLEDGE_DOCUMENT_BYTES {
            return Err(too_large);
        }
        Ok(bytes)
    }
}
