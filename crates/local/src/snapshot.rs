//! What the base of an image has besides its programs, as a directory: of this host's /etc what a sandbox may see, and its package database.
//!
//! A sandbox without layers mounts these one by one. Layers need one directory to lie over.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use bailiwick_sandbox::plan::{IdMap, Identity, MapWriter, MountStep};

use crate::base::{self, Base, Layout};
use crate::identity::privileged;
use crate::layers::{Layers, PARTS};

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
            MountStep::Directory { .. } => make_directory(&path)?,
            MountStep::File { content, mode, .. } => {
                fs::write(&path, content)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            }
            MountStep::Symlink { target, .. } => symlink(target, &path)?,
            MountStep::Bind { source, .. } => copy(&source, &path)?,
            MountStep::Overlay { lower, .. } => {
                lower.iter().try_for_each(|source| copy(source, &path))?;
            }
            MountStep::Private { .. }
            | MountStep::Device { .. }
            | MountStep::Proc
            | MountStep::DevPts
            | MountStep::ReadOnly { .. }
            | MountStep::Mask { .. } => {}
        }
    }
    Ok(())
}

/// Copies a tree: directories, regular files and links, with their modes (no setuid or setgid bit) and, as root, their owners.
fn copy(source: &Path, target: &Path) -> io::Result<()> {
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
        fs::set_permissions(&to, fs::Permissions::from_mode(metadata.mode() & 0o1777))?;
    }
    Ok(())
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}
