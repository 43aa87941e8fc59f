//! The examples of this repository, run for real: against the public registries, and against staging and production servers that the
//! tests start.
//!
//! Every case runs as each user whom [`support::everyone`] finds, and beside its opposite: what works where the environment allows
//! it is refused where it does not.

mod bases;
mod events;
mod images;
mod locks;
mod network;
mod production;
mod projects;
mod proxy;
mod registries;
mod registries_local;
mod sbom;
mod staging;
mod support;
