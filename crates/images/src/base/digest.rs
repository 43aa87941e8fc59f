//! Digests of files that are too large to be read at every start.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256, digest};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

/// What was hashed, to know without hashing that it is the same: the ten thousand lines of a package database take longer than a launch.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    file: PathBuf,
    inode: (u64, u64),
    size: u64,
    changed: (i64, i64),
    digest: String,
}

/// SHA-256 of an archive, as 64 digits; `memory`, a directory, remembers it for as long as the file looks the same.
///
/// # Errors
///
/// It cannot be read, or `memory` cannot be written.
pub fn archive_digest(archive: &Path, memory: &Path) -> io::Result<String> {
    let name = of_bytes(archive.as_os_str().as_encoded_bytes());
    remembered(archive, &memory.join(format!("{name}.json")))
}

/// SHA-256 of a file, as 64 digits; `memory` is the file that remembers it.
pub(super) fn remembered(path: &Path, memory: &Path) -> io::Result<String> {
    // A fifo would be waited for, and a device may have no end.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut now = Seen {
        file: path.to_owned(),
        inode: (metadata.dev(), metadata.ino()),
        size: metadata.size(),
        changed: (metadata.mtime(), metadata.mtime_nsec()),
        digest: String::new(),
    };
    let seen: Option<Seen> = fs::read(memory)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    if let Some(seen) = seen {
        now.digest.clone_from(&seen.digest);
        if seen == now {
            return Ok(seen.digest);
        }
    }
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => context.update(&buffer[..length]),
        }
    }
    now.digest = digits(context.finish().as_ref());
    let draft = memory.with_extension(format!("{}", std::process::id()));
    fs::write(&draft, serde_json::to_vec(&now)?)?;
    fs::rename(&draft, memory)?;
    Ok(now.digest)
}

/// SHA-256 of bytes, as 64 digits.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    digits(digest(&SHA256, bytes).as_ref())
}

pub(super) fn digits(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
