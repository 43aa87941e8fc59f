//! What `bailiwick run` does, as facts.
