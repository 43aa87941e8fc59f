//! Images: what an environment declares, installed once, and found again by what it is made of.
//!
//! A layer is what one package manager wrote in a sandbox of its own; its key says what it was made of. `store::Store` keeps layers on disk;
//! nothing half-made is ever seen in it.
//!
//! What this crate must never do: run a package manager other than through the runtime port; let what an environment says become an option of a
//! program; give one organization the layer of another.

pub mod base;
mod build;
pub mod key;
pub mod lock;
mod mirror;
mod recipe;
mod registry;
mod rooted;
pub mod sbom;
mod sha256;
pub mod store;

pub use base::{
    BaseSource, HostBase, InvalidBase, Names, Owners, OwnersProblem, archive_digest,
    directory_digest, host_base,
};
pub use build::{
    BaseImage, BuildError, BuildEvent, BuildLimit, BuildLimits, Builder, BuiltBase, FailureClass,
    FetchAccess, ImageSpec, LOGIN_PASSWORD, LOGIN_USER, Material, Progress, ProjectAt, Refreshed,
    Tree, Watched,
};
pub use key::{Below, Content, LayerInputs};
pub use lock::Lock;
pub use mirror::Head;
pub use oci_client::Reference;
pub use recipe::REPORT;
pub use registry::{InvalidRegistry, Registry};
pub use store::{
    Begin, Draft, GcLimits, GcReport, Held, Layer, LayerRecord, ResolvedPackage, Store, StoreError,
    remove_tree,
};
