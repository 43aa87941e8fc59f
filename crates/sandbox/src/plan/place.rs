//! The places of a sandbox whose files are its own: what a checkpoint keeps.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{MountStep, Plan};

/// Where layers stand while an overlay is made of them, and where what is written to it is: inside the new root, since overlayfs takes paths.
pub(crate) const WORKSHOP: &str = "/.layers";
/// What a reboot would take away too, and what holds nothing without the programs that made it.
const OF_THE_MOMENT: &[&str] = &["/dev/shm", "/run"];

/// A directory with files of the sandbox's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Where they are seen, and where they are brought back.
    pub path: PathBuf,
    /// Where they are looked for.
    pub kept_at: PathBuf,
    /// How they come back.
    pub kind: PlaceKind,
    /// Paths in it, relative, that the plan makes: a file is kept only if it was changed since, and a directory not at all.
    pub made: Vec<PathBuf>,
}

/// How the files of a place come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    /// They are all that there is.
    Whole,
    /// They lie over those of layers: what differs.
    Difference,
}

/// Where what is written to the overlay at `path` is, and a directory for the kernel's own use.
pub(crate) fn upper_and_work(path: &Path) -> (PathBuf, PathBuf) {
    let place = workplace(path);
    (place.join("upper"), place.join("work"))
}

/// Where the layers of the overlay at `path` stand.
pub(crate) fn workplace(path: &Path) -> PathBuf {
    let name = path.to_string_lossy();
    Path::new(WORKSHOP).join(name.trim_start_matches('/').replace('/', "-"))
}

impl Plan {
    /// The places whose files are the sandbox's own and outlive its programs. What is in a draft is kept there.
    pub fn places(&self) -> Vec<Place> {
        let writable_root = self.private.writable_root;
        let places = self.mounts.iter();
        let places = places.filter_map(|step| place(step, writable_root));
        let root = writable_root.then(|| Place {
            path: "/".into(),
            kept_at: "/".into(),
            kind: PlaceKind::Difference,
            made: made(&self.mounts),
        });
        places.chain(root).collect()
    }
}

/// What the plan makes in the root itself.
fn made(steps: &[MountStep]) -> Vec<PathBuf> {
    let files = steps.iter().filter_map(|step| match step {
        MountStep::File { path, .. } | MountStep::Symlink { path, .. } => Some(path.as_path()),
        MountStep::Directory { .. }
        | MountStep::Private { .. }
        | MountStep::Overlay { .. }
        | MountStep::Bind { .. }
        | MountStep::Device { .. }
        | MountStep::Proc
        | MountStep::DevPts
        | MountStep::ReadOnly { .. }
        | MountStep::Mask { .. } => None,
    });
    let all = files.chain([Path::new(WORKSHOP)]);
    let relative = all.filter_map(|path| path.strip_prefix("/").ok());
    relative.map(Path::to_owned).collect()
}

fn place(step: &MountStep, writable_root: bool) -> Option<Place> {
    let whole = |path: &Path| Place {
        path: path.to_owned(),
        kept_at: path.to_owned(),
        kind: PlaceKind::Whole,
        made: Vec::new(),
    };
    let is_one_of = |names: &[&str], path: &Path| names.iter().any(|name| path == Path::new(name));
    match step {
        MountStep::Private { path } => (!is_one_of(OF_THE_MOMENT, path)).then(|| whole(path)),
        MountStep::Overlay {
            draft: None,
            private,
            path,
            ..
        } => (*private || writable_root).then(|| Place {
            path: path.clone(),
            kept_at: upper_and_work(path).0,
            kind: PlaceKind::Difference,
            made: Vec::new(),
        }),
        MountStep::Overlay { draft: Some(_), .. }
        | MountStep::Directory { .. }
        | MountStep::File { .. }
        | MountStep::Symlink { .. }
        | MountStep::Bind { .. }
        | MountStep::Device { .. }
        | MountStep::Proc
        | MountStep::DevPts
        | MountStep::ReadOnly { .. }
        | MountStep::Mask { .. } => None,
    }
}
