//! Small files that remember something.

use std::fs;
use std::io;
use std::path::Path;

/// Writes a file anew: who reads it meanwhile sees the old one or the new one, and of several who write it at once the last one's stays.
pub(super) fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    // No other thread of this machine has this id.
    let draft = path.with_extension(rustix::thread::gettid().to_string());
    fs::write(&draft, contents)?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_threads_that_write_one_file_at_once_none_fails() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("digest.json");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || (0..200).for_each(|_| write(path, &[number; 64]).unwrap()));
            }
        });
        let written = fs::read(&path).unwrap();
        assert!(written.len() == 64 && written.iter().all(|byte| *byte == written[0]));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
