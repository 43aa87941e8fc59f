//! Overlays: trees of the host that can be written to without the host noticing (overlayfs, Documentation/filesystems/overlayfs.rst).

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::{MountError, NODEV, NOSUID, Root, STAGE, error, name, new_filesystem};

/// Where layers stand while an overlay is made of them: inside the new root, since overlayfs takes paths.
const WORKSHOP: &str = "/.layers";

impl Root<'_> {
    /// Mounts the layers, topmost first, at `path`, with a private upper layer if the root is writable.
    pub(super) fn mount_overlay(&self, path: &Path, layers: &[OwnedFd]) -> Result<(), MountError> {
        let place = Path::new(WORKSHOP).join(
            path.to_string_lossy()
                .trim_start_matches('/')
                .replace('/', "-"),
        );
        let mut lower = Vec::new();
        for (number, layer) in layers.iter().enumerate() {
            let directory = place.join(format!("lower-{number}"));
            self.mount(layer, &directory)?;
            lower.push(staged(&directory));
        }
        let mut options = vec![("lowerdir", Some(lower.join(":"))), ("userxattr", None)];
        if self.storage.writable_root {
            let (upper, work) = (place.join("upper"), place.join("work"));
            self.make_directory(&upper, 0o755, false)?;
            self.make_directory(&work, 0o755, false)?;
            options.extend([
                ("upperdir", Some(staged(&upper))),
                ("workdir", Some(staged(&work))),
            ]);
        }
        let overlay = new_filesystem("overlay", &options, NOSUID | NODEV)?;
        self.mount(&overlay, path)?;
        // The overlay holds its layers itself; nobody inside needs a way to them.
        for number in 0..layers.len() {
            let directory = PathBuf::from(staged(&place.join(format!("lower-{number}"))));
            rustix::mount::unmount(&directory, rustix::mount::UnmountFlags::DETACH)
                .map_err(|errno| error("umount", name(&directory), errno))?;
        }
        Ok(())
    }
}

fn staged(path: &Path) -> String {
    format!("{STAGE}{}", path.display())
}
