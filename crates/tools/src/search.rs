//! Files by name and by contents.
//!
//! The tree is walked and read through the runtime port, so that it is the sandbox's identity that looks, and the result does not depend on
//! which programs an image has.

pub(crate) mod glob;
pub(crate) mod grep;
mod rules;
mod walk;
