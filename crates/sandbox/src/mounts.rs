//! Builds the root of a sandbox from its plan.
//!
//! Two processes take part. Trees of the host are opened by [`Sources::open`] with the rights of the caller: by the launcher if it is
//! root (only it can make idmapped mounts), else by the init, before it becomes anybody else. Then the init applies the
//! steps in a mount namespace of its own. Paths inside are resolved with openat2(2) below the new root and through no symbolic link:
//! a work directory is written by those whom the sandbox is against.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};

use crate::plan::{Access, Identity, MountStep, Ownership, PrivateStorage};
use crate::sys;

mod overlay;
mod tree;

use overlay::Upper;

const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;

/// Why the root could not be built: the system call, the path it was about, and the kernel's answer.
#[derive(Debug, thiserror::Error)]
#[error("{call} failed for {}: {errno}", path.display())]
pub struct MountError {
    /// The system call, or what it was for.
    pub call: &'static str,
    /// On the host for a source, else inside.
    pub path: PathBuf,
    /// The kernel's answer.
    pub errno: Errno,
}

/// The host's trees that a plan mounts, opened, in the order of its steps; the layers of an overlay count one by one.
#[derive(Debug)]
pub(crate) struct Sources(pub(crate) Vec<OwnedFd>);

/// The user namespaces that idmapped mounts take their maps from.
pub(crate) struct IdmapNamespaces<'a> {
    /// For [`Ownership::Base`]: the sandbox's own.
    pub(crate) base: BorrowedFd<'a>,
    /// For [`Ownership::Owner`]: one that maps the owner on disk to the user inside.
    pub(crate) owner: Option<BorrowedFd<'a>>,
}

impl Sources {
    /// Opens a private copy of each tree, with its flags set, and idmapped where the plan says so.
    pub(crate) fn open(
        steps: &[MountStep],
        namespaces: Option<&IdmapNamespaces<'_>>,
    ) -> Result<Self, MountError> {
        let mut opened = Vec::new();
        for step in steps {
            match step {
                MountStep::Bind {
                    source,
                    access,
                    ownership,
                    ..
                } => {
                    let read_only = if *access == Access::ReadOnly {
                        RDONLY
                    } else {
                        0
                    };
                    opened.push(open_tree(
                        source,
                        read_only | NOSUID | NODEV,
                        *ownership,
                        namespaces,
                    )?);
                }
                MountStep::Overlay {
                    lower,
                    draft,
                    ownership,
                    ..
                } => {
                    let read_only = lower.iter().map(|layer| (layer, RDONLY));
                    let written = draft.iter().map(|draft| (&draft.directory, 0));
                    for (tree, access) in read_only.chain(written) {
                        let attributes = access | NOSUID | NODEV;
                        opened.push(open_tree(tree, attributes, *ownership, namespaces)?);
                    }
                }
                MountStep::Device { path } => {
                    opened.push(open_tree(path, NOSUID | NOEXEC, Ownership::AsMapped, None)?);
                }
                MountStep::Directory { .. }
                | MountStep::File { .. }
                | MountStep::Symlink { .. }
                | MountStep::Private { .. }
                | MountStep::Proc
                | MountStep::DevPts
                | MountStep::ReadOnly { .. }
                | MountStep::Mask { .. } => {}
            }
        }
        Ok(Self(opened))
    }
}

fn open_tree(
    source: &Path,
    attributes: u64,
    ownership: Ownership,
    namespaces: Option<&IdmapNamespaces<'_>>,
) -> Result<OwnedFd, MountError> {
    let failed = |call| {
        move |errno| MountError {
            call,
            path: source.to_owned(),
            errno,
        }
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    let tree = if attributes & (RDONLY | NOEXEC) == 0 {
        // What can be written to inside is exactly the directory that was checked: a sandbox that has one above it as its work directory
        // could put a link in the way.
        let resolved = open_without_links(source).map_err(failed("openat2"))?;
        rustix::mount::open_tree(&resolved, "", flags | OpenTreeFlags::AT_EMPTY_PATH)
    } else {
        rustix::mount::open_tree(CWD, source, flags)
    }
    .map_err(failed("open_tree"))?;
    let namespace = match (ownership, namespaces) {
        (Ownership::AsMapped, _) | (_, None) => None,
        (Ownership::Base, Some(namespaces)) => Some(namespaces.base),
        (Ownership::Owner { .. }, Some(namespaces)) => namespaces.owner,
    };
    sys::mount_set_attributes(tree.as_fd(), true, attributes, namespace)
        .map_err(failed("mount_setattr"))?;
    Ok(tree)
}

fn open_without_links(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

/// Applies the steps and makes the result the root of the calling process, which sees nothing else afterwards.
///
/// The caller is in a fresh mount namespace with CAP_SYS_ADMIN in it and, where root is mapped, root inside.
pub(crate) fn build_root(
    steps: &[MountStep],
    storage: &PrivateStorage,
    identity: &Identity,
    sources: Sources,
) -> Result<(), MountError> {
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(|errno| error("mount --make-rprivate", "/", errno))?;
    // The modes of the plan are exact.
    rustix::process::umask(Mode::empty());
    let root = Root::stage(storage, identity)?;
    let mut sources = sources.0.into_iter();
    for step in steps {
        root.apply(step, &mut sources)?;
    }
    if !storage.writable_root {
        sys::mount_set_attributes(root.directory.as_fd(), false, RDONLY, None)
            .map_err(|errno| error("mount_setattr", "/", errno))?;
    }
    root.enter()
}

/// Where the new root stands until it is entered. What it covers there has been opened before.
const STAGE: &str = "/tmp";

struct Root<'a> {
    directory: OwnedFd,
    /// Whom `owned` directories are given to; `None` where there is only one id anyway.
    owner: Option<(Uid, Gid)>,
    storage: &'a PrivateStorage,
    last_parent: RefCell<tree::LastParent>,
}

impl<'a> Root<'a> {
    fn stage(storage: &'a PrivateStorage, identity: &Identity) -> Result<Self, MountError> {
        let mut options = vec![
            ("mode", Some("0755".to_owned())),
            ("nr_inodes", Some(storage.inodes.to_string())),
        ];
        options.extend(storage.bytes.map(|bytes| ("size", Some(bytes.to_string()))));
        let mount = new_filesystem("tmpfs", &options, NOSUID | NODEV)?;
        attach(&mount, CWD, STAGE).map_err(|errno| error("move_mount", STAGE, errno))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(STAGE, flags, Mode::empty())
            .map_err(|errno| error("open", STAGE, errno))?;
        let owner = identity
            .maps_root()
            .then(|| (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid)));
        Ok(Self {
            directory,
            owner,
            storage,
            last_parent: RefCell::default(),
        })
    }

    fn apply(
        &self,
        step: &MountStep,
        sources: &mut impl Iterator<Item = OwnedFd>,
    ) -> Result<(), MountError> {
        let path = step.path();
        let mut source = || {
            sources
                .next()
                .ok_or_else(|| error("open", path, Errno::BADF))
        };
        match step {
            MountStep::Directory { mode, owned, .. } => self.make_directory(path, *mode, *owned),
            MountStep::File { mode, content, .. } => self.make_file(path, *mode, content),
            MountStep::Symlink { target, .. } => {
                let parent = self.parent(path)?;
                rustix::fs::symlinkat(target, &*parent, name(path))
                    .map_err(|errno| error("symlink", path, errno))
            }
            MountStep::Private { .. } => self.cover_with_itself(path, 0),
            MountStep::Bind { .. } => self.mount(&source()?, path),
            MountStep::Overlay {
                lower,
                made,
                draft,
                private,
                ..
            } => {
                let layers = lower
                    .iter()
                    .map(|_| source())
                    .collect::<Result<Vec<_>, _>>()?;
                let draft = match draft {
                    Some(draft) => Some((draft, source()?)),
                    None => None,
                };
                let upper = match &draft {
                    Some((draft, tree)) => Upper::Draft(draft, tree),
                    None if *private => Upper::Private { owned: true },
                    None if self.storage.writable_root => Upper::Private { owned: false },
                    None => Upper::None,
                };
                self.mount_overlay(path, made.as_deref(), &layers, &upper)
            }
            MountStep::Device { .. } => self.mount(&source()?, path),
            MountStep::Proc => {
                self.mount(&new_filesystem("proc", &[], NOSUID | NODEV | NOEXEC)?, path)
            }
            MountStep::DevPts => {
                let options = [
                    ("newinstance", None),
                    ("ptmxmode", Some("0666".to_owned())),
                    ("mode", Some("0620".to_owned())),
                ];
                self.mount(&new_filesystem("devpts", &options, NOSUID | NOEXEC)?, path)
            }
            MountStep::ReadOnly { .. } => match self.cover_with_itself(path, RDONLY) {
                Err(MountError {
                    errno: Errno::NOENT,
                    ..
                }) => Ok(()),
                other => other,
            },
            MountStep::Mask { .. } => self.mask(path),
        }
    }

    /// Makes what is at `path` a mount of its own, with more flags than it had.
    fn cover_with_itself(&self, path: &Path, attributes: u64) -> Result<(), MountError> {
        let failed = |call| move |errno| error(call, path, errno);
        let target = self.resolve(path)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_EMPTY_PATH;
        let tree = rustix::mount::open_tree(&target, "", flags).map_err(failed("open_tree"))?;
        sys::mount_set_attributes(tree.as_fd(), true, attributes | NOSUID, None)
            .map_err(failed("mount_setattr"))?;
        attach(&tree, &target, "").map_err(failed("move_mount"))?;
        self.last_parent.borrow_mut().forget_below(path);
        Ok(())
    }

    fn mask(&self, path: &Path) -> Result<(), MountError> {
        let target = match self.resolve(path) {
            Ok(target) => target,
            Err(MountError {
                errno: Errno::NOENT,
                ..
            }) => return Ok(()),
            Err(other) => return Err(other),
        };
        let cover = if is_directory(&target).map_err(|errno| error("stat", path, errno))? {
            new_filesystem(
                "tmpfs",
                &[
                    ("mode", Some("0555".to_owned())),
                    ("nr_inodes", Some("1".to_owned())),
                ],
                RDONLY | NOSUID | NODEV,
            )?
        } else {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let null = rustix::mount::open_tree(&self.directory, "dev/null", flags)
                .map_err(|e| error("open_tree", path, e))?;
            sys::mount_set_attributes(null.as_fd(), false, RDONLY | NOSUID | NOEXEC, None)
                .map_err(|errno| error("mount_setattr", path, errno))?;
            null
        };
        attach(&cover, &target, "").map_err(|errno| error("move_mount", path, errno))
    }

    /// pivot_root(2) into the stage, and lets go of the old root.
    fn enter(self) -> Result<(), MountError> {
        rustix::process::fchdir(&self.directory).map_err(|errno| error("fchdir", STAGE, errno))?;
        // "." on top of ".": the old root ends up above the new one and is then unmounted (pivot_root(2), NOTES).
        rustix::process::pivot_root(".", ".").map_err(|errno| error("pivot_root", STAGE, errno))?;
        rustix::mount::unmount(".", UnmountFlags::DETACH)
            .map_err(|errno| error("umount", "/", errno))?;
        rustix::process::chdir("/").map_err(|errno| error("chdir", "/", errno))
    }
}

/// A detached mount of a new file system; an option without a value is a flag.
fn new_filesystem(
    kind: &'static str,
    options: &[(&str, Option<String>)],
    attributes: u64,
) -> Result<OwnedFd, MountError> {
    let failed = |call| move |errno| error(call, kind, errno);
    let context =
        rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed("fsopen"))?;
    for (key, value) in options {
        match value {
            Some(value) => rustix::mount::fsconfig_set_string(&context, *key, value.as_str()),
            None => rustix::mount::fsconfig_set_flag(&context, *key),
        }
        .map_err(failed("fsconfig"))?;
    }
    rustix::mount::fsconfig_create(&context).map_err(failed("fsconfig(create)"))?;
    let mount = rustix::mount::fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
    .map_err(failed("fsmount"))?;
    sys::mount_set_attributes(mount.as_fd(), false, attributes, None)
        .map_err(failed("mount_setattr"))?;
    Ok(mount)
}

/// move_mount(2) of a detached mount onto `path` below `target`; an empty path is `target` itself.
fn attach(mount: &OwnedFd, target: impl AsFd, path: impl AsRef<Path>) -> Result<(), Errno> {
    let path = path.as_ref();
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if path.as_os_str().is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    rustix::mount::move_mount(mount, "", target, path, flags)
}

fn is_directory(fd: &OwnedFd) -> Result<bool, Errno> {
    let status = rustix::fs::fstat(fd)?;
    Ok(rustix::fs::FileType::from_raw_mode(status.st_mode).is_dir())
}

/// The last component; plans hold no path that has none.
fn name(path: &Path) -> &Path {
    match path.components().next_back() {
        Some(Component::Normal(name)) => Path::new(name),
        _ => Path::new("."),
    }
}

fn error(call: &'static str, path: impl AsRef<Path>, errno: Errno) -> MountError {
    MountError {
        call,
        path: path.as_ref().to_owned(),
        errno,
    }
}
