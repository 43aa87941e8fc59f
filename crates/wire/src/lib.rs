//! Placeholder, replaced while the crate is written.
