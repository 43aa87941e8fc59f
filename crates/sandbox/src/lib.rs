//! The kernel side of a sandbox: namespaces, mounts, control groups, system call filter, and the process 1 that holds them.
//!
//! [`Plan`] says what a sandbox will be; [`launch`] makes it so. The only `unsafe` code of the project is here. What this crate must never
//! do: start a program before the plan is in force, leave out a step because the kernel lacks it, or follow a symbolic link that
//! somebody inside may have made.

mod archive;
pub mod capabilities;
pub mod cgroup;
pub mod channel;
mod confine;
pub mod doctor;
mod idmap;
mod init;
mod launch;
mod mounts;
pub mod network;
mod own_ids;
pub mod plan;
mod program;
mod protocol;
pub mod readiness;
pub mod role;
mod running;
pub mod seccomp;
mod sys;

pub use idmap::IdMapError;
pub use launch::{Begun, Building, LaunchError, Launched, begin, launch};
pub use mounts::MountError;
pub use own_ids::with_ids;
pub use plan::Plan;
pub use program::{Program, ProgramError};
pub use protocol::{
    ArchiveLimits, Audience, ExitStatus, FileAction, LaunchFailure, LaunchStep, TerminalSize,
    TerminalStreams,
};
pub use running::{Event, Sandbox};
pub use sys::lock_byte;
