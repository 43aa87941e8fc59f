//! Notices when this host takes away what covers a file of the work directory inside.
//!
//! A cover is a mount on what exists. When this host replaces or removes that (`git config` and editors write a new file and rename it
//! over the old one), the kernel takes the mount away (`detach_mounts` in fs/namespace.c), and the new file can be written to inside.
//! Nothing inside can do so itself: there a mount point can neither be renamed nor removed, and nobody may mount or unmount. So any mount that is
//! missing from the sandbox's mount table was taken away from outside, and the table can be polled (proc_pid_mountinfo(5)): that costs
//! one descriptor, and no watch over the work directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bailiwick_sandbox::readiness::register;
use tokio::io::Interest;

/// The mount table of a sandbox, as it was when it was built.
#[derive(Debug)]
pub(crate) struct MountTable {
    file: File,
    /// By mount id, where inside.
    built: BTreeMap<u64, PathBuf>,
}

impl MountTable {
    /// Reads the table of the sandbox whose init is `init`, which must have built its root, and checks that everything of `covered` (paths
    /// inside) is in it.
    ///
    /// # Errors
    ///
    /// The table cannot be read, or the host uncovered something already: its path is in the error.
    pub(crate) fn of(init: u32, covered: &[PathBuf]) -> io::Result<Self> {
        let mut file = File::open(format!("/proc/{init}/mountinfo"))?;
        let built = read(&mut file)?;
        match covered
            .iter()
            .find(|path| !built.values().any(|mounted| mounted == *path))
        {
            Some(path) => Err(io::Error::other(format!(
                "this host replaced {} at the same moment; try again",
                path.display()
            ))),
            None => Ok(Self { file, built }),
        }
    }

    /// Waits until a mount is gone, and says where it was. Must be called inside a tokio runtime.
    pub(crate) async fn lost(self) -> io::Result<PathBuf> {
        let Self { mut file, built } = self;
        let polled = register(OwnedFd::from(file.try_clone()?), Interest::PRIORITY)?;
        loop {
            // What changed since the file was opened is told at once.
            polled.ready(Interest::PRIORITY).await?.clear_ready();
            let present = read(&mut file)?;
            if let Some((_, path)) = built.iter().find(|(id, _)| !present.contains_key(id)) {
                return Ok(path.clone());
            }
        }
    }
}

/// Mount id is the first field, mount point the fifth; white space in it is written as `\040` and the like.
fn read(file: &mut File) -> io::Result<BTreeMap<u64, PathBuf>> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    let mount = |line: &str| {
        let mut fields = line.split(' ');
        Some((
            fields.next()?.parse().ok()?,
            Path::new(fields.nth(3)?).to_owned(),
        ))
    };
    Ok(text.lines().filter_map(mount).collect())
}
