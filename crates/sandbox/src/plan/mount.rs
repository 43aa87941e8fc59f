//! What is made and mounted.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Whether a mounted tree can be written to. Nothing is ever mounted with setuid bits or devices in force, except the devices of `/dev`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read and execute.
    ReadOnly,
    /// Read, execute and write.
    ReadWrite,
}

/// As whose the files of a mounted tree appear inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// As the id maps have it: ids that are not mapped appear as nobody's.
    AsMapped,
    /// An idmapped mount (mount_setattr(2)): the host's id 0 and up as the sandbox's 0 and up. Needs root.
    Base,
    /// An idmapped mount: the one owner of the tree as the user who runs inside. Needs root.
    Owner {
        /// The owner on disk.
        uid: u32,
        /// The group on disk.
        gid: u32,
    },
}

/// A directory of the host in which the upper layers of overlays are kept, each at the path of its overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The directory.
    pub directory: PathBuf,
    /// The upper layer, relative to the directory.
    pub upper: PathBuf,
    /// An empty directory for the kernel's own use, relative to the directory.
    pub work: PathBuf,
}

/// One step of building the root. Paths of the sandbox are absolute; nothing of the sandbox is followed as a symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum MountStep {
    /// A directory of the private file system.
    Directory {
        /// Where.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
        /// Whether it belongs to the user who runs inside, and not to root.
        owned: bool,
    },
    /// A small file of the private file system.
    File {
        /// Where.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
        /// What is in it.
        content: Vec<u8>,
    },
    /// A symbolic link of the private file system.
    Symlink {
        /// Where.
        path: PathBuf,
        /// What it points to.
        target: PathBuf,
    },
    /// A directory of the private file system that stays writable when the root does not.
    Private {
        /// Where.
        path: PathBuf,
    },
    /// A tree of the host.
    Bind {
        /// The path on the host; the last component is not followed if it is a symbolic link.
        source: PathBuf,
        /// Where.
        path: PathBuf,
        /// Whether it can be written to.
        access: Access,
        /// As whose its files appear.
        ownership: Ownership,
    },
    /// Trees of the host, one over the other: an overlay. If the root is writable, or the overlay is private, it can be written to without the lower layers noticing.
    Overlay {
        /// The lower layers, topmost first.
        lower: Vec<PathBuf>,
        /// A directory that steps before this one made, which lies over the lower layers.
        made: Option<PathBuf>,
        /// Where on the host what is written is kept; else it vanishes.
        draft: Option<Draft>,
        /// Whether the user inside can write to it whatever the root is.
        private: bool,
        /// Where.
        path: PathBuf,
        /// As whose the files of the lower layers appear.
        ownership: Ownership,
    },
    /// A device of the host.
    Device {
        /// The device's path, on the host and inside.
        path: PathBuf,
    },
    /// A fresh proc(5) of the sandbox's own pid namespace.
    Proc,
    /// A fresh instance of devpts at `/dev/pts`.
    DevPts,
    /// What is there already becomes read-only.
    ReadOnly {
        /// Where; if nothing is there, nothing happens.
        path: PathBuf,
    },
    /// What is there already is covered by an empty file or directory; if nothing is there, nothing happens.
    Mask {
        /// Where.
        path: PathBuf,
    },
}

impl MountStep {
    /// The path inside that the step makes or changes.
    pub fn path(&self) -> &std::path::Path {
        match self {
            Self::Directory { path, .. }
            | Self::File { path, .. }
            | Self::Symlink { path, .. }
            | Self::Private { path }
            | Self::Bind { path, .. }
            | Self::Overlay { path, .. }
            | Self::Device { path }
            | Self::ReadOnly { path }
            | Self::Mask { path } => path,
            Self::Proc => std::path::Path::new("/proc"),
            Self::DevPts => std::path::Path::new("/dev/pts"),
        }
    }
}
