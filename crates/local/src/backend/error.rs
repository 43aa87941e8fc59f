//! What of this crate's errors a caller of the port can act on.

use std::io;
use std::path::Path;

use bailiwick_model::SandboxId;
use bailiwick_runtime::{Error, PathProblem};
use bailiwick_sandbox::LaunchError;
use rustix::io::Errno;

use crate::boot::StartError;
use crate::identity::IdentityError;
use crate::prepare::PrepareError;
use crate::state::StateError;

/// A failure that only the log can use.
pub(super) fn backend(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Backend(Box::new(error))
}

pub(super) fn refused(feature: impl Into<Box<str>>, remedy: impl Into<Box<str>>) -> Error {
    Error::Refused {
        feature: feature.into(),
        remedy: Some(remedy.into()),
    }
}

pub(super) fn prepare(error: PrepareError) -> Error {
    match error {
        PrepareError::NoController { controller, .. } => {
            let feature = format!("the control group controller {controller}");
            refused(feature, error.to_string())
        }
        PrepareError::Workspace(cause) => refused("another directory", cause.to_string()),
        PrepareError::Directory { .. } | PrepareError::Base { .. } => {
            refused("another directory", error.to_string())
        }
        PrepareError::Identity(IdentityError::NoRange) => Error::Full,
        PrepareError::Identity(_)
        | PrepareError::State(_)
        | PrepareError::Authority(_)
        | PrepareError::Certificates { .. } => backend(error),
    }
}

pub(super) fn start(id: &SandboxId, error: StartError) -> Error {
    match error {
        // Somebody else entered it since the list was read.
        StartError::State(StateError::Io {
            action: "lock",
            error,
            ..
        }) if error.kind() == io::ErrorKind::WouldBlock => Error::Exists(id.clone()),
        StartError::Launch(error) => launch(error),
        StartError::State(_)
        | StartError::Authority(_)
        | StartError::Mounts(_)
        | StartError::Serve(_) => backend(error),
    }
}

fn launch(error: LaunchError) -> Error {
    match error {
        LaunchError::Threads(_) => refused(
            "a process with one thread",
            "use the local backend from a current-thread runtime",
        ),
        LaunchError::Namespaces { .. } => refused("user namespaces", error.to_string()),
        LaunchError::IdMap(_) => refused("id maps", error.to_string()),
        LaunchError::Inside(_) | LaunchError::Source(_) => {
            refused("what the launch asks of the kernel", error.to_string())
        }
        LaunchError::Cgroup(_) | LaunchError::Silent | LaunchError::Channel(_) => backend(error),
    }
}

pub(super) fn port(port: u16, error: &io::Error) -> Error {
    refused(
        format!("port {port} of the host's loopback"),
        error.to_string(),
    )
}

pub(super) fn path(path: &Path, problem: PathProblem) -> Error {
    Error::Path {
        path: path.to_owned(),
        problem,
    }
}

/// An errno(3) that says something about a path; any other is a failure of the backend.
pub(super) fn errno(wrong: &Path, errno: i32) -> Error {
    let problem = match Errno::from_raw_os_error(errno) {
        Errno::NOENT | Errno::LOOP => PathProblem::NotFound,
        Errno::NOTDIR => PathProblem::NotADirectory,
        Errno::ISDIR | Errno::NXIO => PathProblem::NotAFile,
        // A mount point, and a program that runs, cannot be replaced.
        Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::BUSY | Errno::TXTBSY => {
            PathProblem::PermissionDenied
        }
        Errno::NOSPC | Errno::DQUOT => PathProblem::NoSpace,
        Errno::NAMETOOLONG | Errno::FBIG => PathProblem::TooLarge,
        other => return backend(io::Error::from(other)),
    };
    path(wrong, problem)
}
