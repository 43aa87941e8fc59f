//! What an image lays over its base, and where a build of one writes.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bailiwick_runtime::Draft;
use bailiwick_sandbox::plan::{self, Access, MountStep, Ownership};

use crate::inside;

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
    /// What the base has besides its programs, as [`crate::snapshot`] made it. Needed on this host's userland where a layer has more than
    /// `usr`, and for a draft.
    pub snapshot: Option<PathBuf>,
    /// The trees of the layers, the lowest first.
    pub trees: Vec<PathBuf>,
    /// Directories of layers that stand at places of their own.
    pub mounted: Vec<MountedLayer>,
    /// Where what is written becomes a layer.
    pub draft: Option<Draft>,
}

/// A directory of a layer at a place of its own, such as a project in `/workspace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountedLayer {
    /// The layer's tree, which has the directory at the same path.
    pub tree: PathBuf,
    /// Where, as a path inside.
    pub target: PathBuf,
    /// Whether the user inside can write to it; that is private to the sandbox.
    pub writable: bool,
}

impl Layers {
    /// Whether this part is more than what the base has.
    pub(crate) fn cover(&self, part: &str) -> bool {
        self.image_draft().is_some() || self.trees.iter().any(|tree| tree.join(part).is_dir())
    }

    fn image_draft(&self) -> Option<&Draft> {
        self.draft.as_ref().filter(|draft| draft.image)
    }

    /// One part of the layers over that of the base, which lies below `base` on this host.
    pub(crate) fn overlay(
        &self,
        part: &str,
        base: &Path,
        made: Option<PathBuf>,
        ownership: Ownership,
    ) -> Option<MountStep> {
        let path = Path::new("/").join(part);
        let layers = self.trees.iter().rev().map(|tree| tree.join(part));
        let of_base = inside::has_directory(base, Path::new(part)).then(|| base.join(part));
        let lower: Vec<_> = layers
            .filter(|layer| layer.is_dir())
            .chain(of_base)
            .collect();
        let draft = self.image_draft();
        if lower.is_empty() && made.is_none() {
            // An overlay needs something to lie over.
            return draft.map(|draft| kept(draft, path, ownership));
        }
        Some(MountStep::Overlay {
            lower,
            made,
            draft: draft.map(|draft| plan::Draft {
                directory: draft.directory.clone(),
                upper: Path::new("tree").join(part),
                work: Path::new("work").join(part.replace('/', "-")),
            }),
            private: false,
            path,
            ownership,
        })
    }

    /// The directories that stand at places of their own, and the one that the draft keeps.
    pub(crate) fn besides(&self, ownership: Ownership) -> Vec<MountStep> {
        let mounted = self.mounted.iter().map(|layer| MountStep::Overlay {
            lower: vec![within(&layer.tree, &layer.target)],
            made: None,
            draft: None,
            private: layer.writable,
            path: layer.target.clone(),
            ownership,
        });
        let draft = self.draft.as_ref();
        let besides = draft.and_then(|draft| Some((draft, draft.besides.clone()?)));
        mounted
            .chain(besides.map(|(draft, path)| kept(draft, path, ownership)))
            .collect()
    }

    /// Makes the directories that the draft needs.
    ///
    /// Those of `/usr/local` are made as they are in the base: where the base's ids are not mapped, root inside could not write in them.
    pub(crate) fn make_draft(&self, base: &Path) -> io::Result<()> {
        let Some(draft) = &self.draft else {
            return Ok(());
        };
        let tree = draft.directory.join("tree");
        if let Some(path) = &draft.besides {
            make_directory(&within(&tree, path))?;
        }
        if !draft.image {
            return Ok(());
        }
        for part in PARTS {
            make_directory(&tree.join(part))?;
            make_directory(&draft.directory.join("work").join(part.replace('/', "-")))?;
        }
        let mut waiting = vec![PathBuf::from("usr/local")];
        while let Some(path) = waiting.pop() {
            if !inside::has_directory(base, &path) {
                continue;
            }
            make_directory(&tree.join(&path))?;
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

/// A directory of the draft itself.
fn kept(draft: &Draft, path: PathBuf, ownership: Ownership) -> MountStep {
    MountStep::Bind {
        source: within(&draft.directory.join("tree"), &path),
        path,
        access: Access::ReadWrite,
        ownership,
    }
}

/// A path inside, below a tree.
fn within(tree: &Path, path: &Path) -> PathBuf {
    tree.join(path.strip_prefix("/").unwrap_or(path))
}

/// Makes a directory and what is missing above it, for everybody to look into.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.is_dir()).collect();
    for directory in missing.into_iter().rev() {
        fs::create_dir(directory)?;
        // Whatever the umask says: what a sandbox sees is the tree's.
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
