//! Bringing back the files that were kept, in a sandbox in which nothing has run: process 1 makes them with the rights of the sandbox.
//!
//! So an archive can do no more than a program inside could. Whatever is mounted inside a place stays what it is.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::keep::{is_kept, mount_of, names};
use super::named::Named;
use super::unlocked::Unlocked;
use crate::archive::{DAMAGED, DEPTH, Input, Meta, Record};
use crate::plan::{Place, PlaceKind};

const PIECE_BYTES: usize = 256 * 1024;
/// The archive has files of a place that this sandbox does not have.
const NO_PLACE: Errno = Errno::NODEV;

/// Makes what the archive holds. After an error the sandbox is not as it was, and must not be used.
pub(super) fn bring_back(places: &[Place], archive: OwnedFd) -> Result<(), Errno> {
    // The modes of the archive are exact.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let mut bringing = Bringing {
        input: Input::new(archive)?,
        named: Named::default(),
        buffer: vec![0; PIECE_BYTES],
    };
    loop {
        match bringing.input.next()? {
            Record::Place { path, meta } => {
                let is_it = |place: &&Place| place.path.as_os_str().as_bytes() == path;
                let place = places.iter().find(is_it).ok_or(NO_PLACE)?;
                bringing.place(place, meta)?;
            }
            Record::End => return Ok(()),
            Record::Directory { .. }
            | Record::File { .. }
            | Record::Link { .. }
            | Record::HardLink { .. }
            | Record::Fifo { .. }
            | Record::Nothing { .. }
            | Record::Up => return Err(DAMAGED),
        }
    }
}

struct Bringing {
    input: Input,
    /// Where the files of the place are that may have other names.
    named: Named,
    buffer: Vec<u8>,
}

/// A directory that is being filled; `None` for one that is left out with all that is in it.
struct Level {
    directory: Option<OwnedFd>,
    meta: Meta,
    /// It was there before, and may be somebody else's.
    was_there: bool,
}

fn open_directory(above: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(above, name, flags, Mode::empty())
}

impl Bringing {
    fn place(&mut self, place: &Place, meta: Meta) -> Result<(), Errno> {
        let root = open_directory(rustix::fs::CWD, place.path.as_os_str().as_bytes())?;
        let mount = mount_of(&root)?;
        match place.kind {
            PlaceKind::Whole => clear(&root, mount, 0)?,
            PlaceKind::Difference => {}
        }
        let first = root.try_clone().map_err(|_| Errno::MFILE)?;
        self.named = Named::default();
        let mut levels = vec![Level {
            directory: Some(root),
            meta,
            was_there: true,
        }];
        while let Some(level) = levels.last() {
            match self.input.next()? {
                Record::Up => {
                    self.named.up();
                    if let Some(level) = levels.pop() {
                        level.settle()?;
                    }
                }
                Record::Directory { name, meta } => {
                    if levels.len() == DEPTH {
                        return Err(DAMAGED);
                    }
                    self.named.down(&name);
                    let below = match &level.directory {
                        Some(directory) => below(directory, mount, &name, meta)?,
                        None => Level::left_out(meta),
                    };
                    levels.push(below);
                }
                record @ (Record::Place { .. }
                | Record::File { .. }
                | Record::Link { .. }
                | Record::HardLink { .. }
                | Record::Fifo { .. }
                | Record::Nothing { .. }
                | Record::End) => {
                    self.entry(&first, level.directory.as_ref(), mount, record)?;
                }
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        root: &OwnedFd,
        directory: Option<&OwnedFd>,
        mount: u64,
        record: Record,
    ) -> Result<(), Errno> {
        let name = match &record {
            Record::File { name, .. }
            | Record::Link { name, .. }
            | Record::HardLink { name, .. }
            | Record::Fifo { name, .. }
            | Record::Nothing { name } => name.clone(),
            Record::Place { .. } | Record::Directory { .. } | Record::Up | Record::End => {
                return Err(DAMAGED);
            }
        };
        let directory = match directory {
            Some(directory) if make_room(directory, mount, &name)? => Some(directory),
            Some(_) | None => None,
        };
        if let Record::File {
            is_shared: true, ..
        } = &record
        {
            self.named.file(directory.map(|_| &name[..]));
        }
        let Some(directory) = directory else {
            return self.leave_out(&record);
        };
        match record {
            Record::File { meta, bytes, .. } => self.file(directory, &name, &meta, bytes),
            Record::Link { meta, target, .. } => {
                rustix::fs::symlinkat(&target[..], directory, &name[..])?;
                settle_by_name(directory, &name, &meta, FileType::Symlink)
            }
            Record::HardLink { number, .. } => {
                hard_link(root, &self.named.way(number)?, directory, &name)
            }
            Record::Fifo { meta, .. } => {
                let mode = Mode::from_raw_mode(0o600);
                rustix::fs::mknodat(directory, &name[..], FileType::Fifo, mode, 0)?;
                settle_by_name(directory, &name, &meta, FileType::Fifo)
            }
            Record::Nothing { .. } => Ok(()),
            Record::Place { .. } | Record::Directory { .. } | Record::Up | Record::End => {
                Err(DAMAGED)
            }
        }
    }

    /// Reads past the contents of what is not brought back.
    fn leave_out(&mut self, record: &Record) -> Result<(), Errno> {
        if let Record::File { bytes, .. } = record {
            self.contents(*bytes, |_, _| Ok(()))?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        directory: &OwnedFd,
        name: &[u8],
        meta: &Meta,
        bytes: u64,
    ) -> Result<(), Errno> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(directory, name, flags, mode)?;
        self.contents(bytes, |piece, offset| write_all(&file, piece, offset))?;
        rustix::fs::ftruncate(&file, bytes)?;
        settle(&file, meta)
    }

    fn contents(
        &mut self,
        bytes: u64,
        mut take: impl FnMut(&[u8], u64) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mut last_end = 0;
        while let Some(piece) = self.input.piece(last_end, bytes)? {
            last_end = piece.offset + piece.length;
            let mut offset = piece.offset;
            while offset < last_end {
                let room = usize::try_from(last_end - offset).unwrap_or(PIECE_BYTES);
                let buffer = &mut self.buffer[..room.min(PIECE_BYTES)];
                self.input.fill(buffer)?;
                take(buffer, offset)?;
                offset += buffer.len() as u64;
            }
        }
        Ok(())
    }
}

fn write_all(file: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(file, bytes, offset))?;
        bytes = bytes.get(written..).unwrap_or_default();
        offset += written as u64;
    }
    Ok(())
}

/// A handle of what is there.
fn look(directory: &OwnedFd, name: &[u8]) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn is_directory(found: &OwnedFd) -> Result<bool, Errno> {
    let stat = rustix::fs::fstat(found)?;
    Ok(FileType::from_raw_mode(stat.st_mode).is_dir())
}

/// A directory to go on in, whether it is there or not.
fn below(above: &OwnedFd, mount: u64, name: &[u8], meta: Meta) -> Result<Level, Errno> {
    if let Some(found) = look(above, name)? {
        if mount_of(&found)? != mount {
            return Ok(Level::left_out(meta));
        }
        if is_directory(&found)? && !meta.opaque {
            return Ok(Level {
                directory: Some(open_directory(above, name)?),
                meta,
                was_there: true,
            });
        }
        if !make_room(above, mount, name)? {
            return Ok(Level::left_out(meta));
        }
    }
    rustix::fs::mkdirat(above, name, Mode::RWXU)?;
    Ok(Level {
        directory: Some(open_directory(above, name)?),
        meta,
        was_there: false,
    })
}

/// Removes what is there, if something is; says whether nothing is there now. A mount stays.
fn make_room(directory: &OwnedFd, mount: u64, name: &[u8]) -> Result<bool, Errno> {
    let Some(found) = look(directory, name)? else {
        return Ok(true);
    };
    if mount_of(&found)? != mount {
        return Ok(false);
    }
    remove(directory, mount, name, &found, 0)
}

/// What holds a mount somewhere below stays.
fn remove(
    directory: &OwnedFd,
    mount: u64,
    name: &[u8],
    found: &OwnedFd,
    depth: usize,
) -> Result<bool, Errno> {
    let flags = if is_directory(found)? {
        clear(&open_directory(directory, name)?, mount, depth + 1)?;
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    match rustix::fs::unlinkat(directory, name, flags) {
        Ok(()) => Ok(true),
        Err(Errno::BUSY | Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Empties a directory of a sandbox in which nothing has run yet.
fn clear(directory: &OwnedFd, mount: u64, depth: usize) -> Result<(), Errno> {
    if depth == DEPTH {
        return Err(Errno::NAMETOOLONG);
    }
    for name in names(directory)? {
        match look(directory, &name)? {
            Some(found) if mount_of(&found)? == mount => {
                remove(directory, mount, &name, &found, depth)?;
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// Nothing else runs here, so that the way leads where it led; each of its names is one all the same.
fn hard_link(root: &OwnedFd, way: &[&[u8]], to: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    let (last, names) = way.split_last().ok_or(DAMAGED)?;
    // Those on the way may have their final modes by now.
    let root = rustix::io::fcntl_dupfd_cloexec(root, 3)?;
    let mut open = vec![Unlocked::open_already(root)];
    for name in names {
        let above = open.last().ok_or(DAMAGED)?;
        let below = Unlocked::open(above.directory(), name)?;
        open.push(below);
    }
    let directory = open.last().ok_or(DAMAGED)?.directory();
    rustix::fs::linkat(directory, *last, to, name, AtFlags::empty())
}

impl Level {
    fn left_out(meta: Meta) -> Self {
        Self {
            directory: None,
            meta,
            was_there: true,
        }
    }

    /// Everything that belongs in it is.
    fn settle(&self) -> Result<(), Errno> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        match settle(directory, &self.meta) {
            // A directory that was made for this sandbox, such as /tmp, is root's, and as it should be.
            Err(Errno::PERM) if self.was_there => Ok(()),
            other => other,
        }
    }
}

/// Owner, attributes, mode and times, in this order: each undoes what comes before, and not what comes after.
fn settle(file: &OwnedFd, meta: &Meta) -> Result<(), Errno> {
    let stat = rustix::fs::fstat(file)?;
    if (stat.st_uid, stat.st_gid) != (meta.uid, meta.gid) {
        let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
        rustix::fs::fchown(file, Some(uid), Some(gid))?;
    }
    for (name, value) in &meta.attributes {
        if !is_kept(name) {
            return Err(DAMAGED);
        }
        rustix::fs::fsetxattr(file, &name[..], value, XattrFlags::empty())?;
    }
    if stat.st_mode & 0o7777 != meta.mode {
        rustix::fs::fchmod(file, Mode::from_raw_mode(meta.mode))?;
    }
    rustix::fs::futimens(file, &times(meta))
}

/// Of what cannot be opened without a risk.
fn settle_by_name(
    directory: &OwnedFd,
    name: &[u8],
    meta: &Meta,
    kind: FileType,
) -> Result<(), Errno> {
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    let stat = rustix::fs::statat(directory, name, nofollow)?;
    if (stat.st_uid, stat.st_gid) != (meta.uid, meta.gid) {
        let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
        rustix::fs::chownat(directory, name, Some(uid), Some(gid), nofollow)?;
    }
    if kind != FileType::Symlink {
        let mode = Mode::from_raw_mode(meta.mode);
        rustix::fs::chmodat(directory, name, mode, AtFlags::empty())?;
    }
    rustix::fs::utimensat(directory, name, &times(meta), nofollow)
}

fn times(meta: &Meta) -> Timestamps {
    let changed = Timespec {
        tv_sec: meta.changed.0,
        tv_nsec: meta.changed.1.into(),
    };
    Timestamps {
        last_access: changed,
        last_modification: changed,
    }
}
