//! The backend of one machine: `sandbox` and `egress` joined.
//!
//! [`prepare`] turns a request into a plan; [`start`] launches it with its network served. What this crate must never do: start a
//! sandbox whose network nobody serves under a policy, or mount anything of the host that is not on a list.

mod base;
mod certificates;
mod host_facts;
mod identity;
mod placeholder;
mod prepare;
mod protected;
mod state;
mod toolchain;
mod workspace;

pub use base::Base;
pub use host_facts::host_facts;
pub use identity::{IdentityError, RunAs, privileged};
pub use prepare::{Limits, PrepareError, Prepared, Request, Surroundings, prepare};
pub use state::{Record, StateDirectory, StateError};
pub use workspace::{Workspace, WorkspaceError};
