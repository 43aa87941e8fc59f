//! Digests of files that are too large to be read at every start.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::sha256;

/// What was hashed, to know without hashing that it is the same: the ten thousand lines of a package database take longer than a launch.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    file: PathBuf,
    inode: (u64, u64),
    size: u64,
    /// When anything of the file changed (inode(7), ctime): the time of its contents can be set to what it was.
    changed: (i64, i64),
    digest: String,
}

/// SHA-256 of an archive, as 64 digits; `memory`, a directory, remembers it for as long as the file looks the same.
///
/// # Errors
///
/// It cannot be read, or `memory` cannot be written.
pub fn archive_digest(archive: &Path, memory: &Path) -> io::Result<String> {
    // A fifo would be waited for, and a device may have no end.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(archive, flags, Mode::empty())?);
    let name = sha256::of(archive.as_os_str().as_encoded_bytes());
    remembered(file, archive, &memory.join(format!("{name}.json")))
}

/// SHA-256 of a file, as 64 digits; `path` is its name, and `memory` the file that remembers it.
pub(super) fn remembered(mut file: File, path: &Path, memory: &Path) -> io::Result<String> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut now = Seen {
        file: path.to_owned(),
        inode: (metadata.dev(), metadata.ino()),
        size: metadata.size(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
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
    now.digest = sha256::digits(context.finish().as_ref());
    super::memory::write(memory, &serde_json::to_vec(&now)?)?;
    Ok(now.digest)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_archive_rewritten_in_place_has_another_digest_whatever_its_times_say() {
        let memory = tempfile::tempdir().unwrap();
        let archive = memory.path().join("root.tar");
        fs::write(&archive, "one").unwrap();
        let modified = fs::metadata(&archive).unwrap().modified().unwrap();
        let digest = || archive_digest(&archive, memory.path()).unwrap();
        assert_eq!(digest(), sha256::of(b"one"));
        // The clock of files has ticked.
        std::thread::sleep(Duration::from_millis(50));
        fs::write(&archive, "two").unwrap();
        let file = File::options().write(true).open(&archive).unwrap();
        file.set_modified(modified).unwrap();
        assert_eq!(
            fs::metadata(&archive).unwrap().modified().unwrap(),
            modified
        );
        assert_eq!(digest(), sha256::of(b"two"));
    }
}
