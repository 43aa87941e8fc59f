//! What the base of an image has besides its programs, as a directory: of this host's /etc what a sandbox may see, and its package database.
//!
//! A sandbox without layers mounts these one by one. Layers need one directory to lie over.

use std::cmp::Reverse;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use bailiwick_sandbox::plan::{IdMap, Identity, MapWriter, MountStep};

use crate::base::{self, Base, Layout};
use crate::identity::privileged;
use crate::layers::{Layers, PARTS, make_directory};

/// What of this host's settings a snapshot is made of, whether it is there or not; besides these it has the package database.
pub fn snapshot_sources() -> Vec<PathBuf> {
    let accounts = ["passwd", "group"];
    let names = base::curated().map(|(_, name)| name).chain(accounts);
    names.map(|name| Path::new("/etc").join(name)).collect()
}

/// Writes the snapshot of this host below `into`, an empty directory.
///
/// # Errors
///
/// Something cannot be written. What cannot be read is left out: it would not be seen inside either.
pub fn snapshot(into: &Path) -> io::Result<()> {
    let ids = vec![IdMap {
        inside: 0,
        outside: 0,
        count: 1,
    }];
    let identity = Identity {
        uid: 0,
        gid: 0,
        uid_map: ids.clone(),
        gid_map: ids,
        writer: MapWriter::Root,
    };
    let layout = Layout {
        base: &Base::Host,
        identity: &identity,
        hostname: "localhost",
        writable: true,
        layers: &Layers::default(),
        bundle: None,
    };
    let mut modes = Modes::default();
    for part in PARTS.iter().filter(|part| **part != "usr") {
        make_directory(&into.join(part))?;
    }
    for step in layout.besides_programs() {
        let path = step.path().strip_prefix("/").unwrap_or(step.path());
        let path = into.join(path);
        if let Some(parent) = path.parent() {
            make_directory(parent)?;
        }
        match step {
            MountStep::Directory { mode, .. } => {
                make_directory(&path)?;
                modes.keep(path, mode);
            }
            MountStep::File { content, mode, .. } => {
                fs::write(&path, content)?;
                fs::set_permissions(&path, permissions(mode))?;
            }
            MountStep::Symlink { target, .. } => symlink(target, &path)?,
            MountStep::Bind { source, .. } => copy(&source, &path, &mut modes)?,
            MountStep::Overlay { lower, .. } => {
                for source in &lower {
                    copy(source, &path, &mut modes)?;
                }
            }
            MountStep::Private { .. }
            | MountStep::Device { .. }
            | MountStep::Proc
            | MountStep::DevPts
            | MountStep::ReadOnly { .. }
            | MountStep::Mask { .. } => {}
        }
    }
    modes.set()
}

/// The modes that directories are to have. One that cannot be written to could not be filled any more, so they are set last.
#[derive(Debug, Default)]
struct Modes(Vec<(PathBuf, u32)>);

impl Modes {
    fn keep(&mut self, directory: PathBuf, mode: u32) {
        self.0.push((directory, mode));
    }

    /// The deepest first: who may not enter a directory cannot change what is in it.
    fn set(mut self) -> io::Result<()> {
        self.0
            .sort_by_key(|(path, _)| Reverse(path.components().count()));
        let set = |(path, mode): (PathBuf, u32)| fs::set_permissions(path, permissions(mode));
        self.0.into_iter().try_for_each(set)
    }
}

/// Without the setuid and the setgid bit.
fn permissions(mode: u32) -> fs::Permissions {
    fs::Permissions::from_mode(mode & 0o1777)
}

/// Copies a tree: directories, whose modes are set later, regular files and links, with their modes (no setuid or setgid bit) and, as root,
/// their owners.
fn copy(source: &Path, target: &Path, modes: &mut Modes) -> io::Result<()> {
    let mut waiting: Vec<(PathBuf, PathBuf)> = vec![(source.to_owned(), target.to_owned())];
    while let Some((from, to)) = waiting.pop() {
        let Ok(metadata) = fs::symlink_metadata(&from) else {
            continue;
        };
        if metadata.is_symlink() {
            symlink(fs::read_link(&from)?, &to)?;
            continue;
        }
        if metadata.is_dir() {
            make_directory(&to)?;
            let below = fs::read_dir(&from).into_iter().flatten().flatten();
            waiting.extend(below.map(|entry| (entry.path(), to.join(entry.file_name()))));
        } else if metadata.is_file() {
            match fs::copy(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
                other => other?,
            };
        } else {
            continue;
        }
        if privileged() {
            chown(&to, Some(metadata.uid()), Some(metadata.gid()))?;
        }
        if metadata.is_dir() {
            modes.keep(to, metadata.mode());
        } else {
            fs::set_permissions(&to, permissions(metadata.mode()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_is_copied_with_its_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir_all(path("from/closed/deeper")).unwrap();
        fs::write(path("from/closed/file"), "x").unwrap();
        fs::write(path("from/closed/deeper/file"), "x").unwrap();
        for name in ["from/closed/deeper", "from/closed"] {
            fs::set_permissions(path(name), permissions(0o555)).unwrap();
        }
        let mut modes = Modes::default();
        copy(&path("from"), &path("to"), &mut modes).unwrap();
        modes.set().unwrap();
        assert!(path("to/closed/file").exists() && path("to/closed/deeper/file").exists());
        assert_eq!(mode(&path("to/closed")), 0o555);
        assert_eq!(mode(&path("to/closed/deeper")), 0o555);
        // So that who is not root can remove it all.
        for name in ["from", "to"] {
            for name in [format!("{name}/closed"), format!("{name}/closed/deeper")] {
                fs::set_permissions(path(&name), permissions(0o755)).unwrap();
            }
        }
    }
}
