//! Overlays: trees of the host that can be written to without the host noticing (overlayfs, Documentation/filesystems/overlayfs.rst).

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::{MountError, NODEV, NOSUID, Root, STAGE, error, name, new_filesystem};
use crate::plan::{Draft, upper_and_work, workplace};

/// What takes what is written to an overlay.
pub(super) enum Upper<'a> {
    /// Nothing: it cannot be written to.
    None,
    /// A directory of the private file system, which belongs to root or to the user inside.
    Private {
        /// Whether it is the user's.
        owned: bool,
    },
    /// A tree of the host.
    Draft(&'a Draft, &'a OwnedFd),
}

impl Root<'_> {
    /// Mounts the layers, topmost first, at `path`, `made` over them.
    pub(super) fn mount_overlay(
        &self,
        path: &Path,
        made: Option<&Path>,
        layers: &[OwnedFd],
        upper: &Upper<'_>,
    ) -> Result<(), MountError> {
        let place = workplace(path);
        let mut mounted = Vec::new();
        let mut lower: Vec<String> = made.map(staged).into_iter().collect();
        for (number, layer) in layers.iter().enumerate() {
            let directory = place.join(format!("lower-{number}"));
            self.mount(layer, &directory)?;
            lower.push(staged(&directory));
            mounted.push(directory);
        }
        let mut options = vec![("lowerdir", Some(lower.join(":"))), ("userxattr", None)];
        let upper = match upper {
            Upper::Draft(draft, tree) => {
                let directory = place.join("draft");
                self.mount(tree, &directory)?;
                let layer = (directory.join(&draft.upper), directory.join(&draft.work));
                mounted.push(directory);
                Some(layer)
            }
            Upper::Private { owned } => {
                let (upper, work) = upper_and_work(path);
                self.make_directory(&upper, 0o755, *owned)?;
                self.make_directory(&work, 0o755, false)?;
                Some((upper, work))
            }
            Upper::None => None,
        };
        if let Some((upper, work)) = &upper {
            options.extend([
                ("upperdir", Some(staged(upper))),
                ("workdir", Some(staged(work))),
            ]);
        }
        let overlay = new_filesystem("overlay", &options, NOSUID | NODEV)?;
        self.mount(&overlay, path)?;
        // The overlay holds its layers itself; nobody inside needs a way to them.
        for directory in mounted {
            let directory = PathBuf::from(staged(&directory));
            rustix::mount::unmount(&directory, rustix::mount::UnmountFlags::DETACH)
                .map_err(|errno| error("umount", name(&directory), errno))?;
        }
        Ok(())
    }
}

fn staged(path: &Path) -> String {
    format!("{STAGE}{}", path.display())
}
