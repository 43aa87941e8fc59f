//! Unpacking archives that strangers made. This runs as root inside the sandbox of a build, and in a root of its own there (chroot(2)):
//! a link in the archive leads to a place in the new root, whatever it says.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use bailiwick_model::limits::ARCHIVE_ENTRIES;
use flate2::bufread::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::zstd;
use crate::sha256;

/// Marks a name that an upper layer takes away (OCI image specification, "Whiteouts").
const WHITEOUT: &str = ".wh.";
/// Takes away everything that lower layers have in its directory.
const OPAQUE: &str = ".wh..wh..opq";
/// Set-user-ID and set-group-ID: nothing of a base is ever mounted with them in force.
const SET_ID: u32 = 0o6000;
/// Entries that are made, besides directories. The others are devices, and headers that the reader has taken in.
const MADE: [EntryType; 5] = [
    EntryType::Regular,
    EntryType::Continuous,
    EntryType::Link,
    EntryType::Symlink,
    EntryType::GNUSparse,
];

/// What an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole root file system.
    Root,
    /// A layer of an OCI image, which may take away what lower ones brought.
    Layer,
}

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It cannot be read, or something cannot be made.
    #[error("cannot unpack the archive: {0}")]
    Io(#[from] io::Error),
    /// It is another archive than the one that was to be unpacked.
    #[error("the archive changed since its digest was taken: it is sha256:{0} now")]
    Changed(String),
    /// An entry's name leads out of the root.
    #[error("the archive has an entry that leads out of its root: {0:?}")]
    Escapes(PathBuf),
    /// It is compressed in a way that this does not know.
    #[error("the archive is compressed with {0}; decompress it first")]
    Compression(&'static str),
    /// It has more entries than any system.
    #[error("the archive has more than {ARCHIVE_ENTRIES} entries")]
    Entries,
}

/// An archive whose digest is taken while it is read.
pub struct Digested<R> {
    archive: R,
    context: Context,
}

impl<R: Read> Digested<R> {
    /// Reads from `archive`.
    pub fn new(archive: R) -> Self {
        Self {
            archive,
            context: Context::new(&SHA256),
        }
    }

    /// Reads what is left, and compares: `expected` is SHA-256 as 64 digits.
    ///
    /// # Errors
    ///
    /// [`UnpackError::Changed`], [`UnpackError::Io`].
    pub fn finish(mut self, expected: &str) -> Result<(), UnpackError> {
        io::copy(&mut self, &mut io::sink())?;
        let digest = sha256::digits(self.context.finish().as_ref());
        if digest == expected {
            Ok(())
        } else {
            Err(UnpackError::Changed(digest))
        }
    }
}

impl<R: Read> Read for Digested<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.archive.read(buffer)?;
        self.context.update(&buffer[..length]);
        Ok(length)
    }
}

/// Makes `root` the root of this process, and unpacks into it. The process is good for nothing else afterwards.
///
/// Devices and sockets are left out; owners are kept where this user namespace maps more than one id.
///
/// # Errors
///
/// [`UnpackError`]; what was unpacked so far stays.
pub fn unpack(archive: impl Read, root: &Path, kind: Kind) -> Result<(), UnpackError> {
    let keeps_owners = maps_many_ids()?;
    rustix::process::chroot(root).map_err(io::Error::from)?;
    rustix::process::chdir("/").map_err(io::Error::from)?;
    let mut archive = Archive::new(decompressed(archive)?);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(keeps_owners);
    archive.set_mask(SET_ID);
    archive.set_unpack_xattrs(false);
    let mut directories = Vec::new();
    let mut made = Made::default();
    for (count, entry) in (0..).zip(archive.entries()?) {
        if count >= ARCHIVE_ENTRIES {
            return Err(UnpackError::Entries);
        }
        let mut entry = entry?;
        let path = contained(&entry.path()?)?;
        if let Some(link) = entry.link_name()?
            && entry.header().entry_type() == EntryType::Link
        {
            contained(&link)?;
        }
        if kind == Kind::Layer {
            if take_away(&path, &made)? {
                continue;
            }
            made.note(&path);
        }
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            make_directory(&path)?;
            // Last, so that its permissions do not keep its contents out.
            directories.push(Attributes::of(&path, &entry, keeps_owners)?);
        } else if MADE.contains(&kind) {
            put(&mut entry, &path)?;
        }
    }
    // The deepest first: one may close the way to what is below it.
    directories.iter().rev().try_for_each(Attributes::apply)?;
    Ok(())
}

/// Whether ids other than one's own can be given to files (user_namespaces(7)).
fn maps_many_ids() -> io::Result<bool> {
    let maps = fs::read_to_string("/proc/self/uid_map")?;
    let count = |line: &str| line.split_whitespace().nth(2)?.parse::<u64>().ok();
    Ok(maps.lines().filter_map(count).sum::<u64>() > 1)
}

/// The path below the root; `.` is the root itself.
fn contained(path: &Path) -> Result<PathBuf, UnpackError> {
    let mut contained = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => contained.push(name),
            // Archives of whole systems are often made with absolute names.
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(UnpackError::Escapes(path.to_owned()));
            }
        }
    }
    Ok(contained)
}

/// What one archive brought: its paths, and all above them.
#[derive(Default)]
struct Made(HashSet<PathBuf>);

impl Made {
    fn note(&mut self, path: &Path) {
        for path in path.ancestors() {
            if !self.0.insert(path.to_owned()) {
                break;
            }
        }
    }

    /// Takes away what lower layers have at a path: wherever in its archive a whiteout stands, it says nothing of what is in there itself.
    fn uncover(&self, path: PathBuf) -> io::Result<()> {
        let mut waiting = vec![path];
        while let Some(path) = waiting.pop() {
            if !self.0.contains(&path) {
                remove(&path)?;
            } else if is_directory(&path) {
                waiting.extend(below(&path)?);
            }
        }
        Ok(())
    }
}

/// Whether the entry only takes something away; it is gone then.
fn take_away(path: &Path, made: &Made) -> io::Result<bool> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Ok(false);
    };
    let Some(hidden) = name.strip_prefix(WHITEOUT) else {
        return Ok(false);
    };
    let directory = path.parent().unwrap_or(Path::new("/"));
    if name == OPAQUE {
        if fs::metadata(directory).is_ok_and(|metadata| metadata.is_dir()) {
            for path in below(directory)? {
                made.uncover(path)?;
            }
        }
    } else if !hidden.starts_with(WHITEOUT) && !hidden.is_empty() && !matches!(hidden, "." | "..") {
        made.uncover(directory.join(hidden))?;
    }
    Ok(true)
}

/// Whether there is a directory, and no link to one.
fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

fn below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn remove(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A directory, also where something else was; a link to a directory stays one.
fn make_directory(path: &Path) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(());
    }
    remove(path)?;
    fs::create_dir_all(path)
}

/// Makes what the entry says, in place of whatever is there.
fn put(entry: &mut Entry<'_, impl Read>, path: &Path) -> Result<(), UnpackError> {
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    remove(path)?;
    // Relative to the root, which is everything that this process sees.
    if entry.unpack_in("/")? {
        Ok(())
    } else {
        Err(UnpackError::Escapes(path.to_owned()))
    }
}

/// What a directory gets in the end.
struct Attributes {
    path: PathBuf,
    mode: u32,
    owner: Option<(u32, u32)>,
}

impl Attributes {
    fn of(path: &Path, entry: &Entry<'_, impl Read>, keeps_owners: bool) -> io::Result<Self> {
        let header = entry.header();
        let id =
            |id: io::Result<u64>| id.and_then(|id| u32::try_from(id).map_err(io::Error::other));
        Ok(Self {
            path: path.to_owned(),
            mode: header.mode()? & 0o7777 & !SET_ID,
            owner: keeps_owners
                .then(|| Ok::<_, io::Error>((id(header.uid())?, id(header.gid())?)))
                .transpose()?,
        })
    }

    fn apply(&self) -> io::Result<()> {
        use std::os::unix::fs::{PermissionsExt, chown};
        // A later entry may have replaced it.
        if !is_directory(&self.path) {
            return Ok(());
        }
        if let Some((uid, gid)) = self.owner {
            chown(&self.path, Some(uid), Some(gid))?;
        }
        fs::set_permissions(&self.path, fs::Permissions::from_mode(self.mode))
    }
}

/// The archive itself, whatever it is compressed with.
fn decompressed<'a>(archive: impl Read + 'a) -> Result<Box<dyn Read + 'a>, UnpackError> {
    let mut archive = BufReader::with_capacity(256 * 1024, archive);
    let start = archive.fill_buf()?;
    if start.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(MultiGzDecoder::new(archive)))
    } else if zstd::is_frame(start) {
        Ok(Box::new(zstd::Frames::new(archive)))
    } else if start.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        Err(UnpackError::Compression("xz"))
    } else if start.starts_with(b"BZh") {
        Err(UnpackError::Compression("bzip2"))
    } else {
        Ok(Box::new(archive))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_of_the_root_are_refused() {
        for (name, inside) in [
            ("./etc/passwd", Some("/etc/passwd")),
            ("/etc/passwd", Some("/etc/passwd")),
            ("./", Some("/")),
            ("../etc/passwd", None),
            ("usr/../../etc", None),
        ] {
            assert_eq!(
                contained(Path::new(name)).ok(),
                inside.map(PathBuf::from),
                "{name}"
            );
        }
    }

    #[test]
    fn a_whiteout_takes_away_what_lower_layers_have_and_nothing_of_its_own_archive() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        let fill = || {
            for path in [
                "home/.bashrc",
                "home/old",
                "home/d/old",
                "home/d/new",
                "home/l/old",
            ] {
                fs::create_dir_all(at(path).parent().unwrap()).unwrap();
                fs::write(at(path), "").unwrap();
            }
        };
        let mut made = Made::default();
        made.note(&at("home/.bashrc"));
        made.note(&at("home/d/new"));
        for marker in ["home/.wh..wh..opq", ".wh.home"] {
            fill();
            assert!(take_away(&at(marker), &made).unwrap());
            for (path, stays) in [
                ("home/.bashrc", true),
                ("home/d/new", true),
                ("home/d/old", false),
                ("home/old", false),
                ("home/l", false),
            ] {
                assert_eq!(at(path).exists(), stays, "{marker}: {path}");
            }
        }
        // The control: an archive with the marker alone.
        fill();
        assert!(take_away(&at("home/.wh..wh..opq"), &Made::default()).unwrap());
        assert_eq!(below(&at("home")).unwrap(), [] as [PathBuf; 0]);
        assert!(!take_away(&at("home/file"), &made).unwrap());
    }

    #[test]
    fn an_archive_that_changed_is_seen_by_its_digest_whatever_of_it_was_read() {
        let of = |text: &str| sha256::of(text.as_bytes());
        for read in [0, 3, 9] {
            let mut archive = Digested::new("archive!!".as_bytes());
            archive.read_exact(&mut vec![0; read]).unwrap();
            archive.finish(&of("archive!!")).unwrap();
            let mut archive = Digested::new("archive!?".as_bytes());
            archive.read_exact(&mut vec![0; read]).unwrap();
            let changed = archive.finish(&of("archive!!"));
            assert!(matches!(changed, Err(UnpackError::Changed(now)) if now == of("archive!?")));
        }
    }

    #[test]
    fn what_is_not_known_is_named() {
        let refused = |bytes: &[u8]| decompressed(io::Cursor::new(bytes.to_vec())).err();
        let xz = [0xfd, b'7', b'z', b'X', b'Z', 0, 0];
        assert!(matches!(refused(&xz), Some(UnpackError::Compression("xz"))));
        assert!(refused(b"ustar").is_none());
    }
}
