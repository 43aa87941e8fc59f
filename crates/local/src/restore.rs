//! Puts back what this host replaced while it could be written to inside.
//!
//! Between the moment in which a cover is lost and the end of the sandbox lie some milliseconds, in which a program that waits for it can
//! write into the new file. Nobody can tell its lines from this host's. So once the sandbox is gone, the file is as it was before the
//! start, and the new one lies beside it, for a person to look at.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bailiwick_model::limits::COVERED_FILE_BYTES;
use rustix::fs::{CWD, RenameFlags};

/// What one covered path was before the start.
#[derive(Debug, Clone)]
pub(crate) struct Before {
    path: PathBuf,
    was: Was,
}

#[derive(Debug, Clone)]
enum Was {
    File {
        content: Vec<u8>,
        mode: u32,
        owner: (u32, u32),
    },
    /// Directories stay covered as a whole; only another one in their place is uncovered. Inode numbers are used again, birth times are not.
    Other {
        inode: u64,
        born: Option<SystemTime>,
    },
}

impl Before {
    /// Looks at a path of this host. `None` if there is nothing, or a file too large to be kept.
    pub(crate) fn of(path: PathBuf) -> Option<Self> {
        let metadata = fs::symlink_metadata(&path).ok()?;
        let was = if metadata.is_file() {
            if metadata.len() > COVERED_FILE_BYTES {
                return None;
            }
            let owner = (metadata.uid(), metadata.gid());
            Was::File {
                content: fs::read(&path).ok()?,
                mode: metadata.mode(),
                owner,
            }
        } else {
            Was::Other {
                inode: metadata.ino(),
                born: metadata.created().ok(),
            }
        };
        Some(Self { path, was })
    }

    /// Puts a file back as it was, also if it is gone, and moves aside what is in its or a directory's place now. Nothing inside may run any more.
    ///
    /// Returns where the new one is.
    pub(crate) fn restore(&self) -> io::Result<Option<PathBuf>> {
        let now = match fs::symlink_metadata(&self.path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let aside = match &now {
            Some(now) if self.is_as_it_was(now) => return Ok(None),
            Some(_) => Some(self.move_aside()?),
            None => None,
        };
        if let Was::File {
            content,
            mode,
            owner,
        } = &self.was
        {
            put_back(&self.path, content, *mode, *owner)?;
        }
        Ok(aside)
    }

    /// A file is what it says, whatever its inode: what was written inside and has the same content does no harm.
    fn is_as_it_was(&self, now: &fs::Metadata) -> bool {
        match &self.was {
            Was::File { content, mode, .. } => {
                now.is_file()
                    && now.mode() == *mode
                    && now.len() <= COVERED_FILE_BYTES
                    && fs::read(&self.path).is_ok_and(|read| read == *content)
            }
            Was::Other { inode, born } => now.ino() == *inode && now.created().ok() == *born,
        }
    }

    /// To a name that nobody can have taken before, since it was not known before.
    fn move_aside(&self) -> io::Result<PathBuf> {
        let mut bits = [0; 8];
        rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())?;
        let mut aside = self.path.clone().into_os_string();
        aside.push(format!(".replaced-{:016x}", u64::from_ne_bytes(bits)));
        rustix::fs::renameat_with(CWD, &self.path, CWD, &aside, RenameFlags::NOREPLACE)?;
        Ok(aside.into())
    }
}

fn put_back(path: &Path, content: &[u8], mode: u32, (uid, gid): (u32, u32)) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    io::Write::write_all(&mut file, content)?;
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    file.set_permissions(fs::Permissions::from_mode(mode & 0o777))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_put_back_and_the_new_one_kept_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        fs::write(&path, "before").unwrap();
        let before = Before::of(path.clone()).unwrap();
        assert_eq!(before.restore().unwrap(), None);
        fs::write(directory.path().join("new"), "after").unwrap();
        fs::rename(directory.path().join("new"), &path).unwrap();
        let aside = before.restore().unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(fs::read_to_string(aside).unwrap(), "after");
        fs::remove_file(&path).unwrap();
        assert_eq!(before.restore().unwrap(), None);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "before",
            "what was removed is back too"
        );
    }
}
