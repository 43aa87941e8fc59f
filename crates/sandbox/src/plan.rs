//! What a sandbox will be, as a plain value: printed by `--dry-run`, compared in golden tests, applied by the launch.

use std::ffi::OsString;
use std::path::PathBuf;

use bailiwick_model::SandboxId;
use serde::{Deserialize, Serialize};

use crate::cgroup::CgroupPlan;
use crate::network::NetworkPlan;

mod display;
mod identity;
mod mount;
mod place;

pub use identity::{IdMap, Identity, MapWriter};
pub use mount::{Access, Draft, MountStep, Ownership};
pub use place::{Place, PlaceKind};
pub(crate) use place::{upper_and_work, workplace};

/// Everything that the launch applies, in the order in which it applies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Whose plan it is.
    pub id: SandboxId,
    /// What `hostname` prints inside.
    pub hostname: String,
    /// Who runs, and how ids inside correspond to ids of the host.
    pub identity: Identity,
    /// Which capabilities and system calls there are.
    pub profile: Profile,
    /// Limits that the control groups hold; `None` where no cgroup can be used.
    pub cgroup: Option<CgroupPlan>,
    /// The network namespace.
    pub network: NetworkPlan,
    /// The private file system that holds everything which is not mounted from the host.
    pub private: PrivateStorage,
    /// What is made and mounted, in order; a later step may lie inside an earlier one.
    pub mounts: Vec<MountStep>,
    /// The directory of the draft, where what is written is to become a layer.
    pub draft: Option<PathBuf>,
    /// Limits of each process (setrlimit(2)).
    pub process_limits: ProcessLimits,
}

impl Plan {
    /// Whether it takes a second user namespace to count the processes of all users inside together: where root inside can become others, and
    /// no cgroup counts.
    pub fn counts_together(&self) -> bool {
        let ids: u32 = self.identity.uid_map.iter().map(|map| map.count).sum();
        self.profile == Profile::Build && self.process_limits.processes.is_some() && ids > 1
    }

    /// Whether files may get set-user-ID and set-group-ID bits (chmod(2)): only where nothing of the host can be written to but the draft, whose
    /// maker takes them away again. What is made in a work directory must not become a way to the host user's rights. Nothing is ever mounted
    /// with them in force.
    pub fn sets_ids(&self) -> bool {
        let Some(draft) = &self.draft else {
            return false;
        };
        let is_beside = |step: &MountStep| match step {
            MountStep::Bind { source, access, .. } => {
                *access == Access::ReadWrite && !source.starts_with(draft)
            }
            MountStep::Overlay { draft: kept, .. } => kept
                .as_ref()
                .is_some_and(|kept| !kept.directory.starts_with(draft)),
            MountStep::Directory { .. }
            | MountStep::File { .. }
            | MountStep::Symlink { .. }
            | MountStep::Private { .. }
            | MountStep::Device { .. }
            | MountStep::Proc
            | MountStep::DevPts
            | MountStep::ReadOnly { .. }
            | MountStep::Mask { .. } => false,
        };
        self.profile == Profile::Build && !self.mounts.iter().any(is_beside)
    }
}

/// Which capabilities and system calls a sandbox has. Both profiles have `no_new_privs`, seccomp and Landlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// No capability at all.
    Run,
    /// What package managers need, in the sandbox's own user namespace: see [`crate::capabilities::BUILD`].
    Build,
}

/// The tmpfs that is the root of a sandbox. It vanishes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateStorage {
    /// The most bytes it holds; `None` is the kernel's default, half of the memory.
    pub bytes: Option<u64>,
    /// The most inodes it holds.
    pub inodes: u64,
    /// Whether the root itself can be written to, and not only the directories that are mounted as [`MountStep::Private`].
    pub writable_root: bool,
}

/// Limits of each process (setrlimit(2)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessLimits {
    /// RLIMIT_NOFILE.
    pub open_files: u64,
    /// RLIMIT_NPROC, which the kernel counts per user id and namespace; used where no cgroup counts processes.
    pub processes: Option<u64>,
    /// RLIMIT_AS in bytes; used where no cgroup counts memory.
    pub address_space: Option<u64>,
}

/// A program to start inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments; a program without a slash is looked up in the `PATH` of `env`.
    #[serde(with = "os_strings")]
    pub argv: Vec<OsString>,
    /// The whole environment, `NAME=value`.
    #[serde(with = "os_strings")]
    pub env: Vec<OsString>,
    /// Where it starts, as a path inside.
    pub directory: PathBuf,
}

/// `OsString` as bytes, since arguments and variables need not be UTF-8.
mod os_strings {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        strings: &[OsString],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        strings
            .iter()
            .map(|s| s.as_bytes())
            .collect::<Vec<_>>()
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<OsString>, D::Error> {
        Ok(Vec::<Vec<u8>>::deserialize(deserializer)?
            .into_iter()
            .map(OsString::from_vec)
            .collect())
    }
}
