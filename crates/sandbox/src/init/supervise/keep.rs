//! Keeping the files of a sandbox: process 1 walks its places with the rights of the sandbox and writes them into a file of the holder's.
//!
//! Every program is stopped first, and the walk does not rely on it: entries are looked at by their one name in an open directory, links are
//! read and not followed, nothing but regular files is opened, and whatever is mounted inside a place is left out.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, SeekFrom, Stat, StatxFlags, Timespec};
use rustix::io::Errno;

use super::unlocked::Unlocked;
use crate::archive::{DEPTH, Meta, Output};
use crate::plan::{Place, PlaceKind};
use crate::protocol::ArchiveLimits;

/// What is copied at once.
const PIECE_BYTES: usize = 256 * 1024;
/// Overlayfs marks an opaque directory so (Documentation/filesystems/overlayfs.rst, "userxattr").
const OPAQUE: &[u8] = b"user.overlay.opaque";
const OF_OVERLAYS: &[u8] = b"user.overlay.";

/// Writes what is in the places, in order. What was made for the sandbox before it was `ready` is left out until somebody changes it.
pub(super) fn keep(
    places: &[Place],
    ready: Timespec,
    archive: OwnedFd,
    limits: ArchiveLimits,
) -> Result<(), Errno> {
    let mut keeping = Keeping {
        output: Output::new(archive, limits)?,
        seen: HashMap::new(),
        ready: (ready.tv_sec, ready.tv_nsec),
        buffer: vec![0; PIECE_BYTES],
    };
    for place in places {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(&place.kept_at, flags, Mode::empty()) {
            Ok(root) => keeping.place(place, root)?,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => return Err(errno),
        }
    }
    keeping.output.end()
}

struct Keeping {
    output: Output,
    /// Files with several names, by device and inode, with their numbers in the place that is being walked.
    seen: HashMap<(u64, u64), u64>,
    /// In seconds since 1970 and nanoseconds, by the clock of the file system.
    ready: (i64, i64),
    buffer: Vec<u8>,
}

/// A directory on the way, and what of it is still to come.
struct Level {
    directory: Unlocked,
    names: Vec<Vec<u8>>,
    path: Vec<u8>,
}

/// What is the same in all of a place.
struct Within<'a> {
    kind: PlaceKind,
    mount: u64,
    /// Paths in the place.
    made: HashSet<&'a [u8]>,
}

impl Keeping {
    fn place(&mut self, place: &Place, root: OwnedFd) -> Result<(), Errno> {
        self.seen.clear();
        let made = place.made.iter().map(|path| path.as_os_str().as_bytes());
        let within = Within {
            kind: place.kind,
            mount: mount_of(&root)?,
            made: made.collect(),
        };
        let stat = rustix::fs::fstat(&root)?;
        let path = place.path.as_os_str().as_bytes();
        self.output.place(path, &meta(&stat, &root)?)?;
        let mut levels = vec![Level::new(Unlocked::open_already(root), Vec::new())?];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.pop() else {
                self.output.up()?;
                levels.pop();
                continue;
            };
            let below = self.entry(&within, level, &name)?;
            if let Some(below) = below {
                if levels.len() == DEPTH {
                    return Err(Errno::NAMETOOLONG);
                }
                levels.push(below);
            }
        }
        Ok(())
    }

    /// Keeps an entry; a directory is returned, and what is in it comes next.
    fn entry(
        &mut self,
        within: &Within<'_>,
        level: &Level,
        name: &[u8],
    ) -> Result<Option<Level>, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found =
            match rustix::fs::openat(level.directory.directory(), name, flags, Mode::empty()) {
                // It went away: not every program need have stopped.
                Err(Errno::NOENT) => return Ok(None),
                other => other?,
            };
        if mount_of(&found)? != within.mount {
            return Ok(None);
        }
        let stat = rustix::fs::fstat(&found)?;
        let path = join(&level.path, name);
        if within.made.contains(&path[..]) && self.is_as_made(&stat) {
            return Ok(None);
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.file(level, name, &stat)?,
            FileType::Directory => {
                let directory = Unlocked::open(level.directory.directory(), name)?;
                if !directory.is(&stat)? {
                    return Err(Errno::AGAIN);
                }
                let meta = meta(&stat, directory.directory())?;
                self.output.directory(name, &meta)?;
                return Level::new(directory, path).map(Some);
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&found, c"", Vec::new())?;
                self.output.link(name, &plain(&stat), target.as_bytes())?;
            }
            FileType::Fifo => self.output.fifo(name, &plain(&stat))?,
            // How overlayfs says that what a layer has is not there ("whiteouts").
            FileType::CharacterDevice if within.kind == PlaceKind::Difference => {
                if stat.st_rdev == 0 {
                    self.output.nothing(name)?;
                }
            }
            // Nobody listens at a socket any more, and a sandbox makes no devices.
            FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => {}
        }
        Ok(None)
    }

    /// Of a directory that was made, nothing is kept.
    fn is_as_made(&self, stat: &Stat) -> bool {
        let changed = (stat.st_ctime, stat.st_ctime_nsec as i64);
        FileType::from_raw_mode(stat.st_mode).is_dir() || changed <= self.ready
    }

    fn file(&mut self, level: &Level, name: &[u8], stat: &Stat) -> Result<(), Errno> {
        let is_shared = stat.st_nlink > 1;
        if is_shared {
            let number = self.seen.len() as u64;
            match self.seen.entry((stat.st_dev, stat.st_ino)) {
                Entry::Occupied(first) => return self.output.hard_link(name, *first.get()),
                Entry::Vacant(place) => {
                    place.insert(number);
                }
            }
        }
        let file = open(level.directory.directory(), name, stat)?;
        let bytes = u64::try_from(stat.st_size).unwrap_or_default();
        self.output
            .file(name, &meta(stat, &file)?, is_shared, bytes)?;
        let mut end = 0;
        while let Some((offset, length)) = next_data(&file, end, bytes)? {
            self.output.piece(offset, length)?;
            self.copy(&file, offset, length)?;
            end = offset + length;
        }
        self.output.piece(0, 0)
    }

    /// Exactly as much as was announced: a file that somebody shortened meanwhile ends the whole.
    fn copy(&mut self, file: &OwnedFd, mut offset: u64, length: u64) -> Result<(), Errno> {
        let end = offset + length;
        while offset < end {
            let room = usize::try_from(end - offset).unwrap_or(PIECE_BYTES);
            let buffer = &mut self.buffer[..room.min(PIECE_BYTES)];
            let read = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *buffer, offset))?;
            if read == 0 {
                return Err(Errno::AGAIN);
            }
            self.output.bytes(&buffer[..read])?;
            offset += read as u64;
        }
        Ok(())
    }
}

impl Level {
    fn new(directory: Unlocked, path: Vec<u8>) -> Result<Self, Errno> {
        Ok(Self {
            names: names(directory.directory())?,
            directory,
            path,
        })
    }
}

/// The names in a directory.
pub(super) fn names(directory: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    // Of the same open file description: it may be unreadable by now.
    let copy = rustix::io::fcntl_dupfd_cloexec(directory, 3)?;
    let mut names = Vec::new();
    for entry in Dir::new(copy)? {
        let name = entry?.file_name().to_bytes().to_owned();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() {
        name.to_owned()
    } else {
        [path, b"/", name].concat()
    }
}

/// The mount in which something lies.
pub(super) fn mount_of(found: impl AsFd) -> Result<u64, Errno> {
    let found = rustix::fs::statx(found, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    Ok(found.stx_mnt_id)
}

/// Opens a file that was looked at. What its owner has made unreadable is readable for a moment.
fn open(directory: &OwnedFd, name: &[u8], looked: &Stat) -> Result<OwnedFd, Errno> {
    let flags =
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(directory, name, flags, Mode::empty());
    let opened = match open() {
        Err(Errno::ACCESS) => {
            let mode = Mode::from_raw_mode(looked.st_mode & 0o1777);
            rustix::fs::chmodat(directory, name, mode | Mode::RUSR, AtFlags::empty())?;
            let opened = open();
            // If it is another one by now, it is one of the sandbox's own all the same.
            rustix::fs::chmodat(directory, name, mode, AtFlags::empty())?;
            opened?
        }
        other => other?,
    };
    let stat = rustix::fs::fstat(&opened)?;
    if (stat.st_dev, stat.st_ino) == (looked.st_dev, looked.st_ino) {
        Ok(opened)
    } else {
        Err(Errno::AGAIN)
    }
}

/// The next part that is no hole (lseek(2), SEEK_DATA).
fn next_data(file: &OwnedFd, from: u64, bytes: u64) -> Result<Option<(u64, u64)>, Errno> {
    if from >= bytes {
        return Ok(None);
    }
    let data = match rustix::fs::seek(file, SeekFrom::Data(from)) {
        Err(Errno::NXIO) => return Ok(None),
        other => other?,
    };
    let hole = rustix::fs::seek(file, SeekFrom::Hole(data))?.min(bytes);
    Ok((data < hole).then(|| (data, hole - data)))
}

/// Without extended attributes: of links and FIFOs a sandbox cannot set any.
fn plain(stat: &Stat) -> Meta {
    Meta {
        mode: stat.st_mode & 0o1777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        changed: (
            stat.st_mtime,
            u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        ),
        opaque: false,
        attributes: Vec::new(),
    }
}

fn meta(stat: &Stat, opened: &OwnedFd) -> Result<Meta, Errno> {
    let mut meta = plain(stat);
    for name in attribute_names(opened.as_fd())? {
        if name == OPAQUE {
            meta.opaque = true;
        } else if is_kept(&name) {
            let value = attribute(opened.as_fd(), &name)?;
            meta.attributes.push((name, value));
        }
    }
    Ok(meta)
}

/// Attributes that a sandbox may set: of users, and access control lists.
pub(super) fn is_kept(name: &[u8]) -> bool {
    let of_a_user = name.starts_with(b"user.") && !name.starts_with(OF_OVERLAYS);
    of_a_user || name.starts_with(b"system.posix_acl_")
}

fn attribute_names(file: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut list = vec![0; 64 * 1024];
    let length = match rustix::fs::flistxattr(file, &mut list[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        other => other?,
    };
    let names = list[..length].split(|byte| *byte == 0);
    let names = names.filter(|name| !name.is_empty());
    Ok(names.map(<[u8]>::to_owned).collect())
}

fn attribute(file: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; 64 * 1024];
    let length = rustix::fs::fgetxattr(file, name, &mut value[..])?;
    value.truncate(length);
    Ok(value)
}
