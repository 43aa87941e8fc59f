//! Files of a sandbox. Its init opens and writes them, with the rights of the sandbox; what it hands out is looked at again here.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

use bailiwick_model::SandboxId;
use bailiwick_runtime::{CaptureLimits, CapturedFile, Error, FileEntry, FileKind, PathProblem};
use bailiwick_sandbox::FileAction;
use futures_util::future::join_all;
use rustix::fs::{Dir, FileType, MemfdFlags, Stat};

use super::error;
use crate::keeper::{FileError, Handle};

mod capture;

/// What is read before other tasks have their turn.
const PIECE_BYTES: u64 = 1 << 20;
/// Entries of a directory that are asked for at a time: one after the other, most of the time would go into waiting.
const LOOKS_AT_ONCE: usize = 32;
/// The largest file that is written: the init does nothing else meanwhile.
const WRITE_BYTES: usize = 256 << 20;

/// The files of a sandbox.
pub(super) struct Inside<'a>(pub(super) &'a Handle, pub(super) &'a SandboxId);

impl Inside<'_> {
    pub(super) async fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
        let file = self.open(path).await?;
        contents(path, file, limit).await
    }

    pub(super) async fn write(&self, path: &Path, contents: &[u8], mode: u32) -> Result<(), Error> {
        check(path)?;
        if contents.len() > WRITE_BYTES {
            return Err(error::path(path, PathProblem::TooLarge));
        }
        let source = in_memory(contents).map_err(error::backend)?;
        let action = FileAction::Write { mode };
        self.act(path, path.as_os_str().as_bytes(), action, Some(source))
            .await?;
        Ok(())
    }

    /// A regular file or directory that a path leads to, over links too.
    pub(super) async fn look_at(&self, path: &Path) -> Result<FileEntry, Error> {
        let opened = self.open(path).await?;
        let stat = rustix::fs::fstat(opened).map_err(|e| error::backend(io::Error::from(e)))?;
        let name = path.file_name().map(|name| name.as_bytes().to_owned());
        Ok(entry(name.unwrap_or_default(), &stat))
    }

    pub(super) async fn list(&self, path: &Path, limit: usize) -> Result<Vec<FileEntry>, Error> {
        let directory = Arc::new(self.open(path).await?);
        let mut entries = Vec::new();
        for some in names(path, &directory, limit)?.chunks(LOOKS_AT_ONCE) {
            let looks = some.iter().map(|name| {
                let directory = Some(Arc::clone(&directory));
                self.opened(path, name, FileAction::LookAtEntry, directory)
            });
            for (name, looked) in some.iter().zip(join_all(looks).await) {
                let stat = match looked {
                    Ok(entry) => {
                        rustix::fs::fstat(entry).map_err(|e| error::backend(io::Error::from(e)))?
                    }
                    // It went away since the directory was read.
                    Err(Error::Path {
                        problem: PathProblem::NotFound,
                        ..
                    }) => continue,
                    Err(error) => return Err(error),
                };
                entries.push(entry(name.clone(), &stat));
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    pub(super) async fn capture(
        &self,
        roots: &[&Path],
        limits: CaptureLimits,
    ) -> Result<Vec<CapturedFile>, Error> {
        capture::capture(self, roots, limits).await
    }

    /// Opens a regular file or a directory.
    async fn open(&self, path: &Path) -> Result<OwnedFd, Error> {
        check(path)?;
        self.opened(path, path.as_os_str().as_bytes(), FileAction::Open, None)
            .await
    }

    /// `path` is for the error, `name` is what the init gets.
    async fn opened(
        &self,
        path: &Path,
        name: &[u8],
        action: FileAction,
        directory: Option<Arc<OwnedFd>>,
    ) -> Result<OwnedFd, Error> {
        let opened = self.act(path, name, action, directory).await?;
        opened.ok_or_else(|| error::backend(io::Error::from(io::ErrorKind::InvalidData)))
    }

    async fn act(
        &self,
        path: &Path,
        name: &[u8],
        action: FileAction,
        descriptor: Option<Arc<OwnedFd>>,
    ) -> Result<Option<OwnedFd>, Error> {
        let answer = self.0.file(name.to_owned(), action, descriptor).await;
        answer.map_err(|error| match error {
            FileError::Refused(errno) => error::errno(path, errno),
            FileError::Gone => Error::Gone(self.1.clone()),
        })
    }
}

fn check(path: &Path) -> Result<(), Error> {
    if path.is_absolute() && !path.as_os_str().as_bytes().contains(&0) {
        Ok(())
    } else {
        Err(error::path(path, PathProblem::NotAbsolute))
    }
}

fn in_memory(contents: &[u8]) -> io::Result<Arc<OwnedFd>> {
    let mut file = File::from(rustix::fs::memfd_create(
        "bailiwick-file",
        MemfdFlags::CLOEXEC,
    )?);
    file.write_all(contents)?;
    Ok(Arc::new(file.into()))
}

fn kind_of(stat: &Stat) -> FileKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Link,
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => FileKind::Other,
    }
}

fn entry(name: Vec<u8>, stat: &Stat) -> FileEntry {
    let kind = kind_of(stat);
    FileEntry {
        name: std::ffi::OsString::from_vec(name),
        kind,
        bytes: if kind == FileKind::File {
            u64::try_from(stat.st_size).unwrap_or_default()
        } else {
            0
        },
        mode: stat.st_mode & 0o777,
        modified_ns: stat
            .st_mtime
            .saturating_mul(1_000_000_000)
            .saturating_add(i64::try_from(stat.st_mtime_nsec).unwrap_or_default()),
    }
}

/// Whatever the init sent: only a regular file is read, and never more than the limit.
async fn contents(path: &Path, file: OwnedFd, limit: u64) -> Result<Vec<u8>, Error> {
    let failed = |error: io::Error| match error.raw_os_error() {
        Some(errno) => error::errno(path, errno),
        None => error::backend(error),
    };
    let stat = rustix::fs::fstat(&file).map_err(|e| failed(e.into()))?;
    if kind_of(&stat) != FileKind::File {
        return Err(error::path(path, PathProblem::NotAFile));
    }
    if u64::try_from(stat.st_size).unwrap_or_default() > limit {
        return Err(error::path(path, PathProblem::TooLarge));
    }
    let mut file = File::from(file);
    let mut bytes = Vec::new();
    loop {
        let room = limit.saturating_add(1).saturating_sub(bytes.len() as u64);
        let mut piece = (&mut file).take(room.min(PIECE_BYTES));
        if piece.read_to_end(&mut bytes).map_err(failed)? == 0 {
            return Ok(bytes);
        }
        if bytes.len() as u64 > limit {
            return Err(error::path(path, PathProblem::TooLarge));
        }
        tokio::task::yield_now().await;
    }
}

/// The names in a directory, in any order; at most `limit`.
fn names(path: &Path, directory: &OwnedFd, limit: usize) -> Result<Vec<Vec<u8>>, Error> {
    let failed = |errno: rustix::io::Errno| error::errno(path, errno.raw_os_error());
    let stat = rustix::fs::fstat(directory).map_err(failed)?;
    if kind_of(&stat) != FileKind::Directory {
        return Err(error::path(path, PathProblem::NotADirectory));
    }
    // Of the same open file description: who runs this may have no right to open it.
    let directory = rustix::io::fcntl_dupfd_cloexec(directory, 3).map_err(failed)?;
    let mut names = Vec::new();
    for entry in Dir::new(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_bytes().to_owned();
        if name == b"." || name == b".." {
            continue;
        }
        if names.len() == limit {
            return Err(error::path(path, PathProblem::TooLarge));
        }
        names.push(name);
    }
    Ok(names)
}
