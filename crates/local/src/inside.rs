//! Looking into a root that somebody else filled: another base, a layer. A link in it may lead anywhere; nothing here leaves the root.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use bailiwick_model::limits::BASE_FILE_BYTES;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

/// Reads a regular file; links in it are followed as a process would whose root this is (openat2(2), `RESOLVE_IN_ROOT`).
///
/// # Errors
///
/// It is not there, no regular file, or too large.
pub(crate) fn read(root: &Path, name: &Path) -> io::Result<Vec<u8>> {
    let file = open(
        root,
        name,
        OFlags::RDONLY | OFlags::NONBLOCK,
        ResolveFlags::IN_ROOT,
    )?;
    let file = File::from(file);
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > BASE_FILE_BYTES {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut content = Vec::new();
    file.take(BASE_FILE_BYTES).read_to_end(&mut content)?;
    Ok(content)
}

/// Whether a regular file is there.
pub(crate) fn has_file(root: &Path, name: &Path) -> bool {
    open(root, name, OFlags::PATH, ResolveFlags::IN_ROOT)
        .and_then(|file| Ok(rustix::fs::fstat(file)?))
        .is_ok_and(|status| FileType::from_raw_mode(status.st_mode).is_file())
}

/// Whether there is a directory by this very name: no link leads to it, at no step.
pub(crate) fn has_directory(root: &Path, name: &Path) -> bool {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    open(root, name, OFlags::PATH | OFlags::DIRECTORY, resolve).is_ok()
}

fn open(root: &Path, name: &Path, how: OFlags, resolve: ResolveFlags) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags, Mode::empty())?;
    let name = name.strip_prefix("/").unwrap_or(name);
    let name = if name.as_os_str().is_empty() {
        Path::new(".")
    } else {
        name
    };
    let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(
        root,
        name,
        how | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    )?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_does_not_lead_out_of_the_root() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        fs::create_dir(outside.path().join("directory")).unwrap();
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("etc/ssl")).unwrap();
        fs::write(root.join("etc/ssl/bundle"), "bundle").unwrap();
        for (name, target) in [
            ("etc/absolute", outside.path().join("secret")),
            ("etc/upwards", "../../../../../../../etc/hostname".into()),
            ("etc/within", "/etc/ssl/bundle".into()),
            ("var", outside.path().to_owned()),
            ("etc/here", "ssl".into()),
        ] {
            symlink(target, root.join(name)).unwrap();
        }
        assert_eq!(
            read(root, Path::new("etc/within")).unwrap(),
            b"bundle",
            "control"
        );
        assert!(
            has_file(root, Path::new("/etc/within")) && has_directory(root, Path::new("etc/ssl"))
        );
        for name in [
            "etc/absolute",
            "etc/upwards",
            "var/secret",
            "../secret",
            "etc",
        ] {
            assert!(read(root, Path::new(name)).is_err(), "{name}");
            assert!(!has_file(root, Path::new(name)), "{name}");
        }
        for name in ["var/directory", "var", "etc/here", ".."] {
            assert!(!has_directory(root, Path::new(name)), "{name}");
        }
    }
}
