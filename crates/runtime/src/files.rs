//! Files as they are seen from outside.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bytes;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The name, without the directory.
    #[serde(with = "bytes::os_string")]
    pub name: OsString,
    /// What it is; links are not followed.
    pub kind: FileKind,
    /// The length of a file in bytes, 0 for anything else.
    pub bytes: u64,
    /// Its permission bits, nothing beyond 0o777.
    pub mode: u32,
    /// When its contents last changed, in nanoseconds since 1970; 0 where the backend does not know.
    pub modified_ns: i64,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A socket, a pipe or a device.
    Other,
}

/// How much [`Sandbox::capture`](crate::Sandbox::capture) may bring out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureLimits {
    /// Files.
    pub files: usize,
    /// Bytes of all of them together.
    pub bytes: u64,
    /// How long it may take: what runs inside may slow it down.
    pub time: Duration,
}

/// A file that was captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedFile {
    /// Its path inside.
    pub path: PathBuf,
    /// Whether anybody may execute it; no other permission comes along.
    pub executable: bool,
    /// What it held.
    pub contents: Vec<u8>,
}
