//! The layers of one installation, on disk.
