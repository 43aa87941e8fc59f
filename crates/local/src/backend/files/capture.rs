//! Bringing files out: a walk that follows no link and keeps to its limits.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_runtime::{CaptureLimits, CapturedFile, Error, FileKind, PathProblem};
use bailiwick_sandbox::FileAction;

use super::{Inside, check, contents, error, kind_of, names};

/// Directories inside one another; each is held open while what is below it is walked.
const DEPTH: usize = 128;
/// Everything that is looked at, of which only regular files count for the caller's limits.
const ENTRIES: usize = 200_000;

/// A directory on the way, and what of it is still to come.
struct Level {
    directory: Arc<OwnedFd>,
    path: PathBuf,
    names: Vec<Vec<u8>>,
}

/// The walk.
struct Walk<'a> {
    inside: &'a Inside<'a>,
    limits: CaptureLimits,
    bytes: u64,
    looked_at: usize,
    levels: Vec<Level>,
    captured: Vec<CapturedFile>,
}

pub(super) async fn capture(
    inside: &Inside<'_>,
    roots: &[&Path],
    limits: CaptureLimits,
) -> Result<Vec<CapturedFile>, Error> {
    let captured = tokio::time::timeout(limits.time, captured(inside, roots, limits)).await;
    captured.unwrap_or_else(|_| {
        let first = roots.first().copied().unwrap_or(Path::new("/"));
        Err(error::path(first, PathProblem::TooSlow))
    })
}

async fn captured(
    inside: &Inside<'_>,
    roots: &[&Path],
    limits: CaptureLimits,
) -> Result<Vec<CapturedFile>, Error> {
    let mut walk = Walk {
        inside,
        limits,
        bytes: 0,
        looked_at: 0,
        levels: Vec::new(),
        captured: Vec::new(),
    };
    for root in roots {
        check(root)?;
        if let Some(opened) = open_root(inside, root).await? {
            walk.take(root.to_path_buf(), opened).await?;
            walk.finish().await?;
        }
    }
    Ok(walk.captured)
}

/// The root itself is not followed if it is a link; what leads to it is.
async fn open_root(inside: &Inside<'_>, root: &Path) -> Result<Option<OwnedFd>, Error> {
    let (Some(above), Some(name)) = (root.parent(), root.file_name()) else {
        return inside.open(root).await.map(Some);
    };
    let opened = match inside.open(above).await {
        Ok(directory) => open_entry(inside, root, name.as_bytes(), &Arc::new(directory)).await,
        Err(error) => Err(error),
    };
    nothing_if_missing(opened)
}

async fn open_entry(
    inside: &Inside<'_>,
    path: &Path,
    name: &[u8],
    directory: &Arc<OwnedFd>,
) -> Result<OwnedFd, Error> {
    let directory = Some(Arc::clone(directory));
    inside
        .opened(path, name, FileAction::OpenEntry, directory)
        .await
}

/// What does not exist, or is neither file nor directory, holds nothing; a link answers as if it did not exist.
fn nothing_if_missing(opened: Result<OwnedFd, Error>) -> Result<Option<OwnedFd>, Error> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(Error::Path {
            problem: PathProblem::NotFound | PathProblem::NotADirectory | PathProblem::NotAFile,
            ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Walk<'_> {
    async fn finish(&mut self) -> Result<(), Error> {
        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.names.pop() else {
                self.levels.pop();
                continue;
            };
            let path = level.path.join(OsStr::from_bytes(&name));
            let directory = Arc::clone(&level.directory);
            let opened = open_entry(self.inside, &path, &name, &directory).await;
            if let Some(opened) = nothing_if_missing(opened)? {
                self.take(path, opened).await?;
            }
        }
        Ok(())
    }

    async fn take(&mut self, path: PathBuf, opened: OwnedFd) -> Result<(), Error> {
        let stat = rustix::fs::fstat(&opened).map_err(|e| error::errno(&path, e.raw_os_error()))?;
        match kind_of(&stat) {
            FileKind::File => self.keep(path, opened, stat.st_mode).await,
            FileKind::Directory => self.enter(path, opened),
            FileKind::Link | FileKind::Other => Ok(()),
        }
    }

    async fn keep(&mut self, path: PathBuf, file: OwnedFd, mode: u32) -> Result<(), Error> {
        if self.captured.len() == self.limits.files {
            return Err(error::path(&path, PathProblem::TooLarge));
        }
        let room = self.limits.bytes.saturating_sub(self.bytes);
        let contents = contents(&path, file, room).await?;
        self.bytes += contents.len() as u64;
        self.captured.push(CapturedFile {
            executable: mode & 0o111 != 0,
            path,
            contents,
        });
        Ok(())
    }

    fn enter(&mut self, path: PathBuf, directory: OwnedFd) -> Result<(), Error> {
        if self.levels.len() == DEPTH {
            return Err(error::path(&path, PathProblem::TooLarge));
        }
        let names = names(&path, &directory, ENTRIES - self.looked_at)?;
        self.looked_at += names.len();
        self.levels.push(Level {
            directory: Arc::new(directory),
            path,
            names,
        });
        Ok(())
    }
}
