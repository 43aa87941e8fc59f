//! The work directory: what is refused as one, and how it is mounted.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use bailiwick_sandbox::plan::{Access, MountStep, Ownership};

use crate::placeholder::Placeholders;
use crate::protected;

/// Where it is mounted inside.
pub(crate) const INSIDE: &str = "/workspace";

/// What git inside is told to ignore besides what the repository says (gitignore(5)): placeholders, so that `git add .` does not add them.
pub(crate) const GIT_EXCLUDES: &str = "/etc/bailiwick/git-excludes";

/// How many entries are looked at when a work directory is searched for sockets.
const SOCKET_SEARCH_ENTRIES: usize = 50_000;

/// What a caller wants mounted.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The directory on the host.
    pub path: PathBuf,
    /// Leaves writable what the host runs or trusts.
    pub writable_meta: bool,
    /// Takes a directory that holds unix sockets.
    pub allow_sockets: bool,
    /// Files that are read-only inside whatever else is, if they lie in the directory: what decides about this sandbox or tells of it.
    pub read_only: Vec<PathBuf>,
}

/// Why a directory is not taken.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// It cannot be looked at.
    #[error("cannot use {} as the work directory: {error}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is the root directory, a home directory, or above one.
    #[error("{} is {what}: everything below it could be changed from inside. Name the project's own directory with -w DIR", path.display())]
    TooWide {
        /// Which.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It is or holds Bailiwick's own state, or lies in it.
    #[error("{} holds Bailiwick's own state", path.display())]
    OwnState {
        /// Which.
        path: PathBuf,
    },
    /// A program of the host listens there.
    #[error("{} is a unix socket of this host, which a program inside could talk to. Remove it, or accept that with --allow-sockets", socket.display())]
    Socket {
        /// The socket.
        socket: PathBuf,
    },
    /// It is too large to be searched for sockets.
    #[error("{} has more than {SOCKET_SEARCH_ENTRIES} entries, too many to be searched for unix sockets at every start. Accept that there may be some with --allow-sockets", path.display())]
    TooManyEntries {
        /// Which.
        path: PathBuf,
    },
    /// A protected name is a symbolic link, whose target would stay writable.
    #[error("{} is a symbolic link, so that it cannot be made read-only. Replace it by what it points to, or leave it writable with --writable-meta", path.display())]
    ProtectedLink {
        /// Which.
        path: PathBuf,
    },
}

/// A work directory that was checked.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) path: PathBuf,
    pub(crate) steps: Vec<MountStep>,
    pub(crate) placeholders: Option<Placeholders>,
    /// Paths inside that are covered whenever they exist.
    pub(crate) covered: Vec<PathBuf>,
}

impl Workspace {
    /// Checks the directory; `homes` are the home directories of this host, `state` is Bailiwick's own.
    ///
    /// With `idmapped`, its one owner becomes the user inside.
    pub(crate) fn check(
        &self,
        homes: &[PathBuf],
        state: &Path,
        idmapped: bool,
    ) -> Result<Checked, WorkspaceError> {
        let unusable = |error| WorkspaceError::Unusable {
            path: self.path.clone(),
            error,
        };
        let path = fs::canonicalize(&self.path).map_err(unusable)?;
        let metadata = fs::metadata(&path).map_err(unusable)?;
        if !metadata.is_dir() {
            return Err(unusable(std::io::ErrorKind::NotADirectory.into()));
        }
        refuse_wide(&path, homes)?;
        if path.starts_with(state) || state.starts_with(&path) {
            return Err(WorkspaceError::OwnState { path });
        }
        if !self.allow_sockets {
            refuse_sockets(&path)?;
        }
        let ownership = if idmapped {
            Ownership::Owner {
                uid: metadata.uid(),
                gid: metadata.gid(),
            }
        } else {
            Ownership::AsMapped
        };
        let mount = MountStep::Bind {
            source: path.clone(),
            path: INSIDE.into(),
            access: Access::ReadWrite,
            ownership,
        };
        let mut checked = Checked {
            path,
            steps: vec![mount],
            placeholders: None,
            covered: Vec::new(),
        };
        for file in &self.read_only {
            cover_file(&mut checked, file)?;
        }
        if !self.writable_meta {
            protect(&mut checked)?;
        }
        Ok(checked)
    }
}

/// A work directory that is private to the sandbox.
pub(crate) fn private() -> [MountStep; 2] {
    private_at(Path::new(INSIDE))
}

/// A directory that is private to the sandbox.
pub(crate) fn private_at(path: &Path) -> [MountStep; 2] {
    let path = path.to_owned();
    let directory = MountStep::Directory {
        path: path.clone(),
        mode: 0o755,
        owned: true,
    };
    [directory, MountStep::Private { path }]
}

fn refuse_wide(path: &Path, homes: &[PathBuf]) -> Result<(), WorkspaceError> {
    let what = if path == Path::new("/") {
        "the root directory"
    } else if homes.iter().any(|home| home == path) {
        "a home directory"
    } else if homes.iter().any(|home| home.starts_with(path)) {
        "above a home directory"
    } else {
        return Ok(());
    };
    Err(WorkspaceError::TooWide {
        path: path.to_owned(),
        what,
    })
}

/// Sockets can be connected to through a mount, even a read-only one.
pub(crate) fn refuse_sockets(path: &Path) -> Result<(), WorkspaceError> {
    let mut waiting = vec![path.to_owned()];
    let mut seen = 0;
    while let Some(directory) = waiting.pop() {
        // What cannot be read here cannot be read inside either.
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            seen += 1;
            if seen > SOCKET_SEARCH_ENTRIES {
                return Err(WorkspaceError::TooManyEntries {
                    path: path.to_owned(),
                });
            }
            match entry.file_type() {
                Ok(kind) if kind.is_socket() => {
                    return Err(WorkspaceError::Socket {
                        socket: entry.path(),
                    });
                }
                Ok(kind) if kind.is_dir() => waiting.push(entry.path()),
                Ok(_) | Err(_) => {}
            }
        }
    }
    Ok(())
}

/// Makes one file of the work directory read-only. The directories above it become mount points too, so that they cannot be renamed.
fn cover_file(checked: &mut Checked, file: &Path) -> Result<(), WorkspaceError> {
    // What cannot be found was refused where it was read; what lies elsewhere is not to be seen inside.
    let Ok(file) = fs::canonicalize(file) else {
        return Ok(());
    };
    let Ok(relative) = file.strip_prefix(&checked.path) else {
        return Ok(());
    };
    let inside = Path::new(INSIDE).join(relative);
    let between: Vec<_> = inside
        .ancestors()
        .skip(1)
        .take_while(|above| *above != Path::new(INSIDE))
        .collect();
    for above in between.into_iter().rev() {
        let step = MountStep::Private {
            path: above.to_owned(),
        };
        if !checked.steps.contains(&step) {
            checked.steps.push(step);
        }
    }
    checked.steps.push(MountStep::ReadOnly {
        path: inside.clone(),
    });
    checked.covered.push(inside);
    Ok(())
}

fn protect(checked: &mut Checked) -> Result<(), WorkspaceError> {
    let list = protected::for_work_directory(&checked.path);
    for item in &list {
        let mut path = checked.path.clone();
        for component in &item.path {
            path.push(component);
            if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink()) {
                return Err(WorkspaceError::ProtectedLink { path });
            }
        }
    }
    // A mount point cannot be renamed, but the directory above it can: so that one becomes a mount point too.
    let inside = Path::new(INSIDE);
    let above: BTreeSet<&Path> = list
        .iter()
        .flat_map(|item| item.path.ancestors().skip(1))
        .filter(|above| !above.as_os_str().is_empty())
        .collect();
    checked
        .steps
        .extend(above.into_iter().map(|above| MountStep::Private {
            path: inside.join(above),
        }));
    let placeholders = Placeholders::missing(&checked.path, &list);
    checked
        .steps
        .extend(list.iter().map(|item| MountStep::ReadOnly {
            path: inside.join(&item.path),
        }));
    checked.steps.push(MountStep::File {
        path: GIT_EXCLUDES.into(),
        mode: 0o644,
        content: placeholders.git_excludes().into_bytes(),
    });
    checked
        .covered
        .extend(list.iter().map(|item| inside.join(&item.path)));
    checked.placeholders = Some(placeholders);
    Ok(())
}

/// The home directories that /etc/passwd names, and the caller's own.
pub(crate) fn home_directories(own: Option<&Path>) -> Vec<PathBuf> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    // Service users whose home is a system directory do not make that directory anybody's home.
    let people = passwd.lines().filter_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let uid: u32 = fields.get(2)?.parse().ok()?;
        (uid == 0 || uid >= 1000).then(|| PathBuf::from(fields.get(5).copied().unwrap_or_default()))
    });
    let homes = people
        .chain(own.map(Path::to_owned))
        .chain([PathBuf::from("/home"), PathBuf::from("/root")]);
    homes
        .filter(|home| {
            home.is_absolute() && home != Path::new("/") && home != Path::new("/nonexistent")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &Path) -> Result<Checked, WorkspaceError> {
        let workspace = Workspace {
            path: path.to_owned(),
            writable_meta: false,
            allow_sockets: false,
            read_only: Vec::new(),
        };
        workspace.check(
            &home_directories(None),
            Path::new("/var/lib/bailiwick"),
            false,
        )
    }

    #[test]
    fn a_directory_that_is_too_wide_is_refused() {
        for path in ["/", "/root", "/home", "/var", "/var/lib/bailiwick"] {
            if Path::new(path).exists() {
                assert!(check(Path::new(path)).is_err(), "{path} was taken");
            }
        }
    }

    #[test]
    fn a_directory_with_a_socket_is_refused_however_deep_it_lies() {
        let directory = tempfile::tempdir().unwrap();
        assert!(check(directory.path()).is_ok());
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        let _listener =
            std::os::unix::net::UnixListener::bind(directory.path().join("a/b/agent.sock"))
                .unwrap();
        assert!(matches!(
            check(directory.path()),
            Err(WorkspaceError::Socket { .. })
        ));
    }

    #[test]
    fn a_protected_name_that_is_a_link_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", directory.path().join(".vscode")).unwrap();
        assert!(matches!(
            check(directory.path()),
            Err(WorkspaceError::ProtectedLink { .. })
        ));
    }

    #[test]
    fn without_a_repository_none_can_be_made() {
        let directory = tempfile::tempdir().unwrap();
        let steps = check(directory.path()).unwrap().steps;
        assert!(steps.contains(&MountStep::ReadOnly {
            path: "/workspace/.git".into()
        }));
        assert!(
            !steps
                .iter()
                .any(|step| step.path().parent() == Some(Path::new("/workspace/.git")))
        );
    }
}
