//! What an image lays over its base, and where a build of one writes.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bailiwick_sandbox::plan::{Draft, MountStep, Ownership};

/// The parts of a root that layers have, as relative paths. Everything else is private to each sandbox.
pub(crate) const PARTS: &[&str] = &[
    "usr",
    "etc",
    "opt",
    "srv",
    "var/lib",
    "var/cache",
    "var/log",
    "var/spool",
];

/// What lies over the base.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// What the base has besides its programs, as [`crate::snapshot`] made it. Needed where a layer has more than `usr`, and for a draft.
    pub snapshot: Option<PathBuf>,
    /// The trees of the layers, the lowest first.
    pub trees: Vec<PathBuf>,
    /// A directory with `tree` and `work`, both empty, in which what is written becomes a layer.
    pub draft: Option<PathBuf>,
}

impl Layers {
    /// Whether this part is more than what the base has.
    pub(crate) fn cover(&self, part: &str) -> bool {
        self.draft.is_some() || self.trees.iter().any(|tree| tree.join(part).is_dir())
    }

    /// The overlay of one part; `base` is the lowest layer, and lies on this host.
    pub(crate) fn overlay(
        &self,
        part: &str,
        base: PathBuf,
        made: Option<PathBuf>,
        ownership: Ownership,
    ) -> MountStep {
        let layers = self.trees.iter().rev().map(|tree| tree.join(part));
        MountStep::Overlay {
            lower: layers
                .filter(|layer| layer.is_dir())
                .chain([base])
                .collect(),
            made,
            draft: self.draft.as_ref().map(|directory| Draft {
                directory: directory.clone(),
                upper: Path::new("tree").join(part),
                work: Path::new("work").join(part.replace('/', "-")),
            }),
            path: Path::new("/").join(part),
            ownership,
        }
    }

    /// Makes the directories that the overlays of the draft need.
    ///
    /// Those of `/usr/local` are made as they are in the base: where the base's ids are not mapped, root inside could not write in them.
    pub(crate) fn make_draft(&self, base: &Path) -> io::Result<()> {
        let Some(draft) = &self.draft else {
            return Ok(());
        };
        for part in PARTS {
            make_directory(&draft.join("tree").join(part))?;
            make_directory(&draft.join("work").join(part.replace('/', "-")))?;
        }
        let mut waiting = vec![PathBuf::from("usr/local")];
        while let Some(path) = waiting.pop() {
            make_directory(&draft.join("tree").join(&path))?;
            let below = fs::read_dir(base.join(&path))
                .into_iter()
                .flatten()
                .flatten();
            let directories = below.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()));
            waiting.extend(directories.map(|entry| path.join(entry.file_name())));
        }
        Ok(())
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    // Whatever the umask says: what a sandbox sees is the tree's.
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}
