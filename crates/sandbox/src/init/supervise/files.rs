//! Files for the holder, opened and written by process 1 with the rights of the sandbox.
//!
//! What process 1 may do that the programs beside it may not: look at itself. `/proc/1/environ` and `/proc/1/exe` are the launcher's,
//! and a link to them is quickly made. So no path leads through procfs here; openat2(2), which could leave out magic links, is not
//! among the calls that the filter lets through.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, PROC_SUPER_MAGIC};
use rustix::io::Errno;

use crate::protocol::FileAction;

/// The most links on the way to one file (path_resolution(7)).
const LINKS: usize = 40;
/// PATH_MAX.
const PATH_BYTES: usize = 4096;
/// Of directories that are made on the way to a file.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);
/// What is copied in one call.
const PIECE_BYTES: usize = 1 << 20;

/// Does what was asked, and returns what was opened.
pub(super) fn act(
    path: &[u8],
    action: FileAction,
    descriptors: Vec<OwnedFd>,
) -> Result<Option<OwnedFd>, Errno> {
    if path.len() >= PATH_BYTES {
        return Err(Errno::NAMETOOLONG);
    }
    let mut descriptors = descriptors.into_iter();
    match action {
        FileAction::Open => resolve(path, Missing::IsAnError)?.open().map(Some),
        FileAction::OpenEntry => entry(path, descriptors.next())?.open().map(Some),
        FileAction::LookAtEntry => {
            let Place { directory, name } = entry(path, descriptors.next())?;
            look(&directory, &name).map(Some)
        }
        FileAction::Write { mode } => {
            let contents = descriptors.next().ok_or(Errno::BADF)?;
            // Not the launcher's; programs have their own (program.rs).
            rustix::process::umask(Mode::from_raw_mode(0o022));
            resolve(path, Missing::IsMade)?.write(&contents, mode)?;
            Ok(None)
        }
    }
}

fn entry(name: &[u8], directory: Option<OwnedFd>) -> Result<Place, Errno> {
    let directory = directory.ok_or(Errno::BADF)?;
    if name.contains(&b'/') || matches!(name, b"" | b"." | b"..") {
        return Err(Errno::INVAL);
    }
    let name = name.to_owned();
    Ok(Place { directory, name })
}

/// What happens with a directory on the way that does not exist.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    IsAnError,
    IsMade,
}

/// A name in a directory; it was no link when it was looked at.
struct Place {
    directory: OwnedFd,
    name: Vec<u8>,
}

/// Walks to a path from the root. The last name need not exist.
fn resolve(path: &[u8], missing: Missing) -> Result<Place, Errno> {
    let mut directory = root()?;
    // The names that are still to come, the next one last.
    let mut waiting = Vec::new();
    push_names(path, &mut waiting);
    let mut links = 0;
    while let Some(name) = waiting.pop() {
        let is_last = waiting.is_empty();
        let next = match look(&directory, &name) {
            Err(Errno::NOENT) if is_last => return Ok(Place { directory, name }),
            Err(Errno::NOENT) if missing == Missing::IsMade => make_directory(&directory, &name)?,
            other => other?,
        };
        match kind(&next)? {
            FileType::Symlink => {
                links += 1;
                let target = rustix::fs::readlinkat(&next, c"", Vec::new())?.into_bytes();
                if links > LINKS || target.len() + waiting.len() > PATH_BYTES {
                    return Err(Errno::LOOP);
                }
                if target.starts_with(b"/") {
                    directory = root()?;
                }
                push_names(&target, &mut waiting);
            }
            _ if is_last && name != b".." => return Ok(Place { directory, name }),
            FileType::Directory => directory = next,
            FileType::RegularFile
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => return Err(Errno::NOTDIR),
        }
    }
    let name = b".".to_vec();
    Ok(Place { directory, name })
}

fn push_names(path: &[u8], waiting: &mut Vec<Vec<u8>>) {
    let names = path.split(|byte| *byte == b'/').rev();
    let names = names.filter(|name| !matches!(*name, b"" | b"."));
    waiting.extend(names.map(<[u8]>::to_owned));
}

fn root() -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/", flags, Mode::empty())
}

/// A handle of what is there, which may be a link. It opens nothing: a pipe or device notices nothing.
fn look(directory: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    if rustix::fs::fstatfs(&found)?.f_type == PROC_SUPER_MAGIC {
        return Err(Errno::ACCESS);
    }
    Ok(found)
}

fn kind(found: &OwnedFd) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(found)?.st_mode))
}

fn make_directory(directory: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    match rustix::fs::mkdirat(directory, name, DIRECTORY_MODE) {
        Ok(()) | Err(Errno::EXIST) => look(directory, name),
        Err(errno) => Err(errno),
    }
}

impl Place {
    /// Opens a regular file or directory. The holder looks again at what it gets: between the look here and the opening there may be another.
    fn open(&self) -> Result<OwnedFd, Errno> {
        match kind(&look(&self.directory, &self.name)?)? {
            FileType::RegularFile | FileType::Directory => {}
            FileType::Symlink => return Err(Errno::LOOP),
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => return Err(Errno::NXIO),
        }
        let flags =
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.directory, &self.name[..], flags, Mode::empty())
    }

    /// Writes beside the file and renames over it.
    fn write(&self, contents: &OwnedFd, mode: u32) -> Result<(), Errno> {
        match look(&self.directory, &self.name).and_then(|found| kind(&found)) {
            Ok(FileType::RegularFile) | Err(Errno::NOENT) => {}
            Ok(FileType::Directory) => return Err(Errno::ISDIR),
            Ok(_) => return Err(Errno::NXIO),
            Err(errno) => return Err(errno),
        }
        let (name, file) = self.temporary()?;
        let written = copy(contents, &file)
            .and_then(|()| rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o777)))
            .and_then(|()| {
                rustix::fs::renameat(&self.directory, &name, &self.directory, &self.name[..])
            });
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&self.directory, &name, AtFlags::empty());
        }
        written
    }

    fn temporary(&self) -> Result<(String, OwnedFd), Errno> {
        let mut bits = [0; 8];
        rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())?;
        let name = format!(".bailiwick-{:016x}", u64::from_ne_bytes(bits));
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(&self.directory, &name, flags, mode)?;
        Ok((name, file))
    }
}

fn copy(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let mut offset = 0;
    while rustix::io::retry_on_intr(|| {
        rustix::fs::sendfile(to, from, Some(&mut offset), PIECE_BYTES)
    })? > 0
    {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &str) -> Errno {
        act(path.as_bytes(), FileAction::Open, Vec::new()).unwrap_err()
    }

    #[test]
    fn no_way_through_procfs_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let link = |name: &str, target: &str| {
            std::os::unix::fs::symlink(target, directory.path().join(name)).unwrap();
            directory.path().join(name).to_str().unwrap().to_owned()
        };
        let control = link("control", "file");
        assert!(act(control.as_bytes(), FileAction::Open, Vec::new()).is_ok());
        for target in [
            "/proc/self/environ",
            "/proc/1/exe",
            "/proc/self/root/etc/passwd",
            "/dev/fd/0",
            "/proc",
        ] {
            let name = target.replace('/', "_");
            assert_eq!(refused(&link(&name, target)), Errno::ACCESS, "{target}");
            assert_eq!(refused(target), Errno::ACCESS, "{target}");
        }
    }

    #[test]
    fn only_regular_files_and_directories_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let fifo = path("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            FileType::Fifo,
            Mode::from_raw_mode(0o644),
            0,
        )
        .unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        std::os::unix::fs::symlink("loop", path("loop")).unwrap();
        assert_eq!(refused(&fifo), Errno::NXIO);
        assert_eq!(refused(&path("socket")), Errno::NXIO);
        assert_eq!(refused("/dev/null"), Errno::NXIO);
        assert_eq!(refused(&path("loop")), Errno::LOOP);
        assert_eq!(refused(&path("nothing")), Errno::NOENT);
        assert_eq!(refused(&path("fifo/below")), Errno::NOTDIR);
        assert!(act(b"/..//.", FileAction::Open, Vec::new()).is_ok());
    }

    #[test]
    fn an_entry_is_one_name_and_no_link() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("file", directory.path().join("link")).unwrap();
        let entry = |name: &[u8]| {
            let directory = std::fs::File::open(directory.path()).unwrap().into();
            act(name, FileAction::OpenEntry, vec![directory]).map(|opened| opened.is_some())
        };
        assert_eq!(entry(b"file"), Ok(true));
        assert_eq!(entry(b"link"), Err(Errno::LOOP));
        for name in [&b""[..], b".", b"..", b"../x", b"/etc/passwd"] {
            assert_eq!(entry(name), Err(Errno::INVAL));
        }
    }
}
