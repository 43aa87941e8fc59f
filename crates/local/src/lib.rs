//! The backend of one machine: `sandbox` and `egress` joined.
//!
//! [`prepare`] turns a request into a plan, [`Prepared::launch`] makes it so, [`Launching::serve`] serves its network. What this crate must never do: start a
//! sandbox whose network nobody serves under a policy, or mount anything of the host that is not on a list.

mod backend;
mod base;
mod boot;
mod certificates;
mod checkpoint;
mod control;
mod host_facts;
mod hosted;
mod identity;
mod inside;
mod java_store;
mod keeper;
mod layers;
mod placeholder;
mod prepare;
mod protected;
mod publish;
mod restore;
mod share;
mod snapshot;
mod state;
mod toolchain;
mod trust;
mod uncovered;
mod workspace;

pub use backend::{LocalOptions, LocalRuntime};
pub use base::Base;
pub use boot::{Description, Launching, Running, StartError};
pub use control::{Control, RemoteProgram};
pub use host_facts::host_facts;
pub use hosted::{HostSettings, HostedRuntime, serve_if_host};
pub use identity::{IdentityError, RunAs, has_subordinate_ids, privileged, with_subordinate_ids};
pub use keeper::{Defaults, Ending, Handle, Program, ProgramError, Uncovered};
pub use layers::{Layers, MountedLayer};
pub use prepare::{Limits, PrepareError, Prepared, Request, Surroundings, prepare};
pub use publish::Published;
pub use share::ServerShare;
pub use snapshot::{snapshot, snapshot_sources};
pub use state::{Record, StateDirectory, StateError};
pub use workspace::{Workspace, WorkspaceError};
